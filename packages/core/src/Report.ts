/**
 * Models an event with whom it names for certain, and decides which delivery it is about.
 *
 * @since 0.2.0
 */
import { Option, Schema } from "effect"
import * as Correlation from "./Correlation.ts"
import * as Delivery from "./Delivery.ts"
import * as Details from "./Details.ts"
import * as Event from "./Event.ts"
import * as Recipient from "./Recipient.ts"
import * as Tenant from "./Tenant.ts"
import * as Text from "./Text.ts"
import * as Timestamp from "./Timestamp.ts"

/**
 * Whom an event names for certain; without an address once that recipient was forgotten.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Named = Schema.Struct({ address: Schema.OptionFromNullOr(Recipient.Recipient) })

/**
 * Whom an event names for certain.
 *
 * @category models
 * @since 0.2.0
 */
export type Named = typeof Named.Type

/**
 * An event with whom it names for certain; its encoded form is JSON.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Report = Schema.Struct({ event: Event.Event, named: Schema.OptionFromNullOr(Named) })

/**
 * An event with whom it names for certain.
 *
 * @category models
 * @since 0.2.0
 */
export type Report = typeof Report.Type

/**
 * A report that is to be appended, with what is kept beside the ledger.
 *
 * @category models
 * @since 0.2.0
 */
export interface Given extends Report {
  /** What the provider says in words. */
  readonly details: Option.Option<Details.Details>
  /** Whom it names, for certain or not. */
  readonly address: Option.Option<Recipient.Recipient>
}

/**
 * The details that are kept of an event, as they are stored beside the ledger; its encoded form is JSON.
 *
 * @category schemas
 * @since 0.2.0
 */
export const KeptDetails = Schema.Struct({
  tenantId: Tenant.TenantId,
  eventId: Event.EventId,
  /** When they were stored, by our clock: later than the event where a duplicate brought them in. */
  insertedAt: Timestamp.Timestamp,
  details: Details.Details,
  /** Whom an event that met no delivery names, for certain or not: with that recipient they are erased. */
  recipient: Schema.OptionFromNullOr(Recipient.Recipient)
})

/**
 * The details that are kept of an event.
 *
 * @category models
 * @since 0.2.0
 */
export type KeptDetails = typeof KeptDetails.Type

/**
 * The details that a report leaves with the stored event of its key; none where the recipient of the event is forgotten.
 *
 * `delivery` is the one that the stored event is about.
 *
 * @category decisions
 * @since 0.2.0
 */
export const keep = (
  { address, details }: Pick<Given, "details" | "address">,
  { event, named }: Report,
  delivery: Option.Option<Delivery.Delivery>,
  insertedAt: Timestamp.Timestamp
): Option.Option<KeptDetails> =>
  Option.exists(delivery, ({ recipient }) => Option.isNone(recipient)) ||
    Option.exists(named, ({ address }) => Option.isNone(address))
    ? Option.none()
    : Option.map(details, (details) => ({
      tenantId: event.tenantId,
      eventId: event.id,
      insertedAt,
      details,
      recipient: Option.isNone(event.deliveryId) ? address : Option.none()
    }))

/**
 * The report that an event to be appended makes, which has met no delivery yet.
 *
 * @category constructors
 * @since 0.2.0
 */
export const fromNew = (
  given: Event.NewEvent,
  entry: {
    readonly id: Event.EventId
    readonly tenantId: Tenant.TenantId
    readonly insertedAt: Timestamp.Timestamp
  }
): Given => ({
  event: Event.fromNew(given, { ...entry, deliveryId: Option.none() }),
  named: Option.map(Event.certainRecipient(given), (address) => ({ address: Option.some(address) })),
  details: given.details,
  address: Option.map(given.recipient, ({ address }) => address)
})

/**
 * The report of an event that Waybill writes itself, which names nobody.
 *
 * @category constructors
 * @since 0.2.0
 */
export const ofOwn = (event: Event.Event): Report => ({ event, named: Option.none() })

/**
 * A report that meets its delivery before it is appended: the delivery alone says from then on whom it is about.
 *
 * @category constructors
 * @since 0.2.0
 */
export const bind = ({ event }: Report, deliveryId: Event.DeliveryId): Report => ({
  event: Event.bind(event, deliveryId),
  named: Option.none()
})

/**
 * Tells whether a report names a recipient for certain.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isNaming = ({ named }: Pick<Report, "named">, recipient: Recipient.Recipient): boolean =>
  Option.isSome(named) && Option.isSome(named.value.address) && Recipient.isSame(named.value.address.value, recipient)

/**
 * A report whose recipient is forgotten: it still names somebody, and meets no delivery any longer.
 *
 * @category folding
 * @since 0.2.0
 */
export const forget = ({ event }: Report): Report => ({ event, named: Option.some({ address: Option.none() }) })

/** How a delivery compares with whom an event names for certain; a forgotten recipient is another one. */
const candidate = (delivery: Delivery.Delivery, named: Option.Option<Named>): Correlation.Candidate => {
  const deliveryId = delivery.id
  if (Option.isNone(named)) return { deliveryId, recipient: "unnamed" }
  const isSame = Option.isSome(named.value.address) && Delivery.isTo(delivery, named.value.address.value)
  return { deliveryId, recipient: isSame ? "same" : "other" }
}

/**
 * Decides which of the deliveries that have its key a report is about.
 *
 * @category decisions
 * @since 0.2.0
 */
export const meet = (
  { named }: Pick<Report, "named">,
  deliveries: ReadonlyArray<Delivery.Delivery>
): Correlation.Meeting => Correlation.decide(deliveries.map((delivery) => candidate(delivery, named)))

/**
 * The orphans of a key that meet one of the deliveries once these are all that have the key, in the order of their ids.
 *
 * @category decisions
 * @since 0.2.0
 */
export const waitingFor = (
  waiting: ReadonlyArray<Report>,
  deliveries: ReadonlyArray<Delivery.Delivery>,
  deliveryId: Event.DeliveryId
): ReadonlyArray<Event.Event> =>
  waiting
    .filter((report) => {
      const meeting = meet(report, deliveries)
      return meeting._tag === "Met" && meeting.deliveryId === deliveryId
    })
    .map(({ event }) => event)
    .toSorted((left, right) => Text.compare(left.id, right.id))

/** Whether two events name the same, where the stored one may be forgotten. */
const isSameNamed = (stored: Option.Option<Named>, report: Option.Option<Named>): boolean => {
  if (Option.isSome(stored) && Option.isNone(stored.value.address)) return true
  if (Option.isNone(stored) || Option.isNone(report)) return Option.isNone(stored) && Option.isNone(report)
  const { address } = stored.value
  return Option.isSome(address) && isNaming({ named: report }, address.value)
}

/**
 * Tells whether a report may be about the recipient of the stored event of its key, as `Event.saysTheSame` asks; `delivery`
 * is the one that the stored event met before it was appended.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isSameRecipient = (
  stored: Report,
  delivery: Option.Option<Delivery.Delivery>,
  report: Pick<Report, "named">
): boolean => {
  if (Option.isNone(stored.event.deliveryId)) return isSameNamed(stored.named, report.named)
  const address = Option.flatMap(delivery, ({ recipient }) => recipient)
  return Option.isNone(report.named) || isSameNamed(Option.some({ address }), report.named)
}

/**
 * Orders the events of one transaction in the feed, by their keys.
 *
 * @category ordering
 * @since 0.2.0
 */
export const compareInFeed = (left: Report, right: Report): number =>
  Text.compare(left.event.idempotencyKey, right.event.idempotencyKey)

/**
 * Whom a stored report is about, and the stream of its delivery: the recipient of the delivery that it was appended or linked
 * to, or else whom it names for certain.
 *
 * @category getters
 * @since 0.2.0
 */
export const about = (
  { named }: Pick<Report, "named">,
  deliveryId: Option.Option<Event.DeliveryId>,
  find: (deliveryId: Event.DeliveryId) => Option.Option<Delivery.Delivery>
): { readonly recipient: Option.Option<Recipient.Recipient>; readonly stream: Option.Option<Delivery.Stream> } => {
  if (Option.isNone(deliveryId)) {
    return { recipient: Option.flatMap(named, ({ address }) => address), stream: Option.none() }
  }
  const delivery = find(deliveryId.value)
  return {
    recipient: Option.flatMap(delivery, ({ recipient }) => recipient),
    stream: Option.map(delivery, ({ stream }) => stream)
  }
}
