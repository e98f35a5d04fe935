/**
 * Makes the events that Waybill writes itself about a delivery: its own half, and the links.
 *
 * @since 0.2.0
 */
import { Option } from "effect"
import type * as Event from "./Event.ts"
import * as IdempotencyKey from "./IdempotencyKey.ts"
import * as JsonBag from "./JsonBag.ts"
import type * as Timestamp from "./Timestamp.ts"

/** An event that Waybill writes itself about a delivery, at most once for its subject. */
const own = (
  type: "queued" | "dispatched" | "deferred" | "failed" | "reconciled" | "suppressed",
  subject: string,
  deliveryId: Event.DeliveryId,
  entry: Omit<Event.Entry, "deliveryId"> & { readonly occurredAt: Timestamp.Timestamp }
): Event.Event => ({
  id: entry.id,
  tenantId: entry.tenantId,
  deliveryId: Option.some(deliveryId),
  type,
  occurredAt: entry.occurredAt,
  insertedAt: entry.insertedAt,
  provider: Option.none(),
  providerMessageId: Option.none(),
  providerEventId: Option.none(),
  echoedDeliveryId: Option.none(),
  rejectReason: Option.none(),
  bounceClass: Option.none(),
  normalizedPayload: JsonBag.empty,
  metadata: JsonBag.empty,
  traceId: Option.none(),
  needsReconciliation: false,
  sourceEventId: Option.none(),
  idempotencyKey: IdempotencyKey.ofOwn(type, subject)
})

/**
 * The event that `record` writes; `metadata` tells of a suppression that it ignored.
 *
 * @category constructors
 * @since 0.1.0
 */
export const queued = (
  deliveryId: Event.DeliveryId,
  entry: Omit<Event.Entry, "deliveryId">,
  metadata: JsonBag.JsonBag = JsonBag.empty
): Event.Event => ({ ...own("queued", deliveryId, deliveryId, { ...entry, occurredAt: entry.insertedAt }), metadata })

/**
 * The event of our own that a delivery was not sent on purpose; `metadata` tells why.
 *
 * @category constructors
 * @since 0.2.0
 */
export const suppressed = (
  deliveryId: Event.DeliveryId,
  entry: Omit<Event.Entry, "deliveryId">,
  metadata: JsonBag.JsonBag
): Event.Event => ({
  ...own("suppressed", deliveryId, deliveryId, { ...entry, occurredAt: entry.insertedAt }),
  metadata
})

/**
 * The event that `dispatch` writes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const dispatched = (
  deliveryId: Event.DeliveryId,
  entry: Omit<Event.Entry, "deliveryId"> & { readonly occurredAt: Timestamp.Timestamp }
): Event.Event => own("dispatched", deliveryId, deliveryId, entry)

/** An attempt to send a delivery that failed. */
interface Attempt {
  /** Its number, from 1. */
  readonly number: number
  /** Whether no other follows. */
  readonly final: boolean
  readonly code: string
  readonly message: Option.Option<string>
}

/**
 * The event that `fail` writes: `deferred`, or `failed` where the delivery is given up; once for an attempt.
 *
 * @category constructors
 * @since 0.2.0
 */
export const failed = (
  deliveryId: Event.DeliveryId,
  { code, final, message, number }: Attempt,
  entry: Omit<Event.Entry, "deliveryId">
): Event.Event => ({
  ...own(final ? "failed" : "deferred", `${deliveryId}:${number}`, deliveryId, {
    ...entry,
    occurredAt: entry.insertedAt
  }),
  normalizedPayload: { attempt: number, code, ...(Option.isSome(message) && { message: message.value }) }
})

/**
 * The link: the event that ties an orphan to its delivery and moves nothing itself.
 *
 * @category constructors
 * @since 0.1.0
 */
export const reconciled = (
  orphan: Pick<Event.Event, "id" | "type" | "provider" | "providerEventId">,
  deliveryId: Event.DeliveryId,
  entry: Omit<Event.Entry, "deliveryId">
): Event.Event => ({
  ...own("reconciled", orphan.id, deliveryId, { ...entry, occurredAt: entry.insertedAt }),
  metadata: {
    reconciled_from_event_id: orphan.id,
    reconciled_type: orphan.type,
    reconciled_provider: Option.getOrNull(orphan.provider),
    reconciled_provider_event_id: Option.getOrNull(orphan.providerEventId)
  },
  sourceEventId: Option.some(orphan.id)
})
