/**
 * Models an orphan that waits for its delivery, and explains why it waits.
 *
 * @since 0.2.0
 */
import { Duration, Option } from "effect"
import * as Correlation from "./Correlation.ts"
import type * as Event from "./Event.ts"
import type * as EventType from "./EventType.ts"
import type * as Tenant from "./Tenant.ts"
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
  /** Before when it is not tried again; absent where it was released. */
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
