/**
 * Runs what the ledger writes and reads, for one tenant or for all: in bounded transactions, retried where they contend, and
 * within the caller's own transaction where one is open.
 */
import { LedgerError, Tenant } from "@waybill/core"
import { Effect, Option, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import * as PgError from "../../PgError.ts"
import * as PgMigrations from "../../PgMigrations.ts"
import * as PgServer from "../../PgServer.ts"
import * as Parameters from "./Parameters.ts"

/** Where and how all is kept. */
export interface Options {
  /** The schema of the tables, `waybill` by default. */
  readonly schema?: string
  /** Whether each transaction names its tenant to the policies of row-level security; not by default. */
  readonly rowLevelSecurity?: boolean
}

const isContended = (error: unknown): boolean =>
  error instanceof LedgerError.LedgerUnavailable && error.reason === "contention"

/** Retries of a transaction that lost a deadlock or a serialization conflict, and of nothing else. */
export const contention = Schedule.exponential("5 millis").pipe(
  Schedule.jittered,
  Schedule.upTo({ times: 10 }),
  Schedule.while(({ input }) => Effect.succeed(isContended(input)))
)

/** What the schema holds: tables, and the functions that statements call. */
export type Name =
  | "acts"
  | "alert_mutes"
  | "alert_notices"
  | "alerts"
  | "canonical_recipient"
  | "checkpoints"
  | "contributions"
  | "correlations"
  | "deliveries"
  | "event_details"
  | "events"
  | "figures"
  | "figures_due"
  | "hold_address"
  | "hold_recipient"
  | "is_elsewhere"
  | "is_linkable"
  | "moved_events"
  | "note_again"
  | "occurrences"
  | "occurrences_of"
  | "orphans"
  | "recipient_digest"
  | "recipient_pseudonym"
  | "recipients"
  | "requeue"
  | "suppressed_recipients"
  | "suppressions"
  | "suppressions_of"
  | "sweeps"
  | "tokens"
  | "unsent"
  | "webhook_tallies"
  | "webhook_tokens"
  | "webhooks"

/** Opens a schema: its names, and the ways to run statements in it. */
export const make = Effect.fnUntraced(function*(options: Options) {
  const { rowLevelSecurity = false, schema = PgMigrations.defaultSchema } = options
  const sql = yield* SqlClient.SqlClient

  /** A name of the schema within a statement. */
  const table = (name: Name) => sql(`${schema}.${name}`)
  const quotedSchema = `"${schema.replaceAll("\"", "\"\"")}"`
  /** A name of the schema within the text of a statement. */
  const quoted = (name: Name) => `${quotedSchema}."${name}"`
  const refine = PgError.refine(schema)

  /** Whether a transaction of the caller is open, which an operation joins. */
  const isJoined = Effect.map(Effect.serviceOption(sql.transactionService), Option.isSome)

  // The time limits that a pool of the caller's leaves out. A standalone backend, as an embedded database is, has none to give.
  const missing = yield* refine(sql<{ readonly name: keyof typeof PgServer.timeLimits }>`
    SELECT name FROM pg_settings WHERE ${sql.in("name", Object.keys(PgServer.timeLimits))} AND setting = '0'
      AND EXISTS (SELECT FROM pg_stat_activity WHERE pid = pg_backend_pid() AND backend_type = 'client backend')
  `)
  const limits = missing.map(({ name }) => [name, PgServer.timeLimits[name]] as const)

  /**
   * Tells the policies of row-level security which tenant the transaction is for, and sets the time limits of one that is not
   * the caller's own.
   */
  const enter = (scope: Tenant.Scope, joined: boolean) => {
    const settings = [
      ...joined ? [] : limits,
      ...rowLevelSecurity ? [["waybill.tenant_id", scope] as const] : []
    ]
    return settings.length === 0
      ? Effect.void
      : Effect.asVoid(sql`
        SELECT set_config(name, value, true) FROM unnest(
          ${Parameters.texts(settings.map(([name]) => name))}, ${Parameters.texts(settings.map(([, value]) => value))}
        ) AS given (name, value)
      `)
  }

  /** What contends is retried, unless the transaction is the caller's own. */
  const retried = <A, E, R>(once: (joined: boolean) => Effect.Effect<A, E, R>) =>
    Effect.flatMap(
      isJoined,
      (joined) => joined ? once(joined) : Effect.retry(once(joined), contention)
    )

  /** Runs for a tenant in one transaction. */
  const transaction = <A, E, R>(scope: Tenant.Scope, effect: Effect.Effect<A, E, R>) =>
    retried((joined) => refine(sql.withTransaction(Effect.andThen(enter(scope, joined), effect))))

  /** Runs statements that need not be atomic, in a transaction only where row-level security or the limits ask for one. */
  const statements = <A, E, R>(scope: Tenant.Scope, effect: Effect.Effect<A, E, R>) =>
    rowLevelSecurity || limits.length > 0 ? transaction(scope, effect) : retried(() => refine(effect))

  const inScope = (scope: Tenant.Scope) => scope === Tenant.all ? sql`true` : sql`tenant_id = ${scope}`

  return { schema, sql, table, quoted, refine, isJoined, transaction, statements, inScope }
})

/** A schema, and the ways to run statements in it. */
export type Database = Effect.Success<ReturnType<typeof make>>
