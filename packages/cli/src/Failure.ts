/**
 * Turns whatever a command fails with into one line on standard error and an exit code.
 *
 * @since 0.1.0
 */
import { Cause, Console, Effect, Option, Schema } from "effect"
import { CliError, type CliOutput } from "effect/cli"

/** What a person can do about a failure. */
const hints: Readonly<Record<string, string>> = {
  SchemaNotMigrated: "; run waybill migrate"
}

const Tagged = Schema.Struct({ _tag: Schema.String, message: Schema.String })

const isTagged = Schema.is(Tagged)

const isWrongUsage = Schema.is(
  Schema.Union([
    Schema.Struct({ _tag: Schema.Literal("InvalidInput"), what: Schema.Literals(["delivery", "dispatch", "query"]) }),
    Schema.Struct({ _tag: Schema.Literals(["UnknownProvider", "NothingChosen"]) })
  ])
)

const oneLine = (text: string): string => text.replace(/\s*\n\s*/g, " ").trim()

/** The parser's words, without the machinery that found the issue. */
const complaint = (message: string): string =>
  oneLine(message).replace(/Expected: (?:Schema validation failed: )?must /, "It must ")

/**
 * The exit code of a command that was given what it does not take.
 *
 * @category constants
 * @since 0.1.0
 */
export const wrongUsage = 2

/**
 * Prints help and version where they are asked for, and one line where the command line is wrong.
 *
 * @category rendering
 * @since 0.1.0
 */
export const presenter = (shown: CliOutput.Presenter): CliOutput.Presenter => ({
  present: (event) => {
    if (event._tag === "Version" || (event._tag === "Help" && event.reason === "Requested")) return shown.present(event)
    const command = event.commandPath.join(" ")
    const issue = event._tag === "Help" ? "needs a command" : complaint(event.errors[0]?.message ?? "not understood")
    return Console.error(`${command}: ${issue} (see ${command} --help)`)
  }
})

/**
 * Reports a failure that the parser has not, and gives the exit code.
 *
 * @category reporting
 * @since 0.1.0
 */
export const report = Effect.fnUntraced(function*(cause: Cause.Cause<unknown>) {
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  if (CliError.isCliError(error) && error._tag === "ShowHelp") return wrongUsage
  yield* Effect.logDebug("command failed", cause)
  if (isTagged(error)) {
    yield* Console.error(`waybill: ${oneLine(error.message)}${hints[error._tag] ?? ""}`)
    return isWrongUsage(error) ? wrongUsage : 1
  }
  yield* Console.error("waybill: failed unexpectedly (--log-level debug says more)")
  return 1
})
