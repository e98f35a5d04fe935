/** Reads the feed of changes: what follows a place, or why nothing can. */
import { Cursor, Input, type Ledger, LedgerError, type Tenant } from "@waybill/core"
import { Effect, Schema } from "effect"
import type { Database } from "../Database.ts"
import type { Events } from "../Events.ts"
import * as Rows from "../Rows.ts"
import * as Places from "./Places.ts"

const ChangeRow = Schema.Struct({
  ...Rows.EventRow.fields,
  epoch: Schema.Int,
  transactionId: Schema.String,
  position: Schema.BigInt
})

const decodeChanges = Schema.decodeUnknownEffect(Schema.Array(ChangeRow))

const decodeFault = Schema.decodeUnknownEffect(
  Schema.NonEmptyArray(Schema.Struct({ fault: Schema.NullOr(Schema.Literals(["restored", "lost"])) }))
)

/** Opens the feed of a schema. */
export const make = (database: Database, events: Events) => {
  const { inScope, sql, statements, table } = database
  const names = Places.namesOf(database)
  const selected = sql.literal(Object.keys(ChangeRow.fields).map((name) => `page."${name}"`).join(", "))

  const changes = Effect.fn("Ledger.changes")(function*(query: {
    readonly scope: Tenant.Scope
    readonly after: Cursor.Cursor
    readonly limit: number
  }) {
    const limit = yield* Input.limit(query.limit)
    const after = yield* Effect.fromResult(Input.cursor(query.after))
    const [transactionId, position] = Cursor.parts(after)
    const place = sql`(${Cursor.epoch(after)}::integer, ${String(transactionId)}::text::xid8, ${position}::bigint)`
    const shown = sql`(current.epoch, pg_snapshot_xmin(pg_current_snapshot()))`
    // The order of `Cursor.compare`; within a transaction positions follow `Commit.appendedBy`. A moved event is shown in the
    // epoch it was moved to alone; an event of the current epoch cannot have been moved.
    const rows = yield* statements(
      query.scope,
      sql`
      WITH current AS MATERIALIZED (
        SELECT current.epoch, ${Places.fault(names, after)} AS fault FROM (${Places.current(names)}) current
      )
      SELECT current.fault, ${selected} FROM current
      LEFT JOIN LATERAL (
        (
          SELECT ${events.columns}, e.epoch, e.transaction_id AS "transaction", e.transaction_id::text AS "transactionId",
            e.position
          FROM ${names.events} e
          WHERE (e.epoch, e.transaction_id, e.position) > ${place} AND (e.epoch, e.transaction_id) < ${shown}
            AND ${inScope(query.scope)} AND (e.epoch = current.epoch OR (
              SELECT m.event_id FROM ${table("moved_events")} m WHERE m.tenant_id = e.tenant_id AND m.event_id = e.id
            ) IS NULL)
          ORDER BY e.epoch, e.transaction_id, e.position LIMIT ${limit}
        ) UNION ALL (
          SELECT ${events.columns}, m.epoch, m.transaction_id, m.transaction_id::text, m.position
          FROM (
            SELECT * FROM ${table("moved_events")} m
            WHERE (m.epoch, m.transaction_id, m.position) > ${place} AND (m.epoch, m.transaction_id) < ${shown}
              AND ${inScope(query.scope)}
            ORDER BY m.epoch, m.transaction_id, m.position LIMIT ${limit}
          ) m JOIN ${names.events} e ON e.tenant_id = m.tenant_id AND e.id = m.event_id
        )
        ORDER BY epoch, "transaction", position LIMIT ${limit}
      ) page ON current.fault IS NULL
      ORDER BY page.epoch, page."transaction", page.position
    `
    )
    const [{ fault: reason }] = yield* Effect.orDie(decodeFault(rows))
    if (reason !== null) return yield* new LedgerError.CursorAhead({ reason })
    const found = yield* Effect.orDie(decodeChanges(rows.filter(({ position }) => position !== null)))
    return found.map(({ epoch, position, transactionId, ...event }): Ledger.Change => ({
      cursor: Cursor.of(BigInt(transactionId), position, epoch),
      event
    }))
  })

  return { changes }
}
