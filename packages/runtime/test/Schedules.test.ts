import { assert, describe, it } from "@effect/vitest"
import { Ledger, LedgerError, Orphans, Tenant, Ticks } from "@waybill/core"
import { Metrics, Reconciler, Schedules } from "@waybill/runtime"
import { Given, Importer } from "@waybill/storage/testing"
import {
  Clock,
  DateTime,
  type Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  Metric,
  Option,
  Result,
  Scope
} from "effect"
import { SecureRandom } from "effect/crypto"
import { TestClock } from "effect/testing"

const acme = Tenant.TenantId.make("acme")

const stores = Importer.layerMemory.pipe(
  Layer.provideMerge(SecureRandom.layerWebCrypto)
)

const everything = Layer.provideMerge(Reconciler.layer, stores)

/** Builds a layer for as long as a scope of its own is open. */
const start = Effect.fnUntraced(function*<E, R>(layer: Layer.Layer<never, E, R>) {
  const scope = yield* Scope.make()
  yield* Layer.buildWithScope(Layer.fresh(layer), scope)
  return scope
})

const stop = (scope: Scope.Closeable) => Scope.close(scope, Exit.void)

const clockTime = Effect.map(DateTime.now, DateTime.formatIso)

/** The ticks of a schedule, oldest first. */
const history = Effect.fnUntraced(function*(schedule: string) {
  const ticks = yield* Ticks.Ticks
  const found = yield* ticks.recent({ schedule: Option.some(schedule), limit: 1000 })
  return found.toReversed().map(({ counts, endedAt, error, node, tick }) => ({
    tick: DateTime.formatIso(tick),
    node,
    counts,
    error: Option.getOrNull(error),
    isEnded: Option.isSome(endedAt)
  }))
})

const times = (schedule: string) => Effect.map(history(schedule), (rows) => rows.map(({ tick }) => tick.slice(11, 19)))

/** Work that takes some time and notes when it began. */
const noting = (began: Array<string>, takes: Duration.Input = 0) => () =>
  Effect.gen(function*() {
    began.push((yield* clockTime).slice(11, 19))
    yield* Effect.sleep(takes)
    return { linked: 1 }
  })

/** A clock that tells another time than the one it sleeps by. */
const clockThatIs = (off: { readonly by: number }) =>
  Effect.map(Clock.Clock, (clock): Clock.Clock => ({
    currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
    currentTimeNanos: clock.currentTimeNanos,
    monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: clock.monotonicTimeNanos,
    sleep: (duration) => clock.sleep(duration),
    currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + off.by,
    currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now + off.by)
  }))

describe("parse", () => {
  for (
    const [cron, timeZone, said] of [
      ["every day", "UTC", "Invalid number of segments"],
      ["61 * * * *", "UTC", "61"],
      ["* * * * *", "Mars/Olympus", "Mars/Olympus"],
      ["0 0 30 2 *", "UTC", "never comes"],
      ["", "UTC", "segments"]
    ] as const
  ) {
    it(`refuses "${cron}" in ${timeZone}`, () => {
      const error = Result.getOrThrow(Result.flip(Schedules.parse(cron, timeZone)))
      assert.strictEqual(error._tag, "InvalidCron")
      assert.include(error.message, said)
      assert.include(error.message, `"${cron}"`)
    })
  }

  it("gives the same tick from wherever in its interval a node looks", () => {
    const cron = Result.getOrThrow(Schedules.parse("*/5 * * * *"))
    const ticks = ["2026-03-01T12:00:00.000Z", "2026-03-01T12:01:07.123Z", "2026-03-01T12:04:59.999Z"].map((from) =>
      DateTime.formatIso(Schedules.tickAfter(cron, DateTime.makeUnsafe(from)))
    )
    assert.deepStrictEqual(ticks, Array.from({ length: 3 }, () => "2026-03-01T12:05:00.000Z"))
  })

  it("pauses in no hour that a time zone repeats or leaves out", () => {
    const cron = Result.getOrThrow(Schedules.parse("*/30 * * * *", "Europe/Berlin"))
    for (const from of ["2026-10-24T23:00:00Z", "2026-03-28T23:00:00Z"]) {
      let tick = DateTime.makeUnsafe(from)
      for (let hours = 0; hours < 6; hours += 0.5) {
        const next = Schedules.tickAfter(cron, tick)
        assert.strictEqual(next.epochMilliseconds - tick.epochMilliseconds, 1_800_000, DateTime.formatIso(tick))
        tick = next
      }
    }
  })
})

describe("layer", () => {
  it.effect("works at the times of the cron, and at no other", () =>
    Effect.gen(function*() {
      const began: Array<string> = []
      yield* TestClock.setTime(Date.UTC(2026, 2, 1, 12, 2, 30))
      yield* start(Schedules.layer({ schedule: "count", cron: "*/5 * * * *", node: "one" }, noting(began)))
      yield* TestClock.adjust("20 minutes")

      assert.deepStrictEqual(began, ["12:05:00", "12:10:00", "12:15:00", "12:20:00"])
      assert.deepStrictEqual(
        (yield* history("count"))[0],
        { tick: "2026-03-01T12:05:00.000Z", node: "one", counts: { linked: 1 }, error: null, isEnded: true }
      )
    }).pipe(Effect.provide(stores)))

  it.effect("reads the cron in its time zone, across a change of the offset", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.UTC(2026, 2, 28))
      yield* start(
        Schedules.layer(
          { schedule: "nightly", cron: "0 3 * * *", timeZone: "Europe/Berlin" },
          () => Effect.succeed({})
        )
      )
      yield* TestClock.adjust("48 hours")
      assert.deepStrictEqual(yield* times("nightly"), ["02:00:00", "01:00:00"])
    }).pipe(Effect.provide(stores)))

  it.effect("never overlaps itself, and skips the ticks that come while it works", () =>
    Effect.gen(function*() {
      const began: Array<string> = []
      yield* TestClock.setTime(Date.UTC(2026, 2, 1, 12))
      yield* start(Schedules.layer({ schedule: "slow", cron: "*/5 * * * *" }, noting(began, "12 minutes")))
      yield* TestClock.adjust("41 minutes")

      assert.deepStrictEqual(began, ["12:05:00", "12:20:00", "12:35:00"])
      assert.deepStrictEqual(yield* times("slow"), began)
    }).pipe(Effect.provide(stores)))

  it.effect("skips what a long pause of the machine missed, and takes the next tick", () =>
    Effect.gen(function*() {
      const began: Array<string> = []
      const off = { by: 0 }
      yield* TestClock.setTime(Date.UTC(2026, 2, 1, 12))
      yield* start(Schedules.layer({ schedule: "paused", cron: "*/5 * * * *" }, noting(began))).pipe(
        Effect.provideServiceEffect(Clock.Clock, clockThatIs(off))
      )
      yield* TestClock.adjust("6 minutes")
      off.by = 3_600_000
      yield* TestClock.adjust("10 minutes")

      assert.deepStrictEqual(began, ["12:05:00", "13:10:00", "13:15:00"])
    }).pipe(Effect.provide(stores)))

  it.effect("goes on by a clock that was set back while it waited, and while it worked", () =>
    Effect.gen(function*() {
      const began: Array<string> = []
      const off = { by: 0 }
      yield* TestClock.setTime(Date.UTC(2026, 2, 1, 12))
      yield* start(Schedules.layer({ schedule: "set back", cron: "*/5 * * * *" }, noting(began, "1 minutes"))).pipe(
        Effect.provideServiceEffect(Clock.Clock, clockThatIs(off))
      )
      yield* TestClock.adjust("7 minutes")
      off.by = -3_600_000
      yield* TestClock.adjust("8 minutes")
      assert.deepStrictEqual(began, ["12:05:00", "11:10:00", "11:15:00"])
      yield* TestClock.adjust("30 seconds")
      off.by = -7_200_000
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(began.slice(3), ["10:20:00", "10:25:00"])
    }).pipe(Effect.provide(stores)))

  it.effect("goes on after a run that failed, and after one that died", () =>
    Effect.gen(function*() {
      const logged: Array<unknown> = []
      let runs = 0
      const work = () =>
        Effect.suspend(() => {
          runs++
          if (runs === 1) {
            return Effect.fail(new LedgerError.LedgerUnavailable({ reason: "timeout", cause: "ann@example.com" }))
          }
          return runs === 2 ? Effect.die(new TypeError("ann@example.com")) : Effect.succeed({ linked: runs })
        })
      yield* start(Schedules.layer({ schedule: "brave", cron: "* * * * *" }, work)).pipe(
        Effect.provide(Logger.layer([Logger.make(({ message }) => logged.push(message))]))
      )
      yield* TestClock.adjust("3 minutes")

      assert.deepStrictEqual((yield* history("brave")).map(({ counts, error }) => [counts, error]), [
        [{}, "LedgerUnavailable: the database is not available (timeout)"],
        [{}, "unexpected TypeError"],
        [{ linked: 3 }, null]
      ])
      assert.deepStrictEqual(logged.flat(), ["scheduled run failed", "scheduled run failed"])
      const failed = (yield* Metric.snapshot).find(({ id }) => id === Metrics.sweepsFailed.id)
      assert.deepStrictEqual(failed?.attributes, { schedule: "brave" })
      assert.deepStrictEqual(failed?.state, { count: 2, incremental: true })
    }).pipe(Effect.provide(stores), Effect.provideService(Metric.MetricRegistry, new Map())))

  it.effect("goes on after a tick that could not be claimed", () =>
    Effect.gen(function*() {
      const began: Array<string> = []
      const ticks = yield* Ticks.Ticks
      let isDown = true
      const flaky = Layer.succeed(Ticks.Ticks, {
        ...ticks,
        claim: (key) =>
          isDown
            ? Effect.fail(new LedgerError.LedgerUnavailable({ reason: "connection", cause: "gone" }))
            : ticks.claim(key)
      })
      yield* start(
        Layer.provide(Schedules.layer({ schedule: "flaky", cron: "* * * * *" }, noting(began)), flaky)
      )
      yield* TestClock.adjust("1 minutes")
      isDown = false
      yield* TestClock.adjust("1 minutes")
      assert.deepStrictEqual(began, ["00:02:00"])
    }).pipe(Effect.provide(stores)))

  it.effect("leaves alone a tick that another node has claimed", () =>
    Effect.gen(function*() {
      const began: Array<string> = []
      const ticks = yield* Ticks.Ticks
      yield* ticks.claim({ schedule: "shared", tick: DateTime.makeUnsafe(60_000), node: "other" })
      yield* start(Schedules.layer({ schedule: "shared", cron: "* * * * *" }, noting(began)))
      yield* TestClock.adjust("2 minutes")

      assert.deepStrictEqual(began, ["00:02:00"])
      assert.deepStrictEqual((yield* history("shared")).map(({ node }) => node)[0], "other")
    }).pipe(Effect.provide(stores)))

  it.effect("shares the ticks among nodes, each done by one", () =>
    Effect.gen(function*() {
      const began: Array<string> = []
      const node = (name: string) =>
        start(Schedules.layer({ schedule: "shared", cron: "* * * * *", node: name }, noting(began)))
      yield* Effect.forEach(["one", "two", "three"], node)
      yield* TestClock.adjust("30 minutes")

      assert.lengthOf(began, 30)
      assert.lengthOf(new Set(began), 30)
    }).pipe(Effect.provide(stores)))

  it.effect("gives its ticks to another node when it is gone", () =>
    Effect.gen(function*() {
      const work = () => Effect.succeed({})
      const one = yield* start(Schedules.layer({ schedule: "shared", cron: "* * * * *", node: "one" }, work))
      yield* start(Schedules.layer({ schedule: "shared", cron: "* * * * *", node: "two" }, work))
      yield* TestClock.adjust("2 minutes")
      yield* stop(one)
      yield* TestClock.adjust("2 minutes")

      assert.deepStrictEqual((yield* history("shared")).map(({ node }) => node), ["one", "one", "two", "two"])
    }).pipe(Effect.provide(stores)))

  it.effect("works no more when its scope is closed", () =>
    Effect.gen(function*() {
      const began: Array<string> = []
      const scope = yield* start(Schedules.layer({ schedule: "ended", cron: "* * * * *" }, noting(began)))
      yield* TestClock.adjust("1 minutes")
      yield* stop(scope)
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(began, ["00:01:00"])
    }).pipe(Effect.provide(stores)))

  it.effect("fails to build where the cron or a name means nothing", () =>
    Effect.gen(function*() {
      const work = () => Effect.succeed({})
      const badCron = yield* Effect.flip(start(Schedules.layer({ schedule: "count", cron: "soon" }, work)))
      const badName = yield* Effect.flip(
        start(Schedules.layer({ schedule: "ann@example.com", cron: "* * * * *" }, work))
      )
      assert.strictEqual(badCron._tag, "InvalidCron")
      assert.strictEqual(badName._tag, "InvalidInput")
    }).pipe(Effect.provide(stores)))
})

describe("runNow", () => {
  it.effect("gives each run a row of its own, also at the same instant", () =>
    Effect.gen(function*() {
      const run = Schedules.runNow({ schedule: "by hand", node: "one" }, () => Effect.succeed({ linked: 2 }))
      yield* Effect.all([run, run, run], { concurrency: "unbounded" })
      const rows = yield* history("by hand")
      assert.deepStrictEqual(rows.map(({ tick }) => tick).toSorted(), [
        "1970-01-01T00:00:00.000Z",
        "1970-01-01T00:00:00.001Z",
        "1970-01-01T00:00:00.002Z"
      ])
      assert.isTrue(rows.every(({ isEnded }) => isEnded))
    }).pipe(Effect.provide(stores)))

  it.effect("fails as the work fails, and notes it", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Schedules.runNow({ schedule: "by hand" }, () => Effect.fail("broken")))
      assert.strictEqual(error, "broken")
      assert.deepStrictEqual((yield* history("by hand")).map(({ error }) => error), ["unexpected string"])
    }).pipe(Effect.provide(stores)))
})

/** Orphans whose deliveries another program has written, past their grace. */
const linkable = Effect.fnUntraced(function*(count: number, tenantId: Tenant.TenantId = acme) {
  const ledger = yield* Ledger.Ledger
  const importer = yield* Importer.Importer
  for (let n = 0; n < count; n++) {
    yield* ledger.append(tenantId, [Given.report("delivered", `message-${n}`)])
    yield* importer.importDelivery({
      tenantId,
      id: yield* Given.deliveryId,
      recipient: Given.recipient,
      provider: Given.provider,
      providerMessageId: Given.messageId(`message-${n}`)
    })
  }
  yield* TestClock.adjust("61 seconds")
})

describe("Reconciler.layerCron", () => {
  it.effect("sweeps every five minutes where nothing is said, and notes what it did", () =>
    Effect.gen(function*() {
      yield* linkable(3)
      yield* start(Reconciler.layerCron({ node: "one" }))
      yield* TestClock.adjust("10 minutes")

      assert.deepStrictEqual((yield* history("reconcile")).map(({ counts, tick }) => [tick.slice(11, 19), counts]), [
        ["00:05:00", { scanned: 3, linked: 3, failed: 0, remaining: 0 }],
        ["00:10:00", { scanned: 0, linked: 0, failed: 0, remaining: 0 }]
      ])
    }).pipe(Effect.provide(everything)))

  it.effect("lets the batch in hand commit when it is stopped, begins no other, and notes what was done", () =>
    Effect.gen(function*() {
      yield* linkable(5)
      const orphans = yield* Orphans.Orphans
      let batches = 0
      const slow = Reconciler.layer.pipe(Layer.provide(Layer.succeed(Orphans.Orphans, {
        ...orphans,
        link: (query) =>
          Effect.sync(() => {
            batches++
          }).pipe(Effect.delay("1 minutes"), Effect.andThen(orphans.link(query)))
      })))
      const sweeps = Reconciler.layerCron({ batchSize: 2, node: "one" })
      const scope = yield* start(Layer.provide(sweeps, Layer.fresh(slow)))
      yield* TestClock.adjust("4 minutes")
      const stopping = yield* Effect.forkChild(stop(scope), { startImmediately: true })
      assert.strictEqual(batches, 0)
      yield* TestClock.adjust("5 minutes")
      yield* Fiber.join(stopping)

      assert.strictEqual(batches, 1)
      assert.deepStrictEqual(yield* history("reconcile"), [{
        node: "one",
        tick: "1970-01-01T00:05:00.000Z",
        counts: { scanned: 2, linked: 2, failed: 0, remaining: 0 },
        error: "stopped by a shutdown",
        isEnded: true
      }])
      assert.lengthOf(yield* Reconciler.Reconciler.use(({ findOrphans }) => findOrphans()), 3)
    }).pipe(Effect.provide(everything)))

  it.effect("fails to build where its sweep means nothing", () =>
    Effect.gen(function*() {
      for (const options of [{ batchSize: 0 }, { grace: "-1 seconds" as const }, { maxAgeMinutes: 0.5 }]) {
        const error = yield* Effect.flip(start(Reconciler.layerCron(options)))
        assert.strictEqual(error._tag, "InvalidInput")
      }
      assert.strictEqual((yield* Effect.flip(start(Reconciler.layerCron({ cron: "* *" }))))._tag, "InvalidCron")
    }).pipe(Effect.provide(everything)))
})

describe("Reconciler.recordedSweep", () => {
  it.effect("gives what it did and notes it as done by hand", () =>
    Effect.gen(function*() {
      yield* linkable(3)
      const sofar: Array<number> = []
      const swept = yield* Reconciler.recordedSweep({
        batchSize: 2,
        node: "desk",
        onBatch: ({ linked }) => Effect.sync(() => sofar.push(linked))
      })
      assert.deepStrictEqual(swept, { scanned: 3, linked: 3, failed: 0, remaining: 0 })
      assert.deepStrictEqual(sofar, [2, 3])
      assert.deepStrictEqual((yield* history("reconcile by hand")).map(({ counts, node }) => [node, counts]), [
        ["desk", { scanned: 3, linked: 3, failed: 0, remaining: 0 }]
      ])
    }).pipe(Effect.provide(everything)))

  it.effect("notes a sweep that asks for nonsense", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Reconciler.recordedSweep({ batchSize: 0 }))
      assert.strictEqual(error._tag, "InvalidInput")
    }).pipe(Effect.provide(everything)))
})
