/** Compares what a ledger in memory keeps with its events, and repairs it. */
import { type Audit, Delivery, Drift, Input } from "@waybill/core"
import { DateTime, Effect, Option } from "effect"
import * as Arr from "effect/Array"
import * as Book from "./Book.ts"
import { timelineOf } from "./Reads.ts"
import type { Store } from "./Store.ts"

const comparePlaces = (left: Input.Place, right: Input.Place): number =>
  left.tenantId < right.tenantId ? -1 : left.tenantId > right.tenantId ? 1 : Book.byId(left, right)

/** Makes the audit of a store. */
export const make = (store: Store) => {
  const { booksIn, commit, turn } = store

  const auditDeliveries = Effect.fnUntraced(function*(query: Audit.Query, repair: boolean) {
    const after = Option.getOrUndefined(yield* Effect.fromResult(Input.place(query)))
    const now = yield* DateTime.now
    const page = booksIn(query.scope)
      .flatMap(([, book]) => Array.from(book.deliveries.values()))
      .filter((delivery) => after === undefined || comparePlaces(delivery, after) > 0)
      .toSorted(comparePlaces)
      .slice(0, query.limit)
    const found = page.map((delivery) => {
      const facts = timelineOf(store, { tenantId: delivery.tenantId, deliveryId: delivery.id }).map(({ event }) =>
        event
      )
      return { delivery, facts, drift: Drift.ofDelivery(delivery, facts) }
    })
    const repaired = found
      .filter(({ drift }) => Option.isSome(drift))
      .map(({ delivery, facts }) => Delivery.refold(delivery, facts, now))
    if (repair && repaired.length > 0) yield* commit({ deliveries: repaired })
    const last = page.at(-1)
    return {
      checked: page.length,
      drifts: Arr.getSomes(found.map(({ drift }) => drift)),
      next: last !== undefined && page.length === query.limit
        ? Option.some(`${last.id} ${last.tenantId}`)
        : Option.none()
    }
  })

  /** The queue of pending orphans is written with the ledger alone, so that there is nothing to repair. */
  const auditOrphans = Effect.fnUntraced(function*(query: Audit.Query) {
    const after = Option.getOrUndefined(yield* Effect.fromResult(Input.place(query)))
    const page = booksIn(query.scope)
      .flatMap(([, book]) => Array.from(book.events.values()).filter(({ needsReconciliation }) => needsReconciliation))
      .filter(({ id }) => after === undefined || id > after.id)
      .toSorted(Book.byId)
      .slice(0, query.limit)
    const last = page.at(-1)
    return {
      checked: page.length,
      drifts: [],
      next: last !== undefined && page.length === query.limit ? Option.some<string>(last.id) : Option.none()
    }
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
