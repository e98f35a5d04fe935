/**
 * Imports suppressions from a file in two readings: the first checks all rows, the second writes them, a thousand at a time.
 *
 * So nothing is written where any row is bad, unless those are to be left out, and no more than a thousand rows are in memory.
 * Importing again changes nothing.
 *
 * @since 0.2.0
 */
import { type Suppression, Suppressions, type Tenant } from "@waybill/core"
import { Console, Effect, FileSystem, type Option, Result, Schema, Stream } from "effect"
import { stderr } from "node:process"
import * as SuppressionFile from "./SuppressionFile.ts"

/**
 * Rows of a file are bad, so that none was imported.
 *
 * @category errors
 * @since 0.2.0
 */
export class BadRows extends Schema.TaggedError<BadRows>("waybill/BadRows")("BadRows", { bad: Schema.Int }) {
  override get message(): string {
    return `${this.bad} bad rows, nothing was imported; mend them, or leave them out with --skip-bad`
  }
}

/**
 * What to import, and how.
 *
 * @category models
 * @since 0.2.0
 */
export interface Options {
  readonly file: string
  readonly format: SuppressionFile.Format
  /** The reason of all rows, whatever they say. */
  readonly reason: Option.Option<Suppression.Reason>
  readonly dryRun: boolean
  readonly skipBad: boolean
  readonly because: Option.Option<string>
  readonly actor: string
  readonly tenantId: Tenant.TenantId
}

/**
 * What an import did.
 *
 * @category models
 * @since 0.2.0
 */
export interface Imported {
  readonly dryRun: boolean
  /** Whether it came to writing. */
  readonly isApplied: boolean
  /** How many rows can be read. */
  readonly good: number
  /** How many suppress somebody now, did already, or say nothing of today; of a dry run, how many would. */
  readonly added: number
  readonly held: number
  readonly lapsed: number
  /** How many rows cannot be read. */
  readonly badRows: number
  /** The first of them; standard error has all. */
  readonly bad: ReadonlyArray<{ readonly line: number; readonly issue: string }>
}

/** How many bad rows the answer names. */
const named = 1000

/** Rewrites one line on a terminal; a file or a pipe gets none. */
const show = (text: string) =>
  Effect.sync(() => {
    if (stderr.isTTY) stderr.write(`\r\u001b[K${text}`)
  })

const checked = Effect.fnUntraced(function*(options: Options) {
  const bad: Array<{ readonly line: number; readonly issue: string }> = []
  let [good, badRows] = [0, 0]
  yield* SuppressionFile.rows(options).pipe(Stream.runForEach(({ line, parsed }) => {
    if (Result.isSuccess(parsed)) {
      good++
      return good % 10_000 === 0 ? show(`${good} rows checked`) : Effect.void
    }
    badRows++
    const issue = parsed.failure
    if (bad.length < named) bad.push({ line, issue })
    return Effect.andThen(show(""), Console.error(`waybill: line ${line}: ${issue}`))
  }))
  yield* show("")
  return { good, badRows, bad }
})

/** Writes the good rows, or tells what that would do; a dry run knows of no addition of a thousand rows before. */
const written = Effect.fnUntraced(function*(options: Options, { badRows, good }: Pick<Imported, "badRows" | "good">) {
  const { actor, because, dryRun, file, tenantId } = options
  let bad = 0
  const suppressions = yield* Suppressions.Suppressions
  const counts = { Added: 0, Held: 0, Lapsed: 0 }
  yield* SuppressionFile.rows(options).pipe(
    Stream.flatMap(({ parsed }) => {
      if (Result.isSuccess(parsed)) return Stream.succeed(parsed.success)
      bad++
      return Stream.empty
    }),
    Stream.grouped(Suppressions.maxRecipients),
    Stream.runForEach(Effect.fnUntraced(function*(additions) {
      for (const outcome of yield* suppressions.add({ tenantId, additions, actor, because, dryRun })) counts[outcome]++
      yield* show(`${counts.Added + counts.Held + counts.Lapsed} of ${good} rows ${dryRun ? "compared" : "imported"}`)
    }))
  )
  yield* show("")
  const read = counts.Added + counts.Held + counts.Lapsed
  if (bad !== badRows || read !== good) {
    return yield* new SuppressionFile.UnusableImport({ file, issue: "it changed while it was read; import it again" })
  }
  return { added: counts.Added, held: counts.Held, lapsed: counts.Lapsed }
})

/**
 * Imports a file.
 *
 * @category running
 * @since 0.2.0
 */
export const run = Effect.fnUntraced(function*(options: Options) {
  const { dryRun, file, skipBad } = options
  const found = yield* FileSystem.FileSystem.use((files) => Effect.option(files.stat(file)))
  if (found._tag === "Some" && found.value.type !== "File") {
    return yield* new SuppressionFile.UnusableImport({ file, issue: "it is read twice, so that it has to be a file" })
  }
  const read = yield* checked(options)
  const isGood = skipBad || read.badRows === 0
  const isApplied = !dryRun && isGood
  const counts = isGood ? yield* written(options, read) : { added: 0, held: 0, lapsed: 0 }
  const imported: Imported = { dryRun, isApplied, ...read, ...counts }
  return imported
})
