/**
 * Defines the port by which deliveries that wait to be sent are taken up, each by one worker at a time.
 *
 * A delivery is unsent (`Handover.isUnsent`) from its record until it is dispatched, given up, suppressed or known to a provider.
 * Storage keeps the unsent ones in a small queue of their own, which follows every change of a delivery, whoever makes it: asking
 * for them costs what waits, not what the ledger holds.
 *
 * @since 0.2.0
 */
import { Context, DateTime, type Effect, Option } from "effect"
import type * as Delivery from "./Delivery.ts"
import type * as Event from "./Event.ts"
import type { InvalidInput, LedgerError } from "./LedgerError.ts"
import * as Retry from "./Retry.ts"
import * as Tenant from "./Tenant.ts"
import * as Text from "./Text.ts"
import type * as Timestamp from "./Timestamp.ts"

/**
 * The place of an unsent delivery in the queue.
 *
 * @category models
 * @since 0.2.0
 */
export interface Row {
  readonly tenantId: Tenant.TenantId
  readonly deliveryId: Event.DeliveryId
  /** How many attempts to send it were begun or noted. */
  readonly attempts: number
  /** When it may be taken up: a worker that has it, or an attempt that failed, puts it off. */
  readonly dueAt: Timestamp.Timestamp
}

/**
 * The place of a delivery that begins to wait.
 *
 * @category constructors
 * @since 0.2.0
 */
export const ofDelivery = ({ id, insertedAt, tenantId }: Delivery.Delivery): Row => ({
  tenantId,
  deliveryId: id,
  attempts: 0,
  dueAt: insertedAt
})

/**
 * The place after an attempt failed: put off by `Retry.waitAfter`, unless a later attempt has begun meanwhile.
 *
 * @category decisions
 * @since 0.2.0
 */
export const postponed = (row: Row, attempt: number, at: Timestamp.Timestamp): Row =>
  attempt < row.attempts
    ? row
    : { ...row, attempts: attempt, dueAt: DateTime.addDuration(at, Retry.waitAfter(attempt)) }

/**
 * Which unsent deliveries are claimed.
 *
 * @category models
 * @since 0.2.0
 */
export interface Claim {
  readonly scope: Tenant.Scope
  /** At most so many. */
  readonly limit: number
  /** Those that were due by then; a delivery is first due when it is recorded. */
  readonly dueTo: Timestamp.Timestamp
  /** Until when nobody else gets them: a worker that ends before leaves them to the others from then on. */
  readonly until: Timestamp.Timestamp
}

/**
 * An unsent delivery that is claimed, and the number of the attempt that begins with it.
 *
 * @category models
 * @since 0.2.0
 */
export interface Claimed {
  readonly delivery: Delivery.Delivery
  readonly attempt: number
}

const compare = (left: Row, right: Row): number =>
  left.dueAt.epochMilliseconds - right.dueAt.epochMilliseconds || Text.compare(left.deliveryId, right.deliveryId) ||
  Text.compare(left.tenantId, right.tenantId)

/**
 * Decides which places a claim takes. Each tenant that has any due gets an equal share, and what the others leave of theirs;
 * where there are more tenants than places, and for what is left, those go first whose mail has been due longest.
 *
 * @category decisions
 * @since 0.2.0
 */
export const select = (rows: ReadonlyArray<Row>, { dueTo, limit, scope }: Claim): ReadonlyArray<Row> => {
  const due = rows.filter(({ dueAt, tenantId }) =>
    Tenant.reaches(scope, tenantId) && dueAt.epochMilliseconds <= dueTo.epochMilliseconds
  )
  // In this order the groups stand by their oldest, too.
  const tenants = Array.from(Map.groupBy(due.toSorted(compare), ({ tenantId }) => tenantId).values()).slice(0, limit)
  const share = Math.floor(limit / Math.max(tenants.length, 1))
  const shared = tenants.flatMap((own) => own.slice(0, share))
  const rest = tenants.flatMap((own) => own.slice(share)).slice(0, limit - shared.length)
  return [...shared, ...rest].toSorted(compare)
}

/**
 * The place of a claimed delivery: its next attempt has begun.
 *
 * @category decisions
 * @since 0.2.0
 */
export const claimed = (row: Row, { until }: Claim): Row => ({ ...row, attempts: row.attempts + 1, dueAt: until })

/**
 * The claims of places whose deliveries are known.
 *
 * @category constructors
 * @since 0.2.0
 */
export const claimsOf = (
  rows: ReadonlyArray<Row>,
  find: (row: Row) => Option.Option<Delivery.Delivery>
): ReadonlyArray<Claimed> =>
  rows.flatMap((row) => Option.toArray(Option.map(find(row), (delivery) => ({ delivery, attempt: row.attempts }))))

/**
 * The unsent deliveries of one installation.
 *
 * @category services
 * @since 0.2.0
 */
export class Unsent extends Context.Service<Unsent, {
  /**
   * Claims unsent deliveries that are due, as `select` says, longest due first, and counts an attempt for each. What another
   * worker claims at the same time is passed by; two never get the same before the claim ends.
   */
  readonly claim: (claim: Claim) => Effect.Effect<ReadonlyArray<Claimed>, InvalidInput | LedgerError>
}>()("@waybill/core/Unsent") {}
