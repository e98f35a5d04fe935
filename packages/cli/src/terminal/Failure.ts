/**
 * Turns any failure of a command into one line on standard error and an exit code.
 *
 * @since 0.1.0
 */
import { Cause, Console, Effect, Option, Schema } from "effect"
import { CliError, type CliOutput } from "effect/cli"

/** The command that mends a failure. */
const hints: Readonly<Record<string, string>> = {
  SchemaNotMigrated: "; run waybill migrate",
  SchemaTooNew: "; upgrade waybill"
}

const Tagged = Schema.Struct({ _tag: Schema.String, message: Schema.String })

const isTagged = Schema.is(Tagged)

const isWrongUsage = Schema.is(
  Schema.Union([
    Schema.Struct({
      _tag: Schema.Literal("InvalidInput"),
      what: Schema.Literals(["delivery", "dispatch", "failure", "query", "suppression", "token"])
    }),
    Schema.Struct({
      _tag: Schema.Literals(["UnknownProvider", "NothingChosen", "ForeignCursor", "BadRows", "UnusableImport"])
    })
  ])
)

const oneLine = (text: string): string => text.replace(/\s*\n\s*/g, " ").trim()

/** Tells whether a word looks like a slip of the pen; anything else may be an address or a secret. */
const isWord = (text: string): boolean => /^(?:--?)?[a-z][a-z-]{0,30}$/i.test(text)

/** The expectation of a value, without the machinery that found the issue. */
const expectation = (text: string): string => {
  const expected = text.replace(/^Schema validation failed: /, "")
  if (expected.startsWith("must ")) return `It ${expected}`
  return expected.startsWith("Expected") ? expected : `Expected: ${expected}`
}

/** The complaint of the parser, without the values it was given. */
const complaint = (error: CliError.NonShowHelpErrors): string => {
  switch (error._tag) {
    case "InvalidValue": {
      const fault = error.value === "" ? "Missing value" : "Invalid value"
      const name = error.kind === "argument" ? `argument <${error.option}>` : `flag --${error.option}`
      return `${fault} for ${name}. ${expectation(error.expected)}`
    }
    case "UnexpectedArgument":
      return `Unexpected positional argument${error.arguments.length === 1 ? "" : "s"}`
    case "UnknownSubcommand":
      return isWord(error.subcommand) ? error.message : "Unknown subcommand"
    case "UnrecognizedOption":
      return isWord(error.option) ? error.message : "Unrecognized flag"
    default:
      return error.message
  }
}

/**
 * The exit code of a command whose command line is wrong.
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
    const issue = event._tag === "Help" ? "needs a command" : event.errors[0] === undefined
      ? "not understood"
      : complaint(event.errors[0])
    return Console.error(`${command}: ${oneLine(issue)} (see ${command} --help)`)
  }
})

const Answered = Schema.Struct({
  reason: Schema.Struct({
    cause: Schema.Struct({ code: Schema.String.check(Schema.isPattern(/^[0-9A-Z]{5}$/)) })
  })
})

const isAnswered = Schema.is(Answered)

/** The class of an unforeseen error, and its SQLSTATE if the database gave one; its message may hold an address. */
const classOf = (error: unknown): string => {
  const name = isTagged(error) ? error._tag : error instanceof Error ? error.name : typeof error
  return isAnswered(error) ? `${name} ${error.reason.cause.code}` : name
}

/**
 * Reports a failure that the parser has not, and returns the exit code.
 *
 * @category reporting
 * @since 0.1.0
 */
export const report = Effect.fnUntraced(function*(cause: Cause.Cause<unknown>) {
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  if (CliError.isCliError(error) && error._tag === "ShowHelp") return wrongUsage
  if (isTagged(error) && error._tag !== "SqlError") {
    yield* Console.error(`waybill: ${oneLine(error.message)}${hints[error._tag] ?? ""}`)
    return isWrongUsage(error) ? wrongUsage : 1
  }
  yield* Console.error(`waybill: failed unexpectedly: ${classOf(Cause.squash(cause))}`)
  return 1
})
