/**
 * Names the closed set of what logs, spans and metrics may say.
 *
 * No attribute has a type that an address, a subject or a body fits: what is no count is a literal or a brand whose check
 * refuses them. A tenant's id alone may be an address, and is left out where it has an @. Anything else that an object
 * carries is left out.
 *
 * @since 0.1.0
 */
import { Effect, Schema } from "effect"
import type * as AlertRule from "./AlertRule.ts"
import type * as EventType from "./EventType.ts"
import type * as Inbox from "./Inbox.ts"
import type * as LedgerError from "./LedgerError.ts"
import type * as Provider from "./Provider.ts"
import type * as Tenant from "./Tenant.ts"

/**
 * A name that an operator chose, of a schedule, a node or a consumer of the feed: 1 to 128 letters, digits and `_ . : -` or
 * spaces.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Name = Schema.String.check(
  Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9 _.:-]{0,127}$/, {
    message: "must be 1 to 128 letters, digits, spaces and _ . : -, the first a letter or a digit"
  })
).pipe(Schema.brand("Name"))

/**
 * A name that an operator chose.
 *
 * @category models
 * @since 0.1.0
 */
export type Name = typeof Name.Type

/**
 * How something ended.
 *
 * @category models
 * @since 0.1.0
 */
export type Outcome = "done" | "failed" | "stopped"

/**
 * Why a webhook's sender was not believed.
 *
 * `MissingHeader`: what carries the signature is absent. `MalformedSignature`: it is there and cannot be read.
 * `BadSignature`: it was not made with a secret we know. `TimestampOutOfTolerance`: it was, too long ago or ahead.
 * `ReplayedToken`: its token was used for another body. `UntrustedTopic`: it comes from a topic that is not allowed.
 * `MisconfiguredSecret`: there is no secret, or one that cannot be used; the fault is ours.
 *
 * @category constants
 * @since 0.2.0
 */
export const verificationReasons = [
  "MissingHeader",
  "MalformedSignature",
  "BadSignature",
  "TimestampOutOfTolerance",
  "ReplayedToken",
  "UntrustedTopic",
  "MisconfiguredSecret"
] as const

/**
 * Why something was refused or not done, beside the reasons of a database that is not available.
 *
 * @category constants
 * @since 0.2.0
 */
export const reasons = [
  ...verificationReasons,
  "NoSecret",
  "Greeting",
  "SecretsUnavailable",
  "VerificationUnavailable",
  "UnknownTenant",
  "NoTenant",
  "TenantUnavailable",
  "MethodNotAllowed",
  "TooLarge",
  "TooSlow",
  "BrokenOff",
  "MalformedEncoding",
  "UnsupportedEncoding",
  "OverBudget",
  "BadToken",
  "NotOneClick",
  "NotStored",
  "Died",
  "NotJson",
  "NotAnArray",
  "NotAnObject",
  "UnknownEnvelope",
  "UnknownProvider",
  "MissingType",
  "InvalidInput",
  "LedgerImmutable",
  "SchemaNotMigrated",
  "SchemaTooNew"
] as const

/**
 * Why something was refused or not done.
 *
 * @category models
 * @since 0.2.0
 */
export type Reason = typeof reasons[number] | LedgerError.LedgerUnavailable["reason"]

/**
 * What may be counted.
 *
 * @category constants
 * @since 0.1.0
 */
export const counts = [
  "appended",
  "duplicate",
  "conflict",
  "orphaned",
  "scanned",
  "linked",
  "failed",
  "remaining",
  "handled",
  "webhooks",
  "ticks"
] as const

/**
 * What logs, spans and metrics may say.
 *
 * @category models
 * @since 0.1.0
 */
export interface Attributes extends Partial<Readonly<Record<typeof counts[number], number>>> {
  readonly tenant_id?: Tenant.TenantId
  readonly provider?: Provider.Provider
  readonly event_type?: EventType.EventType
  readonly outcome?: Outcome
  readonly reason?: Reason
  readonly status?: Inbox.WebhookStatus
  readonly rule?: AlertRule.Name
  readonly schedule?: Name
  readonly node?: Name
  readonly consumer?: Name
}

const names: ReadonlyArray<keyof Attributes> = [
  "tenant_id",
  "provider",
  "event_type",
  "outcome",
  "reason",
  "status",
  "rule",
  "schedule",
  "node",
  "consumer",
  ...counts
]

const mayBeAddress = (value: string | number): boolean => typeof value === "string" && value.includes("@")

/**
 * The attributes that are on the list and can be no address, and nothing else.
 *
 * @category getters
 * @since 0.1.0
 */
export const pick = (attributes: Attributes): Readonly<Record<string, string | number>> => {
  const picked: Record<string, string | number> = {}
  for (const name of names) {
    const value = attributes[name]
    if (value !== undefined && !mayBeAddress(value)) picked[name] = value
  }
  return picked
}

/**
 * The attributes of a metric, as text.
 *
 * @category getters
 * @since 0.1.0
 */
export const labels = (attributes: Omit<Attributes, typeof counts[number]>): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(pick(attributes)).map(([name, value]) => [name, String(value)]))

/**
 * Adds attributes to what an effect logs.
 *
 * @category annotating
 * @since 0.1.0
 */
export const annotateLogs = (
  attributes: Attributes
): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> => Effect.annotateLogs(pick(attributes))

/**
 * Adds attributes to the span in hand.
 *
 * @category annotating
 * @since 0.1.0
 */
export const annotateSpan = (attributes: Attributes): Effect.Effect<void> =>
  Effect.annotateCurrentSpan(pick(attributes))
