/**
 * Streams the rows of a file of suppressions, each with its line, in CSV or in NDJSON.
 *
 * No more of the file is in memory than a piece of it. Where the file as a whole cannot be read on, the stream fails and names
 * the line.
 *
 * @since 0.2.0
 */
import type { Suppression, Suppressions, Timestamp } from "@waybill/core"
import { DateTime, Effect, FileSystem, Option, Result, Schema, Stream } from "effect"
import * as Csv from "effect/encoding/Csv"
import * as Rows from "./SuppressionRows.ts"

/**
 * The form of a file.
 *
 * @category models
 * @since 0.2.0
 */
export type Format = "csv" | "ndjson"

/**
 * A file cannot be imported as a whole; it names no value.
 *
 * @category errors
 * @since 0.2.0
 */
export class UnusableImport extends Schema.TaggedError<UnusableImport>("waybill/UnusableImport")("UnusableImport", {
  file: Schema.String,
  issue: Schema.String
}) {
  override get message(): string {
    return `cannot import ${this.file}: ${this.issue}`
  }
}

/**
 * A row, read or not, and the line that it begins at.
 *
 * @category models
 * @since 0.2.0
 */
export interface Row {
  readonly line: number
  readonly parsed: Result.Result<Suppressions.Addition, string>
}

/**
 * What to read.
 *
 * @category models
 * @since 0.2.0
 */
export interface Source {
  readonly file: string
  readonly format: Format
  /** The reason of all rows, whatever they say. */
  readonly reason: Option.Option<Suppression.Reason>
}

/** A row, or why the file cannot be read on from there. */
type Read = Result.Result<Row, UnusableImport>

/** The longest row, in characters. */
const maxRowLength = 65_536

type Cells = Readonly<Partial<Record<Rows.Column, string>>>

const issues: Readonly<Record<string, string>> = {
  NotFound: "no such file",
  PermissionDenied: "permission denied"
}

const bytesOf = (file: string): Stream.Stream<Uint8Array, UnusableImport, FileSystem.FileSystem> =>
  Stream.unwrap(FileSystem.FileSystem.useSync((files) => files.stream(file))).pipe(
    Stream.mapError(({ reason }) => new UnusableImport({ file, issue: issues[reason._tag] ?? "not a readable file" }))
  )

/** The lines that a row of cells takes up. */
const height = (cells: Csv.Row): number =>
  cells.reduce((lines, cell) => lines + (cell.match(/\r\n|\r|\n/g)?.length ?? 0), 1)

interface Sheet {
  readonly line: number
  /** The columns of the header, once it is read. */
  readonly columns: ReadonlyArray<Rows.Column | undefined> | undefined
}

const cellsOf = (columns: NonNullable<Sheet["columns"]>, row: Csv.Row): Cells => {
  const cells: Partial<Record<Rows.Column, string>> = {}
  for (const [index, column] of columns.entries()) {
    const cell = row[index]
    if (column !== undefined && cell !== undefined) cells[column] ??= Rows.unguard(cell)
  }
  return cells
}

const isEmpty = (row: Csv.Row): boolean => row.every((cell) => cell.trim() === "")

/** What is wrong with the header of a sheet, if anything is. */
const wrongHeader = (columns: NonNullable<Sheet["columns"]>, { reason }: Source): string | undefined => {
  if (!columns.includes("recipient")) return "its first line names no column recipient, email or address"
  if (!columns.includes("reason") && Option.isNone(reason)) return "it has no column reason: say --reason for all rows"
  return undefined
}

const isUnusable = Schema.is(UnusableImport)

const ofCsv = (source: Source, now: Timestamp.Timestamp): Stream.Stream<Row, UnusableImport, FileSystem.FileSystem> =>
  bytesOf(source.file).pipe(
    Stream.pipeThroughChannel(Csv.decode<UnusableImport>({ maxRecordSize: maxRowLength })),
    Stream.mapError((error) =>
      isUnusable(error)
        ? error
        : new UnusableImport({
          file: source.file,
          issue: error.kind === "RecordSize"
            ? `line ${error.line}: a row is longer than ${maxRowLength} characters`
            : `line ${error.line}: it is not CSV from here on`
        })
    ),
    Stream.mapAccum(
      (): Sheet => ({ line: 1, columns: undefined }),
      ({ columns, line }, row): readonly [Sheet, ReadonlyArray<Read>] => {
        const next = line + height(row)
        if (isEmpty(row)) return [{ line: next, columns }, []]
        if (columns === undefined) {
          const named = row.map(Rows.columnOf)
          const issue = wrongHeader(named, source)
          const wrong = issue === undefined
            ? []
            : [Result.fail(new UnusableImport({ file: source.file, issue }))]
          return [{ line: next, columns: named }, wrong]
        }
        const parsed = row.length > columns.length
          ? Result.fail("it has more cells than the first line")
          : Rows.parse(cellsOf(columns, row), source.reason, now)
        return [{ line: next, columns }, [Result.succeed({ line, parsed })]]
      }
    ),
    Stream.mapEffect(Effect.fromResult)
  )

/** The line that is read, and what of it came so far. */
interface Begun {
  readonly line: number
  readonly rest: string
}

/** A piece of text, cut at its line breaks; the last part goes on in the next piece. */
const cut = (rest: string, piece: string) => {
  const lines = (rest + piece).split("\n")
  return { rest: lines.pop() ?? "", lines }
}

const decode = Schema.decodeOption(Schema.fromJsonString(Schema.Record(Schema.String, Schema.Json)))

const textOf = (value: Schema.Json): string | undefined => {
  if (typeof value === "string") return value
  return typeof value === "number" ? String(value) : undefined
}

const parseLine = (text: string, { reason }: Source, now: Timestamp.Timestamp): Row["parsed"] => {
  const object = decode(text)
  if (Option.isNone(object)) return Result.fail("it is not a JSON object")
  const cells: Partial<Record<Rows.Column, string>> = {}
  for (const [name, value] of Object.entries(object.value)) {
    const column = Rows.columnOf(name)
    const cell = textOf(value)
    if (column === undefined || value === null) continue
    if (cell === undefined) return Result.fail(`${column}: must be a text`)
    cells[column] ??= cell
  }
  return Rows.parse(cells, reason, now)
}

const ofNdjson = (
  source: Source,
  now: Timestamp.Timestamp
): Stream.Stream<Row, UnusableImport, FileSystem.FileSystem> => {
  const row = (line: number, text: string): ReadonlyArray<Read> =>
    text.trim() === "" ? [] : [Result.succeed({ line, parsed: parseLine(text, source, now) })]
  return bytesOf(source.file).pipe(
    Stream.decodeText,
    Stream.mapAccum(
      (): Begun => ({ line: 1, rest: "" }),
      (state, piece): readonly [Begun, ReadonlyArray<Read>] => {
        const { lines, rest } = cut(state.rest, piece)
        const rows = lines.flatMap((text, index) => row(state.line + index, text))
        const line = state.line + lines.length
        const tooLong = rest.length > maxRowLength
          ? [
            Result.fail(
              new UnusableImport({
                file: source.file,
                issue: `line ${line}: a row is longer than ${maxRowLength} characters`
              })
            )
          ]
          : []
        return [{ line, rest: tooLong.length > 0 ? "" : rest }, [...rows, ...tooLong]]
      },
      { onHalt: ({ line, rest }) => row(line, rest) }
    ),
    Stream.mapEffect(Effect.fromResult)
  )
}

/**
 * The rows of a file, in their order.
 *
 * @category reading
 * @since 0.2.0
 */
export const rows = (source: Source): Stream.Stream<Row, UnusableImport, FileSystem.FileSystem> =>
  Stream.unwrap(Effect.map(DateTime.now, (now) => source.format === "csv" ? ofCsv(source, now) : ofNdjson(source, now)))

/**
 * Writes suppressions as a file, those left out whose address is forgotten.
 *
 * @category rendering
 * @since 0.2.0
 */
export const encode = <E, R>(
  suppressions: Stream.Stream<Suppression.Suppression, E, R>,
  format: Format
): Stream.Stream<string, E, R> => {
  const rendered = suppressions.pipe(
    Stream.flatMap((suppression) => Stream.fromIterable(Option.toArray(Rows.render(suppression))))
  )
  if (format === "ndjson") return Stream.map(rendered, (row) => `${JSON.stringify(row)}\n`)
  const lines = Stream.map(
    rendered,
    (row) => Rows.columns.map((column) => Rows.guard(row[column] ?? ""))
  )
  return Stream.concat(Stream.succeed<ReadonlyArray<string>>(Rows.columns), lines).pipe(
    Stream.pipeThroughChannel(Csv.encodeString<E>({ newline: "\n" }))
  )
}
