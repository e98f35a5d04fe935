import { assert, describe, it } from "@effect/vitest"
import { Audit, Delivery, Event, IdempotencyKey, Ledger, Orphans, Provider, Recipient, Tenant } from "@waybill/core"
import { PgLedger, PgLite, PgMigrations, PgServer } from "@waybill/storage"
import { DateTime, Effect, Layer, Option } from "effect"
import { SecureRandom } from "effect/crypto"
import { Migrator, SqlClient } from "effect/sql"
import * as migration0001 from "../src/internal/migrations/migration0001.ts"
import * as migration0002 from "../src/internal/migrations/migration0002.ts"
import * as migration0003 from "../src/internal/migrations/migration0003.ts"
import * as TestDatabase from "./TestDatabase.ts"

const bare = Layer.unwrap(Effect.map(TestDatabase.fresh, (url) => PgServer.layer(url)))

/** The schema as it was before an echoed delivery id decided alone. */
const before = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const all = (statements: ReadonlyArray<string>) =>
    Effect.forEach(statements, (statement) => sql.unsafe(statement), { discard: true })
  yield* sql`CREATE SCHEMA waybill`
  yield* Migrator.make({})({
    table: "waybill.migrations",
    loader: Migrator.fromRecord({
      "0001_create_ledger": all(migration0001.statements("waybill")),
      "0002_create_inbox_and_sweeps": all(migration0002.statements("waybill")),
      "0003_compare_canonical_forms": all(migration0003.statements("waybill"))
    })
  })
})

const tenantId = Tenant.defaultTenantId
const at = DateTime.makeUnsafe("2026-03-04T10:26:07.000Z")
const deliveryId = Event.DeliveryId.make("0190f3e2-0000-7000-8000-00000000002a")

const delivery = Delivery.NewDelivery.make({
  id: Option.some(deliveryId),
  tenantId,
  recipient: Recipient.Recipient.make("ann@example.com"),
  mailable: "welcome",
  stream: "transactional"
})

const report = Event.NewEvent.make({
  type: "bounced",
  occurredAt: at,
  provider: Provider.Provider.make("postmark"),
  echoedDeliveryId: Option.some(deliveryId),
  recipient: Option.some({ address: Recipient.Recipient.make("ann@elsewhere.example"), certain: true }),
  idempotencyKey: IdempotencyKey.IdempotencyKey.make("one")
})

const suite = (name: string, layer: Layer.Layer<SqlClient.SqlClient, unknown>) =>
  describe(`an echoed delivery id (${name})`, () => {
    it.live("frees what waited for it under another recipient's name", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* before
        yield* sql`
          WITH added AS (
            INSERT INTO waybill.events (id, tenant_id, type, occurred_at, inserted_at, provider, echoed_delivery_id,
              recipient_pseudonym, needs_reconciliation, idempotency_key)
            VALUES (gen_random_uuid(), ${tenantId}, 'bounced', ${DateTime.formatIso(at)}::text::timestamptz, now(),
              'postmark', ${deliveryId}, waybill.recipient_pseudonym(${tenantId}, 'ann@elsewhere.example'), true, 'one')
            RETURNING id, inserted_at
          )
          INSERT INTO waybill.orphans (event_id, tenant_id, correlation, recipient_digest, inserted_at)
          SELECT id, ${tenantId}, ${`delivery:${deliveryId}`},
            waybill.recipient_digest(${tenantId}, 'ann@elsewhere.example'), inserted_at
          FROM added
        `
        yield* sql`
          INSERT INTO waybill.deliveries (id, tenant_id, mailable, stream, recipient)
          VALUES (${deliveryId}, ${tenantId}, 'welcome', 'transactional', 'ann@example.com')
        `
        assert.deepStrictEqual(yield* sql`SELECT ready FROM waybill.orphans`, [{ ready: false }])
        yield* PgMigrations.migrate()
        assert.deepStrictEqual(yield* sql`SELECT ready FROM waybill.orphans`, [{ ready: true }])
        yield* Effect.gen(function*() {
          const ledger = yield* Ledger.Ledger
          const orphans = yield* Orphans.Orphans
          const again = yield* ledger.append(tenantId, [report])
          assert.deepStrictEqual(again.map(({ _tag }) => _tag), ["Duplicate"])
          const now = yield* DateTime.now
          const { links } = yield* orphans.link({
            scope: tenantId,
            insertedFrom: DateTime.subtract(now, { hours: 1 }),
            insertedTo: DateTime.add(now, { hours: 1 }),
            limit: 10
          })
          assert.deepStrictEqual(links.map(({ deliveryId }) => deliveryId), [deliveryId])
          const found = yield* ledger.delivery({ tenantId, deliveryId })
          assert.deepStrictEqual(Option.flatMap(found, ({ bouncedAt }) => bouncedAt), Option.some(at))
        }).pipe(Effect.provide(PgLedger.layer()), Effect.provide(SecureRandom.layerWebCrypto))
      }).pipe(Effect.provide(layer)), 60_000)

    it.live("decides in the queue that a rebuild makes again", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* PgMigrations.migrate()
        yield* Effect.gen(function*() {
          const ledger = yield* Ledger.Ledger
          const audit = yield* Audit.Audit
          yield* ledger.append(tenantId, [report])
          // As an older program, which may still run beside this one, writes it.
          yield* sql`UPDATE waybill.orphans SET recipient_digest = '\\x00', ready = true`
          const { drifts } = yield* audit.rebuild({ scope: tenantId, part: "orphans", limit: 10, after: Option.none() })
          assert.lengthOf(drifts, 1)
          assert.deepStrictEqual(
            yield* sql`SELECT ready, recipient_digest AS digest FROM waybill.orphans`,
            [{ ready: false, digest: null }]
          )
          const { linked } = yield* ledger.record(delivery)
          assert.strictEqual(linked, 1)
        }).pipe(Effect.provide(PgLedger.layer()), Effect.provide(SecureRandom.layerWebCrypto))
      }).pipe(Effect.provide(layer)), 60_000)
  })

suite("PostgreSQL", bare)
suite("PGlite", PgLite.layer({ empty: true }))
