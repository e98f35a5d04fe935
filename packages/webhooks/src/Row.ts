/**
 * Defines a provider's row: all that Waybill knows of the provider, and the only thing that the rest has to know.
 *
 * The row itself holds everything that needs no service: name, settings, statuses, the reading of a body. The rest may need
 * the network: `open` builds it once, and it closes over what it needs. So nobody who verifies a request has to know of
 * Amazon's certificates.
 *
 * @since 0.2.0
 */
import type { Inbox, Provider } from "@waybill/core"
import { Effect, type Option, type Result } from "effect"
import type * as HttpClient from "effect/http/HttpClient"
import type { Credentials, SecretsUnavailable } from "./Credentials.ts"
import type * as Webhook from "./Webhook.ts"

/**
 * The setting that holds the secrets of a provider.
 *
 * @category models
 * @since 0.2.0
 */
export interface SecretsSetting {
  /** The environment variable; it may hold several, separated by commas. */
  readonly variable: string
  /** A few words on what a secret is. */
  readonly about: string
  /** Whether it may be shown: it tells senders apart and proves nothing. */
  readonly isPublic?: boolean
}

/**
 * A setting of a provider's own that is on or off; off by default.
 *
 * @category models
 * @since 0.2.0
 */
export interface SwitchSetting {
  /** The name by which `Credentials` says that it is on; no two rows share one. */
  readonly name: string
  /** The environment variable. */
  readonly variable: string
  /** A few words on what it switches on. */
  readonly about: string
}

/**
 * Decides whether the provider sent a request; malformed input is refused and never throws.
 *
 * @category models
 * @since 0.2.0
 */
export type Verify = (
  attempt: Webhook.Attempt
) => Effect.Effect<Webhook.Verified, Webhook.VerificationError | Webhook.VerificationUnavailable>

/**
 * Refuses a request by what its headers alone tell, before its body is read; what it lets pass is still to be verified.
 *
 * @category models
 * @since 0.2.0
 */
export type Admit = (
  head: Pick<Webhook.Attempt, "headers" | "secrets">
) => Effect.Effect<void, Webhook.VerificationError>

/**
 * Does what a provider asks for beside events, such as confirming a subscription. It runs at each try of a stored webhook,
 * before the events are appended. Where it fails, the events are appended all the same and the webhook is tried again.
 *
 * @category models
 * @since 0.2.0
 */
export type FollowUp = (
  webhook: Inbox.Webhook,
  /** The settings of the webhook's tenant, looked up when they are asked for. */
  credentials: Effect.Effect<Option.Option<Credentials>, SecretsUnavailable>
) => Effect.Effect<void, Webhook.FollowUpFailed>

/**
 * The part of a row that may need the network.
 *
 * @category models
 * @since 0.2.0
 */
export interface Open {
  readonly verify: Verify
  /** None where the provider asks for nothing beside events. */
  readonly followUp?: FollowUp
}

/**
 * A provider's row in the table of providers.
 *
 * @category models
 * @since 0.2.0
 */
export interface Row {
  readonly name: Provider.Provider
  readonly secrets: SecretsSetting
  /** The provider's other settings; none by default. */
  readonly switches?: ReadonlyArray<SwitchSetting>
  /** The headers to keep beside the body; none of them is a secret. */
  readonly headers: ReadonlyArray<string>
  /** The status that makes the provider give up a request that was refused. */
  readonly refusal: 401 | 406
  /** The status that makes the provider send a request again later; some drop an event at any 5xx. */
  readonly unavailable: 503 | 429
  /** Absent where the headers tell nothing, because the signature is in the body. */
  readonly admit?: Admit
  /**
   * Reduces a body to events, piece by piece, each when it is asked for, so that a body of many items holds up nobody. The
   * same event gives the same idempotency key, however often and in whatever batch.
   */
  readonly normalize: (received: Webhook.Received) => Result.Result<Iterable<Webhook.Normalized>, Webhook.MalformedBody>
  /** Builds the part that may need the network, once for each application. */
  readonly open: Effect.Effect<Open, never, HttpClient.HttpClient>
}

/**
 * A row that was opened.
 *
 * @category models
 * @since 0.2.0
 */
export interface OpenRow extends Row, Open {}

/**
 * Opens a row.
 *
 * @category constructors
 * @since 0.2.0
 */
export const open = (row: Row): Effect.Effect<OpenRow, never, HttpClient.HttpClient> =>
  Effect.map(row.open, (open) => ({ ...row, ...open }))
