/** A sweep costs what is pending, not what the ledger holds. */
import { Effect } from "effect"
import type { Bench } from "../harness/Bench.ts"
import * as Fill from "../harness/Fill.ts"
import * as Growth from "../harness/Growth.ts"
import * as Report from "../harness/Report.ts"

export const bench: Bench = {
  name: "sweep-growth",
  sizes: { linkable: 10_000, small: 100_000, medium: 1_000_000, large: 5_000_000, rounds: 5 },
  run: Effect.fnUntraced(function*(size) {
    const linkable = size("linkable")
    const sizes = [size("small"), size("medium"), size("large")]
    const figures = yield* Growth.sweeps({
      sizes,
      linkable,
      rounds: size("rounds"),
      fill: (count) => Fill.inBulk(Fill.others({ from: 1, count }))
    })
    const [smallest, ...larger] = figures
    if (smallest === undefined) return yield* Effect.die("no sizes")
    return {
      name: "sweep-growth",
      summary: `${linkable} linkable orphans in ledgers of ${sizes.map(Report.figure).join(", ")} events of other ` +
        "deliveries, each in a database of its own on the same server; the time of a sweep.",
      rows: figures.map(({ figures, size }) => Report.row(`${Report.figure(size)} other events`, "s", figures)),
      ratios: larger.map(({ figures, size }) =>
        Report.atMost(
          `sweep-growth/${size}-to-${smallest.size}`,
          figures.median / smallest.figures.median,
          1.15
        )
      ),
      notes: [],
      plots: [
        yield* Growth.plot(
          "sweep-growth",
          `A sweep of ${Report.figure(linkable)} linkable orphans`,
          "other events",
          figures
        )
      ]
    }
  })
}
