/**
 * Decides which delivery an event is about.
 *
 * Event and delivery meet on a key within their tenant: our own delivery id where the provider echoed it, else the
 * provider and its canonical message id. The recipient then decides among the deliveries of a message; our own id decides alone.
 *
 * @since 0.1.0
 */
import { Brand, Option } from "effect"
import type * as Event from "./Event.ts"
import type * as Provider from "./Provider.ts"

/**
 * The key on which an event and a delivery meet within their tenant: `delivery:<id>` or `message:<provider>:<id>`.
 *
 * @category models
 * @since 0.2.0
 */
export type Key = Brand.Branded<string, "CorrelationKey">

const key = Brand.nominal<Key>()

/**
 * The key of our own delivery id.
 *
 * @category constructors
 * @since 0.1.0
 */
export const ofDelivery = (deliveryId: Event.DeliveryId): Key => key(`delivery:${deliveryId}`)

/**
 * The key of a provider's message id.
 *
 * @category constructors
 * @since 0.1.0
 */
export const ofMessage = (provider: Provider.Provider, messageId: Provider.MessageId): Key =>
  key(`message:${provider}:${messageId}`)

/**
 * The key on which an event waits for its delivery; none where it names neither a delivery nor a message, so that it can
 * never be linked on its own.
 *
 * @category constructors
 * @since 0.1.0
 */
export const ofEvent = (
  event: Pick<Event.Event, "echoedDeliveryId" | "provider" | "providerMessageId">
): Option.Option<Key> =>
  Option.isSome(event.echoedDeliveryId)
    ? Option.some(ofDelivery(event.echoedDeliveryId.value))
    : Option.zipWith(event.provider, event.providerMessageId, ofMessage)

/**
 * A delivery that has an event's key, and how its recipient compares with `Event.certainRecipient`; `unnamed` where that is
 * none.
 *
 * @category models
 * @since 0.1.0
 */
export interface Candidate {
  readonly deliveryId: Event.DeliveryId
  readonly recipient: "same" | "other" | "unnamed"
}

/**
 * Why an event has no delivery, or which it has.
 *
 * @category models
 * @since 0.1.0
 */
export type Meeting =
  | { readonly _tag: "Met"; readonly deliveryId: Event.DeliveryId }
  | { readonly _tag: "NoDelivery" }
  | { readonly _tag: "OtherRecipient" }
  | { readonly _tag: "Ambiguous" }

/**
 * Decides among all the deliveries that have an event's key.
 *
 * An event that names its recipient for certain meets the delivery to it and never one to another; an event that does
 * not meets a delivery only where one alone has the key.
 *
 * @category decisions
 * @since 0.1.0
 */
export const decide = (candidates: ReadonlyArray<Candidate>): Meeting => {
  const possible = candidates.filter(({ recipient }) => recipient !== "other")
  const [first] = possible
  if (first === undefined) return candidates.length === 0 ? { _tag: "NoDelivery" } : { _tag: "OtherRecipient" }
  return possible.length === 1 ? { _tag: "Met", deliveryId: first.deliveryId } : { _tag: "Ambiguous" }
}
