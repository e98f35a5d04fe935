/**
 * Defines the port by which whom a tenant must not mail is asked, listed and changed by hand.
 *
 * Events change it where they are appended and linked, in the same transaction. Each operation is atomic. Nothing read or
 * written for one tenant depends on another's rows.
 *
 * An adapter implements `SuppressionStore.Store`; `SuppressionStore.make` gives the port over it.
 *
 * @since 0.2.0
 */
import { Context, type Effect, type Option } from "effect"
import type * as Act from "./Act.ts"
import type * as Delivery from "./Delivery.ts"
import type * as Event from "./Event.ts"
import type { InvalidInput, LedgerError, LiftRefused } from "./LedgerError.ts"
import type * as Recipient from "./Recipient.ts"
import type * as Suppression from "./Suppression.ts"
import type * as Tenant from "./Tenant.ts"
import type * as Timestamp from "./Timestamp.ts"

/**
 * How many addresses one call asks for or adds at most.
 *
 * @category constants
 * @since 0.2.0
 */
export const maxRecipients = 1000

/**
 * Which addresses to ask for.
 *
 * @category models
 * @since 0.2.0
 */
export interface Check {
  readonly tenantId: Tenant.TenantId
  /** At most `maxRecipients`. */
  readonly recipients: ReadonlyArray<Recipient.Recipient>
  /** Returns only what keeps mail of this stream from them. */
  readonly stream: Option.Option<Delivery.Stream>
}

/**
 * Which suppressions to list.
 *
 * @category models
 * @since 0.2.0
 */
export interface Query {
  readonly tenantId: Tenant.TenantId
  readonly reason: Option.Option<Suppression.Reason>
  /** Returns only what keeps mail of this stream from somebody. */
  readonly stream: Option.Option<Delivery.Stream>
  /** Leaves out what is suppressed since before this instant. */
  readonly from: Option.Option<Timestamp.Timestamp>
  /** Leaves out what is suppressed since after this instant. */
  readonly to: Option.Option<Timestamp.Timestamp>
  /** The `next` of the page before. */
  readonly after: Option.Option<string>
  readonly limit: number
  /** How many addresses the page looks at at most, 1 to 10,000; `defaultReach` by default. */
  readonly reach?: number
}

/**
 * How many addresses one page looks at at most, so that a listing which shows few of them costs a bounded time.
 *
 * @category constants
 * @since 0.2.0
 */
export const defaultReach = 10_000

/**
 * One page of a listing, in an order of its own that never changes. One that has a `next` may be short, or empty: it looked as far
 * as it may.
 *
 * @category models
 * @since 0.2.0
 */
export interface Page {
  readonly suppressions: ReadonlyArray<Suppression.Suppression>
  /** Where the next page begins; absent after the last. */
  readonly next: Option.Option<string>
}

/**
 * What to add by hand.
 *
 * @category models
 * @since 0.2.0
 */
export interface Addition {
  readonly recipient: Recipient.Recipient
  readonly reason: Suppression.Reason
  /** The stream to suppress; absent for all. */
  readonly stream: Option.Option<Delivery.Stream>
  /** When its cause happened; absent for now. */
  readonly since: Option.Option<Timestamp.Timestamp>
}

/**
 * Additions by hand, of one person or of an import.
 *
 * @category models
 * @since 0.2.0
 */
export interface Add {
  readonly tenantId: Tenant.TenantId
  /** At most `maxRecipients`. */
  readonly additions: ReadonlyArray<Addition>
  /** Who adds them. It names no address. */
  readonly actor: string
  /** Why. It names no address. */
  readonly because: Option.Option<string>
  /** Tells the outcomes and writes nothing; false without it. */
  readonly dryRun?: boolean
}

/**
 * A lift by hand.
 *
 * @category models
 * @since 0.2.0
 */
export interface Lift {
  readonly tenantId: Tenant.TenantId
  readonly recipient: Recipient.Recipient
  readonly reason: Suppression.Reason
  /** The stream to lift it on; absent for wherever it holds. */
  readonly stream: Option.Option<Delivery.Stream>
  /** Who lifts it. It names no address. */
  readonly actor: string
  /** Why; a complaint asks for it. It names no address. */
  readonly because: Option.Option<string>
}

/**
 * What one addition did: it holds now, it held already, or it lapsed: it was lifted later or has ended, so that it was not
 * written.
 *
 * @category models
 * @since 0.2.0
 */
export type Outcome = Act.Addition["_tag"]

/**
 * A cause or a lift in the history of an address: an event, or an act with who did it and why.
 *
 * @category models
 * @since 0.2.0
 */
export interface Entry {
  readonly reason: Suppression.Reason
  readonly stream: Option.Option<Delivery.Stream>
  readonly lifts: boolean
  /** When it happened, or took effect. */
  readonly at: Timestamp.Timestamp
  /** The event that it is, or that was kept of it. */
  readonly eventId: Option.Option<Event.EventId>
  /** What was done by hand; absent for an event. */
  readonly act: Option.Option<Pick<Act.Act, "kind" | "actedAt" | "actor" | "because">>
}

/**
 * Whom a tenant must not mail.
 *
 * @category services
 * @since 0.2.0
 */
export class Suppressions extends Context.Service<Suppressions, {
  /** Returns what is suppressed of some addresses, in their order, as of now. */
  readonly check: (
    query: Check
  ) => Effect.Effect<ReadonlyArray<Suppression.Suppression>, InvalidInput | LedgerError>

  /**
   * Returns a page of what is suppressed as of now. Following the pages shows nothing twice and misses nothing that was
   * suppressed all along.
   */
  readonly list: (query: Query) => Effect.Effect<Page, InvalidInput | LedgerError>

  /** Suppresses addresses by hand, all or none, and records it; returns one outcome for each, in their order. */
  readonly add: (command: Add) => Effect.Effect<ReadonlyArray<Outcome>, InvalidInput | LedgerError>

  /**
   * Lifts what is suppressed for a reason by hand, records it, and returns what it lifted. It holds against what happened
   * before, never against what comes after.
   */
  readonly lift: (
    command: Lift
  ) => Effect.Effect<ReadonlyArray<Suppression.Suppression>, InvalidInput | LiftRefused | LedgerError>

  /** Returns the causes and the acts of an address, the latest first, at most so many. */
  readonly history: (query: {
    readonly tenantId: Tenant.TenantId
    readonly recipient: Recipient.Recipient
    readonly limit: number
  }) => Effect.Effect<ReadonlyArray<Entry>, InvalidInput | LedgerError>
}>()("@waybill/core/Suppressions") {}
