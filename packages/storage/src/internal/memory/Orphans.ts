/** Finds, links and explains orphans in memory, and acts on them by hand. */
import {
  Commit,
  type Event,
  Input,
  type Ledger,
  LedgerError,
  Orphan,
  Orphans,
  Tenant,
  type Timestamp
} from "@waybill/core"
import { DateTime, Effect, Option } from "effect"
import * as Book from "./Book.ts"
import type { Store } from "./Store.ts"

/** Makes the orphans of a store. */
export const make = ({ bookOf, booksIn, findReport, known, settle, turn }: Store) => {
  const find = Effect.fn("Orphans.find")(function*(query: Orphans.Query) {
    yield* Input.limit(query.limit)
    return Orphans.select(query, booksIn(query.scope).flatMap(([, book]) => Book.orphansOf(book)))
  })

  const attemptLink = Effect.fn("Orphans.attemptLink")(function*(
    { id, tenantId }: Pick<Event.Event, "tenantId" | "id">
  ) {
    const stored = yield* findReport({ tenantId, eventId: id })
    const { event } = stored
    const deliveryId = yield* Effect.fromResult(
      Orphan.locate(event, stored.linkedTo, Commit.meetAgain(stored, known))
    )
    const delivery = bookOf(tenantId).deliveries.get(deliveryId)
    return delivery === undefined ? yield* new LedgerError.DeliveryNotFound({ tenantId }) : { event, delivery }
  })

  const link = Effect.fn("Orphans.link")(function*(query: Orphans.LinkQuery) {
    yield* Input.limit(query.limit)
    const waiting = booksIn(query.scope).flatMap(([, book]) => Book.waitingIn(book))
    return yield* settle(Commit.link(query, waiting, known, yield* DateTime.now))
  }, turn)

  /** Whether a delivery of another tenant has the message id of an event. */
  const isElsewhere = (event: Event.Event): boolean =>
    Option.exists(
      Orphan.keyElsewhere(event),
      (key) => Orphan.isElsewhere(event, booksIn(Tenant.all).flatMap(([, book]) => Book.sharing(book, key)))
    )

  const explain = Effect.fn("Orphans.explain")((key: Ledger.EventKey) =>
    Effect.map(findReport(key), (stored) =>
      Orphan.explain({
        ...stored,
        meeting: Commit.meetAgain(stored, known),
        otherTenant: isElsewhere(stored.event),
        // Nothing fails on its own in memory, so that nothing is ever set aside.
        failure: Option.none()
      }))
  )

  const linkTo = Effect.fn("Orphans.linkTo")(function*(command: Orphans.LinkTo) {
    yield* Effect.fromResult(Input.linkTo(command))
    const stored = yield* findReport(command)
    const delivery = Book.find(bookOf(command.tenantId), command.deliveryId)
    const decided = Commit.linkTo(command, { stored, delivery }, yield* DateTime.now)
    return yield* settle(yield* Effect.fromResult(decided))
  }, turn)

  const dismiss = Effect.fn("Orphans.dismiss")(function*(key: Ledger.EventKey) {
    return yield* settle(Commit.dismiss(yield* findReport(key), yield* DateTime.now))
  }, turn)

  const retry = Effect.fn("Orphans.retry")((key: Ledger.EventKey) => Effect.as(findReport(key), false))

  const backlog = Effect.fn("Orphans.backlog")(function*(query: {
    readonly scope: Tenant.Scope
    readonly horizon: Timestamp.Timestamp
  }) {
    return Orphans.count(booksIn(query.scope).flatMap(([, book]) => Book.orphansOf(book)), query.horizon)
  })

  return { find, attemptLink, link, explain, linkTo, dismiss, retry, backlog }
}
