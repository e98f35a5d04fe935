/** Compares what a ledger in memory keeps with its events, and repairs it. */
import { Audit, Input, Orphan } from "@waybill/core"
import { DateTime, Effect, Option } from "effect"
import { timelineOf } from "./Reads.ts"
import type { Store } from "./Store.ts"

/** Makes the audit of a store. */
export const make = (store: Store) => {
  const { booksIn, commit, turn } = store

  const auditDeliveries = Effect.fnUntraced(function*(query: Audit.Query, repair: boolean) {
    const after = yield* Effect.fromResult(Input.place(query))
    const now = yield* DateTime.now
    const deliveries = booksIn(query.scope).flatMap(([, book]) => Array.from(book.deliveries.values()))
    const page = Audit.deliveriesOf(deliveries, after, query.limit)
    const { drifts, repaired } = Audit.compareDeliveries(
      page.map((delivery) => ({
        delivery,
        facts: timelineOf(store, { tenantId: delivery.tenantId, deliveryId: delivery.id }).map(({ event }) => event)
      })),
      now
    )
    if (repair && repaired.length > 0) yield* commit({ at: now, deliveries: repaired })
    return { checked: page.length, drifts, next: Audit.nextOf(query, page) }
  })

  /** The queue of pending orphans is written with the ledger alone, so that there is nothing to repair. */
  const auditOrphans = Effect.fnUntraced(function*(query: Audit.Query) {
    const after = yield* Effect.fromResult(Input.place(query))
    const orphans = booksIn(query.scope)
      .flatMap(([, book]) => Array.from(book.reports.values(), ({ event }) => event))
      .filter(Orphan.wasOrphan)
    const page = Audit.orphansOf(orphans, after, query.limit)
    return { checked: page.length, drifts: [], next: Audit.nextOf(query, page) }
  })

  const audit = (repair: boolean) =>
    Effect.fnUntraced(function*(query: Audit.Query) {
      yield* Input.limit(query.limit)
      return yield* query.part === "deliveries" ? auditDeliveries(query, repair) : auditOrphans(query)
    }, turn)

  /** Memory never moves to another history. */
  const repaired: Audit.FeedRepaired = { epoch: Option.none(), shown: 0, moved: 0 }

  return {
    repairFeed: Effect.succeed(repaired),
    verify: Effect.fn("Audit.verify")(audit(false)),
    rebuild: Effect.fn("Audit.rebuild")(audit(true))
  }
}
