/**
 * Says what a delivery must be to be found, decides by what a search goes through deliveries, and compares each with it.
 *
 * @since 0.2.0
 */
import { DateTime, type Duration, Effect, Option, Schema } from "effect"
import * as Delivery from "./Delivery.ts"
import * as Event from "./Event.ts"
import * as EventType from "./EventType.ts"
import * as Handover from "./Handover.ts"
import * as IdempotencyKey from "./IdempotencyKey.ts"
import type * as Projection from "./Projection.ts"
import * as Provider from "./Provider.ts"
import * as Recipient from "./Recipient.ts"
import * as Text from "./Text.ts"
import * as Timestamp from "./Timestamp.ts"

const optional = <A, E>(schema: Schema.Codec<A, E>) =>
  Schema.OptionFromNullOr(schema).pipe(Schema.withConstructorDefault(Effect.succeed(Option.none())))

/**
 * What a delivery must be to be found: all that is named, and anything where nothing is.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Filter = Schema.Struct({
  /** The recipient, in any spelling. */
  recipient: optional(Recipient.Recipient),
  /** The domain of the recipient, in any spelling. */
  recipientDomain: optional(Text.bounded(255)),
  /** The provider's message id as anybody has it: with brackets, the host of a `Message-ID`, or a webhook's routing. */
  providerMessageId: optional(Text.bounded(1000)),
  deliveryId: optional(Event.DeliveryId),
  idempotencyKey: optional(IdempotencyKey.IdempotencyKey),
  mailable: optional(Text.bounded(255)),
  stream: optional(Delivery.Stream),
  provider: optional(Provider.Provider),
  status: optional(EventType.Status),
  /** The type of its last event. */
  lastEventType: optional(EventType.EventType),
  /** A type of event that occurred to it; with `happenedFrom` or `happenedTo`, then. */
  event: optional(EventType.EventType),
  /** Recorded at this instant or later. */
  recordedFrom: optional(Timestamp.Timestamp),
  /** Recorded before this instant. */
  recordedTo: optional(Timestamp.Timestamp),
  /** Something happened to it at this instant or later, before `happenedTo`. */
  happenedFrom: optional(Timestamp.Timestamp),
  /** Something happened to it before this instant, from `happenedFrom` on. */
  happenedTo: optional(Timestamp.Timestamp),
  /** Recorded so long ago or longer, and never dispatched, failed or suppressed. */
  stuckFor: optional(Schema.DurationFromMillis)
})

/**
 * What a delivery must be to be found.
 *
 * @category models
 * @since 0.2.0
 */
export type Filter = typeof Filter.Type

/**
 * What a search marks a delivery with: a type of event that is rare and occurred to it, or that something made it fail.
 *
 * @category models
 * @since 0.2.0
 */
export type Mark = EventType.EventType | "failure"

/**
 * The types of event by which a delivery is found through its marks: those that few deliveries have.
 *
 * @category constants
 * @since 0.2.0
 */
export const rareTypes: ReadonlyArray<EventType.EventType> = [
  "rejected",
  "failed",
  "bounced",
  "deferred",
  "autoresponded",
  "complained",
  "unsubscribed",
  "subscribed",
  "unknown",
  "suppressed"
]

const isRare = (type: EventType.EventType): boolean => rareTypes.includes(type)

/**
 * A fact of a delivery, as a search compares it.
 *
 * @category models
 * @since 0.2.0
 */
export type Fact = Pick<Projection.Fact, "type" | "occurredAt" | "bounceClass">

/**
 * The marks that an event sets.
 *
 * @category getters
 * @since 0.2.0
 */
export const marksOf = ({ bounceClass, type }: Fact): ReadonlyArray<Mark> => [
  ...isRare(type) ? [type] : [],
  ...EventType.impact(type, Option.contains(bounceClass, "soft")).status === "failed" ? ["failure" as const] : []
]

/**
 * By what a search goes through deliveries, newest first; what else the filter asks for is compared with each.
 *
 * @category models
 * @since 0.2.0
 */
export type Path =
  | {
    readonly _tag:
      | "deliveryId"
      | "idempotencyKey"
      | "providerMessageId"
      | "recipient"
      | "stuckFor"
      | "recipientDomain"
      | "age"
  }
  | { readonly _tag: "mark"; readonly mark: Mark }

/**
 * The fields of a filter by which a search may go.
 *
 * @category constants
 * @since 0.2.0
 */
export const pathNames = [
  "deliveryId",
  "idempotencyKey",
  "providerMessageId",
  "recipient",
  "stuckFor",
  "recipientDomain"
] as const satisfies ReadonlyArray<Path["_tag"] & keyof Filter>

/** The mark that every delivery has which a filter finds by its events, its last event or its status. */
const markOf = ({ event, lastEventType, status }: Filter): Option.Option<Mark> => {
  if (Option.isSome(event) && isRare(event.value)) return event
  if (Option.isSome(lastEventType) && isRare(lastEventType.value)) return lastEventType
  if (Option.contains(status, "failed")) return Option.some("failure")
  return Option.contains(status, "suppressed") ? Option.some("suppressed") : Option.none()
}

/**
 * Decides by what a search goes: by what the fewest deliveries have.
 *
 * @category decisions
 * @since 0.2.0
 */
export const pathOf = (filter: Filter): Path => {
  const name = pathNames.find((name) => filter[name]._tag === "Some")
  if (name !== undefined && name !== "recipientDomain") return { _tag: name }
  const mark = markOf(filter)
  return Option.isSome(mark) ? { _tag: "mark", mark: mark.value } : { _tag: name ?? "age" }
}

/**
 * The canonical form of a domain in any spelling.
 *
 * @category getters
 * @since 0.2.0
 */
export const domainOf = (domain: string): string => Recipient.canonical(`x@${domain}`).slice(2)

/**
 * A delivery and its events, linked orphans among them.
 *
 * @category models
 * @since 0.2.0
 */
export interface Subject {
  readonly delivery: Delivery.Delivery
  readonly facts: ReadonlyArray<Fact>
}

/** Whether an instant is from one on and before another. */
const isWithin = (
  { epochMilliseconds }: Timestamp.Timestamp,
  from: Option.Option<Timestamp.Timestamp>,
  to: Option.Option<Timestamp.Timestamp>
): boolean =>
  !Option.exists(from, (first) => epochMilliseconds < first.epochMilliseconds) &&
  !Option.exists(to, (end) => epochMilliseconds >= end.epochMilliseconds)

/**
 * Tells whether an option names nothing, or something that holds.
 *
 * @category predicates
 * @since 0.2.0
 */
export const holds = <A>(named: Option.Option<A>, predicate: (value: A) => boolean): boolean =>
  Option.isNone(named) || predicate(named.value)

/**
 * The newest recording that counts as stuck.
 *
 * @category getters
 * @since 0.2.0
 */
export const stuckBefore = (stuckFor: Duration.Duration, now: Timestamp.Timestamp): DateTime.Utc =>
  DateTime.subtractDuration(now, stuckFor)

/**
 * Tells whether a delivery is among those that a search goes through.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isOn = (path: Path, filter: Filter, { delivery, facts }: Subject, now: Timestamp.Timestamp): boolean => {
  if (!isWithin(delivery.insertedAt, filter.recordedFrom, filter.recordedTo)) return false
  switch (path._tag) {
    case "age":
      return true
    case "deliveryId":
      return Option.contains(filter.deliveryId, delivery.id)
    case "idempotencyKey":
      return Option.getOrNull(filter.idempotencyKey) === Option.getOrNull(delivery.idempotencyKey)
    case "mark":
      return facts.some((fact) => marksOf(fact).includes(path.mark))
    case "providerMessageId":
      return holds(filter.providerMessageId, (raw) =>
        Option.isSome(delivery.providerMessageId) &&
        holds(filter.provider, (provider) => Option.contains(delivery.provider, provider)) &&
        Option.contains(
          Provider.canonicalMessageId(Option.getOrElse(delivery.provider, () => ""), raw),
          delivery.providerMessageId.value
        ))
    case "recipient":
      return holds(filter.recipient, (recipient) => Delivery.isTo(delivery, recipient))
    case "recipientDomain":
      return holds(filter.recipientDomain, (domain) => Option.contains(delivery.recipientDomain, domainOf(domain)))
  }
  return holds(
    filter.stuckFor,
    (stuckFor) =>
      Handover.isUnsent(delivery) &&
      delivery.insertedAt.epochMilliseconds <= stuckBefore(stuckFor, now).epochMilliseconds
  )
}

/**
 * Tells whether a filter asks for an event.
 *
 * @category predicates
 * @since 0.2.0
 */
export const asksForEvent = ({ event, happenedFrom, happenedTo }: Filter): boolean =>
  Option.isSome(event) || Option.isSome(happenedFrom) || Option.isSome(happenedTo)

/**
 * Tells whether a delivery is all that a filter names.
 *
 * @category predicates
 * @since 0.2.0
 */
export const matches = (filter: Filter, subject: Subject, now: Timestamp.Timestamp): boolean => {
  const { delivery, facts } = subject
  return pathNames.every((name) => filter[name]._tag === "None" || isOn({ _tag: name }, filter, subject, now)) &&
    holds(filter.mailable, (mailable) => delivery.mailable === mailable) &&
    holds(filter.stream, (stream) => delivery.stream === stream) &&
    holds(filter.provider, (provider) => Option.contains(delivery.provider, provider)) &&
    holds(filter.status, (status) => delivery.status === status) &&
    holds(filter.lastEventType, (type) => Option.contains(delivery.lastEventType, type)) &&
    (!asksForEvent(filter) ||
      facts.some((fact) =>
        holds(filter.event, (type) => fact.type === type) &&
        isWithin(fact.occurredAt, filter.happenedFrom, filter.happenedTo)
      ))
}
