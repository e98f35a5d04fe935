import { assert, describe, it } from "@effect/vitest"
import { Checkpoints, Cursor, Ledger, Tenant } from "@waybill/core"
import { PgServer, PgStorage } from "@waybill/storage"
import { Given } from "@waybill/storage/testing"
import { DateTime, Effect, Layer, Redacted, Schema } from "effect"
import { SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"
import * as Waybill from "./Waybill.ts"

const tenantId = Tenant.TenantId.make("acme")

const storage = ({ WAYBILL_DATABASE_URL, WAYBILL_SCHEMA }: Waybill.Env) =>
  PgStorage.layer({ schema: WAYBILL_SCHEMA }).pipe(
    Layer.provideMerge(PgServer.layer(Redacted.make(WAYBILL_DATABASE_URL), { maxConnections: 2 })),
    Layer.provide(SecureRandom.layerWebCrypto)
  )

const Listed = Schema.Struct({
  consumers: Schema.Array(Schema.Struct({
    consumer: Schema.String,
    cursor: Schema.String,
    savedAt: Schema.String,
    state: Schema.String,
    lagSeconds: Schema.NullOr(Schema.Int)
  }))
})

const Reset = Schema.Struct({ consumer: Schema.String, from: Schema.NullOr(Schema.String), to: Cursor.Cursor })

const Repaired = Schema.Struct({
  repaired: Schema.Boolean,
  epoch: Schema.NullOr(Schema.Int),
  shown: Schema.Int,
  moved: Schema.Int
})

const Doctor = Schema.Struct({
  checks: Schema.Array(
    Schema.Struct({ check: Schema.String, ok: Schema.Boolean, found: Schema.String, advice: Schema.String })
  )
})

/** What the doctor says of the feed and its consumers. */
const diagnosed = Effect.fnUntraced(function*(env: Waybill.Env) {
  const { stdout } = yield* Waybill.run(["doctor", "--json"], env)
  const { checks } = yield* Effect.orDie(Schema.decodeEffect(Schema.fromJsonString(Doctor))(stdout))
  return checks.filter(({ check }) => check === "feed" || check === "consumers")
})

const append = (...messages: ReadonlyArray<string>) =>
  Effect.forEach(
    messages,
    (message) => Ledger.Ledger.use((ledger) => ledger.append(tenantId, [Given.report("opened", message)])),
    { discard: true }
  )

/** The messages that follow a place, as soon as there are so many. */
const after = (cursor: Cursor.Cursor, count: number) =>
  Ledger.Ledger.use((ledger) => ledger.changes({ scope: tenantId, after: cursor, limit: 100 })).pipe(
    Effect.repeat({ until: ({ length }) => length >= count }),
    Effect.map((page) => page.map(({ event }) => event.idempotencyKey.slice("opened-".length)))
  )

/** A row as a dump brings it from a cluster that has used many more transaction ids. */
const restoreOne = (schema: string, key: string) =>
  SqlClient.SqlClient.use((sql) =>
    sql`
      INSERT INTO ${sql(`${schema}.events`)}
        (id, tenant_id, type, occurred_at, inserted_at, provider, idempotency_key, transaction_id)
      VALUES ('01930a5d-ac96-774b-8cce-b302099a8057', ${tenantId}, 'opened', now(), now(), 'postmark', ${key}, '99999999999')
    `
  )

describe("the feed by hand", () => {
  it.live(
    "shows consumers, and lets one begin at the start, at an instant or at the end",
    () =>
      Effect.gen(function*() {
        const env = yield* Waybill.migrated
        assert.match((yield* Waybill.run(["feed", "list"], env)).stdout, /^no consumers\n$/)
        yield* Effect.gen(function*() {
          const checkpoints = yield* Checkpoints.Checkpoints
          yield* append("m-1", "m-2")
          yield* Effect.sleep("20 millis")
          const between = DateTime.formatIso(yield* DateTime.now)
          yield* append("m-3")
          yield* after(Cursor.start, 3)
          yield* checkpoints.save("mailer", Cursor.start)
          yield* checkpoints.save("elsewhere", Cursor.of(77n, 2n ** 40n))

          const { consumers } = yield* Waybill.json(Listed, ["feed", "list"], env)
          assert.deepStrictEqual(
            consumers.map(({ consumer, cursor, lagSeconds, state }) => [consumer, cursor, state, lagSeconds === null]),
            [["elsewhere", `77.${2n ** 40n}`, "lost", true], ["mailer", "0.0", "following", false]]
          )
          const table = (yield* Waybill.run(["feed", "list"], env)).stdout
          assert.match(table, /\nelsewhere .* ahead of the database; run waybill feed reset\n/)

          const beginnings: ReadonlyArray<readonly [string, Array<string>]> = [["start", ["m-1", "m-2", "m-3"]], [
            between,
            ["m-3"]
          ], ["now", []]]
          for (const [to, messages] of beginnings) {
            const reset = yield* Waybill.json(Reset, ["feed", "reset", "elsewhere", "--to", to], env)
            assert.strictEqual(reset.consumer, "elsewhere")
            assert.deepStrictEqual(yield* after(reset.to, messages.length), messages)
          }
          const again = yield* Waybill.json(Listed, ["feed", "list"], env)
          assert.deepStrictEqual(again.consumers.map(({ state }) => state), ["following", "following"])
          const added = yield* Waybill.json(Reset, ["feed", "reset", "new", "--to", "now"], env)
          assert.isNull(added.from)
          yield* append("m-4")
          assert.deepStrictEqual(yield* after(added.to, 1), ["m-4"])
        }).pipe(Effect.provide(storage(env)))
        const wrong = yield* Waybill.run(["feed", "reset", "mailer", "--to", "yesterday"], env)
        assert.deepStrictEqual([wrong.code, wrong.stdout], [2, ""])
        assert.include(wrong.stderr, "must be start, now or a time in ISO 8601")
        assert.strictEqual((yield* Waybill.run(["feed", "reset", "mailer"], env)).code, 2)
      }),
    120_000
  )

  it.live("repairs what a restore has held back, once, and the doctor names it before", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      assert.deepStrictEqual((yield* diagnosed(env)).map(({ ok }) => ok), [true, true])
      assert.match((yield* Waybill.run(["feed", "repair"], env)).stdout, /^nothing to repair\n$/)
      yield* Effect.gen(function*() {
        const checkpoints = yield* Checkpoints.Checkpoints
        const sql = yield* SqlClient.SqlClient
        yield* append("m-1")
        yield* after(Cursor.start, 1)
        yield* restoreOne(env.WAYBILL_SCHEMA, "opened-held")
        const [row] = yield* sql<{ readonly position: string }>`
          SELECT position::text FROM ${sql(`${env.WAYBILL_SCHEMA}.events`)} WHERE idempotency_key = 'opened-held'
        `
        yield* checkpoints.save("mailer", Cursor.of(99_999_999_999n, BigInt(row?.position ?? "0")))

        const [feed, consumers] = yield* diagnosed(env)
        assert.match(feed?.found ?? "", /^1 restored events are held back/)
        assert.include(feed?.advice, "waybill feed repair")
        assert.strictEqual(consumers?.found, "ahead of the database: mailer")
        assert.include(consumers?.advice, "waybill feed repair")
        const { consumers: [mailer] } = yield* Waybill.json(Listed, ["feed", "list"], env)
        assert.deepInclude(mailer, { state: "restored", lagSeconds: null })

        const repaired = yield* Waybill.json(Repaired, ["feed", "repair"], env)
        assert.deepInclude(repaired, { repaired: true, shown: 1, moved: 0 })
        assert.isAbove(repaired.epoch ?? 0, 0)
        assert.deepStrictEqual(yield* Waybill.json(Repaired, ["feed", "repair"], env), {
          repaired: false,
          epoch: null,
          shown: 0,
          moved: 0
        })
        yield* append("m-2")
        assert.deepStrictEqual(yield* after(Cursor.start, 3), ["m-1", "held", "m-2"])
      }).pipe(Effect.provide(storage(env)))
      assert.deepStrictEqual((yield* diagnosed(env)).map(({ ok }) => ok), [true, true])
    }), 120_000)

  it.live("is not repaired by a role that does not own the schema", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      const role = `app_${globalThis.crypto.randomUUID().replaceAll("-", "")}`
      const owner = PgServer.layer(Redacted.make(env.WAYBILL_DATABASE_URL))
      const run = (statement: string) =>
        SqlClient.SqlClient.use((sql) => sql.unsafe(statement)).pipe(Effect.provide(owner))
      yield* Effect.addFinalizer(() =>
        Effect.orDie(Effect.andThen(run(`DROP OWNED BY ${role}`), run(`DROP ROLE ${role}`)))
      )
      yield* Waybill.run(["migrate", "--grant-to", role, "--row-level-security"], env)
      yield* run(`ALTER ROLE ${role} LOGIN PASSWORD 'waybill'`)
      yield* Effect.provide(restoreOne(env.WAYBILL_SCHEMA, "opened-held"), owner)
      const address = new URL(env.WAYBILL_DATABASE_URL)
      address.username = role
      address.password = "waybill"
      const own = { ...env, WAYBILL_DATABASE_URL: address.href, WAYBILL_ROW_LEVEL_SECURITY: "true" }
      const [feed] = yield* diagnosed(own)
      assert.match(feed?.found ?? "", /^1 restored events are held back/)
      const refused = yield* Waybill.run(["feed", "repair"], own)
      assert.deepStrictEqual([refused.code, refused.stdout], [1, ""])
      assert.strictEqual(refused.stderr, "waybill: only the owner of the schema may repair its feed\n")
      assert.strictEqual((yield* Waybill.run(["feed", "list"], own)).code, 0)
    }), 120_000)
})
