/** Reads deliveries and their timelines. */
import { Details, Event, Input, Ledger, type Tenant } from "@waybill/core"
import { Effect, Option, Schema } from "effect"
import type { Database } from "./Database.ts"
import { decode, type Deliveries } from "./Deliveries.ts"
import type { Events } from "./Events.ts"
import * as Rows from "./Rows.ts"

const TimelineRow = Schema.Struct({
  ...Rows.EventRow.fields,
  linkedBy: Schema.OptionFromNullOr(Event.EventId),
  details: Schema.OptionFromNullOr(Details.Details)
})

const decodeTimeline = Schema.decodeUnknownEffect(Schema.Array(TimelineRow))

/** Opens the reads of a schema. */
export const make = ({ sql, statements, table }: Database, events: Events, deliveries: Deliveries) => {
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
      SELECT ${events.columns}, known."linkedBy", kept.details
      FROM (
        SELECT id, NULL::uuid AS "linkedBy" FROM own
        UNION ALL
        SELECT source_event_id, id FROM own WHERE source_event_id IS NOT NULL
      ) known JOIN ${table("events")} e ON e.id = known.id
      LEFT JOIN ${table("event_details")} kept ON kept.tenant_id = e.tenant_id AND kept.event_id = e.id
    `
    )
    return (yield* Effect.orDie(decodeTimeline(rows)))
      .map(({ details, linkedBy, ...event }): Ledger.TimelineEntry => ({ event, linkedBy, details }))
      .toSorted(Ledger.compareEntries)
  })

  return { delivery, deliveries: list, timeline }
}
