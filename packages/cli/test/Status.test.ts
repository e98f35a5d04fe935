import { assert, describe, it } from "@effect/vitest"
import { Inbox, Provider, Tenant, Ticks } from "@waybill/core"
import { PgLite, PgServer, PgStorage } from "@waybill/storage"
import { DateTime, Effect, Layer, Option, Redacted, Schema } from "effect"
import { SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"
import * as Serving from "./Serving.ts"
import * as Waybill from "./Waybill.ts"

type Env = Waybill.Env

const storage = ({ WAYBILL_DATABASE_URL, WAYBILL_SCHEMA }: Env) =>
  PgStorage.layer({ schema: WAYBILL_SCHEMA }).pipe(
    Layer.provideMerge(PgServer.layer(Redacted.make(WAYBILL_DATABASE_URL), { maxConnections: 2 })),
    Layer.provide(SecureRandom.layerWebCrypto)
  )

const Status = Schema.Struct({
  schema: Schema.Struct({ name: Schema.String, version: Schema.String, pending: Schema.Array(Schema.String) }),
  expired: Schema.Int,
  backlog: Schema.Array(Schema.Struct({
    tenantId: Schema.String,
    pending: Schema.Int,
    expired: Schema.Int,
    failed: Schema.Int,
    oldest: Schema.String,
    oldestAgeSeconds: Schema.Int
  })),
  sweeps: Schema.Array(Schema.Struct({
    schedule: Schema.String,
    node: Schema.String,
    endedAt: Schema.NullOr(Schema.String),
    counts: Schema.Record(Schema.String, Schema.Int),
    error: Schema.NullOr(Schema.String)
  })),
  webhooks: Schema.Array(Schema.Struct({ tenantId: Schema.String, status: Schema.String, count: Schema.Int })),
  dead: Schema.Array(
    Schema.Struct({ id: Schema.String, provider: Schema.String, lastError: Schema.NullOr(Schema.String) })
  )
})

const Doctor = Schema.Struct({
  ok: Schema.Boolean,
  checks: Schema.Array(
    Schema.Struct({ check: Schema.String, ok: Schema.Boolean, found: Schema.String, advice: Schema.String })
  )
})

/** What the doctor prints, which may end with 1. */
const examined = Effect.fnUntraced(function*(env: Readonly<Record<string, string>>) {
  const { code, stderr, stdout } = yield* Waybill.run(["doctor", "--json"], env)
  assert.notStrictEqual(stdout, "", stderr)
  const document = yield* Effect.orDie(Schema.decodeEffect(Schema.fromJsonString(Doctor))(stdout))
  assert.strictEqual(code, document.ok ? 0 : 1)
  return document
})

const wrong = (document: typeof Doctor.Type) => document.checks.filter(({ ok }) => !ok).map(({ check }) => check)

const delivered = JSON.stringify({ RecordType: "Delivery", MessageID: "m", Recipient: "reader@example.com" })

describe("status", () => {
  it.live("shows the backlog of each tenant, the last sweeps and what was given up", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      const empty = yield* Waybill.json(Status, ["status"], env)
      assert.strictEqual(empty.schema.name, env.WAYBILL_SCHEMA)
      assert.deepInclude(empty, { backlog: [], sweeps: [], webhooks: [], dead: [], expired: 0 })

      for (const tenantId of ["acme", "default"]) {
        const args = ["ingest", "--provider", "postmark", "--unverified", "--tenant-id", tenantId]
        yield* Waybill.json(Waybill.Ingested, args, env, delivered)
      }
      const dead = yield* Effect.gen(function*() {
        const inbox = yield* Inbox.Inbox
        const ticks = yield* Ticks.Ticks
        const stored = yield* inbox.store({
          tenantId: Tenant.TenantId.make("acme"),
          provider: Provider.Provider.make("postmark"),
          headers: {},
          body: new Uint8Array(),
          token: Option.none()
        })
        const key = { tenantId: Tenant.TenantId.make("acme"), id: stored.id }
        yield* inbox.finish(key, { _tag: "Dead", reason: "it was never understood" })
        const tick = { schedule: "reconcile", tick: DateTime.makeUnsafe("2026-11-20T12:00:00Z") }
        yield* ticks.claim({ ...tick, node: "one" })
        yield* ticks.finish(tick, { counts: { scanned: 2, linked: 1 }, error: Option.none() })
        return stored.id
      }).pipe(Effect.provide(storage(env)))

      const status = yield* Waybill.json(Status, ["status"], env)
      assert.deepStrictEqual(
        status.backlog.map(({ pending, tenantId }) => [tenantId, pending]),
        [["acme", 1], ["default", 1]]
      )
      assert.deepInclude(status.sweeps[0], { schedule: "reconcile", node: "one", counts: { scanned: 2, linked: 1 } })
      assert.deepStrictEqual(status.dead.map(({ id, lastError }) => [id, lastError]), [
        [dead, "it was never understood"]
      ])
      assert.deepInclude(status.webhooks, { tenantId: "acme", status: "dead", count: 1 })
      const own = yield* Waybill.json(Status, ["status", "--tenant-id", "default"], env)
      assert.deepStrictEqual(own.backlog.map(({ tenantId }) => tenantId), ["default"])
      assert.deepStrictEqual(own.dead, [])

      const { stdout } = yield* Waybill.run(["status"], env)
      assert.match(stdout, /^schema +cli_/)
      assert.match(stdout, /\nacme +1 +\d+s +0 +0\n/)
      assert.match(stdout, /\nreconcile +2026-11-20T12:00:00.000Z +one +(?:2 scanned, 1 linked|1 linked, 2 scanned)\n/)
      assert.include(stdout, "it was never understood")
    }), 90_000)
})

describe("doctor", () => {
  it.live("finds nothing wrong with a migrated server", () =>
    Effect.gen(function*() {
      const document = yield* examined(yield* Waybill.migrated)
      assert.deepStrictEqual(wrong(document).filter((check) => check !== "open transactions"), [])
      assert.includeMembers(document.checks.map(({ check }) => check), [
        "database",
        "version",
        "clock",
        "migrations",
        "privileges",
        "ledger guard",
        "row-level security",
        "open transactions"
      ])
    }), 60_000)

  it.live("says what to do where something is wrong, and ends with 1", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.server
      assert.include(wrong(yield* examined(env)), "migrations")

      yield* Waybill.json(Waybill.Migrated, ["migrate"], env)
      yield* Effect.provide(
        SqlClient.SqlClient.use((sql) => sql`ALTER TABLE ${sql(`${env.WAYBILL_SCHEMA}.events`)} DISABLE TRIGGER USER`),
        PgServer.layer(Redacted.make(env.WAYBILL_DATABASE_URL))
      )
      const document = yield* examined(env)
      assert.include(wrong(document), "ledger guard")
      const guard = document.checks.find(({ check }) => check === "ledger guard")
      assert.include(guard?.advice, "waybill verify")

      const { code, stderr, stdout } = yield* Waybill.run(["doctor"], env)
      assert.strictEqual(code, 1)
      assert.match(stdout, /\nWRONG {2}ledger guard: off: .*events_immutable on events.*\n {7}ALTER TABLE/)
      assert.match(stderr, /^waybill: \d of the checks found something wrong\n$/)
    }), 60_000)

  it.live(
    "notes webhooks that were given up or are to be tried again, and finds nothing wrong for them",
    () =>
      Effect.gen(function*() {
        const env = yield* Waybill.migrated
        const webhooks = (document: typeof Doctor.Type) => document.checks.find(({ check }) => check === "webhooks")
        assert.deepInclude(webhooks(yield* examined(env)), {
          ok: true,
          found: "none was given up or is to be tried again",
          advice: ""
        })
        yield* Effect.gen(function*() {
          const inbox = yield* Inbox.Inbox
          for (const _tag of ["Dead", "Dead", "Failed"] as const) {
            const tenantId = Tenant.TenantId.make("acme")
            const { id } = yield* inbox.store({
              tenantId,
              provider: Provider.Provider.make("postmark"),
              headers: {},
              body: new Uint8Array(),
              token: Option.none()
            })
            yield* inbox.finish({ tenantId, id }, { _tag, reason: "not understood" })
          }
        }).pipe(Effect.provide(storage(env)))
        const document = yield* examined(env)
        assert.notInclude(wrong(document), "webhooks")
        const check = webhooks(document)
        assert.deepInclude(check, { ok: true, found: "2 webhooks were given up, 1 webhook is to be tried again" })
        assert.include(check?.advice, "waybill webhooks replay --dead")
        assert.match((yield* Waybill.run(["doctor"], env)).stdout, /\nnote {3}webhooks: 2 webhooks were given up/)

        const serving = yield* Serving.start({ ...env, WAYBILL_INBOX_CRON: "0 0 1 1 *" })
        yield* Serving.eventually(Effect.gen(function*() {
          const ready = yield* serving.get("/readyz")
          assert.strictEqual(ready.status, 200)
          assert.deepStrictEqual(JSON.parse(ready.text), {
            ready: true,
            warnings: ["2 webhooks were given up", "1 webhook is to be tried again"]
          })
        }))
        const series = Serving.series((yield* serving.get("/metrics")).text)
        assert.strictEqual(series.get("waybill_webhooks_unfinished{status=\"dead\"}"), 2)
        assert.strictEqual(series.get("waybill_webhooks_unfinished{status=\"failed\"}"), 1)
      }),
    60_000
  )

  it.live("tries a write, and names the pooler", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      const writing = yield* examined(env)
      assert.notInclude(wrong(writing), "writes")
      assert.strictEqual(writing.checks.find(({ check }) => check === "pooler")?.found, "there is none")
      const url = new URL(env.WAYBILL_DATABASE_URL)
      url.searchParams.set("options", "-c default_transaction_read_only=on")
      const refusing = yield* examined({ ...env, WAYBILL_DATABASE_URL: url.href.replaceAll("+", "%20") })
      const found = refusing.checks.find(({ check }) => check === "writes")
      assert.strictEqual(found?.found, "the database is not available (the server refuses writes)")
      assert.include(found?.advice, "target_session_attrs=read-write")
    }), 60_000)

  it.live("says what to do where there is no database", () =>
    Effect.gen(function*() {
      const gone = yield* examined({ WAYBILL_DATABASE_URL: "postgres://user:se-cret@127.0.0.1:1/none" })
      assert.deepStrictEqual(wrong(gone), ["database"])
      assert.include(gone.checks[0]?.advice, "WAYBILL_DATABASE_URL")
      assert.notInclude(JSON.stringify(gone), "se-cret")

      const file = yield* Waybill.file(yield* Waybill.directory, "db", "")
      const misplaced = yield* examined({ WAYBILL_DATABASE_URL: `pglite:${file}` })
      assert.deepStrictEqual(wrong(misplaced), ["database"])
      assert.include(misplaced.checks[0]?.found, `${file}: there is a file in its place`)
      assert.include(misplaced.checks[0]?.advice, "a directory that can be written")

      const path = `${yield* Waybill.directory}/db`
      const used = yield* Effect.provide(
        examined({ WAYBILL_DATABASE_URL: `pglite:${path}` }),
        PgLite.layer({ directory: path })
      )
      assert.deepStrictEqual(wrong(used), ["database"])
      assert.include(used.checks[0]?.found, "is in use")
    }), 90_000)
})
