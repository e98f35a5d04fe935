/** Reads deliveries, timelines and the feed in memory. */
import { Cursor, Event, Input, type Ledger, LedgerError, Tenant } from "@waybill/core"
import { Effect, Option } from "effect"
import * as Book from "./Book.ts"
import type { Store } from "./Store.ts"

/** The timeline of a delivery. */
export const timelineOf = (
  { bookOf }: Store,
  { deliveryId, tenantId }: Ledger.DeliveryKey
): ReadonlyArray<Ledger.TimelineEntry> =>
  (bookOf(tenantId).timelines.get(deliveryId) ?? []).toSorted((left, right) => Event.compare(left.event, right.event))

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
    const { after } = query
    return Array.from(bookOf(query.tenantId).deliveries.values())
      .filter(({ id }) => Option.isNone(after) || id > after.value)
      .toSorted(Book.byId)
      .slice(0, limit)
  })

  const timeline = Effect.fn("Ledger.timeline")((key: Ledger.DeliveryKey) => Effect.sync(() => timelineOf(store, key)))

  const changes = Effect.fn("Ledger.changes")(function*(query: {
    readonly scope: Tenant.Scope
    readonly after: Cursor.Cursor
    readonly limit: number
  }) {
    const limit = yield* Input.limit(query.limit)
    const after = yield* Effect.fromResult(Input.cursor(query.after))
    const [commit, position] = Cursor.parts(after)
    const place = Cursor.of(commit, position)
    const isKnown = position === 0n ? commit <= nextCommit() : feed.some(({ cursor }) => cursor === place)
    if (Cursor.epoch(after) > 0 || !isKnown) return yield* new LedgerError.CursorAhead({ reason: "lost" })
    return feed
      .filter(({ event }) => Tenant.reaches(query.scope, event.tenantId))
      .filter(({ cursor }) => {
        const [ofCommit, ofPosition] = Cursor.parts(cursor)
        return ofCommit === commit ? ofPosition > position : ofCommit > commit
      })
      .slice(0, limit)
  })

  return { delivery, deliveries, timeline, changes }
}
