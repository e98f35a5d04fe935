/**
 * Deletes what has been kept long enough: raw webhooks by how they ended, and the rows of old ticks. Nothing in the ledger is
 * ever pruned.
 *
 * Webhooks go in bounded batches, so that no transaction is long; interrupted, it lets the batch in hand commit and begins no
 * other.
 *
 * @since 0.1.0
 */
import { Inbox, LedgerError, Ticks } from "@waybill/core"
import * as Attributes from "@waybill/core/Attributes"
import { Context, DateTime, Duration, Effect, Layer, Option } from "effect"
import * as Schedules from "./Schedules.ts"
import * as Telemetry from "./Telemetry.ts"

/**
 * For how many days something is kept.
 *
 * @category models
 * @since 0.1.0
 */
export type Days = number | "forever"

/**
 * What is kept for how many days, each 1 to 36,500.
 *
 * @category models
 * @since 0.1.0
 */
export interface Keep {
  /** Webhooks that are in the ledger; 14 where nothing is said. */
  readonly succeeded?: Days
  /** Webhooks that were given up; 90 where nothing is said. */
  readonly dead?: Days
  /** Webhooks that are to be tried again; forever where nothing is said. */
  readonly failed?: Days
  /** The rows of ticks that ended; 30 where nothing is said. */
  readonly ticks?: Days
}

/**
 * What is kept for how many days where nothing is said.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultKeep: Required<Keep> = { succeeded: 14, dead: 90, failed: "forever", ticks: 30 }

/**
 * The longest time that can be named, in days: a hundred years.
 *
 * @category constants
 * @since 0.1.0
 */
export const maxDays = 36_500

/**
 * How many webhooks one transaction deletes at most.
 *
 * @category constants
 * @since 0.1.0
 */
export const batchSize = 1000

/**
 * What to prune.
 *
 * @category models
 * @since 0.1.0
 */
export interface PruneOptions {
  readonly keep?: Keep
  /** Counts the webhooks that would be deleted, and deletes nothing. */
  readonly dryRun?: boolean
  /** Told after each batch what has been deleted so far. */
  readonly onBatch?: (sofar: Pruned) => Effect.Effect<void>
}

/**
 * What was pruned, or would be.
 *
 * @category models
 * @since 0.1.0
 */
export interface Pruned {
  readonly webhooks: number
  /** Absent in a dry run, which does not count them, and where they are kept forever. */
  readonly ticks: Option.Option<number>
}

/**
 * Deletes what has been kept long enough.
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

const kinds = ["succeeded", "dead", "failed", "ticks"] as const

const isDays = (days: Days): boolean => days === "forever" || (Number.isInteger(days) && days >= 1 && days <= maxDays)

/**
 * Checks for how long things are to be kept, and fills in what is not said.
 *
 * @category validation
 * @since 0.1.0
 */
export const checkKeep = (keep: Keep = {}): Effect.Effect<Required<Keep>, LedgerError.InvalidInput> => {
  const filled = { ...defaultKeep, ...keep }
  const wrong = kinds.find((kind) => !isDays(filled[kind]))
  return wrong === undefined
    ? Effect.succeed(filled)
    : Effect.fail(
      LedgerError.invalid(
        "query",
        `keep.${wrong}: must be a whole number of days from 1 to ${maxDays}, or "forever"`
      )
    )
}

const limited = (days: Days): Option.Option<Duration.Duration> =>
  days === "forever" ? Option.none() : Option.some(Duration.days(days))

const make = Effect.gen(function*() {
  const inbox = yield* Inbox.Inbox
  const ticks = yield* Ticks.Ticks

  const prune = Effect.fn("Pruner.prune")(function*(options: PruneOptions = {}) {
    const keep = yield* checkKeep(options.keep)
    const retention: Inbox.Retention = {
      succeeded: limited(keep.succeeded),
      dead: limited(keep.dead),
      failed: limited(keep.failed)
    }
    if (options.dryRun === true) {
      const webhooks = yield* inbox.prune({ retention, limit: batchSize, dryRun: true })
      return { webhooks, ticks: Option.none<number>() }
    }

    let pruned: Pruned = { webhooks: 0, ticks: Option.none() }
    const tell = (sofar: Pruned) => {
      pruned = sofar
      return options.onBatch?.(pruned) ?? Effect.void
    }
    const nextBatch = Effect.uninterruptible(Effect.gen(function*() {
      const deleted = yield* inbox.prune({ retention, limit: batchSize, dryRun: false })
      yield* Telemetry.update(Telemetry.webhooksPruned, deleted)
      if (deleted > 0) yield* tell({ ...pruned, webhooks: pruned.webhooks + deleted })
      return deleted
    }))
    while ((yield* nextBatch) === batchSize) yield* Effect.yieldNow

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

const countsOf = ({ ticks, webhooks }: Pruned) => ({ webhooks, ticks: Option.getOrElse(ticks, () => 0) })

/**
 * The pruner of an installation.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Pruner, never, Inbox.Inbox | Ticks.Ticks> = Layer.effect(Pruner, make)

/**
 * When something is pruned where nothing is said: at three in the morning.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultCron = "0 3 * * *"

/**
 * The schedule's name where none is said.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultSchedule = "prune"

/**
 * The name under which pruning by hand is noted.
 *
 * @category constants
 * @since 0.1.0
 */
export const byHand = "prune by hand"

/**
 * When something is pruned, and what is kept.
 *
 * @category models
 * @since 0.1.0
 */
export interface CronOptions extends Pick<PruneOptions, "keep"> {
  /** Three in the morning where nothing is said. */
  readonly cron?: string
  /** An IANA name or an offset; UTC where nothing is said. */
  readonly timeZone?: string
  /** The name by which all nodes know the schedule; `prune` where nothing is said. */
  readonly schedule?: string
  /** The name of this node in the history; a random one where nothing is said. */
  readonly node?: string
}

/**
 * Prunes now and notes it in the history of ticks, as `prune by hand`; a dry run is not noted.
 *
 * @category scheduling
 * @since 0.1.0
 */
export const recordedPrune = Effect.fn("Pruner.recordedPrune")(function*(
  options: PruneOptions & { readonly node?: string } = {}
) {
  const pruner = yield* Pruner
  if (options.dryRun === true) return yield* pruner.prune(options)
  let last: Pruned = { webhooks: 0, ticks: Option.none() }
  yield* Schedules.runNow({ schedule: byHand, node: options.node }, (note) =>
    Effect.gen(function*() {
      const onBatch = (sofar: Pruned) => Effect.andThen(note(countsOf(sofar)), options.onBatch?.(sofar) ?? Effect.void)
      last = yield* pruner.prune({ ...options, onBatch })
      return countsOf(last)
    }))
  return last
})

/**
 * Prunes at the times of a cron, on each tick by one of all nodes.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerCron = (
  options: CronOptions = {}
): Layer.Layer<never, Schedules.InvalidCron | LedgerError.InvalidInput, Pruner | Ticks.Ticks> =>
  Schedules.layer(
    {
      schedule: options.schedule ?? defaultSchedule,
      cron: options.cron ?? defaultCron,
      timeZone: options.timeZone,
      node: options.node
    },
    (note) =>
      Effect.gen(function*() {
        const pruner = yield* Pruner
        return countsOf(
          yield* pruner.prune({ keep: options.keep ?? {}, onBatch: (sofar) => note(countsOf(sofar)) })
        )
      })
  ).pipe(Layer.provide(Layer.effectDiscard(checkKeep(options.keep))))
