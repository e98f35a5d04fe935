/** Compares what a ledger in memory keeps with its events, and repairs it. */
import { Audit, Input, Orphan, SuppressionBook } from "@waybill/core"
import { DateTime, Effect, Option } from "effect"
import * as Book from "./Book.ts"
import { timelineOf } from "./Reads.ts"
import type { Store } from "./Store.ts"

/** Makes the audit of a store. */
export const make = (store: Store) => {
  const { booksIn, commit, keyOf, turn } = store

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

  /** What is said of an address is gathered where it is asked, so that there is nothing to repair. */
  const auditSuppressions = Effect.fnUntraced(function*(query: Audit.Query) {
    const after = yield* Effect.fromResult(Input.place(query))
    const known = booksIn(query.scope).flatMap(([tenantId, book]) =>
      SuppressionBook.gather(Book.suppressionsIn(book), keyOf(tenantId)).map(({ key }) => ({ id: key, tenantId }))
    )
    const page = Audit.deliveriesOf(known, after, query.limit)
    return { checked: page.length, drifts: [], next: Audit.nextOf(query, page) }
  })

  const audit = (repair: boolean) =>
    Effect.fnUntraced(function*(query: Audit.Query) {
      yield* Input.limit(query.limit)
      if (query.part === "suppressions") return yield* auditSuppressions(query)
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
