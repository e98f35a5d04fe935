/**
 * Models why a delivery did not get on, as far as the ledger holds it: by our own half, or by what a provider reported.
 *
 * It is read off the event alone, so that folding the ledger again gives the same.
 *
 * @since 0.2.0
 */
import { Option, Schema } from "effect"
import * as Event from "./Event.ts"

const text = Schema.OptionFromNullOr(Schema.String)

/**
 * Why a delivery did not get on; what an event does not say is absent. Its encoded form is JSON.
 *
 * @category schemas
 * @since 0.2.0
 */
export const DeliveryError = Schema.Struct({
  /** The app's own word for a failed attempt to send. */
  code: text,
  /** The app's own sentence about it, without addresses and URLs. */
  message: text,
  /** Why a provider rejected or bounced it. */
  rejectReason: Schema.OptionFromNullOr(Event.RejectReason),
  /** Whether a bounce is final. */
  bounceClass: Schema.OptionFromNullOr(Event.BounceClass),
  /** The reply code of the recipient's server, such as 550. */
  smtpStatus: Schema.OptionFromNullOr(Schema.Finite),
  /** Its enhanced status code, such as `5.1.1`. */
  enhancedStatus: text
})

/**
 * Why a delivery did not get on.
 *
 * @category models
 * @since 0.2.0
 */
export type DeliveryError = typeof DeliveryError.Type

/**
 * The part of an event that its error is read off.
 *
 * @category models
 * @since 0.2.0
 */
export type Source = Pick<Event.Event, "rejectReason" | "bounceClass" | "normalizedPayload">

/**
 * The keys of an event's payload that an error is read off, and the JSON type that each has to be of.
 *
 * @category constants
 * @since 0.2.0
 */
export const payloadKeys = {
  code: { key: "code", type: "string" },
  message: { key: "message", type: "string" },
  smtpStatus: { key: "smtpStatus", type: "number" },
  enhancedStatus: { key: "status", type: "string" }
} as const

const textOf = ({ normalizedPayload }: Source, name: "code" | "message" | "enhancedStatus"): Option.Option<string> => {
  const value = normalizedPayload[payloadKeys[name].key]
  return typeof value === payloadKeys[name].type && typeof value === "string" ? Option.some(value) : Option.none()
}

const numberOf = ({ normalizedPayload }: Source, name: "smtpStatus"): Option.Option<number> => {
  const value = normalizedPayload[payloadKeys[name].key]
  return typeof value === payloadKeys[name].type && typeof value === "number" ? Option.some(value) : Option.none()
}

/**
 * The error that an event carries, of one whose type carries any (`EventType.impacts`).
 *
 * @category constructors
 * @since 0.2.0
 */
export const ofEvent = (event: Source): DeliveryError => ({
  code: textOf(event, "code"),
  message: textOf(event, "message"),
  rejectReason: event.rejectReason,
  bounceClass: event.bounceClass,
  smtpStatus: numberOf(event, "smtpStatus"),
  enhancedStatus: textOf(event, "enhancedStatus")
})

/**
 * Tells whether two errors say the same.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isSame: (left: DeliveryError, right: DeliveryError) => boolean = Schema.toEquivalence(DeliveryError)
