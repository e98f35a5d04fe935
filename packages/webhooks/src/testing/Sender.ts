/**
 * Stands in for a provider: builds the requests it would post, signed as it signs them.
 *
 * A sender is pure but for the keys it is given, so that the same reports give the same events.
 *
 * @since 0.1.0
 */
import type { EventType, Provider } from "@waybill/core"
import type { DateTime, Option, Redacted } from "effect"
import type { KeyObject } from "node:crypto"
import type * as Row from "../Row.ts"
import type * as Webhook from "../Webhook.ts"

/**
 * A report of what happened to a message, in Waybill's words.
 *
 * @category models
 * @since 0.1.0
 */
export interface Report {
  readonly type: EventType.ReportedType
  /** As the send call of the provider answers it. */
  readonly messageId: string
  readonly recipient: string
  readonly at: DateTime.Utc
  /** Tells this report from others; where the provider has ids of events, its id comes from this one. */
  readonly eventId: string
  /** For a bounce; hard without it. */
  readonly bounceClass?: "hard" | "soft" | undefined
  /** Our own delivery id, echoed by the provider. */
  readonly deliveryId?: string | undefined
}

/**
 * A provider that posts what is reported.
 *
 * @category models
 * @since 0.1.0
 */
export interface Sender {
  readonly provider: Provider.Provider
  /** The secrets that the receiver has to know. */
  readonly secrets: ReadonlyArray<Redacted.Redacted>
  /** The types that the provider has a word for; any other is sent under a word that no receiver knows. */
  readonly types: ReadonlyArray<EventType.ReportedType>
  /** The requests that report this, in one batch where the provider sends batches. */
  readonly send: (reports: ReadonlyArray<Report>, sentAt: DateTime.Utc) => ReadonlyArray<Webhook.Request>
}

/**
 * The means by which a sender signs: a secret that its receiver has too, a private key whose public half the receiver has,
 * or nothing that anybody but the provider has.
 *
 * @category models
 * @since 0.2.0
 */
export type Signing =
  | {
    readonly _tag: "Secret"
    /** Signs with the secret. */
    readonly make: (secret: Redacted.Redacted) => Sender
  }
  | {
    readonly _tag: "PrivateKey"
    /** None where the key is of another kind. */
    readonly make: (privateKey: KeyObject) => Option.Option<Sender>
    /** The fault of a key of another kind. */
    readonly issue: string
  }
  | { readonly _tag: "Nothing"; readonly issue: string }

/**
 * A sender with keys made on the spot, and the row of its provider that believes them.
 *
 * @category models
 * @since 0.2.0
 */
export interface Generated {
  readonly sender: Sender
  readonly row: Row.Row
}

/**
 * How senders of a provider are made.
 *
 * @category models
 * @since 0.2.0
 */
export interface Kind {
  readonly provider: Provider.Provider
  readonly signing: Signing
  /** Makes keys, and a sender that uses them. */
  readonly generate: () => Generated
}

/**
 * The types that a table has a word for.
 *
 * @category constructors
 * @since 0.1.0
 */
export const typesOf = (table: ReadonlyMap<EventType.ReportedType, unknown>): ReadonlyArray<EventType.ReportedType> => [
  ...table.keys()
]
