/**
 * Runs periodic work on one node or many, without a leader: each tick of a cron is claimed once by its row in `Ticks`, and the
 * row says what the run did.
 *
 * The runs of a node never overlap. A tick whose successor has come before it could begin is skipped. A run that fails is
 * noted, logged and counted, and the next tick comes all the same. When the scope closes, work in hand is interrupted where it
 * may be, what it did is noted, and no other run starts.
 *
 * @since 0.1.0
 */
import { LedgerError, Ticks } from "@waybill/core"
import * as Attributes from "@waybill/core/Attributes"
import {
  type Cause,
  Clock,
  Cron,
  DateTime,
  Duration,
  Effect,
  Exit,
  Layer,
  Option,
  Random,
  Result,
  Schema
} from "effect"
import { annotateReason, reasonOf } from "./internal/reason.ts"
import * as Metrics from "./Metrics.ts"

/**
 * A cron expression or its time zone means nothing.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidCron extends Schema.TaggedError<InvalidCron>("@waybill/runtime/InvalidCron")("InvalidCron", {
  cron: Schema.String,
  timeZone: Schema.String,
  issue: Schema.String
}) {
  override get message(): string {
    return `invalid schedule "${this.cron}" in ${this.timeZone}: ${this.issue}`
  }
}

/**
 * The time zone of a cron by default. It is the same for every node, wherever it runs.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultTimeZone = "UTC"

const someInstant = DateTime.makeUnsafe(0)

/**
 * Parses a cron expression of five fields, or six with seconds first; it must name a time that ever comes. Where the time
 * zone repeats an hour, the times of that hour come twice.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parse = (
  expression: string,
  timeZone: string = defaultTimeZone
): Result.Result<Cron.Cron, InvalidCron> => {
  const fail = (issue: string) => new InvalidCron({ cron: expression, timeZone, issue })
  return Cron.parse(expression, timeZone, { onDstOverlap: "both" }).pipe(
    Result.mapError(({ input, message }) => fail(input === undefined ? message : `${message}: ${input}`)),
    Result.flatMap((cron) =>
      Result.try({
        try: () => Cron.next(cron, someInstant),
        catch: () => fail("it names a day that never comes")
      }).pipe(Result.map(() => cron))
    )
  )
}

/**
 * The first tick of a cron after an instant.
 *
 * @category getters
 * @since 0.1.0
 */
export const tickAfter = (cron: Cron.Cron, after: DateTime.Utc): DateTime.Utc =>
  DateTime.fromDateUnsafe(Cron.next(cron, after))

/**
 * Periodic work: it notes what it has done so far, for the case that it is stopped or fails, and returns what it did in all.
 *
 * @category models
 * @since 0.1.0
 */
export type Work<E = never, R = never> = (
  note: (counts: Ticks.Counts) => Effect.Effect<void>
) => Effect.Effect<Ticks.Counts, E, R>

/**
 * The times at which a job is done, and the names under which.
 *
 * @category models
 * @since 0.2.0
 */
export interface When {
  /** A cron expression; the job's own by default. */
  readonly cron?: string | undefined
  /** An IANA name or an offset; UTC by default. */
  readonly timeZone?: string | undefined
  /** The name by which all nodes know the schedule; the job's own by default. */
  readonly schedule?: string | undefined
  /** The name of this node in the history; a random one by default. */
  readonly node?: string | undefined
}

/**
 * The times and names of work that has none by default.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends When {
  readonly schedule: string
  readonly cron: string
}

/**
 * Checks a name of a schedule, a node or a consumer.
 *
 * @category validation
 * @since 0.1.0
 */
export const checkName = (what: string, name: string): Effect.Effect<Attributes.Name, LedgerError.InvalidInput> =>
  Schema.is(Attributes.Name)(name)
    ? Effect.succeed(name)
    : Effect.fail(
      LedgerError.invalid("query", `${what}: must be 1 to 128 letters, digits, spaces and _ . : -`)
    )

/**
 * Checks the name of a node, or draws one.
 *
 * @category validation
 * @since 0.1.0
 */
export const nodeName = (node?: string): Effect.Effect<Attributes.Name, LedgerError.InvalidInput> =>
  node === undefined
    ? Effect.map(
      Random.nextIntBetween(0x1000_0000, 0xffff_ffff),
      (drawn) => Attributes.Name.make(`node-${drawn.toString(16)}`)
    )
    : checkName("node", node)

/** One tick, and the node that would do it. */
interface Claim extends Ticks.TickKey {
  readonly schedule: Attributes.Name
  readonly node: Attributes.Name
}

/** Work of any result, and the counts that are noted of it. */
interface Counted<A, E, R> {
  readonly work: (note: (counts: Ticks.Counts) => Effect.Effect<void>) => Effect.Effect<A, E, R>
  readonly counts: (done: A) => Ticks.Counts
}

const counted = <E, R>(work: Work<E, R>): Counted<Ticks.Counts, E, R> => ({ work, counts: (counts) => counts })

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** Does claimed work, the one part that may be interrupted, and notes how it ended, also where it was stopped. */
const doClaimed = Effect.fnUntraced(function*<A, E, R>(
  ticks: Ticks.Ticks["Service"],
  { node, schedule, tick }: Claim,
  { counts: countsOf, work }: Counted<A, E, R>,
  restore: Restore
) {
  let counts: Ticks.Counts = {}
  const note = (sofar: Ticks.Counts) =>
    Effect.sync(() => {
      counts = sofar
    })
  const began = yield* Clock.currentTimeMillis
  const exit = yield* Effect.exit(restore(work(note)))
  const took = (yield* Clock.currentTimeMillis) - began
  yield* Metrics.update(Metrics.sweepDuration, took / 1000, { schedule })
  if (Exit.isSuccess(exit)) counts = countsOf(exit.value)
  const error = Exit.isSuccess(exit) ? Option.none() : Option.some(reasonOf(exit.cause))
  if (isFailed(exit)) yield* Metrics.update(Metrics.sweepsFailed, 1, { schedule })
  const finished = yield* Effect.exit(ticks.finish({ schedule, tick }, { counts, error }))
  if (Exit.isFailure(finished)) {
    yield* Effect.logWarning("tick not noted").pipe(
      annotateReason(finished.cause),
      Attributes.annotateLogs({ schedule, node })
    )
  }
  return exit
})

const isFailed = <A, E>(exit: Exit.Exit<A, E>): exit is Exit.Failure<A, E> =>
  Exit.isFailure(exit) && !Exit.hasInterrupts(exit)

/**
 * Does one tick of a schedule, unless any node has claimed it, and returns whether it did; a failure is noted, logged and
 * counted. The work is interrupted where it may be, the rest is not.
 */
const runTick = Effect.fn("Schedules.runTick")(function*<A, E, R>(claim: Claim, work: Counted<A, E, R>) {
  const ticks = yield* Ticks.Ticks
  const { node, schedule } = claim
  const logFailure = (cause: Cause.Cause<unknown>) =>
    Effect.logError("scheduled run failed").pipe(
      annotateReason(cause),
      Attributes.annotateLogs({ schedule, node, outcome: "failed" })
    )
  return yield* Effect.uninterruptibleMask(Effect.fnUntraced(function*(restore) {
    const claimed = yield* Effect.exit(ticks.claim(claim))
    if (Exit.isFailure(claimed)) {
      yield* Metrics.update(Metrics.sweepsFailed, 1, { schedule })
      yield* logFailure(claimed.cause)
      return false
    }
    if (!claimed.value) return false
    const exit = yield* doClaimed(ticks, claim, work, restore)
    if (isFailed(exit)) yield* logFailure(exit.cause)
    return true
  }))
})

/** Returns how the work ended, so that the span tells nothing of a failure that is not ours. */
const endedNow = Effect.fn("Schedules.runNow")(function*<A, E, R>(
  options: Pick<Options, "schedule" | "node">,
  work: Counted<A, E, R>
) {
  const ticks = yield* Ticks.Ticks
  const schedule = yield* checkName("schedule", options.schedule)
  const node = yield* nodeName(options.node)
  return yield* Effect.uninterruptibleMask(Effect.fnUntraced(function*(restore) {
    let tick = yield* DateTime.now
    while (!(yield* ticks.claim({ schedule, node, tick }))) tick = DateTime.add(tick, { milliseconds: 1 })
    return yield* doClaimed(ticks, { schedule, node, tick }, work, restore)
  }))
})

/**
 * Does work now, beside any schedule, under a row of its own, and returns or fails as the work does.
 *
 * @category running
 * @since 0.1.0
 */
export const runNow = <E, R>(
  options: Pick<Options, "schedule" | "node">,
  work: Work<E, R>
): Effect.Effect<Ticks.Counts, E | LedgerError.InvalidInput | LedgerError.LedgerError, Ticks.Ticks | R> =>
  Effect.flatten(endedNow(options, counted(work)))

/** The longest sleep, so that a clock that was set and a machine that was suspended are noticed. */
const longestSleep = Duration.minutes(1)

/** Sleeps until the next tick after an instant, which is looked for anew where the clock was set back meanwhile. */
const sleepUntilTick = Effect.fnUntraced(function*(cron: Cron.Cron, after: DateTime.Utc) {
  let tick = tickAfter(cron, after)
  let last = after
  while (DateTime.isLessThan(last, tick)) {
    yield* Effect.sleep(Duration.min(DateTime.distance(last, tick), longestSleep))
    const now = yield* DateTime.now
    if (DateTime.isLessThan(now, last)) tick = tickAfter(cron, now)
    last = now
  }
  return tick
})

/**
 * A schedule that is ready to run: its options are checked.
 *
 * @category models
 * @since 0.2.0
 */
export interface Prepared<R> {
  readonly schedule: Attributes.Name
  readonly node: Attributes.Name
  readonly cron: Cron.Cron
  /** Does one tick, unless any node has claimed it, and returns whether it did. */
  readonly runTick: (tick: DateTime.Utc) => Effect.Effect<boolean, never, Ticks.Ticks | R>
}

const prepare = Effect.fnUntraced(function*<A, E, R>(options: Options, work: Counted<A, E, R>) {
  const cron = yield* Effect.fromResult(parse(options.cron, options.timeZone))
  const schedule = yield* checkName("schedule", options.schedule)
  const node = yield* nodeName(options.node)
  const prepared: Prepared<R> = { schedule, node, cron, runTick: (tick) => runTick({ schedule, node, tick }, work) }
  return prepared
})

const loop = Effect.fnUntraced(function*<R>({ cron, node, runTick, schedule }: Prepared<R>) {
  let last = yield* DateTime.now
  while (true) {
    const tick = yield* sleepUntilTick(cron, last)
    const following = tickAfter(cron, tick)
    const isMissed = DateTime.isGreaterThanOrEqualTo(yield* DateTime.now, following)
    if (!isMissed) yield* runTick(tick)
    last = yield* DateTime.now
    if (DateTime.isGreaterThanOrEqualTo(last, following)) {
      yield* Effect.logWarning(isMissed ? "scheduled run skipped" : "scheduled run outlasted its interval").pipe(
        Attributes.annotateLogs({ schedule, node })
      )
    }
  }
})

/** Runs a schedule for as long as the layer lives. */
const running = <E, R>(prepared: Effect.Effect<Prepared<R>, E>): Layer.Layer<never, E, Ticks.Ticks | R> =>
  Layer.effectDiscard(Effect.flatMap(prepared, (schedule) => Effect.forkScoped(loop(schedule))))

/**
 * Does work at the times of a cron for as long as the layer lives.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <E, R>(
  options: Options,
  work: Work<E, R>
): Layer.Layer<never, InvalidCron | LedgerError.InvalidInput, Ticks.Ticks | R> =>
  running(prepare(options, counted(work)))

/**
 * A job that is asked for by its name: what it does, and when by default.
 *
 * @category models
 * @since 0.2.0
 */
export interface Definition<Asked, A, E, R> {
  /** The name of its schedule; by hand it is noted as `<name> by hand`. */
  readonly name: string
  readonly cron: string
  /** Checks the options before any run. */
  readonly check?: (asked: Asked) => Effect.Effect<unknown, LedgerError.InvalidInput>
  /** Does the work, and tells after each batch what it has done so far. */
  readonly work: (asked: Asked, onBatch: (sofar: A) => Effect.Effect<void>) => Effect.Effect<A, E, R>
  /** The counts that the history shows of what was done. */
  readonly counts: (done: A) => Ticks.Counts
}

/** The options of a job whose caller may be told of each batch. */
type Told<Asked, A> = Asked & { readonly onBatch?: (sofar: A) => Effect.Effect<void> }

/**
 * Periodic work with a name and options of its own.
 *
 * @category models
 * @since 0.2.0
 */
export interface Job<Asked, A, E, R> {
  /** The name of its schedule by default. */
  readonly name: string

  /** Checks the options and returns the schedule, for whoever wakes it otherwise than by `layerCron`. */
  readonly prepare: (
    options: Told<Asked & When, A>
  ) => Effect.Effect<Prepared<R>, InvalidCron | LedgerError.InvalidInput>

  /** Does it at the times of a cron, on each tick by one of all nodes, for as long as the layer lives. */
  readonly layerCron: (
    options: Told<Asked & When, A>
  ) => Layer.Layer<never, InvalidCron | LedgerError.InvalidInput, Ticks.Ticks | R>

  /** Does it now, notes it in the history as done by hand, and returns or fails as the work does. */
  readonly runNow: (
    options: Told<Asked & Pick<When, "node">, A>
  ) => Effect.Effect<A, E | LedgerError.InvalidInput | LedgerError.LedgerError, Ticks.Ticks | R>
}

/**
 * Makes a job: the same work by a cron and by hand.
 *
 * @category constructors
 * @since 0.2.0
 */
export const job = <Asked, A, E, R>(
  { check, counts, cron, name, work }: Definition<Asked, A, E, R>
): Job<Asked, A, E, R> => {
  const noted = (asked: Told<Asked, A>): Counted<A, E, R> => ({
    work: (note) => work(asked, (sofar) => Effect.andThen(note(counts(sofar)), asked.onBatch?.(sofar) ?? Effect.void)),
    counts
  })
  const prepared: Job<Asked, A, E, R>["prepare"] = Effect.fnUntraced(function*(options) {
    if (check !== undefined) yield* check(options)
    const { node, schedule = name, timeZone } = options
    return yield* prepare({ schedule, cron: options.cron ?? cron, timeZone, node }, noted(options))
  })
  return {
    name,
    prepare: prepared,
    layerCron: (options) => running(prepared(options)),
    runNow: (options) => Effect.flatten(endedNow({ schedule: `${name} by hand`, node: options.node }, noted(options)))
  }
}
