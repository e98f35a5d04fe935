/**
 * Brings lists of suppressions in from files, and out.
 *
 * @since 0.2.0
 */
import { Delivery } from "@waybill/core"
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as Store from "../../store/Store.ts"
import * as Output from "../../terminal/Output.ts"
import * as Parameters from "../../terminal/Parameters.ts"
import * as Suppressed from "./Suppressed.ts"

const formats = ["csv", "ndjson"] as const

/**
 * `waybill suppressions import`
 *
 * @category commands
 * @since 0.2.0
 */
export const importFile = Command.make(
  "import",
  {
    file: Argument.String("file").pipe(
      Argument.withDescription("CSV with a line of columns, or NDJSON: recipient, reason, stream, since")
    ),
    format: Flag.Literals("format", formats).pipe(
      Flag.withDescription("The form of the file (default: by its name, or else csv)"),
      Flag.optional
    ),
    reason: Suppressed.reason("The reason of all rows, whatever they say").pipe(Flag.optional),
    dryRun: Flag.Boolean("dry-run").pipe(
      Flag.withDescription("Check the file, say what would change, and write nothing"),
      Flag.withDefault(false)
    ),
    skipBad: Flag.Boolean("skip-bad").pipe(
      Flag.withDescription("Import the good rows although others are bad"),
      Flag.withDefault(false)
    ),
    because: Suppressed.because,
    actor: Suppressed.actor,
    tenantId: Parameters.tenantId,
    json: Parameters.json
  },
  Effect.fnUntraced(function*({ format, json, ...given }) {
    const Import = yield* Effect.promise(() => import("../../work/suppressions/SuppressionImport.ts"))
    const guessed = /\.(?:ndjson|jsonl)$/i.test(given.file) ? "ndjson" : "csv"
    const imported = yield* Import.run({ ...given, format: Option.getOrElse(format, () => guessed) })
    const { added, bad, badRows, dryRun, good, held, isApplied, lapsed } = imported
    yield* Output.write(json, { dryRun, applied: isApplied, good, added, held, lapsed, badRows, bad }, () => {
      const rows = `${good} good rows, ${badRows} bad ones; nothing was written`
      if (!isApplied && badRows > 0 && !given.skipBad) return rows
      if (dryRun) {
        return `${rows}\n${added} would be suppressed, ${held} are already, ${lapsed} were lifted later or have ended`
      }
      return `${added} suppressed, ${held} were suppressed already, ${lapsed} were lifted later or have ended, ` +
        `${badRows} bad rows left out`
    })
    if (badRows > 0 && !given.skipBad) yield* new Import.BadRows({ bad: badRows })
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription(
    "Suppress the addresses of a file; where rows are bad, each is named by its line and nothing is written"
  ),
  Command.withExamples([
    { command: "waybill suppressions import list.csv --dry-run", description: "Check it first" },
    {
      command: "waybill suppressions import bounces.csv --reason bounced --because \"from the provider before\"",
      description: "A provider's list, with columns such as email and created_at; again, it changes nothing"
    },
    { command: "waybill suppressions import list.ndjson --skip-bad --json", description: "What can be read of it" }
  ])
)

/**
 * `waybill suppressions export`
 *
 * @category commands
 * @since 0.2.0
 */
export const exportFile = Command.make(
  "export",
  {
    format: Flag.Literals("format", formats).pipe(
      Flag.withDescription("The form of the file (default: csv)"),
      Flag.withDefault("csv" as const)
    ),
    reason: Suppressed.reason("Only those of this reason").pipe(Flag.optional),
    stream: Flag.Literals("stream", Delivery.Stream.literals).pipe(
      Flag.withDescription("Only what keeps mail of this kind from somebody"),
      Flag.optional
    ),
    json: Flag.Boolean("json").pipe(Flag.withDescription("The same as --format ndjson"), Flag.withDefault(false)),
    tenantId: Parameters.tenantId
  },
  Effect.fnUntraced(function*({ format, json, ...query }) {
    const Export = yield* Effect.promise(() => import("../../work/suppressions/SuppressionExport.ts"))
    yield* Export.run(query, json ? "ndjson" : format)
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription("Write all suppressions whose addresses are not forgotten to standard output, for import"),
  Command.withExamples([
    {
      command: "waybill suppressions export > suppressions.csv",
      description: "For a spreadsheet, or another provider"
    },
    { command: "waybill suppressions export --format ndjson --reason complained", description: "For a script" }
  ])
)
