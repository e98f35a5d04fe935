/**
 * Models what became of a try at a webhook.
 *
 * @since 0.2.0
 */
import type { Inbox } from "@waybill/core"

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
