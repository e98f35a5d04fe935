/** What a benchmark measured, and how it is shown and kept. */
import { Schema } from "effect"
import { cpus, totalmem } from "node:os"
import { version } from "node:process"
import type { Figures } from "./Rounds.ts"

const Row = Schema.Struct({
  /** Which side, or which size. */
  side: Schema.String,
  unit: Schema.String,
  median: Schema.Number,
  lowest: Schema.Number,
  highest: Schema.Number,
  rounds: Schema.Array(Schema.Number)
})

const Ratio = Schema.Struct({
  name: Schema.String,
  ratio: Schema.Number,
  /** A target such as `>= 0.85` or `<= 1.15`; `-` where there is none. */
  target: Schema.String,
  verdict: Schema.Literals(["ok", "missed", "-"])
})

export const Report = Schema.Struct({
  name: Schema.String,
  /** What was run, with its sizes. */
  summary: Schema.String,
  rows: Schema.Array(Row),
  ratios: Schema.Array(Ratio),
  notes: Schema.Array(Schema.String),
  /** The files of the plots. */
  plots: Schema.Array(Schema.String)
})

export type Report = typeof Report.Type
export type Row = typeof Row.Type
export type Ratio = typeof Ratio.Type

const Machine = Schema.Struct({
  cpu: Schema.String,
  cores: Schema.Int,
  memory: Schema.String,
  node: Schema.String,
  postgres: Schema.String
})

export type Machine = typeof Machine.Type

export const machine = (postgres: string): Machine => ({
  cpu: cpus()[0]?.model.trim() ?? "unknown",
  cores: cpus().length,
  memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
  node: version,
  postgres
})

export const Results = Schema.Struct({
  benches: Schema.Array(Schema.Struct({ ...Report.fields, measuredAt: Schema.String, machine: Machine }))
})

export type Results = typeof Results.Type

export const row = (side: string, unit: string, of: Figures): Row => ({ side, unit, ...of })

export const atLeast = (name: string, ratio: number, target: number): Ratio => ({
  name,
  ratio,
  target: `>= ${target}`,
  verdict: ratio >= target ? "ok" : "missed"
})

export const atMost = (name: string, ratio: number, target: number): Ratio => ({
  name,
  ratio,
  target: `<= ${target}`,
  verdict: ratio <= target ? "ok" : "missed"
})

export const figure = (value: number): string => {
  if (!Number.isFinite(value)) return String(value)
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en-US").replaceAll(",", " ")
  return Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2)
}

const spread = (row: Row): string => `${figure(row.lowest)} – ${figure(row.highest)}`

/** Lines of cells as a table in fixed width. */
const aligned = (lines: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map((line) => (line[column] ?? "").length)))
  return lines.map((line) =>
    line.map((cell, column) => column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)).join(
      "  "
    )
  ).join("\n")
}

export const table = (report: Report): string =>
  aligned([
    ["side", "median", "unit", "lowest – highest", "rounds"],
    ...report.rows.map((row) => [row.side, figure(row.median), row.unit, spread(row), String(row.rounds.length)])
  ])

export const ratioLine = (ratio: Ratio): string =>
  `${ratio.name} ${ratio.ratio.toFixed(2)} ${ratio.target.replaceAll(" ", "")} ${ratio.verdict}`

const grid = (head: ReadonlyArray<string>, lines: ReadonlyArray<ReadonlyArray<string>>): string =>
  [head, head.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n")

export const markdown = (results: Results): string => {
  const sections = results.benches.map((bench) =>
    [
      `## ${bench.name}`,
      bench.summary,
      grid(
        ["side", "median", "unit", "lowest – highest", "rounds"],
        bench.rows.map((row) => [row.side, figure(row.median), row.unit, spread(row), String(row.rounds.length)])
      ),
      ...bench.ratios.length === 0 ? [] : [grid(
        ["ratio", "measured", "to reach", ""],
        bench.ratios.map((ratio) => [ratio.name, ratio.ratio.toFixed(2), ratio.target, ratio.verdict])
      )],
      ...bench.plots.map((plot) => `![${bench.name}](${plot})`),
      ...bench.notes.length === 0 ? [] : [bench.notes.map((note) => `- ${note}`).join("\n")],
      `Measured ${bench.measuredAt} on ${bench.machine.cpu}, ${bench.machine.cores} cores, ${bench.machine.memory}, Node ${bench.machine.node}, PostgreSQL ${bench.machine.postgres}.`
    ].join("\n\n")
  )
  return [
    "# Results",
    "Written by `npm run bench`; do not edit. What was learned stands in [README.md](README.md).",
    grid(
      ["ratio", "measured", "to reach", ""],
      results.benches.flatMap(({ ratios }) =>
        ratios.map((ratio) => [ratio.name, ratio.ratio.toFixed(2), ratio.target, ratio.verdict])
      )
    ),
    ...sections
  ].join("\n\n") + "\n"
}
