/**
 * Defines the port all the rest stands on: an event is appended and its delivery's projection moved, together or not at
 * all.
 *
 * Each operation is atomic and exposes no transaction. Appending is exactly once per (tenant, idempotency key). Nothing
 * read or written for one tenant depends on another's rows.
 *
 * @since 0.1.0
 */
import { Context, type Effect, type Option, type PubSub, Schema, type Scope } from "effect"
import type * as Cursor from "./Cursor.ts"
import type * as Delivery from "./Delivery.ts"
import type * as Drift from "./Drift.ts"
import type * as Event from "./Event.ts"
import type * as EventType from "./EventType.ts"
import {
  type DeliveryConflict,
  type DeliveryNotFound,
  type DispatchConflict,
  type EventNotFound,
  IdempotencyConflict,
  type InvalidInput,
  type LedgerError,
  type MalformedPayload,
  type StaleDelivery
} from "./LedgerError.ts"
import type * as Recipient from "./Recipient.ts"
import type * as Tenant from "./Tenant.ts"
import type * as Timestamp from "./Timestamp.ts"

/**
 * What `record` did.
 *
 * @category models
 * @since 0.1.0
 */
export interface Recorded {
  readonly delivery: Delivery.Delivery
  /** False where the delivery was there already. */
  readonly created: boolean
  /** How many waiting orphans it linked. */
  readonly linked: number
}

/**
 * What `dispatch` did.
 *
 * @category models
 * @since 0.1.0
 */
export interface Dispatched {
  readonly delivery: Delivery.Delivery
  /** How many waiting orphans it linked. */
  readonly linked: number
}

/**
 * What became of one event of an `append`.
 *
 * `eventId` is the stored event's, also of a duplicate. `deliveryId` is the delivery it is about as of now, directly or by
 * a link; without one it is an orphan.
 *
 * @category models
 * @since 0.1.0
 */
export interface Appended {
  readonly _tag: "Appended" | "Duplicate"
  readonly eventId: Event.EventId
  readonly deliveryId: Option.Option<Event.DeliveryId>
}

/**
 * What became of one event of an `append`; a conflict leaves the rest of the batch standing.
 *
 * @category models
 * @since 0.1.0
 */
export type Outcome = Appended | IdempotencyConflict

/**
 * Tells whether an outcome is a conflict.
 *
 * @category guards
 * @since 0.1.0
 */
export const isConflict: (outcome: Outcome) => outcome is IdempotencyConflict = Schema.is(IdempotencyConflict)

/**
 * Which pending orphans to give, oldest first.
 *
 * @category models
 * @since 0.1.0
 */
export interface OrphanQuery {
  readonly scope: Tenant.Scope
  readonly limit: number
  /** Gives only those that failed by themselves and were set aside. */
  readonly failedOnly: boolean
  /** Leaves out those inserted before this instant. */
  readonly insertedFrom: Option.Option<Timestamp.Timestamp>
}

/**
 * That linking an orphan failed by itself, so that it was set aside.
 *
 * @category models
 * @since 0.1.0
 */
export interface Failure {
  /** How often it has failed. */
  readonly attempts: number
  /** The kind of what went wrong last. */
  readonly reason: string
  /** Before when it is not tried again; absent where it was released. */
  readonly nextAttemptAt: Option.Option<Timestamp.Timestamp>
}

/**
 * A pending orphan.
 *
 * @category models
 * @since 0.1.0
 */
export interface Orphan {
  readonly event: Event.Event
  readonly failure: Option.Option<Failure>
}

/**
 * Which pending orphans one batch of a sweep may link.
 *
 * @category models
 * @since 0.1.0
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
 * An orphan that found its delivery.
 *
 * @category models
 * @since 0.1.0
 */
export interface Link {
  readonly tenantId: Tenant.TenantId
  readonly deliveryId: Event.DeliveryId
  /** The orphan. */
  readonly eventId: Event.EventId
  readonly type: EventType.EventType
  /** When the orphan was appended. */
  readonly insertedAt: Timestamp.Timestamp
}

/**
 * What one batch of a sweep did.
 *
 * @category models
 * @since 0.1.0
 */
export interface Linked {
  /** How many linkable orphans it claimed; 0 says that none is free: another sweep may still hold some. */
  readonly scanned: number
  /** How many others it passed by because another transaction holds their delivery; they rest for `heldRest`. */
  readonly held: number
  /** The new links. */
  readonly links: ReadonlyArray<Link>
  /** How many failed by themselves and were set aside. */
  readonly failed: number
}

/**
 * An event of a delivery, and the `reconciled` event that linked it where it was an orphan.
 *
 * @category models
 * @since 0.1.0
 */
export interface TimelineEntry {
  readonly event: Event.Event
  readonly linkedBy: Option.Option<Event.EventId>
}

/**
 * A delivery got an event, whether it moves the projection or tells nothing new; told after commit and never for a duplicate.
 *
 * @category models
 * @since 0.1.0
 */
export interface DeliveryUpdate {
  readonly tenantId: Tenant.TenantId
  readonly deliveryId: Event.DeliveryId
  readonly eventId: Event.EventId
  /** The event's own type, also where a link gave it to the delivery. */
  readonly type: EventType.EventType
  readonly cause: "append" | "reconciled"
}

/**
 * Names one delivery.
 *
 * @category models
 * @since 0.1.0
 */
export interface DeliveryKey {
  readonly tenantId: Tenant.TenantId
  readonly deliveryId: Event.DeliveryId
}

/**
 * An event in the feed, and its place.
 *
 * @category models
 * @since 0.1.0
 */
export interface Change {
  readonly cursor: Cursor.Cursor
  readonly event: Event.Event
}

/**
 * Which part of what is stored to compare with the ledger.
 *
 * @category models
 * @since 0.1.0
 */
export interface AuditQuery {
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
 * @since 0.1.0
 */
export interface Audit {
  readonly checked: number
  readonly drifts: ReadonlyArray<Drift.Drift>
  /** Where the next page begins; absent after the last. */
  readonly next: Option.Option<string>
}

/**
 * Names one event.
 *
 * @category models
 * @since 0.1.0
 */
export interface EventKey {
  readonly tenantId: Tenant.TenantId
  readonly eventId: Event.EventId
}

/**
 * A pending orphan is about a delivery, says an operator.
 *
 * @category models
 * @since 0.1.0
 */
export interface LinkTo extends EventKey, DeliveryKey {
  /** The `lockVersion` the caller has seen; with another one the command fails with `StaleDelivery`. */
  readonly expectedVersion: Option.Option<number>
}

/**
 * Why an event waits, or that it does not.
 *
 * `Linkable` waits for a sweep, `SetAside` failed by itself and is tried again at `nextAttemptAt`.
 *
 * @category models
 * @since 0.1.0
 */
export type Explanation =
  | { readonly _tag: "NotAnOrphan"; readonly deliveryId: Event.DeliveryId }
  | { readonly _tag: "Linked"; readonly deliveryId: Event.DeliveryId }
  | { readonly _tag: "Dismissed" }
  | { readonly _tag: "Malformed" }
  | { readonly _tag: "NoDelivery"; readonly correlation: string; readonly otherTenant: boolean }
  | { readonly _tag: "OtherRecipient"; readonly correlation: string }
  | { readonly _tag: "Ambiguous"; readonly correlation: string }
  | { readonly _tag: "Linkable"; readonly deliveryId: Event.DeliveryId }
  | {
    readonly _tag: "SetAside"
    readonly deliveryId: Event.DeliveryId
    readonly attempts: number
    readonly nextAttemptAt: Timestamp.Timestamp
    readonly reason: string
  }

/**
 * The pending orphans of one tenant.
 *
 * @category models
 * @since 0.1.0
 */
export interface Backlog {
  readonly tenantId: Tenant.TenantId
  readonly pending: number
  /** How many of them are past the horizon. */
  readonly expired: number
  /** How many of them failed by themselves and were set aside. */
  readonly failed: number
  /** When the oldest was appended. */
  readonly oldest: Timestamp.Timestamp
}

/**
 * What forgetting a recipient changed.
 *
 * @category models
 * @since 0.1.0
 */
export interface Forgotten {
  /** How many deliveries lost their recipient. */
  readonly deliveries: number
  /** How many pending orphans lost the digest of the recipient they named, and can now be linked by hand alone. */
  readonly orphans: number
}

/**
 * How long an orphan rests whose delivery another transaction held, in milliseconds.
 *
 * @category constants
 * @since 0.1.0
 */
export const heldRest = 1000

/**
 * How many updates a subscriber may fall behind before it misses the oldest.
 *
 * @category constants
 * @since 0.1.0
 */
export const updatesCapacity = 1024

/**
 * The ledger of one installation.
 *
 * @category services
 * @since 0.1.0
 */
export class Ledger extends Context.Service<Ledger, {
  /**
   * Records a delivery with its `queued` event, once per id and per idempotency key, and links the orphans that echoed
   * its id.
   */
  readonly record: (
    delivery: Delivery.NewDelivery
  ) => Effect.Effect<Recorded, InvalidInput | DeliveryConflict | LedgerError>

  /**
   * Notes that a provider accepted a delivery, with its `dispatched` event, and links the orphans that wait for its
   * message id. Again with the same message id it changes nothing.
   */
  readonly dispatch: (
    command: Delivery.Dispatch
  ) => Effect.Effect<Dispatched, InvalidInput | DeliveryNotFound | DispatchConflict | StaleDelivery | LedgerError>

  /**
   * Appends a tenant's events, each once per idempotency key, and moves the projections of their deliveries. Gives one
   * outcome for each event, in their order. An invalid event fails the call before anything is written.
   */
  readonly append: (
    tenantId: Tenant.TenantId,
    events: ReadonlyArray<Event.NewEvent>
  ) => Effect.Effect<ReadonlyArray<Outcome>, InvalidInput | LedgerError>

  /** Gives pending orphans, oldest first. */
  readonly findOrphans: (
    query: OrphanQuery
  ) => Effect.Effect<ReadonlyArray<Orphan>, InvalidInput | LedgerError>

  /** Looks up the delivery that an event is about, and changes nothing. */
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

  /** Gives one delivery of a tenant. */
  readonly delivery: (key: DeliveryKey) => Effect.Effect<Option.Option<Delivery.Delivery>, LedgerError>

  /** Gives a tenant's deliveries in the order of their ids, after one of them where it is named. */
  readonly deliveries: (query: {
    readonly tenantId: Tenant.TenantId
    readonly after: Option.Option<Event.DeliveryId>
    readonly limit: number
  }) => Effect.Effect<ReadonlyArray<Delivery.Delivery>, InvalidInput | LedgerError>

  /** Gives a delivery's events and its linked orphans, by when they happened. */
  readonly timeline: (key: DeliveryKey) => Effect.Effect<ReadonlyArray<TimelineEntry>, LedgerError>

  /**
   * Gives the events after a place of the feed, in the order of the feed: each event once and none passed over, whatever
   * transactions are in flight. It is not the order in which things happened; a delivery's own order is its timeline.
   *
   * An event appears when every transaction that began before its own has ended, so one that stays open delays the feed.
   */
  readonly changes: (query: {
    readonly scope: Tenant.Scope
    readonly after: Cursor.Cursor
    readonly limit: number
  }) => Effect.Effect<ReadonlyArray<Change>, InvalidInput | LedgerError>

  /** Compares one page of what is stored with the ledger and changes nothing. */
  readonly verify: (query: AuditQuery) => Effect.Effect<Audit, InvalidInput | LedgerError>

  /** Compares one page of what is stored with the ledger and repairs the drifts it gives, in one transaction. */
  readonly rebuild: (query: AuditQuery) => Effect.Effect<Audit, InvalidInput | LedgerError>

  /** Says why an event waits. */
  readonly explain: (key: EventKey) => Effect.Effect<Explanation, EventNotFound | LedgerError>

  /**
   * Links a pending orphan to a delivery of its tenant by hand, whatever it names; gives false where it was not pending.
   * The `reconciled` event is the record.
   */
  readonly linkTo: (
    command: LinkTo
  ) => Effect.Effect<boolean, InvalidInput | EventNotFound | DeliveryNotFound | StaleDelivery | LedgerError>

  /** Takes a pending orphan out of the queue for good and records it; gives false where it was not pending. */
  readonly dismiss: (key: EventKey) => Effect.Effect<boolean, EventNotFound | LedgerError>

  /** Lets the next sweep try a set-aside orphan again and records it; gives false where none was set aside. */
  readonly retry: (key: EventKey) => Effect.Effect<boolean, EventNotFound | LedgerError>

  /** Counts the pending orphans, a row a tenant that has any; `horizon` is the instant before which they are expired. */
  readonly backlog: (query: {
    readonly scope: Tenant.Scope
    readonly horizon: Timestamp.Timestamp
  }) => Effect.Effect<ReadonlyArray<Backlog>, LedgerError>

  /**
   * Removes a recipient from a tenant's deliveries and makes the ledger's pseudonyms of it unlinkable, for good; counts,
   * types and times stay. A store that outlives the process records that it was done, without the recipient.
   */
  readonly forget: (query: {
    readonly tenantId: Tenant.TenantId
    readonly recipient: Recipient.Recipient
  }) => Effect.Effect<Forgotten, LedgerError>

  /**
   * Subscribes to the updates that this process makes, from now on and as far as a bounded buffer holds: a slow
   * subscriber misses the oldest and never delays the ledger.
   */
  readonly updates: Effect.Effect<PubSub.Subscription<DeliveryUpdate>, never, Scope.Scope>
}>()("@waybill/core/Ledger") {}
