/** A throw-away PostgreSQL server with its default durability, and fresh databases in it. */
import { PgClient } from "@effect/sql-pg"
import { PgLedger, PgMigrations, PgServer } from "@waybill/storage"
import { Context, Effect, Layer, Redacted, Schedule, type Scope } from "effect"
import { SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"
import { env } from "node:process"
import * as PostgresServer from "../../packages/storage/test/PostgresServer.ts"

/** What is set other than by default: room in memory and in the WAL as on any server in use, and connections for two sides. */
export const settings = { max_connections: "200", shared_buffers: "1GB", min_wal_size: "1GB", max_wal_size: "4GB" }

/** Creates the WAL files that a server which has run for a while goes on to use again. */
const warmUp = (admin: SqlClient.SqlClient) =>
  Effect.gen(function*() {
    for (let file = 0; file < 60; file++) {
      yield* admin`SELECT pg_logical_emit_message(false, 'waybill', 'warm up')::text, pg_switch_wal()::text`
    }
    yield* admin`CHECKPOINT`
  })

/** Further settings, such as `shared_preload_libraries=pg_stat_statements`, to find out where the time goes. */
const extra = env["WAYBILL_BENCH_SETTINGS"]?.split(";") ?? []

/** The server of a run. */
export class Server extends Context.Service<Server, {
  /** A client of the server that may create databases. */
  readonly admin: SqlClient.SqlClient
  /** The version that the server tells. */
  readonly version: string
  /** The address of a database. */
  readonly address: (name: string) => string
}>()("@waybill/benchmarks/Server") {}

export const layer: Layer.Layer<Server, unknown> = Layer.effect(
  Server,
  Effect.gen(function*() {
    const { url } = yield* Effect.acquireRelease(
      Effect.promise(() =>
        PostgresServer.start([...Object.entries(settings).map(([name, value]) => `${name}=${value}`), ...extra])
      ),
      ({ stop }) => Effect.promise(stop)
    )
    const context = yield* Layer.build(PgClient.layer({ url: Redacted.make(url), maxConnections: 1 }))
    const admin = Context.get(context, SqlClient.SqlClient)
    const [row] = yield* admin<{ readonly version: string }>`SELECT current_setting('server_version') AS version`
    yield* warmUp(admin)
    return Server.of({
      admin,
      version: row?.version ?? "unknown",
      address: (name) => {
        const address = new URL(url)
        address.pathname = name
        return address.href
      }
    })
  })
)

/** Drops a database; the clients of other drivers may take a moment to leave it, and crash where they are thrown out. */
const drop = (admin: SqlClient.SqlClient, name: string) =>
  Effect.retry(admin.unsafe(`DROP DATABASE ${name}`), Schedule.spaced("100 millis").pipe(Schedule.upTo({ times: 50 })))
    .pipe(
      Effect.catch(() => admin.unsafe(`DROP DATABASE ${name} WITH (FORCE)`))
    )

let databases = 0

/** A database of the server, empty or a copy of another one, dropped with the scope. */
export const database = Effect.fnUntraced(function*(template?: string) {
  const { admin } = yield* Server
  const name = `bench_${++databases}`
  return yield* Effect.acquireRelease(
    Effect.as(admin.unsafe(`CREATE DATABASE ${name}${template === undefined ? "" : ` TEMPLATE ${template}`}`), name),
    () => Effect.orDie(drop(admin, name))
  )
})

/** Runs with a client of a database and the ledger in it, both closed at the end. */
export const inDatabase = <A, E, R>(
  name: string,
  effect: Effect.Effect<A, E, R>,
  options: { readonly maxConnections?: number } = {}
) =>
  Effect.flatMap(Server, ({ address }) =>
    effect.pipe(
      Effect.provide(
        PgLedger.layer().pipe(
          Layer.provideMerge(Layer.effectDiscard(PgMigrations.migrate())),
          Layer.provideMerge(SecureRandom.layerWebCrypto),
          Layer.provideMerge(PgServer.layer(Redacted.make(address(name)), options))
        ),
        { local: true }
      )
    ))

/** Statements of a fill, which take longer than a service allows. */
export const patiently = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    return yield* sql.withTransaction(Effect.andThen(sql`SET LOCAL statement_timeout = 0`, effect))
  })

export type Requirements = Server | Scope.Scope
