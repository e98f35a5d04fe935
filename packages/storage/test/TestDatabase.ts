import { PgClient } from "@effect/sql-pg"
import { PgLedger, PgMigrations, PgServer } from "@waybill/storage"
import { Config, Effect, Layer, Redacted } from "effect"
import { SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"

const serverUrl = Config.Redacted("WAYBILL_TEST_DATABASE_URL")

/** How the servers of the tests are connected to: behind a pooler that gives sessions connections of their own, if told so. */
const connection = Config.Literals(["transaction", "session"], "WAYBILL_TEST_POOLER").pipe(
  Config.withDefault("transaction"),
  Config.map((mode) => mode === "session" ? { pooler: mode } : {})
)

/** A client of a database of the tests. */
const server = (url: Redacted.Redacted, options: PgServer.Options = {}) =>
  Layer.unwrap(Effect.map(connection, (found) => PgServer.layer(url, { ...found, ...options })))

/** The address of a fresh database, dropped with the scope. */
export const fresh = Effect.gen(function*() {
  const url = yield* serverUrl
  const name = `test_${globalThis.crypto.randomUUID().replaceAll("-", "")}`
  const run = (statement: string) =>
    SqlClient.SqlClient.use((sql) => sql.unsafe(statement)).pipe(
      Effect.provide(PgClient.layer({ url, maxConnections: 1 })),
      Effect.orDie
    )
  yield* Effect.acquireRelease(run(`CREATE DATABASE ${name}`), () => run(`DROP DATABASE ${name} WITH (FORCE)`))
  const address = new URL(Redacted.value(url))
  address.pathname = name
  return Redacted.make(address.href)
})

/** A client of a fresh, migrated database. */
export const client = (options: { readonly maxConnections?: number } = {}) =>
  Layer.effectDiscard(PgMigrations.migrate()).pipe(
    Layer.provideMerge(Layer.unwrap(Effect.map(fresh, (url) => server(url, options))))
  )

/** The ledger in a fresh database, with its client. */
export const ledger = PgLedger.layer().pipe(
  Layer.provideMerge(client()),
  Layer.provideMerge(SecureRandom.layerWebCrypto)
)

/** The ledger in a fresh database, as a login role that owns nothing, behind row-level security. */
export const restricted = Layer.unwrap(Effect.gen(function*() {
  const owner = yield* fresh
  const role = `app_${globalThis.crypto.randomUUID().replaceAll("-", "")}`
  const asOwner = (effect: Effect.Effect<unknown, unknown, SqlClient.SqlClient>) =>
    effect.pipe(Effect.provide(server(owner)), Effect.orDie)
  yield* Effect.acquireRelease(
    asOwner(Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* PgMigrations.migrate()
      yield* PgMigrations.enableRowLevelSecurity()
      yield* sql.unsafe(`CREATE ROLE ${role} LOGIN PASSWORD 'waybill'`)
      yield* PgMigrations.grant(role)
    })),
    () =>
      asOwner(
        SqlClient.SqlClient.use((sql) =>
          Effect.andThen(sql.unsafe(`DROP OWNED BY ${role}`), sql.unsafe(`DROP ROLE ${role}`))
        )
      )
  )
  const address = new URL(Redacted.value(owner))
  address.username = role
  address.password = "waybill"
  return PgLedger.layer({ rowLevelSecurity: true }).pipe(
    Layer.provideMerge(server(Redacted.make(address.href)))
  )
})).pipe(Layer.provideMerge(SecureRandom.layerWebCrypto))
