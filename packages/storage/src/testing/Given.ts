/**
 * Makes the values that a test starts from; what a test does not care about has a plain default, and what it gives is taken as
 * it is, also where no ledger accepts it.
 *
 * @since 0.1.0
 */
import { Delivery, Event, IdempotencyKey, Ledger, Provider, Recipient, Tenant } from "@waybill/core"
import { DateTime, Effect, Option } from "effect"
import { SecureRandom } from "effect/crypto"

/**
 * A tenant that no other test has, so that a store may be shared.
 *
 * @category constructors
 * @since 0.1.0
 */
export const tenant: Effect.Effect<Tenant.TenantId, never, SecureRandom.SecureRandom> = Effect.gen(function*() {
  const random = yield* SecureRandom.SecureRandom
  return Tenant.TenantId.make(`tenant-${yield* random.uuidV4()}`)
})

/**
 * A tenant that has nothing.
 *
 * @category constants
 * @since 0.1.0
 */
export const nobody = Tenant.TenantId.make("nobody")

/**
 * A delivery's id that no other test has.
 *
 * @category constructors
 * @since 0.1.0
 */
export const deliveryId: Effect.Effect<Event.DeliveryId, never, SecureRandom.SecureRandom> = Effect.gen(function*() {
  const random = yield* SecureRandom.SecureRandom
  return Event.DeliveryId.make(yield* random.uuidV4())
})

/**
 * The provider of all that names no other.
 *
 * @category constants
 * @since 0.1.0
 */
export const provider = Provider.Provider.make("postmark")

/**
 * A provider whose webhooks spell message ids otherwise than its send call.
 *
 * @category constants
 * @since 0.1.0
 */
export const sendGrid = Provider.Provider.make("sendgrid")

/**
 * The recipient of all that names no other.
 *
 * @category constants
 * @since 0.1.0
 */
export const recipient = Recipient.Recipient.make("ann@example.com")

/**
 * A recipient.
 *
 * @category constructors
 * @since 0.1.0
 */
export const address = (text: string): Recipient.Recipient => Recipient.Recipient.make(text)

/**
 * The instant of all events that name no other: noon of 2026-03-01, in UTC.
 *
 * @category constants
 * @since 0.1.0
 */
export const noon = DateTime.makeUnsafe("2026-03-01T12:00:00.000Z")

/**
 * Some seconds after noon.
 *
 * @category constructors
 * @since 0.1.0
 */
export const afterNoon = (seconds: number): DateTime.Utc => DateTime.add(noon, { seconds })

/**
 * A message id.
 *
 * @category constructors
 * @since 0.1.0
 */
export const messageId = (text: string): Provider.MessageId => Provider.MessageId.make(text)

/**
 * An idempotency key.
 *
 * @category constructors
 * @since 0.1.0
 */
export const key = (text: string): IdempotencyKey.IdempotencyKey => IdempotencyKey.IdempotencyKey.make(text)

/**
 * Whom an event names.
 *
 * @category constructors
 * @since 0.1.0
 */
export const named = (address: string, certain: boolean): Option.Option<Event.NamedRecipient> =>
  Option.some({ address: Recipient.Recipient.make(address), certain })

/**
 * A delivery to be recorded.
 *
 * @category constructors
 * @since 0.1.0
 */
export const delivery = (
  tenantId: Tenant.TenantId,
  fields: Partial<Omit<Delivery.NewDelivery, "tenantId">> = {}
): Delivery.NewDelivery => ({
  ...Delivery.NewDelivery.make({ tenantId: nobody, recipient, mailable: "welcome", stream: "transactional" }),
  tenantId,
  ...fields
})

/**
 * A provider's report of a message; its key tells apart what its fields tell apart.
 *
 * @category constructors
 * @since 0.1.0
 */
export const report = (
  type: Event.NewEvent["type"],
  message: string | undefined,
  fields: Partial<Event.NewEvent> = {}
): Event.NewEvent => ({
  ...Event.NewEvent.make({
    type,
    occurredAt: noon,
    provider,
    providerMessageId: Option.map(Option.fromUndefinedOr(message), messageId),
    idempotencyKey: key(`${type}-${message ?? "nothing"}`)
  }),
  ...fields
})

/**
 * A dispatch under a message id.
 *
 * @category constructors
 * @since 0.1.0
 */
export const dispatch = (
  delivery: Pick<Delivery.Delivery, "tenantId" | "id">,
  providerMessageId: string,
  fields: Partial<Delivery.Dispatch> = {}
): Delivery.Dispatch => ({
  tenantId: delivery.tenantId,
  deliveryId: delivery.id,
  provider,
  providerMessageId,
  expectedVersion: Option.none(),
  ...fields
})

/**
 * A recorded delivery.
 *
 * @category constructors
 * @since 0.1.0
 */
export const recorded = Effect.fnUntraced(function*(
  tenantId: Tenant.TenantId,
  fields: Partial<Omit<Delivery.NewDelivery, "tenantId">> = {}
) {
  const ledger = yield* Ledger.Ledger
  return (yield* ledger.record(delivery(tenantId, fields))).delivery
})

/**
 * A delivery that was dispatched under a message id.
 *
 * @category constructors
 * @since 0.1.0
 */
export const dispatched = Effect.fnUntraced(function*(
  tenantId: Tenant.TenantId,
  providerMessageId: string,
  fields: Partial<Omit<Delivery.NewDelivery, "tenantId">> = {}
) {
  const ledger = yield* Ledger.Ledger
  return (yield* ledger.dispatch(dispatch(yield* recorded(tenantId, fields), providerMessageId))).delivery
})
