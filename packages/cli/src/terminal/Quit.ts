/**
 * Decides the exit code of the process.
 *
 * @since 0.1.0
 */
import { Context, Exit, Ref, Runtime, Schema } from "effect"

/**
 * Ends the process with a code; all there is to say has been said.
 *
 * @category errors
 * @since 0.1.0
 */
export class Quit extends Schema.TaggedError<Quit>("waybill/Quit")("Quit", { code: Schema.Int }) {
  override readonly [Runtime.errorExitCode] = this.code
}

/**
 * The code of a process that a signal ends, which a command sets to 0 where that is how it is meant to end.
 *
 * @category services
 * @since 0.1.0
 */
export const SignalCode = Context.Reference<Ref.Ref<number>>("waybill/Quit/SignalCode", {
  defaultValue: () => Ref.makeUnsafe(130)
})

/**
 * Ends the process as its exit says, or by the code for signals.
 *
 * @category running
 * @since 0.1.0
 */
export const teardown = (signalCode: Ref.Ref<number>): Runtime.Teardown => (exit, onExit) =>
  Exit.hasInterrupts(exit) ? onExit(Ref.getUnsafe(signalCode)) : Runtime.defaultTeardown(exit, onExit)
