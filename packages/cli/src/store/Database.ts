/**
 * Opens the database that the settings name, and looks at it: a PostgreSQL server, an embedded database or memory.
 *
 * An embedded database is migrated when it is opened. A server is migrated by `waybill migrate` alone.
 *
 * @since 0.2.0
 */
import type { LedgerError } from "@waybill/core"
import type { Findings } from "@waybill/storage/PgHealth"
import type { DatabaseInUse } from "@waybill/storage/PgLite"
import type { UnusableUrl } from "@waybill/storage/PgUrl"
import { type Config, Context, Duration, Effect, Layer, Option, Predicate, Schema } from "effect"
import type { SqlClient } from "effect/sql"
import type * as Location from "../config/Location.ts"
import * as Setting from "../config/Setting.ts"
import * as Settings from "../config/Settings.ts"

/**
 * An embedded database cannot be kept where the settings say.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnusableDirectory
  extends Schema.TaggedError<UnusableDirectory>("waybill/UnusableDirectory")("UnusableDirectory", {
    directory: Schema.String,
    issue: Schema.String
  })
{
  override get message(): string {
    return `the database is not available in ${this.directory}: ${this.issue}`
  }
}

/**
 * The ways in which opening the ledger fails.
 *
 * @category errors
 * @since 0.1.0
 */
export type OpenError =
  | Setting.BadSetting
  | Config.ConfigError
  | DatabaseInUse
  | UnusableDirectory
  | UnusableUrl
  | LedgerError.LedgerError

/**
 * The database beneath the ledger.
 *
 * @category services
 * @since 0.1.0
 */
export class Database extends Context.Service<Database, {
  readonly kind: Location.Location["_tag"]
  readonly schema: string
  /** The migrations that the schema lacks. */
  readonly pending: Effect.Effect<ReadonlyArray<string>, LedgerError.LedgerError>
  /** The migrations that the schema has, oldest first; none in memory. */
  readonly applied: Effect.Effect<ReadonlyArray<string>, LedgerError.LedgerError>
  /** Fails where the database does not write. */
  readonly writes: Effect.Effect<void, LedgerError.LedgerError>
  /** Looks at the database, also at transactions that have been open for longer than this; there is none in memory. */
  readonly examine: (openFor: Duration.Duration) => Effect.Effect<Option.Option<Findings>, LedgerError.LedgerError>
}>()("waybill/Store/Database") {}

/** Why a directory cannot be used, by the error of the file system. */
const issues: Readonly<Record<string, string>> = {
  EEXIST: "there is a file in its place",
  ENOTDIR: "a part of its path is a file",
  EACCES: "this user may not write there",
  EPERM: "this user may not write there",
  EROFS: "the disk is read-only",
  ENOSPC: "the disk is full"
}

const embedded = Effect.fnUntraced(function*(directory: string) {
  const PgLite = yield* Effect.promise(() => import("@waybill/storage/PgLite"))
  return PgLite.layer({ directory }).pipe(Layer.catchTag("LedgerUnavailable", (error) => {
    const issue = Predicate.hasProperty(error.cause, "code") ? issues[String(error.cause.code)] : undefined
    return Layer.effectContext(Effect.fail(issue === undefined ? error : new UnusableDirectory({ directory, issue })))
  }))
})

/** Gives the layers of all places one type. */
const opening = <A>(layer: Layer.Layer<A, OpenError>): Layer.Layer<A, OpenError> => layer

const client = Effect.fnUntraced(function*(location: Exclude<Location.Location, { readonly _tag: "Memory" }>) {
  if (location._tag === "Embedded") return opening(yield* embedded(location.directory))
  const PgServer = yield* Effect.promise(() => import("@waybill/storage/PgServer"))
  const pooler = yield* Setting.read(Settings.pooler)
  return opening(PgServer.layer(location.url, {
    maxConnections: yield* Setting.read(Settings.maxConnections),
    ...Option.isSome(pooler) ? { pooler: pooler.value } : {}
  }))
})

const inMemory = (schema: string) =>
  Layer.succeed(Database, {
    kind: "Memory",
    schema,
    pending: Effect.succeed([]),
    applied: Effect.succeed([]),
    writes: Effect.void,
    examine: () => Effect.succeed(Option.none())
  })

const inPostgres = Effect.fnUntraced(function*(kind: Location.Location["_tag"], schema: string) {
  const [PgHealth, PgMigrations, { SqlClient }] = yield* Effect.promise(() =>
    Promise.all([import("@waybill/storage/PgHealth"), import("@waybill/storage/PgMigrations"), import("effect/sql")])
  )
  return Layer.effect(
    Database,
    Effect.map(SqlClient.SqlClient, (sql) => {
      const run = Effect.provideService(SqlClient.SqlClient, sql)
      return Database.of({
        kind,
        schema,
        pending: run(PgMigrations.pending(schema)),
        applied: run(PgHealth.applied(schema)),
        writes: run(PgHealth.writes(schema)),
        examine: (openFor) => Effect.asSome(run(PgHealth.examine(schema, Duration.toSeconds(openFor))))
      })
    })
  )
})

/** A client of the database, which is migrated where it is an embedded one. */
const opened = Effect.fnUntraced(function*(
  at: Exclude<Location.Location, { readonly _tag: "Memory" }>,
  schema: string
) {
  const sql = yield* client(at)
  if (at._tag === "Server") return sql
  const PgMigrations = yield* Effect.promise(() => import("@waybill/storage/PgMigrations"))
  return Layer.provideMerge(Layer.effectDiscard(PgMigrations.migrate(schema)), sql)
})

/**
 * The storage adapters that are laid upon the database, for each kind of it; only those of the kind in hand are loaded.
 *
 * @category models
 * @since 0.2.0
 */
export interface Adapters<A, R> {
  readonly memory: Effect.Effect<Layer.Layer<A, never, R>>
  readonly postgres: (
    schema: string
  ) => Effect.Effect<
    Layer.Layer<A, LedgerError.LedgerError, SqlClient.SqlClient | R>,
    Setting.BadSetting | Config.ConfigError
  >
}

/**
 * The database, and adapters upon it.
 *
 * @category layers
 * @since 0.2.0
 */
export const layerWith = <A, R>(adapters: Adapters<A, R>): Layer.Layer<A | Database, OpenError, R> =>
  Layer.unwrap(Effect.gen(function*() {
    const schema = yield* Setting.read(Settings.schemaName)
    const at = yield* Setting.read(Settings.databaseUrl)
    if (at._tag === "Memory") return Layer.merge(yield* adapters.memory, inMemory(schema))
    return Layer.merge(yield* adapters.postgres(schema), yield* inPostgres(at._tag, schema)).pipe(
      Layer.provide(yield* opened(at, schema))
    )
  }))

/**
 * The database alone, which need not be migrated.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Database, OpenError> = layerWith({
  memory: Effect.succeed(Layer.empty),
  postgres: () => Effect.succeed(Layer.empty)
})

/**
 * Who may use the schema beside its owner, how tenants are kept apart, and who hears of events.
 *
 * @category models
 * @since 0.1.0
 */
export interface Extras {
  /** A role that is let use the ledger and no more. */
  readonly grantTo: Option.Option<string>
  /** Whether row-level security is switched on. */
  readonly rowLevelSecurity: boolean
  /** Whether those who listen are notified of appended events. */
  readonly notify: boolean
}

/**
 * Applies the migrations that the database lacks and returns their names; memory lacks none.
 *
 * @category migrations
 * @since 0.1.0
 */
export const migrate = Effect.fnUntraced(function*(extras: Extras) {
  const schema = yield* Setting.read(Settings.schemaName)
  const at = yield* Setting.read(Settings.databaseUrl)
  if (at._tag === "Memory") return []
  const PgMigrations = yield* Effect.promise(() => import("@waybill/storage/PgMigrations"))
  const all = Effect.gen(function*() {
    const applied = yield* PgMigrations.migrate(schema)
    if (Option.isSome(extras.grantTo)) yield* PgMigrations.grant(extras.grantTo.value, schema)
    if (extras.rowLevelSecurity) yield* PgMigrations.enableRowLevelSecurity(schema)
    if (extras.notify) yield* PgMigrations.enableNotifications(schema)
    return applied
  })
  return yield* Effect.provide(all, yield* client(at))
})
