/** Compares what a ledger in memory keeps with its events, and repairs it. */
import { Audit, Input, Orphan, SuppressionBook } from "@waybill/core"
import { DateTime, Effect, Option } from "effect"
import * as Book from "./Book.ts"
import * as Figures from "./Figures.ts"
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

  const auditContributions = Effect.fnUntraced(function*(query: Audit.Query, repair: boolean) {
    const after = yield* Effect.fromResult(Input.place(query))
    const deliveries = booksIn(query.scope).flatMap(([, book]) => Array.from(book.deliveries.values()))
    const page = Audit.deliveriesOf(deliveries, after, query.limit)
    const ahead = Figures.aheadOf(store)
    const drifts = Audit.compareContributions(
      page.map((delivery) => ({
        delivery,
        facts: timelineOf(store, { tenantId: delivery.tenantId, deliveryId: delivery.id }).map(({ event }) => event),
        stored: Option.fromUndefinedOr(store.bookOf(delivery.tenantId).contributions.get(delivery.id)),
        isFollowed: !ahead(delivery)
      }))
    )
    if (repair) {
      Figures.recount(
        store,
        drifts.flatMap(({ deliveryId, tenantId }) => store.bookOf(tenantId).deliveries.get(deliveryId) ?? [])
      )
    }
    return { checked: page.length, drifts, next: Audit.nextOf(query, page) }
  })

  /** Sums are made where they are asked, so that there is nothing to repair. */
  const auditFigures = Effect.fnUntraced(function*(query: Audit.Query) {
    const after = yield* Effect.fromResult(Input.place(query))
    const page = Audit.daysOf(
      booksIn(query.scope).flatMap(([, book]) => Array.from(book.contributions.values())),
      after,
      query.limit
    )
    return { checked: page.length, drifts: [], next: Audit.nextOf(query, page) }
  })

  const parts = {
    deliveries: auditDeliveries,
    orphans: auditOrphans,
    suppressions: auditSuppressions,
    contributions: auditContributions,
    figures: auditFigures
  }

  const audit = (repair: boolean) =>
    Effect.fnUntraced(function*(query: Audit.Query) {
      yield* Input.limit(query.limit)
      return yield* parts[query.part](query, repair)
    }, turn)

  /** Memory never moves to another history. */
  const repaired: Audit.FeedRepaired = { epoch: Option.none(), shown: 0, moved: 0 }

  return {
    repairFeed: Effect.succeed(repaired),
    verify: Effect.fn("Audit.verify")(audit(false)),
    rebuild: Effect.fn("Audit.rebuild")(audit(true))
  }
}
