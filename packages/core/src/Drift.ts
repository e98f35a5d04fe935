/**
 * Names where what is stored differs from what the ledger says.
 *
 * @since 0.1.0
 */
import { Option } from "effect"
import type * as Delivery from "./Delivery.ts"
import type * as Event from "./Event.ts"
import * as Projection from "./Projection.ts"
import type * as Tenant from "./Tenant.ts"

/**
 * One difference: a delivery whose projection is not the fold of its events, an orphan that is missing from the queue of
 * pending orphans, one that is in it although it is linked or dismissed, or one whose delivery exists and that the queue does
 * not know to be linkable (or the reverse).
 *
 * @category models
 * @since 0.1.0
 */
export type Drift =
  | {
    readonly _tag: "Projection"
    readonly tenantId: Tenant.TenantId
    readonly deliveryId: Event.DeliveryId
    readonly fields: ReadonlyArray<keyof Projection.Projection>
  }
  | {
    readonly _tag: "MissingOrphan" | "ExtraOrphan" | "OrphanReadiness"
    readonly tenantId: Tenant.TenantId
    readonly eventId: Event.EventId
  }

/**
 * The difference between a delivery and the fold of its events, where there is one.
 *
 * @category constructors
 * @since 0.1.0
 */
export const ofDelivery = (delivery: Delivery.Delivery, facts: Iterable<Projection.Fact>): Option.Option<Drift> => {
  const fields = Projection.differences(delivery, Projection.fold(facts))
  return fields.length === 0
    ? Option.none()
    : Option.some({ _tag: "Projection", tenantId: delivery.tenantId, deliveryId: delivery.id, fields })
}
