/**
 * Models an orphan that waits for its delivery, and explains why it waits.
 *
 * @since 0.2.0
 */
import { Duration, Option, Result } from "effect"
import * as Correlation from "./Correlation.ts"
import type * as Event from "./Event.ts"
import type * as EventType from "./EventType.ts"
import { DeliveryNotFound, MalformedPayload } from "./LedgerError.ts"
import type * as Tenant from "./Tenant.ts"
import * as Text from "./Text.ts"
import type * as Timestamp from "./Timestamp.ts"

/**
 * How the link of an orphan failed on its own, so that the orphan was set aside.
 *
 * @category models
 * @since 0.2.0
 */
export interface Failure {
  /** How often it has failed. */
  readonly attempts: number
  /** The kind of what went wrong last. */
  readonly reason: string
  /** When it may be tried again; absent where it was released. */
  readonly nextAttemptAt: Option.Option<Timestamp.Timestamp>
}

/**
 * A pending orphan.
 *
 * @category models
 * @since 0.2.0
 */
export interface Orphan {
  readonly event: Event.Event
  readonly failure: Option.Option<Failure>
}

/**
 * An orphan and the delivery that it meets.
 *
 * @category models
 * @since 0.2.0
 */
export interface Pair {
  readonly orphan: Event.Event
  readonly deliveryId: Event.DeliveryId
}

/**
 * Orders orphans: the one that was appended first, then by id.
 *
 * @category ordering
 * @since 0.2.0
 */
export const compare = (
  left: Pick<Event.Event, "id" | "insertedAt">,
  right: Pick<Event.Event, "id" | "insertedAt">
): number => left.insertedAt.epochMilliseconds - right.insertedAt.epochMilliseconds || Text.compare(left.id, right.id)

/**
 * Tells whether the event had no delivery when it was appended.
 *
 * @category predicates
 * @since 0.2.0
 */
export const wasOrphan = ({ needsReconciliation }: Pick<Event.Event, "needsReconciliation">): boolean =>
  needsReconciliation

/**
 * The delivery that an event is about as of now: the one it met before it was appended, else the one that a link gave to it.
 *
 * @category getters
 * @since 0.2.0
 */
export const deliveryOf = (
  { deliveryId }: Pick<Event.Event, "deliveryId">,
  linkedTo: Option.Option<Event.DeliveryId>
): Option.Option<Event.DeliveryId> => Option.orElse(deliveryId, () => linkedTo)

/**
 * Tells whether an event waits for its delivery: it met none before it was appended, no link gave it one, and nobody dismissed
 * it.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isPending = (
  { event, isDismissed, linkedTo }: Pick<State, "linkedTo" | "isDismissed"> & {
    readonly event: Pick<Event.Event, "needsReconciliation">
  }
): boolean => event.needsReconciliation && Option.isNone(linkedTo) && !isDismissed

/**
 * The delivery that an event is about, or that the pending event meets now.
 *
 * @category decisions
 * @since 0.2.0
 */
export const locate = (
  event: Event.Event,
  linkedTo: Option.Option<Event.DeliveryId>,
  meeting: Correlation.Meeting
): Result.Result<Event.DeliveryId, DeliveryNotFound | MalformedPayload> => {
  const { id, tenantId } = event
  const known = deliveryOf(event, linkedTo)
  if (Option.isSome(known)) return Result.succeed(known.value)
  if (Option.isNone(Correlation.ofEvent(event))) return Result.fail(new MalformedPayload({ tenantId, eventId: id }))
  return meeting._tag === "Met" ? Result.succeed(meeting.deliveryId) : Result.fail(new DeliveryNotFound({ tenantId }))
}

/**
 * The key on which a delivery of another tenant would have met an event; none where the event echoed a delivery id, which is
 * its tenant's own.
 *
 * @category getters
 * @since 0.2.0
 */
export const keyElsewhere = (
  event: Pick<Event.Event, "echoedDeliveryId" | "provider" | "providerMessageId">
): Option.Option<Correlation.Key> => Option.isNone(event.echoedDeliveryId) ? Correlation.ofEvent(event) : Option.none()

/**
 * Tells whether a delivery of another tenant is among those that have the key `keyElsewhere` of an event.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isElsewhere = (
  { tenantId }: Pick<Event.Event, "tenantId">,
  deliveries: ReadonlyArray<Pick<Event.Event, "tenantId">>
): boolean => deliveries.some((delivery) => delivery.tenantId !== tenantId)

/**
 * How long an orphan rests whose delivery another transaction held: one second.
 *
 * @category constants
 * @since 0.2.0
 */
export const heldRest: Duration.Duration = Duration.seconds(1)

/**
 * Why an event waits, or that it does not.
 *
 * `Linkable` waits for a sweep. `SetAside` failed on its own and is tried again at `nextAttemptAt`.
 *
 * @category models
 * @since 0.2.0
 */
export type Explanation =
  | { readonly _tag: "NotAnOrphan"; readonly deliveryId: Event.DeliveryId }
  | { readonly _tag: "Linked"; readonly deliveryId: Event.DeliveryId }
  | { readonly _tag: "Dismissed" }
  | { readonly _tag: "Malformed" }
  | { readonly _tag: "NoDelivery"; readonly correlation: Correlation.Key; readonly otherTenant: boolean }
  | { readonly _tag: "OtherRecipient"; readonly correlation: Correlation.Key }
  | { readonly _tag: "Ambiguous"; readonly correlation: Correlation.Key }
  | { readonly _tag: "Linkable"; readonly deliveryId: Event.DeliveryId }
  | {
    readonly _tag: "SetAside"
    readonly deliveryId: Event.DeliveryId
    readonly attempts: number
    readonly nextAttemptAt: Timestamp.Timestamp
    readonly reason: string
  }

/**
 * What a store knows of an event and of its place in the queue of orphans.
 *
 * @category models
 * @since 0.2.0
 */
export interface State {
  readonly event: Pick<Event.Event, "deliveryId" | "echoedDeliveryId" | "provider" | "providerMessageId">
  /** The delivery that a link gave to it. */
  readonly linkedTo: Option.Option<Event.DeliveryId>
  readonly isDismissed: boolean
  /** What `Correlation.decide` says of the deliveries that have its key now. */
  readonly meeting: Correlation.Meeting
  /** Whether a delivery of another tenant has its message id. */
  readonly otherTenant: boolean
  readonly failure: Option.Option<Failure>
}

/**
 * Explains why an event waits.
 *
 * @category decisions
 * @since 0.2.0
 */
export const explain = ({ event, failure, isDismissed, linkedTo, meeting, otherTenant }: State): Explanation => {
  if (Option.isSome(event.deliveryId)) return { _tag: "NotAnOrphan", deliveryId: event.deliveryId.value }
  if (Option.isSome(linkedTo)) return { _tag: "Linked", deliveryId: linkedTo.value }
  if (isDismissed) return { _tag: "Dismissed" }
  const key = Correlation.ofEvent(event)
  if (Option.isNone(key)) return { _tag: "Malformed" }
  const correlation = key.value
  if (meeting._tag === "NoDelivery") return { _tag: "NoDelivery", correlation, otherTenant }
  if (meeting._tag !== "Met") return { _tag: meeting._tag, correlation }
  const { deliveryId } = meeting
  if (Option.isNone(failure) || Option.isNone(failure.value.nextAttemptAt)) return { _tag: "Linkable", deliveryId }
  const { attempts, nextAttemptAt, reason } = failure.value
  return { _tag: "SetAside", deliveryId, attempts, nextAttemptAt: nextAttemptAt.value, reason }
}

/**
 * An orphan that found its delivery.
 *
 * @category models
 * @since 0.2.0
 */
export interface Link {
  readonly tenantId: Tenant.TenantId
  readonly deliveryId: Event.DeliveryId
  /** The orphan. */
  readonly eventId: Event.EventId
  readonly type: EventType.EventType
  /** When the orphan was appended. */
  readonly insertedAt: Timestamp.Timestamp
}

/**
 * The link of an orphan to a delivery.
 *
 * @category constructors
 * @since 0.2.0
 */
export const linkOf = (
  orphan: Pick<Event.Event, "id" | "tenantId" | "type" | "insertedAt">,
  deliveryId: Event.DeliveryId
): Link => ({
  tenantId: orphan.tenantId,
  deliveryId,
  eventId: orphan.id,
  type: orphan.type,
  insertedAt: orphan.insertedAt
})
