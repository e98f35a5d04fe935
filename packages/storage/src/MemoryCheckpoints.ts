/**
 * Keeps the checkpoints of the feed's consumers in memory.
 *
 * @since 0.1.0
 */
import { Checkpoints, type Cursor, Input } from "@waybill/core"
import { Effect, Layer, Option } from "effect"

const make = Effect.sync(() => {
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

/**
 * Checkpoints that live as long as the layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Checkpoints.Checkpoints> = Layer.effect(Checkpoints.Checkpoints, make)
