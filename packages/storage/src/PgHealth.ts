/**
 * Looks at the state of a PostgreSQL database that the ledger depends on and changes nothing: its clock, what the role in use
 * may do, transactions that stay open, and the feed.
 *
 * @since 0.1.0
 */
import { Cursor, Tenant } from "@waybill/core"
import { type LedgerError, type SchemaTooNew } from "@waybill/core/LedgerError"
import { Clock, Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"
import * as poolers from "./internal/connection/poolers.ts"
import { calledFunctions } from "./internal/pg/calledFunctions.ts"
import * as Places from "./internal/pg/feed/Places.ts"
import * as PgError from "./PgError.ts"
import * as PgMigrations from "./PgMigrations.ts"

/**
 * How far the clock of the database is ahead of ours.
 *
 * @category models
 * @since 0.1.0
 */
export interface Skew {
  readonly millis: number
  /** How far off `millis` may be: half the time that asking took. */
  readonly uncertainty: number
}

/**
 * A transaction that holds locks and delays the feed.
 *
 * @category models
 * @since 0.1.0
 */
export interface OpenTransaction {
  /** Absent for a prepared transaction. */
  readonly processId: number | null
  readonly application: string
  readonly state: string
  readonly seconds: number
}

/**
 * What keeps the feed from being followed.
 *
 * @category models
 * @since 0.2.0
 */
export interface FeedFindings {
  /** Whether the database was restored into another cluster and the feed was not repaired since. */
  readonly restored: boolean
  /** How many restored events are held back, counted to 10,000. */
  readonly held: number
  /** The consumers whose cursor is ahead of the database. */
  readonly ahead: ReadonlyArray<string>
}

/**
 * What was found.
 *
 * @category models
 * @since 0.1.0
 */
export interface Findings {
  /** As in `server_version_num`. */
  readonly version: number
  /** The oldest version that is supported. */
  readonly oldestVersion: number
  readonly skew: Skew
  /** The migrations that the schema lacks, as far as the role in use may see. */
  readonly pending: ReadonlyArray<string>
  /** The migrations that the schema has and this program does not know. */
  readonly newer: ReadonlyArray<string>
  /** Why this program must not write to the schema, where it must not. */
  readonly tooNew: SchemaTooNew | undefined
  /** What the role in use may not do and must, such as `INSERT on events`. */
  readonly missing: ReadonlyArray<string>
  /** The triggers of the ledger that are switched off. */
  readonly disabledTriggers: ReadonlyArray<string>
  /** Whether the policies of row-level security apply to the role in use. */
  readonly rowLevelSecurity: boolean
  /** Transactions that have been open for longer than asked. */
  readonly open: ReadonlyArray<OpenTransaction>
  /** The state of the feed; absent where the schema has none yet or the role in use may not see it. */
  readonly feed: FeedFindings | null
  /** Between this process and the server, as far as is known. */
  readonly pooler: poolers.Pooler
  /** Why a write was refused, in words; nothing where it was not. */
  readonly refusal: string | undefined
}

/**
 * The oldest version that is supported, as in `server_version_num`.
 *
 * @category constants
 * @since 0.1.0
 */
export const oldestVersion = 150_000

const Version = Schema.Array(Schema.Struct({ version: Schema.Int }))

const Now = Schema.Array(Schema.Struct({ millis: Schema.Finite }))

const Names = Schema.Array(Schema.Struct({ name: Schema.String }))

const Active = Schema.Array(Schema.Struct({ active: Schema.Boolean }))

const Open = Schema.Array(Schema.Struct({
  processId: Schema.NullOr(Schema.Int),
  application: Schema.String,
  state: Schema.String,
  seconds: Schema.Finite
}))

const Feed = Schema.Array(Schema.Struct({ restored: Schema.Boolean, held: Schema.Int }))

const Consumers = Schema.Array(Schema.Struct({ name: Schema.String, cursor: Cursor.Cursor }))

const Faults = Schema.Array(Schema.Struct({ fault: Schema.NullOr(Schema.String) }))

const ask = <A>(codec: Schema.Codec<A, unknown>) => {
  const decode = Schema.decodeUnknownEffect(codec)
  return <E, R>(rows: Effect.Effect<unknown, E, R>) => Effect.flatMap(rows, (found) => Effect.orDie(decode(found)))
}

/** The best of three: the one that took the least time. */
const measureSkew = (sql: SqlClient.SqlClient) =>
  Effect.map(
    Effect.replicateEffect(
      Effect.gen(function*() {
        const before = yield* Clock.currentTimeMillis
        const [now] = yield* ask(Now)(sql`SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS millis`)
        const after = yield* Clock.currentTimeMillis
        const uncertainty = (after - before) / 2
        return { millis: Math.round((now?.millis ?? before) - before - uncertainty), uncertainty }
      }),
      3
    ),
    (samples) =>
      samples.toSorted((one, other) => one.uncertainty - other.uncertainty)[0] ?? { millis: 0, uncertainty: 0 }
  )

const missingPrivileges = (sql: SqlClient.SqlClient, schema: string) =>
  Effect.map(
    ask(Names)(sql`
      SELECT privilege || ' on ' || c.relname AS name
      FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace
      CROSS JOIN LATERAL unnest(CASE
        WHEN c.relname IN ('events', 'acts') THEN ARRAY['SELECT', 'INSERT']
        WHEN c.relname IN ('migrations', 'epochs', 'moved_events', 'occurrences') THEN ARRAY['SELECT']
        WHEN c.relname = 'recipients' THEN ARRAY['DELETE']
        WHEN c.relname = 'secrets' THEN ARRAY[]::text[]
        ELSE ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']
      END) AS privilege
      WHERE n.nspname = ${schema} AND c.relkind IN ('r', 'p') AND NOT has_table_privilege(c.oid, privilege)
      UNION ALL
      SELECT 'EXECUTE on ' || p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
      WHERE n.nspname = ${schema} AND ${sql.in("p.proname", calledFunctions)}
        AND NOT has_function_privilege(p.oid, 'EXECUTE')
      UNION ALL
      SELECT 'USAGE on the schema' FROM pg_namespace n
      WHERE n.nspname = ${schema} AND NOT has_schema_privilege(n.oid, 'USAGE')
      ORDER BY 1
    `),
    (rows) => rows.map(({ name }) => name)
  )

const disabledTriggers = (sql: SqlClient.SqlClient, schema: string) =>
  Effect.map(
    ask(Names)(sql`
      SELECT t.tgname || ' on ' || c.relname AS name
      FROM pg_trigger t
      JOIN pg_class c ON c.oid = t.tgrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = ${schema} AND NOT t.tgisinternal AND t.tgenabled IN ('D', 'R')
      ORDER BY c.relname, t.tgname
    `),
    (rows) => rows.map(({ name }) => name)
  )

const isRowLevelSecurityActive = (sql: SqlClient.SqlClient, schema: string) =>
  Effect.map(
    ask(Active)(sql`
      SELECT row_security_active(c.oid) AS active
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = ${schema} AND c.relname = 'events'
    `),
    ([row]) => row?.active === true
  )

const openTransactions = (sql: SqlClient.SqlClient, seconds: number) =>
  ask(Open)(sql`
    SELECT pid AS "processId", application_name AS application, coalesce(state, 'unknown') AS state,
      extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
      AND xact_start < clock_timestamp() - make_interval(secs => ${seconds}::float8)
    UNION ALL
    SELECT NULL, gid, 'prepared', extract(epoch FROM clock_timestamp() - prepared)::float8
    FROM pg_prepared_xacts
    WHERE database = current_database() AND prepared < clock_timestamp() - make_interval(secs => ${seconds}::float8)
    ORDER BY 4 DESC
  `)

const examineFeed = Effect.fnUntraced(function*(sql: SqlClient.SqlClient, schema: string) {
  const names = Places.namesIn(sql, schema)
  const current = Places.current(names)
  // Behind row-level security, the role sees the events of all tenants by naming them all.
  yield* sql`SELECT set_config('waybill.tenant_id', ${Tenant.all}, true)`
  const [found] = yield* ask(Feed)(sql`
    SELECT current.restored, (${Places.countHeld(names, 10_000)}) AS held FROM (${current}) current
  `)
  const consumers = yield* ask(Consumers)(sql`SELECT name, cursor FROM ${sql(`${schema}.checkpoints`)} ORDER BY name`)
  const ahead = yield* Effect.filter(consumers, ({ cursor }) =>
    Effect.map(
      ask(Faults)(sql`SELECT ${Places.fault(names, cursor)} AS fault FROM (${current}) current`),
      ([row]) => typeof row?.fault === "string"
    ))
  return { restored: found?.restored === true, held: found?.held ?? 0, ahead: ahead.map(({ name }) => name) }
})

/** What is wrong with the schema or with the privileges of the role is found by other checks. */
const lookAtFeed = (sql: SqlClient.SqlClient, schema: string) =>
  PgError.refine(schema)(sql.withTransaction(examineFeed(sql, schema))).pipe(
    Effect.catchIf(
      (error) =>
        error._tag === "SchemaNotMigrated" || error._tag === "LedgerUnavailable" && error.reason === "permission",
      () => Effect.succeed(null)
    )
  )

/**
 * Gives the names of the migrations that a schema has, oldest first.
 *
 * @category getters
 * @since 0.1.0
 */
export const applied: (
  schema: string
) => Effect.Effect<ReadonlyArray<string>, LedgerError, SqlClient.SqlClient> = Effect.fn("PgHealth.applied")(
  function*(schema) {
    const sql = yield* SqlClient.SqlClient
    const rows = yield* PgError.refine(schema)(
      ask(Names)(sql`
      SELECT lpad(migration_id::text, 4, '0') || '_' || name AS name
      FROM ${sql(`${schema}.migrations`)} ORDER BY migration_id
    `)
    )
    return rows.map(({ name }) => name)
  }
)

/**
 * Fails where the database does not write, as a standby does not, and writes nothing itself.
 *
 * @category examination
 * @since 0.2.0
 */
export const writes: (
  schema: string
) => Effect.Effect<void, LedgerError, SqlClient.SqlClient> = Effect.fn("PgHealth.writes")(function*(schema) {
  const sql = yield* SqlClient.SqlClient
  yield* PgError.refine(schema)(sql`UPDATE ${sql(`${schema}.checkpoints`)} SET cursor = cursor WHERE false`)
})

/** The error that undoes a write. */
const undone = Symbol("undone")

/** Why the database refuses a row, which is not kept; nothing where it takes it, or where there is no table for it. */
const refusal = (sql: SqlClient.SqlClient, schema: string) =>
  sql`
    INSERT INTO ${sql(`${schema}.checkpoints`)} (name, cursor, saved_at) VALUES (gen_random_uuid()::text, '', now())
  `.pipe(
    Effect.andThen(Effect.fail(undone)),
    sql.withTransaction,
    PgError.refine(schema),
    Effect.as(undefined),
    Effect.catchTag("LedgerUnavailable", (error) =>
      Effect.succeed(error.reason === "permission" ? undefined : error.message)),
    Effect.catch(() =>
      Effect.undefined
    )
  )

/**
 * Looks at everything, at transactions that have been open for longer than some seconds.
 *
 * A role that may not see the sessions of others finds its own alone.
 *
 * @category examination
 * @since 0.1.0
 */
export const examine: (
  schema: string,
  openFor: number
) => Effect.Effect<Findings, LedgerError, SqlClient.SqlClient> = Effect.fn("PgHealth.examine")(
  function*(schema, openFor) {
    const sql = yield* SqlClient.SqlClient
    const look = Effect.gen(function*() {
      const [row] = yield* ask(Version)(sql`SELECT current_setting('server_version_num')::integer AS version`)
      return {
        version: row?.version ?? 0,
        oldestVersion,
        skew: yield* measureSkew(sql),
        missing: yield* missingPrivileges(sql, schema),
        disabledTriggers: yield* disabledTriggers(sql, schema),
        rowLevelSecurity: yield* isRowLevelSecurityActive(sql, schema),
        open: yield* openTransactions(sql, openFor),
        pooler: poolers.of(sql)
      }
    })
    const found = yield* PgError.refine(schema)(look)
    const state = yield* Effect.catchIf(
      PgMigrations.state(schema),
      (error) => error._tag === "LedgerUnavailable" && error.reason === "permission",
      () => Effect.succeed({ pending: [], newer: [], tooNew: undefined })
    )
    const feed = state.pending.length > 0 ? null : yield* lookAtFeed(sql, schema)
    return { ...found, ...state, feed, refusal: yield* refusal(sql, schema) }
  }
)
