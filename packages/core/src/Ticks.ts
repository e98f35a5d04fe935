/**
 * Defines the port by which nodes share the ticks of a schedule: each tick is claimed once, by its row, and the rows are the
 * history that an operator reads. There is no leader.
 *
 * @since 0.1.0
 */
import { Context, type Effect, Option, Schema } from "effect"
import * as JsonBag from "./JsonBag.ts"
import type { InvalidInput, LedgerError } from "./LedgerError.ts"
import * as Text from "./Text.ts"
import * as Timestamp from "./Timestamp.ts"

/** The name of a schedule or a node: bounded text. */
const Name = Text.bounded(255)

/**
 * What a sweep did, by name: `scanned`, `linked`, `failed`, `deleted` …
 *
 * @category models
 * @since 0.1.0
 */
export type Counts = Readonly<Record<string, number>>

/**
 * One run of a schedule: who claimed it, when it began and ended, what it did, or why it failed.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Tick = Schema.Struct({
  /** The schedule's name, such as `reconcile` or `reconcile by hand`. */
  schedule: Name,
  /** The instant of the schedule it stands for. */
  tick: Timestamp.Timestamp,
  /** The node that claimed it. */
  node: Name,
  beganAt: Timestamp.Timestamp,
  endedAt: Schema.OptionFromNullOr(Timestamp.Timestamp),
  counts: Schema.Record(Schema.String, Schema.Finite).check(
    Schema.makeFilter((counts) => (JsonBag.isJsonBag(counts) ? undefined : JsonBag.message))
  ),
  error: Schema.OptionFromNullOr(Text.bounded(1000))
})

/**
 * One run of a schedule.
 *
 * @category models
 * @since 0.1.0
 */
export type Tick = typeof Tick.Type

/**
 * Names one tick of a schedule.
 *
 * @category models
 * @since 0.1.0
 */
export type TickKey = Pick<Tick, "schedule" | "tick">

/**
 * Orders the history: what began last first, then by the name of the schedule, then the latest tick.
 *
 * @category ordering
 * @since 0.2.0
 */
export const compare = (left: Tick, right: Tick): number =>
  right.beganAt.epochMilliseconds - left.beganAt.epochMilliseconds ||
  Text.compare(left.schedule, right.schedule) ||
  right.tick.epochMilliseconds - left.tick.epochMilliseconds

/**
 * The ticks that began last, of one schedule or of all.
 *
 * @category getters
 * @since 0.2.0
 */
export const select = (
  { limit, schedule }: { readonly schedule: Option.Option<string>; readonly limit: number },
  ticks: ReadonlyArray<Tick>
): ReadonlyArray<Tick> =>
  ticks
    .filter((tick) => Option.isNone(schedule) || schedule.value === tick.schedule)
    .toSorted(compare)
    .slice(0, limit)

/**
 * A tick that a node claims, which has not ended.
 *
 * @category constructors
 * @since 0.2.0
 */
export const begin = (
  { node, schedule, tick }: TickKey & Pick<Tick, "node">,
  beganAt: Timestamp.Timestamp
): Tick => ({ schedule, tick, node, beganAt, endedAt: Option.none(), counts: {}, error: Option.none() })

/**
 * A claimed tick that has ended.
 *
 * @category folding
 * @since 0.2.0
 */
export const end = (claimed: Tick, result: Pick<Tick, "counts" | "error">, endedAt: Timestamp.Timestamp): Tick => ({
  ...claimed,
  counts: { ...result.counts },
  error: result.error,
  endedAt: Option.some(endedAt)
})

/**
 * Tells whether a tick ended before an instant; one that has not ended never did.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isEndedBefore = ({ endedAt }: Pick<Tick, "endedAt">, before: Timestamp.Timestamp): boolean =>
  Option.isSome(endedAt) && endedAt.value.epochMilliseconds < before.epochMilliseconds

/**
 * The claimed ticks of one installation.
 *
 * @category services
 * @since 0.1.0
 */
export class Ticks extends Context.Service<Ticks, {
  /** Claims a tick; false where it is claimed already, by whatever node. */
  readonly claim: (key: TickKey & Pick<Tick, "node">) => Effect.Effect<boolean, InvalidInput | LedgerError>

  /** Notes how a claimed tick ended. */
  readonly finish: (
    key: TickKey,
    result: { readonly counts: Counts; readonly error: Option.Option<string> }
  ) => Effect.Effect<void, InvalidInput | LedgerError>

  /** Returns the ticks that began last, newest first, of one schedule or of all. */
  readonly recent: (query: {
    readonly schedule: Option.Option<string>
    readonly limit: number
  }) => Effect.Effect<ReadonlyArray<Tick>, InvalidInput | LedgerError>

  /** Deletes ticks that ended before an instant and returns how many. */
  readonly prune: (before: Timestamp.Timestamp) => Effect.Effect<number, LedgerError>
}>()("@waybill/core/Ticks") {}
