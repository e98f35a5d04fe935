/** Writes the links of orphans that a transaction has locked. */
import { DeliveryUpdate, type Event, Orphan, OwnEvent, type Timestamp } from "@waybill/core"
import { Effect } from "effect"
import type { Database } from "../Database.ts"
import { type Events, noRecipient } from "../Events.ts"
import * as Parameters from "../Parameters.ts"
import type { Updates } from "../Updates.ts"

/** A linkable orphan and the delivery it meets. */
export interface Pair {
  readonly orphan: Pick<Event.Event, "id" | "tenantId" | "type" | "insertedAt" | "provider" | "providerEventId">
  readonly deliveryId: Event.DeliveryId
}

/** Opens the links of a schema. */
export const make = ({ sql, table }: Database, events: Events, { publish }: Updates) => {
  /** Writes links, without the projections they move, and returns the new ones. */
  const write = Effect.fnUntraced(function*<P extends Pair>(pairs: ReadonlyArray<P>, now: Timestamp.Timestamp) {
    if (pairs.length === 0) return []
    const ids = yield* events.newIds(pairs.length)
    const links = pairs.flatMap(({ deliveryId, orphan }, index) => {
      const id = ids[index]
      return id === undefined
        ? []
        : [OwnEvent.reconciled(orphan, deliveryId, { id, tenantId: orphan.tenantId, insertedAt: now })]
    })
    const inserted = yield* events.insert(links, noRecipient)
    const fresh = pairs.filter((_, index) => inserted.has(links[index]?.id ?? ""))
    yield* sql`
      DELETE FROM ${table("orphans")} WHERE event_id = ANY(${Parameters.uuids(pairs.map(({ orphan }) => orphan.id))})
    `
    yield* publish(() =>
      fresh.map(({ deliveryId, orphan }) => DeliveryUpdate.ofLink(Orphan.linkOf(orphan, deliveryId)))
    )
    return fresh
  })

  return { write }
}

/** The links of a schema. */
export type Links = ReturnType<typeof make>
