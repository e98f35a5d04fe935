/**
 * Models what an inbox is asked: which webhooks to claim, to list, to delete, and whom to forget in them.
 *
 * @since 0.2.0
 */
import type { Duration, Option } from "effect"
import type * as Inbox from "./Inbox.ts"
import type * as Place from "./Place.ts"
import type * as Provider from "./Provider.ts"
import type * as Recipient from "./Recipient.ts"
import type * as Tenant from "./Tenant.ts"
import type * as Timestamp from "./Timestamp.ts"

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
 * Which webhooks to claim.
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
  readonly status: Option.Option<Inbox.WebhookStatus>
  readonly limit: number
  /** Begins after the place of a webhook, by when it was received; at the newest by default. */
  readonly after?: Place.Place
  /** Those of one provider; of all by default. */
  readonly provider?: Provider.Provider
  /** Those that were received at this instant or later. */
  readonly from?: Timestamp.Timestamp
  /** Those that were received before this instant. */
  readonly to?: Timestamp.Timestamp
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
