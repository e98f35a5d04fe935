/**
 * The plans of the statements that a ledger of any size runs all the time: none reads all the events, deliveries or orphans.
 *
 * Every statement that an operation sends is explained as it was sent, with its parameters, on filled tables.
 */
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import {
  Audit,
  Cursor,
  Delivery,
  Directory,
  Event,
  Figures,
  IdempotencyKey,
  Inbox,
  Ledger,
  Orphans,
  Place,
  Provider,
  Recipient,
  Search,
  Suppressions,
  Tenant,
  Unsent
} from "@waybill/core"
import { PgInbox, PgLedger } from "@waybill/storage"
import { Context, DateTime, Duration, Effect, Layer, Option, Schema } from "effect"
import { SecureRandom } from "effect/crypto"
import * as Reactivity from "effect/reactivity/Reactivity"
import { SqlClient, type SqlConnection } from "effect/sql"
import { TestClock } from "effect/testing"
import * as TestDatabase from "./TestDatabase.ts"

interface Sent {
  readonly text: string
  readonly parameters: ReadonlyArray<unknown>
}

/** What the operations of the ledger have sent. */
class Recorded extends Context.Service<Recorded, Array<Sent>>()("@waybill/storage/test/Recorded") {}

const recording = (connection: SqlConnection.Connection, sent: Array<Sent>): SqlConnection.Connection => {
  const note = (text: string, parameters: ReadonlyArray<unknown>) => {
    sent.push({ text, parameters })
  }
  return {
    execute: (text, parameters, transform) => {
      note(text, parameters)
      return connection.execute(text, parameters, transform)
    },
    executeRaw: (text, parameters) => {
      note(text, parameters)
      return connection.executeRaw(text, parameters)
    },
    executeStream: (text, parameters, transform) => {
      note(text, parameters)
      return connection.executeStream(text, parameters, transform)
    },
    executeValues: (text, parameters) => {
      note(text, parameters)
      return connection.executeValues(text, parameters)
    },
    executeValuesUnprepared: (text, parameters) => {
      note(text, parameters)
      return connection.executeValuesUnprepared(text, parameters)
    },
    executeUnprepared: (text, parameters, transform) => {
      note(text, parameters)
      return connection.executeUnprepared(text, parameters, transform)
    }
  }
}

const tenants = 4
const deliveriesEach = 5000
const junkEach = 5000
const linkableEach = 100
const webhooks = 5000

const tenant = (index: number) => Tenant.TenantId.make(`tenant-${index}`)

/** Fills the tables with several tenants, and lets the planner know. */
const fill = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql.withTransaction(Effect.gen(function*() {
    yield* sql`SET LOCAL session_replication_role = replica`
    yield* sql`
      INSERT INTO waybill.deliveries (id, tenant_id, mailable, stream, recipient, recipient_digest, provider,
        provider_message_id)
      SELECT gen_random_uuid(), 'tenant-' || t, 'welcome', 'bulk', 'r' || n || '@example.com',
        waybill.recipient_digest('tenant-' || t, 'r' || n || '@example.com'), 'postmark', 'm-' || n
      FROM generate_series(1, ${tenants}::integer) t CROSS JOIN generate_series(1, ${deliveriesEach}::integer) n
    `
    yield* sql`
      UPDATE waybill.deliveries SET recipient_domain = 'd' || length(recipient) % 7 || '.example',
        inserted_at = now() - substr(provider_message_id, 3)::integer * interval '1 minute'
    `
    yield* sql`
      INSERT INTO waybill.deliveries (id, tenant_id, mailable, stream, recipient, inserted_at)
      SELECT gen_random_uuid(), 'tenant-' || t, 'welcome', 'bulk', 'u' || n || '@example.com', now() - interval '1 hour'
      FROM generate_series(1, ${tenants}::integer) t CROSS JOIN generate_series(1, 20) n
    `
    yield* sql`
      INSERT INTO waybill.unsent (tenant_id, delivery_id, due_at)
      SELECT tenant_id, id, inserted_at FROM waybill.deliveries WHERE unsent
    `
    yield* sql`
      INSERT INTO waybill.unsent (tenant_id, delivery_id, attempts, due_at)
      SELECT 'tenant-' || t, gen_random_uuid(), 3, now() + n * interval '1 minute'
      FROM generate_series(1, ${tenants}::integer) t CROSS JOIN generate_series(1, ${junkEach}::integer) n
    `
    yield* sql`
      INSERT INTO waybill.occurrences (tenant_id, mark, recorded_at, delivery_id, event_id)
      SELECT tenant_id, mark, inserted_at, id, gen_random_uuid()
      FROM waybill.deliveries CROSS JOIN unnest(ARRAY['bounced', 'failure']) mark WHERE provider_message_id LIKE '%00'
    `
    yield* sql`
      INSERT INTO waybill.contributions (tenant_id, delivery_id, hour, stream, provider, domain, bits, part)
      SELECT tenant_id, id, date_trunc('hour', inserted_at, 'UTC'), stream, provider, coalesce(recipient_domain, ''), 1, -1
      FROM waybill.deliveries WHERE provider IS NOT NULL
    `
    yield* sql`
      INSERT INTO waybill.events (id, tenant_id, delivery_id, type, occurred_at, inserted_at, provider, idempotency_key)
      SELECT gen_random_uuid(), d.tenant_id, d.id, type, now(), now(), 'postmark', d.id || type
      FROM waybill.deliveries d CROSS JOIN unnest(ARRAY['sent', 'delivered', 'opened']) type
    `
    yield* sql`
      INSERT INTO waybill.events (id, tenant_id, type, occurred_at, inserted_at, provider, provider_message_id,
        needs_reconciliation, idempotency_key)
      SELECT (lpad(to_hex(n), 8, '0') || substr(gen_random_uuid()::text, 9))::uuid, 'tenant-' || t, 'delivered', now(), now() - n * interval '1 second', 'postmark',
        CASE WHEN n <= ${linkableEach} THEN 'm-' || n ELSE 'never-' || n END, true, 'orphan-' || n
      FROM generate_series(1, ${tenants}::integer) t CROSS JOIN generate_series(1, ${junkEach}::integer) n ORDER BY n
    `
    yield* sql`
      INSERT INTO waybill.orphans (event_id, tenant_id, correlation, inserted_at, ready)
      SELECT id, tenant_id, 'message:postmark:' || provider_message_id, inserted_at, provider_message_id LIKE 'm-%'
      FROM waybill.events WHERE needs_reconciliation ORDER BY id
    `
    yield* sql`
      INSERT INTO waybill.event_details (tenant_id, event_id, inserted_at, recipient_digest, details)
      SELECT tenant_id, id, now() - row_number() OVER () * interval '1 second',
        CASE WHEN needs_reconciliation THEN waybill.recipient_digest(tenant_id, 'r1@example.com') END,
        '{"response": "250 ok"}'
      FROM waybill.events WHERE type IN ('delivered', 'opened')
    `
    yield* sql`
      INSERT INTO waybill.suppressions (tenant_id, recipient_digest, id, reason, lifts, happened_at, rank, event_id, by_hand)
      SELECT tenant_id, recipient_digest, id, CASE WHEN provider_message_id LIKE '%7' THEN 'soft_bounced' ELSE 'bounced' END,
        false, now() - n * interval '1 day', 10, id, false
      FROM waybill.deliveries CROSS JOIN generate_series(0, 0) n WHERE recipient_digest IS NOT NULL
    `
    yield* sql`
      INSERT INTO waybill.webhooks (id, tenant_id, provider, headers, body, status, attempts, received_at, claimed_at)
      SELECT gen_random_uuid(), 'tenant-1', 'postmark', '{}', '{}', 'processing', 1, now(), now()
      FROM generate_series(1, ${webhooks}::integer)
    `
    yield* sql`
      INSERT INTO waybill.webhooks (id, tenant_id, provider, headers, body, status, attempts, received_at, processed_at)
      SELECT gen_random_uuid(), 'tenant-' || (n / 7) % ${tenants}::integer, 'postmark', '{}', '{}',
        CASE WHEN n % 1000 = 0 THEN 'dead' ELSE 'succeeded' END, 1, now() - n * interval '1 second', now() - n * interval '1 second'
      FROM generate_series(1, ${10 * webhooks}::integer) n
    `
  }))
  yield* sql`VACUUM (ANALYZE)`
})

/** A ledger in a filled database, whose statements are recorded. */
const layer = Layer.provideMerge(PgInbox.layer(), PgLedger.layer()).pipe(
  Layer.provide(Layer.effect(
    SqlClient.SqlClient,
    Effect.gen(function*() {
      const client = yield* PgClient.PgClient
      const sent = yield* Recorded
      const acquirer = Effect.map(client.reserve, (connection) => recording(connection, sent))
      return yield* SqlClient.make({
        driver: client.driver,
        acquirer,
        transactionAcquirer: acquirer,
        compiler: PgClient.makeCompiler(),
        spanAttributes: []
      })
    })
  )),
  Layer.provide(Reactivity.layer),
  Layer.provideMerge(Layer.sync(Recorded, () => [])),
  Layer.provideMerge(Layer.effectDiscard(fill)),
  Layer.provideMerge(TestDatabase.client()),
  Layer.provideMerge(SecureRandom.layerWebCrypto)
)

interface Node {
  readonly "Node Type": string
  readonly "Plan Rows": number
  readonly "Relation Name"?: string
  readonly Plans?: ReadonlyArray<Node>
}

const Node: Schema.Codec<Node> = Schema.Struct({
  "Node Type": Schema.String,
  "Plan Rows": Schema.Finite,
  "Relation Name": Schema.optionalKey(Schema.String),
  Plans: Schema.optionalKey(Schema.Array(Schema.suspend((): Schema.Codec<Node> => Node)))
})

const Plan = Schema.Tuple([Schema.Struct({ Plan: Node })])

const decodePlans = Schema.decodeUnknownEffect(Schema.Array(Schema.Struct({ "QUERY PLAN": Plan })))

const nodes = (node: Node): ReadonlyArray<Node> => [node, ...(node.Plans ?? []).flatMap(nodes)]

const large = new Set([
  "events",
  "deliveries",
  "orphans",
  "webhooks",
  "event_details",
  "suppressions",
  "unsent",
  "contributions"
])

const isPlanned = ({ text }: Sent): boolean => /^\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH)\b/.test(text)

/** Runs an operation and explains what it has sent; no statement may read a large table from end to end, or sort more rows. */
const assertIndexed = <A, E, R>(operation: Effect.Effect<A, E, R>, sorted = Infinity) =>
  Effect.gen(function*() {
    const sent = yield* Recorded
    const client = yield* PgClient.PgClient
    sent.length = 0
    const result = yield* operation
    const statements = sent.filter(isPlanned)
    assert.isAbove(statements.length, 0)
    for (const { parameters, text } of statements) {
      const rows = yield* client.unsafe(`EXPLAIN (FORMAT JSON) ${text}`, parameters)
      for (const { "QUERY PLAN": [{ Plan }] } of yield* decodePlans(rows)) {
        const scans = nodes(Plan).filter((node) =>
          node["Node Type"] === "Seq Scan" && large.has(node["Relation Name"] ?? "")
        )
        assert.deepStrictEqual(scans.map((node) => node["Relation Name"]), [], `it reads all of a table:\n${text}`)
        for (const node of nodes(Plan)) {
          const isSort = ["Sort", "Aggregate", "Unique"].includes(node["Node Type"])
          assert.isFalse(isSort && node["Plan Rows"] > sorted, `it sorts more than ${sorted} rows:\n${text}`)
        }
      }
    }
    return result
  })

/** Runs a read of the feed and explains it: it reads one range of the index, up to the oldest open transaction. */
const assertRanged = <A, E, R>(operation: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const sent = yield* Recorded
    const client = yield* PgClient.PgClient
    const result = yield* assertIndexed(operation, 1000)
    const statement = sent.find(isPlanned)
    const { parameters, text } = yield* Effect.fromNullishOr(statement)
    const plan = yield* client.unsafe<{ readonly "QUERY PLAN": string }>(`EXPLAIN ${text}`, parameters)
    const lines = plan.map((row) => row["QUERY PLAN"]).join("\n")
    assert.match(lines, /Index Scan using events_place on events e.*\n *Index Cond: .*ROW.* > ROW.* AND .*ROW.* < ROW/)
    return result
  })

const provider = Provider.Provider.make("postmark")

const event = (key: string, messageId: string, recipient: string): Event.NewEvent =>
  Event.NewEvent.make({
    type: "opened",
    occurredAt: DateTime.makeUnsafe("2026-01-02T03:04:05Z"),
    provider,
    providerMessageId: Option.some(Provider.MessageId.make(messageId)),
    recipient: Option.some({ address: Recipient.Recipient.make(recipient), certain: true }),
    idempotencyKey: IdempotencyKey.IdempotencyKey.make(key)
  })

const batch = (prefix: string, count: number) =>
  Array.from(
    { length: count },
    (_, index) => event(`${prefix}-${index}`, `m-${index + 1}`, `r${index + 1}@example.com`)
  )

const between = {
  from: DateTime.makeUnsafe("2000-01-01T00:00:00Z"),
  to: DateTime.makeUnsafe("2999-01-01T00:00:00Z")
}

const window = {
  insertedFrom: DateTime.makeUnsafe("2000-01-01T00:00:00Z"),
  insertedTo: DateTime.makeUnsafe("2999-01-01T00:00:00Z")
}

describe("plans on PostgreSQL", () => {
  it.layer(layer, { timeout: 60_000 })((it) => {
    it.effect("finishing webhooks goes by their ids", () =>
      Effect.gen(function*() {
        const inbox = yield* Inbox.Inbox
        const listed = yield* inbox.list({ scope: tenant(1), status: Option.some("processing"), limit: 50 })
        yield* assertIndexed(
          Effect.forEach(listed, (webhook) => inbox.finish(webhook, { _tag: "Succeeded" }), {
            concurrency: "unbounded"
          })
        )
        const [left] = yield* inbox.counts(tenant(1), ["processing"])
        assert.strictEqual(left?.count, webhooks - 50)
      }), 30_000)

    it.effect("what is drained, listed and counted of an inbox is found by indexes", () =>
      Effect.gen(function*() {
        const inbox = yield* Inbox.Inbox
        const scopes = [tenant(1), Tenant.all]
        const statuses = [Option.none(), ...Inbox.WebhookStatus.literals.map(Option.some)]
        for (const scope of scopes) {
          for (const status of statuses) {
            yield* assertIndexed(inbox.list({ scope, status, limit: 10 }), 100)
            yield* assertIndexed(inbox.list({ scope, status, limit: 10, provider, ...between }), 100)
          }
          yield* assertIndexed(inbox.counts(scope, Inbox.unfinished))
          const listed = yield* inbox.list({ scope, status: Option.some("dead"), limit: 5 })
          for (const { id } of listed.slice(1)) yield* inbox.release(scope, id)
          yield* assertIndexed(inbox.reclaim(scope, listed.slice(0, 1).map(({ id }) => id)))
          const claiming = Effect.andThen(
            TestClock.setTime(between.to.epochMilliseconds),
            inbox.claim({ scope, limit: 3, stalledFor: Duration.minutes(5) })
          )
          const claimed = yield* assertIndexed(Effect.provide(claiming, TestClock.layer()), 1000)
          assert.lengthOf(claimed, 3)
        }
      }), 30_000)

    it.effect("a sweep's batch of one tenant goes by indexes", () =>
      Effect.gen(function*() {
        const orphans = yield* Orphans.Orphans
        const query = { scope: tenant(1), limit: 50, ...window }
        assert.strictEqual((yield* assertIndexed(orphans.link(query))).links.length, 50)
      }), 30_000)

    it.effect("a sweep's batch of all tenants goes by indexes", () =>
      Effect.gen(function*() {
        const orphans = yield* Orphans.Orphans
        const query = { scope: Tenant.all, limit: 200, ...window }
        assert.isAbove((yield* assertIndexed(orphans.link(query))).links.length, 100)
      }), 30_000)

    it.effect("appending one event goes by indexes", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger.Ledger
        const [outcome] = yield* assertIndexed(ledger.append(tenant(2), batch("one", 1)))
        assert.strictEqual(outcome?._tag, "Appended")
      }), 30_000)

    it.effect("appending a large batch goes by indexes, again too", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger.Ledger
        const appended = yield* assertIndexed(ledger.append(tenant(2), batch("many", 1000)))
        assert.isTrue(appended.every(({ _tag }) => _tag === "Appended"))
        const again = yield* assertIndexed(ledger.append(tenant(2), batch("many", 1000)))
        assert.isTrue(again.every(({ _tag }) => _tag === "Duplicate"))
      }), 30_000)

    it.effect("appending orphans and echoes goes by indexes", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger.Ledger
        const [known] = yield* ledger.deliveries({ tenantId: tenant(3), after: Option.none(), limit: 1 })
        const { id } = yield* Effect.fromNullishOr(known)
        const events = Array.from({ length: 500 }, (_, index): Event.NewEvent => ({
          ...event(`new-${index}`, `unknown-${index}`, "someone@example.com"),
          echoedDeliveryId: index === 0 ? Option.some(id) : Option.none(),
          recipient: Option.none()
        }))
        const outcomes = yield* assertIndexed(ledger.append(tenant(3), events))
        assert.strictEqual(
          outcomes.filter((outcome) => outcome._tag === "Appended" && Option.isSome(outcome.deliveryId)).length,
          1
        )
      }), 30_000)

    it.effect("keeping, reading, pruning and erasing details go by indexes", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger.Ledger
        const details = Option.some({ response: "250 ok" })
        const said = Array.from(batch("said", 500), (event): Event.NewEvent => ({ ...event, details }))
        const waiting = Array.from(said, (event, index): Event.NewEvent => ({
          ...event,
          providerMessageId: Option.some(Provider.MessageId.make(`unheard-${index}`)),
          idempotencyKey: IdempotencyKey.IdempotencyKey.make(`unheard-${index}`)
        }))
        for (const events of [said, said, waiting, waiting]) yield* assertIndexed(ledger.append(tenant(2), events))
        const [known] = yield* ledger.deliveries({ tenantId: tenant(2), after: Option.none(), limit: 1 })
        const { id } = yield* Effect.fromNullishOr(known)
        const entries = yield* assertIndexed(ledger.timeline({ tenantId: tenant(2), deliveryId: id }))
        assert.isTrue(entries.some(({ details }) => Option.isSome(details)))
        const before = DateTime.subtract(yield* TestClock.withLive(DateTime.now), { minutes: 30 })
        assert.strictEqual(yield* assertIndexed(ledger.pruneDetails({ before, limit: 100, dryRun: false })), 100)
        const recipient = Recipient.Recipient.make("r7@example.com")
        yield* assertIndexed(ledger.forget({ tenantId: tenant(2), recipient }), 1000)
      }), 30_000)

    it.effect("recording and dispatching go by indexes", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger.Ledger
        const { delivery } = yield* assertIndexed(ledger.record(Delivery.NewDelivery.make({
          tenantId: tenant(3),
          recipient: Recipient.Recipient.make("someone@example.com"),
          mailable: "welcome",
          stream: "bulk",
          idempotencyKey: Option.some(IdempotencyKey.IdempotencyKey.make("welcome:1"))
        })))
        const dispatch = Delivery.Dispatch.make({
          tenantId: tenant(3),
          deliveryId: delivery.id,
          provider,
          providerMessageId: "unknown-1"
        })
        assert.strictEqual((yield* assertIndexed(ledger.dispatch(dispatch))).linked, 1)
      }), 30_000)

    it.effect("claiming what waits to be sent goes by indexes, of one tenant and of all", () =>
      Effect.gen(function*() {
        const unsent = yield* Unsent.Unsent
        const dueTo = yield* TestClock.withLive(DateTime.now)
        const query = { dueTo, until: DateTime.add(dueTo, { minutes: 5 }) }
        assert.lengthOf(yield* assertIndexed(unsent.claim({ ...query, scope: tenant(1), limit: 10 }), 1000), 10)
        assert.lengthOf(yield* assertIndexed(unsent.claim({ ...query, scope: Tenant.all, limit: 40 }), 1000), 40)
        assert.lengthOf(yield* assertIndexed(unsent.claim({ ...query, scope: Tenant.all, limit: 40 }), 1000), 30)
      }), 30_000)

    it.effect("asking, listing and changing suppressions goes by indexes", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger.Ledger
        const suppressions = yield* Suppressions.Suppressions
        const tenantId = tenant(3)
        const recipients = Array.from({ length: 1000 }, (_, n) => Recipient.Recipient.make(`r${n + 1}@example.com`))
        const found = yield* assertIndexed(suppressions.check({ tenantId, recipients, stream: Option.none() }))
        assert.isAbove(found.length, 800)
        const all = { tenantId, stream: Option.none(), from: Option.none(), to: Option.none(), limit: 50 }
        for (const reason of [Option.none(), Option.some("bounced" as const)]) {
          const { next } = yield* assertIndexed(suppressions.list({ ...all, reason, after: Option.none() }))
          assert.isTrue(Option.isSome(next))
          yield* assertIndexed(suppressions.list({ ...all, reason, after: next }))
        }
        const recipient = Recipient.Recipient.make("r17@example.com")
        const by = { actor: "operator", because: Option.some("asked") }
        const addition = { recipient, reason: "soft_bounced" as const, stream: Option.none(), since: Option.none() }
        yield* assertIndexed(suppressions.add({ tenantId, additions: [addition], ...by }))
        yield* assertIndexed(
          suppressions.lift({ tenantId, recipient, reason: "soft_bounced", stream: Option.none(), ...by })
        )
        assert.isAbove((yield* assertIndexed(suppressions.history({ tenantId, recipient, limit: 10 }))).length, 2)
        const refused = yield* assertIndexed(ledger.record(Delivery.NewDelivery.make({
          tenantId,
          recipient: Recipient.Recipient.make("r18@example.com"),
          mailable: "welcome",
          stream: "bulk"
        })))
        assert.isTrue(Option.isSome(refused.suppressedBy))
      }), 30_000)

    it.effect("what parts soft bounces is found by indexes", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger.Ledger
        const suppressions = yield* Suppressions.Suppressions
        const tenantId = tenant(4)
        const recipient = Recipient.Recipient.make("r27@example.com")
        const bounces = Array.from({ length: 5 }, (_, day) =>
          Object.assign(event(`soft-${day}`, "m-27", "r27@example.com"), {
            type: "bounced" as const,
            bounceClass: Option.some("soft" as const),
            occurredAt: DateTime.makeUnsafe(`2026-01-0${day + 1}T00:00:00Z`)
          }))
        yield* assertIndexed(ledger.append(tenantId, bounces))
        yield* assertIndexed(suppressions.check({ tenantId, recipients: [recipient], stream: Option.none() }))
        assert.lengthOf(yield* assertIndexed(suppressions.history({ tenantId, recipient, limit: 10 })), 6)
      }), 30_000)

    it.effect("a transaction sets nothing where the client has its time limits", () =>
      Effect.gen(function*() {
        const audit = yield* Audit.Audit
        const sent = yield* Recorded
        sent.length = 0
        yield* audit.verify({ part: "deliveries", scope: tenant(3), after: Option.none(), limit: 1 })
        assert.isAbove(sent.length, 0)
        assert.isFalse(sent.some(({ text }) => text.includes("set_config")))
      }))

    it.effect("a page of the feed goes by indexes, of one tenant and of all", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger.Ledger
        const page = ledger.changes({ scope: Tenant.all, after: Cursor.start, limit: 100 })
        // Transactions of other databases of the server, such as those of other tests, delay the feed.
        yield* Effect.repeat(page, { until: ({ length }) => length === 100 })
        const all = yield* assertIndexed(page, 1000)
        assert.strictEqual(all.length, 100)
        const [last] = all.toReversed()
        const { cursor } = yield* Effect.fromNullishOr(last)
        yield* assertIndexed(ledger.changes({ scope: tenant(1), after: Cursor.start, limit: 100 }), 1000)
        yield* assertIndexed(ledger.changes({ scope: tenant(1), after: cursor, limit: 100 }), 1000)
        assert.lengthOf(yield* assertRanged(ledger.changes({ scope: Tenant.all, after: cursor, limit: 100 })), 100)
      }), 30_000)

    it.effect("a delivery, its timeline and a page of deliveries go by indexes", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger.Ledger
        const query = { tenantId: tenant(4), after: Option.none(), limit: 100 }
        const [first] = yield* assertIndexed(ledger.deliveries(query))
        const key = { tenantId: tenant(4), deliveryId: (yield* Effect.fromNullishOr(first)).id }
        assert.isAtLeast((yield* assertIndexed(ledger.timeline(key))).length, 3)
        assert.isTrue(Option.isSome(yield* assertIndexed(ledger.delivery(key))))
      }), 30_000)

    it.effect("a page of an audit goes by indexes, of one tenant and of all", () =>
      Effect.gen(function*() {
        const audit = yield* Audit.Audit
        for (const scope of [tenant(4), Tenant.all]) {
          for (const part of ["deliveries", "orphans"] as const) {
            const query = { part, scope, limit: 20 }
            const first = yield* assertIndexed(audit.verify({ ...query, after: Option.none() }), 100)
            assert.strictEqual(first.checked, 20)
            yield* assertIndexed(audit.verify({ ...query, after: first.next }), 100)
          }
        }
      }), 30_000)

    it.effect(
      "a page of an audit of the suppressions goes by indexes, of one tenant and of all",
      () =>
        Effect.gen(function*() {
          const audit = yield* Audit.Audit
          for (const scope of [tenant(4), Tenant.all]) {
            const query = { part: "suppressions" as const, scope, limit: 20 }
            const first = yield* assertIndexed(audit.verify({ ...query, after: Option.none() }))
            assert.isAtLeast(first.checked, 10)
            yield* assertIndexed(audit.verify({ ...query, after: first.next }))
          }
        }),
      30_000
    )

    it.effect("figures follow, are read, and are compared by indexes", () =>
      Effect.gen(function*() {
        const figures = yield* Figures.Figures
        const audit = yield* Audit.Audit
        const sql = yield* SqlClient.SqlClient
        yield* Effect.repeat(figures.follow({ limit: 10_000 }), { until: ({ isCurrent }) => isCurrent })
        yield* sql`ANALYZE waybill.contributions, waybill.figures`
        yield* sql`DELETE FROM waybill.checkpoints WHERE name = ${Figures.consumer}`
        const { events } = yield* assertIndexed(figures.follow({ limit: 2000 }), 2001)
        assert.strictEqual(events, 2000)
        const now = yield* TestClock.withLive(DateTime.now)
        const query = { scope: tenant(1), from: DateTime.subtract(now, { days: 1 }), to: now, limit: 10 }
        for (const by of [["stream"], ["domain"], ["tenant", "mailbox"]] as const) {
          const { figures: found } = yield* assertIndexed(figures.read({ ...query, by }))
          assert.isAbove(found.length, 0)
        }
        for (const scope of [tenant(4), Tenant.all]) {
          for (const part of ["contributions", "figures"] as const) {
            const page = yield* assertIndexed(audit.verify({ part, scope, limit: 20, after: Option.none() }))
            assert.isAbove(page.checked, 0)
          }
        }
      }), 60_000)

    it.effect(
      "a search goes by the index of its path, from the first page and from a later one, and skips by no count",
      () =>
        Effect.gen(function*() {
          const directory = yield* Directory.Directory
          const sent = yield* Recorded
          const client = yield* PgClient.PgClient
          const some = Option.some
          const since = some(DateTime.makeUnsafe("2000-01-01T00:00:00Z"))
          const paths: Readonly<Record<string, ReadonlyArray<Partial<Search.Filter>>>> = {
            deliveries_age: [{}, { recordedFrom: since }, { mailable: some("nothing") }, { event: some("opened") }],
            deliveries_recipient: [{ recipient: some(Recipient.Recipient.make("r7@example.com")) }],
            deliveries_message: [{ providerMessageId: some("<m-7>") }],
            deliveries_domain: [{ recipientDomain: some("D1.example") }, {
              recipientDomain: some("d1.example"),
              recordedFrom: since
            }],
            deliveries_unsent: [{ stuckFor: some(Duration.minutes(10)) }],
            occurrences_pkey: [
              { status: some("failed") },
              { event: some("bounced") },
              { lastEventType: some("bounced") },
              { event: some("bounced"), recipientDomain: some("d1.example"), happenedFrom: since }
            ]
          }
          for (const [index, filters] of Object.entries(paths)) {
            for (const fields of filters) {
              const filter = { ...Search.Filter.make({}), ...fields }
              const query = { tenantId: tenant(1), filter, limit: 5, reach: 500 }
              let after: Option.Option<Directory.Cursor> = Option.none()
              for (let page = 0; page < 2; page++) {
                const { next }: Directory.Page = yield* assertIndexed(directory.search({ ...query, after }), 1000)
                const { parameters, text } = yield* Effect.fromNullishOr(sent.find(isPlanned))
                const plan = yield* client.unsafe<{ readonly "QUERY PLAN": string }>(`EXPLAIN ${text}`, parameters)
                assert.include(plan.map((row) => row["QUERY PLAN"]).join("\n"), index, JSON.stringify(fields))
                assert.notMatch(text, /\bOFFSET\b/i)
                if (Option.isNone(next)) break
                after = next
              }
            }
          }
        }),
      60_000
    )

    it.effect("no column of a projection is in an index, and moving one writes to none", () =>
      Effect.gen(function*() {
        const client = yield* PgClient.PgClient
        const indexed = yield* client<{ readonly name: string }>`
          SELECT DISTINCT a.attname AS name FROM pg_index i
          JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
            AND d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indrelid
          JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = d.refobjsubid
          WHERE i.indrelid = 'waybill.deliveries'::regclass ORDER BY a.attname
        `
        assert.deepStrictEqual(indexed.map(({ name }) => name), [
          "id",
          "idempotency_key",
          "inserted_at",
          "provider",
          "provider_message_id",
          "recipient_digest",
          "recipient_domain",
          "tenant_id",
          "unsent"
        ])
        // The counts of earlier transactions of the session may not have been handed over yet.
        const counts = client<{ readonly all: number; readonly hot: number }>`
          SELECT n_tup_upd::integer AS all, n_tup_hot_upd::integer AS hot FROM pg_stat_xact_user_tables
          WHERE relid = 'waybill.deliveries'::regclass
        `
        const moved = yield* client.withTransaction(Effect.gen(function*() {
          const [before = { all: 0, hot: 0 }] = yield* counts
          yield* client`
            UPDATE waybill.deliveries SET status = 'failed', terminal = true, last_event_type = 'bounced',
              last_event_at = now(), last_event_id = gen_random_uuid(), last_event_own = false, bounced_at = now(),
              opened_at = now(), lock_version = lock_version + 1, updated_at = now()
            WHERE tenant_id = ${tenant(4)} AND provider_message_id IN ('m-1', 'm-2', 'm-3')
          `
          const [after = before] = yield* counts
          return { all: after.all - before.all, hot: after.hot - before.hot }
        }))
        assert.deepStrictEqual(moved, { all: 3, hot: 3 })
      }), 30_000)

    it.effect("a page of pending orphans goes by indexes", () =>
      Effect.gen(function*() {
        const orphans = yield* Orphans.Orphans
        const query = { limit: 100, failedOnly: false, insertedFrom: Option.none() }
        const page = yield* assertIndexed(orphans.find({ ...query, scope: tenant(4) }))
        assert.strictEqual(page.length, 100)
        yield* assertIndexed(orphans.find({ ...query, scope: Tenant.all }))
        const last = page.at(-1)?.event ?? assert.fail("there is no page")
        const after = Place.of(last.insertedAt, last.id)
        assert.lengthOf(yield* assertIndexed(orphans.find({ ...query, after, scope: tenant(4) })), 100)
      }), 30_000)
  })
})
