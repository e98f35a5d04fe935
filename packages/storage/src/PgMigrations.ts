/**
 * Creates and upgrades the schema that the ledger lives in, safely from several processes at once.
 *
 * @since 0.1.0
 */
import { type LedgerImmutable, type LedgerUnavailable, type SchemaNotMigrated } from "@waybill/core/LedgerError"
import { Effect } from "effect"
import { Migrator, SqlClient } from "effect/sql"
import * as migration0001 from "./internal/migration0001.ts"
import * as migration0002 from "./internal/migration0002.ts"
import * as migration0003 from "./internal/migration0003.ts"
import * as migration0004 from "./internal/migration0004.ts"
import * as migration0006 from "./internal/migration0006.ts"
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
  "0006_let_echoed_ids_decide": migration0006.statements
}

const quoted = (schema: string): string => `"${schema.replaceAll("\"", "\"\"")}"`

const table = (schema: string): string => `${schema}.migrations`

/**
 * Applies the migrations that a schema lacks, in one transaction, and gives their names.
 *
 * Two processes may call it at the same time: the second waits for the first and applies nothing.
 *
 * @category migrations
 * @since 0.1.0
 */
export const migrate = Effect.fn("PgMigrations.migrate")(function*(schema: string = defaultSchema) {
  const sql = yield* SqlClient.SqlClient
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
    yield* sql`SELECT pg_advisory_xact_lock(hashtextextended(${`waybill migrations of ${schema}`}, 0))`
    yield* sql`CREATE SCHEMA IF NOT EXISTS ${sql(schema)}`
    return yield* run
  })).pipe(PgError.refine(schema))
  return applied.map(([id, name]) => `${String(id).padStart(4, "0")}_${name}`)
})

/**
 * Gives the names of the migrations that a schema lacks.
 *
 * @category migrations
 * @since 0.1.0
 */
export const pending = Effect.fn("PgMigrations.pending")(
  function*(
    schema: string = defaultSchema
  ): Effect.fn.Return<
    ReadonlyArray<string>,
    LedgerUnavailable | LedgerImmutable | SchemaNotMigrated,
    SqlClient.SqlClient
  > {
    const sql = yield* SqlClient.SqlClient
    const names = Object.keys(migrations)
    const [found] = yield* sql<{ readonly exists: boolean }>`
      SELECT to_regclass(${`${quoted(schema)}.migrations`}) IS NOT NULL AS "exists"
    `.pipe(PgError.refine(schema))
    if (found?.exists !== true) return names
    const applied = yield* sql<{ readonly id: number }>`SELECT migration_id AS id FROM ${sql(table(schema))}`.pipe(
      PgError.refine(schema)
    )
    const ids = new Set(applied.map(({ id }) => id))
    return names.filter((name) => !ids.has(Number(name.slice(0, 4))))
  }
)

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
const readTables = ["migrations", "epochs", "moved_events"]

/** The functions that the ledger calls by itself; the others run as triggers. */
const calledFunctions = [...migration0001.calledFunctions, ...migration0004.calledFunctions]

/** The mutable tables beside the ledger. */
const workingTables = ["deliveries", "correlations", "orphans", "checkpoints", "webhooks", "webhook_tokens", "sweeps"]

/** The tables whose every row belongs to a tenant. */
const tenantTables = [
  "events",
  "acts",
  "recipients",
  "moved_events",
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
