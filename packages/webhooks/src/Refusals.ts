/**
 * Names every way in which a webhook does not come in or is not understood, and tells of each in one log line and one count.
 *
 * A line is a fixed sentence with the provider, the reason and, once it is known that there is one, the tenant. Nothing that
 * the request itself says is in it.
 *
 * @since 0.2.0
 */
import type { LedgerError, Tenant } from "@waybill/core"
import * as Attributes from "@waybill/core/Attributes"
import { Data, Effect, Struct } from "effect"
import type * as Answer from "./Answer.ts"
import * as Metrics from "./Metrics.ts"
import type * as Row from "./Row.ts"
import type * as Webhook from "./Webhook.ts"

/**
 * How a request ends: by an outcome, or before any provider has a say.
 *
 * @category models
 * @since 0.2.0
 */
export type Ending =
  | Answer.Outcome
  | "not_found"
  | "method_not_allowed"
  | "too_slow"
  | "broken_off"
  | "malformed_encoding"
  | "unsupported_encoding"
  | "malformed_form"

/**
 * Why a webhook did not come in.
 *
 * @category models
 * @since 0.2.0
 */
export type Reason =
  | Webhook.VerificationReason
  | "NoSecret"
  | "Greeting"
  | "SecretsUnavailable"
  | "VerificationUnavailable"
  | "UnknownTenant"
  | "NoTenant"
  | "TenantUnavailable"
  | "MethodNotAllowed"
  | "TooLarge"
  | "TooSlow"
  | "BrokenOff"
  | "MalformedEncoding"
  | "UnsupportedEncoding"
  | "OverBudget"
  | "BadToken"
  | "NotOneClick"
  | "NotStored"
  | "Died"

/** How a refusal is answered and told of. */
interface Entry {
  readonly ending: Ending
  readonly sentence: string
  /** Whether the fault is ours, so that somebody has to do something about it. */
  readonly isOurs?: true
  /** Whether it is not known that the tenant, which the path named, is there. */
  readonly isAnonymous?: true
}

const refused: Entry = { ending: "refused", sentence: "webhook refused" }

const entries: Readonly<Record<Reason, Entry>> = {
  MissingHeader: refused,
  MalformedSignature: refused,
  BadSignature: refused,
  TimestampOutOfTolerance: refused,
  ReplayedToken: refused,
  UntrustedTopic: refused,
  MisconfiguredSecret: {
    ending: "misconfigured",
    sentence: "a secret is missing or cannot be used",
    isOurs: true
  },
  NoSecret: { ending: "misconfigured", sentence: "no secret is configured", isOurs: true },
  Greeting: { ending: "not_mail", sentence: "a provider tries the address" },
  SecretsUnavailable: {
    ending: "unavailable",
    sentence: "secrets cannot be looked up",
    isOurs: true,
    isAnonymous: true
  },
  VerificationUnavailable: {
    ending: "unavailable",
    sentence: "what verifies a webhook cannot be had",
    isOurs: true
  },
  UnknownTenant: { ending: "not_found", sentence: "webhook of an unknown tenant refused", isAnonymous: true },
  NoTenant: { ending: "tenant_unresolved", sentence: "webhook of no tenant refused" },
  TenantUnavailable: { ending: "unavailable", sentence: "a tenant cannot be told", isOurs: true },
  MethodNotAllowed: { ending: "method_not_allowed", sentence: "webhook refused", isAnonymous: true },
  TooLarge: { ending: "too_large", sentence: "webhook too large" },
  TooSlow: { ending: "too_slow", sentence: "webhook came too slowly" },
  BrokenOff: { ending: "broken_off", sentence: "webhook broke off" },
  MalformedEncoding: { ending: "malformed_encoding", sentence: "webhook is not what its coding says" },
  UnsupportedEncoding: { ending: "unsupported_encoding", sentence: "webhook in a coding that is not understood" },
  OverBudget: { ending: "unavailable", sentence: "too many webhooks at once" },
  BadToken: { ending: "not_found", sentence: "link to unsubscribe refused", isAnonymous: true },
  NotOneClick: { ending: "malformed_form", sentence: "request to unsubscribe not understood" },
  NotStored: { ending: "unavailable", sentence: "webhook not stored", isOurs: true },
  Died: { ending: "unavailable", sentence: "receiving a webhook died", isOurs: true }
}

/**
 * A webhook that does not come in.
 *
 * @category errors
 * @since 0.2.0
 */
export class Refused extends Data.TaggedError("Refused")<{
  readonly reason: Reason
  /** Why storage did not take it. */
  readonly cause?: Attributes.Reason
}> {}

/**
 * How a refusal is answered.
 *
 * @category getters
 * @since 0.2.0
 */
export const ending = ({ reason }: Refused): Ending => entries[reason].ending

/**
 * The refusal of a webhook that storage did not take.
 *
 * @category constructors
 * @since 0.2.0
 */
export const notStored = (error: LedgerError.InvalidInput | LedgerError.LedgerError): Refused =>
  new Refused({ reason: "NotStored", cause: error._tag === "LedgerUnavailable" ? error.reason : error._tag })

/**
 * Why a stored webhook was not understood.
 *
 * @category models
 * @since 0.2.0
 */
export type Misreading =
  | Webhook.MalformedBody["reason"]
  | Webhook.Undecodable["reason"]
  | "InvalidInput"
  | "UnknownProvider"
  | "Died"

const misreadings: Readonly<Record<Misreading, true>> = {
  NotJson: true,
  NotAnArray: true,
  NotAnObject: true,
  UnknownEnvelope: true,
  MissingType: true,
  InvalidInput: true,
  UnknownProvider: true,
  Died: true
}

/**
 * Tells of a webhook that does not come in.
 *
 * @category telling
 * @since 0.2.0
 */
export const tell = (
  { cause, reason }: Refused,
  { name: provider }: Pick<Row.Row, "name">,
  /** Left out where nothing says whose it is. */
  tenantId?: Tenant.TenantId
): Effect.Effect<void> => {
  const { isAnonymous, isOurs, sentence } = entries[reason]
  return (isOurs === true ? Effect.logError(sentence) : Effect.logWarning(sentence)).pipe(
    Attributes.annotateLogs({
      provider,
      reason: cause ?? reason,
      ...isAnonymous !== true && tenantId !== undefined && { tenant_id: tenantId }
    }),
    Effect.andThen(Metrics.update(Metrics.webhooksRefused, 1, { provider, reason }))
  )
}

/**
 * Tells of a stored webhook that is not understood, as a whole or in part.
 *
 * @category telling
 * @since 0.2.0
 */
export const tellMisread = (
  reason: Misreading,
  { provider, tenantId }: { readonly provider: Row.Row["name"]; readonly tenantId: Tenant.TenantId }
): Effect.Effect<void> =>
  Effect.logWarning("webhook not understood").pipe(
    Attributes.annotateLogs({ tenant_id: tenantId, provider, reason }),
    Effect.andThen(Metrics.update(Metrics.webhooksUndecodable, 1, { provider, reason }))
  )

/**
 * Registers the counts of some providers, so that they are exported with 0 before anything is counted.
 *
 * @category registering
 * @since 0.2.0
 */
export const register = (providers: ReadonlyArray<Pick<Row.Row, "name">>): Effect.Effect<void> =>
  Metrics.register(providers.map(({ name }) => name), {
    refused: Struct.keys(entries),
    undecodable: Struct.keys(misreadings)
  })
