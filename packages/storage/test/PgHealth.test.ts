import { assert, describe, it } from "@effect/vitest"
import { PgHealth, PgLite, PgMigrations, PgServer } from "@waybill/storage"
import { Deferred, Effect, Fiber, Layer } from "effect"
import { SqlClient } from "effect/sql"
import * as TestDatabase from "./TestDatabase.ts"

const bare = Layer.unwrap(Effect.map(TestDatabase.fresh, (url) => PgServer.layer(url)))

const embedded = Layer.effectDiscard(PgMigrations.migrate()).pipe(Layer.provideMerge(PgLite.layer()))

const healthy = Effect.gen(function*() {
  const findings = yield* PgHealth.examine("waybill", 60)
  assert.isAtLeast(findings.version, PgHealth.oldestVersion)
  assert.isBelow(Math.abs(findings.skew.millis), 1000)
  assert.deepInclude(findings, { pending: [], missing: [], disabledTriggers: [], rowLevelSecurity: false, open: [] })
  const applied = yield* PgHealth.applied("waybill")
  assert.strictEqual(applied[0], "0001_create_ledger")
})

describe("PgHealth", () => {
  it.live("finds nothing wrong with a migrated server", () => Effect.provide(healthy, TestDatabase.client()), 30_000)

  it.live("finds nothing wrong with an embedded database", () => Effect.provide(healthy, embedded), 60_000)

  it.live("names what a schema lacks that is not migrated", () =>
    Effect.gen(function*() {
      const { pending } = yield* PgHealth.examine("waybill", 60)
      assert.include(pending, "0001_create_ledger")
      const error = yield* Effect.flip(PgHealth.applied("waybill"))
      assert.strictEqual(error._tag, "SchemaNotMigrated")
    }).pipe(Effect.provide(bare)), 30_000)

  it.live("finds transactions that stay open, the oldest first", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const begun = yield* Deferred.make<void>()
      const holding = yield* sql`SELECT 1`.pipe(
        Effect.andThen(Deferred.succeed(begun, undefined)),
        Effect.andThen(Effect.never),
        sql.withTransaction,
        Effect.forkChild
      )
      yield* Deferred.await(begun)
      yield* Effect.sleep("50 millis")
      const { open: [found, ...rest] } = yield* PgHealth.examine("waybill", 0.02)
      assert.deepStrictEqual(rest, [])
      assert.deepInclude(found, { application: "waybill", state: "idle in transaction" })
      assert.isAtLeast(found?.seconds ?? 0, 0.02)
      assert.isEmpty((yield* PgHealth.examine("waybill", 60)).open)
      yield* Fiber.interrupt(holding)
    }).pipe(Effect.provide(TestDatabase.client({ maxConnections: 2 }))), 30_000)

  it.live("finds switched off triggers and policies that apply", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql`ALTER TABLE waybill.events DISABLE TRIGGER events_immutable`
      const { disabledTriggers } = yield* PgHealth.examine("waybill", 60)
      assert.deepStrictEqual(disabledTriggers, ["events_immutable on events"])
    }).pipe(Effect.provide(TestDatabase.client())), 30_000)

  it.live("names what a role lacks that was not granted the ledger", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql`SET ROLE pg_monitor`
      const { missing } = yield* PgHealth.examine("waybill", 60)
      assert.includeMembers([...missing], ["USAGE on the schema", "INSERT on events", "DELETE on orphans"])
      assert.include(missing, "EXECUTE on requeue")
      assert.notInclude(missing, "UPDATE on events")
    }).pipe(Effect.provide(TestDatabase.client({ maxConnections: 1 }))), 30_000)

  it.live("finds that a role which was granted the ledger lacks nothing", () =>
    Effect.gen(function*() {
      const granted = yield* PgHealth.examine("waybill", 60)
      assert.deepInclude(granted, { missing: [], rowLevelSecurity: true })
    }).pipe(Effect.provide(TestDatabase.restricted)), 30_000)
})
