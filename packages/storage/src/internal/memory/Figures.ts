/** Counts the deliveries of a ledger in memory: how each counts is kept, and summed where it is asked. */
import { Cursor, type Delivery, Figure, Figures, Input, Ledger } from "@waybill/core"
import { DateTime, Effect, Option } from "effect"
import { timelineOf } from "./Reads.ts"
import type { Store } from "./Store.ts"

/** Keeps how some deliveries count by all that is known of them. */
export const recount = (store: Store, deliveries: ReadonlyArray<Delivery.Delivery>): void => {
  for (const delivery of deliveries) {
    const timeline = timelineOf(store, { tenantId: delivery.tenantId, deliveryId: delivery.id })
    const counted = Figure.contributionOf(delivery, timeline.map(({ event }) => event))
    const { contributions } = store.bookToWrite(delivery.tenantId)
    if (Option.isSome(counted)) contributions.set(delivery.id, Object.freeze(counted.value))
    else contributions.delete(delivery.id)
  }
}

const placeOf = ({ checkpoints }: Store): Cursor.Cursor => checkpoints.get(Figures.consumer)?.cursor ?? Cursor.start

/** The deliveries that changes are about. */
const touched = ({ bookOf }: Store, changes: ReadonlyArray<Ledger.Change>): ReadonlySet<Delivery.Delivery> =>
  new Set(
    changes.flatMap(({ event: { deliveryId, tenantId } }) =>
      Option.toArray(deliveryId).flatMap((id) => bookOf(tenantId).deliveries.get(id) ?? [])
    )
  )

/** Tells of which deliveries there is more in the feed than the figures have followed. */
export const aheadOf = (store: Store): (delivery: Delivery.Delivery) => boolean => {
  const ahead = touched(store, Ledger.changesAfter(store.feed, placeOf(store), store.feed.length))
  return (delivery) => ahead.has(delivery)
}

/** Makes the figures of a store. */
export const make = (store: Store) => {
  const { booksIn, checkpoints, feed, nextCommit, turn } = store

  const follow = Effect.fn("Figures.follow")(function*(query: { readonly limit: number }) {
    const limit = yield* Input.limit(query.limit)
    const place = yield* Effect.fromResult(Ledger.checkPlace(feed, placeOf(store), nextCommit()))
    const page = Ledger.changesAfter(feed, place, limit)
    const savedAt = yield* DateTime.now
    return yield* Effect.sync((): Figures.Followed => {
      recount(store, Array.from(touched(store, page)))
      const cursor = page.at(-1)?.cursor ?? place
      checkpoints.set(Figures.consumer, Object.freeze({ consumer: Figures.consumer, cursor, savedAt }))
      return { events: page.length, isCurrent: page.length < limit }
    })
  }, turn)

  const read = Effect.fn("Figures.read")(function*(query: Figures.Query) {
    const checked = yield* Figures.check(query)
    const contributions = booksIn(query.scope).flatMap(([, book]) => Array.from(book.contributions.values()))
    const followedAt = Option.map(Option.fromUndefinedOr(checkpoints.get(Figures.consumer)), ({ savedAt }) => savedAt)
    return Figures.tableOf(checked, Figures.rowsOf(checked, contributions), followedAt, yield* DateTime.now)
  })

  return Figures.Figures.of({ follow, read })
}
