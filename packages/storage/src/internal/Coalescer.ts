/** Runs calls that are made at once together, so that one commit serves many callers. */
import { Deferred, Effect, Exit, Option, Scope, Semaphore } from "effect"

/** How many runs of one key may be under way at once. */
const maxRunning = 2

/** How many calls of one key that were held up may take their time at once. */
const maxPatient = 2

/** How much one run may carry. */
const maxWeight = 500

interface Waiting<Call, Result, E> {
  readonly call: Call
  readonly weight: number
  readonly deferred: Deferred.Deferred<Result, E>
}

interface Lane<Call, Result, E> {
  running: number
  /** How many calls wait for what held them up, and the turns in which they do. */
  patient: number
  readonly turns: Semaphore.Semaphore
  waiting: Array<Waiting<Call, Result, E>>
}

/**
 * Runs calls of one key together that are made while others of it are under way, so that one commit serves many callers.
 *
 * Each caller gets its own result alone: where calls that ran together fail, each runs again on its own. Where the run was
 * lost, whatever it was made of, all run again together, once: many that each find out alone that nobody answers would keep
 * the others waiting. A call that nothing
 * is ahead of runs at once, in its caller's fiber, and so does one too heavy to share a run. A caller that is interrupted
 * before its run has begun takes its call back. When the scope closes, what waits is interrupted, and a later call runs alone.
 *
 * A run that others wait for is hurried. A call that is held up then runs again beside them and takes its time, so that it
 * delays no other.
 */
export const make = Effect.fnUntraced(function*<Key, Call, Result, E>(options: {
  /** Returns one result per call, in their order, or fails for all of them; hurried, it gives up soon on what it waits for. */
  readonly run: (key: Key, calls: ReadonlyArray<Call>, hurried: boolean) => Effect.Effect<ReadonlyArray<Result>, E>
  /** Whether a run failed because it gave up waiting. */
  readonly isHeldUp: (error: E) => boolean
  /** Whether a run failed for a reason that would fail any other. */
  readonly isLost: (error: E) => boolean
  readonly weigh: (call: Call) => number
}) {
  type Entry = Waiting<Call, Result, E>
  const lanes = new Map<Key, Lane<Call, Result, E>>()
  const scope = yield* Scope.make()
  let isClosed = false

  const alone = (key: Key, call: Call, hurried: boolean): Effect.Effect<Result, E> =>
    Effect.flatMap(
      options.run(key, [call], hurried),
      ([result]) => result === undefined ? Effect.die(new Error("a call has no result")) : Effect.succeed(result)
    )

  const leave = (key: Key, lane: Lane<Call, Result, E>): void => {
    if (lane.running === 0 && lane.patient === 0) lanes.delete(key)
  }

  /** Runs a call that was held up, a few of a key at a time. */
  const patiently = (key: Key, lane: Lane<Call, Result, E>, call: Call): Effect.Effect<Result, E> =>
    Effect.acquireUseRelease(
      Effect.sync(() => lane.patient++),
      () => lane.turns.withPermits(1)(alone(key, call, false)),
      () =>
        Effect.sync(() => {
          lane.patient--
          leave(key, lane)
        })
    )

  /** Runs an entry on its own; where it is held up, it goes on in a fiber of its own. */
  const settleOne = (key: Key, lane: Lane<Call, Result, E>, { call, deferred }: Entry): Effect.Effect<unknown> =>
    Effect.flatMap(Effect.exit(alone(key, call, true)), (exit): Effect.Effect<unknown> => {
      const error = Exit.findErrorOption(exit)
      if (Option.isNone(error) || !options.isHeldUp(error.value)) return Deferred.done(deferred, exit)
      return patiently(key, lane, call).pipe(
        Deferred.into(deferred),
        Effect.interruptible,
        Effect.onInterrupt(() => Deferred.interrupt(deferred)),
        Effect.forkIn(scope, { uninterruptible: true })
      )
    })

  const isLost = (exit: Exit.Exit<unknown, E>): boolean =>
    Option.match(Exit.findErrorOption(exit), { onNone: () => false, onSome: options.isLost })

  /** Runs some entries together, and again where the run was lost. */
  const together = (key: Key, entries: ReadonlyArray<Entry>) => {
    const once = Effect.exit(options.run(key, entries.map(({ call }) => call), true))
    return Effect.flatMap(once, (exit) => isLost(exit) ? once : Effect.succeed(exit))
  }

  const settle = Effect.fnUntraced(function*(key: Key, lane: Lane<Call, Result, E>, entries: ReadonlyArray<Entry>) {
    const exit = entries.length === 1 ? Exit.succeed([]) : yield* together(key, entries)
    if (Exit.isFailure(exit) && isLost(exit)) {
      return yield* Effect.forEach(entries, ({ deferred }) => Deferred.failCause(deferred, exit.cause), {
        discard: true
      })
    }
    const results = Exit.isSuccess(exit) ? exit.value : []
    return yield* Effect.forEach(entries, (entry, index) => {
      const result = results[index]
      return result === undefined ? settleOne(key, lane, entry) : Deferred.succeed(entry.deferred, result)
    }, { concurrency: "unbounded", discard: true })
  })

  const give = (entries: ReadonlyArray<Entry>) =>
    Effect.forEach(entries, ({ deferred }) => Deferred.interrupt(deferred), { discard: true })

  const take = (lane: Lane<Call, Result, E>): ReadonlyArray<Entry> => {
    let weight = 0
    const beyond = lane.waiting.findIndex((entry) => (weight += entry.weight) > maxWeight)
    return lane.waiting.splice(0, beyond === -1 ? lane.waiting.length : Math.max(beyond, 1))
  }

  /** Runs what waits, in a fiber of its own, or leaves the lane. */
  const next = (key: Key, lane: Lane<Call, Result, E>): Effect.Effect<void> =>
    Effect.suspend(() => {
      const entries = take(lane)
      if (entries.length === 0) {
        lane.running--
        leave(key, lane)
        return Effect.void
      }
      // Uninterruptible until it has begun, or an interruption before would leave its callers waiting.
      return settle(key, lane, entries).pipe(
        Effect.interruptible,
        Effect.onInterrupt(() => give(entries)),
        Effect.ensuring(next(key, lane)),
        Effect.forkIn(scope, { uninterruptible: true }),
        Effect.asVoid
      )
    })

  yield* Effect.addFinalizer((exit) => {
    isClosed = true
    const waiting = Array.from(lanes.values()).flatMap((lane) => lane.waiting.splice(0))
    return Effect.andThen(give(waiting), Scope.close(scope, exit))
  })

  return (key: Key, call: Call): Effect.Effect<Result, E> =>
    Effect.uninterruptibleMask((restore) => {
      const weight = options.weigh(call)
      if (isClosed || weight > maxWeight / 4) return restore(alone(key, call, false))
      const lane = lanes.get(key) ??
        { running: 0, patient: 0, turns: Semaphore.makeUnsafe(maxPatient), waiting: [] }
      lanes.set(key, lane)
      if (lane.running < maxRunning) {
        lane.running++
        return restore(alone(key, call, true)).pipe(
          Effect.ensuring(next(key, lane)),
          Effect.catchIf(options.isHeldUp, () => restore(patiently(key, lane, call)))
        )
      }
      const entry: Entry = { call, weight, deferred: Deferred.makeUnsafe() }
      lane.waiting.push(entry)
      return Effect.onInterrupt(restore(Deferred.await(entry.deferred)), () =>
        Effect.sync(() => {
          lane.waiting = lane.waiting.filter((waiting) => waiting !== entry)
        }))
    })
})
