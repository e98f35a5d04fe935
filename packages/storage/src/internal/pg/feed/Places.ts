/**
 * Knows the places of the feed: which the database has, why nothing can follow one, and where a consumer is to begin.
 *
 * A place is (epoch, transaction, position). An event is shown when its epoch has ended, or when its transaction began before
 * every one still open; both rules are one comparison of places.
 */
import { type Checkpoints, Cursor, Tenant } from "@waybill/core"
import { DateTime, Duration, Effect, Schema } from "effect"
import type { SqlClient } from "effect/sql"
import type { Database } from "../Database.ts"
import * as Parameters from "../Parameters.ts"

const PlaceRow = Schema.Struct({ epoch: Schema.Int, transactionId: Schema.String, position: Schema.BigInt })

const decode = Schema.decodeUnknownEffect(Schema.NonEmptyArray(PlaceRow))

/** How far the times of two machines that draw ids may be apart, where rows are looked for by the time in their ids. */
const slack = Duration.days(1)

/** The smallest id that an event of an instant, or of a little before, can have. */
export const firstIdOf = (instant: DateTime.Utc): string => {
  const millis = Math.max(0, DateTime.subtractDuration(instant, slack).epochMilliseconds)
  const hex = millis.toString(16).padStart(12, "0")
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-7000-8000-000000000000`
}

/** The names of a schema within a statement. */
export interface Names {
  readonly sql: SqlClient.SqlClient
  readonly epochs: ReturnType<SqlClient.SqlClient>
  readonly events: ReturnType<SqlClient.SqlClient>
  readonly hasPlace: ReturnType<SqlClient.SqlClient>
}

/** The current epoch, and whether the cluster is another than the one that began it. */
export const current = ({ epochs, sql }: Names) =>
  sql`
    SELECT last.epoch, system.system_identifier <> last.system_identifier AS restored, last.timeline
    FROM ${epochs} last, pg_control_system() system ORDER BY last.epoch DESC LIMIT 1
  `

/**
 * Why nothing can follow a place, none where all is well, by the row of `current`. A place of position 0 is of no event; it may
 * be right behind the last transaction.
 */
export const fault = ({ epochs, hasPlace, sql }: Names, cursor: Cursor.Cursor) => {
  const [transaction, position] = Cursor.parts(cursor)
  const epoch = Cursor.epoch(cursor)
  const at = sql`${String(transaction)}::text::xid8`
  return sql`
    CASE WHEN current.restored THEN 'restored'
      WHEN NOT EXISTS (SELECT FROM ${epochs} known WHERE known.epoch = ${epoch}::integer) THEN 'lost'
      WHEN ${position}::bigint = 0 THEN
        CASE WHEN current.epoch = ${epoch}::integer AND ${at} > pg_snapshot_xmax(pg_current_snapshot()) THEN 'lost' END
      WHEN NOT ${hasPlace}(${epoch}::integer, ${at}, ${position}::bigint) THEN 'lost'
      WHEN current.epoch = ${epoch}::integer AND ${at} >= pg_snapshot_xmax(pg_current_snapshot()) THEN 'restored'
    END
  `
}

/** How many events of the current epoch no transaction of this cluster can have written, up to a limit. */
export const countHeld = ({ events, sql }: Names, limit: number) =>
  sql`
    SELECT count(*)::integer FROM (
      SELECT FROM ${events} e
      WHERE e.epoch = current.epoch AND e.transaction_id >= pg_snapshot_xmax(pg_current_snapshot()) LIMIT ${limit}
    ) held
  `

/** The names of a schema within a statement. */
export const namesIn = (sql: SqlClient.SqlClient, schema: string): Names => ({
  sql,
  epochs: sql(`${schema}.epochs`),
  events: sql(`${schema}.events`),
  hasPlace: sql(`${schema}.has_place`)
})

/** The names of an opened schema within a statement. */
export const namesOf = ({ schema, sql }: Database): Names => namesIn(sql, schema)

/** Opens the places at which consumers begin, in a schema. */
export const make = (database: Database) => {
  const { sql, statements, table } = database
  const names = namesOf(database)

  /** The place at which a consumer is to begin. */
  return Effect.fnUntraced(function*(beginning: Checkpoints.Beginning) {
    if (beginning._tag === "Start") return Cursor.start
    const end = sql`
      SELECT current.epoch, pg_snapshot_xmin(pg_current_snapshot()) AS transaction_id FROM (${current(names)}) current
    `
    // A transaction that is still open may hold events of the instant: they follow the end as it is now.
    const rows = yield* statements(
      Tenant.all,
      beginning._tag === "Now" ?
        sql`SELECT epoch, transaction_id::text AS "transactionId", 0::bigint AS position FROM (${end}) e` :
        sql`
      WITH late AS MATERIALIZED (
        SELECT coalesce(m.epoch, e.epoch) AS epoch, e.transaction_id
        FROM ${names.events} e
        LEFT JOIN ${table("moved_events")} m ON m.tenant_id = e.tenant_id AND m.event_id = e.id
        WHERE e.id >= ${firstIdOf(beginning.instant)}::uuid
          AND e.inserted_at >= ${Parameters.instant(beginning.instant)}
      )
      SELECT epoch, transaction_id::text AS "transactionId", 0::bigint AS position
      FROM (SELECT * FROM late UNION ALL ${end}) place ORDER BY epoch, transaction_id LIMIT 1
    `
    )
    const [{ epoch, position, transactionId }] = yield* Effect.orDie(decode(rows))
    return Cursor.of(BigInt(transactionId), position, epoch)
  })
}

/** Finds the place at which a consumer is to begin. */
export type PlaceOf = ReturnType<typeof make>
