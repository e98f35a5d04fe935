/**
 * Measures Waybill beside its peers, each pair in one run on the same server, and keeps what was measured.
 *
 * Usage: npm run bench -- [NAME ...] [--rounds N] [--orphans N] ...
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, DateTime, Effect, Schema } from "effect"
import { readFile, writeFile } from "node:fs/promises"
import { argv } from "node:process"
import type { Bench } from "./harness/Bench.ts"
import * as Report from "./harness/Report.ts"
import * as Server from "./harness/Server.ts"

const benches: Readonly<Record<string, () => Promise<{ readonly bench: Bench }>>> = {
  sweep: () => import("./benches/Sweep.ts"),
  "sweep-growth": () => import("./benches/SweepGrowth.ts"),
  "sweep-junk": () => import("./benches/SweepJunk.ts"),
  append: () => import("./benches/Append.ts"),
  details: () => import("./benches/Details.ts"),
  suppressions: () => import("./benches/Suppressions.ts"),
  ingest: () => import("./benches/Ingest.ts"),
  api: () => import("./benches/Api.ts"),
  "time-to-link": () => import("./benches/TimeToLink.ts"),
  fold: () => import("./benches/Fold.ts"),
  memory: () => import("./benches/Memory.ts"),
  start: () => import("./benches/Start.ts"),
  embedded: () => import("./benches/Embedded.ts"),
  search: () => import("./benches/Search.ts"),
  figures: () => import("./benches/Figures.ts")
}

const usage = `benchmarks: ${Object.keys(benches).join(", ")}; a size is given as --name number`

/** The names and the sizes of the command line. */
const given = () => {
  const names: Array<string> = []
  const sizes = new Map<string, number>()
  const rest = argv.slice(2)
  for (let next = rest.shift(); next !== undefined; next = rest.shift()) {
    if (next.startsWith("--")) {
      const [name = "", value = rest.shift()] = next.slice(2).split("=")
      const size = Number(value)
      if (!Number.isInteger(size) || size < 0) throw new Error(`--${name} needs a whole number; ${usage}`)
      sizes.set(name, size)
    } else if (next in benches) names.push(next)
    else throw new Error(`there is no ${next}; ${usage}`)
  }
  return { names: names.length === 0 ? Object.keys(benches) : names, sizes }
}

const file = (name: string) => new URL(name, import.meta.url)

const decodeResults = Schema.decodeUnknownEffect(Schema.fromJsonString(Report.Results))

const known = Effect.promise(() => readFile(file("results.json"), "utf8")).pipe(
  Effect.flatMap(decodeResults),
  Effect.catchCause(() => Effect.succeed<Report.Results>({ benches: [] }))
)

/** Keeps a report in the place of the one of the same name. */
const keep = Effect.fnUntraced(function*(report: Report.Report, machine: Report.Machine) {
  const { benches: before } = yield* known
  const measuredAt = DateTime.formatIso(yield* DateTime.now).slice(0, 10)
  const order = Object.keys(benches)
  const results: Report.Results = {
    benches: [...before.filter(({ name }) => name !== report.name), { ...report, measuredAt, machine }]
      .toSorted((left, right) => order.indexOf(left.name) - order.indexOf(right.name))
  }
  yield* Effect.promise(() => writeFile(file("results.json"), `${JSON.stringify(results, null, 2)}\n`))
  yield* Effect.promise(() => writeFile(file("RESULTS.md"), Report.markdown(results)))
})

const main = Effect.gen(function*() {
  const { names, sizes } = yield* Effect.sync(given)
  const loaded = yield* Effect.forEach(names, (name) => Effect.promise(async () => (await benches[name]?.())?.bench))
  const chosen = loaded.flatMap((bench) => bench === undefined ? [] : [bench])
  const ratios: Array<Report.Ratio> = []
  for (const bench of chosen) {
    yield* Effect.gen(function*() {
      const { version } = yield* Server.Server
      const began = performance.now()
      const report = yield* bench.run((name) => sizes.get(name) ?? bench.sizes[name] ?? 0)
      const machine = Report.machine(version)
      yield* keep(report, machine)
      ratios.push(...report.ratios)
      yield* Console.log(
        [
          `\n${report.name} (${Math.round((performance.now() - began) / 1000)} s): ${report.summary}`,
          Report.table(report),
          ...report.notes,
          ""
        ].join("\n")
      )
    }).pipe(Effect.scoped, Effect.provide(Server.layer, { local: true }))
  }
  yield* Console.log(ratios.map(Report.ratioLine).join("\n"))
})

NodeRuntime.runMain(main)
