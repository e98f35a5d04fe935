/**
 * Follows the feed of changes, in any process: every event once and none passed over, in the order of the feed.
 *
 * A consumer handles each event at least once and goes on where it stopped: it remembers its position under its name. One
 * process at a time follows under a name; two would both handle the same events.
 *
 * @since 0.1.0
 */
import { Checkpoints, Cursor, Input, Ledger, LedgerError, Tenant } from "@waybill/core"
import * as Attributes from "@waybill/core/Attributes"
import {
  type Cause,
  DateTime,
  Duration,
  Effect,
  Exit,
  Latch,
  Layer,
  Option,
  Schedule,
  type Scope,
  Stream
} from "effect"
import * as Arr from "effect/Array"
import { ageAt } from "./internal/age.ts"
import { annotateReason } from "./internal/reason.ts"
import * as Metrics from "./Metrics.ts"
import * as Schedules from "./Schedules.ts"

/**
 * How long a reader of the feed waits before it looks again, by default.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultPollEvery: Duration.Duration = Duration.seconds(1)

/**
 * How many events are read at once by default.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultBatchSize = 500

/**
 * The events to follow, and how.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** One tenant; without it all of them. */
  readonly scope?: Tenant.Scope
  /** How many events are read at once at most: 1 to 10,000; 500 by default. */
  readonly batchSize?: number
  /** How long to wait at the end of the feed before looking again; a second by default. */
  readonly pollEvery?: Duration.Input
  /** Each element ends the waiting early. When it ends or fails, polling goes on. */
  readonly wake?: Stream.Stream<unknown, unknown>
}

/**
 * The events that a stream of the feed follows.
 *
 * @category models
 * @since 0.1.0
 */
export interface StreamOptions extends Options {
  /** The position after which to begin; the start of the feed by default. */
  readonly after?: Cursor.Cursor
}

/**
 * The events that a consumer follows, and how it handles them.
 *
 * @category models
 * @since 0.1.0
 */
export interface ConsumerOptions<E = never, R = never> extends Options {
  /** The name under which it remembers its position. */
  readonly name: string
  /** Handles some events, in the order of the feed; if it fails, it is given them again. */
  readonly handle: (changes: Arr.NonEmptyReadonlyArray<Ledger.Change>) => Effect.Effect<void, E, R>
}

/**
 * The ways in which reading the feed fails. `CursorAhead` says that the position is ahead of the database, as after a restore:
 * nothing is passed over, and nothing goes on before the feed is repaired or another position is chosen.
 *
 * @category models
 * @since 0.1.0
 */
export type FeedError = LedgerError.InvalidInput | LedgerError.CursorAhead | LedgerError.LedgerError

type Page = Arr.NonEmptyReadonlyArray<Ledger.Change>

/** Reads the page after a position; it waits until there is one and reports each look. */
const makeNext = Effect.fnUntraced(function*(
  options: Options,
  onLook: (changes: ReadonlyArray<Ledger.Change>) => Effect.Effect<void>
): Effect.fn.Return<
  (after: Cursor.Cursor) => Effect.Effect<Page, FeedError>,
  LedgerError.InvalidInput,
  Ledger.Ledger | Scope.Scope
> {
  const ledger = yield* Ledger.Ledger
  const pollEvery = yield* checkPollEvery(options.pollEvery ?? defaultPollEvery)
  const scope = options.scope ?? Tenant.all
  const limit = options.batchSize ?? defaultBatchSize
  const woken = yield* Latch.make()
  if (options.wake !== undefined) {
    yield* Stream.runForEach(options.wake, () => Latch.open(woken)).pipe(
      Effect.catchCause((cause) => Effect.logWarning("feed not woken any more").pipe(annotateReason(cause))),
      Effect.forkScoped
    )
  }
  return Effect.fnUntraced(function*(after: Cursor.Cursor) {
    while (true) {
      yield* Latch.close(woken)
      const changes = yield* ledger.changes({ scope, after, limit })
      yield* onLook(changes)
      if (Arr.isReadonlyArrayNonEmpty(changes)) return changes
      yield* Effect.timeoutOption(woken.await, pollEvery)
    }
  })
})

const checkPollEvery = (every: Duration.Input): Effect.Effect<Duration.Duration, LedgerError.InvalidInput> =>
  Option.match(Option.filter(Duration.fromInput(every), Duration.isPositive), {
    onNone: () =>
      Effect.fail(
        LedgerError.invalid("query", "pollEvery: must be a duration above 0")
      ),
    onSome: Effect.succeed
  })

/**
 * Every event after a position, and those to come, with their positions. It keeps nothing: its reader remembers the position.
 *
 * @category streams
 * @since 0.1.0
 */
export const stream = (options: StreamOptions = {}): Stream.Stream<Ledger.Change, FeedError, Ledger.Ledger> =>
  Stream.unwrap(Effect.map(
    makeNext(options, () => Effect.void),
    (next) =>
      Stream.paginate(
        options.after ?? Cursor.start,
        (after: Cursor.Cursor) =>
          Effect.map(next(after), (page) => [page, Option.some(Arr.lastNonEmpty(page).cursor)] as const)
      )
  ))

const ageOf = (change: Ledger.Change | undefined): Effect.Effect<Duration.Duration> =>
  Effect.map(DateTime.now, (now) => change === undefined ? Duration.zero : ageAt(now, change.event.insertedAt))

const noteLag = (consumer: Attributes.Name, changes: ReadonlyArray<Ledger.Change>) =>
  ageOf(changes[0]).pipe(
    Effect.tap((age) => Metrics.update(Metrics.feedLag, Duration.toSeconds(age), { consumer }))
  )

/**
 * Handles every event of the feed at least once, for as long as it runs, and begins where the consumer of that name stopped.
 *
 * The position is saved after each batch that was handled, even if the consumer is interrupted then.
 *
 * @category consuming
 * @since 0.1.0
 */
export const consume = <E, R>(
  options: ConsumerOptions<E, R>
): Effect.Effect<never, E | FeedError, Ledger.Ledger | Checkpoints.Checkpoints | R> =>
  Effect.scoped(Effect.gen(function*() {
    const checkpoints = yield* Checkpoints.Checkpoints
    const consumer = yield* Schedules.checkName("name", options.name)
    const next = yield* makeNext(options, (changes) => noteLag(consumer, changes))
    const handle = Effect.fn("Feed.handle")(function*(page: Page) {
      const exit = yield* Effect.exit(options.handle(page))
      yield* Attributes.annotateSpan({
        consumer,
        handled: page.length,
        outcome: Exit.isSuccess(exit) ? "done" : Exit.hasInterrupts(exit) ? "stopped" : "failed"
      })
      return exit
    })
    let after = Option.getOrElse(yield* checkpoints.load(consumer), () => Cursor.start)
    while (true) {
      const page = yield* next(after)
      after = Arr.lastNonEmpty(page).cursor
      yield* Effect.uninterruptibleMask((restore) =>
        Effect.andThen(restore(Effect.flatten(handle(page))), checkpoints.save(consumer, after))
      )
    }
  }))

/**
 * How long ago the oldest event was appended that a consumer has not handled; zero if it has handled all.
 *
 * An event shows in the feed when every transaction that began before its own has ended, and counts from then on.
 *
 * @category getters
 * @since 0.1.0
 */
export const lag = Effect.fn("Feed.lag")(function*(
  options: { readonly consumer: string; readonly scope?: Tenant.Scope }
) {
  const ledger = yield* Ledger.Ledger
  const checkpoints = yield* Checkpoints.Checkpoints
  const consumer = yield* Schedules.checkName("consumer", options.consumer)
  const after = Option.getOrElse(yield* checkpoints.load(consumer), () => Cursor.start)
  const changes = yield* ledger.changes({ scope: options.scope ?? Tenant.all, after, limit: 1 })
  return yield* noteLag(consumer, changes)
})

/**
 * Runs a consumer for as long as the layer lives; if it fails, that is logged and it begins again after a pause of five
 * seconds by default.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConsumer = <E, R>(
  options: ConsumerOptions<E, R> & { readonly retryEvery?: Duration.Input }
): Layer.Layer<never, LedgerError.InvalidInput, Ledger.Ledger | Checkpoints.Checkpoints | R> =>
  Layer.effectDiscard(Effect.gen(function*() {
    const consumer = yield* Schedules.checkName("name", options.name)
    yield* checkPollEvery(options.pollEvery ?? defaultPollEvery)
    yield* Input.limit(options.batchSize ?? defaultBatchSize)
    const logFailure = (cause: Cause.Cause<unknown>) =>
      Effect.logError("feed consumer failed").pipe(
        annotateReason(cause),
        Attributes.annotateLogs({ consumer, outcome: "failed" })
      )
    yield* consume(options).pipe(
      Effect.catchCause(logFailure),
      Effect.repeat(Schedule.spaced(options.retryEvery ?? "5 seconds")),
      Effect.forkScoped
    )
  }))
