/** A sweep after an outage: orphans whose deliveries another program has written. */
import { Reconciler } from "@waybill/runtime"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import * as OnePerOrphan from "../baselines/OnePerOrphan.ts"
import * as StatementChain from "../baselines/StatementChain.ts"
import type { Bench } from "../harness/Bench.ts"
import * as Fill from "../harness/Fill.ts"
import * as Report from "../harness/Report.ts"
import * as Rounds from "../harness/Rounds.ts"
import * as Server from "../harness/Server.ts"

const ours = Effect.gen(function*() {
  const reconciler = yield* Reconciler.Reconciler
  return (yield* reconciler.sweep()).linked
}).pipe(Effect.provide(Reconciler.layer))

/** What is left as it should be: every orphan linked and every delivery moved by it. */
const linkedDeliveries = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ readonly count: number }>`
    SELECT count(*)::integer AS count FROM waybill.events link
    JOIN waybill.deliveries d ON d.tenant_id = link.tenant_id AND d.id = link.delivery_id
    WHERE link.type = 'reconciled' AND d.status = 'sent' AND d.terminal AND d.last_event_id = link.source_event_id
  `
  return row?.count ?? 0
})

export const bench: Bench = {
  name: "sweep",
  sizes: { orphans: 100_000, sample: 2_000, rounds: 3 },
  run: Effect.fnUntraced(function*(size) {
    const orphans = size("orphans")
    const sample = Math.min(size("sample"), orphans)
    const template = yield* Server.database()
    yield* Server.inDatabase(template, Effect.andThen(Fill.linkable({ from: 1, count: orphans }), Fill.settle))

    /** Runs a side in a copy of the filled database and gives its links a second. */
    const side = <E, R>(expected: number, sweep: Effect.Effect<number, E, R>) => () =>
      Effect.scoped(Effect.gen(function*() {
        const name = yield* Server.database(template)
        return yield* Server.inDatabase(
          name,
          Effect.gen(function*() {
            const { result, seconds } = yield* Rounds.timed(sweep)
            const written = yield* linkedDeliveries
            if (result !== expected || written !== expected) {
              return yield* Effect.die(new Error(`linked ${result}, wrote ${written}, expected ${expected}`))
            }
            return result / seconds
          })
        )
      }))

    const of = yield* Rounds.alternate(size("rounds"), {
      ours: side(orphans, ours),
      chain: side(orphans, StatementChain.sweep),
      onePerOrphan: side(sample, OnePerOrphan.sweep(sample))
    })
    const [waybill, chain, onePerOrphan] = [of("ours"), of("chain"), of("onePerOrphan")].map(Rounds.figures)
    if (waybill === undefined || chain === undefined || onePerOrphan === undefined) {
      return yield* Effect.die("no rounds")
    }
    return {
      name: "sweep",
      summary:
        `${orphans} linkable orphans, each of a delivery of its own, swept by \`Reconciler.sweep\`; one transaction ` +
        `an orphan on the ${sample} oldest of them; the same work as one SQL statement. Each round in a fresh copy of the ` +
        "same database.",
      rows: [
        Report.row("waybill", "links/s", waybill),
        Report.row("one SQL statement chain", "links/s", chain),
        Report.row("one transaction an orphan", "links/s", onePerOrphan)
      ],
      ratios: [
        Report.atLeast("sweep/one-transaction-per-orphan", waybill.median / onePerOrphan.median, 40),
        Report.atLeast("sweep/statement-chain", waybill.median / chain.median, 0.85)
      ],
      notes: [],
      plots: []
    }
  })
}
