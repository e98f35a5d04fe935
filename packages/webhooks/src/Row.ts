/**
 * Defines a provider's row: all that Waybill knows of the provider, and the only thing that the rest has to know.
 *
 * What is known without any service is in the row itself: its name, its settings, how it is answered, how a body is read.
 * What needs the network is built once, by `open`, and closes over what it needs. So nobody who verifies a request has to
 * know of Amazon's certificates.
 *
 * @since 0.2.0
 */
import type { Inbox, Provider } from "@waybill/core"
import { Effect, type Option, type Result } from "effect"
import type * as HttpClient from "effect/http/HttpClient"
import type { Credentials, SecretsUnavailable } from "./Secrets.ts"
import type * as Webhook from "./Webhook.ts"

/**
 * The setting that holds what a provider's requests are verified with.
 *
 * @category models
 * @since 0.2.0
 */
export interface SecretsSetting {
  /** The environment variable; it may hold several, separated by commas. */
  readonly variable: string
  /** What a secret is, in a few words. */
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
  /** What it switches on, in a few words. */
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
 * Does what a provider asks for beside events, such as confirming a subscription. It runs each time that a stored webhook
 * is processed, before its events are appended; where it fails they are appended all the same, and the webhook is tried
 * again.
 *
 * @category models
 * @since 0.2.0
 */
export type FollowUp = (
  webhook: Inbox.Webhook,
  /** What the webhook's tenant has set, looked up when it is asked for. */
  credentials: Effect.Effect<Option.Option<Credentials>, SecretsUnavailable>
) => Effect.Effect<void, Webhook.FollowUpFailed>

/**
 * What a row does once it has what it needs.
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
  /**
   * Reduces a body to events, piece by piece, each when it is asked for, so that a body of many items holds up nobody. The
   * same event gives the same idempotency key, however often and in whatever batch.
   */
  readonly normalize: (received: Webhook.Received) => Result.Result<Iterable<Webhook.Normalized>, Webhook.MalformedBody>
  /** Builds what verifies and follows up, once for each application. */
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
