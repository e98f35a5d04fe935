/**
 * Defines the port by which orphans are found, linked to their deliveries, and acted on by hand.
 *
 * A link is exactly one `reconciled` event for each orphan, whoever races. Each operation is atomic and exposes no
 * transaction. Nothing read or written for one tenant depends on another's rows.
 *
 * @since 0.2.0
 */
import { Context, type Effect, Option } from "effect"
import type * as Delivery from "./Delivery.ts"
import type * as Event from "./Event.ts"
import type * as Ledger from "./Ledger.ts"
import type {
  DeliveryNotFound,
  EventNotFound,
  InvalidInput,
  LedgerError,
  MalformedPayload,
  StaleDelivery
} from "./LedgerError.ts"
import * as Orphan from "./Orphan.ts"
import * as Place from "./Place.ts"
import type * as Tenant from "./Tenant.ts"
import * as Text from "./Text.ts"
import type * as Timestamp from "./Timestamp.ts"

/**
 * Which pending orphans to return, oldest first.
 *
 * @category models
 * @since 0.2.0
 */
export interface Query {
  readonly scope: Tenant.Scope
  readonly limit: number
  /** Returns only those that failed on their own and were set aside. */
  readonly failedOnly: boolean
  /** Leaves out those inserted before this instant. */
  readonly insertedFrom: Option.Option<Timestamp.Timestamp>
  /** Begins after the place of an orphan, by when it was inserted; at the oldest by default. */
  readonly after?: Place.Place
}

/**
 * Which pending orphans one batch of a sweep may link.
 *
 * @category models
 * @since 0.2.0
 */
export interface LinkQuery {
  readonly scope: Tenant.Scope
  /** How many orphans to claim at most. */
  readonly limit: number
  /** The horizon: leaves out those inserted before this instant. */
  readonly insertedFrom: Timestamp.Timestamp
  /** The grace: leaves out those inserted after this instant. */
  readonly insertedTo: Timestamp.Timestamp
}

/**
 * What one batch of a sweep did.
 *
 * @category models
 * @since 0.2.0
 */
export interface Linked {
  /** How many linkable orphans it claimed; 0 says that none is free: another sweep may still hold some. */
  readonly scanned: number
  /** How many others it passed by because another transaction holds their delivery; they rest for `Orphan.heldRest`. */
  readonly held: number
  /** The new links, tenant by tenant, the oldest orphan of each first. */
  readonly links: ReadonlyArray<Orphan.Link>
  /** How many failed on their own and were set aside. */
  readonly failed: number
}

/**
 * An operator's word that a pending orphan is about a delivery.
 *
 * @category models
 * @since 0.2.0
 */
export interface LinkTo extends Ledger.EventKey, Ledger.DeliveryKey {
  /** The `lockVersion` the caller has seen; with another one the command fails with `StaleDelivery`. */
  readonly expectedVersion: Option.Option<number>
}

/**
 * An act on a pending orphan by hand.
 *
 * @category models
 * @since 0.2.0
 */
export interface ByHand extends Ledger.EventKey {
  /** Who does it, which a store that outlives the process records. It names no address. */
  readonly actor?: string
}

/**
 * The pending orphans of one tenant, counted.
 *
 * @category models
 * @since 0.2.0
 */
export interface Backlog {
  readonly tenantId: Tenant.TenantId
  readonly pending: number
  /** How many of them are past the horizon. */
  readonly expired: number
  /** How many of them failed on their own and were set aside. */
  readonly failed: number
  /** When the oldest was appended. */
  readonly oldest: Timestamp.Timestamp
}

/**
 * The pending orphans in the scope of a query that it asks for.
 *
 * @category decisions
 * @since 0.2.0
 */
export const select = (
  { after, failedOnly, insertedFrom, limit }: Pick<Query, "after" | "limit" | "failedOnly" | "insertedFrom">,
  orphans: ReadonlyArray<Orphan.Orphan>
): ReadonlyArray<Orphan.Orphan> =>
  orphans
    .filter(({ event, failure }) =>
      (!failedOnly || Option.isSome(failure)) &&
      (after === undefined || Place.compare(Place.of(event.insertedAt, event.id), after) > 0) &&
      (Option.isNone(insertedFrom) || event.insertedAt.epochMilliseconds >= insertedFrom.value.epochMilliseconds)
    )
    .toSorted((left, right) => Orphan.compare(left.event, right.event))
    .slice(0, limit)

/**
 * Counts pending orphans by tenant; `horizon` is the instant before which they are expired.
 *
 * @category decisions
 * @since 0.2.0
 */
export const count = (
  orphans: ReadonlyArray<Orphan.Orphan>,
  horizon: Timestamp.Timestamp
): ReadonlyArray<Backlog> =>
  Array.from(Map.groupBy(orphans, ({ event }) => event.tenantId))
    .toSorted(([left], [right]) => Text.compare(left, right))
    .flatMap(([tenantId, own]): ReadonlyArray<Backlog> => {
      const [first] = own.map(({ event }) => event).toSorted(Orphan.compare)
      if (first === undefined) return []
      return [{
        tenantId,
        pending: own.length,
        expired: own.filter(({ event }) => event.insertedAt.epochMilliseconds < horizon.epochMilliseconds).length,
        failed: own.filter(({ failure }) => Option.isSome(failure)).length,
        oldest: first.insertedAt
      }]
    })

/**
 * The orphans of one installation.
 *
 * @category services
 * @since 0.2.0
 */
export class Orphans extends Context.Service<Orphans, {
  /** Returns pending orphans, oldest first. */
  readonly find: (query: Query) => Effect.Effect<ReadonlyArray<Orphan.Orphan>, InvalidInput | LedgerError>

  /**
   * Looks up the delivery that an event is about, and links nothing.
   */
  readonly attemptLink: (
    event: Pick<Event.Event, "tenantId" | "id">
  ) => Effect.Effect<
    { readonly event: Event.Event; readonly delivery: Delivery.Delivery },
    EventNotFound | DeliveryNotFound | MalformedPayload | LedgerError
  >

  /**
   * Links one batch of orphans whose delivery exists, each by exactly one `reconciled` event, in one transaction. Of all
   * tenants, each that has any gets an equal share of the batch, its oldest first, so that none waits for another's backlog.
   */
  readonly link: (query: LinkQuery) => Effect.Effect<Linked, InvalidInput | LedgerError>

  /** Explains why an event waits. */
  readonly explain: (key: Ledger.EventKey) => Effect.Effect<Orphan.Explanation, EventNotFound | LedgerError>

  /**
   * Links a pending orphan to a delivery of its tenant by hand, whatever it names; returns false where it was not pending.
   * The `reconciled` event is the record.
   */
  readonly linkTo: (
    command: LinkTo
  ) => Effect.Effect<boolean, InvalidInput | EventNotFound | DeliveryNotFound | StaleDelivery | LedgerError>

  /** Takes a pending orphan out of the queue for good and records it; returns false where it was not pending. */
  readonly dismiss: (command: ByHand) => Effect.Effect<boolean, EventNotFound | LedgerError>

  /**
   * Lets the next sweep try an orphan again that failed or that rests, and records it; returns false where it did neither.
   */
  readonly retry: (command: ByHand) => Effect.Effect<boolean, EventNotFound | LedgerError>

  /** Counts the pending orphans, a row per tenant that has any; `horizon` is the instant before which they are expired. */
  readonly backlog: (query: {
    readonly scope: Tenant.Scope
    readonly horizon: Timestamp.Timestamp
  }) => Effect.Effect<ReadonlyArray<Backlog>, LedgerError>
}>()("@waybill/core/Orphans") {}
