/**
 * Declares the contract of the `Ticks` port as a test suite that every adapter runs.
 *
 * The tests use schedules of their own, and the test clock for all times; some delete by age, so that the store is theirs
 * alone.
 *
 * @since 0.1.0
 */
import { assert } from "@effect/vitest"
import { Ticks } from "@waybill/core"
import { DateTime, Duration, Effect, type Layer, Option } from "effect"
import { TestClock } from "effect/testing"
import * as Given from "./Given.ts"
import * as Contract from "./internal/contract.ts"

const node = "node"

const newSchedule = Effect.map(Given.tenant, (name) => `schedule of ${name}`)

const claim = (schedule: string, seconds: number) =>
  Ticks.Ticks.use((ticks) => ticks.claim({ schedule, node, tick: Given.afterNoon(seconds) }))

const finish = (schedule: string, seconds: number, counts: Ticks.Counts, error?: string) =>
  Ticks.Ticks.use((ticks) =>
    ticks.finish({ schedule, tick: Given.afterNoon(seconds) }, { counts, error: Option.fromUndefinedOr(error) })
  )

const recent = (schedule: string | undefined, limit = 100) =>
  Ticks.Ticks.use((ticks) => ticks.recent({ schedule: Option.fromUndefinedOr(schedule), limit }))

const claiming = ({ example }: Contract.Contract<Ticks.Ticks>): void => {
  example(
    "a tick is claimed once, whoever asks at the same time",
    Effect.gen(function*() {
      const schedule = yield* newSchedule
      const claims = yield* Effect.replicateEffect(claim(schedule, 0), 8, { concurrency: "unbounded" })
      assert.lengthOf(claims.filter((claimed) => claimed), 1)
      assert.isFalse(yield* claim(schedule, 0))
      assert.isTrue(yield* claim(schedule, 1))
      assert.isTrue(yield* claim(yield* newSchedule, 0))
    })
  )

  example(
    "a claimed tick says who began it and when, and a finished one how it ended",
    Effect.gen(function*() {
      const schedule = yield* newSchedule
      const tick = Given.afterNoon(60)
      yield* claim(schedule, 60)
      const [begun] = yield* recent(schedule)
      assert.deepStrictEqual(
        begun,
        { schedule, tick, node, beganAt: Given.noon, endedAt: Option.none(), counts: {}, error: Option.none() }
      )
      yield* TestClock.adjust("5 seconds")
      yield* finish(schedule, 60, { linked: 3, "odd \u{1f4a9}": -1.5 }, "it failed: é")
      yield* finish(schedule, 61, { linked: 9 })
      assert.deepStrictEqual(yield* recent(schedule), [{
        schedule,
        tick,
        node,
        beganAt: Given.noon,
        endedAt: Option.some(Given.afterNoon(5)),
        counts: { linked: 3, "odd \u{1f4a9}": -1.5 },
        error: Option.some("it failed: é")
      }])
    })
  )

  example(
    "what a caller does to counts that it gave or got does not reach the history",
    Effect.gen(function*() {
      const schedule = yield* newSchedule
      const counts = { linked: 1 }
      yield* claim(schedule, 0)
      yield* finish(schedule, 0, counts)
      counts.linked = 2
      for (const found of yield* recent(schedule)) Object.assign(found.counts, { linked: 3 })
      assert.deepStrictEqual((yield* recent(schedule)).map(({ counts }) => counts), [{ linked: 1 }])
    })
  )
}

const remembering = ({ example }: Contract.Contract<Ticks.Ticks>): void => {
  example(
    "the history gives what began last first, then by name, then the latest tick",
    Effect.gen(function*() {
      const prefix = yield* newSchedule
      const names = ["B", "a", "a b", "a-b", "ab", "\u00e9", "\uffff", "\u{10000}"].map((name) => `${prefix} ${name}`)
      for (const name of names.toReversed()) {
        for (const seconds of [0, 60]) yield* claim(name, seconds)
      }
      yield* TestClock.adjust("1 second")
      yield* claim(prefix, 0)
      const found = (yield* recent(undefined)).filter(({ schedule }) => schedule.startsWith(prefix))
      assert.deepStrictEqual(
        found.map(({ schedule, tick }) => [schedule, DateTime.formatIso(tick)]),
        [
          [prefix, DateTime.formatIso(Given.noon)],
          ...names.flatMap((name) => [60, 0].map((seconds) => [name, DateTime.formatIso(Given.afterNoon(seconds))]))
        ]
      )
      assert.deepStrictEqual(yield* recent(undefined, 3), (yield* recent(undefined)).slice(0, 3))
      assert.lengthOf(yield* recent(names[0]), 2)
      assert.lengthOf(yield* recent(names[0], 1), 1)
    })
  )

  example(
    "what ended before an instant is deleted, and nothing else",
    Effect.gen(function*() {
      const ticks = yield* Ticks.Ticks
      yield* TestClock.adjust("3650 days")
      yield* ticks.prune(yield* DateTime.now)
      const schedule = yield* newSchedule
      for (const seconds of [0, 1, 2, 3]) yield* claim(schedule, seconds)
      for (const seconds of [0, 1, 2]) {
        yield* finish(schedule, seconds, {})
        yield* TestClock.adjust("1 second")
      }
      const now = yield* DateTime.now
      assert.strictEqual(yield* ticks.prune(DateTime.subtract(now, { seconds: 1 })), 2)
      assert.sameMembers(
        (yield* recent(schedule)).map(({ tick }) => tick.epochMilliseconds),
        [2, 3].map((seconds) => Given.afterNoon(seconds).epochMilliseconds)
      )
      assert.strictEqual(yield* ticks.prune(DateTime.add(now, { days: 1 })), 1)
      assert.lengthOf(yield* recent(schedule), 1)
    })
  )
}

const refusing = ({ example }: Contract.Contract<Ticks.Ticks>): void => {
  const badTexts = ["", "a\u0000b", "\ud800", "x".repeat(100_000)]

  example(
    "what cannot be kept exactly is refused",
    Effect.gen(function*() {
      const ticks = yield* Ticks.Ticks
      const schedule = yield* newSchedule
      yield* claim(schedule, 0)
      const tick = Given.noon
      const finer = DateTime.addDuration(tick, Duration.millis(0.25))
      const result = { counts: {}, error: Option.none() }
      const calls = [
        ...[...badTexts, "x".repeat(256)].flatMap((text) => [
          ticks.claim({ schedule: text, tick, node }),
          ticks.claim({ schedule, tick, node: text }),
          ticks.finish({ schedule: text, tick }, result),
          recent(text)
        ]),
        ...badTexts.map((text) => ticks.finish({ schedule, tick }, { counts: {}, error: Option.some(text) })),
        ticks.claim({ schedule, tick: finer, node }),
        ticks.finish({ schedule, tick: finer }, result),
        ...[{ "a\u0000b": 1 }, { a: NaN }, { a: Infinity }, { a: -0 }].map((counts) =>
          ticks.finish({ schedule, tick }, { counts, error: Option.none() })
        ),
        ...[0, -1, 1.5, NaN, 10_001].map((limit) => recent(schedule, limit))
      ]
      for (const call of calls) {
        assert.strictEqual((yield* Contract.refused(Effect.asVoid(call), "InvalidInput")).what, "query")
      }
      const [found] = yield* recent(schedule)
      assert.deepStrictEqual(found?.endedAt, Option.none())
      yield* finish(schedule, 0, {}, "x".repeat(1000))
      assert.isTrue(yield* claim("x".repeat(255), 0))
    })
  )
}

/**
 * Declares what holds for all ticks.
 *
 * @category suites
 * @since 0.1.0
 */
export const suite = <E>(name: string, ticks: Layer.Layer<Ticks.Ticks, E>): void =>
  Contract.declare(name, ticks, (contract) => {
    claiming(contract)
    remembering(contract)
    refusing(contract)
  })
