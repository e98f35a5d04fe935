/** A question costs what it answers, whatever the ledger holds, and about what the same question costs in hand-written SQL. */
import { type Delivery, Directory, Provider, Recipient, Search, Tenant } from "@waybill/core"
import { DateTime, Duration, Effect, Option, Schema } from "effect"
import { SqlClient } from "effect/sql"
import * as Rows from "../../packages/storage/src/internal/pg/Rows.ts"
import type { Bench } from "../harness/Bench.ts"
import * as Fill from "../harness/Fill.ts"
import * as Report from "../harness/Report.ts"
import * as Rounds from "../harness/Rounds.ts"
import * as Server from "../harness/Server.ts"

const limit = 20

/** How many deliveries a day has, whatever the ledger holds. */
const aDay = 20_000

/** Of so many deliveries one is stuck, bounced, or to a domain. */
const stuckOf = 10_000
const bouncedOf = 50
const domains = 100

/** The deliveries of a recipient. */
const each = 5

const columns = Rows.deliveryColumns("d")

/** Deliveries of a year or less, three events of each, as the ledger's own calls leave them. */
const fill = (count: number) =>
  Fill.inBulk(Server.patiently(Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.forEach(
      [
        "SET LOCAL session_replication_role = replica",
        `CREATE TEMPORARY TABLE persons ON COMMIT DROP AS
          SELECT r, 'r' || r || '@d' || r % ${domains} || '.example' AS recipient, 'd' || r % ${domains} || '.example' AS domain,
            waybill.recipient_digest('default', 'r' || r || '@d' || r % ${domains} || '.example') AS digest
          FROM generate_series(0, ${count / each - 1}) r`,
        `CREATE TEMPORARY TABLE given ON COMMIT DROP AS
          SELECT n, (lpad(to_hex(n), 12, '0') || '-7000-8000-' || lpad(to_hex(n), 12, '0')) AS tail,
            n % ${stuckOf} = 1 AS stuck, n % ${bouncedOf} = 0 AS bounced,
            date_trunc('milliseconds', now() - (${count} - n) * interval '1 day' / ${aDay} - interval '1 hour') AS at,
            n % ${count / each} AS r
          FROM generate_series(1, ${count}) n`,
        `ALTER TABLE given ADD COLUMN id uuid`,
        `UPDATE given SET id = (left(tail, 8) || '-' || substr(tail, 9))::uuid`,
        `INSERT INTO waybill.deliveries (id, tenant_id, mailable, stream, recipient, recipient_domain, recipient_digest,
            provider, provider_message_id, status, last_event_type, last_event_at, last_event_id, last_event_own,
            dispatched_at, delivered_at, bounced_at, terminal, lock_version, inserted_at, updated_at)
          SELECT id, 'default', 'welcome', 'transactional', recipient, domain, digest,
            CASE WHEN NOT stuck THEN 'postmark' END, CASE WHEN NOT stuck THEN 'm-' || n END,
            CASE WHEN stuck THEN 'queued' WHEN bounced THEN 'failed' ELSE 'sent' END,
            CASE WHEN stuck THEN 'queued' WHEN bounced THEN 'bounced' ELSE 'delivered' END, at, id, stuck,
            CASE WHEN NOT stuck THEN at END, CASE WHEN NOT stuck AND NOT bounced THEN at END,
            CASE WHEN NOT stuck AND bounced THEN at END, NOT stuck, 3, at, at
          FROM given JOIN persons USING (r) ORDER BY n`,
        `INSERT INTO waybill.events (id, tenant_id, delivery_id, type, occurred_at, inserted_at, provider, idempotency_key)
          SELECT ('0' || step || substr(id::text, 3))::uuid, 'default', id,
            CASE step WHEN 1 THEN 'queued' WHEN 2 THEN 'dispatched' ELSE CASE WHEN bounced THEN 'bounced' ELSE 'delivered' END END,
            at, at, CASE WHEN step = 3 THEN 'postmark' END, step || ':' || n
          FROM given CROSS JOIN generate_series(1, 3) step WHERE step = 1 OR NOT stuck ORDER BY n`,
        `INSERT INTO waybill.occurrences (tenant_id, mark, recorded_at, delivery_id, event_id)
          SELECT 'default', mark, at, id, ('03' || substr(id::text, 3))::uuid
          FROM given CROSS JOIN unnest(ARRAY['bounced', 'failure']) mark WHERE bounced AND NOT stuck ORDER BY mark, n`
      ],
      (text) => sql.unsafe(text),
      { discard: true }
    ))))

const settle = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Effect.gen(function*() {
    yield* Fill.settle
    yield* sql`SET statement_timeout = 0`
    yield* sql`VACUUM (ANALYZE) waybill.occurrences`
  }))

interface Question {
  readonly name: string
  readonly filter: (at: number, now: DateTime.Utc) => Search.Filter
  /** The same in SQL by hand: what follows `FROM waybill.deliveries d WHERE d.tenant_id = 'default' AND`, and its parameters. */
  readonly sql: string
  readonly parameters: (at: number, now: DateTime.Utc) => ReadonlyArray<unknown>
}

/** Questions of a ledger of so many deliveries; `at` is a place in it, 1 to `count`. */
const questions = (count: number): ReadonlyArray<Question> => {
  const person = (at: number) => at % (count / each)
  const recipient = (at: number) => `r${person(at)}@d${person(at) % domains}.example`
  const day = (now: DateTime.Utc) => DateTime.subtract(now, { days: 1 })
  const make = (fields: Partial<Search.Filter>): Search.Filter => ({ ...Search.Filter.make({}), ...fields })
  return [
    {
      name: "by recipient",
      filter: (at) => make({ recipient: Option.some(Recipient.Recipient.make(recipient(at))) }),
      sql: "d.recipient_digest = (SELECT waybill.recipient_digest('default', $1))",
      parameters: (at) => [recipient(at)]
    },
    {
      name: "by message id",
      filter: (at) =>
        make({
          provider: Option.some(Provider.Provider.make("postmark")),
          providerMessageId: Option.some(`<m-${at % stuckOf === 1 ? at + 1 : at}>`)
        }),
      sql: "d.provider = 'postmark' AND d.provider_message_id = $1",
      parameters: (at) => [`m-${at % stuckOf === 1 ? at + 1 : at}`]
    },
    {
      name: "newest failed",
      filter: () => make({ status: Option.some("failed") }),
      sql: "d.status = 'failed'",
      parameters: () => []
    },
    {
      name: "stuck",
      filter: () => make({ stuckFor: Option.some(Duration.minutes(10)) }),
      sql: "d.unsent AND d.inserted_at <= $1::text::timestamptz",
      parameters: (_, now) => [DateTime.formatIso(DateTime.subtract(now, { minutes: 10 }))]
    },
    {
      name: "one domain's last day",
      filter: (at, now) =>
        make({ recipientDomain: Option.some(`d${at % domains}.example`), recordedFrom: Option.some(day(now)) }),
      sql: "d.recipient_domain = $1 AND d.inserted_at >= $2::text::timestamptz",
      parameters: (at, now) => [`d${at % domains}.example`, DateTime.formatIso(day(now))]
    }
  ]
}

const decode = Schema.decodeUnknownEffect(Schema.Array(Rows.DeliveryRow))

/** Asks each question so often in turn, ours and by hand, and gives the milliseconds of each call. */
const ask = (count: number, calls: number) =>
  Effect.gen(function*() {
    const directory = yield* Directory.Directory
    const sql = yield* SqlClient.SqlClient
    return yield* Effect.forEach(
      questions(count),
      Effect.fnUntraced(function*({ filter, name, parameters, sql: condition }) {
        // One more than the page, which tells whether there is a next.
        const text = `SELECT ${columns} FROM waybill.deliveries d WHERE d.tenant_id = 'default' AND ${condition}
          ORDER BY d.inserted_at DESC, d.id DESC LIMIT ${limit + 1}`
        const once = Effect.fnUntraced(function*(call: number) {
          const now = yield* DateTime.now
          const at = 1 + (call * 7919 * 131) % count
          const asked = directory.search({
            tenantId: Tenant.defaultTenantId,
            filter: filter(at, now),
            after: Option.none(),
            limit
          })
          const byHand = Effect.gen(function*() {
            const rows = yield* sql.unsafe(text, parameters(at, now))
            return { deliveries: yield* decode(rows.slice(0, limit)), hasNext: rows.length > limit }
          })
          const [ours, hand] = call % 2 === 0
            ? [yield* Rounds.timed(asked), yield* Rounds.timed(byHand)]
            : yield* Effect.map(Effect.all([Rounds.timed(byHand), Rounds.timed(asked)]), ([hand, ours]) =>
              [ours, hand] as const)
          const same = (rows: ReadonlyArray<Delivery.Delivery>) =>
            rows.map(({ id }) => id).join()
          const { deliveries, hasNext } = hand.result
          if (
            deliveries.length === 0 || same(ours.result.deliveries) !== same(deliveries) ||
            Option.isSome(ours.result.next) !== hasNext
          ) {
            return yield* Effect.die(new Error(`${name}: the answers differ`))
          }
          return { ours: ours.seconds * 1000, hand: hand.seconds * 1000 }
        })
        // The first calls warm up connections, plans and pages, and are not counted.
        yield* Effect.forEach(Array.from({ length: 50 }, (_, call) => call), once, { discard: true })
        const times = yield* Effect.forEach(Array.from({ length: calls }, (_, call) => 50 + call), once)
        return { name, ours: times.map(({ ours }) => ours), hand: times.map(({ hand }) => hand) }
      })
    )
  })

const p95 = (times: ReadonlyArray<number>): number => Rounds.quantile(times, 0.95)

export const bench: Bench = {
  name: "search",
  sizes: { small: 500_000, large: 5_000_000, calls: 400 },
  run: Effect.fnUntraced(function*(size) {
    const sizes = [size("small"), size("large")]
    const asked = yield* Effect.forEach(sizes, (count) =>
      Effect.gen(function*() {
        const name = yield* Server.database()
        yield* Server.inDatabase(name, Effect.andThen(fill(count), settle), { maxConnections: 1 })
        return yield* Server.inDatabase(name, ask(count, size("calls")), { maxConnections: 1 })
      }))
    const [small = [], large = []] = asked
    return {
      name: "search",
      summary: `Questions to ledgers of ${sizes.map(Report.figure).join(" and ")} deliveries with three events each, ` +
        `${limit} deliveries a page, ${size("calls")} calls of each in turn with the same question in SQL by hand, ` +
        "both read into deliveries and told whether there is a next page; the 95th percentile. The ratios are of the medians.",
      rows: large.flatMap(({ hand, name, ours }, index) => [
        Report.row(`${name}, ${Report.figure(sizes[0] ?? 0)}`, "ms", Rounds.figures([p95(small[index]?.ours ?? [])])),
        Report.row(`${name}, ${Report.figure(sizes[1] ?? 0)}`, "ms", Rounds.figures([p95(ours)])),
        Report.row(`${name}, by hand`, "ms", Rounds.figures([p95(hand)]))
      ]),
      ratios: large.flatMap(({ hand, name, ours }, index) => {
        const word = name.replaceAll(/[^a-z]+/g, "-")
        return [
          Report.atLeast(`search/${word}-to-sql`, Rounds.median(hand) / Rounds.median(ours), 0.8),
          Report.atMost(`search/${word}-growth`, Rounds.median(ours) / Rounds.median(small[index]?.ours ?? []), 1.3)
        ]
      }),
      notes: [],
      plots: []
    }
  })
}
