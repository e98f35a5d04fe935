/**
 * Defines the port that keeps verified webhooks raw, before anything can fail on their content.
 *
 * @since 0.1.0
 */
import { Context, type Effect, Option, Result, Schema } from "effect"
import type * as Event from "./Event.ts"
import type * as InboxQuery from "./InboxQuery.ts"
import type * as Ledger from "./Ledger.ts"
import { invalid, type InvalidInput, type LedgerError } from "./LedgerError.ts"
import * as Provider from "./Provider.ts"
import * as Recipient from "./Recipient.ts"
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
 * The most bytes of bodies that are claimed at once; one that is larger comes alone.
 *
 * @category constants
 * @since 0.2.0
 */
export const maxClaimedBytes = 16_000_000

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
 * A token came before with the same bytes: the webhook that it came with.
 *
 * @category models
 * @since 0.2.0
 */
export type Repeated = { readonly _tag: "Repeated"; readonly id: WebhookId }

/**
 * What storing a webhook did.
 *
 * @category models
 * @since 0.1.0
 */
export type Stored =
  | { readonly _tag: "Stored"; readonly id: WebhookId; readonly receivedAt: Timestamp.Timestamp }
  | Repeated

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
 * The events that were read from a webhook, and how that ended.
 *
 * @category models
 * @since 0.2.0
 */
export interface Read {
  readonly events: ReadonlyArray<Event.NewEvent>
  readonly ending: Ending
}

/**
 * What was read from a webhook in hand.
 *
 * @category models
 * @since 0.2.0
 */
export interface Settlement extends Read {
  readonly id: WebhookId
}

/**
 * What was read from a webhook before it was stored, and when it was received.
 *
 * @category models
 * @since 0.2.0
 */
export interface FirstRead extends Read {
  readonly receivedAt: Timestamp.Timestamp
}

/**
 * What taking a webhook did, with the outcomes of its events.
 *
 * @category models
 * @since 0.2.0
 */
export type Taken =
  | { readonly _tag: "Taken"; readonly id: WebhookId; readonly outcomes: ReadonlyArray<Ledger.Outcome> }
  | Repeated

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
   * Stores a verified webhook with what was read from it, its first try: appends the events, notes how that ended and consumes
   * the token, all of it or nothing. Where an event is a conflict, the webhook stays in hand, for the caller to finish.
   */
  readonly take: (
    webhook: NewWebhook,
    read: FirstRead
  ) => Effect.Effect<Taken, TokenReplayed | InvalidInput | LedgerError>

  /**
   * Notes how a try ended. After one that failed the webhook may be claimed again after a growing wait, after one that was
   * postponed after the first wait. A webhook whose try has ended already is left as it is.
   */
  readonly finish: (key: WebhookKey, ending: Ending) => Effect.Effect<void, LedgerError>

  /**
   * Appends what was read from webhooks of a tenant in hand and notes how their tries ended, all of it or nothing; returns the
   * outcomes of each webhook's events. Where one of them is a conflict, its webhook stays in hand, for the caller to finish.
   */
  readonly settle: (
    tenantId: Tenant.TenantId,
    settlements: ReadonlyArray<Settlement>
  ) => Effect.Effect<ReadonlyArray<ReadonlyArray<Ledger.Outcome>>, InvalidInput | LedgerError>

  /**
   * Claims webhooks to be processed and counts a try for each. First those that were released, and those that failed and have
   * waited: no more than a fair share of each tenant and provider at once, the longest due first, and no more than
   * `maxClaimedBytes`. Where there are none, one whose processing was begun more than `stalledFor` ago and never ended, as
   * after a crash: alone, so that one which ends its process each time costs no other a try.
   */
  readonly claim: (query: InboxQuery.ClaimQuery) => Effect.Effect<ReadonlyArray<Webhook>, InvalidInput | LedgerError>

  /**
   * Claims webhooks by their ids, of any status and at once, as if each was released first; as many of the first as
   * `maxClaimedBytes` allows. Those that are not there are left out.
   */
  readonly reclaim: (
    scope: Tenant.Scope,
    ids: ReadonlyArray<WebhookId>
  ) => Effect.Effect<ReadonlyArray<Webhook>, LedgerError>

  /** Returns one webhook. */
  readonly get: (scope: Tenant.Scope, id: WebhookId) => Effect.Effect<Option.Option<Webhook>, LedgerError>

  /** Returns webhooks, newest first, without headers and bodies. */
  readonly list: (query: InboxQuery.ListQuery) => Effect.Effect<ReadonlyArray<Summary>, InvalidInput | LedgerError>

  /** Makes a webhook of any status claimable at once, its tries forgotten; false where there is none. */
  readonly release: (scope: Tenant.Scope, id: WebhookId) => Effect.Effect<boolean, LedgerError>

  /** Counts webhooks by tenant and status; of all statuses by default, which costs what is kept. */
  readonly counts: (
    scope: Tenant.Scope,
    statuses?: ReadonlyArray<WebhookStatus>
  ) => Effect.Effect<ReadonlyArray<Count>, LedgerError>

  /** Deletes at most `limit` webhooks that have been kept long enough and returns how many; with `dryRun` only counts. */
  readonly prune: (query: InboxQuery.PruneQuery) => Effect.Effect<number, InvalidInput | LedgerError>

  /** Puts the stand-in for a recipient into a tenant's raw webhooks and returns how many named it. */
  readonly forget: (query: InboxQuery.ForgetQuery) => Effect.Effect<number, LedgerError>
}>()("@waybill/core/Inbox") {}
