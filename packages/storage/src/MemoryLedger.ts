/**
 * Keeps the ledger in memory, for tests and for trying things out: the same answers as PostgreSQL, gone with the process.
 *
 * Writers take turns. Each decides what changes and then applies it in one synchronous step, so that readers see all of it
 * or nothing, and an interrupted call changes nothing.
 *
 * @since 0.1.0
 */
import {
  Correlation,
  Cursor,
  Delivery,
  Drift,
  Event,
  type IdempotencyKey,
  Input,
  Ledger,
  LedgerError,
  type Projection,
  Recipient,
  Tenant,
  type Timestamp
} from "@waybill/core"
import { DateTime, Effect, Layer, Option, PubSub, Semaphore } from "effect"
import * as Arr from "effect/Array"
import { SecureRandom } from "effect/crypto"
import * as Book from "./internal/MemoryBook.ts"

/**
 * A delivery that another writer inserts, without any event.
 *
 * @category models
 * @since 0.1.0
 */
export type Imported = Book.Imported

const comparePlaces = (left: Input.Place, right: Input.Place): number =>
  left.tenantId < right.tenantId ? -1 : left.tenantId > right.tenantId ? 1 : Book.byId(left, right)

/**
 * Makes an empty ledger, with ways to write past it as another writer would.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.gen(function*() {
  const random = yield* SecureRandom.SecureRandom
  const pubsub = yield* PubSub.sliding<Ledger.DeliveryUpdate>(Ledger.updatesCapacity)
  const turn = Semaphore.withPermit(yield* Semaphore.make(1))
  const books = new Map<Tenant.TenantId, Book.Book>()
  const feed: Array<Ledger.Change> = []
  const noBook = new Book.Book()
  let commits = 0n

  const bookOf = (tenantId: Tenant.TenantId): Book.Book => books.get(tenantId) ?? noBook
  const bookToWrite = (tenantId: Tenant.TenantId): Book.Book => Book.upsert(books, tenantId, () => new Book.Book())
  const booksIn = (scope: Tenant.Scope): ReadonlyArray<Book.Book> =>
    Array.from(books)
      .filter(([tenantId]) => Tenant.reaches(scope, tenantId))
      .toSorted(([left], [right]) => left < right ? -1 : 1)
      .map(([, book]) => book)

  const newEventId = Effect.map(random.uuidV7(), (id) => Event.EventId.make(id))

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

  const record = Effect.fn("MemoryLedger.record")(function*(input: Delivery.NewDelivery) {
    yield* Effect.fromResult(Input.delivery(input))
    const { tenantId } = input
    const book = bookOf(tenantId)
    const stored = Book.findRecorded(book, input)
    if (stored !== undefined) {
      return Delivery.isSameRecord(stored, input)
        ? { delivery: stored, created: false, linked: 0 }
        : yield* new LedgerError.DeliveryConflict({ tenantId, storedDeliveryId: stored.id })
    }

    const now = yield* DateTime.now
    const id = Option.isSome(input.id) ? input.id.value : Event.DeliveryId.make(yield* random.uuidV7())
    const queued = Event.queued(id, { id: yield* newEventId, tenantId, insertedAt: now })
    const fresh = Delivery.fromNew({ ...input, metadata: structuredClone(input.metadata) }, id, queued)
    const orphans = Book.findWaiting(book, Correlation.ofDelivery(id), [fresh], id)
    const delivery = Delivery.evolve(fresh, orphans, now)
    const ties = yield* Effect.forEach(orphans, (orphan) => tie(orphan, id, now))
    yield* commit({ deliveries: [delivery], events: [queued], ties })
    return { delivery, created: true, linked: ties.length }
  }, turn)

  const dispatch = Effect.fn("MemoryLedger.dispatch")(function*(input: Delivery.Dispatch) {
    yield* Effect.fromResult(Input.dispatch(input))
    const messageId = yield* Effect.fromResult(Input.messageId(input))
    const { deliveryId, provider, tenantId } = input
    const book = bookOf(tenantId)
    const stored = book.deliveries.get(deliveryId)
    if (stored === undefined) return yield* new LedgerError.DeliveryNotFound({ tenantId })

    const key = Correlation.ofMessage(provider, messageId)
    const others = Book.findByMessage(book, key).filter(({ id }) => id !== deliveryId)
    const decision = Delivery.decideDispatch(stored, input, messageId)
    switch (decision._tag) {
      case "Stale": {
        const { actualVersion, expectedVersion } = decision
        return yield* new LedgerError.StaleDelivery({ tenantId, deliveryId, expectedVersion, actualVersion })
      }
      case "OtherMessage":
        return yield* new LedgerError.DispatchConflict({ tenantId, deliveryId, reason: "other-message" })
      case "AlreadyDispatched":
        return { delivery: stored, linked: 0 }
      case "Accepted":
        if (Book.isTaken(stored, others)) {
          return yield* new LedgerError.DispatchConflict({ tenantId, deliveryId, reason: "taken" })
        }
    }

    const now = yield* DateTime.now
    const event = Event.dispatched(deliveryId, { id: yield* newEventId, tenantId, insertedAt: now, occurredAt: now })
    const orphans = Book.findWaiting(book, key, [...others, stored], deliveryId)
    const delivery = Delivery.dispatched(stored, { provider, messageId }, [event, ...orphans], now)
    const ties = yield* Effect.forEach(orphans, (orphan) => tie(orphan, deliveryId, now))
    yield* commit({ deliveries: [delivery], events: [event], ties })
    return { delivery, linked: ties.length }
  }, turn)

  const append = Effect.fn("MemoryLedger.append")(function*(
    tenantId: Tenant.TenantId,
    inputs: ReadonlyArray<Event.NewEvent>
  ) {
    yield* Input.events(tenantId, inputs)
    const now = yield* DateTime.now
    const book = bookOf(tenantId)
    const outcomes: Array<Ledger.Outcome> = []
    const fresh = new Map<IdempotencyKey.IdempotencyKey, Book.Orphan>()
    const orphans: Array<Book.Orphan> = []

    for (const input of inputs) {
      const id = yield* newEventId
      const report = Event.fromNew(input, { id, tenantId, deliveryId: Option.none(), insertedAt: now })
      const named = Book.namedBy(input)
      const stored = fresh.get(input.idempotencyKey) ?? Book.findByIdempotencyKey(book, input.idempotencyKey)
      if (stored !== undefined) {
        const { event } = stored
        outcomes.push(
          Event.saysTheSame(event, report, Book.isSameRecipient(book, stored, named))
            ? { _tag: "Duplicate", eventId: event.id, deliveryId: Book.deliveryOf(book, event) }
            : new LedgerError.IdempotencyConflict({
              tenantId,
              idempotencyKey: input.idempotencyKey,
              storedEventId: event.id
            })
        )
        continue
      }
      const orphan: Book.Orphan = {
        event: Book.owned(report),
        correlation: Option.getOrUndefined(Correlation.ofEvent(report)),
        named
      }
      const deliveryId = Book.meet(book, orphan)
      const event = deliveryId === undefined ? orphan.event : Event.bind(orphan.event, deliveryId)
      if (deliveryId === undefined) orphans.push(orphan)
      fresh.set(event.idempotencyKey, { ...orphan, event })
      outcomes.push({ _tag: "Appended", eventId: event.id, deliveryId: event.deliveryId })
    }

    const events = Array.from(fresh.values(), ({ event }) => event)
    const bound = events.flatMap((event) =>
      Option.isSome(event.deliveryId) ? [{ deliveryId: event.deliveryId.value, event }] : []
    )
    if (events.length > 0) yield* commit({ deliveries: Book.project(book, bound, now), events, orphans })
    return outcomes
  }, turn)

  const findOrphans = Effect.fn("MemoryLedger.findOrphans")(function*(query: Ledger.OrphanQuery) {
    const limit = yield* Input.limit(query.limit)
    if (query.failedOnly) return []
    const from = Option.match(query.insertedFrom, { onNone: () => -Infinity, onSome: (at) => at.epochMilliseconds })
    return booksIn(query.scope)
      .flatMap((book) => Array.from(book.orphans.values(), ({ event }) => event))
      .filter(({ insertedAt }) => insertedAt.epochMilliseconds >= from)
      .toSorted(Book.oldestFirst)
      .slice(0, limit)
      .map((event): Ledger.Orphan => ({ event, failure: Option.none() }))
  })

  const findEvent = ({ eventId, tenantId }: Ledger.EventKey) =>
    Effect.suspend(() => {
      const event = bookOf(tenantId).events.get(eventId)
      return event === undefined
        ? Effect.fail(new LedgerError.EventNotFound({ tenantId, eventId }))
        : Effect.succeed(event)
    })

  const attemptLink = Effect.fn("MemoryLedger.attemptLink")(function*(
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

  const link = Effect.fn("MemoryLedger.link")(function*(query: Ledger.LinkQuery) {
    const limit = yield* Input.limit(query.limit)
    const now = yield* DateTime.now
    const isOfAge = ({ insertedAt }: Event.Event): boolean =>
      insertedAt.epochMilliseconds >= query.insertedFrom.epochMilliseconds &&
      insertedAt.epochMilliseconds <= query.insertedTo.epochMilliseconds
    const linkable = booksIn(query.scope)
      .map((book) =>
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

  const deliveries = Effect.fn("MemoryLedger.deliveries")(function*(query: {
    readonly tenantId: Tenant.TenantId
    readonly after: Option.Option<Event.DeliveryId>
    readonly limit: number
  }) {
    const limit = yield* Input.limit(query.limit)
    const { after } = query
    return Array.from(bookOf(query.tenantId).deliveries.values())
      .filter(({ id }) => Option.isNone(after) || id > after.value)
      .toSorted(Book.byId)
      .slice(0, limit)
  })

  const timelineOf = ({ deliveryId, tenantId }: Ledger.DeliveryKey): ReadonlyArray<Ledger.TimelineEntry> =>
    (bookOf(tenantId).timelines.get(deliveryId) ?? []).toSorted((left, right) => Event.compare(left.event, right.event))

  const changes = Effect.fn("MemoryLedger.changes")(function*(query: {
    readonly scope: Tenant.Scope
    readonly after: Cursor.Cursor
    readonly limit: number
  }) {
    const limit = yield* Input.limit(query.limit)
    const [commit, position] = Cursor.parts(yield* Effect.fromResult(Input.cursor(query.after)))
    return feed
      .filter(({ event }) => Tenant.reaches(query.scope, event.tenantId))
      .filter(({ cursor }) => {
        const [ofCommit, ofPosition] = Cursor.parts(cursor)
        return ofCommit === commit ? ofPosition > position : ofCommit > commit
      })
      .slice(0, limit)
  })

  const auditDeliveries = Effect.fnUntraced(function*(query: Ledger.AuditQuery, repair: boolean) {
    const after = Option.getOrUndefined(yield* Effect.fromResult(Input.place(query)))
    const now = yield* DateTime.now
    const page = booksIn(query.scope)
      .flatMap((book) => Array.from(book.deliveries.values()))
      .filter((delivery) => after === undefined || comparePlaces(delivery, after) > 0)
      .toSorted(comparePlaces)
      .slice(0, query.limit)
    const found = page.map((delivery) => {
      const facts = timelineOf({ tenantId: delivery.tenantId, deliveryId: delivery.id }).map(({ event }) => event)
      return { delivery, facts, drift: Drift.ofDelivery(delivery, facts) }
    })
    const repaired = found
      .filter(({ drift }) => Option.isSome(drift))
      .map(({ delivery, facts }) => Book.refolded(delivery, facts, now))
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
  const auditOrphans = Effect.fnUntraced(function*(query: Ledger.AuditQuery) {
    const after = Option.getOrUndefined(yield* Effect.fromResult(Input.place(query)))
    const page = booksIn(query.scope)
      .flatMap((book) => Array.from(book.events.values()).filter(({ needsReconciliation }) => needsReconciliation))
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
    Effect.fnUntraced(function*(query: Ledger.AuditQuery) {
      yield* Input.limit(query.limit)
      return yield* query.part === "deliveries" ? auditDeliveries(query, repair) : auditOrphans(query)
    }, turn)

  const isElsewhere = (event: Event.Event) => (correlation: string): boolean =>
    Option.isNone(event.echoedDeliveryId) &&
    Array.from(books).some(([tenantId, book]) =>
      tenantId !== event.tenantId && Book.findByMessage(book, correlation).length > 0
    )

  const explanationOf = (event: Event.Event): Ledger.Explanation => {
    const book = bookOf(event.tenantId)
    if (Option.isSome(event.deliveryId)) return { _tag: "NotAnOrphan", deliveryId: event.deliveryId.value }
    const linked = book.links.get(event.id)
    if (linked !== undefined) return { _tag: "Linked", deliveryId: linked }
    const orphan = book.orphans.get(event.id)
    return orphan === undefined ? { _tag: "Dismissed" } : Book.explain(book, orphan, isElsewhere(event))
  }

  const explain = Effect.fn("MemoryLedger.explain")((key: Ledger.EventKey) => Effect.map(findEvent(key), explanationOf))

  const linkTo = Effect.fn("MemoryLedger.linkTo")(function*(command: Ledger.LinkTo) {
    yield* Effect.fromResult(Input.linkTo(command))
    const { deliveryId, expectedVersion, tenantId } = command
    const event = yield* findEvent(command)
    const book = bookOf(tenantId)
    const delivery = book.deliveries.get(deliveryId)
    if (delivery === undefined) return yield* new LedgerError.DeliveryNotFound({ tenantId })
    if (Delivery.isStale(delivery, expectedVersion)) {
      const actualVersion = delivery.lockVersion
      return yield* new LedgerError.StaleDelivery({
        tenantId,
        deliveryId,
        expectedVersion: expectedVersion.value,
        actualVersion
      })
    }
    if (!book.orphans.has(event.id)) return false
    const now = yield* DateTime.now
    const ties = [yield* tie(event, deliveryId, now)]
    yield* commit({ deliveries: Book.project(book, [{ deliveryId, event }], now), ties })
    return true
  }, turn)

  const dismiss = Effect.fn("MemoryLedger.dismiss")(function*(key: Ledger.EventKey) {
    const event = yield* findEvent(key)
    const orphan = bookOf(key.tenantId).orphans.get(event.id)
    if (orphan === undefined) return false
    yield* commit({ dismissed: [orphan] })
    return true
  }, turn)

  const backlog = Effect.fn("MemoryLedger.backlog")(function*(query: {
    readonly scope: Tenant.Scope
    readonly horizon: Timestamp.Timestamp
  }) {
    return Array.from(books)
      .filter(([tenantId]) => Tenant.reaches(query.scope, tenantId))
      .toSorted(([left], [right]) => left < right ? -1 : 1)
      .flatMap(([tenantId, book]): ReadonlyArray<Ledger.Backlog> => {
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

  const forget = Effect.fn("MemoryLedger.forget")(function*(query: {
    readonly tenantId: Tenant.TenantId
    readonly recipient: Recipient.Recipient
  }) {
    const book = bookOf(query.tenantId)
    const now = yield* DateTime.now
    const deliveries = Array.from(book.deliveries.values())
      .filter(({ recipient }) => Option.isSome(recipient) && Recipient.isSame(recipient.value, query.recipient))
      .map((delivery) => Book.forgotten(delivery, now))
    const orphans = Book.naming(book, query.recipient)
    yield* commit({ deliveries, forgotten: query })
    return { deliveries: deliveries.length, orphans: orphans.length }
  }, turn)

  const ledger = Ledger.Ledger.of({
    record,
    dispatch,
    append,
    findOrphans,
    attemptLink,
    link,
    delivery: ({ deliveryId, tenantId }) =>
      Effect.sync(() => Option.fromUndefinedOr(bookOf(tenantId).deliveries.get(deliveryId))),
    deliveries,
    timeline: (key) => Effect.sync(() => timelineOf(key)),
    changes,
    verify: Effect.fn("MemoryLedger.verify")(audit(false)),
    rebuild: Effect.fn("MemoryLedger.rebuild")(audit(true)),
    explain,
    linkTo,
    dismiss,
    // Nothing fails by itself in memory, so that nothing is ever set aside.
    retry: Effect.fn("MemoryLedger.retry")((key: Ledger.EventKey) => Effect.as(findEvent(key), false)),
    backlog,
    forget,
    updates: PubSub.subscribe(pubsub)
  })

  const importDelivery = Effect.fn("MemoryLedger.importDelivery")(function*(row: Imported) {
    const delivery = Book.imported(row, yield* DateTime.now)
    const book = bookOf(row.tenantId)
    const key = Correlation.ofMessage(row.provider, row.providerMessageId)
    if (book.deliveries.has(row.id) || Book.isTaken(delivery, Book.findByMessage(book, key))) return false
    yield* commit({ deliveries: [delivery] })
    return true
  }, turn)

  const setProjections = Effect.fn("MemoryLedger.setProjections")(function*(
    tenantId: Tenant.TenantId,
    projection: Projection.Projection
  ) {
    const deliveries = Array.from(bookOf(tenantId).deliveries.values())
    yield* commit({ deliveries: deliveries.map((delivery) => Object.assign({}, delivery, projection)) })
  }, turn)

  return {
    ledger,
    /** Inserts a delivery without any event; false where its id or its message id is taken. */
    importDelivery,
    /** Writes a projection over that of every delivery of a tenant. */
    setProjections
  }
})

/**
 * An empty ledger in memory.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Ledger.Ledger, never, SecureRandom.SecureRandom> = Layer.effect(
  Ledger.Ledger,
  Effect.map(make, ({ ledger }) => ledger)
)
