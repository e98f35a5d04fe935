/** Reads deliveries, their timelines, and the feed of changes. */
import { Cursor, Event, Input, Ledger, type Tenant } from "@waybill/core"
import { Effect, Option, Schema } from "effect"
import { decode, type Deliveries } from "./Deliveries.ts"
import type { Events } from "./Events.ts"
import * as Rows from "./Rows.ts"
import type { Scope } from "./Scope.ts"

const ChangeRow = Schema.Struct({ ...Rows.EventRow.fields, transactionId: Schema.String, position: Schema.BigInt })

const decodeChanges = Schema.decodeUnknownEffect(Schema.Array(ChangeRow))

const TimelineRow = Schema.Struct({
  ...Rows.EventRow.fields,
  linkedBy: Schema.OptionFromNullOr(Event.EventId)
})

const decodeTimeline = Schema.decodeUnknownEffect(Schema.Array(TimelineRow))

/** Opens the reads of a schema. */
export const make = ({ inScope, sql, statements, table }: Scope, events: Events, deliveries: Deliveries) => {
  const delivery = Effect.fn("Ledger.delivery")((key: Ledger.DeliveryKey) =>
    statements(key.tenantId, deliveries.find(key, false))
  )

  const list = Effect.fn("Ledger.deliveries")(function*(query: {
    readonly tenantId: Tenant.TenantId
    readonly after: Option.Option<Event.DeliveryId>
    readonly limit: number
  }) {
    const limit = yield* Input.limit(query.limit)
    // The order of `Delivery.compare`.
    const rows = yield* statements(
      query.tenantId,
      sql`
      SELECT ${deliveries.columns} FROM ${table("deliveries")} d
      WHERE d.tenant_id = ${query.tenantId}
        ${Option.isSome(query.after) ? sql`AND d.id > ${query.after.value}` : sql``}
      ORDER BY d.id LIMIT ${limit}
    `
    )
    return yield* Effect.orDie(decode(rows))
  })

  const timeline = Effect.fn("Ledger.timeline")(function*({ deliveryId, tenantId }: Ledger.DeliveryKey) {
    const rows = yield* statements(
      tenantId,
      sql`
      WITH own AS (
        SELECT id, source_event_id FROM ${table("events")} WHERE tenant_id = ${tenantId} AND delivery_id = ${deliveryId}
      )
      SELECT ${events.columns}, known."linkedBy"
      FROM (
        SELECT id, NULL::uuid AS "linkedBy" FROM own
        UNION ALL
        SELECT source_event_id, id FROM own WHERE source_event_id IS NOT NULL
      ) known JOIN ${table("events")} e ON e.id = known.id
    `
    )
    return (yield* Effect.orDie(decodeTimeline(rows)))
      .map(({ linkedBy, ...event }): Ledger.TimelineEntry => ({ event, linkedBy }))
      .toSorted(Ledger.compareEntries)
  })

  const changes = Effect.fn("Ledger.changes")(function*(query: {
    readonly scope: Tenant.Scope
    readonly after: Cursor.Cursor
    readonly limit: number
  }) {
    const limit = yield* Input.limit(query.limit)
    const after = yield* Effect.fromResult(Input.cursor(query.after))
    const [transactionId, position] = Cursor.parts(after)
    // The order of `Cursor.compare`; within a transaction positions follow `Commit.appendedBy`.
    const rows = yield* statements(
      query.scope,
      sql`
      SELECT ${events.columns}, e.transaction_id::text AS "transactionId", e.position
      FROM ${table("events")} e
      WHERE (e.transaction_id, e.position) > (${String(transactionId)}::text::xid8, ${position})
        AND e.transaction_id < pg_snapshot_xmin(pg_current_snapshot()) AND ${inScope(query.scope)}
      ORDER BY e.transaction_id, e.position LIMIT ${limit}
    `
    )
    return (yield* Effect.orDie(decodeChanges(rows))).map(({ position, transactionId, ...event }): Ledger.Change => ({
      cursor: Cursor.of(BigInt(transactionId), position),
      event
    }))
  })

  return { delivery, deliveries: list, timeline, changes }
}
