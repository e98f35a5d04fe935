/**
 * Defines the port all the rest stands on: an event is appended and its delivery's projection moved, together or not at
 * all.
 *
 * Each operation is atomic and exposes no transaction. Appending is exactly once per (tenant, idempotency key). Nothing
 * read or written for one tenant depends on another's rows.
 *
 * @since 0.1.0
 */
import { Context, type Effect, Option, type PubSub, Result, Schema, type Scope } from "effect"
import type * as Block from "./Block.ts"
import * as Cursor from "./Cursor.ts"
import type * as Delivery from "./Delivery.ts"
import type * as DeliveryUpdate from "./DeliveryUpdate.ts"
import type * as Details from "./Details.ts"
import * as Event from "./Event.ts"
import * as EventName from "./EventName.ts"
import {
  CursorAhead,
  type DeliveryConflict,
  type DeliveryNotFound,
  type DispatchConflict,
  IdempotencyConflict,
  type InvalidInput,
  type LedgerError,
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
  /**
   * Why it must not be sent: its recipient was suppressed when it was recorded, so that it is stored as suppressed. Recording
   * it again tells the same.
   */
  readonly suppressedBy: Option.Option<Block.Block>
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
 * What `fail` did.
 *
 * @category models
 * @since 0.2.0
 */
export interface Failed {
  readonly delivery: Delivery.Delivery
  /** The number of the attempt. */
  readonly attempt: number
  /** False where the attempt was noted already. */
  readonly noted: boolean
}

/**
 * What `suppress` did.
 *
 * @category models
 * @since 0.2.0
 */
export interface Suppressed {
  readonly delivery: Delivery.Delivery
  /** False where it was noted already. */
  readonly noted: boolean
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
 * The outcome of an event whose key stood for something before: a duplicate of the stored event, or a conflict with it.
 *
 * @category constructors
 * @since 0.2.0
 */
export const repeated = (
  report: Event.Event,
  stored: {
    readonly event: Event.Event
    /** The delivery that it is about as of now. */
    readonly deliveryId: Option.Option<Event.DeliveryId>
    /** Whether the report may be about its recipient, as `Event.saysTheSame` asks. */
    readonly isSameRecipient: boolean
  }
): Outcome =>
  Event.saysTheSame(stored.event, report, stored.isSameRecipient)
    ? { _tag: "Duplicate", eventId: stored.event.id, deliveryId: stored.deliveryId }
    : new IdempotencyConflict({
      tenantId: report.tenantId,
      idempotencyKey: report.idempotencyKey,
      storedEventId: stored.event.id,
      storedName: EventName.of(stored.event)
    })

/**
 * An event of a delivery, and the `reconciled` event that linked it where it was an orphan.
 *
 * @category models
 * @since 0.1.0
 */
export interface TimelineEntry {
  readonly event: Event.Event
  readonly linkedBy: Option.Option<Event.EventId>
  /** What the provider said in words; none where it said nothing, or where it is no longer kept. */
  readonly details: Option.Option<Details.Details>
}

/**
 * The timeline of a delivery: the events that were appended to it, and the orphans that those of them which are links name,
 * each with the details that are kept of it.
 *
 * @category constructors
 * @since 0.2.0
 */
export const timelineOf = (
  appended: ReadonlyArray<Event.Event>,
  orphans: ReadonlyArray<Event.Event>,
  detailsOf: (event: Event.Event) => Option.Option<Details.Details>
): ReadonlyArray<TimelineEntry> => {
  const links = new Map(
    appended.flatMap(({ id, sourceEventId }) => Option.toArray(sourceEventId).map((of) => [of, id]))
  )
  return [
    ...appended.map((event) => ({ event, linkedBy: Option.none(), details: detailsOf(event) })),
    ...orphans.map((event) => ({
      event,
      linkedBy: Option.fromUndefinedOr(links.get(event.id)),
      details: detailsOf(event)
    }))
  ].toSorted(compareEntries)
}

/**
 * Orders the entries of a timeline: by when they happened, as `Event.compare` says.
 *
 * @category ordering
 * @since 0.2.0
 */
export const compareEntries = (left: TimelineEntry, right: TimelineEntry): number =>
  Event.compare(left.event, right.event)

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
 * Checks that a feed of one epoch has a place, by all its changes and the transaction that comes next.
 *
 * @category validation
 * @since 0.2.0
 */
export const checkPlace = (
  changes: ReadonlyArray<Change>,
  place: Cursor.Cursor,
  next: bigint
): Result.Result<Cursor.Cursor, CursorAhead> => {
  const [transaction, position] = Cursor.parts(place)
  const isThere = Cursor.epoch(place) === 0 &&
    (position === 0n ? transaction <= next : changes.some(({ cursor }) => Cursor.compare(cursor, place) === 0))
  return isThere ? Result.succeed(place) : Result.fail(new CursorAhead({ reason: "lost" }))
}

/**
 * The changes of one page of the feed, in its order, after a place.
 *
 * @category getters
 * @since 0.2.0
 */
export const changesAfter = (
  changes: ReadonlyArray<Change>,
  after: Cursor.Cursor,
  limit: number
): ReadonlyArray<Change> =>
  changes
    .filter(({ cursor }) => Cursor.compare(cursor, after) > 0)
    .toSorted((left, right) => Cursor.compare(left.cursor, right.cursor))
    .slice(0, limit)

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
 * Which details a pruning deletes.
 *
 * @category models
 * @since 0.2.0
 */
export interface PruneDetails {
  /** Those that were stored before this time. */
  readonly before: Timestamp.Timestamp
  /** The most that one call deletes. */
  readonly limit: number
  /** Counts them, all of them, and deletes none. */
  readonly dryRun: boolean
}

/**
 * The ledger of one installation.
 *
 * @category services
 * @since 0.1.0
 */
export class Ledger extends Context.Service<Ledger, {
  /**
   * Records a delivery with its `queued` event, once per id and per idempotency key, and links the orphans that echoed
   * its id. Where its recipient is suppressed on its stream, it is stored as suppressed, unless it says to ignore that.
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
   * Notes that an attempt to send a delivery failed, with a `deferred` event of our own, or with `failed` where it is given up.
   *
   * An attempt is noted once by its number: again with the same number nothing changes, whatever it says, so that a call whose
   * answer was lost can be made again. Without a number each call notes the next attempt.
   *
   * After `deferred` the delivery may be dispatched and ends as its provider reports. Giving up is final: a delivery that is sent
   * all the same can be dispatched, and shows what its provider reports, but its status stays `failed`. Once a provider has the
   * delivery nothing can be noted: `DispatchConflict`.
   */
  readonly fail: (
    command: Delivery.Fail
  ) => Effect.Effect<Failed, InvalidInput | DeliveryNotFound | DispatchConflict | StaleDelivery | LedgerError>

  /**
   * Notes that a delivery is not sent on purpose, with a `suppressed` event of our own, once. Once a provider has the delivery
   * nothing can be noted: `DispatchConflict`.
   */
  readonly suppress: (
    command: Delivery.Suppress
  ) => Effect.Effect<Suppressed, InvalidInput | DeliveryNotFound | DispatchConflict | StaleDelivery | LedgerError>

  /**
   * Appends a tenant's events, each once per idempotency key, and moves the projections of their deliveries. Returns one
   * outcome for each event, in their order. An invalid event fails the call before anything is written.
   */
  readonly append: (
    tenantId: Tenant.TenantId,
    events: ReadonlyArray<Event.NewEvent>
  ) => Effect.Effect<ReadonlyArray<Outcome>, InvalidInput | LedgerError>

  /** Returns one delivery of a tenant. */
  readonly delivery: (key: DeliveryKey) => Effect.Effect<Option.Option<Delivery.Delivery>, LedgerError>

  /** Returns a tenant's deliveries in the order of their ids, after one of them where it is named. */
  readonly deliveries: (query: {
    readonly tenantId: Tenant.TenantId
    readonly after: Option.Option<Event.DeliveryId>
    readonly limit: number
  }) => Effect.Effect<ReadonlyArray<Delivery.Delivery>, InvalidInput | LedgerError>

  /** Returns a delivery's events and its linked orphans, by when they happened, with the details that are kept of them. */
  readonly timeline: (key: DeliveryKey) => Effect.Effect<ReadonlyArray<TimelineEntry>, LedgerError>

  /**
   * Returns the events after a place of the feed, in the order of the feed: each event once and none passed over, whatever
   * transactions are in flight. It is not the order in which things happened; a delivery's own order is its timeline.
   *
   * An event appears when every transaction that began before its own has ended, so one that stays open delays the feed.
   *
   * A place that the database has not reached or does not have fails with `CursorAhead`, and so does every place of a feed
   * that has to be repaired after a restore.
   */
  readonly changes: (query: {
    readonly scope: Tenant.Scope
    readonly after: Cursor.Cursor
    readonly limit: number
  }) => Effect.Effect<ReadonlyArray<Change>, InvalidInput | CursorAhead | LedgerError>

  /**
   * Removes a recipient from a tenant's deliveries, erases the details of their events and of those that name the recipient,
   * and makes the ledger's pseudonyms of it unlinkable, for good; counts, types and times stay, and so does what suppresses it,
   * under a digest. A store that outlives the process records that it was done, without the recipient.
   */
  readonly forget: (query: {
    readonly tenantId: Tenant.TenantId
    readonly recipient: Recipient.Recipient
  }) => Effect.Effect<Forgotten, LedgerError>

  /** Deletes the details of all tenants that were kept long enough, the oldest first, and returns how many. */
  readonly pruneDetails: (query: PruneDetails) => Effect.Effect<number, InvalidInput | LedgerError>

  /**
   * Subscribes to the updates that this process makes, from now on and as far as a bounded buffer holds: a slow
   * subscriber misses the oldest and never delays the ledger.
   */
  readonly updates: Effect.Effect<PubSub.Subscription<DeliveryUpdate.DeliveryUpdate>, never, Scope.Scope>
}>()("@waybill/core/Ledger") {}
