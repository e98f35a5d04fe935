/** Selects a page of the feed within a statement: the events after a place that are shown, in the order of `Cursor.compare`. */
import { Cursor, type Tenant } from "@waybill/core"
import type { Database } from "../Database.ts"
import * as Places from "./Places.ts"

/** Opens the pages of the feed of a schema. */
export const make = (database: Database) => {
  const { inScope, sql, table } = database
  const names = Places.namesOf(database)

  /**
   * Two relations of a statement: `current`, of one row that says by `fault` why nothing follows the place, where nothing can; and,
   * lateral to it, the page, with the columns of an event `e` that are named, and its place.
   */
  return (
    query: { readonly scope: Tenant.Scope; readonly after: Cursor.Cursor; readonly limit: number },
    columns: ReturnType<typeof sql.literal>
  ) => {
    const [transactionId, position] = Cursor.parts(query.after)
    const place = sql`(${Cursor.epoch(query.after)}::integer, ${
      String(transactionId)
    }::text::xid8, ${position}::bigint)`
    const shown = sql`(current.epoch, pg_snapshot_xmin(pg_current_snapshot()))`
    const current = sql`
      SELECT current.epoch, ${Places.fault(names, query.after)} AS fault FROM (${Places.current(names)}) current
    `
    // Within a transaction positions follow `Commit.appendedBy`. A moved event is shown in the epoch it was moved to alone; an event
    // of the current epoch cannot have been moved.
    const page = sql`
      (
        SELECT ${columns}, e.epoch, e.transaction_id AS "transaction", e.transaction_id::text AS "transactionId", e.position
        FROM ${names.events} e
        WHERE (e.epoch, e.transaction_id, e.position) > ${place} AND (e.epoch, e.transaction_id) < ${shown}
          AND ${inScope(query.scope)} AND (e.epoch = current.epoch OR (
            SELECT m.event_id FROM ${table("moved_events")} m WHERE m.tenant_id = e.tenant_id AND m.event_id = e.id
          ) IS NULL)
        ORDER BY e.epoch, e.transaction_id, e.position LIMIT ${query.limit}
      ) UNION ALL (
        SELECT ${columns}, m.epoch, m.transaction_id, m.transaction_id::text, m.position
        FROM (
          SELECT * FROM ${table("moved_events")} m
          WHERE (m.epoch, m.transaction_id, m.position) > ${place} AND (m.epoch, m.transaction_id) < ${shown}
            AND ${inScope(query.scope)}
          ORDER BY m.epoch, m.transaction_id, m.position LIMIT ${query.limit}
        ) m JOIN ${names.events} e ON e.tenant_id = m.tenant_id AND e.id = m.event_id
      )
      ORDER BY epoch, "transaction", position LIMIT ${query.limit}
    `
    return { current, page }
  }
}
