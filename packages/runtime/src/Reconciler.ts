/**
 * Links the orphans that no other way has linked: a backstop that may run at any time, anywhere, twice at once.
 *
 * A sweep leaves alone the orphans younger than its grace and older than its horizon, and drains all that lie between. Each
 * orphan is linked once, whoever races, and sweeping again changes nothing.
 *
 * @since 0.1.0
 */
import { type Event, Input, LedgerError, Orphan, Orphans, Tenant, type Ticks } from "@waybill/core"
import * as Attributes from "@waybill/core/Attributes"
import { Context, DateTime, Duration, Effect, Layer, Option } from "effect"
import * as Schedules from "./Schedules.ts"

/**
 * How many orphans are returned by default.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultLimit = 100

/**
 * How many orphans one batch of a sweep claims by default.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultBatchSize = 1000

/**
 * The grace by default: a sweep leaves younger orphans alone.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultGrace: Duration.Duration = Duration.seconds(60)

/**
 * The horizon by default: seven days in minutes. Older orphans are unlikely ever to be linked.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultMaxAgeMinutes = 10_080

/**
 * The widest horizon, in minutes: a hundred years.
 *
 * @category constants
 * @since 0.1.0
 */
export const maxMaxAgeMinutes = 52_560_000

/**
 * The pending orphans to return.
 *
 * @category models
 * @since 0.1.0
 */
export interface OrphanOptions {
  /** One tenant; without it all of them. */
  readonly tenantId?: Tenant.TenantId
  /** 1 to 10,000; 100 by default. */
  readonly limit?: number
  /** Leaves out older ones; 10,080 by default. */
  readonly maxAgeMinutes?: number
}

/**
 * The orphans that a sweep reaches.
 *
 * @category models
 * @since 0.1.0
 */
export interface SweepOptions {
  /** One tenant; without it all of them. */
  readonly tenantId?: Tenant.TenantId
  /** How many orphans one transaction claims at most: 1 to 10,000; 1000 by default. */
  readonly batchSize?: number
  /** Leaves out younger ones; 60 seconds by default. */
  readonly grace?: Duration.Input
  /** Leaves out older ones; 10,080 by default. */
  readonly maxAgeMinutes?: number
  /** Told after each batch what the sweep has done so far. */
  readonly onBatch?: (sofar: Swept) => Effect.Effect<void>
}

/**
 * The counts of a sweep.
 *
 * @category models
 * @since 0.1.0
 */
export interface Swept {
  /** How many linkable orphans it claimed. */
  readonly scanned: number
  /** How many new links it made. */
  readonly linked: number
  /** How many failed on their own and were set aside. */
  readonly failed: number
  /** How many linkable ones it left in the end, because other transactions held their deliveries. */
  readonly remaining: number
}

/**
 * Finds orphans and links them.
 *
 * @category services
 * @since 0.1.0
 */
export class Reconciler extends Context.Service<Reconciler, {
  /** Returns pending orphans inside the horizon, oldest first. */
  readonly findOrphans: (
    options?: OrphanOptions
  ) => Effect.Effect<ReadonlyArray<Event.Event>, LedgerError.InvalidInput | LedgerError.LedgerError>

  /** Looks up the delivery that an event is about, and changes nothing. */
  readonly attemptLink: Orphans.Orphans["Service"]["attemptLink"]

  /**
   * Links every orphan between grace and horizon whose delivery exists, in batches until none is left; of a backlog, two
   * batches at a time. If another transaction holds a delivery, it comes back a few times, for ten seconds in all.
   * Interrupted, it lets what is in hand commit and begins no other.
   */
  readonly sweep: (
    options?: SweepOptions
  ) => Effect.Effect<Swept, LedgerError.InvalidInput | LedgerError.LedgerError>
}>()("@waybill/runtime/Reconciler") {}

/** How often a sweep comes back for orphans whose deliveries other transactions held. */
const maxRests = 10

const invalid = (issue: string) => LedgerError.invalid("query", issue)

const checkMaxAge = (minutes: number): Effect.Effect<Duration.Duration, LedgerError.InvalidInput> =>
  Number.isInteger(minutes) && minutes >= 1 && minutes <= maxMaxAgeMinutes
    ? Effect.succeed(Duration.minutes(minutes))
    : Effect.fail(invalid(`maxAgeMinutes: must be a whole number from 1 to ${maxMaxAgeMinutes}`))

const checkGrace = (grace: Duration.Input): Effect.Effect<Duration.Duration, LedgerError.InvalidInput> =>
  Option.match(
    Option.filter(
      Duration.fromInput(grace),
      (duration) =>
        !Duration.isNegative(duration) &&
        Duration.isLessThanOrEqualTo(duration, Duration.minutes(maxMaxAgeMinutes))
    ),
    {
      onNone: () => Effect.fail(invalid(`grace: must be a duration from 0 to ${maxMaxAgeMinutes} minutes`)),
      onSome: (duration) => Effect.succeed(Duration.millis(Math.ceil(Duration.toMillis(duration))))
    }
  )

const make = Effect.gen(function*() {
  const orphans = yield* Orphans.Orphans

  const findOrphans = Effect.fn("Reconciler.findOrphans")(function*(options: OrphanOptions = {}) {
    const maxAge = yield* checkMaxAge(options.maxAgeMinutes ?? defaultMaxAgeMinutes)
    const now = yield* DateTime.now
    const found = yield* orphans.find({
      scope: options.tenantId ?? Tenant.all,
      limit: options.limit ?? defaultLimit,
      failedOnly: false,
      insertedFrom: Option.some(DateTime.subtractDuration(now, maxAge))
    })
    return found.map(({ event }) => event)
  })

  const sweep = Effect.fn("Reconciler.sweep")(function*(options: SweepOptions = {}) {
    const grace = yield* checkGrace(options.grace ?? defaultGrace)
    const maxAge = yield* checkMaxAge(options.maxAgeMinutes ?? defaultMaxAgeMinutes)
    const now = yield* DateTime.now
    const query: Orphans.LinkQuery = {
      scope: options.tenantId ?? Tenant.all,
      limit: options.batchSize ?? defaultBatchSize,
      insertedFrom: DateTime.subtractDuration(now, maxAge),
      insertedTo: DateTime.subtractDuration(now, grace)
    }
    let swept: Swept = { scanned: 0, linked: 0, failed: 0, remaining: 0 }
    const next = Effect.uninterruptible(Effect.gen(function*() {
      const batch = yield* orphans.link(query)
      swept = {
        scanned: swept.scanned + batch.scanned,
        linked: swept.linked + batch.links.length,
        failed: swept.failed + batch.failed,
        remaining: swept.remaining + batch.held
      }
      if (batch.scanned > 0 && options.onBatch !== undefined) yield* options.onBatch(swept)
      return batch.scanned + batch.held
    }))
    const lane = Effect.gen(function*() {
      while ((yield* next) > 0) yield* Effect.yieldNow
    })
    const drain = Effect.gen(function*() {
      swept = { ...swept, remaining: 0 }
      const first = yield* next
      // A full batch says that there is a backlog: from then on, one batch is decided while another commits.
      if (first > 0) yield* first < query.limit ? lane : Effect.all([lane, lane], { concurrency: 2, discard: true })
    })
    yield* drain
    for (let rests = 0; rests < maxRests && swept.remaining > 0; rests++) {
      yield* Effect.sleep(Orphan.heldRest)
      yield* drain
    }
    yield* Effect.logDebug("sweep finished").pipe(Attributes.annotateLogs({ ...swept }))
    return swept
  })

  return Reconciler.of({ findOrphans, attemptLink: orphans.attemptLink, sweep })
})

/**
 * The reconciler of a ledger.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Reconciler, never, Orphans.Orphans> = Layer.effect(Reconciler, make)

/**
 * The times of a scheduled sweep, and the orphans that it reaches.
 *
 * @category models
 * @since 0.1.0
 */
export interface CronOptions extends SweepOptions, Schedules.When {}

/**
 * The cron of scheduled sweeps by default: every five minutes.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultCron = "*/5 * * * *"

/**
 * The schedule's name by default.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultSchedule = "reconcile"

const checkSweep = Effect.fnUntraced(function*(options: SweepOptions) {
  yield* checkGrace(options.grace ?? defaultGrace)
  yield* checkMaxAge(options.maxAgeMinutes ?? defaultMaxAgeMinutes)
  yield* Input.limit(options.batchSize ?? defaultBatchSize)
})

/**
 * The sweep as a job: by a cron, by hand, or woken by another scheduler.
 *
 * @category scheduling
 * @since 0.2.0
 */
export const job: Schedules.Job<SweepOptions, Swept, LedgerError.InvalidInput | LedgerError.LedgerError, Reconciler> =
  Schedules.job({
    name: defaultSchedule,
    cron: defaultCron,
    check: checkSweep,
    work: (options, onBatch) => Reconciler.use(({ sweep }) => sweep({ ...options, onBatch })),
    counts: (swept) => ({ ...swept })
  })

/**
 * Sweeps now and notes it in the history of ticks, as `reconcile by hand`.
 *
 * @category scheduling
 * @since 0.1.0
 */
export const recordedSweep = (
  options: SweepOptions & Pick<Schedules.When, "node"> = {}
): Effect.Effect<Swept, LedgerError.InvalidInput | LedgerError.LedgerError, Reconciler | Ticks.Ticks> =>
  job.runNow(options)

/**
 * Sweeps at the times of a cron, on each tick by one of all nodes.
 *
 * A sweep drains, so that a tick which was missed, failed or claimed by a node that died is caught up by the next.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerCron = (
  options: CronOptions = {}
): Layer.Layer<never, Schedules.InvalidCron | LedgerError.InvalidInput, Reconciler | Ticks.Ticks> =>
  job.layerCron(options)
