/**
 * Models a delivery, one row per (message, recipient, provider), and decides what the commands on it mean.
 *
 * @since 0.1.0
 */
import { Effect, Option, Result, Schema } from "effect"
import * as Correlation from "./Correlation.ts"
import * as Event from "./Event.ts"
import * as IdempotencyKey from "./IdempotencyKey.ts"
import * as JsonBag from "./JsonBag.ts"
import { DeliveryConflict } from "./LedgerError.ts"
import * as Projection from "./Projection.ts"
import * as Provider from "./Provider.ts"
import * as Recipient from "./Recipient.ts"
import * as Tenant from "./Tenant.ts"
import * as Text from "./Text.ts"
import * as Timestamp from "./Timestamp.ts"

/**
 * The kind of mail a delivery belongs to.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Stream = Schema.Literals(["transactional", "operational", "bulk"])

/**
 * The kind of mail a delivery belongs to.
 *
 * @category models
 * @since 0.1.0
 */
export type Stream = typeof Stream.Type

/** The name of the template or class of the message: bounded text. */
const Mailable = Text.bounded(255)

/**
 * A delivery: facts that never change, and the projection of its events; its encoded form is JSON.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Delivery = Schema.Struct({
  id: Event.DeliveryId,
  tenantId: Tenant.TenantId,
  mailable: Mailable,
  stream: Stream,
  /** The address as it was given; absent once forgotten. */
  recipient: Schema.OptionFromNullOr(Recipient.Recipient),
  /** The lower-cased domain of the address; absent once forgotten. */
  recipientDomain: Schema.OptionFromNullOr(Schema.String),
  provider: Schema.OptionFromNullOr(Provider.Provider),
  providerMessageId: Schema.OptionFromNullOr(Provider.MessageId),
  ...Projection.fields,
  metadata: JsonBag.JsonBag,
  /** Starts at 1 and rises by one with each change. */
  lockVersion: Schema.Int,
  idempotencyKey: Schema.OptionFromNullOr(IdempotencyKey.IdempotencyKey),
  insertedAt: Timestamp.Timestamp,
  updatedAt: Timestamp.Timestamp
})

/**
 * A delivery: facts that never change, and the projection of its events.
 *
 * @category models
 * @since 0.1.0
 */
export type Delivery = typeof Delivery.Type

/**
 * A delivery to be recorded; without an id the ledger gives a UUIDv7.
 *
 * @category schemas
 * @since 0.1.0
 */
export const NewDelivery = Schema.Struct({
  id: Schema.OptionFromNullOr(Event.DeliveryId).pipe(Schema.withConstructorDefault(Effect.succeed(Option.none()))),
  tenantId: Tenant.TenantId.pipe(Schema.withConstructorDefault(Effect.succeed(Tenant.defaultTenantId))),
  recipient: Recipient.Recipient,
  mailable: Mailable,
  stream: Stream,
  metadata: JsonBag.JsonBag.pipe(Schema.withConstructorDefault(Effect.succeed(JsonBag.empty))),
  /** Recording again under the same key gives the delivery that is there. */
  idempotencyKey: Schema.OptionFromNullOr(IdempotencyKey.IdempotencyKey).pipe(
    Schema.withConstructorDefault(Effect.succeed(Option.none()))
  ),
  /** Whether it is to be sent although its recipient is suppressed, which its `queued` event then notes. */
  ignoreSuppression: Schema.Boolean.pipe(Schema.withConstructorDefault(Effect.succeed(false)))
})

/**
 * A delivery to be recorded.
 *
 * @category models
 * @since 0.1.0
 */
export type NewDelivery = typeof NewDelivery.Type

/**
 * The row that `record` inserts, in status queued and with `queued` as its last event.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromNew = (delivery: NewDelivery, id: Event.DeliveryId, queued: Event.Event): Delivery => ({
  id,
  tenantId: delivery.tenantId,
  mailable: delivery.mailable,
  stream: delivery.stream,
  recipient: Option.some(delivery.recipient),
  recipientDomain: Option.some(Recipient.domain(delivery.recipient)),
  provider: Option.none(),
  providerMessageId: Option.none(),
  ...Projection.ofEvent(queued),
  metadata: delivery.metadata,
  lockVersion: 1,
  idempotencyKey: delivery.idempotencyKey,
  insertedAt: queued.insertedAt,
  updatedAt: queued.insertedAt
})

/**
 * Tells whether recording again asks for the delivery that is there: same key, recipient, mailable and stream, and the
 * same id where it names one. A forgotten recipient counts as the same.
 *
 * @category decisions
 * @since 0.1.0
 */
export const isSameRecord = (stored: Delivery, again: NewDelivery): boolean =>
  Option.getOrNull(stored.idempotencyKey) === Option.getOrNull(again.idempotencyKey) &&
  (Option.isNone(again.id) || again.id.value === stored.id) &&
  (Option.isNone(stored.recipient) || Recipient.isSame(stored.recipient.value, again.recipient)) &&
  stored.mailable === again.mailable &&
  stored.stream === again.stream

/**
 * Checks that recording again asks for the delivery that stands under its key or id.
 *
 * @category decisions
 * @since 0.2.0
 */
export const checkRecord = (stored: Delivery, again: NewDelivery): Result.Result<Delivery, DeliveryConflict> =>
  isSameRecord(stored, again)
    ? Result.succeed(stored)
    : Result.fail(new DeliveryConflict({ tenantId: again.tenantId, storedDeliveryId: stored.id }))

/**
 * The keys on which events meet a delivery: its id, and its message id where it has one.
 *
 * @category getters
 * @since 0.2.0
 */
export const keys = (
  { id, provider, providerMessageId }: Pick<Delivery, "id" | "provider" | "providerMessageId">
): ReadonlyArray<Correlation.Key> => [
  Correlation.ofDelivery(id),
  ...Option.toArray(Option.zipWith(provider, providerMessageId, Correlation.ofMessage))
]

/**
 * Tells whether a delivery is to a recipient; one whose recipient is forgotten is to nobody.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isTo = ({ recipient }: Pick<Delivery, "recipient">, address: Recipient.Recipient): boolean =>
  Option.isSome(recipient) && Recipient.isSame(recipient.value, address)

/**
 * Tells whether the message id of a delivery is taken: another of the deliveries that have it is to the same recipient.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isTaken = (
  { id, recipient }: Pick<Delivery, "id" | "recipient">,
  sharing: ReadonlyArray<Pick<Delivery, "id" | "recipient">>
): boolean => Option.isSome(recipient) && sharing.some((other) => other.id !== id && isTo(other, recipient.value))

/**
 * Orders the deliveries of a tenant, by their ids.
 *
 * @category ordering
 * @since 0.2.0
 */
export const compare = (left: Pick<Delivery, "id">, right: Pick<Delivery, "id">): number =>
  Text.compare(left.id, right.id)

/**
 * The deliveries of one page, by their ids, after one of them where it is named.
 *
 * @category getters
 * @since 0.2.0
 */
export const pageOf = (
  deliveries: ReadonlyArray<Delivery>,
  after: Option.Option<Event.DeliveryId>,
  limit: number
): ReadonlyArray<Delivery> =>
  deliveries
    .filter(({ id }) => Option.isNone(after) || Text.compare(id, after.value) > 0)
    .toSorted(compare)
    .slice(0, limit)

/**
 * A delivery was accepted by a provider, under a message id as the send call gave it.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Dispatch = Schema.Struct({
  tenantId: Tenant.TenantId.pipe(Schema.withConstructorDefault(Effect.succeed(Tenant.defaultTenantId))),
  deliveryId: Event.DeliveryId,
  provider: Provider.Provider,
  providerMessageId: Text.bounded(1000),
  /** The `lockVersion` the caller has seen; with another one the command fails with `StaleDelivery`. */
  expectedVersion: Schema.OptionFromNullOr(Schema.Int).pipe(
    Schema.withConstructorDefault(Effect.succeed(Option.none()))
  )
})

/**
 * A delivery was accepted by a provider.
 *
 * @category models
 * @since 0.1.0
 */
export type Dispatch = typeof Dispatch.Type

/** A version that a command has seen. */
const expectedVersion = Schema.OptionFromNullOr(Schema.Int).pipe(
  Schema.withConstructorDefault(Effect.succeed(Option.none()))
)

/** A sentence of the app, of which the ledger keeps what `Text.withoutAddresses` leaves. */
const sentence = Schema.OptionFromNullOr(Schema.String).pipe(
  Schema.withConstructorDefault(Effect.succeed(Option.none()))
)

/**
 * The longest sentence about a failure or a suppression that the ledger keeps; what is longer is cut.
 *
 * @category constants
 * @since 0.2.0
 */
export const maxSentence = 500

/**
 * An attempt to send a delivery failed.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Fail = Schema.Struct({
  tenantId: Tenant.TenantId.pipe(Schema.withConstructorDefault(Effect.succeed(Tenant.defaultTenantId))),
  deliveryId: Event.DeliveryId,
  error: Schema.Struct({
    /** A short word for what happened, by which failures can be counted. */
    code: Schema.String.check(
      Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, {
        message: "must be 1 to 64 letters, digits and any of _ . -, the first a letter or digit"
      })
    ),
    /** A sentence about it; addresses and URLs are taken out, and what is longer than `maxSentence` is cut. */
    message: sentence
  }),
  /** Whether the delivery is given up; else another attempt follows. */
  final: Schema.Boolean,
  /** The number of the attempt, which is noted once; without one it is the next, so that each call notes an attempt. */
  attempt: Schema.OptionFromNullOr(
    Schema.Int.check(
      Schema.isBetween({ minimum: 1, maximum: 1_000_000 }, { message: "must be a whole number from 1 to 1000000" })
    )
  ).pipe(Schema.withConstructorDefault(Effect.succeed(Option.none()))),
  /** The `lockVersion` the caller has seen; with another one the command fails with `StaleDelivery`. */
  expectedVersion
})

/**
 * An attempt to send a delivery failed.
 *
 * @category models
 * @since 0.2.0
 */
export type Fail = typeof Fail.Type

/**
 * A delivery was not sent on purpose.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Suppress = Schema.Struct({
  tenantId: Tenant.TenantId.pipe(Schema.withConstructorDefault(Effect.succeed(Tenant.defaultTenantId))),
  deliveryId: Event.DeliveryId,
  /** A sentence that says why; addresses and URLs are taken out, and what is longer than `maxSentence` is cut. */
  because: sentence,
  /** The `lockVersion` the caller has seen; with another one the command fails with `StaleDelivery`. */
  expectedVersion
})

/**
 * A delivery was not sent on purpose.
 *
 * @category models
 * @since 0.2.0
 */
export type Suppress = typeof Suppress.Type

/**
 * A delivery after some more of its events: a new version, or the very same value where they change nothing.
 *
 * @category folding
 * @since 0.1.0
 */
export const evolve = (delivery: Delivery, facts: Iterable<Projection.Fact>, now: Timestamp.Timestamp): Delivery => {
  const projection = Projection.evolve(delivery, facts)
  return Projection.isSame(delivery, projection)
    ? delivery
    : { ...delivery, ...projection, lockVersion: delivery.lockVersion + 1, updatedAt: now }
}

/**
 * A delivery whose projection is the fold of its events again: the next version.
 *
 * @category folding
 * @since 0.2.0
 */
export const refold = (delivery: Delivery, facts: Iterable<Projection.Fact>, now: Timestamp.Timestamp): Delivery => ({
  ...delivery,
  ...Projection.fold(facts),
  lockVersion: delivery.lockVersion + 1,
  updatedAt: now
})

/**
 * A delivery without its recipient: the next version.
 *
 * @category folding
 * @since 0.2.0
 */
export const forget = (delivery: Delivery, now: Timestamp.Timestamp): Delivery => ({
  ...delivery,
  recipient: Option.none(),
  recipientDomain: Option.none(),
  lockVersion: delivery.lockVersion + 1,
  updatedAt: now
})

/** An event of a delivery, and the link that tied it to it where it was an orphan. */
interface Entry {
  readonly event: Event.Event
  readonly linkedBy: Option.Option<Event.EventId>
}

/**
 * The part of a timeline that was known at an instant: what had been appended, and for an orphan linked, by then.
 *
 * @category folding
 * @since 0.1.0
 */
export const knownAt = <E extends Entry>(timeline: ReadonlyArray<E>, at: Timestamp.Timestamp): ReadonlyArray<E> => {
  const known = new Set(
    timeline.filter(({ event }) => event.insertedAt.epochMilliseconds <= at.epochMilliseconds).map(({ event }) =>
      event.id
    )
  )
  return timeline.filter(({ event, linkedBy }) => known.has(Option.getOrElse(linkedBy, () => event.id)))
}

/**
 * A delivery whose projection folds the given part of its timeline; its facts, such as the message id, are today's.
 *
 * @category folding
 * @since 0.1.0
 */
export const asOf = (delivery: Delivery, timeline: ReadonlyArray<Entry>): Delivery => ({
  ...delivery,
  ...Projection.fold(timeline.map(({ event }) => event))
})
