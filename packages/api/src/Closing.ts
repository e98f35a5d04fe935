/**
 * Ends what streams when the server is about to stop, so that a stream does not hold it up.
 *
 * @since 0.2.0
 */
import { Context, Effect, Latch, Layer } from "effect"

/**
 * Tells when streams are to end.
 *
 * @category services
 * @since 0.2.0
 */
export class Closing extends Context.Service<Closing, {
  /** Waits until streams are to end. */
  readonly awaited: Effect.Effect<void>
  /** Lets every stream end, those to come too. */
  readonly close: Effect.Effect<void>
}>()("@waybill/api/Closing") {}

/**
 * Streams until `close` is called.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer: Layer.Layer<Closing> = Layer.effect(
  Closing,
  Effect.map(Latch.make(), (latch) => Closing.of({ awaited: latch.await, close: Effect.asVoid(latch.open) }))
)
