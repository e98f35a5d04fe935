/**
 * Maps each outcome of a webhook to the HTTP status of its answer.
 *
 * A wrong status loses events or switches the endpoint off: some providers drop an event at the first 4xx, others retry a
 * 4xx for a day or disable an endpoint that keeps failing. So a verified request is answered 200 whatever it says. Only
 * where a later attempt can succeed is it asked for, with the status in the provider's row: 503, or 429 where the provider
 * drops an event at a 5xx.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import type * as Row from "./Row.ts"
import type * as Webhook from "./Webhook.ts"

/**
 * The outcome of a request.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Outcome = Schema.Literals([
  "stored",
  "duplicate",
  "orphan",
  "unknown_type",
  "not_mail",
  "undecodable",
  "refused",
  "misconfigured",
  "unavailable",
  "too_large",
  "tenant_unresolved"
])

/**
 * The outcome of a request.
 *
 * @category models
 * @since 0.1.0
 */
export type Outcome = typeof Outcome.Type

/**
 * The status for a provider that has no row.
 *
 * @category constants
 * @since 0.1.0
 */
export const unknownProvider = 404

const statuses: Readonly<Record<Outcome, number | "refusal" | "unavailable">> = {
  stored: 200,
  duplicate: 200,
  orphan: 200,
  unknown_type: 200,
  not_mail: 200,
  undecodable: 200,
  refused: "refusal",
  misconfigured: "unavailable",
  unavailable: "unavailable",
  too_large: 413,
  tenant_unresolved: 422
}

/**
 * The status with which a provider is answered.
 *
 * @category getters
 * @since 0.1.0
 */
export const status = (provider: Pick<Row.Row, "refusal" | "unavailable">, outcome: Outcome): number => {
  const status = statuses[outcome]
  return typeof status === "number" ? status : provider[status]
}

/**
 * The outcome of a request that did not pass verification.
 *
 * @category constructors
 * @since 0.1.0
 */
export const ofVerification = (
  error: Webhook.VerificationError | Webhook.VerificationUnavailable
): Outcome => {
  if (error._tag === "VerificationUnavailable") return "unavailable"
  return error.reason === "MisconfiguredSecret" ? "misconfigured" : "refused"
}
