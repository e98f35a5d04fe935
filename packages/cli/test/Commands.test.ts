import { assert, describe, it } from "@effect/vitest"
import { Event, IdempotencyKey, Ledger, Provider, Tenant } from "@waybill/core"
import { PgLedger, PgLite, PgServer } from "@waybill/storage"
import { DateTime, Effect, Layer, Option, Redacted, Schema } from "effect"
import { SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"
import * as Waybill from "./Waybill.ts"

type Env = Waybill.Env

const database = ({ WAYBILL_DATABASE_URL, WAYBILL_SCHEMA }: Env) =>
  PgLedger.layer({ schema: WAYBILL_SCHEMA }).pipe(
    Layer.provideMerge(PgServer.layer(Redacted.make(WAYBILL_DATABASE_URL))),
    Layer.provide(SecureRandom.layerWebCrypto)
  )

const report = (messageId: string, occurredAt: DateTime.Utc) =>
  Event.NewEvent.make({
    type: "delivered",
    occurredAt,
    provider: Provider.Provider.make("postmark"),
    providerMessageId: Option.some(Provider.MessageId.make(messageId)),
    idempotencyKey: IdempotencyKey.IdempotencyKey.make(`postmark:${messageId}`)
  })

/** Appends a report as another process would, now. */
const append = (env: Env, messageId: string, tenantId: Tenant.TenantId = Tenant.defaultTenantId) =>
  Effect.gen(function*() {
    const ledger = yield* Ledger.Ledger
    return yield* ledger.append(tenantId, [report(messageId, yield* DateTime.now)])
  }).pipe(Effect.provide(database(env)))

/** Writes a delivery as another program would, past the ledger. */
const importDelivery = (env: Env, id: string, messageId: string) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* sql`
      INSERT INTO ${
      sql(env.WAYBILL_SCHEMA)
    }.deliveries (id, tenant_id, mailable, stream, recipient, provider, provider_message_id)
      VALUES (${id}, 'default', 'imported', 'transactional', 'reader@example.com', 'postmark', ${messageId})
    `
  }).pipe(Effect.provide(database(env)))

/** Makes everything that was appended older. */
const backdate = (env: Env, by: string) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const schema = sql(env.WAYBILL_SCHEMA)
    yield* sql`UPDATE ${schema}.orphans SET inserted_at = inserted_at - ${by}::interval`
    yield* sql`ALTER TABLE ${schema}.events DISABLE TRIGGER USER`
    yield* sql`UPDATE ${schema}.events SET inserted_at = inserted_at - ${by}::interval`
  }).pipe(Effect.provide(database(env)))

const record = ["record", "--recipient", "reader@example.com", "--mailable", "welcome", "--stream", "transactional"]

describe("the commands", () => {
  it.live("an event that came first is linked by the dispatch", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      yield* append(env, "message-1")
      const before = yield* Waybill.json(Waybill.Orphans, ["orphans"], env)
      assert.deepInclude(before.orphans[0], {
        tenantId: "default",
        provider: "postmark",
        providerMessageId: "message-1",
        type: "delivered",
        expired: false
      })

      const { created, id } = yield* Waybill.json(Waybill.Recorded, record, env)
      assert.isTrue(created)
      const dispatch = ["dispatch", id, "--provider", "postmark", "--provider-message-id", "message-1"]
      assert.deepStrictEqual(yield* Waybill.json(Waybill.Dispatched, dispatch, env), { id, linked: 1 })
      assert.deepStrictEqual(yield* Waybill.json(Waybill.Dispatched, dispatch, env), { id, linked: 0 })

      const { delivery, timeline } = yield* Waybill.json(Waybill.Shown, ["show", id], env)
      assert.deepInclude(delivery, {
        id,
        lastEventType: "delivered",
        terminal: true,
        providerMessageId: "message-1",
        bouncedAt: null
      })
      assert.sameMembers(timeline.map(({ type }) => type), ["queued", "dispatched", "delivered", "reconciled"])
      const link = timeline.find(({ type }) => type === "reconciled")
      assert.strictEqual(timeline.find(({ type }) => type === "delivered")?.linkedBy, link?.eventId)
      assert.deepStrictEqual(yield* Waybill.json(Waybill.Orphans, ["orphans"], env), { orphans: [] })
    }), 60_000)

  it.live(
    "a failed attempt is noted once, a dispatch follows it, and a suppression is final",
    () =>
      Effect.gen(function*() {
        const env = yield* Waybill.migrated
        const { id } = yield* Waybill.json(Waybill.Recorded, record, env)
        const fail = ["fail", id, "--code", "timeout", "--message", "ann@example.com did not answer", "--attempt", "1"]
        const noted = { id, attempt: 1, noted: true, status: "queued" }
        assert.deepStrictEqual(yield* Waybill.json(Waybill.Failed, fail, env), noted)
        assert.deepStrictEqual(yield* Waybill.json(Waybill.Failed, fail, env), { ...noted, noted: false })
        const { delivery } = yield* Waybill.json(Waybill.Shown, ["show", id], env)
        assert.deepStrictEqual(delivery["lastError"], {
          code: "timeout",
          message: "[hidden] did not answer",
          rejectReason: null,
          bounceClass: null,
          smtpStatus: null,
          enhancedStatus: null
        })
        assert.match((yield* Waybill.run(["show", id], env)).stdout, /^lastError +deferred timeout \[hidden\]/m)
        yield* Waybill.json(
          Waybill.Dispatched,
          ["dispatch", id, "--provider", "postmark", "--provider-message-id", "message-9"],
          env
        )
        const late = yield* Waybill.run(["fail", id, "--code", "late"], env)
        assert.deepStrictEqual([late.code, late.stdout], [1, ""])
        assert.match(late.stderr, /was handed to a provider already/)

        const other = yield* Waybill.json(Waybill.Recorded, record, env)
        const suppressed = yield* Waybill.json(
          Waybill.Suppressed,
          ["suppress", other.id, "--because", "cancelled"],
          env
        )
        assert.deepStrictEqual(suppressed, { id: other.id, noted: true, status: "suppressed" })
        const wrong = yield* Waybill.run(["fail", other.id, "--code", "not a word"], env)
        assert.strictEqual(wrong.code, 2)
      }),
    60_000
  )

  it.live("a delivery of another program is linked once by a sweep", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      const id = "01890a5d-ac96-774b-bcce-b302099a8057"
      yield* append(env, "message-1")
      yield* importDelivery(env, id, "message-1")
      const none = { scanned: 0, linked: 0, failed: 0, remaining: 0 }

      assert.deepStrictEqual(yield* Waybill.json(Waybill.Swept, ["reconcile"], env), none)
      const now = ["reconcile", "--grace", "0s"]
      assert.deepStrictEqual(yield* Waybill.json(Waybill.Swept, [...now, "--tenant-id", "acme"], env), none)
      const linked = { scanned: 1, linked: 1, failed: 0, remaining: 0 }
      assert.deepStrictEqual(yield* Waybill.json(Waybill.Swept, now, env), linked)
      assert.deepStrictEqual(yield* Waybill.json(Waybill.Swept, now, env), none)

      const { delivery } = yield* Waybill.json(Waybill.Shown, ["show", id], env)
      assert.strictEqual(delivery["lastEventType"], "delivered")
    }), 60_000)

  it.live("a sweep by hand goes by the settings and is noted in the history", () =>
    Effect.gen(function*() {
      const env = { ...yield* Waybill.migrated, WAYBILL_NODE: "desk" }
      const id = "01890a5d-ac96-774b-bcce-b302099a8057"
      yield* append(env, "message-1")
      yield* importDelivery(env, id, "message-1")
      yield* backdate(env, "3 minutes")
      const path = yield* Waybill.file(yield* Waybill.directory, "waybill.json", "{\"maxAgeMinutes\":2}")
      const narrow = { ...env, WAYBILL_CONFIG: path }
      const none = { scanned: 0, linked: 0, failed: 0, remaining: 0 }

      const { orphans } = yield* Waybill.json(Waybill.Orphans, ["orphans"], narrow)
      assert.deepStrictEqual(orphans.map(({ expired }) => expired), [true])
      assert.match((yield* Waybill.run(["orphans"], narrow)).stdout, / older than 2 minutes, unlikely to reconcile\n$/)
      assert.deepStrictEqual(yield* Waybill.json(Waybill.Swept, ["reconcile"], narrow), none)
      assert.deepStrictEqual(yield* Waybill.json(Waybill.Swept, ["reconcile"], { ...env, WAYBILL_GRACE: "5m" }), none)
      const linked = { scanned: 1, linked: 1, failed: 0, remaining: 0 }
      assert.deepStrictEqual(
        yield* Waybill.json(Waybill.Swept, ["reconcile", "--max-age-minutes", "10"], narrow),
        linked
      )
      const Noted = Schema.Struct({
        sweeps: Schema.Array(Schema.Struct({
          schedule: Schema.String,
          node: Schema.String,
          counts: Schema.Record(Schema.String, Schema.Int)
        }))
      })
      const { sweeps } = yield* Waybill.json(Noted, ["status"], env)
      assert.deepStrictEqual(
        sweeps,
        [linked, none, none].map((counts) => ({ schedule: "reconcile by hand", node: "desk", counts }))
      )
    }), 60_000)

  it.live(
    "recording under a key again gives the delivery that is there, another tenant its own",
    () =>
      Effect.gen(function*() {
        const env = yield* Waybill.migrated
        const keyed = [...record, "--idempotency-key", "signup:42"]
        const first = yield* Waybill.json(Waybill.Recorded, keyed, env)
        assert.deepStrictEqual(yield* Waybill.json(Waybill.Recorded, keyed, env), { id: first.id, created: false })

        const other = yield* Waybill.json(Waybill.Recorded, [...keyed, "--tenant-id", "acme"], env)
        assert.isTrue(other.created)
        const { code, stderr } = yield* Waybill.run(["show", first.id, "--tenant-id", "acme"], env)
        assert.strictEqual(code, 1)
        assert.strictEqual(stderr, "waybill: tenant acme has no such delivery\n")
      }),
    60_000
  )

  it.live("a chosen id is kept", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      const id = "01890a5d-ac96-774b-bcce-b302099a8057"
      assert.deepStrictEqual(yield* Waybill.json(Waybill.Recorded, [...record, "--id", id], env), {
        id,
        created: true
      })
    }), 60_000)

  it.live("says in a table what waits, and what is unlikely to be linked", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      yield* append(env, "message-1")
      yield* backdate(env, "8 days")
      yield* append(env, "message-2")

      const { code, stdout } = yield* Waybill.run(["orphans"], env)
      const [heading = "", old = "", young = "", ...rest] = stdout.trimEnd().split("\n")
      assert.strictEqual(code, 0)
      assert.match(heading, /^AGE +EVENT +TENANT +PROVIDER +MESSAGE ID +EVENT ID +NOTE$/)
      assert.match(old, /^8d +delivered +default +postmark +message-1 .* older than 7 days, unlikely to reconcile$/)
      assert.match(young, /^\d+s +delivered +default +postmark +message-2 +[0-9a-f-]{36}$/)
      assert.isEmpty(rest)

      const within = yield* Waybill.json(Waybill.Orphans, ["orphans", "--max-age-minutes", "10080"], env)
      assert.deepStrictEqual(within.orphans.map(({ providerMessageId }) => providerMessageId), ["message-2"])
      const all = yield* Waybill.json(Waybill.Orphans, ["orphans"], env)
      assert.deepStrictEqual(all.orphans.map(({ expired }) => expired), [true, false])
      const one = yield* Waybill.json(Waybill.Orphans, ["orphans", "--limit", "1"], env)
      assert.lengthOf(one.orphans, 1)
    }), 60_000)
})

describe("an embedded database", () => {
  it.live(
    "is created and migrated by whatever command opens it, keeps what it is given and refuses a second process",
    () =>
      Effect.gen(function*() {
        const path = yield* Waybill.directory
        const env = { WAYBILL_DATABASE_URL: `pglite:${path}/db` }
        const { id } = yield* Waybill.json(Waybill.Recorded, record, env)
        assert.strictEqual((yield* Waybill.json(Waybill.Shown, ["show", id], env)).delivery["id"], id)
        assert.deepStrictEqual(yield* Waybill.json(Waybill.Migrated, ["migrate"], env), { applied: [] })

        const { code, stderr, stdout } = yield* Waybill.run(["orphans"], env).pipe(
          Effect.provide(PgLite.layer({ directory: `${path}/db` }))
        )
        assert.strictEqual(code, 1)
        assert.strictEqual(stdout, "")
        assert.match(stderr, /^waybill: the database in .* is in use; stop the process that has it open\n$/)
      }),
    60_000
  )
})

describe("a server", () => {
  it.live("is migrated by migrate alone", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.server
      const { code, stderr } = yield* Waybill.run(record, env)
      assert.strictEqual(code, 1)
      assert.strictEqual(stderr, `waybill: the schema ${env.WAYBILL_SCHEMA} is not migrated; run waybill migrate\n`)

      assert.isNotEmpty((yield* Waybill.json(Waybill.Migrated, ["migrate"], env)).applied)
      assert.strictEqual((yield* Waybill.run(["migrate"], env)).stdout, "nothing to apply\n")
      const { id } = yield* Waybill.json(Waybill.Recorded, record, env)
      assert.strictEqual((yield* Waybill.json(Waybill.Shown, ["show", id], env)).delivery["id"], id)
    }), 60_000)
})

describe("help", () => {
  for (
    const command of [
      "migrate",
      "record",
      "dispatch",
      "show",
      "orphans",
      "reconcile",
      "feed",
      "serve",
      "webhooks",
      "prune",
      "send-test",
      "status",
      "doctor",
      "config"
    ]
  ) {
    it.live(`${command} says how it is used, with examples`, () =>
      Effect.gen(function*() {
        const { code, stderr, stdout } = yield* Waybill.run([command, "--help"], {})
        assert.strictEqual(code, 0)
        assert.strictEqual(stderr, "")
        assert.include(stdout, `waybill ${command}`)
        assert.include(stdout, "EXAMPLES")
      }), 30_000)
  }

  it.live("names the version", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* Waybill.run(["--version"], {})
      assert.strictEqual(code, 0)
      assert.match(stdout, /^waybill v\d+\.\d+\.\d+\n$/)
    }), 30_000)
})
