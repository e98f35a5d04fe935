/**
 * Stands in for a provider: builds the requests it would post, signed as it signs them.
 *
 * A sender is pure but for the keys it is given, so that the same reports give the same events.
 *
 * @since 0.1.0
 */
import type { EventType, Provider } from "@waybill/core"
import type { DateTime, Redacted } from "effect"
import type * as Webhook from "../Webhook.ts"

/**
 * What happened to a message, in Waybill's words.
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
  /** What the receiver has to know. */
  readonly secrets: ReadonlyArray<Redacted.Redacted>
  /** The types that the provider has a word for; any other is sent under a word that no receiver knows. */
  readonly types: ReadonlyArray<EventType.ReportedType>
  /** The requests that report this, in one batch where the provider sends batches. */
  readonly send: (reports: ReadonlyArray<Report>, sentAt: DateTime.Utc) => ReadonlyArray<Webhook.Request>
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
