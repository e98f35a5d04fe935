/** Keeps the checkpoints of the feed's consumers in memory. */
import { Checkpoints, type Cursor, Input } from "@waybill/core"
import { DateTime, Effect, Option } from "effect"
import type { Store } from "./Store.ts"

/** Makes empty checkpoints over the feed of a store. */
export const make = ({ checkpoints: known, feed, nextCommit }: Store) => {
  const load = Effect.fn("Checkpoints.load")(function*(consumer: string) {
    yield* Effect.fromResult(Input.consumer({ consumer }))
    return Option.map(Option.fromUndefinedOr(known.get(consumer)), ({ cursor }) => cursor)
  })

  const save = Effect.fn("Checkpoints.save")(function*(consumer: string, cursor: Cursor.Cursor) {
    yield* Effect.fromResult(Input.consumer({ consumer }))
    yield* Effect.fromResult(Input.cursor(cursor))
    known.set(consumer, Object.freeze({ consumer, cursor, savedAt: yield* DateTime.now }))
  })

  const list = Effect.sync(() => Array.from(known.values()).toSorted(Checkpoints.compare))

  const reset = Effect.fn("Checkpoints.reset")(function*(consumer: string, beginning: Checkpoints.Beginning) {
    yield* Effect.fromResult(Input.consumer({ consumer }))
    const cursor = Checkpoints.placeOf(yield* Effect.fromResult(Input.beginning(beginning)), feed, nextCommit())
    yield* save(consumer, cursor)
    return cursor
  })

  return Checkpoints.Checkpoints.of({ load, save, list, reset })
}
