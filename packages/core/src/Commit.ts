/**
 * Decides what each command on the ledger writes, from what a store holds: the whole of it, or nothing.
 *
 * A store looks up what a decision is to be made from, holds it until the commit, and writes what was decided. A store that
 * decides for many rows by one statement states the same, and names the function here that it equals.
 *
 * @since 0.2.0
 */
import { Array as Arr, Option, Result } from "effect"
import type * as Act from "./Act.ts"
import * as Correlation from "./Correlation.ts"
import * as Delivery from "./Delivery.ts"
import * as DeliveryUpdate from "./DeliveryUpdate.ts"
import type * as Event from "./Event.ts"
import * as Handover from "./Handover.ts"
import type * as IdempotencyKey from "./IdempotencyKey.ts"
import * as Ledger from "./Ledger.ts"
import { DeliveryNotFound, type StaleDelivery } from "./LedgerError.ts"
import * as Orphan from "./Orphan.ts"
import type * as Orphans from "./Orphans.ts"
import * as OwnEvent from "./OwnEvent.ts"
import * as Recipient from "./Recipient.ts"
import * as Report from "./Report.ts"
import type * as Tenant from "./Tenant.ts"
import * as Text from "./Text.ts"
import type * as Timestamp from "./Timestamp.ts"
import type * as Unsent from "./Unsent.ts"

/**
 * What one command writes, all or nothing; what is left out stays as it is.
 *
 * @category models
 * @since 0.2.0
 */
export interface Commit {
  /** When it is written, by our clock. */
  readonly at: Timestamp.Timestamp
  /** Deliveries as they are from now on. */
  readonly deliveries?: ReadonlyArray<Delivery.Delivery>
  /** The events that are appended; those that are bound to no delivery begin to wait. */
  readonly reports?: ReadonlyArray<Report.Report>
  /** The orphans that get their delivery, each by a `reconciled` event, and wait no longer. */
  readonly links?: ReadonlyArray<Orphan.Pair>
  /** The orphans that wait no longer and are about no delivery. */
  readonly dismissed?: ReadonlyArray<Event.Event>
  /** Stored reports as they are from now on, whose recipient is forgotten. */
  readonly forgotten?: ReadonlyArray<Report.Report>
  /** The details that are kept from now on, of events that have none. */
  readonly details?: ReadonlyArray<Report.KeptDetails>
  /** The events whose details are erased. */
  readonly erased?: ReadonlyArray<Ledger.EventKey>
  /** The places of unsent deliveries as they are from now on, if the deliveries are unsent still. */
  readonly unsent?: ReadonlyArray<Unsent.Row>
  /** What was done to the suppressions of addresses, each by the key that stands for its address in the store. */
  readonly acts?: ReadonlyArray<{ readonly tenantId: Tenant.TenantId; readonly key: string; readonly act: Act.Act }>
  /** The addresses that acts name, by the same keys; absent where the store is to know the address no longer. */
  readonly named?: ReadonlyArray<{
    readonly tenantId: Tenant.TenantId
    readonly key: string
    readonly recipient: Option.Option<Recipient.Recipient>
  }>
}

/**
 * A command's answer and what it writes.
 *
 * @category models
 * @since 0.2.0
 */
export interface Decided<A> {
  readonly answer: A
  readonly commit: Commit
}

/**
 * The events that a commit appends, in the order of the feed: those of the command, then its links, which get the ids.
 *
 * @category getters
 * @since 0.2.0
 */
export const appendedBy = (
  { at, links = [], reports = [] }: Commit,
  ids: ReadonlyArray<Event.EventId>
): ReadonlyArray<Report.Report> => {
  const reconciled = Arr.zipWith(
    links,
    ids,
    ({ deliveryId, orphan }, id) =>
      Report.ofOwn(OwnEvent.reconciled(orphan, deliveryId, { id, tenantId: orphan.tenantId, insertedAt: at }))
  )
  return [...reports.toSorted(Report.compareInFeed), ...reconciled.toSorted(Report.compareInFeed)]
}

/**
 * What a commit tells to the subscribers.
 *
 * @category getters
 * @since 0.2.0
 */
export const updatesOf = ({ links = [], reports = [] }: Commit): ReadonlyArray<DeliveryUpdate.DeliveryUpdate> => [
  ...factsOf(reports).map(({ deliveryId, event }) => DeliveryUpdate.ofEvent(event, deliveryId)),
  ...links.map(({ deliveryId, orphan }) => DeliveryUpdate.ofLink(Orphan.linkOf(orphan, deliveryId)))
]

/** An event and the delivery that it moves. */
interface Fact extends Ledger.DeliveryKey {
  readonly event: Event.Event
}

const factsOf = (reports: ReadonlyArray<Report.Report>): ReadonlyArray<Fact> =>
  reports.flatMap(({ event }) =>
    Option.isSome(event.deliveryId) ? [{ tenantId: event.tenantId, deliveryId: event.deliveryId.value, event }] : []
  )

const factOf = ({ deliveryId, orphan }: Orphan.Pair): Fact => ({ tenantId: orphan.tenantId, deliveryId, event: orphan })

/** Moves each delivery once by all of its new events, and returns those that changed. */
const moved = (
  facts: ReadonlyArray<Fact>,
  find: (key: Ledger.DeliveryKey) => Option.Option<Delivery.Delivery>,
  at: Timestamp.Timestamp
): ReadonlyArray<Delivery.Delivery> =>
  Array.from(Map.groupBy(facts, ({ deliveryId, tenantId }) => `${deliveryId} ${tenantId}`).values()).flatMap((own) => {
    const stored = Option.flatMap(Arr.head(own), find)
    if (Option.isNone(stored)) return []
    const delivery = Delivery.evolve(stored.value, own.map(({ event }) => event), at)
    return delivery === stored.value ? [] : [delivery]
  })

/**
 * A stored report, and what became of it.
 *
 * @category models
 * @since 0.2.0
 */
export interface Stored extends Report.Report {
  /** The delivery that a link gave to it. */
  readonly linkedTo: Option.Option<Event.DeliveryId>
  readonly isDismissed: boolean
}

/**
 * What a decision about reports asks a store for.
 *
 * @category models
 * @since 0.2.0
 */
export interface Known {
  /** All deliveries of a tenant that have a key. */
  readonly sharing: (tenantId: Tenant.TenantId, key: Correlation.Key) => ReadonlyArray<Delivery.Delivery>
  /** A delivery of a tenant. */
  readonly delivery: (key: Ledger.DeliveryKey) => Option.Option<Delivery.Delivery>
}

/**
 * Decides which delivery a report is about, among those that have its key.
 *
 * @category decisions
 * @since 0.2.0
 */
export const meet = (report: Report.Report, { sharing }: Pick<Known, "sharing">): Correlation.Meeting =>
  Option.match(Correlation.ofEvent(report.event), {
    onNone: () => ({ _tag: "NoDelivery" }),
    onSome: (key) => Report.meet(report, sharing(report.event.tenantId, key))
  })

/**
 * Decides which delivery a stored report meets now; none where it is not pending.
 *
 * @category decisions
 * @since 0.2.0
 */
export const meetAgain = (stored: Stored, known: Pick<Known, "sharing">): Correlation.Meeting =>
  Orphan.isPending(stored) ? meet(stored, known) : { _tag: "NoDelivery" }

/**
 * Decides what appending a batch means: each report is bound to the delivery it meets, or begins to wait, or says again what
 * stands under its key, before it in the batch or in the store. Who says it again brings in details where none are kept, and
 * changes nothing else.
 *
 * @category decisions
 * @since 0.2.0
 */
export const append = (
  given: ReadonlyArray<Report.Given>,
  known: Known & {
    /** What is stored under a key of the tenant of the batch. */
    readonly stored: (key: IdempotencyKey.IdempotencyKey) => Option.Option<Stored>
    /** Whether details of an event are kept. */
    readonly hasDetails: (key: Ledger.EventKey) => boolean
  },
  at: Timestamp.Timestamp
): Decided<ReadonlyArray<Ledger.Outcome>> => {
  const fresh = new Map<IdempotencyKey.IdempotencyKey, Stored>()
  const kept = new Map<Event.EventId, Report.KeptDetails>()
  const keep = (report: Report.Given, stored: Report.Report, deliveryId: Option.Option<Event.DeliveryId>) => {
    const { id, tenantId } = stored.event
    if (kept.has(id) || known.hasDetails({ tenantId, eventId: id })) return
    const delivery = Option.flatMap(deliveryId, (deliveryId) => known.delivery({ tenantId, deliveryId }))
    for (const details of Option.toArray(Report.keep(report, stored, delivery, at))) kept.set(id, details)
  }
  const answer = given.map((report): Ledger.Outcome => {
    const { event } = report
    const before = Option.orElse(
      Option.fromUndefinedOr(fresh.get(event.idempotencyKey)),
      () => known.stored(event.idempotencyKey)
    )
    if (Option.isSome(before)) {
      const stored = before.value
      const { deliveryId, tenantId } = stored.event
      const delivery = Option.flatMap(deliveryId, (id) => known.delivery({ tenantId, deliveryId: id }))
      const outcome = Ledger.repeated(event, {
        event: stored.event,
        deliveryId: Orphan.deliveryOf(stored.event, stored.linkedTo),
        isSameRecipient: Report.isSameRecipient(stored, delivery, report)
      })
      if (!Ledger.isConflict(outcome)) keep(report, stored, outcome.deliveryId)
      return outcome
    }
    const meeting = meet(report, known)
    const bound = meeting._tag === "Met" ? Report.bind(report, meeting.deliveryId) : report
    fresh.set(event.idempotencyKey, { ...bound, linkedTo: Option.none(), isDismissed: false })
    keep(report, bound, bound.event.deliveryId)
    return { _tag: "Appended", eventId: event.id, deliveryId: bound.event.deliveryId }
  })
  const reports = Array.from(fresh.values(), ({ event, named }): Report.Report => ({ event, named }))
  const deliveries = moved(factsOf(reports), known.delivery, at)
  return { answer, commit: { at, reports, deliveries, details: Array.from(kept.values()) } }
}

/**
 * Decides what forgetting a recipient leaves: its deliveries without it, the reports that named it naming nobody known, no
 * details of either, and what is kept of its suppressions.
 *
 * @category decisions
 * @since 0.2.0
 */
export const forget = (
  { key, recipient, tenantId }: {
    readonly tenantId: Tenant.TenantId
    readonly recipient: Recipient.Recipient
    /** What stands for the address in the store. */
    readonly key: string
  },
  known: {
    readonly deliveries: ReadonlyArray<Delivery.Delivery>
    /** The reports that name somebody, pending or not, or are about those deliveries. */
    readonly reports: ReadonlyArray<Stored>
    /** The details that are kept. */
    readonly details: ReadonlyArray<Report.KeptDetails>
    /** What `Act.kept` says. */
    readonly kept: Required<Commit>["acts"]
  },
  at: Timestamp.Timestamp
): Decided<Ledger.Forgotten> => {
  const deliveries = known.deliveries.filter((delivery) => Delivery.isTo(delivery, recipient))
  const ids = new Set(deliveries.map(({ id }) => id))
  const ofDeliveries = known.reports.filter(({ event, linkedTo }) =>
    Option.exists(Orphan.deliveryOf(event, linkedTo), (id) => ids.has(id))
  )
  const ofNamed = known.details.filter((kept) =>
    Option.exists(kept.recipient, (named) => Recipient.isSame(named, recipient))
  )
  const reports = known.reports.filter((report) => Report.isNaming(report, recipient))
  return {
    answer: { deliveries: deliveries.length, orphans: reports.filter(Orphan.isPending).length },
    commit: {
      at,
      deliveries: deliveries.map((delivery) => Delivery.forget(delivery, at)),
      forgotten: reports.map(Report.forget),
      erased: [
        ...ofDeliveries.map(({ event: { id, tenantId } }) => ({ tenantId, eventId: id })),
        ...ofNamed.map(({ eventId, tenantId }) => ({ tenantId, eventId }))
      ],
      acts: known.kept,
      named: [{ tenantId, key, recipient: Option.none() }]
    }
  }
}

/**
 * Decides which details a pruning deletes: those that were stored before a time, the oldest first, and no more than it may.
 *
 * @category decisions
 * @since 0.2.0
 */
export const pruneDetails = (
  { before, dryRun, limit }: Ledger.PruneDetails,
  kept: ReadonlyArray<Report.KeptDetails>,
  at: Timestamp.Timestamp
): Decided<number> => {
  const old = kept
    .filter(({ insertedAt }) => insertedAt.epochMilliseconds < before.epochMilliseconds)
    .toSorted((left, right) =>
      left.insertedAt.epochMilliseconds - right.insertedAt.epochMilliseconds ||
      Text.compare(left.eventId, right.eventId)
    )
  if (dryRun) return { answer: old.length, commit: { at } }
  const erased = old.slice(0, limit)
  return { answer: erased.length, commit: { at, erased } }
}

/** The part of a batch that a sweep takes, tenant by tenant: each that has any gets an equal share, its oldest first. */
const shared = (pairs: ReadonlyArray<Orphan.Pair>, limit: number): ReadonlyArray<Orphan.Pair> => {
  const oldestFirst = (left: Orphan.Pair, right: Orphan.Pair) => Orphan.compare(left.orphan, right.orphan)
  const tenants = Array.from(Map.groupBy(pairs, ({ orphan }) => orphan.tenantId))
    .toSorted(([left], [right]) => Text.compare(left, right))
    .slice(0, limit)
  const share = Math.floor(limit / Math.max(tenants.length, 1))
  return tenants.flatMap(([, own]) => own.toSorted(oldestFirst).slice(0, share))
}

/**
 * Decides which of the pending orphans in its scope one batch of a sweep links: of those of age that meet a delivery, each
 * tenant's equal share, oldest first.
 *
 * @category decisions
 * @since 0.2.0
 */
export const link = (
  query: Pick<Orphans.LinkQuery, "limit" | "insertedFrom" | "insertedTo">,
  waiting: ReadonlyArray<Report.Report>,
  known: Known,
  at: Timestamp.Timestamp
): Decided<Orphans.Linked> => {
  const pairs = waiting
    .filter(({ event: { insertedAt } }) =>
      insertedAt.epochMilliseconds >= query.insertedFrom.epochMilliseconds &&
      insertedAt.epochMilliseconds <= query.insertedTo.epochMilliseconds
    )
    .flatMap((report): ReadonlyArray<Orphan.Pair> => {
      const meeting = meet(report, known)
      return meeting._tag === "Met" ? [{ orphan: report.event, deliveryId: meeting.deliveryId }] : []
    })
  const links = shared(pairs, query.limit)
  return {
    answer: {
      scanned: links.length,
      held: 0,
      links: links.map(({ deliveryId, orphan }) => Orphan.linkOf(orphan, deliveryId)),
      failed: 0
    },
    commit: { at, links, deliveries: moved(links.map(factOf), known.delivery, at) }
  }
}

/**
 * Decides what an operator's link of an orphan to a delivery means; nothing where the orphan is not pending.
 *
 * @category decisions
 * @since 0.2.0
 */
export const linkTo = (
  { deliveryId, expectedVersion, tenantId }: Orphans.LinkTo,
  known: { readonly stored: Stored; readonly delivery: Option.Option<Delivery.Delivery> },
  at: Timestamp.Timestamp
): Result.Result<Decided<boolean>, DeliveryNotFound | StaleDelivery> => {
  const { delivery, stored } = known
  if (Option.isNone(delivery)) return Result.fail(new DeliveryNotFound({ tenantId }))
  return Result.map(Handover.checkVersion(delivery.value, expectedVersion), () => {
    const isPending = Orphan.isPending(stored)
    const links = isPending ? [{ orphan: stored.event, deliveryId }] : []
    return { answer: isPending, commit: { at, links, deliveries: moved(links.map(factOf), () => delivery, at) } }
  })
}

/**
 * Decides what an operator's dismissal of an orphan means; nothing where the orphan is not pending.
 *
 * @category decisions
 * @since 0.2.0
 */
export const dismiss = (stored: Stored, at: Timestamp.Timestamp): Decided<boolean> => {
  const isPending = Orphan.isPending(stored)
  return { answer: isPending, commit: { at, dismissed: isPending ? [stored.event] : [] } }
}
