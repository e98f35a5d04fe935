/** Finds, links and explains orphans in memory, and acts on them by hand. */
import {
  Correlation,
  Delivery,
  type Event,
  Input,
  type Ledger,
  LedgerError,
  Orphan,
  type Orphans,
  Tenant,
  type Timestamp
} from "@waybill/core"
import { DateTime, Effect, Option } from "effect"
import * as Book from "./Book.ts"
import type { Store } from "./Store.ts"

/** Makes the orphans of a store. */
export const make = ({ bookOf, booksIn, commit, findEvent, tie, turn }: Store) => {
  const find = Effect.fn("Orphans.find")(function*(query: Orphans.Query) {
    const limit = yield* Input.limit(query.limit)
    if (query.failedOnly) return []
    const from = Option.match(query.insertedFrom, { onNone: () => -Infinity, onSome: (at) => at.epochMilliseconds })
    return booksIn(query.scope)
      .flatMap(([, book]) => Array.from(book.orphans.values(), ({ event }) => event))
      .filter(({ insertedAt }) => insertedAt.epochMilliseconds >= from)
      .toSorted(Book.oldestFirst)
      .slice(0, limit)
      .map((event): Orphan.Orphan => ({ event, failure: Option.none() }))
  })

  const attemptLink = Effect.fn("Orphans.attemptLink")(function*(
    { id, tenantId }: Pick<Event.Event, "tenantId" | "id">
  ) {
    const event = yield* findEvent({ tenantId, eventId: id })
    const book = bookOf(tenantId)
    const orphan = book.orphans.get(id)
    const known = Option.getOrUndefined(Book.deliveryOf(book, event))
    if (known === undefined && Option.isNone(Correlation.ofEvent(event))) {
      return yield* new LedgerError.MalformedPayload({ tenantId, eventId: id })
    }
    const deliveryId = known ?? (orphan === undefined ? undefined : Book.meet(book, orphan))
    const delivery = deliveryId === undefined ? undefined : book.deliveries.get(deliveryId)
    return delivery === undefined ? yield* new LedgerError.DeliveryNotFound({ tenantId }) : { event, delivery }
  })

  const link = Effect.fn("Orphans.link")(function*(query: Orphans.LinkQuery) {
    const limit = yield* Input.limit(query.limit)
    const now = yield* DateTime.now
    const isOfAge = ({ insertedAt }: Event.Event): boolean =>
      insertedAt.epochMilliseconds >= query.insertedFrom.epochMilliseconds &&
      insertedAt.epochMilliseconds <= query.insertedTo.epochMilliseconds
    const linkable = booksIn(query.scope)
      .map(([, book]) =>
        Array.from(book.orphans.values()).flatMap((orphan) => {
          const deliveryId = isOfAge(orphan.event) ? Book.meet(book, orphan) : undefined
          return deliveryId === undefined ? [] : [{ book, deliveryId, event: orphan.event }]
        })
      )
      .filter((own) => own.length > 0)
      .slice(0, limit)
    const share = Math.floor(limit / Math.max(linkable.length, 1))
    const pairs = linkable
      .flatMap((own) => own.toSorted((left, right) => Book.oldestFirst(left.event, right.event)).slice(0, share))
      .toSorted((left, right) => Book.oldestFirst(left.event, right.event))
    if (pairs.length === 0) return { scanned: 0, held: 0, links: [], failed: 0 }
    const ties = yield* Effect.forEach(pairs, ({ deliveryId, event }) => tie(event, deliveryId, now))
    const deliveries = Array.from(Map.groupBy(pairs, ({ book }) => book))
      .flatMap(([book, own]) => Book.project(book, own, now))
    yield* commit({ deliveries, ties })
    return { scanned: ties.length, held: 0, links: ties.map(Book.linkOf), failed: 0 }
  }, turn)

  /** Whether a delivery of another tenant has the message id of an event. */
  const isElsewhere = (event: Event.Event): boolean => {
    const key = Option.isNone(event.echoedDeliveryId) ? Option.getOrUndefined(Correlation.ofEvent(event)) : undefined
    return key !== undefined &&
      booksIn(Tenant.all).some(([tenantId, book]) =>
        tenantId !== event.tenantId && Book.findByMessage(book, key).length > 0
      )
  }

  const explain = Effect.fn("Orphans.explain")((key: Ledger.EventKey) =>
    Effect.map(findEvent(key), (event) => {
      const book = bookOf(event.tenantId)
      const orphan = book.orphans.get(event.id)
      return Orphan.explain({
        event,
        linkedTo: Option.fromUndefinedOr(book.links.get(event.id)),
        isDismissed: book.dismissed.has(event.id),
        meeting: orphan === undefined ? { _tag: "NoDelivery" } : Book.meetingOf(book, orphan),
        otherTenant: isElsewhere(event),
        // Nothing fails on its own in memory, so that nothing is ever set aside.
        failure: Option.none()
      })
    })
  )

  const linkTo = Effect.fn("Orphans.linkTo")(function*(command: Orphans.LinkTo) {
    yield* Effect.fromResult(Input.linkTo(command))
    const { deliveryId, expectedVersion, tenantId } = command
    const event = yield* findEvent(command)
    const book = bookOf(tenantId)
    const delivery = book.deliveries.get(deliveryId)
    if (delivery === undefined) return yield* new LedgerError.DeliveryNotFound({ tenantId })
    yield* Effect.fromResult(Delivery.checkVersion(delivery, expectedVersion))
    if (!book.orphans.has(event.id)) return false
    const now = yield* DateTime.now
    const ties = [yield* tie(event, deliveryId, now)]
    yield* commit({ deliveries: Book.project(book, [{ deliveryId, event }], now), ties })
    return true
  }, turn)

  const dismiss = Effect.fn("Orphans.dismiss")(function*(key: Ledger.EventKey) {
    const event = yield* findEvent(key)
    const orphan = bookOf(key.tenantId).orphans.get(event.id)
    if (orphan === undefined) return false
    yield* commit({ dismissed: [orphan] })
    return true
  }, turn)

  const retry = Effect.fn("Orphans.retry")((key: Ledger.EventKey) => Effect.as(findEvent(key), false))

  const backlog = Effect.fn("Orphans.backlog")(function*(query: {
    readonly scope: Tenant.Scope
    readonly horizon: Timestamp.Timestamp
  }) {
    return booksIn(query.scope)
      .flatMap(([tenantId, book]): ReadonlyArray<Orphans.Backlog> => {
        const events = Array.from(book.orphans.values(), ({ event }) => event).toSorted(Book.oldestFirst)
        const [first] = events
        if (first === undefined) return []
        const isExpired = ({ insertedAt }: Event.Event): boolean =>
          insertedAt.epochMilliseconds < query.horizon.epochMilliseconds
        return [{
          tenantId,
          pending: events.length,
          expired: events.filter(isExpired).length,
          failed: 0,
          oldest: first.insertedAt
        }]
      })
  })

  return { find, attemptLink, link, explain, linkTo, dismiss, retry, backlog }
}
