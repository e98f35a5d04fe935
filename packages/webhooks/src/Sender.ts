/**
 * Stands in for a provider: builds the requests it would post, signed as it signs them.
 *
 * A sender is pure but for the keys it is given, so that the same reports give the same events.
 *
 * @since 0.2.0
 */
import type { EventType, Provider } from "@waybill/core"
import type { DateTime, Redacted } from "effect"
import type * as Webhook from "./Webhook.ts"

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
 * Writes reports in a provider's own words, before anything is signed.
 *
 * @category models
 * @since 0.2.0
 */
export interface Composer {
  /** The types that the provider has a word for; any other is written with a word that no receiver knows. */
  readonly types: ReadonlyArray<EventType.ReportedType>
  /** Whether the provider gives our own delivery id back; it does by default. */
  readonly echoes?: false
  /** The requests that report this, in one batch where the provider sends batches. */
  readonly compose: (reports: ReadonlyArray<Report>, sentAt: DateTime.Utc) => ReadonlyArray<Webhook.Request>
}

/**
 * A provider that posts what is reported.
 *
 * @category models
 * @since 0.1.0
 */
export interface Sender {
  readonly provider: Provider.Provider
  /** The secrets that the receiver has to know, by the keys that `Secrets` has them under. */
  readonly secrets: Readonly<Record<string, ReadonlyArray<Redacted.Redacted>>>
  /** The types that the provider has a word for; any other is sent under a word that no receiver knows. */
  readonly types: ReadonlyArray<EventType.ReportedType>
  /** Signs a request, whatever its body is. */
  readonly sign: (request: Webhook.Request, sentAt: DateTime.Utc) => Webhook.Request
  /** The requests that report this, in one batch where the provider sends batches; some sign the address to which they go. */
  readonly send: (
    reports: ReadonlyArray<Report>,
    sentAt: DateTime.Utc,
    publicUrl?: string
  ) => ReadonlyArray<Webhook.Request>
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

/**
 * The request that posts a value as JSON.
 *
 * @category constructors
 * @since 0.2.0
 */
export const json = (value: unknown): Webhook.Request => ({
  headers: { "content-type": "application/json" },
  body: new TextEncoder().encode(JSON.stringify(value))
})
