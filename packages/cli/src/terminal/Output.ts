/**
 * Writes the answer of a command: one JSON document, or text for people.
 *
 * @since 0.1.0
 */
import { Console, DateTime, Duration, Effect, Option, type Schema } from "effect"
import { stdout } from "node:process"

/** What moves a terminal's cursor, colours it or turns the direction of writing, breaks lines, or cannot be seen. */
const unseen = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]+/gu

/** A value within a line: the words of others break none. */
const cellOf = (text: string): string => text.replaceAll(unseen, " ")

/**
 * The words of others as lines that cannot do anything to a terminal: what is not seen is written as its code.
 *
 * @category rendering
 * @since 0.2.0
 */
export const lines = (text: string): string =>
  text.replaceAll("\r\n", "\n").replaceAll(
    /(?![\n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu,
    (sign) => `\\u{${(sign.codePointAt(0) ?? 0).toString(16)}}`
  )

/**
 * A line of cells.
 *
 * @category models
 * @since 0.1.0
 */
export type Row = ReadonlyArray<string>

/**
 * Lays rows out in columns under their headings; without rows, returns `empty` alone.
 *
 * @category rendering
 * @since 0.1.0
 */
export const table = (headings: Row, rows: ReadonlyArray<Row>, empty: string): string => {
  if (rows.length === 0) return empty
  const lines = [headings.map((heading) => heading.toUpperCase()), ...rows.map((row) => row.map(cellOf))]
  const widths = headings.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? "").length)))
  return lines
    .map((line) => line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd())
    .join("\n")
}

/**
 * Lays named values out, one a line.
 *
 * @category rendering
 * @since 0.1.0
 */
export const fields = (entries: Iterable<readonly [name: string, value: string]>): string => {
  const all = [...entries]
  const width = Math.max(...all.map(([name]) => name.length))
  return all.map(([name, value]) => `${name.padEnd(width)}  ${cellOf(value)}`.trimEnd()).join("\n")
}

/**
 * The words of others as one line that cannot do anything to a terminal, cut to so many columns.
 *
 * @category rendering
 * @since 0.2.0
 */
export const line = (text: string, columns: Option.Option<number> = Option.none()): string => {
  const letters = Array.from(cellOf(text).trim())
  const most = Math.max(Option.getOrElse(columns, () => letters.length), 1)
  return letters.length <= most ? letters.join("") : `${letters.slice(0, most - 1).join("")}\u2026`
}

/**
 * The width of the terminal that standard output is; none where it is another thing.
 *
 * @category getters
 * @since 0.2.0
 */
export const columns: Effect.Effect<Option.Option<number>> = Effect.sync(() =>
  stdout.isTTY ? Option.some(stdout.columns) : Option.none()
)

/**
 * The age of what began at an instant; zero if that lies ahead, as where clocks differ.
 *
 * @category getters
 * @since 0.2.0
 */
export const ageAt = (now: DateTime.Utc, then: DateTime.Utc): Duration.Duration =>
  Duration.max(Duration.zero, DateTime.distance(then, now))

/**
 * Writes an age in its largest unit alone: `3m`, `2h`, `9d`.
 *
 * @category rendering
 * @since 0.1.0
 */
export const age = (duration: Duration.Duration): string => {
  const seconds = Math.floor(Duration.toSeconds(duration))
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`
  return seconds < 86_400 ? `${Math.floor(seconds / 3600)}h` : `${Math.floor(seconds / 86_400)}d`
}

const bars = Array.from("\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588")

/**
 * Draws counts as bars beside each other, at most thirty: of more, some are added up to one.
 *
 * @category rendering
 * @since 0.2.0
 */
export const sparkline = (counts: ReadonlyArray<number>): string => {
  const each = Math.max(1, Math.ceil(counts.length / 30))
  const sums = Array.from(
    { length: Math.ceil(counts.length / each) },
    (_, bar) => counts.slice(bar * each, (bar + 1) * each).reduce((sum, count) => sum + count, 0)
  )
  const most = Math.max(...sums, 1)
  return sums.map((sum) => sum === 0 ? " " : bars[Math.ceil(sum / most * bars.length) - 1]).join("")
}

/**
 * Writes a time in ISO 8601; null if there is none.
 *
 * @category rendering
 * @since 0.2.0
 */
export const time = (instant: Option.Option<DateTime.Utc>): string | null =>
  Option.getOrNull(Option.map(instant, DateTime.formatIso))

/**
 * Writes a document to standard output as JSON, or else the text, which cannot do anything to a terminal.
 *
 * @category writing
 * @since 0.1.0
 */
export const write = (json: boolean, document: Schema.Json, text: () => string): Effect.Effect<void> =>
  Console.log(json ? JSON.stringify(document) : lines(text()))
