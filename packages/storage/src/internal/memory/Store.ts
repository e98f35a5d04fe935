/**
 * Holds what a ledger in memory keeps: the books of its tenants, the feed, and the one way to change them.
 *
 * Writers take turns. Each decides what changes and then applies it in one synchronous step, so that readers see all of it
 * or nothing, and an interrupted call changes nothing.
 */
import { Cursor, DeliveryUpdate, Event, type Ledger, LedgerError, Tenant, type Timestamp } from "@waybill/core"
import { Effect, PubSub, Semaphore } from "effect"
import { SecureRandom } from "effect/crypto"
import * as Book from "./Book.ts"

/** Makes an empty store. */
export const make = Effect.gen(function*() {
  const random = yield* SecureRandom.SecureRandom
  const pubsub = yield* PubSub.sliding<DeliveryUpdate.DeliveryUpdate>(DeliveryUpdate.capacity)
  const turn = Semaphore.withPermit(yield* Semaphore.make(1))
  const books = new Map<Tenant.TenantId, Book.Book>()
  const feed: Array<Ledger.Change> = []
  const noBook = new Book.Book()
  let commits = 0n

  const bookOf = (tenantId: Tenant.TenantId): Book.Book => books.get(tenantId) ?? noBook
  const bookToWrite = (tenantId: Tenant.TenantId): Book.Book => Book.upsert(books, tenantId, () => new Book.Book())

  /** The books of a scope, in the order of their tenants. */
  const booksIn = (scope: Tenant.Scope): ReadonlyArray<readonly [Tenant.TenantId, Book.Book]> =>
    Array.from(books)
      .filter(([tenantId]) => Tenant.reaches(scope, tenantId))
      .toSorted(([left], [right]) => left < right ? -1 : 1)

  const newUuid = random.uuidV7()

  const newEventId = Effect.map(newUuid, (id) => Event.EventId.make(id))

  const publishTo = (event: Event.Event): void => {
    feed.push(Object.freeze({ cursor: Cursor.of(commits, BigInt(feed.length + 1)), event }))
  }

  const commit = (change: Book.Change): Effect.Effect<void> =>
    Effect.uninterruptible(Effect.suspend(() => {
      commits++
      for (const delivery of change.deliveries ?? []) Book.putDelivery(bookToWrite(delivery.tenantId), delivery)
      for (const event of (change.events ?? []).toSorted(Book.byKey)) {
        Book.putEvent(bookToWrite(event.tenantId), event)
        publishTo(event)
      }
      for (const orphan of change.orphans ?? []) Book.putOrphan(bookToWrite(orphan.event.tenantId), orphan)
      for (const tie of (change.ties ?? []).toSorted((left, right) => Book.byKey(left.reconciled, right.reconciled))) {
        Book.putTie(bookToWrite(tie.orphan.tenantId), tie)
        publishTo(tie.reconciled)
      }
      for (const orphan of change.dismissed ?? []) Book.putDismissed(bookToWrite(orphan.event.tenantId), orphan)
      if (change.forgotten !== undefined) {
        Book.unname(bookToWrite(change.forgotten.tenantId), change.forgotten.recipient)
      }
      return PubSub.publishAll(pubsub, Book.updatesOf(change))
    }))

  /** Draws the `reconciled` event that ties an orphan to a delivery. */
  const tie = Effect.fnUntraced(function*(
    orphan: Event.Event,
    deliveryId: Event.DeliveryId,
    now: Timestamp.Timestamp
  ) {
    const reconciled = Event.reconciled(orphan, deliveryId, {
      id: yield* newEventId,
      tenantId: orphan.tenantId,
      insertedAt: now
    })
    return { orphan, deliveryId, reconciled }
  })

  const findEvent = ({ eventId, tenantId }: Ledger.EventKey) =>
    Effect.suspend(() => {
      const event = bookOf(tenantId).events.get(eventId)
      return event === undefined
        ? Effect.fail(new LedgerError.EventNotFound({ tenantId, eventId }))
        : Effect.succeed(event)
    })

  return {
    /** Gives a writer its turn. */
    turn,
    newUuid,
    newEventId,
    bookOf,
    booksIn,
    feed,
    /** The number of the next commit. */
    nextCommit: () => commits + 1n,
    commit,
    tie,
    findEvent,
    subscribe: PubSub.subscribe(pubsub)
  }
})

/** What a ledger in memory keeps. */
export type Store = Effect.Success<typeof make>
