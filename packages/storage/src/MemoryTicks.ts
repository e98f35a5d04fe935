/**
 * Keeps the claimed ticks of the schedules in memory.
 *
 * @since 0.1.0
 */
import { Input, Ticks, type Timestamp } from "@waybill/core"
import { DateTime, Effect, Layer, Option } from "effect"

const keyOf = ({ schedule, tick }: Ticks.TickKey): string => `${tick.epochMilliseconds} ${schedule}`

const make = Effect.sync(() => {
  const ticks = new Map<string, Ticks.Tick>()

  const claim = Effect.fn("Ticks.claim")(function*(key: Ticks.TickKey & Pick<Ticks.Tick, "node">) {
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
    const endedAt = Option.some(yield* DateTime.now)
    const claimed = ticks.get(keyOf(key))
    if (claimed !== undefined) ticks.set(keyOf(key), { ...claimed, ...result, endedAt })
  })

  const recent = Effect.fn("Ticks.recent")(function*(query: {
    readonly schedule: Option.Option<string>
    readonly limit: number
  }) {
    const limit = yield* Input.limit(query.limit)
    return Array.from(ticks.values())
      .filter(({ schedule }) => Option.isNone(query.schedule) || query.schedule.value === schedule)
      .toSorted((left, right) =>
        right.beganAt.epochMilliseconds - left.beganAt.epochMilliseconds || (left.schedule < right.schedule ? -1 : 1)
      )
      .slice(0, limit)
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

/**
 * Ticks that live as long as the layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Ticks.Ticks> = Layer.effect(Ticks.Ticks, make)
