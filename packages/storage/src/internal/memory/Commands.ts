/** Records, dispatches, notes what was not sent, appends and forgets in memory. */
import {
  Commit,
  Correlation,
  type Delivery,
  Event,
  IdempotencyKey,
  Input,
  type Ledger,
  OwnHalf,
  type Recipient,
  Report,
  SuppressionStore,
  Tenant
} from "@waybill/core"
import { DateTime, Effect, Option } from "effect"
import * as Book from "./Book.ts"
import * as Figures from "./Figures.ts"
import type { Store } from "./Store.ts"
import * as Suppressions from "./Suppressions.ts"

/** The ledger's own copy of what is given: what a caller does to the objects it gave no longer reaches it. */
const owned = (given: Event.NewEvent): Event.NewEvent => ({
  ...given,
  normalizedPayload: structuredClone(given.normalizedPayload),
  metadata: structuredClone(given.metadata),
  details: Option.map(given.details, (details) => structuredClone(details))
})

/** Makes the commands of a store. */
export const make = (store: Store) => {
  const { bookOf, booksIn, known, newEventId, newUuid, settle, softness, turn } = store
  const suppressions = Suppressions.reads(store)

  const record = Effect.fn("Ledger.record")(function*(input: Delivery.NewDelivery) {
    yield* Effect.fromResult(Input.delivery(input))
    const book = bookOf(input.tenantId)
    const id = Option.isSome(input.id) ? input.id.value : Event.DeliveryId.make(yield* newUuid)
    const at = yield* DateTime.now
    const key = Option.flatMap(input.idempotencyKey, (key) => Option.fromUndefinedOr(book.deliveryByKey.get(key)))
    const decided = OwnHalf.record(
      { ...input, metadata: structuredClone(input.metadata) },
      {
        byKey: Option.flatMap(key, (id) => Book.find(book, id)),
        byId: Book.find(book, id),
        waiting: Book.waitingOn(book, Correlation.ofDelivery(id)),
        suppressed: (delivery) =>
          Option.map(Book.findByKey(book, IdempotencyKey.ofOwn("suppressed", delivery.id)), ({ event }) => event),
        block: yield* SuppressionStore.blockOf(input, suppressions, softness, at)
      },
      { id, eventIds: [yield* newEventId, yield* newEventId], at }
    )
    return yield* settle(yield* Effect.fromResult(decided))
  }, turn)

  const dispatch = Effect.fn("Ledger.dispatch")(function*(input: Delivery.Dispatch) {
    yield* Effect.fromResult(Input.dispatch(input))
    const messageId = yield* Effect.fromResult(Input.messageId(input))
    const book = bookOf(input.tenantId)
    const key = Correlation.ofMessage(input.provider, messageId)
    const decided = OwnHalf.dispatch(
      input,
      messageId,
      {
        stored: Book.find(book, input.deliveryId),
        sharing: Book.sharing(book, key),
        waiting: Book.waitingOn(book, key)
      },
      { eventId: yield* newEventId, at: yield* DateTime.now }
    )
    return yield* settle(yield* Effect.fromResult(decided))
  }, turn)

  const fail = Effect.fn("Ledger.fail")(function*(input: Delivery.Fail) {
    yield* Effect.fromResult(Input.fail(input))
    const book = bookOf(input.tenantId)
    const decided = OwnHalf.fail(
      input,
      {
        stored: Book.find(book, input.deliveryId),
        failures: Book.ownOf(book, input.deliveryId, ["deferred", "failed"]),
        place: Option.fromUndefinedOr(book.unsent.get(input.deliveryId))
      },
      { eventId: yield* newEventId, at: yield* DateTime.now }
    )
    return yield* settle(yield* Effect.fromResult(decided))
  }, turn)

  const suppress = Effect.fn("Ledger.suppress")(function*(input: Delivery.Suppress) {
    yield* Effect.fromResult(Input.suppress(input))
    const book = bookOf(input.tenantId)
    const decided = OwnHalf.suppress(
      input,
      {
        stored: Book.find(book, input.deliveryId),
        isNoted: Book.ownOf(book, input.deliveryId, ["suppressed"]).length > 0
      },
      { eventId: yield* newEventId, at: yield* DateTime.now }
    )
    return yield* settle(yield* Effect.fromResult(decided))
  }, turn)

  const append = Effect.fn("Ledger.append")(function*(
    tenantId: Tenant.TenantId,
    inputs: ReadonlyArray<Event.NewEvent>
  ) {
    yield* Input.events(tenantId, inputs)
    const insertedAt = yield* DateTime.now
    const book = bookOf(tenantId)
    const reports = yield* Effect.forEach(
      inputs,
      (input) => Effect.map(newEventId, (id) => Report.fromNew(owned(input), { id, tenantId, insertedAt }))
    )
    const beside = {
      stored: (key: Event.Event["idempotencyKey"]) => Book.findByKey(book, key),
      hasDetails: ({ eventId }: Ledger.EventKey) => book.details.has(eventId)
    }
    return yield* settle(Commit.append(reports, { ...known, ...beside }, insertedAt))
  }, turn)

  const forget = Effect.fn("Ledger.forget")(function*(query: {
    readonly tenantId: Tenant.TenantId
    readonly recipient: Recipient.Recipient
  }) {
    const book = bookOf(query.tenantId)
    const now = yield* DateTime.now
    const decided = Commit.forget(
      { ...query, key: store.keyOf(query.tenantId)(query.recipient) },
      {
        deliveries: Array.from(book.deliveries.values()),
        reports: Array.from(book.reports.values(), (report) => Book.storedOf(book, report)),
        details: Array.from(book.details.values()),
        kept: yield* SuppressionStore.keptOf(query, suppressions, softness, now)
      },
      now
    )
    const answer = yield* settle(decided)
    Figures.recount(store, decided.commit.deliveries ?? [])
    return answer
  }, turn)

  const pruneDetails = Effect.fn("Ledger.pruneDetails")(function*(query: Ledger.PruneDetails) {
    yield* Input.limit(query.limit)
    const kept = booksIn(Tenant.all).flatMap(([, book]) => Array.from(book.details.values()))
    return yield* settle(Commit.pruneDetails(query, kept, yield* DateTime.now))
  }, turn)

  return { record, dispatch, fail, suppress, append, forget, pruneDetails }
}
