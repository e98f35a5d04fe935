/**
 * Defines the port by which what is stored is compared with the ledger, and brought in line with it again.
 *
 * @since 0.2.0
 */
import { Array as Arr, Context, DateTime, type Effect, Option } from "effect"
import * as Delivery from "./Delivery.ts"
import * as Drift from "./Drift.ts"
import * as Figure from "./Figure.ts"
import type { InvalidInput, LedgerError } from "./LedgerError.ts"
import type * as Projection from "./Projection.ts"
import type * as Tenant from "./Tenant.ts"
import * as Text from "./Text.ts"
import type * as Timestamp from "./Timestamp.ts"

/**
 * Which part of what is stored to compare with the ledger.
 *
 * @category models
 * @since 0.2.0
 */
export interface Query {
  /**
   * `contributions` are what each delivery counts for, of deliveries that the figures have followed; `figures` are their sums,
   * of each tenant and day.
   */
  readonly part: "deliveries" | "orphans" | "suppressions" | "contributions" | "figures"
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

/** Where a row stands among those that are compared. */
interface Place {
  readonly id: string
  readonly tenantId: string
}

/** The rows after a place, in their order, as many as a page holds. */
const pageOf = <A extends Place>(
  rows: ReadonlyArray<A>,
  compare: (left: Place, right: Place) => number,
  after: Option.Option<Place>,
  limit: number
): ReadonlyArray<A> =>
  rows
    .filter((row) => Option.isNone(after) || compare(row, after.value) > 0)
    .toSorted(compare)
    .slice(0, limit)

/**
 * The deliveries of one page, or the addresses whose suppressions are compared, by tenant and id.
 *
 * @category decisions
 * @since 0.2.0
 */
export const deliveriesOf = <A extends Place>(
  rows: ReadonlyArray<A>,
  after: Option.Option<Place>,
  limit: number
): ReadonlyArray<A> =>
  pageOf(
    rows,
    (left, right) => Text.compare(left.tenantId, right.tenantId) || Text.compare(left.id, right.id),
    after,
    limit
  )

/**
 * The orphans of one page, by id.
 *
 * @category decisions
 * @since 0.2.0
 */
export const orphansOf = <A extends Place>(
  rows: ReadonlyArray<A>,
  after: Option.Option<Place>,
  limit: number
): ReadonlyArray<A> => pageOf(rows, (left, right) => Text.compare(left.id, right.id), after, limit)

/**
 * Where the page after this one begins; absent where this one is not full.
 *
 * @category getters
 * @since 0.2.0
 */
export const nextOf = (
  { limit, part }: Pick<Query, "limit" | "part">,
  page: ReadonlyArray<Place>
): Option.Option<string> =>
  page.length < (part === "figures" ? Math.min(limit, maxDays) : limit)
    ? Option.none()
    : Option.map(Arr.last(page), ({ id, tenantId }) => part === "orphans" ? id : `${id} ${tenantId}`)

/**
 * Compares deliveries with the events of each: the differences, and the deliveries without them.
 *
 * @category decisions
 * @since 0.2.0
 */
export const compareDeliveries = (
  page: ReadonlyArray<{ readonly delivery: Delivery.Delivery; readonly facts: ReadonlyArray<Projection.Fact> }>,
  at: Timestamp.Timestamp
): { readonly drifts: ReadonlyArray<Drift.Drift>; readonly repaired: ReadonlyArray<Delivery.Delivery> } => {
  const found = page.map(({ delivery, facts }) => ({ delivery, facts, drift: Drift.ofDelivery(delivery, facts) }))
  return {
    drifts: Arr.getSomes(found.map(({ drift }) => drift)),
    repaired: found
      .filter(({ drift }) => Option.isSome(drift))
      .map(({ delivery, facts }) => Delivery.refold(delivery, facts, at))
  }
}

/**
 * Compares how deliveries count with the events of each: the differences. One of which the figures have not followed all is left
 * alone.
 *
 * @category decisions
 * @since 0.2.0
 */
export const compareContributions = (
  page: ReadonlyArray<{
    readonly delivery: Delivery.Delivery
    readonly facts: ReadonlyArray<Figure.Fact>
    readonly stored: Option.Option<Figure.Contribution>
    readonly isFollowed: boolean
  }>
): ReadonlyArray<Drift.Contribution> =>
  page
    .filter(({ delivery, facts, isFollowed, stored }) =>
      isFollowed && !isSameContribution(Figure.contributionOf(delivery, facts), stored)
    )
    .map(({ delivery }) => ({ _tag: "Contribution", tenantId: delivery.tenantId, deliveryId: delivery.id }))

const isSameContribution = Option.makeEquivalence(Figure.isSame)

/**
 * The tenants and days of which the figures of a page are compared, in their order.
 *
 * @category decisions
 * @since 0.2.0
 */
export const daysOf = (
  contributions: Iterable<Figure.Contribution>,
  after: Option.Option<Place>,
  limit: number
): ReadonlyArray<Place> => {
  const places = Array.from(contributions, ({ hour, tenantId }): Place => ({
    id: DateTime.formatIsoDateUtc(hour),
    tenantId
  }))
  const distinct = new Map(places.map((place) => [`${place.tenantId} ${place.id}`, place]))
  return deliveriesOf(Array.from(distinct.values()), after, Math.min(limit, maxDays))
}

/**
 * Of how many tenants and days one page compares the figures at most, since each is the sum of all its deliveries.
 *
 * @category constants
 * @since 0.2.0
 */
export const maxDays = 10

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
