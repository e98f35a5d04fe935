import { assert, describe, it } from "@effect/vitest"
import {
  Audit,
  Cursor,
  Delivery,
  Event,
  IdempotencyKey,
  Inbox,
  Ledger,
  Orphans,
  Provider,
  Recipient,
  Tenant
} from "@waybill/core"
import { PgInbox } from "@waybill/storage"
import { DateTime, Deferred, Effect, Fiber, Layer, Option, PubSub } from "effect"
import * as Arr from "effect/Array"
import { SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"
import * as TestDatabase from "./TestDatabase.ts"

const provider = Provider.Provider.make("postmark")
const tenantId = Tenant.TenantId.make("acme")
const address = Recipient.Recipient.make("someone@example.com")

const event = (
  type: Event.NewEvent["type"],
  messageId: string,
  options: Partial<Event.NewEvent> = {}
): Event.NewEvent => ({
  ...Event.NewEvent.make({
    type,
    occurredAt: DateTime.makeUnsafe("2026-01-02T03:04:05Z"),
    provider,
    providerMessageId: Option.some(Provider.MessageId.make(messageId)),
    recipient: Option.some({ address, certain: true }),
    idempotencyKey: IdempotencyKey.IdempotencyKey.make(`webhook:${messageId}:${type}`)
  }),
  ...options
})

const sent = Effect.fnUntraced(function*(messageId: string, recipient = address) {
  const ledger = yield* Ledger.Ledger
  const { delivery } = yield* ledger.record(
    Delivery.NewDelivery.make({ tenantId, recipient, mailable: "welcome", stream: "transactional" })
  )
  return (yield* ledger.dispatch(
    Delivery.Dispatch.make({ tenantId, deliveryId: delivery.id, provider, providerMessageId: messageId })
  )).delivery
})

const audit = Effect.fnUntraced(function*(operation: "verify" | "rebuild", limit = 2) {
  const stored = yield* Audit.Audit
  const found: Array<string> = []
  for (const part of ["deliveries", "orphans"] as const) {
    let after = Option.none<string>()
    do {
      const page = yield* stored[operation]({ part, scope: Tenant.all, after, limit })
      for (const drift of page.drifts) {
        found.push(drift._tag === "Projection" ? drift.fields.join(" ") : drift._tag)
      }
      after = page.next
    } while (Option.isSome(after))
  }
  return found
})

const findOrphans = (query: Orphans.Query) => Orphans.Orphans.use((orphans) => orphans.find(query))

const everyOrphan = { scope: Tenant.all, limit: 100, insertedFrom: Option.none(), failedOnly: false } as const

const sweep = Effect.gen(function*() {
  const orphans = yield* Orphans.Orphans
  const now = yield* DateTime.now
  return yield* orphans.link({
    scope: Tenant.all,
    limit: 100,
    insertedFrom: DateTime.subtract(now, { days: 7 }),
    insertedTo: DateTime.add(now, { minutes: 1 })
  })
})

describe("operations on PostgreSQL", () => {
  it.live(
    "verify finds what was changed behind the ledger, and rebuild repairs just that",
    () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const ledger = yield* Ledger.Ledger
        const first = yield* sent("m-1")
        const second = yield* sent("m-2")
        yield* ledger.append(tenantId, [event("delivered", "m-1"), event("bounced", "m-2"), event("opened", "nobody")])
        assert.deepStrictEqual(yield* audit("verify"), [])
        const before = yield* ledger.delivery({ tenantId, deliveryId: second.id })
        const untouched = yield* ledger.delivery({ tenantId, deliveryId: first.id })

        yield* sql`
        UPDATE waybill.deliveries SET terminal = false, bounced_at = NULL, status = 'queued' WHERE id = ${second.id}
      `
        yield* sql`DELETE FROM waybill.orphans`
        assert.deepStrictEqual(yield* audit("verify"), ["status terminal bouncedAt", "MissingOrphan"])
        assert.deepStrictEqual(yield* audit("rebuild"), ["status terminal bouncedAt", "MissingOrphan"])
        assert.deepStrictEqual(yield* audit("verify"), [])
        assert.deepStrictEqual(yield* audit("rebuild"), [])

        const after = yield* Effect.fromOption(yield* ledger.delivery({ tenantId, deliveryId: second.id }))
        const known = yield* Effect.fromOption(before)
        assert.deepStrictEqual({ ...after, lockVersion: 0, updatedAt: 0 }, { ...known, lockVersion: 0, updatedAt: 0 })
        assert.deepStrictEqual(yield* ledger.delivery({ tenantId, deliveryId: first.id }), untouched)
        assert.strictEqual((yield* findOrphans(everyOrphan)).length, 1)

        // A rebuilt orphan still knows whom it named.
        yield* sent("nobody", Recipient.Recipient.make("another@example.com"))
        assert.strictEqual((yield* findOrphans(everyOrphan)).length, 1)
        yield* sent("nobody", Recipient.Recipient.make("SomeOne@Example.com"))
        assert.strictEqual((yield* findOrphans(everyOrphan)).length, 0)
      }).pipe(Effect.provide(TestDatabase.ledger)),
    30_000
  )

  it.live("verify finds an orphan that is queued although it was linked", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const ledger = yield* Ledger.Ledger
      const orphans = yield* Orphans.Orphans
      yield* ledger.append(tenantId, [event("delivered", "m-1")])
      const [orphan] = yield* orphans.find(everyOrphan)
      yield* sent("m-1")
      yield* sql`
        INSERT INTO waybill.orphans (event_id, tenant_id, correlation, inserted_at)
        VALUES (${orphan?.event.id}, ${tenantId}, 'message:postmark:m-1', now())
      `
      assert.deepStrictEqual(yield* audit("verify"), ["ExtraOrphan"])
      yield* audit("rebuild")
      assert.deepStrictEqual(yield* audit("verify"), [])
    }).pipe(Effect.provide(TestDatabase.ledger)), 30_000)

  it.live(
    "a sweep takes orphans that are wrongly noted as linkable once, and brings the queue in line",
    () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const ledger = yield* Ledger.Ledger
        const orphans = yield* Orphans.Orphans
        yield* ledger.append(tenantId, [event("delivered", "m-1"), event("opened", "nobody")])
        const [linked] = yield* orphans.find(everyOrphan)
        yield* sent("m-1")
        // What a writer leaves whose triggers did not run.
        yield* sql`UPDATE waybill.orphans SET ready = true`
        yield* sql`
        INSERT INTO waybill.orphans (event_id, tenant_id, correlation, inserted_at, ready)
        VALUES (${linked?.event.id}, ${tenantId}, 'message:postmark:m-1', now(), true)
      `
        const first = yield* sweep
        assert.strictEqual(first.scanned, 2)
        assert.deepStrictEqual(first.links, [])
        assert.strictEqual((yield* sweep).scanned, 0)
        assert.deepStrictEqual(yield* audit("verify"), [])
        assert.strictEqual((yield* findOrphans(everyOrphan)).length, 1)
      }).pipe(Effect.provide(TestDatabase.ledger)),
    30_000
  )

  it.live(
    "a batch of a sweep reads no more of the queue than it takes, also where that was vacuumed while it was empty",
    () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const ledger = yield* Ledger.Ledger
        const orphans = yield* Orphans.Orphans
        const count = 3000
        yield* ledger.append(tenantId, [event("delivered", "m-0")])
        yield* sent("m-0")
        // By hand alone: the server's own vacuum may come between on a busy machine.
        yield* sql`ALTER TABLE waybill.orphans SET (autovacuum_enabled = false)`
        yield* sql`VACUUM (ANALYZE, TRUNCATE false) waybill.orphans`
        const ids = Array.from({ length: count }, (_, index) => `m-${index + 1}`)
        for (const some of Arr.chunksOf(ids, 1000)) {
          yield* ledger.append(
            tenantId,
            some.map((id) => event("delivered", id))
          )
        }
        yield* sql`
          INSERT INTO waybill.deliveries (id, tenant_id, mailable, stream, recipient, provider, provider_message_id)
          SELECT gen_random_uuid(), ${tenantId}, 'welcome', 'transactional', ${address}, ${provider}, 'm-' || n
          FROM generate_series(1, ${count}::integer) n
        `
        const limit = 100
        const read = yield* sql.withTransaction(Effect.gen(function*() {
          const now = yield* DateTime.now
          const insertedFrom = DateTime.subtract(now, { days: 1 })
          const { links } = yield* orphans.link({ scope: Tenant.all, limit, insertedFrom, insertedTo: now })
          assert.lengthOf(links, limit)
          return yield* sql<{ readonly rows: number }>`
            SELECT (seq_tup_read + idx_tup_fetch)::integer AS rows FROM pg_stat_xact_user_tables
            WHERE schemaname = 'waybill' AND relname = 'orphans'
          `
        }))
        assert.isBelow(read[0]?.rows ?? count, 10 * limit)
      }).pipe(Effect.provide(TestDatabase.ledger)),
    30_000
  )

  it.live(
    "a delivery that another writer deleted is recorded again with the events it has",
    () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const ledger = yield* Ledger.Ledger
        const { id, insertedAt } = yield* sent("m-1")
        yield* ledger.append(tenantId, [event("delivered", "m-1")])
        yield* sql`DELETE FROM waybill.deliveries`
        const updates = yield* ledger.updates
        const again = yield* ledger.record(
          Delivery.NewDelivery.make({
            tenantId,
            id: Option.some(id),
            recipient: address,
            mailable: "welcome",
            stream: "transactional"
          })
        )
        assert.isTrue(again.created)
        assert.strictEqual(again.delivery.status, "sent")
        assert.isTrue(again.delivery.terminal)
        assert.deepStrictEqual(yield* ledger.delivery({ tenantId, deliveryId: id }), Option.some(again.delivery))

        const dispatched = yield* ledger.dispatch(
          Delivery.Dispatch.make({ tenantId, deliveryId: id, provider, providerMessageId: "m-2" })
        )
        assert.deepStrictEqual(dispatched.delivery.dispatchedAt, again.delivery.dispatchedAt)
        assert.isTrue(DateTime.isLessThan(insertedAt, dispatched.delivery.insertedAt))
        assert.deepStrictEqual(yield* ledger.delivery({ tenantId, deliveryId: id }), Option.some(dispatched.delivery))
        assert.deepStrictEqual(yield* audit("verify"), [])
        assert.lengthOf(yield* PubSub.takeUpTo(updates, 10), 0)
      }).pipe(Effect.scoped, Effect.provide(TestDatabase.ledger)),
    30_000
  )

  it.live(
    "a delivery whose message id another writer took away is dispatched again as of the first time",
    () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const ledger = yield* Ledger.Ledger
        const first = yield* sent("m-1")
        yield* sql`UPDATE waybill.deliveries SET provider = NULL, provider_message_id = NULL`
        yield* ledger.append(tenantId, [event("opened", "m-2")])
        const updates = yield* ledger.updates
        const again = yield* ledger.dispatch(
          Delivery.Dispatch.make({ tenantId, deliveryId: first.id, provider, providerMessageId: "m-2" })
        )
        assert.strictEqual(again.linked, 1)
        assert.deepStrictEqual(again.delivery.dispatchedAt, first.dispatchedAt)
        assert.deepStrictEqual(yield* ledger.delivery({ tenantId, deliveryId: first.id }), Option.some(again.delivery))
        assert.deepStrictEqual(yield* audit("verify"), [])
        assert.deepStrictEqual((yield* PubSub.takeUpTo(updates, 10)).map(({ type }) => type), ["opened"])
      }).pipe(Effect.scoped, Effect.provide(TestDatabase.ledger)),
    30_000
  )

  it.live("the feed passes over no event of a transaction that is still open", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const ledger = yield* Ledger.Ledger
      const seen: Array<string> = []
      let cursor = Cursor.start
      const follow = Effect.gen(function*() {
        while (true) {
          const page = yield* ledger.changes({ scope: Tenant.all, after: cursor, limit: 3 })
          if (page.length === 0) return
          for (const change of page) {
            seen.push(change.event.idempotencyKey)
            cursor = change.cursor
          }
        }
      })
      const opened = yield* Deferred.make<void>()
      const close = yield* Deferred.make<void>()
      const slow = yield* sql.withTransaction(Effect.gen(function*() {
        yield* ledger.append(tenantId, [event("delivered", "slow")])
        yield* Deferred.succeed(opened, undefined)
        yield* Deferred.await(close)
      })).pipe(Effect.forkChild)
      yield* Deferred.await(opened)
      for (let index = 0; index < 5; index++) yield* ledger.append(tenantId, [event("opened", `fast-${index}`)])
      yield* follow
      assert.deepStrictEqual(seen, [])
      yield* Deferred.succeed(close, undefined)
      yield* Fiber.join(slow)
      // Transactions of other databases of the server, such as those of other tests, delay the feed.
      while (seen.length < 6) yield* follow
      assert.strictEqual(seen.length, 6)
      assert.strictEqual(new Set(seen).size, 6)
      yield* ledger.append(tenantId, [event("clicked", "last")])
      while (seen.length < 7) yield* follow
      assert.strictEqual(seen.at(-1), "webhook:last:clicked")
    }).pipe(Effect.provide(TestDatabase.ledger)), 30_000)

  it.live("the feed gives each of many concurrent events once", () =>
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const total = 600
      const writers = yield* Effect.forEach(
        Array.from({ length: total }, (_, index) => index),
        (index) => ledger.append(tenantId, [event("opened", `m-${index}`)]),
        { concurrency: 8, discard: true }
      ).pipe(Effect.forkChild)
      const seen: Array<string> = []
      let cursor = Cursor.start
      while (seen.length < total) {
        const page = yield* ledger.changes({ scope: tenantId, after: cursor, limit: 50 })
        for (const change of page) {
          seen.push(change.event.id)
          cursor = change.cursor
        }
      }
      yield* Fiber.join(writers)
      assert.deepStrictEqual(yield* ledger.changes({ scope: tenantId, after: cursor, limit: 50 }), [])
      assert.strictEqual(new Set(seen).size, total)
    }).pipe(Effect.provide(TestDatabase.ledger)), 60_000)

  it.live(
    "sets aside an orphan that fails by itself, links the rest, and tries it again later",
    () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const ledger = yield* Ledger.Ledger
        const orphans = yield* Orphans.Orphans
        yield* ledger.append(tenantId, [
          event("delivered", "m-1"),
          event("delivered", "m-2"),
          event("delivered", "m-3")
        ])
        const bad = (yield* orphans.find(everyOrphan)).find(({ event }) =>
          Option.getOrNull(event.providerMessageId) === "m-2"
        )
        const badId = yield* Effect.fromNullishOr(bad?.event.id)
        yield* sql.unsafe(`
        CREATE FUNCTION waybill.fail_one() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN IF NEW.source_event_id = '${badId}' THEN RAISE EXCEPTION 'no' USING ERRCODE = '22000'; END IF; RETURN NEW; END $$
      `)
        yield* sql`CREATE TRIGGER fail_one BEFORE INSERT ON waybill.events FOR EACH ROW EXECUTE FUNCTION waybill.fail_one()`
        yield* sql`
        INSERT INTO waybill.deliveries (tenant_id, mailable, stream, recipient, provider, provider_message_id)
        SELECT ${tenantId}, 'welcome', 'bulk', ${address}, 'postmark', 'm-' || n FROM generate_series(1, 3) n
      `
        const swept = yield* sweep
        assert.deepStrictEqual([swept.scanned, swept.links.length, swept.failed], [3, 2, 1])
        assert.deepStrictEqual((yield* sweep).scanned, 0)
        const failed = yield* orphans.find({ ...everyOrphan, failedOnly: true })
        assert.deepStrictEqual(failed.map(({ event }) => event.id), [badId])
        const explanation = yield* orphans.explain({ tenantId, eventId: badId })
        assert(explanation._tag === "SetAside")
        const { attempts, nextAttemptAt, reason } = explanation
        assert.deepStrictEqual(
          failed[0]?.failure,
          Option.some({ attempts, reason, nextAttemptAt: Option.some(nextAttemptAt) })
        )
        assert.deepInclude(explanation, { attempts: 1, reason: "UnknownError" })
        yield* sql`DROP TRIGGER fail_one ON waybill.events`
        assert.strictEqual((yield* sweep).scanned, 0)
        assert.isTrue(yield* orphans.retry({ tenantId, eventId: badId }))
        const [released] = yield* orphans.find({ ...everyOrphan, failedOnly: true })
        assert.deepStrictEqual(released?.failure, Option.some({ attempts, reason, nextAttemptAt: Option.none() }))
        assert.strictEqual((yield* sweep).links.length, 1)
        assert.deepStrictEqual(yield* audit("verify"), [])
      }).pipe(Effect.provide(TestDatabase.ledger)),
    30_000
  )

  it.live("gives every tenant its share of a batch", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const ledger = yield* Ledger.Ledger
      const orphans = yield* Orphans.Orphans
      const small = Tenant.TenantId.make("small")
      const tiny = Tenant.TenantId.make("tiny")
      yield* ledger.append(tenantId, Array.from({ length: 40 }, (_, index) => event("opened", `m-${index}`)))
      yield* ledger.append(small, [event("opened", "m-0"), event("opened", "m-1")])
      yield* ledger.append(tiny, [event("opened", "m-0")])
      yield* sql`
        INSERT INTO waybill.deliveries (tenant_id, mailable, stream, recipient, provider, provider_message_id)
        SELECT tenant, 'welcome', 'bulk', ${address}, 'postmark', 'm-' || n
        FROM generate_series(0, 39) n CROSS JOIN unnest(ARRAY['acme', 'small', 'tiny']) tenant
      `
      const now = yield* DateTime.now
      const window = {
        insertedFrom: DateTime.subtract(now, { days: 7 }),
        insertedTo: DateTime.add(now, { minutes: 1 })
      }
      const batch = yield* orphans.link({ scope: Tenant.all, limit: 9, ...window })
      const shares = (of: string) => batch.links.filter((link) => link.tenantId === of).length
      assert.deepStrictEqual([shares(tenantId), shares(small), shares(tiny)], [3, 2, 1])
      const next = yield* orphans.link({ scope: Tenant.all, limit: 9, ...window })
      assert.strictEqual(next.links.length, 9)
      assert.strictEqual((yield* orphans.link({ scope: Tenant.all, limit: 100, ...window })).links.length, 28)
      assert.strictEqual((yield* orphans.link({ scope: Tenant.all, limit: 100, ...window })).scanned, 0)
    }).pipe(Effect.provide(TestDatabase.ledger)), 30_000)

  it.live(
    "notices at once a delivery that another program writes, also beside an open transaction of ours",
    () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const ledger = yield* Ledger.Ledger
        const opened = yield* Deferred.make<void>()
        const close = yield* Deferred.make<void>()
        const appending = yield* sql.withTransaction(Effect.gen(function*() {
          yield* ledger.append(tenantId, [event("delivered", "<m-1>")])
          yield* Deferred.succeed(opened, undefined)
          yield* Deferred.await(close)
        })).pipe(Effect.forkChild)
        yield* Deferred.await(opened)
        const writing = yield* sql`
        INSERT INTO waybill.deliveries (tenant_id, mailable, stream, recipient, provider, provider_message_id)
        VALUES (${tenantId}, 'welcome', 'bulk', 'SOMEONE@example.com', 'postmark', '<m-1>')
      `.pipe(Effect.forkChild)
        yield* Effect.sleep("100 millis")
        yield* Deferred.succeed(close, undefined)
        yield* Fiber.join(appending)
        yield* Fiber.join(writing)
        assert.strictEqual((yield* sweep).links.length, 1)
        assert.strictEqual((yield* sweep).scanned, 0)
        const [delivery] = yield* ledger.deliveries({ tenantId, after: Option.none(), limit: 10 })
        assert.strictEqual(Option.getOrNull(delivery?.lastEventType ?? Option.none()), "delivered")
      }).pipe(Effect.provide(TestDatabase.ledger)),
    30_000
  )

  it.live(
    "forgets a recipient: no trace of the address, and nothing links to it any more",
    () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const ledger = yield* Ledger.Ledger
        const inbox = yield* Inbox.Inbox
        const other = Recipient.Recipient.make("other@example.com")
        const kept = yield* sent("m-0", other)
        const erased = yield* sent("m-1")
        yield* ledger.append(tenantId, [event("delivered", "m-1"), event("opened", "m-2")])
        const body = (text: string) => new TextEncoder().encode(text)
        const raw = yield* inbox.store({
          tenantId,
          provider,
          headers: {},
          body: body(
            `{"Recipient":"Someone@Example.com","also":"x-someone@example.com","esc":"\\u003csomeone@example.com>"}`
          ),
          token: Option.none()
        })
        const asked = { tenantId, recipient: Recipient.Recipient.make("SOMEONE@example.com") }
        assert.deepStrictEqual(yield* ledger.forget(asked), { deliveries: 1, orphans: 1 })
        assert.strictEqual(yield* inbox.forget(asked), 1)
        assert.deepStrictEqual(yield* ledger.forget(asked), { deliveries: 0, orphans: 0 })

        const found = yield* Effect.fromOption(yield* ledger.delivery({ tenantId, deliveryId: erased.id }))
        assert.isTrue(Option.isNone(found.recipient))
        assert.isTrue(Option.isNone(found.recipientDomain))
        assert.isTrue(Option.isSome(found.deliveredAt))
        assert.isTrue(
          Option.isSome((yield* Effect.fromOption(yield* ledger.delivery({ tenantId, deliveryId: kept.id }))).recipient)
        )
        const webhook = yield* Effect.fromOption(yield* inbox.get(tenantId, raw.id))
        const text = new TextDecoder().decode(webhook.body)
        assert.include(text, "x-someone@example.com")
        assert.strictEqual(text.toLowerCase().split("someone@example.com").length, 2)

        const [act] = yield* sql<{ readonly act: string; readonly deliveries: number }>`
        SELECT act, deliveries FROM waybill.acts WHERE act = 'forget' ORDER BY id LIMIT 1
      `
        assert.deepStrictEqual(act, { act: "forget", deliveries: 1 })
        const tables = yield* sql<{ readonly name: string }>`
        SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'waybill'
      `
        for (const { name } of tables) {
          const rows = yield* sql.unsafe<{ readonly row: string }>(`SELECT t::text AS row FROM waybill.${name} t`)
          for (const row of rows) {
            const shown = row.row.toLowerCase().replaceAll("x-someone@", "")
            assert.notInclude(shown, "someone@example.com", name)
          }
        }
        // The orphan named the recipient; its name cannot be found again.
        yield* sent("m-2")
        assert.strictEqual((yield* findOrphans(everyOrphan)).length, 1)
        assert.deepStrictEqual(yield* audit("verify"), [])
      }).pipe(Effect.provide(PgInbox.layer().pipe(Layer.provideMerge(TestDatabase.ledger)))),
    30_000
  )

  it.live("an event that comes again ties nothing to a recipient who was forgotten", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const ledger = yield* Ledger.Ledger
      const reports = [event("delivered", "m-1"), event("opened", "m-1")]
      yield* ledger.append(tenantId, reports.slice(0, 1))
      assert.lengthOf(yield* sql`SELECT pseudonym FROM waybill.recipients`, 1)
      yield* ledger.forget({ tenantId, recipient: address })
      const [outcome] = yield* ledger.append(tenantId, reports.slice(0, 1))
      assert.strictEqual(outcome?._tag, "Duplicate")
      assert.lengthOf(yield* sql`SELECT pseudonym FROM waybill.recipients`, 0)
      const outcomes = yield* ledger.append(tenantId, reports)
      assert.deepStrictEqual(outcomes.map(({ _tag }) => _tag), ["Duplicate", "Appended"])
      assert.lengthOf(yield* sql`SELECT pseudonym FROM waybill.recipients`, 1)
    }).pipe(Effect.provide(TestDatabase.ledger)), 30_000)

  it.live("keeps a role that owns nothing from changing events, by any way", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sent("m-1")
      for (
        const statement of [
          "UPDATE waybill.events SET type = 'bounced'",
          "DELETE FROM waybill.events",
          "TRUNCATE waybill.events",
          "ALTER TABLE waybill.events DISABLE TRIGGER ALL",
          "SET session_replication_role = replica",
          "DROP TABLE waybill.events",
          "SELECT secret FROM waybill.secrets"
        ]
      ) {
        const error = yield* Effect.flip(sql.unsafe(statement))
        assert.strictEqual(error.reason._tag, "AuthorizationError", statement)
      }
      // Without a tenant nothing is seen; with one, its own rows.
      assert.deepStrictEqual(yield* sql`SELECT id FROM waybill.deliveries`, [])
      const counted = yield* sql.withTransaction(Effect.gen(function*() {
        yield* sql`SELECT set_config('waybill.tenant_id', ${tenantId}, true)`
        return yield* sql`SELECT id FROM waybill.deliveries`
      }))
      assert.strictEqual(counted.length, 1)
    }).pipe(Effect.provide(TestDatabase.restricted), Effect.provide(SecureRandom.layerWebCrypto)), 30_000)
})
