/** Times the same sweep in databases that hold ever more of something else. */
import { Reconciler } from "@waybill/runtime"
import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import { mkdir, writeFile } from "node:fs/promises"
import * as Fill from "./Fill.ts"
import * as Plot from "./Plot.ts"
import * as Rounds from "./Rounds.ts"
import * as Server from "./Server.ts"

export interface Grown {
  readonly size: number
  /** Seconds a sweep. */
  readonly figures: Rounds.Figures
}

/** Sweeps once in each database a round; the first round warms the connections and plans up and is not counted. */
export const sweeps = Effect.fnUntraced(function*<E, R>(options: {
  readonly sizes: ReadonlyArray<number>
  readonly linkable: number
  readonly rounds: number
  readonly fill: (size: number) => Effect.Effect<void, E, R | SqlClient.SqlClient>
}) {
  const names = yield* Effect.forEach(options.sizes, (size) =>
    Effect.gen(function*() {
      const name = yield* Server.database()
      yield* Server.inDatabase(name, Effect.andThen(options.fill(size), Fill.settle))
      return name
    }))
  const sweep = (name: string) => (round: number) =>
    Server.inDatabase(
      name,
      Effect.gen(function*() {
        yield* Fill.linkableQuickly({ from: 1 + round * options.linkable, count: options.linkable })
        const reconciler = yield* Reconciler.Reconciler
        yield* reconciler.sweep()
        yield* Fill.linkableQuickly({ from: 1_000_000_000 + round * options.linkable, count: options.linkable })
        const { result, seconds } = yield* Rounds.timed(reconciler.sweep())
        if (result.linked !== options.linkable) return yield* Effect.die(new Error(`linked ${result.linked}`))
        return seconds
      }).pipe(Effect.provide(Reconciler.layer)),
      { maxConnections: 2 }
    )
  const of = yield* Rounds.alternate(
    options.rounds + 1,
    Object.fromEntries(names.map((name) => [name, sweep(name)]))
  )
  return names.map((name, index): Grown => ({
    size: options.sizes[index] ?? 0,
    figures: Rounds.figures(of(name).slice(1))
  }))
})

/** Draws the medians and gives the name of the file. */
export const plot = Effect.fnUntraced(function*(
  name: string,
  title: string,
  label: string,
  grown: ReadonlyArray<Grown>
) {
  const file = `plots/${name}.svg`
  const points = grown.map(({ figures, size }) => ({ x: size, y: figures.median }))
  yield* Effect.promise(() => mkdir(new URL("../plots", import.meta.url), { recursive: true }))
  yield* Effect.promise(() =>
    writeFile(
      new URL(`../${file}`, import.meta.url),
      Plot.svg(title, { x: label, y: "seconds (median)" }, [{ name: "waybill", points }])
    )
  )
  return file
})
