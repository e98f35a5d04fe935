/** What a pooler does to a client that is not made for it, and what ours does instead. */
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Ledger } from "@waybill/core"
import { PgError, PgLedger, PgMigrations, PgNotifications, PgServer } from "@waybill/storage"
import { Given } from "@waybill/storage/testing"
import { Config, Duration, Effect, Fiber, Layer, Redacted, Stream } from "effect"
import { SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"
import * as TestDatabase from "./TestDatabase.ts"

const mode = Config.Literals(["transaction", "session"], "WAYBILL_TEST_POOLER")

/** A fresh, migrated database: its address through the pooler, and the server's own. */
const migrated = Effect.gen(function*() {
  const url = yield* TestDatabase.fresh
  yield* Effect.provide(PgMigrations.migrate(), PgServer.layer(url))
  const direct = new URL(Redacted.value(yield* Config.Redacted("WAYBILL_TEST_DIRECT_URL")))
  direct.pathname = new URL(Redacted.value(url)).pathname
  return { url, direct: Redacted.make(direct.href) }
})

const limits = SqlClient.SqlClient.use((sql) =>
  sql<{ readonly value: string }>`SELECT current_setting('statement_timeout') AS value`
).pipe(Effect.map(([row]) => row?.value))

describe("behind a pooler", () => {
  it.live("startup parameters are refused, and the pooler is found by that", () =>
    Effect.gen(function*() {
      const { direct, url } = yield* migrated
      const refused = yield* Effect.flip(Effect.scoped(Layer.build(PgServer.layer(url, { pooler: "none" }))))
      assert.deepInclude(refused, { _tag: "LedgerUnavailable", reason: "startup-parameter" })
      const of = (url: Redacted.Redacted, options: PgServer.Options = {}) =>
        Effect.provide(Effect.map(SqlClient.SqlClient, PgServer.poolerOf), PgServer.layer(url, options))
      assert.strictEqual(yield* of(url), "transaction")
      assert.strictEqual(yield* of(url, { pooler: "session" }), "session")
      assert.strictEqual(yield* of(direct), "none")
    }))

  it.live("every transaction of the ledger has its limits, one statement alone too, and none is left behind", () =>
    Effect.gen(function*() {
      const { url } = yield* migrated
      const ledger = PgLedger.layer().pipe(
        Layer.provideMerge(PgServer.layer(url, { pooler: yield* mode })),
        Layer.provideMerge(SecureRandom.layerWebCrypto)
      )
      yield* Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* sql`CREATE TABLE seen (value text)`
        yield* sql.unsafe(`
          CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$
          BEGIN INSERT INTO seen VALUES (current_setting('statement_timeout')); RETURN NEW; END $$
        `)
        yield* sql`CREATE TRIGGER watch BEFORE INSERT ON waybill.events FOR EACH ROW EXECUTE FUNCTION watch()`
        const tenantId = yield* Given.tenant
        yield* Given.dispatched(tenantId, "m")
        yield* (yield* Ledger.Ledger).append(tenantId, [Given.report("delivered", "m")])
        const seen = yield* sql<{ readonly value: string }>`SELECT DISTINCT value FROM seen`
        assert.deepStrictEqual(seen.map(({ value }) => value), ["30s"])
        assert.strictEqual(yield* limits, "0")
      }).pipe(Effect.provide(ledger))
    }))

  it.live("a client that names its statements loses them, which is the pooler's fault and not the statement's", () =>
    Effect.gen(function*() {
      const { url } = yield* migrated
      if ((yield* mode) === "session") return
      const naming = PgClient.layer({ url, maxConnections: 4 })
      const statement = SqlClient.SqlClient.use((sql) => sql.withTransaction(sql`SELECT 1 AS one, pg_sleep(0.005)`))
      const many = Effect.forEach(
        Array.from({ length: 200 }),
        () => Effect.exit(PgError.refine("waybill")(statement)),
        {
          concurrency: 8
        }
      )
      const failures = (yield* Effect.provide(many, naming)).filter((exit) => exit._tag === "Failure")
      for (const { cause } of failures) {
        for (const reason of cause.reasons) assert.include(JSON.stringify(reason), "LedgerUnavailable")
      }
      const ours = PgServer.layer(url, { maxConnections: 4 })
      assert.isEmpty((yield* Effect.provide(many, ours)).filter((exit) => exit._tag === "Failure"))
    }))

  it.live("a listener is woken, by the server itself or by the clock", () =>
    Effect.gen(function*() {
      const { direct, url } = yield* migrated
      const database = PgServer.layer(url, { pooler: yield* mode })
      const ledger = PgLedger.layer().pipe(
        Layer.provideMerge(database),
        Layer.provideMerge(SecureRandom.layerWebCrypto)
      )
      yield* Effect.gen(function*() {
        yield* PgMigrations.enableNotifications()
        for (const options of [{}, { direct }]) {
          const wake = yield* PgNotifications.wake(options)
          const woken = yield* Effect.forkChild(Stream.runDrain(Stream.take(wake, 2)))
          yield* Effect.sleep("1 second")
          yield* (yield* Ledger.Ledger).append(yield* Given.tenant, [Given.report("delivered", "m")])
          yield* Effect.timeout(Fiber.join(woken), "5 seconds")
        }
      }).pipe(Effect.provide(ledger))
    }))

  it.live("a statement that waits for long is left alone", () =>
    Effect.gen(function*() {
      const { url } = yield* migrated
      yield* SqlClient.SqlClient.use((sql) => sql`SELECT pg_sleep(3)`).pipe(
        Effect.provide(PgServer.layer(url, { silence: Duration.millis(500), maxConnections: 1 }))
      )
    }))
})
