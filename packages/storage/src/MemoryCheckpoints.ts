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
    load: (consumer) => Effect.sync(() => Option.fromUndefinedOr(cursors.get(consumer))),
    save: Effect.fn("Checkpoints.save")(function*(consumer: string, cursor: Cursor.Cursor) {
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
