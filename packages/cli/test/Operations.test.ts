import { assert, describe, it } from "@effect/vitest"
import { PgServer } from "@waybill/storage"
import { DateTime, Effect, Redacted, Schema } from "effect"
import { SqlClient } from "effect/sql"
import * as Waybill from "./Waybill.ts"

type Env = Effect.Success<typeof Waybill.server>

const address = "reader@example.com"

const record = ["record", "--recipient", address, "--mailable", "welcome", "--stream", "transactional"]

const delivered = (messageId: string, recipient = address) =>
  JSON.stringify({
    RecordType: "Delivery",
    ServerID: 1,
    MessageID: messageId,
    Recipient: recipient,
    DeliveredAt: "2026-11-01T10:00:00Z",
    Metadata: {}
  })

const ingest = (env: Env, body: string) =>
  Waybill.json(Waybill.Ingested, ["ingest", "--provider", "postmark", "--unverified"], env, body)

/** What another program does behind the ledger. */
const behind = (env: Env, statement: (sql: SqlClient.SqlClient, schema: string) => Effect.Effect<unknown, unknown>) =>
  SqlClient.SqlClient.use((sql) => statement(sql, env.WAYBILL_SCHEMA)).pipe(
    Effect.provide(PgServer.layer(Redacted.make(env.WAYBILL_DATABASE_URL)))
  )

const Audited = Schema.Struct({
  deliveries: Schema.Int,
  orphans: Schema.Int,
  drifted: Schema.Int,
  drifts: Schema.Array(
    Schema.Struct({
      drift: Schema.String,
      tenantId: Schema.String,
      id: Schema.String,
      fields: Schema.Array(Schema.String)
    })
  )
})

const Explained = Schema.Struct({ eventId: Schema.String, state: Schema.String, because: Schema.String })

describe("operating the ledger by hand", () => {
  it.live("verify exits 1 on a drift and names it, rebuild repairs it", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      const { id } = yield* Waybill.json(Waybill.Recorded, record, env)
      yield* Waybill.run(["dispatch", id, "--provider", "postmark", "--provider-message-id", "m-1"], env)
      yield* ingest(env, delivered("m-1"))
      assert.strictEqual((yield* Waybill.json(Audited, ["verify"], env)).drifted, 0)
      const before = yield* Waybill.json(Waybill.Shown, ["show", id], env)

      yield* behind(
        env,
        (sql, schema) => sql`UPDATE ${sql(schema)}.deliveries SET terminal = false, delivered_at = NULL`
      )
      const found = yield* Waybill.run(["verify", "--json"], env)
      assert.strictEqual(found.code, 1)
      const { drifts } = yield* Schema.decodeEffect(Schema.fromJsonString(Audited))(found.stdout)
      assert.deepStrictEqual(drifts, [
        { drift: "Projection", tenantId: "default", id, fields: ["terminal", "deliveredAt"] }
      ])
      assert.match(found.stderr, /^waybill: 1 drifts from the ledger; waybill rebuild repairs them\n$/)
      assert.match((yield* Waybill.run(["verify"], env)).stdout, /Projection +default/)

      assert.strictEqual((yield* Waybill.json(Audited, ["rebuild"], env)).drifted, 1)
      assert.strictEqual((yield* Waybill.json(Audited, ["verify"], env)).drifted, 0)
      const after = yield* Waybill.json(Waybill.Shown, ["show", id], env)
      const { lockVersion: _, updatedAt: __, ...repaired } = after.delivery
      const { lockVersion: ___, updatedAt: ____, ...known } = before.delivery
      assert.deepStrictEqual(repaired, known)
    }), 120_000)

  it.live("an orphan can be explained, linked and dismissed by hand", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      const [first] = (yield* ingest(env, delivered("m-1", "another@example.com"))).events
      const [second] = (yield* ingest(env, delivered("m-2"))).events
      const { id } = yield* Waybill.json(Waybill.Recorded, record, env)
      yield* Waybill.run(["dispatch", id, "--provider", "postmark", "--provider-message-id", "m-1"], env)
      const one = first?.id ?? ""
      const two = second?.id ?? ""

      assert.strictEqual((yield* Waybill.json(Explained, ["orphans", "explain", one], env)).state, "OtherRecipient")
      const nobody = yield* Waybill.json(Explained, ["orphans", "explain", two], env)
      assert.strictEqual(nobody.because, "no delivery has message:postmark:m-2")
      assert.strictEqual((yield* Waybill.run(["orphans", "explain", id], env)).code, 1)

      assert.match((yield* Waybill.run(["orphans", "link", one, id], env)).stdout, /^linked\n$/)
      assert.strictEqual((yield* Waybill.json(Explained, ["orphans", "explain", one], env)).state, "Linked")
      assert.match((yield* Waybill.run(["orphans", "dismiss", two], env)).stdout, /^dismissed\n$/)
      assert.strictEqual((yield* Waybill.json(Explained, ["orphans", "explain", two], env)).state, "Dismissed")
      assert.deepStrictEqual(yield* Waybill.json(Waybill.Orphans, ["orphans"], env), { orphans: [] })
      assert.match((yield* Waybill.run(["orphans", "retry", two], env)).stdout, /^it was not set aside\n$/)
      assert.strictEqual((yield* Waybill.json(Audited, ["verify"], env)).drifted, 0)
    }), 120_000)

  it.live(
    "an orphan that was set aside is shown with its reason and when it is tried again",
    () =>
      Effect.gen(function*() {
        const env = yield* Waybill.migrated
        const [event] = (yield* ingest(env, delivered("m-1"))).events
        const bad = event?.id ?? assert.fail("no event")
        yield* ingest(env, delivered("m-2"))
        yield* behind(env, (sql, schema) =>
          Effect.andThen(
            sql`
            INSERT INTO ${
              sql(schema)
            }.deliveries (tenant_id, mailable, stream, recipient, provider, provider_message_id)
            VALUES ('default', 'welcome', 'bulk', ${address}, 'postmark', 'm-1')
          `,
            sql.unsafe(`ALTER TABLE "${schema}".events ADD CHECK (source_event_id IS NULL) NOT VALID`)
          ))
        const swept = yield* Waybill.json(Waybill.Swept, ["reconcile", "--grace", "0s"], env)
        assert.deepInclude(swept, { scanned: 1, linked: 0, failed: 1 })

        const { orphans } = yield* Waybill.json(Waybill.Orphans, ["orphans", "--failed"], env)
        assert.lengthOf(orphans, 1)
        assert.deepInclude(orphans[0], { eventId: bad, attempts: 1, reason: "ConstraintError" })
        const at = orphans[0]?.nextAttemptAt ?? assert.fail("no next attempt")
        const table = yield* Waybill.run(["orphans", "--failed"], env)
        assert.include(table.stdout, ` failed 1 times (ConstraintError), next try at ${at}\n`)
        const all = yield* Waybill.json(Waybill.Orphans, ["orphans"], env)
        assert.deepStrictEqual(all.orphans.map(({ attempts, reason }) => [attempts, reason]), [
          [1, "ConstraintError"],
          [0, null]
        ])

        yield* Waybill.run(["orphans", "retry", bad], env)
        const released = yield* Waybill.run(["orphans", "--failed"], env)
        assert.match(released.stdout, / failed 1 times \(ConstraintError\), next try by the next sweep\n$/)
      }),
    120_000
  )

  it.live("a recipient can be forgotten, and a delivery shown as it was known", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      const { id } = yield* Waybill.json(Waybill.Recorded, record, env)
      yield* Waybill.run(["dispatch", id, "--provider", "postmark", "--provider-message-id", "m-1"], env)
      const between = DateTime.formatIso(yield* DateTime.now)
      yield* Effect.sleep("20 millis")
      yield* ingest(env, delivered("m-1"))
      const then = yield* Waybill.json(Waybill.Shown, ["show", id, "--as-of", between], env)
      assert.deepInclude(then.delivery, { lastEventType: "dispatched", terminal: false, deliveredAt: null })
      assert.sameMembers(then.timeline.map(({ type }) => type), ["queued", "dispatched"])

      const Forgotten = Schema.Struct({ deliveries: Schema.Int, orphans: Schema.Int, webhooks: Schema.Int })
      const forgotten = yield* Waybill.json(Forgotten, ["forget", "--recipient", "READER@example.com"], env)
      assert.strictEqual(forgotten.deliveries, 1)
      const now = yield* Waybill.json(Waybill.Shown, ["show", id], env)
      assert.deepInclude(now.delivery, { recipient: null, recipientDomain: null, lastEventType: "delivered" })
    }), 120_000)

  it.live("a dispatch of a version that has passed is refused", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      const { id } = yield* Waybill.json(Waybill.Recorded, record, env)
      const dispatch = ["dispatch", id, "--provider", "postmark", "--provider-message-id", "m", "--expected-version"]
      const stale = yield* Waybill.run([...dispatch, "7"], env)
      assert.deepStrictEqual([stale.code, stale.stdout], [1, ""])
      assert.strictEqual(stale.stderr, `waybill: delivery ${id} is at version 1, not 7\n`)
      assert.strictEqual((yield* Waybill.run([...dispatch, "1"], env)).code, 0)
    }), 120_000)

  it.live("a link by hand to a version that has passed is refused", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      const { id } = yield* Waybill.json(Waybill.Recorded, record, env)
      const [orphan] = (yield* ingest(env, delivered("m-1"))).events
      const link = ["orphans", "link", orphan?.id ?? "", id, "--expected-version"]
      const stale = yield* Waybill.run([...link, "7"], env)
      assert.deepStrictEqual([stale.code, stale.stdout], [1, ""])
      assert.strictEqual(stale.stderr, `waybill: delivery ${id} is at version 1, not 7\n`)
      assert.match((yield* Waybill.run([...link, "1"], env)).stdout, /^linked\n$/)
    }), 120_000)

  it.live("a role that owns nothing is let use the ledger, and no more", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.server
      const role = `app_${globalThis.crypto.randomUUID().replaceAll("-", "")}`
      const drop = behind(env, (sql) =>
        Effect.andThen(sql.unsafe(`DROP OWNED BY ${role}`), sql.unsafe(`DROP ROLE ${role}`)))
      yield* Effect.addFinalizer(() =>
        Effect.orDie(drop)
      )
      assert.strictEqual((yield* Waybill.run(["migrate", "--grant-to", role, "--row-level-security"], env)).code, 0)
      yield* behind(env, (sql) => sql.unsafe(`ALTER ROLE ${role} LOGIN PASSWORD 'waybill'`))
      const url = new URL(env.WAYBILL_DATABASE_URL)
      url.username = role
      url.password = "waybill"
      const own = { ...env, WAYBILL_DATABASE_URL: url.href, WAYBILL_ROW_LEVEL_SECURITY: "true" }
      const { id } = yield* Waybill.json(Waybill.Recorded, record, own)
      yield* Waybill.json(Waybill.Shown, ["show", id], own)
      assert.strictEqual((yield* Waybill.run(["migrate"], { ...own, WAYBILL_SCHEMA: "elsewhere" })).code, 1)
    }), 120_000)
})
