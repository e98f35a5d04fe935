import { PgClient } from "@effect/sql-pg"
import { PgLedger, PgMigrations, PgServer } from "@waybill/storage"
import { Config, Effect, Layer, Redacted } from "effect"
import { SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"

const serverUrl = Config.Redacted("WAYBILL_TEST_DATABASE_URL")

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
    Layer.provideMerge(Layer.unwrap(Effect.map(fresh, (url) => PgServer.layer(url, options))))
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
    effect.pipe(Effect.provide(PgServer.layer(owner)), Effect.orDie)
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
    Layer.provideMerge(PgServer.layer(Redacted.make(address.href)))
  )
})).pipe(Layer.provideMerge(SecureRandom.layerWebCrypto))
