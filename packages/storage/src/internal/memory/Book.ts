/** Holds all that a ledger in memory knows of one tenant, and how it changes. */
import {
  Correlation,
  Delivery,
  DeliveryUpdate,
  Event,
  type IdempotencyKey,
  type Ledger,
  Orphan,
  Recipient,
  type Tenant,
  type Timestamp
} from "@waybill/core"
import { Option } from "effect"

/** Whom an event names for certain; without an address since that recipient was forgotten. */
export interface Named {
  readonly address: Recipient.Recipient | undefined
}

/** A pending orphan. */
export interface Orphan {
  readonly event: Event.Event
  readonly correlation: Correlation.Key | undefined
  readonly named: Named | undefined
}

/** An orphan, the delivery it meets and the `reconciled` event that ties them. */
export interface Tie {
  readonly orphan: Event.Event
  readonly deliveryId: Event.DeliveryId
  readonly reconciled: Event.Event
}

/** What one operation changes, all or nothing. */
export interface Change {
  readonly deliveries?: ReadonlyArray<Delivery.Delivery>
  readonly events?: ReadonlyArray<Event.Event>
  /** The orphans that begin to wait. */
  readonly orphans?: ReadonlyArray<Orphan>
  readonly ties?: ReadonlyArray<Tie>
  readonly dismissed?: ReadonlyArray<Orphan>
  /** Whom no event names any longer. */
  readonly forgotten?: { readonly tenantId: Tenant.TenantId; readonly recipient: Recipient.Recipient }
}

/** All that is known of one tenant. */
export class Book {
  readonly deliveries = new Map<Event.DeliveryId, Delivery.Delivery>()
  readonly deliveryByKey = new Map<IdempotencyKey.IdempotencyKey, Event.DeliveryId>()
  readonly deliveriesByMessage = new Map<Correlation.Key, Set<Event.DeliveryId>>()
  readonly events = new Map<Event.EventId, Event.Event>()
  readonly eventByKey = new Map<IdempotencyKey.IdempotencyKey, Event.EventId>()
  readonly timelines = new Map<Event.DeliveryId, Array<Ledger.TimelineEntry>>()
  readonly links = new Map<Event.EventId, Event.DeliveryId>()
  readonly orphans = new Map<Event.EventId, Orphan>()
  readonly orphansByKey = new Map<Correlation.Key, Set<Event.EventId>>()
  /** Whom each event that ever was an orphan named for certain. */
  readonly named = new Map<Event.EventId, Named>()
  readonly dismissed = new Set<Event.EventId>()
}

/** The value under a key, made where there is none. */
export const upsert = <K, V>(map: Map<K, V>, key: K, make: () => V): V => {
  const known = map.get(key)
  if (known !== undefined) return known
  const fresh = make()
  map.set(key, fresh)
  return fresh
}

const freeze = (value: unknown): void => {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return
  Object.freeze(value)
  for (const part of Object.values(value)) freeze(part)
}

/** Keeps a delivery, which from then on no reader can change. */
export const putDelivery = (book: Book, delivery: Delivery.Delivery): void => {
  freeze(delivery.metadata)
  Object.freeze(delivery)
  book.deliveries.set(delivery.id, delivery)
  if (Option.isSome(delivery.idempotencyKey)) book.deliveryByKey.set(delivery.idempotencyKey.value, delivery.id)
  if (Option.isSome(delivery.provider) && Option.isSome(delivery.providerMessageId)) {
    const key = Correlation.ofMessage(delivery.provider.value, delivery.providerMessageId.value)
    upsert(book.deliveriesByMessage, key, () => new Set()).add(delivery.id)
  }
}

/** Keeps an event, which from then on no reader can change. */
export const putEvent = (book: Book, event: Event.Event): void => {
  freeze(event.metadata)
  freeze(event.normalizedPayload)
  Object.freeze(event)
  book.events.set(event.id, event)
  book.eventByKey.set(event.idempotencyKey, event.id)
  if (Option.isSome(event.deliveryId)) {
    upsert(book.timelines, event.deliveryId.value, () => []).push(Object.freeze({ event, linkedBy: Option.none() }))
  }
}

export const putOrphan = (book: Book, orphan: Orphan): void => {
  book.orphans.set(orphan.event.id, orphan)
  if (orphan.named !== undefined) book.named.set(orphan.event.id, orphan.named)
  if (orphan.correlation !== undefined) {
    upsert(book.orphansByKey, orphan.correlation, () => new Set()).add(orphan.event.id)
  }
}

const takeOrphan = (book: Book, id: Event.EventId): void => {
  const key = book.orphans.get(id)?.correlation
  book.orphans.delete(id)
  if (key === undefined) return
  const waiting = book.orphansByKey.get(key)
  waiting?.delete(id)
  if (waiting?.size === 0) book.orphansByKey.delete(key)
}

export const putTie = (book: Book, { deliveryId, orphan, reconciled }: Tie): void => {
  takeOrphan(book, orphan.id)
  book.links.set(orphan.id, deliveryId)
  putEvent(book, reconciled)
  const entry = Object.freeze({ event: orphan, linkedBy: Option.some(reconciled.id) })
  upsert(book.timelines, deliveryId, () => []).push(entry)
}

export const putDismissed = (book: Book, { event }: Orphan): void => {
  takeOrphan(book, event.id)
  book.dismissed.add(event.id)
}

export const findByMessage = (book: Book, key: Correlation.Key): ReadonlyArray<Delivery.Delivery> =>
  Array.from(book.deliveriesByMessage.get(key) ?? []).flatMap((id) => book.deliveries.get(id) ?? [])

/** The delivery that stands under the key of another record, else under its id. */
export const findRecorded = (
  book: Book,
  { id, idempotencyKey }: Delivery.NewDelivery
): Delivery.Delivery | undefined => {
  const byKey = Option.isSome(idempotencyKey) ? book.deliveryByKey.get(idempotencyKey.value) : undefined
  const found = byKey ?? Option.getOrUndefined(id)
  return found === undefined ? undefined : book.deliveries.get(found)
}

/** The event of a key, and whom it named where it was an orphan. */
export const findByIdempotencyKey = (
  book: Book,
  key: IdempotencyKey.IdempotencyKey
): Pick<Orphan, "event" | "named"> | undefined => {
  const id = book.eventByKey.get(key)
  const event = id === undefined ? undefined : book.events.get(id)
  return event === undefined ? undefined : { event, named: book.named.get(event.id) }
}

/** The delivery that an event is about as of now, directly or by a link. */
export const deliveryOf = (book: Book, event: Event.Event): Option.Option<Event.DeliveryId> =>
  Option.orElse(event.deliveryId, () => Option.fromUndefinedOr(book.links.get(event.id)))

/** Whether a report of a stored event's key may be about the same recipient as `Event.saysTheSame` asks. */
export const isSameRecipient = (
  book: Book,
  { event, named }: Pick<Orphan, "event" | "named">,
  report: Named | undefined
): boolean => {
  if (Option.isNone(event.deliveryId)) return isSameNamed(named, report)
  const recipient = Option.flatMap(
    Option.fromUndefinedOr(book.deliveries.get(event.deliveryId.value)),
    (delivery) => delivery.recipient
  )
  return report === undefined || isSameNamed({ address: Option.getOrUndefined(recipient) }, report)
}

/** Whether two events name the same, where one of them may be forgotten. */
const isSameNamed = (stored: Named | undefined, report: Named | undefined): boolean => {
  if (stored === undefined || report === undefined) {
    return stored === report || stored !== undefined && stored.address === undefined
  }
  return stored.address === undefined ||
    report.address !== undefined && Recipient.isSame(stored.address, report.address)
}

/** How a delivery compares with whom an event names for certain; a forgotten recipient is another one. */
const compareRecipient = (
  delivery: Delivery.Delivery,
  named: Named | undefined
): Correlation.Candidate["recipient"] => {
  if (named === undefined) return "unnamed"
  return named.address !== undefined && Option.isSome(delivery.recipient) &&
      Recipient.isSame(delivery.recipient.value, named.address)
    ? "same"
    : "other"
}

const decide = (deliveries: ReadonlyArray<Delivery.Delivery>, named: Named | undefined): Correlation.Meeting =>
  Correlation.decide(
    deliveries.map((delivery) => ({ deliveryId: delivery.id, recipient: compareRecipient(delivery, named) }))
  )

/** Decides among the deliveries that have the key on which an orphan waits. */
export const meetingOf = (book: Book, { correlation, event, named }: Orphan): Correlation.Meeting => {
  if (correlation === undefined) return { _tag: "NoDelivery" }
  if (Option.isNone(event.echoedDeliveryId)) return decide(findByMessage(book, correlation), named)
  const echoed = book.deliveries.get(event.echoedDeliveryId.value)
  return decide(echoed === undefined ? [] : [echoed], named)
}

/** The delivery that an orphan meets. */
export const meet = (book: Book, orphan: Orphan): Event.DeliveryId | undefined => {
  const meeting = meetingOf(book, orphan)
  return meeting._tag === "Met" ? meeting.deliveryId : undefined
}

export const byId = (left: { readonly id: string }, right: { readonly id: string }): number =>
  left.id < right.id ? -1 : left.id > right.id ? 1 : 0

/** The order of the feed within one commit. */
export const byKey = (left: Event.Event, right: Event.Event): number =>
  left.idempotencyKey < right.idempotencyKey ? -1 : left.idempotencyKey > right.idempotencyKey ? 1 : 0

export const oldestFirst = (left: Event.Event, right: Event.Event): number =>
  left.insertedAt.epochMilliseconds - right.insertedAt.epochMilliseconds || byId(left, right)

/** The orphans of a key that meet a delivery once these are all that have the key. */
export const findWaiting = (
  book: Book,
  key: Correlation.Key,
  deliveries: ReadonlyArray<Delivery.Delivery>,
  deliveryId: Event.DeliveryId
): ReadonlyArray<Event.Event> =>
  Array.from(book.orphansByKey.get(key) ?? [])
    .flatMap((id) => book.orphans.get(id) ?? [])
    .filter(({ named }) => {
      const meeting = decide(deliveries, named)
      return meeting._tag === "Met" && meeting.deliveryId === deliveryId
    })
    .map(({ event }) => event)
    .toSorted(byId)

/** Whether one of the other deliveries is to the same recipient. */
export const isTaken = (delivery: Delivery.Delivery, others: ReadonlyArray<Delivery.Delivery>): boolean => {
  const address = Option.getOrUndefined(delivery.recipient)
  return address !== undefined &&
    others.some((other) => other.id !== delivery.id && compareRecipient(other, { address }) === "same")
}

/** Whom a report names by `Event.certainRecipient`. */
export const namedBy = (report: Event.NewEvent): Named | undefined =>
  Option.match(Event.certainRecipient(report), { onNone: () => undefined, onSome: (address) => ({ address }) })

/** Moves each delivery once by all of its new events and returns those that changed. */
export const project = (
  book: Book,
  facts: ReadonlyArray<{ readonly deliveryId: Event.DeliveryId; readonly event: Event.Event }>,
  now: Timestamp.Timestamp
): ReadonlyArray<Delivery.Delivery> =>
  Array.from(Map.groupBy(facts, ({ deliveryId }) => deliveryId)).flatMap(([id, own]) => {
    const delivery = book.deliveries.get(id)
    if (delivery === undefined) return []
    const moved = Delivery.evolve(delivery, own.map(({ event }) => event), now)
    return moved === delivery ? [] : [moved]
  })

/** What a change tells to the subscribers. */
export const updatesOf = ({ events = [], ties = [] }: Change): ReadonlyArray<DeliveryUpdate.DeliveryUpdate> => [
  ...events.flatMap((event) =>
    Option.isSome(event.deliveryId) ? [DeliveryUpdate.ofEvent(event, event.deliveryId.value)] : []
  ),
  ...ties.map((tie) => DeliveryUpdate.ofLink(linkOf(tie)))
]

export const linkOf = ({ deliveryId, orphan }: Tie): Orphan.Link => Orphan.linkOf(orphan, deliveryId)

/** The ledger's own copy of an event: what a caller does to the objects it gave no longer reaches it. */
export const owned = (event: Event.Event): Event.Event => ({
  ...event,
  normalizedPayload: structuredClone(event.normalizedPayload),
  metadata: structuredClone(event.metadata)
})

const isNamed = (named: Named | undefined, recipient: Recipient.Recipient): boolean =>
  named?.address !== undefined && Recipient.isSame(named.address, recipient)

/** The pending orphans that name a recipient for certain. */
export const naming = (book: Book, recipient: Recipient.Recipient): ReadonlyArray<Orphan> =>
  Array.from(book.orphans.values()).filter(({ named }) => isNamed(named, recipient))

/** Makes the events that named a recipient name one without an address. */
export const unname = (book: Book, recipient: Recipient.Recipient): void => {
  const named = { address: undefined }
  for (const orphan of naming(book, recipient)) book.orphans.set(orphan.event.id, { ...orphan, named })
  for (const [id, known] of book.named) if (isNamed(known, recipient)) book.named.set(id, named)
}
