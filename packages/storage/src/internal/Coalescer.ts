import { Deferred, Effect, Scope } from "effect"

/** How many runs of one key may be under way at once. */
const maxRunning = 2

/** How much one run may carry. */
const maxWeight = 500

interface Waiting<Call, Result, E> {
  readonly call: Call
  readonly weight: number
  readonly deferred: Deferred.Deferred<Result, E>
}

interface Lane<Call, Result, E> {
  running: number
  waiting: Array<Waiting<Call, Result, E>>
}

/**
 * Runs calls of one key together that are made while others of it are under way, so that one commit serves many callers.
 *
 * Each caller gets its own result alone: where calls that ran together fail, each runs again by itself. A call that nothing
 * is ahead of runs at once, in its caller's fiber, and so does one too heavy to share a run. A caller that is interrupted
 * before its run has begun takes its call back. When the scope closes, what waits is interrupted, and a later call runs alone.
 */
export const make = Effect.fnUntraced(function*<Key, Call, Result, E>(options: {
  /** Gives one result a call, in their order, or fails for all of them. */
  readonly run: (key: Key, calls: ReadonlyArray<Call>) => Effect.Effect<ReadonlyArray<Result>, E>
  readonly weigh: (call: Call) => number
}) {
  type Entry = Waiting<Call, Result, E>
  const lanes = new Map<Key, Lane<Call, Result, E>>()
  const scope = yield* Scope.make()
  let isClosed = false

  const alone = (key: Key, call: Call): Effect.Effect<Result, E> =>
    Effect.flatMap(
      options.run(key, [call]),
      ([result]) => result === undefined ? Effect.die(new Error("a call has no result")) : Effect.succeed(result)
    )

  const settle = Effect.fnUntraced(function*(key: Key, entries: ReadonlyArray<Entry>) {
    const results = entries.length === 1
      ? []
      : yield* Effect.catchCause(options.run(key, entries.map(({ call }) => call)), () => Effect.succeed([]))
    yield* Effect.forEach(entries, ({ call, deferred }, index) => {
      const result = results[index]
      return result === undefined ? Deferred.into(alone(key, call), deferred) : Deferred.succeed(deferred, result)
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
        if (lane.running === 0) lanes.delete(key)
        return Effect.void
      }
      // Uninterruptible until it has begun, or an interruption before would leave its callers waiting.
      return settle(key, entries).pipe(
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
      if (isClosed || weight > maxWeight / 4) return restore(alone(key, call))
      const lane = lanes.get(key) ?? { running: 0, waiting: [] }
      lanes.set(key, lane)
      if (lane.running < maxRunning) {
        lane.running++
        return Effect.ensuring(restore(alone(key, call)), next(key, lane))
      }
      const entry: Entry = { call, weight, deferred: Deferred.makeUnsafe() }
      lane.waiting.push(entry)
      return Effect.onInterrupt(restore(Deferred.await(entry.deferred)), () =>
        Effect.sync(() => {
          lane.waiting = lane.waiting.filter((waiting) => waiting !== entry)
        }))
    })
})
