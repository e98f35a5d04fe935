/** Orphans that never match cost a sweep nothing. */
import { Effect } from "effect"
import type { Bench } from "../harness/Bench.ts"
import * as Fill from "../harness/Fill.ts"
import * as Growth from "../harness/Growth.ts"
import * as Report from "../harness/Report.ts"

export const bench: Bench = {
  name: "sweep-junk",
  sizes: { linkable: 1_000, some: 100_000, many: 1_000_000, rounds: 7 },
  run: Effect.fnUntraced(function*(size) {
    const linkable = size("linkable")
    const sizes = [0, size("some"), size("many")]
    const figures = yield* Growth.sweeps({
      sizes,
      linkable,
      rounds: size("rounds"),
      fill: (count) => count === 0 ? Effect.void : Fill.inBulk(Fill.junk({ from: 1, count }))
    })
    const [none, ...larger] = figures
    if (none === undefined) return yield* Effect.die("no sizes")
    return {
      name: "sweep-junk",
      summary:
        `${linkable} linkable orphans among ${sizes.map(Report.figure).join(", ")} pending ones whose delivery ` +
        "never comes, each in a database of its own on the same server; the time of a sweep, from the second one on.",
      rows: figures.map(({ figures, size }) => Report.row(`${Report.figure(size)} that never match`, "s", figures)),
      ratios: larger.map(({ figures, size }) =>
        Report.atMost(`sweep-junk/${size}-to-none`, figures.median / none.figures.median, 1.3)
      ),
      notes: [],
      plots: [
        yield* Growth.plot(
          "sweep-junk",
          `A sweep of ${Report.figure(linkable)} linkable orphans`,
          "pending orphans that never match",
          figures
        )
      ]
    }
  })
}
