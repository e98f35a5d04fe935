/**
 * What figures cost: to follow the feed, to ask for thirty days of a large ledger, and an append beside the same one in a ledger
 * without them.
 */
import { type Event, Figures, Ledger, Tenant } from "@waybill/core"
import { DateTime, Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { Bench } from "../harness/Bench.ts"
import * as Fill from "../harness/Fill.ts"
import * as Given from "../harness/Given.ts"
import * as Report from "../harness/Report.ts"
import * as Rounds from "../harness/Rounds.ts"
import * as Server from "../harness/Server.ts"

const domains = 1000

const days = 30

/** The events of a delivery that was delivered and opened, in the order in which they come. */
const steps = 3

/**
 * Deliveries of thirty days on three streams by two providers to a thousand domains, a fifth of them to Gmail; events of each as they
 * come: those of a delivery lie apart, among those of others.
 */
const fill = (count: number) =>
  Fill.inBulk(Server.patiently(Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.forEach(
      [
        "SET LOCAL session_replication_role = replica",
        `CREATE TEMPORARY TABLE given ON COMMIT DROP AS
          SELECT n, (lpad(to_hex(n), 12, '0') || '-7000-8000-' || lpad(to_hex(n), 12, '0')) AS tail,
            date_trunc('milliseconds', now() - (${count} - n) * interval '${days} days' / ${count}) AS at,
            CASE WHEN n % 5 = 0 THEN 'gmail.com' ELSE 'd' || n % ${domains} || '.example' END AS domain
          FROM generate_series(1, ${count}) n`,
        "ALTER TABLE given ADD COLUMN id uuid",
        "UPDATE given SET id = (left(tail, 8) || '-' || substr(tail, 9))::uuid",
        `INSERT INTO waybill.deliveries (id, tenant_id, mailable, stream, recipient, recipient_domain, recipient_digest,
            provider, provider_message_id, status, last_event_type, last_event_at, last_event_id, last_event_own,
            dispatched_at, delivered_at, terminal, lock_version, inserted_at, updated_at)
          SELECT id, 'default', 'welcome', (ARRAY['transactional', 'operational', 'bulk'])[1 + n % 3],
            'r' || n || '@' || domain, domain, sha256(('r' || n)::bytea),
            (ARRAY['postmark', 'ses'])[1 + n % 2], 'm-' || n, 'sent', 'delivered', at, id, false, at, at, true, 4, at, at
          FROM given ORDER BY n`,
        `INSERT INTO waybill.events (id, tenant_id, delivery_id, type, occurred_at, inserted_at, provider, bounce_class,
            normalized_payload, idempotency_key)
          SELECT ('0' || step || substr(id::text, 3))::uuid, 'default', id,
            CASE step WHEN 1 THEN 'dispatched' WHEN 2
              THEN CASE WHEN n % 50 = 0 THEN 'bounced' ELSE 'delivered' END ELSE 'opened' END,
            at + step * interval '3 seconds', at, CASE WHEN step > 1 THEN (ARRAY['postmark', 'ses'])[1 + n % 2] END,
            CASE WHEN step = 2 AND n % 50 = 0 THEN 'hard' END, '{"event": "some"}', step || ':' || n
          FROM given CROSS JOIN generate_series(1, ${steps}) step ORDER BY n / 1000, step, n`
      ],
      (text) => sql.unsafe(text),
      { discard: true }
    ))))

const settle = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Effect.gen(function*() {
    yield* Fill.settle
    yield* sql`SET statement_timeout = 0`
    yield* sql`VACUUM (ANALYZE) waybill.contributions, waybill.figures`
  }))

/** Follows up to so many events, and gives how many a second. */
const follow = (most: number) =>
  Effect.gen(function*() {
    const figures = yield* Figures.Figures
    const { result, seconds } = yield* Rounds.timedAlone(Effect.gen(function*() {
      let events = 0
      for (let isCurrent = false; !isCurrent && events < most;) {
        const followed = yield* figures.follow({ limit: Math.min(10_000, most - events) })
        events += followed.events
        isCurrent = followed.isCurrent
      }
      return events
    }))
    return result / seconds
  })

/** Asks for thirty days by what is named so often, and gives the milliseconds of each call. */
const ask = (by: ReadonlyArray<Figures.Dimension>, calls: number) =>
  Effect.gen(function*() {
    const figures = yield* Figures.Figures
    const to = yield* DateTime.now
    const query = { scope: Tenant.defaultTenantId, from: DateTime.subtract(to, { days }), to, by, limit: 50 }
    const once = Rounds.timed(figures.read(query))
    yield* Effect.replicateEffect(once, 5, { discard: true })
    return (yield* Effect.replicateEffect(once, calls)).map(({ seconds }) => seconds * 1000)
  })

/** Appends a delivered or an opened of each delivery, and gives how many a second. */
const append = (prefix: string, count: number, batch: number, round: number) =>
  Effect.gen(function*() {
    const ledger = yield* Ledger.Ledger
    const events = Given.events(prefix, round, 1, count).map((given): Event.NewEvent => Given.newEvent(given))
    const { seconds } = yield* Rounds.timedAlone(
      Effect.forEach(Given.chunks(events, batch), (each) => ledger.append(Tenant.defaultTenantId, each), {
        discard: true
      })
    )
    return count / seconds
  })

/** A ledger without figures, as it was before them. */
const without = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Effect.forEach(
    [
      "DROP TRIGGER deliveries_figures_due ON waybill.deliveries",
      "DROP TRIGGER deliveries_gone_figures_due ON waybill.deliveries"
    ],
    (text) => sql.unsafe(text),
    { discard: true }
  ))

const prefix = "a-"

export const bench: Bench = {
  name: "figures",
  sizes: { deliveries: 5_000_000, follow: 1_000_000, calls: 50, events: 20_000, batch: 500, rounds: 9 },
  run: Effect.fnUntraced(function*(size) {
    const [count, calls, events, batch] = [size("deliveries"), size("calls"), size("events"), size("batch")]
    const rounds = Math.max(2, size("rounds"))
    const large = yield* Server.database()
    yield* Server.inDatabase(large, Effect.andThen(fill(count), settle), { maxConnections: 1 })
    const { byDomain, byProvider, byStream, rows, speed } = yield* Server.inDatabase(
      large,
      Effect.gen(function*() {
        const speed = yield* follow(size("follow"))
        yield* follow(Infinity)
        yield* settle
        const sql = yield* SqlClient.SqlClient
        const [found] = yield* sql<{ readonly rows: number }>`SELECT count(*)::integer AS rows FROM waybill.figures`
        return {
          speed,
          rows: found?.rows ?? 0,
          byStream: yield* ask(["stream"], calls),
          byProvider: yield* ask(["provider", "mailbox"], calls),
          byDomain: yield* ask(["domain"], calls)
        }
      }),
      { maxConnections: 1 }
    )
    const names = { with: yield* Server.database(), without: yield* Server.database() }
    const prepare = Effect.andThen(Fill.dispatched(prefix, { from: 1, count: events }), Fill.settle)
    const appended = yield* Server.inDatabase(
      names.with,
      Effect.gen(function*() {
        const own = yield* Effect.context<Figures.Figures | Ledger.Ledger>()
        yield* prepare
        return yield* Server.inDatabase(
          names.without,
          Effect.gen(function*() {
            yield* Effect.andThen(prepare, without)
            return yield* Rounds.alternate(rounds, {
              // What was appended is followed between two rounds.
              with: (round) =>
                Effect.provide(Effect.tap(append(prefix, events, batch, round), Figures.followToNow()), own),
              without: (round) => append(prefix, events, batch, round)
            })
          })
        )
      })
    )
    // The first round of each side warms its statements and connections up.
    const [ons, offs] = [appended("with").slice(1), appended("without").slice(1)]
    const p95 = (times: ReadonlyArray<number>) => Rounds.quantile(times, 0.95)
    return {
      name: "figures",
      summary:
        `A ledger of ${
          Report.figure(count)
        } deliveries of ${days} days with ${steps} events each, on three streams by two ` +
        `providers to ${domains} domains: the feed is followed by up to ten thousand events a step, and thirty days are asked for ` +
        `${calls} times (the 95th percentile). Appends are of ${
          Report.figure(events)
        } events, ${batch} a batch, beside a ledger ` +
        "without the triggers of the figures, in turn; the first round is not counted.",
      rows: [
        Report.row("follow", "events/s", Rounds.figures([speed])),
        Report.row("thirty days by stream", "ms", Rounds.figures([p95(byStream)])),
        Report.row("thirty days by provider and mailbox", "ms", Rounds.figures([p95(byProvider)])),
        Report.row("thirty days by domain, the first fifty", "ms", Rounds.figures([p95(byDomain)])),
        Report.row("append with figures", "events/s", Rounds.figures(ons)),
        Report.row("append without", "events/s", Rounds.figures(offs)),
        Report.row("rows of figures", "rows", Rounds.figures([rows]))
      ],
      ratios: [
        Report.atLeast("figures/follow", speed, 20_000),
        Report.atMost("figures/thirty-days", Math.max(p95(byStream), p95(byProvider)), 200),
        Report.atMost("figures/thirty-days-by-domain", p95(byDomain), 200),
        Report.atLeast("figures/append", Rounds.median(ons) / Rounds.median(offs), 0.97)
      ],
      notes: [],
      plots: []
    }
  })
}
