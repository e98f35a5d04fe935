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
 * How many orphans are given where no limit is named.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultLimit = 100

/**
 * How many orphans one batch of a sweep claims where nothing else is said.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultBatchSize = 1000

/**
 * How old an orphan must be for a sweep to look at it where nothing else is said.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultGrace: Duration.Duration = Duration.seconds(60)

/**
 * The horizon where none is named: seven days in minutes. Older orphans are unlikely ever to be linked.
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
 * Which pending orphans to give.
 *
 * @category models
 * @since 0.1.0
 */
export interface OrphanOptions {
  /** One tenant; without it all of them. */
  readonly tenantId?: Tenant.TenantId
  /** 1 to 10,000; 100 where nothing is said. */
  readonly limit?: number
  /** Leaves out older ones; 10,080 where nothing is said. */
  readonly maxAgeMinutes?: number
}

/**
 * What a sweep reaches.
 *
 * @category models
 * @since 0.1.0
 */
export interface SweepOptions {
  /** One tenant; without it all of them. */
  readonly tenantId?: Tenant.TenantId
  /** How many orphans one transaction claims at most: 1 to 10,000; 1000 where nothing is said. */
  readonly batchSize?: number
  /** Leaves out younger ones; 60 seconds where nothing is said. */
  readonly grace?: Duration.Input
  /** Leaves out older ones; 10,080 where nothing is said. */
  readonly maxAgeMinutes?: number
  /** Told after each batch what the sweep has done so far. */
  readonly onBatch?: (sofar: Swept) => Effect.Effect<void>
}

/**
 * What a sweep did.
 *
 * @category models
 * @since 0.1.0
 */
export interface Swept {
  /** How many linkable orphans it claimed. */
  readonly scanned: number
  /** How many new links it made. */
  readonly linked: number
  /** How many failed by themselves and were set aside. */
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
  /** Gives pending orphans inside the horizon, oldest first. */
  readonly findOrphans: (
    options?: OrphanOptions
  ) => Effect.Effect<ReadonlyArray<Event.Event>, LedgerError.InvalidInput | LedgerError.LedgerError>

  /** Looks up the delivery that an event is about, and changes nothing. */
  readonly attemptLink: Orphans.Orphans["Service"]["attemptLink"]

  /**
   * Links every orphan between grace and horizon whose delivery exists, in batches until none is left; of a backlog, two
   * batches at a time. Where another transaction holds a delivery, it comes back a few times, for ten seconds in all.
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
 * When a sweep is made, and what it reaches.
 *
 * @category models
 * @since 0.1.0
 */
export interface CronOptions extends SweepOptions {
  /** Every five minutes where nothing is said. */
  readonly cron?: string
  /** An IANA name or an offset; UTC where nothing is said. */
  readonly timeZone?: string
  /** The name by which all nodes know the schedule; `reconcile` where nothing is said. */
  readonly schedule?: string
  /** The name of this node in the history; a random one where nothing is said. */
  readonly node?: string
}

/**
 * When a scheduled sweep is made where nothing is said: every five minutes.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultCron = "*/5 * * * *"

/**
 * The schedule's name where none is said.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultSchedule = "reconcile"

/**
 * The name under which sweeps made by hand are noted.
 *
 * @category constants
 * @since 0.1.0
 */
export const byHand = "reconcile by hand"

/**
 * Checks what a sweep is asked to reach, before it is ever made.
 *
 * @category validation
 * @since 0.1.0
 */
export const checkSweep = Effect.fnUntraced(function*(options: SweepOptions) {
  yield* checkGrace(options.grace ?? defaultGrace)
  yield* checkMaxAge(options.maxAgeMinutes ?? defaultMaxAgeMinutes)
  yield* Input.limit(options.batchSize ?? defaultBatchSize)
})

/**
 * A sweep as the work of a schedule.
 *
 * @category scheduling
 * @since 0.1.0
 */
export const work =
  (options: SweepOptions): Schedules.Work<LedgerError.InvalidInput | LedgerError.LedgerError, Reconciler> => (note) =>
    Effect.gen(function*() {
      const reconciler = yield* Reconciler
      return { ...yield* reconciler.sweep({ ...options, onBatch: noting(note, options) }) }
    })

/** Notes each batch, and tells of it whoever asked. */
const noting = (note: Parameters<Schedules.Work>[0], options: SweepOptions) => (sofar: Swept): Effect.Effect<void> =>
  Effect.andThen(note({ ...sofar }), options.onBatch?.(sofar) ?? Effect.void)

/**
 * Sweeps now and notes it in the history of ticks, as `reconcile by hand`.
 *
 * @category scheduling
 * @since 0.1.0
 */
export const recordedSweep = Effect.fn("Reconciler.recordedSweep")(function*(
  options: SweepOptions & { readonly node?: string } = {}
) {
  const reconciler = yield* Reconciler
  let last: Swept = { scanned: 0, linked: 0, failed: 0, remaining: 0 }
  yield* Schedules.runNow({ schedule: byHand, node: options.node }, (note) =>
    Effect.gen(function*() {
      last = yield* reconciler.sweep({ ...options, onBatch: noting(note, options) })
      return { ...last }
    }))
  return last
})

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
  Schedules.layer(
    {
      schedule: options.schedule ?? defaultSchedule,
      cron: options.cron ?? defaultCron,
      timeZone: options.timeZone,
      node: options.node
    },
    work(options)
  ).pipe(Layer.provide(Layer.effectDiscard(checkSweep(options))))
