/** Begins a new epoch of the feed where the database has moved to another history of transactions. */
import type { Audit } from "@waybill/core"
import { LedgerError, Tenant } from "@waybill/core"
import { DateTime, Effect, Option, Schedule, Schema } from "effect"
import type { Database } from "../Database.ts"
import * as Parameters from "../Parameters.ts"
import * as Places from "./Places.ts"

const StateRow = Schema.Struct({
  epoch: Schema.Int,
  isRestored: Schema.Boolean,
  isPromoted: Schema.Boolean,
  held: Schema.Int
})

const decodeState = Schema.decodeUnknownEffect(Schema.NonEmptyArray(StateRow))

const decodeMoved = Schema.decodeUnknownEffect(Schema.NonEmptyArray(Schema.Struct({ moved: Schema.Int })))

const RestoredRow = Schema.Struct({ position: Schema.BigInt, insertedAt: Schema.DateTimeUtcFromDate })

const decodeRestored = Schema.decodeUnknownEffect(Schema.Array(RestoredRow))

/** How long a repair waits for open writers in one go; those that come after it wait as long. */
const patience = "2s"

/** How often a repair tries again to get its turn among open writers. */
const persistence = Schedule.spaced("1 seconds").pipe(Schedule.upTo({ times: 30 }))

const isTimeout = (error: unknown): boolean =>
  error instanceof LedgerError.LedgerUnavailable && error.reason === "timeout"

/** The epoch of an instant: its minute, so that two histories of one ledger that parted never count the same one. */
const epochOf = (instant: DateTime.Utc): number => Math.floor(instant.epochMilliseconds / 60_000)

const isSound = ({ held, isPromoted, isRestored }: typeof StateRow.Type): boolean =>
  !isRestored && !isPromoted && held === 0

/**
 * Whether a row was restored for certain: it names a later transaction than the one that wrote it here. A row that was written
 * here names the transaction that wrote it, or the one around that.
 */
const isRestoredRow = (alias: string): string => {
  const next = "pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
  const age = `(${next} % 4294967296 - ${alias}.xmin::text::bigint + 4294967296) % 4294967296`
  return `${alias}.transaction_id::text::bigint > ${next} - ${age}`
}

/** Opens the epochs of a schema. */
export const make = (database: Database) => {
  const { schema, sql, table, transaction } = database
  const names = Places.namesOf(database)
  const isRestored = sql.literal(isRestoredRow("e"))

  const examine = sql`
    SELECT current.epoch, current.restored AS "isRestored", control.timeline_id <> current.timeline AS "isPromoted",
      (${Places.countHeld(names, 2_147_483_647)}) AS held
    FROM (${Places.current(names)}) current, pg_control_checkpoint() control
  `.pipe(Effect.flatMap((rows) => Effect.orDie(decodeState(rows))), Effect.map(([state]) => state))

  /**
   * What is known of the restored events of an epoch; nothing where no later transaction can have been restored, so that none of
   * those that were written here comes before one. It reads the whole ledger, once.
   */
  const findRestored = (epoch: number) =>
    sql`
      SELECT max(e.position) AS position, max(e.inserted_at) AS "insertedAt"
      FROM ${names.events} e WHERE e.epoch = ${epoch}::integer AND ${isRestored} HAVING count(*) > 0
    `.pipe(Effect.flatMap((rows) => Effect.orDie(decodeRestored(rows))), Effect.map(([row]) => row))

  /**
   * Moves what was appended since a restore, and before its repair, behind what was restored. It has later positions than all that
   * was restored, and was not written by a transaction that restored.
   */
  const move = (from: number, to: number, restored: typeof RestoredRow.Type) =>
    sql`
      WITH known AS (
        SELECT e.tenant_id, e.id, e.transaction_id, e.position, e.xmin::text AS written_by, ${isRestored} AS is_restored
        FROM ${names.events} e
        WHERE e.id >= ${Places.firstIdOf(restored.insertedAt)}::uuid AND e.epoch = ${from}::integer
      ), moved AS (
        INSERT INTO ${table("moved_events")} (tenant_id, event_id, epoch, transaction_id, position)
        SELECT tenant_id, id, ${to}::integer, transaction_id, position FROM known
        WHERE position > ${restored.position} AND written_by NOT IN (SELECT k.written_by FROM known k WHERE k.is_restored)
        RETURNING 1
      )
      SELECT count(*)::integer AS moved FROM moved
    `.pipe(Effect.flatMap((rows) => Effect.orDie(decodeMoved(rows))), Effect.map(([{ moved }]) => moved))

  const repair = Effect.gen(function*() {
    const now = yield* DateTime.now
    yield* sql`SELECT pg_advisory_xact_lock(hashtextextended(${`waybill feed of ${schema}`}, 0))`
    const before = yield* examine
    const nothing: Audit.FeedRepaired = { epoch: Option.none(), shown: 0, moved: 0 }
    if (isSound(before)) return nothing
    const epoch = Math.max(before.epoch + 1, epochOf(now))
    yield* sql`SELECT set_config('lock_timeout', ${patience}, true), set_config('statement_timeout', '0', true)`
    // The restore is over, so that this need not keep writers out.
    const restored = before.isRestored || before.held > 0 ? yield* findRestored(before.epoch) : undefined
    // Waits for every transaction that has written an event and keeps new ones out, so that the epoch before is complete.
    yield* sql`ALTER TABLE ${names.events} ALTER COLUMN epoch SET DEFAULT ${sql.literal(String(epoch))}`
    const { held } = yield* examine
    const moved = restored === undefined ? 0 : yield* move(before.epoch, epoch, restored)
    yield* sql`
      INSERT INTO ${names.epochs} (epoch, system_identifier, timeline, raised_at)
      SELECT ${epoch}::integer, s.system_identifier, c.timeline_id, ${Parameters.instant(now)}
      FROM pg_control_system() s, pg_control_checkpoint() c
    `
    const repaired: Audit.FeedRepaired = { epoch: Option.some(epoch), shown: held, moved }
    return repaired
  })

  return {
    repairFeed: Effect.retry(transaction(Tenant.all, repair), { schedule: persistence, while: isTimeout }).pipe(
      Effect.withSpan("Audit.repairFeed")
    )
  }
}
