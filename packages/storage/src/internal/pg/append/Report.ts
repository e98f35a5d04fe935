/** Holds an append while it is in hand: its reports, what is known of them, and what becomes of each. */
import { Correlation, type Details, Event, Recipient, type Tenant, type Timestamp } from "@waybill/core"
import { Option } from "effect"

/** One of the events of an append, as the orphan it is until it meets a delivery. */
export interface Report {
  readonly event: Event.Event
  readonly correlation: Option.Option<Correlation.Key>
  /** The canonical address that it names for certain. */
  readonly recipient: string | null
  /** The canonical address that it names, for certain or not. */
  readonly address: string | null
  /** What the provider says in words. */
  readonly details: Option.Option<Details.Details>
}

/** The events of one append, in their order. */
export type Call = ReadonlyArray<Report>

/** The report that an event to be appended makes. */
export const ofNew = (
  given: Event.NewEvent,
  id: Event.EventId,
  tenantId: Tenant.TenantId,
  now: Timestamp.Timestamp
): Report => {
  const event = Event.fromNew(given, { id, tenantId, deliveryId: Option.none(), insertedAt: now })
  const recipient = Event.certainRecipient(given)
  return {
    event,
    correlation: Correlation.ofEvent(event),
    recipient: Option.isSome(recipient) ? Recipient.canonical(recipient.value) : null,
    address: Option.isSome(given.recipient) ? Recipient.canonical(given.recipient.value.address) : null,
    details: given.details
  }
}

/** Whether a report has met no delivery. */
export const isUnbound = ({ event }: Report): boolean => Option.isNone(event.deliveryId)

/** What tells apart the reports of a batch that are compared with a stored event. */
export const subjectOf = ({ event, recipient }: Report): string => `${event.idempotencyKey} ${recipient ?? ""}`

/** What is stored under the key of a report, the delivery it is about as of now, and whether the report names its recipient. */
export interface Stored {
  readonly event: Event.Event
  readonly deliveryId: Option.Option<Event.DeliveryId>
  readonly isSameRecipient: boolean
}

/** The inserted events of some calls, by their ids, each with the delivery it is bound to. */
export type Inserted = ReadonlyMap<Event.EventId, Option.Option<Event.DeliveryId>>

/** A delivery that an inserted event moves. */
export interface Fact {
  readonly event: Event.Event
  readonly deliveryId: Event.DeliveryId
}

/** What the inserted events of each call move. */
export const factsOf = (calls: ReadonlyArray<Call>, inserted: Inserted): ReadonlyArray<ReadonlyArray<Fact>> =>
  calls.map((reports) => {
    const facts: Array<Fact> = []
    for (const { event } of reports) {
      const deliveryId = inserted.get(event.id)
      if (deliveryId !== undefined && Option.isSome(deliveryId)) facts.push({ event, deliveryId: deliveryId.value })
    }
    return facts
  })
