/** Searches the deliveries of a ledger in memory. */
import { Directory, type Search } from "@waybill/core"
import { DateTime, Effect } from "effect"
import { timelineOf } from "./Reads.ts"
import type { Store } from "./Store.ts"

/** Makes the directory of a store. */
export const make = (store: Store) => {
  const search = Effect.fn("Directory.search")(function*(query: Directory.Query) {
    const checked = yield* Directory.check(query)
    const now = yield* DateTime.now
    const subjects = Array.from(store.bookOf(query.tenantId).deliveries.values(), (delivery): Search.Subject => ({
      delivery,
      get facts() {
        return timelineOf(store, { tenantId: delivery.tenantId, deliveryId: delivery.id }).map(({ event }) => event)
      }
    }))
    return Directory.select(checked, subjects, now)
  })

  return Directory.Directory.of({ search })
}
