/**
 * Defines the port by which what is stored is compared with the ledger, and brought in line with it again.
 *
 * @since 0.2.0
 */
import { Context, type Effect, type Option } from "effect"
import type * as Drift from "./Drift.ts"
import type { InvalidInput, LedgerError } from "./LedgerError.ts"
import type * as Tenant from "./Tenant.ts"

/**
 * Which part of what is stored to compare with the ledger.
 *
 * @category models
 * @since 0.2.0
 */
export interface Query {
  readonly part: "deliveries" | "orphans"
  readonly scope: Tenant.Scope
  /** The `next` of the page before. */
  readonly after: Option.Option<string>
  /** How many rows to compare at most. */
  readonly limit: number
}

/**
 * What one page of a comparison found.
 *
 * @category models
 * @since 0.2.0
 */
export interface Page {
  readonly checked: number
  readonly drifts: ReadonlyArray<Drift.Drift>
  /** Where the next page begins; absent after the last. */
  readonly next: Option.Option<string>
}

/**
 * What a repair of the feed did.
 *
 * @category models
 * @since 0.2.0
 */
export interface FeedRepaired {
  /** The epoch that it began; none where there was nothing to repair. */
  readonly epoch: Option.Option<number>
  /** How many restored events had been held back and are shown now. */
  readonly shown: number
  /** How many events that were appended since the restore follow the restored ones now. */
  readonly moved: number
}

/**
 * The comparison of one installation with its ledger.
 *
 * @category services
 * @since 0.2.0
 */
export class Audit extends Context.Service<Audit, {
  /** Compares one page of what is stored with the ledger and changes nothing. */
  readonly verify: (query: Query) => Effect.Effect<Page, InvalidInput | LedgerError>

  /** Compares one page of what is stored with the ledger and repairs the drifts it returns, in one transaction. */
  readonly rebuild: (query: Query) => Effect.Effect<Page, InvalidInput | LedgerError>

  /**
   * Begins a new epoch of the feed where the database was restored, promoted or moved, so that every event of before is shown
   * and every later one follows them. It waits for the transactions that are writing, and does nothing where nothing is
   * wrong. Places that the feed gave before stay valid.
   */
  readonly repairFeed: Effect.Effect<FeedRepaired, LedgerError>
}>()("@waybill/core/Audit") {}
