/**
 * Creates and upgrades the schema that the ledger lives in, safely from several processes at once, and tells whether this
 * program may write to it.
 *
 * @since 0.1.0
 */
import { type LedgerError, SchemaNotMigrated, SchemaTooNew } from "@waybill/core/LedgerError"
import { Effect } from "effect"
import { Migrator, SqlClient } from "effect/sql"
import { createHash } from "node:crypto"
import * as migration0001 from "./internal/migrations/migration0001.ts"
import * as migration0002 from "./internal/migrations/migration0002.ts"
import * as migration0003 from "./internal/migrations/migration0003.ts"
import * as migration0004 from "./internal/migrations/migration0004.ts"
import * as migration0005 from "./internal/migrations/migration0005.ts"
import * as migration0006 from "./internal/migrations/migration0006.ts"
import * as migration0007 from "./internal/migrations/migration0007.ts"
import * as migration0008 from "./internal/migrations/migration0008.ts"
import * as migration0009 from "./internal/migrations/migration0009.ts"
import * as migration0010 from "./internal/migrations/migration0010.ts"
import * as migration0011 from "./internal/migrations/migration0011.ts"
import * as migration0012 from "./internal/migrations/migration0012.ts"
import * as migration0013 from "./internal/migrations/migration0013.ts"
import * as migration0014 from "./internal/migrations/migration0014.ts"
import * as migration0015 from "./internal/migrations/migration0015.ts"
import { calledFunctions } from "./internal/pg/calledFunctions.ts"
import * as PgError from "./PgError.ts"

/**
 * The schema that is used where none is named.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultSchema = "waybill"

const migrations: Readonly<Record<string, (schema: string) => ReadonlyArray<string>>> = {
  "0001_create_ledger": migration0001.statements,
  "0002_create_inbox_and_sweeps": migration0002.statements,
  "0003_compare_canonical_forms": migration0003.statements,
  "0004_give_the_feed_epochs": migration0004.statements,
  "0005_add_compatibility": migration0005.statements,
  "0006_let_echoed_ids_decide": migration0006.statements,
  "0007_keep_details": migration0007.statements,
  "0008_keep_the_last_error": migration0008.statements,
  "0009_tell_suppressions": migration0009.statements,
  "0010_find_deliveries": migration0010.statements,
  "0011_queue_the_unsent": migration0011.statements,
  "0012_create_tokens": migration0012.statements,
  "0013_remember_alerts": migration0013.statements,
  "0014_count_deliveries": migration0014.statements,
  "0015_drain_the_inbox": migration0015.statements
}

/**
 * The newest migration that a program has to know to write after a migration. One that is not in the list asks for itself, so
 * that a program which does not know it writes nothing.
 */
const compatibleSince: Readonly<Record<string, number>> = {
  "0001_create_ledger": 1,
  "0002_create_inbox_and_sweeps": 2,
  // An older program compares addresses beyond ASCII as before, and leaves such an event waiting where this one would link it.
  "0003_compare_canonical_forms": 2,
  // An older program follows the feed without the index it had, and does not see what a repair has moved.
  "0004_give_the_feed_epochs": 2,
  "0005_add_compatibility": 2,
  // An older program leaves an event waiting that echoes a delivery's id and names another address.
  "0006_let_echoed_ids_decide": 2,
  // An older program keeps no details, and erases none when it forgets a recipient: they go by their age.
  "0007_keep_details": 2,
  // An older program leaves the last error as it was, which a rebuild mends.
  "0008_keep_the_last_error": 2,
  // An older program's events tell suppressions by the trigger; its record does not ask for them. Where it forgets a recipient
  // that events name, the name goes by a trigger; one that was added by hand alone stays until a newer program forgets it. It keeps
  // nothing of what events said: a rebuild takes that away.
  "0009_tell_suppressions": 2,
  // Triggers and a generated column keep what is searched, whichever program writes.
  "0010_find_deliveries": 2,
  "0011_queue_the_unsent": 2,
  "0012_create_tokens": 2,
  "0013_remember_alerts": 2,
  // What an older program writes is in the feed, and what it erases is noted by triggers.
  "0014_count_deliveries": 2,
  "0015_drain_the_inbox": 2
}

const numberOf = (name: string): number => Number(name.slice(0, 4))

/** The newest migration that this program knows. */
const known = Math.max(...Object.keys(migrations).map(numberOf))

const quoted = (schema: string): string => `"${schema.replaceAll("\"", "\"\"")}"`

const table = (schema: string): string => `${schema}.migrations`

/**
 * Tells the migrations of one version of this package from those of another, in a few letters.
 *
 * @category getters
 * @since 0.2.0
 */
export const fingerprint = (): string =>
  createHash("sha256")
    .update(JSON.stringify(Object.entries(migrations).map(([name, statements]) => [name, statements("")])))
    .digest("hex").slice(0, 12)

/**
 * How a schema stands to this program.
 *
 * @category models
 * @since 0.2.0
 */
export interface State {
  /** The names of the migrations that the schema lacks. */
  readonly pending: ReadonlyArray<string>
  /** The names of the migrations that the schema has and this program does not know. */
  readonly newer: ReadonlyArray<string>
  /** Why this program must not write, where it must not. */
  readonly tooNew: SchemaTooNew | undefined
}

/**
 * Tells how a schema stands to this program.
 *
 * @category migrations
 * @since 0.2.0
 */
export const state: (
  schema?: string
) => Effect.Effect<State, LedgerError, SqlClient.SqlClient> = Effect.fn("PgMigrations.state")(
  function*(schema = defaultSchema) {
    const sql = yield* SqlClient.SqlClient
    const names = Object.keys(migrations)
    const [found] = yield* sql<{ readonly exists: boolean }>`
      SELECT to_regclass(${`${quoted(schema)}.migrations`}) IS NOT NULL AS "exists"
    `.pipe(PgError.refine(schema))
    if (found?.exists !== true) return { pending: names, newer: [], tooNew: undefined }
    // The column is not there before the migration that adds it.
    const applied = yield* sql<{ readonly id: number; readonly name: string; readonly needed: number }>`
      SELECT migration_id AS id, lpad(migration_id::text, 4, '0') || '_' || name AS name,
        coalesce((to_jsonb(m) ->> 'compatible_since')::integer, migration_id) AS needed
      FROM ${sql(table(schema))} m ORDER BY migration_id
    `.pipe(PgError.refine(schema))
    const ids = new Set(applied.map(({ id }) => id))
    const newer = applied.filter(({ id }) => id > known)
    const needed = newer.reduce((most, { needed }) => Math.max(most, needed), 0)
    return {
      pending: names.filter((name) => !ids.has(numberOf(name))),
      newer: newer.map(({ name }) => name),
      tooNew: needed > known ? new SchemaTooNew({ schema, known, needed }) : undefined
    }
  }
)

/**
 * Returns the names of the migrations that a schema lacks; fails with `SchemaTooNew` where this program must not write to it.
 *
 * @category migrations
 * @since 0.1.0
 */
export const pending: (
  schema?: string
) => Effect.Effect<ReadonlyArray<string>, LedgerError, SqlClient.SqlClient> = Effect.fn("PgMigrations.pending")(
  function*(schema) {
    const { pending, tooNew } = yield* state(schema)
    return tooNew === undefined ? pending : yield* tooNew
  }
)

/**
 * Fails with `SchemaNotMigrated` where a schema lacks migrations, and with `SchemaTooNew` where this program must not write.
 *
 * @category migrations
 * @since 0.2.0
 */
export const ensure: (
  schema?: string
) => Effect.Effect<void, LedgerError, SqlClient.SqlClient> = Effect.fn("PgMigrations.ensure")(
  function*(schema = defaultSchema) {
    if ((yield* pending(schema)).length > 0) yield* new SchemaNotMigrated({ schema })
  }
)

/** Writes beside each migration how old a program may be. */
const tellCompatibility = (sql: SqlClient.SqlClient, schema: string) =>
  Effect.forEach(
    Object.keys(migrations),
    (name) =>
      sql`
        UPDATE ${sql(table(schema))} SET compatible_since = ${compatibleSince[name] ?? numberOf(name)}
        WHERE migration_id = ${numberOf(name)}
      `,
    { discard: true }
  )

/**
 * Applies the migrations that a schema lacks, in one transaction, and returns their names; asks only, where it lacks none.
 *
 * Two processes may call it at the same time: the second waits for the first and applies nothing. It fails with
 * `SchemaTooNew` where this program must not write.
 *
 * @category migrations
 * @since 0.1.0
 */
export const migrate = Effect.fn("PgMigrations.migrate")(function*(schema: string = defaultSchema) {
  const sql = yield* SqlClient.SqlClient
  if ((yield* pending(schema)).length === 0) return []
  const run = Migrator.make({})({
    table: table(schema),
    loader: Migrator.fromRecord(
      Object.fromEntries(
        Object.entries(migrations).map(([name, statements]) => [
          name,
          Effect.forEach(statements(quoted(schema)), (statement) => sql.unsafe(statement), { discard: true })
        ])
      )
    )
  }).pipe(
    Effect.catchTag("MigrationError", (error) => Effect.die(error))
  )
  const applied = yield* sql.withTransaction(Effect.gen(function*() {
    // What reads or writes a large table once takes longer than the limit that clients set.
    yield* sql`SET LOCAL statement_timeout = 0`
    yield* sql`SELECT pg_advisory_xact_lock(hashtextextended(${`waybill migrations of ${schema}`}, 0))`
    yield* sql`CREATE SCHEMA IF NOT EXISTS ${sql(schema)}`
    const applied = yield* run
    if (applied.length > 0) yield* tellCompatibility(sql, schema)
    return applied
  })).pipe(PgError.refine(schema))
  return applied.map(([id, name]) => `${String(id).padStart(4, "0")}_${name}`)
})

/**
 * Lets a role, which owns nothing, use the ledger and no more: it may only read and add events, and change the rest.
 *
 * The role is created, without login, where it does not exist. Give it to the user your application connects as
 * (`GRANT role TO user`).
 *
 * @category privileges
 * @since 0.1.0
 */
export const grant = Effect.fn("PgMigrations.grant")(function*(role: string, schema: string = defaultSchema) {
  const sql = yield* SqlClient.SqlClient
  const of = quoted(schema)
  const to = quoted(role)
  yield* sql.withTransaction(Effect.gen(function*() {
    const found = yield* sql`SELECT 1 FROM pg_roles WHERE rolname = ${role}`
    if (found.length === 0) yield* sql.unsafe(`CREATE ROLE ${to} NOLOGIN`)
    for (
      const statement of [
        `GRANT USAGE ON SCHEMA ${of} TO ${to}`,
        `GRANT SELECT, INSERT ON ${of}.events, ${of}.acts TO ${to}`,
        `GRANT SELECT ON ${readTables.map((name) => `${of}.${name}`).join(", ")} TO ${to}`,
        `GRANT SELECT, INSERT, UPDATE, DELETE ON ${workingTables.map((name) => `${of}.${name}`).join(", ")} TO ${to}`,
        `GRANT DELETE ON ${of}.recipients TO ${to}`,
        `GRANT SELECT (tenant_id, digest, pseudonym) ON ${of}.recipients TO ${to}`,
        `GRANT EXECUTE ON FUNCTION ${calledFunctions.map((name) => `${of}.${name}`).join(", ")} TO ${to}`
      ]
    ) {
      yield* sql.unsafe(statement)
    }
  })).pipe(PgError.refine(schema))
})

/** The tables that the owner alone writes. */
const readTables = ["migrations", "epochs", "moved_events", "occurrences"]

/** The mutable tables beside the ledger. */
const workingTables = [
  "deliveries",
  "event_details",
  "correlations",
  "orphans",
  "checkpoints",
  "webhooks",
  "webhook_tokens",
  "sweeps",
  "suppressions",
  "suppressed_recipients",
  "tokens",
  "unsent",
  "alerts",
  "alert_notices",
  "alert_mutes",
  "webhook_tallies",
  "contributions",
  "figures",
  "figures_due"
]

/** The tables whose every row belongs to a tenant. */
const tenantTables = [
  "events",
  "acts",
  "recipients",
  "moved_events",
  "occurrences",
  ...workingTables.filter((name) => name !== "checkpoints" && name !== "sweeps")
]

/**
 * Adds row-level security as a second wall between tenants: a role that does not own the tables sees and writes only the
 * rows of the tenant that `waybill.tenant_id` names in its transaction, or all rows where it names `*`.
 *
 * Build the ledger with `rowLevelSecurity: true`, which names the tenant. May be called again.
 *
 * @category privileges
 * @since 0.1.0
 */
export const enableRowLevelSecurity = Effect.fn("PgMigrations.enableRowLevelSecurity")(
  function*(schema: string = defaultSchema) {
    const sql = yield* SqlClient.SqlClient
    const of = quoted(schema)
    yield* sql.withTransaction(Effect.forEach(
      tenantTables,
      (name) =>
        Effect.gen(function*() {
          yield* sql.unsafe(`ALTER TABLE ${of}.${name} ENABLE ROW LEVEL SECURITY`)
          yield* sql.unsafe(`DROP POLICY IF EXISTS one_tenant ON ${of}.${name}`)
          yield* sql.unsafe(`
            CREATE POLICY one_tenant ON ${of}.${name}
            USING (current_setting('waybill.tenant_id', true) IN (tenant_id, '*'))
          `)
        }),
      { discard: true }
    )).pipe(PgError.refine(schema))
  }
)

/**
 * The channel that `enableNotifications` notifies, with the schema as the payload.
 *
 * @category notifications
 * @since 0.1.0
 */
export const notifyChannel = "waybill_events"

/**
 * Notifies those who listen, once a statement that appended events has committed, so that `PgNotifications.wake` wakes the
 * readers of the feed. It costs each append a part of its throughput, so it is off by default. May be called again.
 *
 * @category notifications
 * @since 0.1.0
 */
export const enableNotifications = Effect.fn("PgMigrations.enableNotifications")(
  function*(schema: string = defaultSchema) {
    const sql = yield* SqlClient.SqlClient
    const of = quoted(schema)
    yield* sql.withTransaction(Effect.andThen(
      sql.unsafe(`
        CREATE OR REPLACE FUNCTION ${of}.notify_events() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          IF EXISTS (SELECT FROM appended) THEN
            PERFORM pg_catalog.pg_notify('${notifyChannel}', TG_TABLE_SCHEMA);
          END IF;
          RETURN NULL;
        END $$
      `),
      sql.unsafe(`
        CREATE OR REPLACE TRIGGER events_notify AFTER INSERT ON ${of}.events
        REFERENCING NEW TABLE AS appended FOR EACH STATEMENT EXECUTE FUNCTION ${of}.notify_events()
      `)
    )).pipe(PgError.refine(schema))
  }
)
