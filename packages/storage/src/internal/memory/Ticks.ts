/**
 * Keeps the claimed ticks of the schedules in memory.
 */
import { Input, Ticks, type Timestamp } from "@waybill/core"
import { DateTime, Effect, type Option } from "effect"

const keyOf = ({ schedule, tick }: Ticks.TickKey): string => `${tick.epochMilliseconds} ${schedule}`

/** Makes empty ticks. */
export const make = Effect.sync(() => {
  const ticks = new Map<string, Ticks.Tick>()

  const claim = Effect.fn("Ticks.claim")(function*(key: Ticks.TickKey & Pick<Ticks.Tick, "node">) {
    yield* Effect.fromResult(Input.claim(key))
    const beganAt = yield* DateTime.now
    if (ticks.has(keyOf(key))) return false
    ticks.set(keyOf(key), Ticks.begin(key, beganAt))
    return true
  })

  const finish = Effect.fn("Ticks.finish")(function*(
    key: Ticks.TickKey,
    result: { readonly counts: Ticks.Counts; readonly error: Option.Option<string> }
  ) {
    yield* Effect.fromResult(Input.finish({ ...key, ...result }))
    const endedAt = yield* DateTime.now
    const claimed = ticks.get(keyOf(key))
    if (claimed === undefined) return
    ticks.set(keyOf(key), Ticks.end(claimed, result, endedAt))
  })

  const recent = Effect.fn("Ticks.recent")(function*(query: {
    readonly schedule: Option.Option<string>
    readonly limit: number
  }) {
    yield* Input.limit(query.limit)
    yield* Effect.fromResult(Input.recent(query))
    return Ticks.select(query, Array.from(ticks.values()))
      .map((tick) => Object.assign({}, tick, { counts: { ...tick.counts } }))
  })

  const prune = Effect.fn("Ticks.prune")(function*(before: Timestamp.Timestamp) {
    const old = yield* Effect.sync(() => Array.from(ticks).filter(([, tick]) => Ticks.isEndedBefore(tick, before)))
    for (const [key] of old) ticks.delete(key)
    return old.length
  })

  return Ticks.Ticks.of({ claim, finish, recent, prune })
})
