/**
 * What suppressions cost: `record`, which asks for them, appends of what causes them, and the links of orphans that cause none,
 * each beside the same ledger without the trigger and with nothing to ask.
 */
import { Delivery, type Event, Ledger, Orphans, Recipient, Tenant } from "@waybill/core"
import { DateTime, Effect, Option } from "effect"
import { SqlClient } from "effect/sql"
import type { Bench } from "../harness/Bench.ts"
import * as Fill from "../harness/Fill.ts"
import * as Given from "../harness/Given.ts"
import * as Report from "../harness/Report.ts"
import * as Rounds from "../harness/Rounds.ts"
import * as Server from "../harness/Server.ts"

type Services = Ledger.Ledger | Orphans.Orphans | SqlClient.SqlClient

const prefix = "a-"

const tenantId = Tenant.defaultTenantId

/** Suppressions of other addresses, as a ledger in use has them. */
const fill = (count: number) =>
  Server.patiently(Effect.flatMap(SqlClient.SqlClient, (sql) =>
    sql`
      INSERT INTO waybill.suppressions (tenant_id, recipient_digest, id, reason, lifts, happened_at, rank, by_hand)
      SELECT 'default', sha256(('other-' || n)::bytea), gen_random_uuid(), 'bounced', false, now(), 98, true
      FROM generate_series(1, ${count}::integer) n
    `))

/** Takes the trigger away, and puts an empty view in the place of the table, of which the planner asks nothing. */
const without = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Effect.forEach([
    "DROP TRIGGER events_tell_suppressions ON waybill.events",
    "ALTER TABLE waybill.suppressions RENAME TO suppressions_kept",
    "CREATE VIEW waybill.suppressions AS SELECT * FROM waybill.suppressions_kept WHERE false"
  ], (text) =>
    sql.unsafe(text), { discard: true }))

const record = (count: number, callers: number, round: number) =>
  Effect.gen(function*() {
    const ledger = yield* Ledger.Ledger
    const given = Array.from({ length: count }, (_, index) =>
      Delivery.NewDelivery.make({
        tenantId,
        recipient: Recipient.Recipient.make(`new-${round}-${index}@example.com`),
        mailable: "welcome",
        stream: "transactional"
      }))
    const { seconds } = yield* Rounds.timedAlone(
      Effect.forEach(given, (each) => ledger.record(each), { concurrency: callers, discard: true })
    )
    return count / seconds
  })

/** Appends a complaint or a hard bounce of each delivery. */
const append = (count: number, batch: number, round: number) =>
  Effect.gen(function*() {
    const ledger = yield* Ledger.Ledger
    const events = Given.events(prefix, round, 1, count).map((given, index): Event.NewEvent =>
      Object.assign(
        Given.newEvent(given),
        index % 2 === 0 ? { type: "complained" } : { type: "bounced", bounceClass: Option.some("hard") }
      )
    )
    const { seconds } = yield* Rounds.timedAlone(
      Effect.forEach(Given.chunks(events, batch), (each) => ledger.append(tenantId, each), { discard: true })
    )
    return count / seconds
  })

/** Links orphans of deliveries of their own, a thousand by one transaction, none of which causes anything. */
const link = (count: number, round: number) =>
  Effect.gen(function*() {
    const orphans = yield* Orphans.Orphans
    yield* Fill.linkableQuickly({ from: 1 + round * count, count })
    const now = yield* DateTime.now
    const query = {
      scope: tenantId,
      limit: 1000,
      insertedFrom: DateTime.subtract(now, { days: 7 }),
      insertedTo: now
    } as const
    const { result, seconds } = yield* Rounds.timedAlone(Effect.gen(function*() {
      let linked = 0
      for (let scanned = 1; scanned > 0;) {
        const page = yield* orphans.link(query)
        linked += page.links.length
        scanned = page.scanned
      }
      return linked
    }))
    if (result !== count) yield* Effect.die(new Error(`linked ${result} of ${count}`))
    return count / seconds
  })

const kept = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ readonly count: number }>`
    SELECT count(*)::integer AS count FROM waybill.suppressions WHERE NOT by_hand
  `
  return row?.count ?? 0
})

export const bench: Bench = {
  name: "suppressions",
  sizes: { events: 10_000, batch: 500, records: 4_000, callers: 16, orphans: 10_000, suppressed: 100_000, rounds: 5 },
  run: Effect.fnUntraced(function*(size) {
    const [events, batch, records, callers] = [size("events"), size("batch"), size("records"), size("callers")]
    const [orphans, suppressed, rounds] = [size("orphans"), size("suppressed"), Math.max(2, size("rounds"))]
    const names = { with: yield* Server.database(), without: yield* Server.database() }
    const prepare = Effect.andThen(
      Effect.andThen(Fill.dispatched(prefix, { from: 1, count: events }), fill(suppressed)),
      Effect.andThen(
        Fill.settle,
        Effect.flatMap(SqlClient.SqlClient, (sql) => sql`VACUUM (ANALYZE) waybill.suppressions`)
      )
    )
    return yield* Server.inDatabase(
      names.with,
      Effect.gen(function*() {
        const own = yield* Effect.context<Services>()
        yield* prepare
        return yield* Server.inDatabase(
          names.without,
          Effect.gen(function*() {
            yield* Effect.andThen(prepare, without)
            const sides = <E>(of: (round: number) => Effect.Effect<number, E, Services>) =>
              Rounds.alternate(rounds, { with: (round) => Effect.provide(of(round), own), without: of })
            const recorded = yield* sides((round) => record(records, callers, round))
            const appended = yield* sides((round) => append(events, batch, round))
            const linked = yield* sides((round) => link(orphans, round))
            const count = yield* Effect.provide(kept, own)
            if (count !== events * rounds) yield* Effect.die(new Error(`${count} causes are kept`))

            // The first round of each side warms its statements and connections up.
            const figures = (of: typeof appended) =>
              [of("with"), of("without")].map((all) => Rounds.figures(all.slice(1)))
            const compared = [
              { name: "record", unit: "deliveries/s", of: figures(recorded), target: 0.9 },
              { name: "append", unit: "events/s", of: figures(appended), target: 0.7 },
              { name: "link", unit: "links/s", of: figures(linked), target: 0.95 }
            ].flatMap(({ of: [one, other], ...rest }) =>
              one === undefined || other === undefined ? [] : [{ ...rest, one, other }]
            )
            return {
              name: "suppressions",
              summary:
                `${records} deliveries recorded by ${callers} callers at once, to addresses of which nothing is known; ${events} ` +
                `complaints and hard bounces appended in batches of ${batch}; ${orphans} orphans linked that cause nothing. ` +
                `${suppressed} other addresses are suppressed. Beside it, the same without the trigger and with nothing to ask.`,
              rows: compared.flatMap(({ name, one, other, unit }) => [
                Report.row(`${name} with suppressions`, unit, one),
                Report.row(`${name} without`, unit, other)
              ]),
              ratios: compared.map(({ name, one, other, target }) =>
                Report.atLeast(`suppressions/${name}`, one.median / other.median, target)
              ),
              notes: [],
              plots: []
            }
          })
        )
      })
    )
  })
}
