/** Records, dispatches, appends and forgets in memory. */
import {
  Correlation,
  Delivery,
  Event,
  type IdempotencyKey,
  Input,
  type Ledger,
  LedgerError,
  Recipient,
  type Tenant
} from "@waybill/core"
import { DateTime, Effect, Option } from "effect"
import * as Book from "./Book.ts"
import type { Store } from "./Store.ts"

/** Makes the commands of a store. */
export const make = ({ bookOf, commit, newEventId, newUuid, tie, turn }: Store) => {
  const record = Effect.fn("Ledger.record")(function*(input: Delivery.NewDelivery) {
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
    const id = Option.isSome(input.id) ? input.id.value : Event.DeliveryId.make(yield* newUuid)
    const queued = Event.queued(id, { id: yield* newEventId, tenantId, insertedAt: now })
    const fresh = Delivery.fromNew({ ...input, metadata: structuredClone(input.metadata) }, id, queued)
    const orphans = Book.findWaiting(book, Correlation.ofDelivery(id), [fresh], id)
    const delivery = Delivery.evolve(fresh, orphans, now)
    const ties = yield* Effect.forEach(orphans, (orphan) => tie(orphan, id, now))
    yield* commit({ deliveries: [delivery], events: [queued], ties })
    return { delivery, created: true, linked: ties.length }
  }, turn)

  const dispatch = Effect.fn("Ledger.dispatch")(function*(input: Delivery.Dispatch) {
    yield* Effect.fromResult(Input.dispatch(input))
    const messageId = yield* Effect.fromResult(Input.messageId(input))
    const { deliveryId, provider, tenantId } = input
    const book = bookOf(tenantId)
    const stored = book.deliveries.get(deliveryId)
    if (stored === undefined) return yield* new LedgerError.DeliveryNotFound({ tenantId })

    const key = Correlation.ofMessage(provider, messageId)
    const others = Book.findByMessage(book, key).filter(({ id }) => id !== deliveryId)
    const decision = yield* Effect.fromResult(Delivery.decideDispatch(stored, input, messageId))
    if (decision === "AlreadyDispatched") return { delivery: stored, linked: 0 }
    if (Book.isTaken(stored, others)) return yield* Delivery.refuseDispatch(stored, "taken")

    const now = yield* DateTime.now
    const event = Event.dispatched(deliveryId, { id: yield* newEventId, tenantId, insertedAt: now, occurredAt: now })
    const orphans = Book.findWaiting(book, key, [...others, stored], deliveryId)
    const delivery = Delivery.dispatched(stored, { provider, messageId }, [event, ...orphans], now)
    const ties = yield* Effect.forEach(orphans, (orphan) => tie(orphan, deliveryId, now))
    yield* commit({ deliveries: [delivery], events: [event], ties })
    return { delivery, linked: ties.length }
  }, turn)

  const append = Effect.fn("Ledger.append")(function*(
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
              storedEventId: event.id,
              storedName: Event.nameOf(event)
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

  const forget = Effect.fn("Ledger.forget")(function*(query: {
    readonly tenantId: Tenant.TenantId
    readonly recipient: Recipient.Recipient
  }) {
    const book = bookOf(query.tenantId)
    const now = yield* DateTime.now
    const deliveries = Array.from(book.deliveries.values())
      .filter(({ recipient }) => Option.isSome(recipient) && Recipient.isSame(recipient.value, query.recipient))
      .map((delivery) => Delivery.forget(delivery, now))
    const orphans = Book.naming(book, query.recipient)
    yield* commit({ deliveries, forgotten: query })
    return { deliveries: deliveries.length, orphans: orphans.length }
  }, turn)

  return { record, dispatch, append, forget }
}
