/**
 * Models the immutable facts of the ledger and the input from which they are appended.
 *
 * @since 0.1.0
 */
import { DateTime, Effect, Option, Schema } from "effect"
import * as Details from "./Details.ts"
import * as EventType from "./EventType.ts"
import * as IdempotencyKey from "./IdempotencyKey.ts"
import * as JsonBag from "./JsonBag.ts"
import * as Provider from "./Provider.ts"
import * as Recipient from "./Recipient.ts"
import * as Tenant from "./Tenant.ts"
import * as Text from "./Text.ts"
import * as Timestamp from "./Timestamp.ts"

const uuid = Schema.String.check(
  Schema.isPattern(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/, {
    message: "must be a UUID in lower case"
  })
)

/**
 * An event's id, a UUIDv7 that the ledger gives.
 *
 * @category schemas
 * @since 0.1.0
 */
export const EventId = uuid.pipe(Schema.brand("EventId"))

/**
 * An event's id.
 *
 * @category models
 * @since 0.1.0
 */
export type EventId = typeof EventId.Type

/**
 * A delivery's id, a lower-case UUID, unique within its tenant.
 *
 * @category schemas
 * @since 0.1.0
 */
export const DeliveryId = uuid.pipe(Schema.brand("DeliveryId"))

/**
 * A delivery's id.
 *
 * @category models
 * @since 0.1.0
 */
export type DeliveryId = typeof DeliveryId.Type

/**
 * Why a message was rejected, bounced or failed: Anymail's reject reasons.
 *
 * @category schemas
 * @since 0.1.0
 */
export const RejectReason = Schema.Literals([
  "invalid",
  "bounced",
  "timed_out",
  "blocked",
  "spam",
  "unsubscribed",
  "other"
])

/**
 * Why a message was rejected, bounced or failed.
 *
 * @category models
 * @since 0.1.0
 */
export type RejectReason = typeof RejectReason.Type

/**
 * Whether a bounce is final (`hard`), may pass (`soft`), or the provider does not say (`undetermined`): then it is final for its
 * delivery, and suppresses its recipient only as a soft one does.
 *
 * @category schemas
 * @since 0.1.0
 */
export const BounceClass = Schema.Literals(["hard", "soft", "undetermined"])

/**
 * Whether a bounce is final.
 *
 * @category models
 * @since 0.1.0
 */
export type BounceClass = typeof BounceClass.Type

const optional = <S extends Schema.Constraint>(schema: S) =>
  Schema.OptionFromNullOr(schema).pipe(Schema.withConstructorDefault(Effect.succeed(Option.none())))

const bag = JsonBag.JsonBag.pipe(Schema.withConstructorDefault(Effect.succeed(JsonBag.empty)))

/** A provider's own id of an event: bounded text. */
const ProviderEventId = Text.bounded(512)

const TraceId = Text.bounded(128)

/**
 * One immutable row of the ledger; its encoded form is JSON.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Event = Schema.Struct({
  id: EventId,
  tenantId: Tenant.TenantId,
  /** The delivery it was appended to; absent for an orphan, which stays so when a later event links it. */
  deliveryId: Schema.OptionFromNullOr(DeliveryId),
  type: EventType.EventType,
  /** When it happened, by the provider's clock; by ours for our own events. */
  occurredAt: Timestamp.Timestamp,
  /** When it was appended, by our clock. */
  insertedAt: Timestamp.Timestamp,
  /** Who reported it; absent for the events that `record`, `dispatch` and a link write. */
  provider: Schema.OptionFromNullOr(Provider.Provider),
  /** The canonical id of the message it is about. */
  providerMessageId: Schema.OptionFromNullOr(Provider.MessageId),
  providerEventId: Schema.OptionFromNullOr(ProviderEventId),
  /** Our own delivery id, where the provider echoed it. */
  echoedDeliveryId: Schema.OptionFromNullOr(DeliveryId),
  rejectReason: Schema.OptionFromNullOr(RejectReason),
  bounceClass: Schema.OptionFromNullOr(BounceClass),
  normalizedPayload: JsonBag.JsonBag,
  metadata: JsonBag.JsonBag,
  traceId: Schema.OptionFromNullOr(TraceId),
  /** Whether it was an orphan when it was appended. */
  needsReconciliation: Schema.Boolean,
  /** The orphan that a `reconciled` event links. */
  sourceEventId: Schema.OptionFromNullOr(EventId),
  idempotencyKey: IdempotencyKey.IdempotencyKey
})

/**
 * One immutable row of the ledger.
 *
 * @category models
 * @since 0.1.0
 */
export type Event = typeof Event.Type

/**
 * Whom an event is about, as the provider names it.
 *
 * @category schemas
 * @since 0.1.0
 */
export const NamedRecipient = Schema.Struct({
  address: Recipient.Recipient,
  /** Whether it is this recipient for certain, or just one of those the message went to. */
  certain: Schema.Boolean
})

/**
 * Whom an event is about, as the provider names it.
 *
 * @category models
 * @since 0.1.0
 */
export type NamedRecipient = typeof NamedRecipient.Type

/**
 * A provider's report, to be appended; what is left out is absent.
 *
 * @category schemas
 * @since 0.1.0
 */
export const NewEvent = Schema.Struct({
  type: EventType.ReportedType,
  occurredAt: Timestamp.Timestamp,
  provider: Provider.Provider,
  providerMessageId: optional(Provider.MessageId),
  providerEventId: optional(ProviderEventId),
  /** Our own delivery id, where the provider echoed it: it then decides alone which delivery is meant. */
  echoedDeliveryId: optional(DeliveryId),
  recipient: optional(NamedRecipient),
  rejectReason: optional(RejectReason),
  bounceClass: optional(BounceClass),
  normalizedPayload: bag,
  metadata: bag,
  traceId: optional(TraceId),
  /** What the provider says in words; kept beside the ledger, never in it. */
  details: optional(Details.Details),
  /** What the event is stored once under. It must tell apart what happened, and to which recipient of a message. */
  idempotencyKey: IdempotencyKey.Chosen
})

/**
 * A provider's report, to be appended.
 *
 * @category models
 * @since 0.1.0
 */
export type NewEvent = typeof NewEvent.Type

/** How far a provider's clock may be ahead of ours. */
/**
 * A report as it is taken when it is received: what is said to have happened more than a day later happened as it was received,
 * and what was said is kept in the payload, as `reportedAt`.
 *
 * Otherwise a wrong clock would be the delivery's latest event for ever.
 *
 * @category constructors
 * @since 0.2.0
 */
export const received = (event: NewEvent, at: Timestamp.Timestamp): NewEvent =>
  !Timestamp.isAhead(event.occurredAt, at) ? event : {
    ...event,
    occurredAt: at,
    normalizedPayload: { ...event.normalizedPayload, reportedAt: DateTime.formatIso(event.occurredAt) }
  }

/** When an event happened as its report says, whatever it was taken for. */
const reportedAt = ({ normalizedPayload, occurredAt }: Pick<Event, "normalizedPayload" | "occurredAt">): string => {
  const said = normalizedPayload["reportedAt"]
  return typeof said === "string" ? said : DateTime.formatIso(occurredAt)
}

/**
 * The recipient by which a report tells its delivery from others: the one it names for certain. None where it names none, or
 * several that the message went to, and none where it echoes our own delivery id, which decides alone: the address may then be
 * where the recipient's mailbox forwards to.
 *
 * @category getters
 * @since 0.2.0
 */
export const certainRecipient = (
  { echoedDeliveryId, recipient }: Pick<NewEvent, "echoedDeliveryId" | "recipient">
): Option.Option<Recipient.Recipient> =>
  Option.isNone(echoedDeliveryId) && Option.isSome(recipient) && recipient.value.certain
    ? Option.some(recipient.value.address)
    : Option.none()

/**
 * Tells whether Waybill wrote the event itself; a provider's events rank above our own.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isOwn = (event: Pick<Event, "provider">): boolean => Option.isNone(event.provider)

/**
 * Where and when an event enters the ledger.
 *
 * @category models
 * @since 0.1.0
 */
export interface Entry {
  readonly id: EventId
  readonly tenantId: Tenant.TenantId
  readonly deliveryId: Option.Option<DeliveryId>
  readonly insertedAt: Timestamp.Timestamp
}

/**
 * The row that a provider's report becomes; without a delivery it is an orphan.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromNew = (event: NewEvent, entry: Entry): Event => ({
  id: entry.id,
  tenantId: entry.tenantId,
  deliveryId: entry.deliveryId,
  type: event.type,
  occurredAt: event.occurredAt,
  insertedAt: entry.insertedAt,
  provider: Option.some(event.provider),
  providerMessageId: Option.flatMap(event.providerMessageId, (id) => Provider.canonicalMessageId(event.provider, id)),
  providerEventId: event.providerEventId,
  echoedDeliveryId: event.echoedDeliveryId,
  rejectReason: event.rejectReason,
  bounceClass: event.bounceClass,
  normalizedPayload: event.normalizedPayload,
  metadata: event.metadata,
  traceId: event.traceId,
  needsReconciliation: Option.isNone(entry.deliveryId),
  sourceEventId: Option.none(),
  idempotencyKey: event.idempotencyKey
})

/**
 * An event that meets its delivery before it is appended, so that it never was an orphan.
 *
 * @category constructors
 * @since 0.1.0
 */
export const bind = (event: Event, deliveryId: DeliveryId): Event => ({
  ...event,
  deliveryId: Option.some(deliveryId),
  needsReconciliation: false
})

/**
 * Tells whether a report says the same as the stored event of its key; payload, metadata and trace are not compared.
 *
 * Only a store can compare recipients, the ledger holding none. An orphan was about whom it named for certain, so that a
 * report of its key names the same or, like it, none. An event that met its delivery at once was about that delivery's
 * recipient, whether it named it or not, so that a report names that one or none. A forgotten recipient counts as the same.
 *
 * @category predicates
 * @since 0.1.0
 */
export const saysTheSame = (stored: Event, report: Event, isSameRecipient: boolean): boolean =>
  isSameRecipient &&
  stored.type === report.type &&
  reportedAt(stored) === reportedAt(report) &&
  Option.getOrNull(stored.provider) === Option.getOrNull(report.provider) &&
  Option.getOrNull(stored.providerMessageId) === Option.getOrNull(report.providerMessageId) &&
  Option.getOrNull(stored.providerEventId) === Option.getOrNull(report.providerEventId) &&
  Option.getOrNull(stored.echoedDeliveryId) === Option.getOrNull(report.echoedDeliveryId) &&
  Option.getOrNull(stored.rejectReason) === Option.getOrNull(report.rejectReason) &&
  Option.getOrNull(stored.bounceClass) === Option.getOrNull(report.bounceClass)

/**
 * Orders the events of one delivery: by when they happened, then in the order of a life, then by id.
 *
 * @category ordering
 * @since 0.1.0
 */
export const compare = (
  left: Pick<Event, "id" | "type" | "occurredAt">,
  right: Pick<Event, "id" | "type" | "occurredAt">
): number =>
  left.occurredAt.epochMilliseconds - right.occurredAt.epochMilliseconds ||
  EventType.impacts[left.type].rank - EventType.impacts[right.type].rank ||
  Text.compare(left.id, right.id)
