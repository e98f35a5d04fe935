/** Reads deliveries, timelines and the feed in memory. */
import { type Cursor, Delivery, type Event, Input, Ledger, Tenant } from "@waybill/core"
import { Effect, Option } from "effect"
import type { Store } from "./Store.ts"

/** The timeline of a delivery. */
export const timelineOf = (
  { bookOf }: Store,
  { deliveryId, tenantId }: Ledger.DeliveryKey
): ReadonlyArray<Ledger.TimelineEntry> => {
  const { details, lines } = bookOf(tenantId)
  const line = lines.get(deliveryId)
  return line === undefined
    ? []
    : Ledger.timelineOf(line.appended, line.orphans, ({ id }) => Option.fromUndefinedOr(details.get(id)?.details))
}

/** Makes the reads of a store. */
export const make = (store: Store) => {
  const { bookOf, feed, nextCommit } = store

  const delivery = Effect.fn("Ledger.delivery")(({ deliveryId, tenantId }: Ledger.DeliveryKey) =>
    Effect.sync(() => Option.fromUndefinedOr(bookOf(tenantId).deliveries.get(deliveryId)))
  )

  const deliveries = Effect.fn("Ledger.deliveries")(function*(query: {
    readonly tenantId: Tenant.TenantId
    readonly after: Option.Option<Event.DeliveryId>
    readonly limit: number
  }) {
    const limit = yield* Input.limit(query.limit)
    return Delivery.pageOf(Array.from(bookOf(query.tenantId).deliveries.values()), query.after, limit)
  })

  const timeline = Effect.fn("Ledger.timeline")((key: Ledger.DeliveryKey) => Effect.sync(() => timelineOf(store, key)))

  const changes = Effect.fn("Ledger.changes")(function*(query: {
    readonly scope: Tenant.Scope
    readonly after: Cursor.Cursor
    readonly limit: number
  }) {
    const limit = yield* Input.limit(query.limit)
    const place = yield* Effect.fromResult(Input.cursor(query.after))
    const after = yield* Effect.fromResult(Ledger.checkPlace(feed, place, nextCommit()))
    return Ledger.changesAfter(feed.filter(({ event }) => Tenant.reaches(query.scope, event.tenantId)), after, limit)
  })

  return { delivery, deliveries, timeline, changes }
}
