/**
 * Defines the port that keeps verified webhooks raw, before anything can fail on their content.
 *
 * @since 0.1.0
 */
import { Context, DateTime, type Duration, type Effect, Option, Result, Schema } from "effect"
import { invalid, type InvalidInput, type LedgerError } from "./LedgerError.ts"
import type * as Place from "./Place.ts"
import * as Provider from "./Provider.ts"
import * as Recipient from "./Recipient.ts"
import * as Retry from "./Retry.ts"
import * as Tenant from "./Tenant.ts"
import * as Text from "./Text.ts"
import * as Timestamp from "./Timestamp.ts"

/**
 * A webhook's id, a UUIDv7 that the inbox gives.
 *
 * @category schemas
 * @since 0.1.0
 */
export const WebhookId = Schema.String.check(
  Schema.isPattern(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/, {
    message: "must be a UUID in lower case"
  })
).pipe(Schema.brand("WebhookId"))

/**
 * A webhook's id.
 *
 * @category models
 * @since 0.1.0
 */
export type WebhookId = typeof WebhookId.Type

/**
 * Where a webhook stands: to be processed at once (`received`), being normalized (`processing`), in the ledger
 * (`succeeded`), not understood or postponed and to be tried again (`failed`), or given up after bounded tries (`dead`).
 *
 * @category schemas
 * @since 0.1.0
 */
export const WebhookStatus = Schema.Literals(["received", "processing", "succeeded", "failed", "dead"])

/**
 * Where a webhook stands.
 *
 * @category models
 * @since 0.1.0
 */
export type WebhookStatus = typeof WebhookStatus.Type

/**
 * A verified webhook, as it came.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Webhook = Schema.Struct({
  id: WebhookId,
  tenantId: Tenant.TenantId,
  provider: Provider.Provider,
  /** The headers that normalizing or verifying it again needs, by their lower-case names. */
  headers: Schema.Record(Schema.String, Schema.String),
  /** The bytes as they came. */
  body: Schema.Uint8Array,
  status: WebhookStatus,
  /** How often processing it was begun. */
  attempts: Schema.Int,
  /** Why the last try failed; it names no address. */
  lastError: Schema.OptionFromNullOr(Schema.String),
  receivedAt: Timestamp.Timestamp,
  processedAt: Schema.OptionFromNullOr(Timestamp.Timestamp)
})

/**
 * A verified webhook, as it came.
 *
 * @category models
 * @since 0.1.0
 */
export type Webhook = typeof Webhook.Type

/**
 * A token that may authenticate one body only (Mailgun).
 *
 * @category models
 * @since 0.1.0
 */
export interface Token {
  readonly value: string
  /** Whose secrets verified it: it is consumed there, whosever the webhook is, because an unverified body may say that. */
  readonly verifiedBy: Tenant.TenantId
}

/**
 * A verified webhook to be stored.
 *
 * @category models
 * @since 0.1.0
 */
export interface NewWebhook {
  readonly tenantId: Tenant.TenantId
  readonly provider: Provider.Provider
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  readonly token: Option.Option<Token>
}

/**
 * The most bytes that a body may have, so that every store can give it back.
 *
 * @category constants
 * @since 0.1.0
 */
export const maxBodyBytes = 15_000_000

/**
 * Checks that a webhook can be stored exactly and given back.
 *
 * @category validation
 * @since 0.1.0
 */
export const check = (webhook: NewWebhook): Result.Result<NewWebhook, InvalidInput> => {
  const refuse = (field: string, issue = "must be well-formed text without NUL") =>
    Result.fail(invalid("webhook", `${field}: ${issue}`))
  if (!Object.entries(webhook.headers).flat().every(Text.isStorable)) return refuse("headers")
  if (Option.exists(webhook.token, ({ value }) => !Text.isStorable(value))) return refuse("token")
  if (webhook.body.length > maxBodyBytes) return refuse("body", `must be at most ${maxBodyBytes} bytes`)
  return Result.succeed(webhook)
}

/**
 * What storing a webhook did: a token that came before with the same bytes is `Repeated`, and gives the webhook that it
 * came with.
 *
 * @category models
 * @since 0.1.0
 */
export type Stored =
  | { readonly _tag: "Stored"; readonly id: WebhookId; readonly receivedAt: Timestamp.Timestamp }
  | { readonly _tag: "Repeated"; readonly id: WebhookId }

/**
 * The token came before over another body; nothing was stored.
 *
 * @category errors
 * @since 0.1.0
 */
export class TokenReplayed extends Schema.TaggedError<TokenReplayed>("@waybill/core/TokenReplayed")("TokenReplayed", {
  tenantId: Tenant.TenantId,
  provider: Provider.Provider
}) {
  override get message(): string {
    return "the token was used before, over another body"
  }
}

/**
 * The tenant has no such webhook.
 *
 * @category errors
 * @since 0.1.0
 */
export class WebhookNotFound extends Schema.TaggedError<WebhookNotFound>("@waybill/core/WebhookNotFound")(
  "WebhookNotFound",
  { webhookId: WebhookId }
) {
  override get message(): string {
    return `there is no webhook ${this.webhookId}`
  }
}

/**
 * Names one webhook.
 *
 * @category models
 * @since 0.1.0
 */
export type WebhookKey = Pick<Webhook, "tenantId" | "id">

/**
 * What a list of webhooks shows.
 *
 * @category models
 * @since 0.1.0
 */
export type Summary = Omit<Webhook, "body" | "headers">

/**
 * How many webhooks of a tenant have a status.
 *
 * @category models
 * @since 0.1.0
 */
export interface Count {
  readonly tenantId: Tenant.TenantId
  readonly status: WebhookStatus
  readonly count: number
}

/**
 * The statuses of webhooks that are not in the ledger yet: those that wait, and those that were given up.
 *
 * @category constants
 * @since 0.2.0
 */
export const unfinished = ["received", "processing", "failed", "dead"] as const satisfies ReadonlyArray<WebhookStatus>

/**
 * How a try at a webhook ended; a postponed one had a reason outside the webhook and is not counted.
 *
 * @category models
 * @since 0.2.0
 */
export type Ending =
  | { readonly _tag: "Succeeded" }
  | { readonly _tag: "Postponed"; readonly reason: string }
  | { readonly _tag: "Failed"; readonly reason: string }
  | { readonly _tag: "Dead"; readonly reason: string }

/**
 * What each ending makes of a webhook: its status, and whether the try is counted.
 *
 * @category constants
 * @since 0.2.0
 */
export const endings: Readonly<
  Record<Ending["_tag"], { readonly status: "succeeded" | "failed" | "dead"; readonly isCounted: boolean }>
> = {
  Succeeded: { status: "succeeded", isCounted: true },
  Postponed: { status: "failed", isCounted: false },
  Failed: { status: "failed", isCounted: true },
  Dead: { status: "dead", isCounted: true }
}

/**
 * How often a webhook is tried before it is given up: once, and again after each of `Retry.waits`.
 *
 * @category constants
 * @since 0.2.0
 */
export const maxTries = Retry.waits.length + 1

/**
 * Gives up where the last of the bounded tries failed; any other ending is left as it is.
 *
 * @category decisions
 * @since 0.2.0
 */
export const giveUp = (ending: Ending, attempts: number): Ending =>
  ending._tag === "Failed" && attempts >= maxTries ? { _tag: "Dead", reason: ending.reason } : ending

/**
 * What a webhook's row says once a try has ended.
 *
 * @category models
 * @since 0.2.0
 */
export interface Concluded extends Pick<Webhook, "status" | "attempts" | "lastError"> {
  /** When it may be tried again; absent where it is not to be tried again. */
  readonly nextAttemptAt: Option.Option<Timestamp.Timestamp>
}

/**
 * Decides what the end of a try makes of a webhook that was begun so often: a failed one waits longer each time, a postponed
 * one takes its try back and waits the first of the waits.
 *
 * @category decisions
 * @since 0.2.0
 */
export const conclude = (ending: Ending, attempts: number, now: Timestamp.Timestamp): Concluded => {
  const { isCounted, status } = endings[ending._tag]
  return {
    status,
    attempts: isCounted ? attempts : Math.max(attempts - 1, 0),
    lastError: ending._tag === "Succeeded" ? Option.none() : Option.some(ending.reason),
    nextAttemptAt: status === "failed"
      ? Option.some(DateTime.addDuration(now, Retry.waitAfter(isCounted ? attempts : 1)))
      : Option.none()
  }
}

/**
 * How long raw webhooks are kept after their last try, by status; what is absent is kept for good.
 *
 * @category models
 * @since 0.1.0
 */
export interface Retention {
  readonly succeeded: Option.Option<Duration.Duration>
  readonly dead: Option.Option<Duration.Duration>
  readonly failed: Option.Option<Duration.Duration>
}

/**
 * Which webhooks to claim, oldest first.
 *
 * @category models
 * @since 0.2.0
 */
export interface ClaimQuery {
  readonly scope: Tenant.Scope
  readonly limit: number
  /** How long ago processing must have begun to count as ended by a crash. */
  readonly stalledFor: Duration.Duration
}

/**
 * Which webhooks to list.
 *
 * @category models
 * @since 0.2.0
 */
export interface ListQuery {
  readonly scope: Tenant.Scope
  readonly status: Option.Option<WebhookStatus>
  readonly limit: number
  /** Begins after the place of a webhook, by when it was received; at the newest by default. */
  readonly after?: Place.Place
}

/**
 * Which webhooks to delete.
 *
 * @category models
 * @since 0.2.0
 */
export interface PruneQuery {
  readonly retention: Retention
  readonly limit: number
  /** Counts and deletes nothing. */
  readonly dryRun: boolean
}

/**
 * Whom to forget.
 *
 * @category models
 * @since 0.2.0
 */
export interface ForgetQuery {
  readonly tenantId: Tenant.TenantId
  readonly recipient: Recipient.Recipient
}

/**
 * Stands in raw webhooks for a recipient who was forgotten.
 *
 * @category constants
 * @since 0.1.0
 */
export const standIn: Recipient.Recipient = Recipient.Recipient.make("forgotten@forgotten.invalid")

/**
 * The raw webhooks of one installation.
 *
 * @category services
 * @since 0.1.0
 */
export class Inbox extends Context.Service<Inbox, {
  /** Stores a verified webhook as `processing`, in its own short transaction, and consumes its token in the same. */
  readonly store: (webhook: NewWebhook) => Effect.Effect<Stored, TokenReplayed | InvalidInput | LedgerError>

  /**
   * Notes how a try ended. After one that failed the webhook may be claimed again after a growing wait, after one that was
   * postponed after the first wait. A webhook whose try has ended already is left as it is.
   */
  readonly finish: (key: WebhookKey, ending: Ending) => Effect.Effect<void, LedgerError>

  /**
   * Claims webhooks to be processed, oldest first, and counts a try for each: those that failed and have waited, and those
   * whose processing was begun more than `stalledFor` ago and never ended, as after a crash.
   */
  readonly claim: (query: ClaimQuery) => Effect.Effect<ReadonlyArray<Webhook>, InvalidInput | LedgerError>

  /** Returns one webhook. */
  readonly get: (scope: Tenant.Scope, id: WebhookId) => Effect.Effect<Option.Option<Webhook>, LedgerError>

  /** Returns webhooks, newest first, without headers and bodies. */
  readonly list: (query: ListQuery) => Effect.Effect<ReadonlyArray<Summary>, InvalidInput | LedgerError>

  /** Makes a webhook of any status claimable at once, its tries forgotten; false where there is none. */
  readonly release: (scope: Tenant.Scope, id: WebhookId) => Effect.Effect<boolean, LedgerError>

  /** Counts webhooks by tenant and status; of all statuses by default, which costs what is kept. */
  readonly counts: (
    scope: Tenant.Scope,
    statuses?: ReadonlyArray<WebhookStatus>
  ) => Effect.Effect<ReadonlyArray<Count>, LedgerError>

  /** Deletes at most `limit` webhooks that have been kept long enough and returns how many; with `dryRun` only counts. */
  readonly prune: (query: PruneQuery) => Effect.Effect<number, InvalidInput | LedgerError>

  /** Puts the stand-in for a recipient into a tenant's raw webhooks and returns how many named it. */
  readonly forget: (query: ForgetQuery) => Effect.Effect<number, LedgerError>
}>()("@waybill/core/Inbox") {}
