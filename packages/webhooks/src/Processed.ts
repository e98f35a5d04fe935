/**
 * Models what became of a try at a webhook, and of the tries of many.
 *
 * @since 0.2.0
 */
import type { Inbox, InboxQuery, Tenant } from "@waybill/core"
import type { Duration, Effect } from "effect"

/**
 * The number of things that were found in a webhook, by what became of them.
 *
 * @category models
 * @since 0.1.0
 */
export interface Counts {
  /** Events that are new in the ledger. */
  readonly appended: number
  /** Events that were in the ledger. */
  readonly duplicates: number
  /** Events whose key stands in the ledger for one that says something else; the stored one is unchanged. */
  readonly conflicts: number
  /** Those of the new that have no delivery yet. */
  readonly orphans: number
  /** Those of all that are of a type we do not know. */
  readonly unknown: number
  /** Items that could not be understood. */
  readonly undecodable: number
  /** Items that are not about a message we sent, and events of somebody who is forgotten. */
  readonly ignored: number
}

/**
 * How a try at a webhook ended, and what it did.
 *
 * @category models
 * @since 0.1.0
 */
export interface Processed {
  readonly result: Inbox.Ending
  readonly counts: Counts
}

/**
 * The reach of a sweep of the inbox.
 *
 * @category models
 * @since 0.1.0
 */
export interface SweepOptions {
  /** One tenant; without it all of them. */
  readonly tenantId?: Tenant.TenantId
  /** How long processing may take before it counts as stalled; 5 minutes by default. */
  readonly stalledFor?: Duration.Input
  /** The most webhooks a second; by default as many as can be, with a rest after each batch while others come in. */
  readonly rate?: number
  /** Told after each batch what was done so far. */
  readonly onBatch?: (sofar: Swept) => Effect.Effect<void>
}

/**
 * Which webhooks to process again, whatever their status.
 *
 * @category models
 * @since 0.2.0
 */
export interface ReplayQuery extends Omit<InboxQuery.ListQuery, "limit" | "after"> {
  /** The most webhooks a second; by default as in a sweep. */
  readonly rate?: number
  /** Told of each batch, whose tries have ended, and what was done so far. */
  readonly onBatch?: (sofar: Swept, batch: ReadonlyArray<Replayed>) => Effect.Effect<void>
}

/**
 * A webhook that was processed again, and how that ended.
 *
 * @category models
 * @since 0.2.0
 */
export interface Replayed extends Processed {
  readonly id: Inbox.WebhookId
}

/**
 * The result of a sweep of the inbox.
 *
 * @category models
 * @since 0.1.0
 */
export interface Swept {
  readonly claimed: number
  readonly succeeded: number
  readonly postponed: number
  readonly failed: number
  readonly dead: number
  /** Events that are new in the ledger. */
  readonly appended: number
}
