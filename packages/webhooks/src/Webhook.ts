/**
 * Defines what a provider's webhook is: a request of raw bytes that is verified, and then reduced to events.
 *
 * Nothing here reads a clock, a setting or the network: time and secrets are passed in, and what was received is never
 * parsed and written again before it is verified.
 *
 * @since 0.1.0
 */
import { type Event, Provider as CoreProvider } from "@waybill/core"
import { type DateTime, type Effect, type Option, type Redacted, type Result, Schema } from "effect"
import type * as SnsCertificates from "./SnsCertificates.ts"

/**
 * A request as it was received: the names of the headers in lower case, the body byte for byte.
 *
 * @category models
 * @since 0.1.0
 */
export interface Request {
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

/**
 * A request to be reduced to events.
 *
 * @category models
 * @since 0.1.0
 */
export interface Received extends Request {
  /** Stands in for the time of an event that has none; no idempotency key depends on it. */
  readonly receivedAt: DateTime.Utc
}

/**
 * A request to be verified.
 *
 * @category models
 * @since 0.1.0
 */
export interface Attempt extends Received {
  /** All that are active; during a rotation the old one and the new one. */
  readonly secrets: ReadonlyArray<Redacted.Redacted>
}

/**
 * A request that passed verification.
 *
 * @category models
 * @since 0.1.0
 */
export interface Verified {
  /** What makes the signature good for one body only, to be consumed once, where the signature does not cover the body. */
  readonly token: Option.Option<string>
  /** Whether it is about the subscription to the webhooks and no mail, by which a tenant could be told. */
  readonly isOfSubscription?: boolean
}

/**
 * Why a request was refused.
 *
 * `MissingHeader`: what carries the signature is absent. `MalformedSignature`: it is there and cannot be read.
 * `BadSignature`: it was not made with a secret we know. `TimestampOutOfTolerance`: it was, too long ago or ahead.
 * `ReplayedToken`: its token was used for another body. `UntrustedTopic`: it comes from a topic that is not allowed.
 * `MisconfiguredSecret`: there is no secret, or one that cannot be used; the fault is ours.
 *
 * @category schemas
 * @since 0.1.0
 */
export const VerificationReason = Schema.Literals([
  "MissingHeader",
  "MalformedSignature",
  "BadSignature",
  "TimestampOutOfTolerance",
  "ReplayedToken",
  "UntrustedTopic",
  "MisconfiguredSecret"
])

/**
 * Why a request was refused.
 *
 * @category models
 * @since 0.1.0
 */
export type VerificationReason = typeof VerificationReason.Type

/**
 * A request was refused.
 *
 * @category errors
 * @since 0.1.0
 */
export class VerificationError
  extends Schema.TaggedError<VerificationError>("@waybill/webhooks/VerificationError")("VerificationError", {
    provider: CoreProvider.Provider,
    reason: VerificationReason
  })
{
  override get message(): string {
    return `${this.provider} webhook refused: ${this.reason}`
  }
}

/**
 * A body as a whole is not what the provider sends; it names nothing of its content.
 *
 * @category errors
 * @since 0.1.0
 */
export class MalformedBody extends Schema.TaggedError<MalformedBody>("@waybill/webhooks/MalformedBody")(
  "MalformedBody",
  {
    provider: CoreProvider.Provider,
    reason: Schema.Literals(["NotJson", "NotAnArray", "NotAnObject", "UnknownEnvelope"])
  }
) {
  override get message(): string {
    return `${this.provider} webhook cannot be read: ${this.reason}`
  }
}

/**
 * An item of a body that is not an event, and costs the others nothing.
 *
 * @category models
 * @since 0.1.0
 */
export interface Undecodable {
  readonly index: number
  readonly reason: "NotAnObject" | "MissingType"
}

/**
 * An item that is not about a message we sent, or an event of somebody who is forgotten.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ignored {
  readonly index: number
  /** The provider's name for it, where that is a plain word; else `other`. An event that is left out has `forgotten`. */
  readonly kind: string
}

/**
 * Amazon SNS asks whether the subscription is wanted: it is confirmed by a GET of the address.
 *
 * @category models
 * @since 0.1.0
 */
export interface Confirmation {
  readonly topicArn: string
  readonly subscribeUrl: string
}

/**
 * What a body says.
 *
 * @category models
 * @since 0.1.0
 */
export interface Normalized {
  readonly events: ReadonlyArray<Event.NewEvent>
  readonly undecodable: ReadonlyArray<Undecodable>
  readonly ignored: ReadonlyArray<Ignored>
  readonly confirmation: Option.Option<Confirmation>
}

/**
 * All that Waybill knows of a provider's webhooks.
 *
 * @category models
 * @since 0.1.0
 */
export interface Provider {
  readonly name: CoreProvider.Provider
  /** The environment variable that holds the secrets, separated by commas. */
  readonly secretsVariable: string
  /** The headers to keep beside the body; none of them is a secret. */
  readonly headers: ReadonlyArray<string>
  /** The status that makes the provider give up a request that was refused. */
  readonly refusal: 401 | 406
  /** The status that makes the provider send a request again later; some drop an event at any 5xx. */
  readonly unavailable: 503 | 429
  /** Decides whether the provider sent a request; malformed input is refused and never throws. */
  readonly verify: (
    attempt: Attempt
  ) => Effect.Effect<
    Verified,
    VerificationError | SnsCertificates.CertificateUnavailable,
    SnsCertificates.SnsCertificates
  >
  /** Reduces a body to events; the same event gives the same idempotency key, however often and in whatever batch. */
  readonly normalize: (received: Received) => Result.Result<Normalized, MalformedBody>
  /** Does the same piece by piece, each when it is asked for, where a body may hold so many items that all take long. */
  readonly pieces?: (received: Received) => Result.Result<Iterable<Normalized>, MalformedBody>
}
