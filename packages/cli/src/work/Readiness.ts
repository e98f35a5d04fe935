/**
 * Decides whether this process is to be given work: the database answers and writes, its schema is migrated and orphans are
 * swept.
 *
 * @since 0.1.0
 */
import { Ticks } from "@waybill/core"
import * as Backlog from "@waybill/runtime/Backlog"
import * as Reconciler from "@waybill/runtime/Reconciler"
import * as Schedules from "@waybill/runtime/Schedules"
import { type Cron, DateTime, Duration, Effect, Option } from "effect"
import * as Database from "../store/Database.ts"

/**
 * How long the database may take to answer.
 *
 * @category constants
 * @since 0.1.0
 */
export const answersWithin: Duration.Duration = Duration.seconds(2)

/**
 * How many ticks in a row may pass without a sweep.
 *
 * @category constants
 * @since 0.1.0
 */
export const missedTicks = 3

/** How many of the last ticks are looked at. */
const lookBack = 20

/**
 * The schedule whose sweeps are looked for, and the process that is judged.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly cron: Cron.Cron
  readonly node: string
  readonly startedAt: DateTime.Utc
  /** When this process last made a batch of a sweep, or else when it started. */
  readonly lastBatchAt: Effect.Effect<DateTime.Utc>
  /** The raw webhooks that were not in the ledger when they were last counted; none where they are not counted. */
  readonly unfinished?: Effect.Effect<Option.Option<Backlog.Unfinished>>
}

const staleness = Effect.fnUntraced(function*({ cron, lastBatchAt, node, startedAt }: Options) {
  const ticks = yield* Ticks.Ticks
  const recent = yield* ticks.recent({ schedule: Option.some(Reconciler.defaultSchedule), limit: lookBack })
  const batchAt = yield* lastBatchAt
  // A sweep that ended well counts from its end, one that this very process is at from its last batch.
  const alive = recent.flatMap(({ endedAt, error, node: by, tick }) => {
    if (Option.isSome(error)) return []
    if (Option.isSome(endedAt)) return [endedAt.value]
    return by === node ? [DateTime.max(tick, batchAt)] : []
  })
  const since = alive.reduce(DateTime.max, startedAt)
  let due = since
  for (let missed = 0; missed < missedTicks; missed++) due = Schedules.tickAfter(cron, due)
  if (DateTime.isGreaterThan(due, yield* DateTime.now)) return Option.none()
  return Option.some(`no sweep has succeeded since ${DateTime.formatIso(since)}`)
})

/**
 * The reason why this process is not ready; none if it is.
 *
 * @category getters
 * @since 0.1.0
 */
export const reason = Effect.fn("Readiness.reason")(
  function*(options: Options) {
    const database = yield* Database.Database
    const pending = yield* database.pending
    if (pending.length > 0) return Option.some(`the schema ${database.schema} lacks ${pending.join(", ")}`)
    yield* database.writes
    return yield* staleness(options)
  },
  Effect.timeoutOrElse({
    duration: answersWithin,
    orElse: () => Effect.succeed(Option.some("the database does not answer"))
  }),
  Effect.catch((error) => Effect.succeed(Option.some(error.message)))
)

/**
 * What somebody should look at, though this process can work: webhooks that were given up, and such as fail. It asks nothing
 * of the database.
 *
 * @category getters
 * @since 0.2.0
 */
export const warnings = Effect.fn("Readiness.warnings")(function*({ unfinished }: Options) {
  const found = unfinished === undefined ? Option.none() : yield* unfinished
  return Option.match(found, { onNone: () => [], onSome: Backlog.warnings })
})
