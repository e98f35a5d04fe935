/**
 * Deletes raw webhooks, the details of events and the rows of old ticks that were kept long enough. Nothing in the ledger is
 * ever pruned.
 *
 * Webhooks and details go in bounded batches, so that no transaction is long; interrupted, it lets the batch in hand commit and begins no
 * other.
 *
 * @since 0.1.0
 */
import { Inbox, type InboxQuery, Ledger, LedgerError, Ticks } from "@waybill/core"
import * as Attributes from "@waybill/core/Attributes"
import { Context, DateTime, Duration, Effect, Layer, Option } from "effect"
import * as Metrics from "./Metrics.ts"
import * as Schedules from "./Schedules.ts"

/**
 * How long something is kept, in days.
 *
 * @category models
 * @since 0.1.0
 */
export type Days = number | "forever"

/**
 * How long each kind of row is kept, in days from 1 to 36,500.
 *
 * @category models
 * @since 0.1.0
 */
export interface Keep {
  /** Webhooks that are processed; 14 by default. */
  readonly succeeded?: Days
  /** Webhooks that were given up; 90 by default. */
  readonly dead?: Days
  /** Webhooks that are to be tried again; forever by default. */
  readonly failed?: Days
  /** The details of events; 30 by default. With `none` all that there are go at once. */
  readonly details?: Days | "none"
  /** The rows of ticks that ended; 30 by default. */
  readonly ticks?: Days
}

/**
 * How long each kind of row is kept by default, in days.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultKeep: Required<Keep> = { succeeded: 14, dead: 90, failed: "forever", details: 30, ticks: 30 }

/**
 * The longest time that can be named, in days: a hundred years.
 *
 * @category constants
 * @since 0.1.0
 */
export const maxDays = 36_500

/**
 * How many webhooks, or details, one transaction deletes at most.
 *
 * @category constants
 * @since 0.1.0
 */
export const batchSize = 1000

/**
 * The reach of a pruning.
 *
 * @category models
 * @since 0.1.0
 */
export interface PruneOptions {
  readonly keep?: Keep
  /** Counts the webhooks and the details that would be deleted, and deletes nothing. */
  readonly dryRun?: boolean
  /** Told after each batch what has been deleted so far. */
  readonly onBatch?: (sofar: Pruned) => Effect.Effect<void>
}

/**
 * The counts of what was pruned, or would be.
 *
 * @category models
 * @since 0.1.0
 */
export interface Pruned {
  readonly webhooks: number
  /** Of how many events the details were deleted. */
  readonly details: number
  /** Absent in a dry run, which does not count them, and if they are kept forever. */
  readonly ticks: Option.Option<number>
}

/**
 * Deletes raw webhooks, details and old ticks that were kept long enough.
 *
 * @category services
 * @since 0.1.0
 */
export class Pruner extends Context.Service<Pruner, {
  /** Deletes what has been kept long enough, or with `dryRun` counts it. */
  readonly prune: (
    options?: PruneOptions
  ) => Effect.Effect<Pruned, LedgerError.InvalidInput | LedgerError.LedgerError>
}>()("@waybill/runtime/Pruner") {}

const kinds = ["succeeded", "dead", "failed", "details", "ticks"] as const

const isDays = (days: Days | "none"): boolean =>
  days === "forever" || (typeof days === "number" && Number.isInteger(days) && days >= 1 && days <= maxDays)

/**
 * Checks how long things are to be kept, and fills in the defaults.
 *
 * @category validation
 * @since 0.1.0
 */
export const checkKeep = (keep: Keep = {}): Effect.Effect<Required<Keep>, LedgerError.InvalidInput> => {
  const filled = { ...defaultKeep, ...keep }
  const wrong = kinds.find((kind) => !isDays(filled[kind]) && !(kind === "details" && filled.details === "none"))
  return wrong === undefined
    ? Effect.succeed(filled)
    : Effect.fail(
      LedgerError.invalid(
        "query",
        `keep.${wrong}: must be a whole number of days from 1 to ${maxDays}, or "forever"${
          wrong === "details" ? ", or \"none\"" : ""
        }`
      )
    )
}

const limited = (days: Days): Option.Option<Duration.Duration> =>
  days === "forever" ? Option.none() : Option.some(Duration.days(days))

/** The time before which the details were stored that are not to be kept any longer; none where all are. */
const detailsBefore = (days: Days | "none", now: DateTime.Utc): Option.Option<DateTime.Utc> => {
  switch (days) {
    case "forever":
      return Option.none()
    case "none":
      // What another process brings in meanwhile, by a clock that is ahead, goes too.
      return Option.some(DateTime.add(now, { days: 1 }))
    default:
      return Option.some(DateTime.subtract(now, { days }))
  }
}

const make = Effect.gen(function*() {
  const ledger = yield* Ledger.Ledger
  const inbox = yield* Inbox.Inbox
  const ticks = yield* Ticks.Ticks

  const prune = Effect.fn("Pruner.prune")(function*(options: PruneOptions = {}) {
    const keep = yield* checkKeep(options.keep)
    const retention: InboxQuery.Retention = {
      succeeded: limited(keep.succeeded),
      dead: limited(keep.dead),
      failed: limited(keep.failed)
    }
    const before = detailsBefore(keep.details, yield* DateTime.now)
    const pruneDetails = (dryRun: boolean) =>
      Option.isNone(before)
        ? Effect.succeed(0)
        : ledger.pruneDetails({ before: before.value, limit: batchSize, dryRun })
    if (options.dryRun === true) {
      const webhooks = yield* inbox.prune({ retention, limit: batchSize, dryRun: true })
      return { webhooks, details: yield* pruneDetails(true), ticks: Option.none<number>() }
    }

    let pruned: Pruned = { webhooks: 0, details: 0, ticks: Option.none() }
    const tell = (sofar: Pruned) => {
      pruned = sofar
      return options.onBatch?.(pruned) ?? Effect.void
    }
    const nextBatch = Effect.uninterruptible(Effect.gen(function*() {
      const deleted = yield* inbox.prune({ retention, limit: batchSize, dryRun: false })
      yield* Metrics.update(Metrics.webhooksPruned, deleted)
      if (deleted > 0) yield* tell({ ...pruned, webhooks: pruned.webhooks + deleted })
      return deleted
    }))
    while ((yield* nextBatch) === batchSize) yield* Effect.yieldNow

    const nextDetails = Effect.uninterruptible(Effect.tap(
      pruneDetails(false),
      (deleted) => deleted > 0 ? tell({ ...pruned, details: pruned.details + deleted }) : Effect.void
    ))
    while ((yield* nextDetails) === batchSize) yield* Effect.yieldNow

    if (keep.ticks !== "forever") {
      const before = DateTime.subtract(yield* DateTime.now, { days: keep.ticks })
      yield* Effect.uninterruptible(
        Effect.flatMap(ticks.prune(before), (deleted) => tell({ ...pruned, ticks: Option.some(deleted) }))
      )
    }
    yield* Effect.logDebug("pruning finished").pipe(Attributes.annotateLogs(countsOf(pruned)))
    return pruned
  })

  return Pruner.of({ prune })
})

const countsOf = ({ details, ticks, webhooks }: Pruned) => ({
  webhooks,
  details,
  ticks: Option.getOrElse(ticks, () => 0)
})

/**
 * The pruner of an installation.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Pruner, never, Ledger.Ledger | Inbox.Inbox | Ticks.Ticks> = Layer.effect(Pruner, make)

/**
 * The cron of pruning by default: at three in the morning.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultCron = "0 3 * * *"

/**
 * The schedule's name by default.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultSchedule = "prune"

/**
 * When something is pruned, and how long things are kept.
 *
 * @category models
 * @since 0.1.0
 */
export interface CronOptions extends Pick<PruneOptions, "keep">, Schedules.When {}

const job = Schedules.job({
  name: defaultSchedule,
  cron: defaultCron,
  check: ({ keep }: Pick<PruneOptions, "keep">) => checkKeep(keep),
  work: ({ keep = {} }, onBatch: (sofar: Pruned) => Effect.Effect<void>) =>
    Pruner.use(({ prune }) => prune({ keep, onBatch })),
  counts: countsOf
})

/**
 * Prunes now and notes it in the history of ticks, as `prune by hand`; a dry run is not noted.
 *
 * @category scheduling
 * @since 0.1.0
 */
export const recordedPrune = (
  options: PruneOptions & Pick<Schedules.When, "node"> = {}
): Effect.Effect<Pruned, LedgerError.InvalidInput | LedgerError.LedgerError, Pruner | Ticks.Ticks> =>
  options.dryRun === true ? Pruner.use(({ prune }) => prune(options)) : job.runNow(options)

/**
 * Prunes at the times of a cron, on each tick by one of all nodes.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerCron = (
  options: CronOptions = {}
): Layer.Layer<never, Schedules.InvalidCron | LedgerError.InvalidInput, Pruner | Ticks.Ticks> => job.layerCron(options)
