/**
 * Models what subscribers are told after a commit: that a delivery got an event.
 *
 * @since 0.2.0
 */
import type * as Event from "./Event.ts"
import type * as EventType from "./EventType.ts"
import type * as Orphan from "./Orphan.ts"
import type * as Tenant from "./Tenant.ts"

/**
 * A delivery got an event, whether it moves the projection or tells nothing new; told after commit and never for a duplicate.
 *
 * @category models
 * @since 0.2.0
 */
export interface DeliveryUpdate {
  readonly tenantId: Tenant.TenantId
  readonly deliveryId: Event.DeliveryId
  readonly eventId: Event.EventId
  /** The event's own type, also where a link gave it to the delivery. */
  readonly type: EventType.EventType
  readonly cause: "append" | "reconciled"
}

/**
 * How many updates a subscriber may fall behind before it misses the oldest.
 *
 * @category constants
 * @since 0.2.0
 */
export const capacity = 1024

/**
 * The update of an event that was appended to a delivery.
 *
 * @category constructors
 * @since 0.2.0
 */
export const ofEvent = (
  event: Pick<Event.Event, "id" | "tenantId" | "type">,
  deliveryId: Event.DeliveryId
): DeliveryUpdate => ({ tenantId: event.tenantId, deliveryId, eventId: event.id, type: event.type, cause: "append" })

/**
 * The update of an orphan that was linked to a delivery.
 *
 * @category constructors
 * @since 0.2.0
 */
export const ofLink = ({ deliveryId, eventId, tenantId, type }: Orphan.Link): DeliveryUpdate => ({
  tenantId,
  deliveryId,
  eventId,
  type,
  cause: "reconciled"
})
