import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { PgLedger, PgMigrations } from "@waybill/storage"
import { Given } from "@waybill/storage/testing"
import { Effect, Layer, type Redacted } from "effect"
import { SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"
import * as TestDatabase from "./TestDatabase.ts"

const names = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"]

const ours = { statement_timeout: "30s", lock_timeout: "10s", idle_in_transaction_session_timeout: "15s" }

const none = { statement_timeout: "0", lock_timeout: "0", idle_in_transaction_session_timeout: "0" }

/** A ledger on a client that is the user's own. */
const on = (client: (url: Redacted.Redacted) => ReturnType<typeof PgClient.layer>) =>
  PgLedger.layer().pipe(
    Layer.provide(Layer.effectDiscard(PgMigrations.migrate())),
    Layer.provideMerge(Layer.unwrap(Effect.map(TestDatabase.fresh, client))),
    Layer.provideMerge(SecureRandom.layerWebCrypto)
  )

const plain = on((url) => PgClient.layer({ url, maxConnections: 1 }))

const impatient = on((url) =>
  PgClient.layer({ url, maxConnections: 1, startupParameters: { statement_timeout: "2s" } })
)

const settings = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql<{ readonly name: string; readonly value: string }>`
    SELECT name, current_setting(name) AS value FROM unnest(${names}::text[]) AS given (name)
  `
  return Object.fromEntries(rows.map(({ name, value }) => [name, value]))
})

/** Keeps what is set while a delivery is written. */
const watch = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE TABLE seen (settings jsonb)`
  yield* sql.unsafe(`
    CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO seen SELECT jsonb_object_agg(name, current_setting(name))
      FROM unnest('{${names.join()}}'::text[]) AS given (name);
      RETURN NEW;
    END $$
  `)
  yield* sql`CREATE TRIGGER watch BEFORE INSERT ON waybill.deliveries FOR EACH ROW EXECUTE FUNCTION watch()`
})

const seen = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql<{ readonly settings: unknown }>`DELETE FROM seen RETURNING settings`
  return rows.map(({ settings }) => settings)
})

describe("transactions on a client without time limits", () => {
  it.live("have those of the ledger while they last", () =>
    Effect.gen(function*() {
      yield* watch
      yield* Given.recorded(yield* Given.tenant)
      assert.deepStrictEqual(yield* seen, [ours])
      assert.deepStrictEqual(yield* settings, none)
    }).pipe(Effect.provide(plain)), 30_000)

  it.live("keep the limits that the client has", () =>
    Effect.gen(function*() {
      yield* watch
      yield* Given.recorded(yield* Given.tenant)
      assert.deepStrictEqual(yield* seen, [{ ...ours, statement_timeout: "2s" }])
    }).pipe(Effect.provide(impatient)), 30_000)

  it.live("that are the caller's own are left as they are", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* watch
      const tenantId = yield* Given.tenant
      yield* sql.withTransaction(Given.recorded(tenantId))
      assert.deepStrictEqual(yield* seen, [none])
    }).pipe(Effect.provide(plain)), 30_000)
})
