/**
 * Defines what a provider's webhook is: a request of raw bytes that is verified, and then reduced to events.
 *
 * Nothing here reads a clock, a setting or the network: time and secrets are passed in. A request is verified over its own
 * bytes, never over a copy that was parsed and written again. A content coding belongs to the way and not to the request: it
 * is undone before.
 *
 * @since 0.1.0
 */
import { type Event, Provider as CoreProvider } from "@waybill/core"
import * as Attributes from "@waybill/core/Attributes"
import { type DateTime, Option, type Redacted, Schema } from "effect"

/**
 * A request as it was received: the names of the headers in lower case, the body byte for byte, without a content coding.
 *
 * @category models
 * @since 0.1.0
 */
export interface Request {
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  /** The address to which it was posted, query included, as its sender knows it; absent where that is not known. */
  readonly publicUrl?: string | undefined
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
 * The result of a verification that a request passed: what its taker has to heed.
 *
 * @category models
 * @since 0.1.0
 */
export interface Verified {
  /** The token to be consumed once where the signature does not cover the body, so that it is good for one body only. */
  readonly token: Option.Option<string>
}

/**
 * The result of a verification that a request passed; by default its taker has nothing to heed.
 *
 * @category constructors
 * @since 0.2.0
 */
export const verified = ({ token }: { readonly token?: string } = {}): Verified => ({
  token: Option.fromUndefinedOr(token)
})

/**
 * Why a request was refused; `Attributes.verificationReasons` says what each means.
 *
 * @category schemas
 * @since 0.1.0
 */
export const VerificationReason = Schema.Literals(Attributes.verificationReasons)

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
 * Whether a provider sent a request cannot be told now; a later attempt may succeed.
 *
 * @category errors
 * @since 0.2.0
 */
export class VerificationUnavailable
  extends Schema.TaggedError<VerificationUnavailable>("@waybill/webhooks/VerificationUnavailable")(
    "VerificationUnavailable",
    {
      provider: CoreProvider.Provider,
      /** The thing that is missing; it names no secret. */
      issue: Schema.String,
      cause: Schema.Defect()
    }
  )
{
  override get message(): string {
    return this.issue
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
 * The contents of a body, or of a piece of it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Normalized {
  readonly events: ReadonlyArray<Event.NewEvent>
  readonly undecodable: ReadonlyArray<Undecodable>
  readonly ignored: ReadonlyArray<Ignored>
}

/**
 * Joins the pieces of a body.
 *
 * @category combining
 * @since 0.2.0
 */
export const join = (pieces: Iterable<Normalized>): Normalized => {
  const all = [...pieces]
  return {
    events: all.flatMap(({ events }) => events),
    undecodable: all.flatMap(({ undecodable }) => undecodable),
    ignored: all.flatMap(({ ignored }) => ignored)
  }
}

/**
 * A provider asked for something beside events that could not be done; a later attempt may succeed.
 *
 * @category errors
 * @since 0.2.0
 */
export class FollowUpFailed extends Schema.TaggedError<FollowUpFailed>("@waybill/webhooks/FollowUpFailed")(
  "FollowUpFailed",
  {
    provider: CoreProvider.Provider,
    /** The thing that could not be done; it names no address. */
    issue: Schema.String,
    cause: Schema.Defect()
  }
) {
  override get message(): string {
    return this.issue
  }
}
