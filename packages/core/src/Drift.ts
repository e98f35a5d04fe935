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
 * One difference between what is stored and the ledger.
 *
 * - `Projection`: a delivery's projection is not the fold of its events.
 * - `Occurrences`: the rare events by which a delivery is found are not those that occurred to it.
 * - `MissingOrphan`: a pending orphan is not in the queue.
 * - `ExtraOrphan`: an orphan is in the queue although it is linked or dismissed.
 * - `Suppressions`: what is kept of an address is not what its events and acts say.
 * - `Contribution`: what is kept of how a delivery counts is not what its events say.
 * - `Figures`: the sums of a day are not those of how its deliveries count.
 * - `OrphanReadiness`: the queue is wrong about whether an orphan's delivery exists.
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
    readonly _tag: "Occurrences"
    readonly tenantId: Tenant.TenantId
    readonly deliveryId: Event.DeliveryId
  }
  | {
    readonly _tag: "Suppressions"
    readonly tenantId: Tenant.TenantId
    /** What stands for the address in the store: a digest. */
    readonly key: string
  }
  | Contribution
  | {
    readonly _tag: "Figures"
    readonly tenantId: Tenant.TenantId
    /** The day, as `2026-03-01`. */
    readonly day: string
  }
  | {
    readonly _tag: "MissingOrphan" | "ExtraOrphan" | "OrphanReadiness"
    readonly tenantId: Tenant.TenantId
    readonly eventId: Event.EventId
  }

/**
 * A delivery that is counted otherwise than its events say.
 *
 * @category models
 * @since 0.2.0
 */
export interface Contribution {
  readonly _tag: "Contribution"
  readonly tenantId: Tenant.TenantId
  readonly deliveryId: Event.DeliveryId
}

/**
 * What is stored of an orphan beside what the ledger says of it.
 *
 * @category models
 * @since 0.2.0
 */
export interface OrphanState {
  readonly tenantId: Tenant.TenantId
  readonly eventId: Event.EventId
  /** The ledger holds it as an orphan that is neither linked nor dismissed. */
  readonly isPending: boolean
  /** It is in the queue of pending orphans. */
  readonly isQueued: boolean
  /** The queue says that a delivery it may be linked to exists. */
  readonly isReady: boolean
  /** Such a delivery exists. */
  readonly isLinkable: boolean
}

/**
 * The difference between an orphan's place in the queue and the ledger, where there is one.
 *
 * @category constructors
 * @since 0.2.0
 */
export const ofOrphan = (
  { eventId, isLinkable, isPending, isQueued, isReady, tenantId }: OrphanState
): Option.Option<Drift> => {
  if (isPending && !isQueued) return Option.some({ _tag: "MissingOrphan", tenantId, eventId })
  if (!isPending && isQueued) return Option.some({ _tag: "ExtraOrphan", tenantId, eventId })
  return isQueued && isReady !== isLinkable
    ? Option.some({ _tag: "OrphanReadiness", tenantId, eventId })
    : Option.none()
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
