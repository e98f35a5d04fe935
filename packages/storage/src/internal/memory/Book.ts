/** Holds all that a ledger in memory knows of one tenant, and how it changes. */
import {
  type Act,
  type Commit,
  Correlation,
  Delivery,
  Event,
  EventType,
  type Figure,
  Handover,
  type IdempotencyKey,
  type Orphan,
  type Recipient,
  type Report,
  Suppression,
  type SuppressionBook,
  type Tenant,
  Unsent
} from "@waybill/core"
import { Option } from "effect"

/** The events that were appended to a delivery, and the orphans that were linked to it. */
interface Line {
  readonly appended: Array<Event.Event>
  readonly orphans: Array<Event.Event>
}

/** All that is known of one tenant. */
export class Book {
  readonly deliveries = new Map<Event.DeliveryId, Delivery.Delivery>()
  readonly deliveryByKey = new Map<IdempotencyKey.IdempotencyKey, Event.DeliveryId>()
  readonly deliveriesByCorrelation = new Map<Correlation.Key, Set<Event.DeliveryId>>()
  readonly reports = new Map<Event.EventId, Report.Report>()
  readonly reportByKey = new Map<IdempotencyKey.IdempotencyKey, Event.EventId>()
  readonly lines = new Map<Event.DeliveryId, Line>()
  readonly links = new Map<Event.EventId, Event.DeliveryId>()
  readonly waiting = new Set<Event.EventId>()
  readonly waitingByCorrelation = new Map<Correlation.Key, Set<Event.EventId>>()
  readonly dismissed = new Set<Event.EventId>()
  readonly details = new Map<Event.EventId, Report.KeptDetails>()
  /** How each delivery counts, as of when the figures followed it. */
  readonly contributions = new Map<Event.DeliveryId, Figure.Contribution>()
  readonly unsent = new Map<Event.DeliveryId, Unsent.Row>()
  /** The events that may say something of suppressions. */
  readonly telling = new Set<Event.EventId>()
  readonly acts: Array<{ readonly key: string; readonly act: Act.Act }> = []
  /** The addresses that acts named, by their keys, until they are forgotten. */
  readonly addresses = new Map<string, Recipient.Recipient>()
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
  if (!Handover.isUnsent(delivery)) book.unsent.delete(delivery.id)
  else if (!book.unsent.has(delivery.id)) book.unsent.set(delivery.id, Unsent.ofDelivery(delivery))
  if (Option.isSome(delivery.idempotencyKey)) book.deliveryByKey.set(delivery.idempotencyKey.value, delivery.id)
  for (const key of Delivery.keys(delivery)) {
    upsert(book.deliveriesByCorrelation, key, () => new Set()).add(delivery.id)
  }
}

/** Keeps the place of a delivery that is unsent still. */
export const putUnsent = (book: Book, row: Unsent.Row): void => {
  if (book.unsent.has(row.deliveryId)) book.unsent.set(row.deliveryId, row)
}

/** The events of our own of a delivery, of some types. */
export const ownOf = (
  book: Book,
  id: Event.DeliveryId,
  types: ReadonlyArray<Event.Event["type"]>
): ReadonlyArray<Event.Event> =>
  (book.lines.get(id)?.appended ?? []).filter((event) => Event.isOwn(event) && types.includes(event.type))

const lineOf = (book: Book, id: Event.DeliveryId): Line => upsert(book.lines, id, () => ({ appended: [], orphans: [] }))

const takeOrphan = (book: Book, event: Event.Event): void => {
  book.waiting.delete(event.id)
  const key = Correlation.ofEvent(event)
  if (Option.isNone(key)) return
  const waiting = book.waitingByCorrelation.get(key.value)
  waiting?.delete(event.id)
  if (waiting?.size === 0) book.waitingByCorrelation.delete(key.value)
}

const putOrphan = (book: Book, event: Event.Event): void => {
  book.waiting.add(event.id)
  const key = Correlation.ofEvent(event)
  if (Option.isSome(key)) upsert(book.waitingByCorrelation, key.value, () => new Set()).add(event.id)
}

const putLink = (book: Book, orphanId: Event.EventId, deliveryId: Event.DeliveryId): void => {
  const orphan = book.reports.get(orphanId)?.event
  book.links.set(orphanId, deliveryId)
  if (orphan === undefined) return
  takeOrphan(book, orphan)
  lineOf(book, deliveryId).orphans.push(orphan)
}

const telling = new Set<EventType.EventType>([...Suppression.causing, ...EventType.resets])

/** Keeps a new event, which from then on no reader can change. */
export const putReport = (book: Book, report: Report.Report): void => {
  const { event } = report
  freeze(event.metadata)
  freeze(event.normalizedPayload)
  Object.freeze(event)
  book.reports.set(event.id, report)
  book.reportByKey.set(event.idempotencyKey, event.id)
  if (telling.has(event.type)) book.telling.add(event.id)
  if (Option.isNone(event.deliveryId)) return putOrphan(book, event)
  lineOf(book, event.deliveryId.value).appended.push(event)
  if (Option.isSome(event.sourceEventId)) putLink(book, event.sourceEventId.value, event.deliveryId.value)
}

/** Keeps the address of a key, or takes it away. */
export const putAddress = (book: Book, key: string, recipient: Option.Option<Recipient.Recipient>): void => {
  if (Option.isSome(recipient)) book.addresses.set(key, recipient.value)
  else book.addresses.delete(key)
}

/** Keeps the details of an event, which from then on no reader can change. */
export const putDetails = (book: Book, kept: Report.KeptDetails): void => {
  freeze(kept.details)
  book.details.set(kept.eventId, kept)
}

/** Takes an orphan out of the queue for good. */
export const putDismissed = (book: Book, event: Event.Event): void => {
  takeOrphan(book, event)
  book.dismissed.add(event.id)
}

/** All deliveries that have a key. */
export const sharing = (book: Book, key: Correlation.Key): ReadonlyArray<Delivery.Delivery> =>
  Array.from(book.deliveriesByCorrelation.get(key) ?? []).flatMap((id) => book.deliveries.get(id) ?? [])

/** The delivery of an id. */
export const find = (book: Book, id: Event.DeliveryId): Option.Option<Delivery.Delivery> =>
  Option.fromUndefinedOr(book.deliveries.get(id))

const reportsOf = (book: Book, ids: Iterable<Event.EventId>): ReadonlyArray<Report.Report> =>
  Array.from(ids).flatMap((id) => book.reports.get(id) ?? [])

/** The pending orphans. */
export const waitingIn = (book: Book): ReadonlyArray<Report.Report> => reportsOf(book, book.waiting)

/** The pending orphans of a key. */
export const waitingOn = (book: Book, key: Correlation.Key): ReadonlyArray<Report.Report> =>
  reportsOf(book, book.waitingByCorrelation.get(key) ?? [])

/** All that may say something of suppressions. */
export const suppressionsIn = (book: Book): SuppressionBook.Book => ({
  reports: reportsOf(book, book.telling).map((report) => storedOf(book, report)),
  deliveries: Array.from(book.deliveries.values()),
  find: (id) => find(book, id),
  acts: book.acts,
  addresses: Array.from(book.addresses.values())
})

/** What became of a report. */
export const storedOf = (book: Book, report: Report.Report): Commit.Stored => ({
  ...report,
  linkedTo: Option.fromUndefinedOr(book.links.get(report.event.id)),
  isDismissed: book.dismissed.has(report.event.id)
})

/** The report that is stored under a key. */
export const findByKey = (book: Book, key: IdempotencyKey.IdempotencyKey): Option.Option<Commit.Stored> => {
  const id = book.reportByKey.get(key)
  const report = id === undefined ? undefined : book.reports.get(id)
  return report === undefined ? Option.none() : Option.some(storedOf(book, report))
}

/** The pending orphans as the port shows them. Nothing fails on its own in memory, so that nothing is ever set aside. */
export const orphansOf = (book: Book): ReadonlyArray<Orphan.Orphan> =>
  waitingIn(book).map(({ event }) => ({ event, failure: Option.none() }))

/** What decisions about reports look up in the books. */
export const knownIn = (bookOf: (tenantId: Tenant.TenantId) => Book): Commit.Known => ({
  sharing: (tenantId, key) => sharing(bookOf(tenantId), key),
  delivery: ({ deliveryId, tenantId }) => find(bookOf(tenantId), deliveryId)
})
