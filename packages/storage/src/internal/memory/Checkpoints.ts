/**
 * Keeps the checkpoints of the feed's consumers in memory.
 */
import { Checkpoints, type Cursor, Input } from "@waybill/core"
import { Effect, Option } from "effect"

/** Makes empty checkpoints. */
export const make = Effect.sync(() => {
  const cursors = new Map<string, Cursor.Cursor>()
  return Checkpoints.Checkpoints.of({
    load: Effect.fn("Checkpoints.load")(function*(consumer: string) {
      yield* Effect.fromResult(Input.consumer({ consumer }))
      return Option.fromUndefinedOr(cursors.get(consumer))
    }),
    save: Effect.fn("Checkpoints.save")(function*(consumer: string, cursor: Cursor.Cursor) {
      yield* Effect.fromResult(Input.consumer({ consumer }))
      cursors.set(consumer, yield* Effect.fromResult(Input.cursor(cursor)))
    })
  })
})
