/**
 * Keeps the claimed ticks of the schedules in memory.
 */
import { Input, Ticks, type Timestamp } from "@waybill/core"
import { DateTime, Effect, Option } from "effect"
import { Buffer } from "node:buffer"

const keyOf = ({ schedule, tick }: Ticks.TickKey): string => `${tick.epochMilliseconds} ${schedule}`

/** By the bytes of the names within an instant, as PostgreSQL orders them. */
const newestFirst = (left: Ticks.Tick, right: Ticks.Tick): number =>
  right.beganAt.epochMilliseconds - left.beganAt.epochMilliseconds ||
  Buffer.compare(Buffer.from(left.schedule), Buffer.from(right.schedule)) ||
  right.tick.epochMilliseconds - left.tick.epochMilliseconds

/** Makes empty ticks. */
export const make = Effect.sync(() => {
  const ticks = new Map<string, Ticks.Tick>()

  const claim = Effect.fn("Ticks.claim")(function*(key: Ticks.TickKey & Pick<Ticks.Tick, "node">) {
    yield* Effect.fromResult(Input.claim(key))
    const beganAt = yield* DateTime.now
    if (ticks.has(keyOf(key))) return false
    const { node, schedule, tick } = key
    ticks.set(keyOf(key), { schedule, tick, node, beganAt, endedAt: Option.none(), counts: {}, error: Option.none() })
    return true
  })

  const finish = Effect.fn("Ticks.finish")(function*(
    key: Ticks.TickKey,
    result: { readonly counts: Ticks.Counts; readonly error: Option.Option<string> }
  ) {
    yield* Effect.fromResult(Input.finish({ ...key, ...result }))
    const endedAt = Option.some(yield* DateTime.now)
    const claimed = ticks.get(keyOf(key))
    if (claimed === undefined) return
    ticks.set(keyOf(key), { ...claimed, counts: { ...result.counts }, error: result.error, endedAt })
  })

  const recent = Effect.fn("Ticks.recent")(function*(query: {
    readonly schedule: Option.Option<string>
    readonly limit: number
  }) {
    const limit = yield* Input.limit(query.limit)
    yield* Effect.fromResult(Input.recent(query))
    return Array.from(ticks.values())
      .filter(({ schedule }) => Option.isNone(query.schedule) || query.schedule.value === schedule)
      .toSorted(newestFirst)
      .slice(0, limit)
      .map((tick) => Object.assign({}, tick, { counts: { ...tick.counts } }))
  })

  const prune = Effect.fn("Ticks.prune")(function*(before: Timestamp.Timestamp) {
    const old = yield* Effect.sync(() =>
      Array.from(ticks).filter(([, { endedAt }]) =>
        Option.isSome(endedAt) && endedAt.value.epochMilliseconds < before.epochMilliseconds
      )
    )
    for (const [key] of old) ticks.delete(key)
    return old.length
  })

  return Ticks.Ticks.of({ claim, finish, recent, prune })
})
