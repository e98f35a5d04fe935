/**
 * Holds what a ledger in memory keeps: the books of its tenants, the feed, and the one way to change them.
 *
 * Writers take turns. Each decides what changes and then applies it in one synchronous step, so that readers see all of it
 * or nothing, and an interrupted call changes nothing.
 */
import {
  type Checkpoints,
  Commit,
  Cursor,
  DeliveryUpdate,
  Event,
  type Ledger,
  LedgerError,
  Recipient,
  type Report,
  Suppression,
  Tenant,
  Text
} from "@waybill/core"
import { Effect, PubSub, Semaphore } from "effect"
import { SecureRandom } from "effect/crypto"
import { createHmac } from "node:crypto"
import * as Book from "./Book.ts"

/** Makes an empty store. */
export const make = Effect.gen(function*() {
  const random = yield* SecureRandom.SecureRandom
  const pubsub = yield* PubSub.sliding<DeliveryUpdate.DeliveryUpdate>(DeliveryUpdate.capacity)
  const turn = Semaphore.withPermit(yield* Semaphore.make(1))
  const books = new Map<Tenant.TenantId, Book.Book>()
  const feed: Array<Ledger.Change> = []
  const checkpoints = new Map<string, Checkpoints.Checkpoint>()
  const noBook = new Book.Book()
  const secret = yield* random.uuidV4()
  const softness = yield* Suppression.SoftBounces
  let commits = 0n

  const bookOf = (tenantId: Tenant.TenantId): Book.Book => books.get(tenantId) ?? noBook
  const bookToWrite = (tenantId: Tenant.TenantId): Book.Book => Book.upsert(books, tenantId, () => new Book.Book())

  /** The books of a scope, in the order of their tenants. */
  const booksIn = (scope: Tenant.Scope): ReadonlyArray<readonly [Tenant.TenantId, Book.Book]> =>
    Array.from(books)
      .filter(([tenantId]) => Tenant.reaches(scope, tenantId))
      .toSorted(([left], [right]) => Text.compare(left, right))

  /** What stands for an address, also once it is forgotten. */
  const keyOf = (tenantId: Tenant.TenantId) => (recipient: Recipient.Recipient): string =>
    createHmac("sha256", secret).update(`${tenantId} ${Recipient.canonical(recipient)}`).digest("hex")

  const newUuid = random.uuidV7()

  const newEventId = Effect.map(newUuid, (id) => Event.EventId.make(id))

  const publishTo = (event: Event.Event): void => {
    feed.push(Object.freeze({ cursor: Cursor.of(commits, BigInt(feed.length + 1)), event }))
  }

  const apply = (
    { acts = [], deliveries = [], details = [], dismissed = [], erased = [], forgotten = [], named = [], unsent = [] }:
      Commit.Commit,
    appended: ReadonlyArray<Report.Report>
  ): void => {
    commits++
    for (const delivery of deliveries) Book.putDelivery(bookToWrite(delivery.tenantId), delivery)
    for (const report of appended) {
      Book.putReport(bookToWrite(report.event.tenantId), report)
      publishTo(report.event)
    }
    for (const row of unsent) Book.putUnsent(bookToWrite(row.tenantId), row)
    for (const event of dismissed) Book.putDismissed(bookToWrite(event.tenantId), event)
    for (const report of forgotten) bookToWrite(report.event.tenantId).reports.set(report.event.id, report)
    for (const kept of details) Book.putDetails(bookToWrite(kept.tenantId), kept)
    for (const { eventId, tenantId } of erased) bookOf(tenantId).details.delete(eventId)
    for (const { act, key, tenantId } of acts) bookToWrite(tenantId).acts.push(Object.freeze({ act, key }))
    for (const { key, recipient, tenantId } of named) Book.putAddress(bookToWrite(tenantId), key, recipient)
  }

  /** Writes all that a command decided and tells of it. */
  const commit = Effect.fnUntraced(function*(decided: Commit.Commit) {
    const ids = yield* Effect.replicateEffect(newEventId, decided.links?.length ?? 0)
    yield* Effect.uninterruptible(Effect.suspend(() => {
      apply(decided, Commit.appendedBy(decided, ids))
      return PubSub.publishAll(pubsub, Commit.updatesOf(decided))
    }))
  })

  /** Writes what a command decided, and answers. */
  const settle = <A>({ answer, commit: decided }: Commit.Decided<A>) => Effect.as(commit(decided), answer)

  const findReport = ({ eventId, tenantId }: Ledger.EventKey) =>
    Effect.suspend(() => {
      const book = bookOf(tenantId)
      const report = book.reports.get(eventId)
      return report === undefined
        ? Effect.fail(new LedgerError.EventNotFound({ tenantId, eventId }))
        : Effect.succeed(Book.storedOf(book, report))
    })

  return {
    /** Gives a writer its turn. */
    turn,
    newUuid,
    newEventId,
    bookOf,
    bookToWrite,
    booksIn,
    feed,
    checkpoints,
    keyOf,
    softness,
    /** The number of the next commit. */
    nextCommit: () => commits + 1n,
    commit,
    settle,
    findReport,
    known: Book.knownIn(bookOf),
    subscribe: PubSub.subscribe(pubsub)
  }
})

/** What a ledger in memory keeps. */
export type Store = Effect.Success<typeof make>
