import { assert, describe, it } from "@effect/vitest"
import { Inbox, Ledger, Tenant, Ticks } from "@waybill/core"
import { Metrics, Pruner } from "@waybill/runtime"
import { MemoryStorage } from "@waybill/storage"
import { Given } from "@waybill/storage/testing"
import { DateTime, Effect, Exit, Fiber, Layer, Metric, Option, Scope } from "effect"
import { SecureRandom } from "effect/crypto"
import { TestClock } from "effect/testing"

const acme = Tenant.TenantId.make("acme")

const everything = Pruner.layer.pipe(
  Layer.provideMerge(MemoryStorage.layer),
  Layer.provide(SecureRandom.layerWebCrypto)
)

const store = Inbox.Inbox.use((inbox) =>
  inbox.store({
    tenantId: acme,
    provider: Given.provider,
    headers: {},
    body: new Uint8Array([1]),
    token: Option.none()
  })
)

/** Webhooks that end now. */
const ended = Effect.fnUntraced(function*(result: Inbox.Ending, count: number) {
  const inbox = yield* Inbox.Inbox
  for (let n = 0; n < count; n++) {
    const { id } = yield* store
    yield* inbox.finish({ tenantId: acme, id }, result)
  }
})

/** One webhook of each end, one that never ended, and an ended tick. */
const each = Effect.gen(function*() {
  const ticks = yield* Ticks.Ticks
  yield* ended({ _tag: "Succeeded" }, 1)
  yield* ended({ _tag: "Dead", reason: "unreadable" }, 1)
  yield* ended({ _tag: "Failed", reason: "unreadable" }, 1)
  yield* store
  const key = { schedule: "reconcile", tick: yield* DateTime.now }
  yield* ticks.claim({ ...key, node: "one" })
  yield* ticks.finish(key, { counts: {}, error: Option.none() })
})

const prune = (options?: Pruner.PruneOptions) => Pruner.Pruner.use(({ prune }) => prune(options))

const left = Inbox.Inbox.use((inbox) => inbox.counts("*")).pipe(
  Effect.map((counts) => counts.map(({ count, status }) => `${status} ${count}`))
)

const recentTicks = Ticks.Ticks.use((ticks) => ticks.recent({ schedule: Option.none(), limit: 100 }))

describe("prune", () => {
  it.effect("keeps succeeded webhooks 14 days, dead ones 90, ticks 30, and failed ones for good", () =>
    Effect.gen(function*() {
      yield* each
      yield* TestClock.adjust("14 days")
      assert.deepStrictEqual(yield* prune(), { webhooks: 0, details: 0, ticks: Option.some(0) })
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* prune(), { webhooks: 1, details: 0, ticks: Option.some(0) })
      yield* TestClock.adjust("16 days")
      assert.deepStrictEqual(yield* prune(), { webhooks: 0, details: 0, ticks: Option.some(1) })
      yield* TestClock.adjust("60 days")
      assert.deepStrictEqual(yield* prune(), { webhooks: 1, details: 0, ticks: Option.some(0) })
      yield* TestClock.adjust("36500 days")
      assert.deepStrictEqual(yield* prune(), { webhooks: 0, details: 0, ticks: Option.some(0) })
      assert.deepStrictEqual(yield* left, ["failed 1", "processing 1"])
    }).pipe(Effect.provide(everything)))

  it.effect("keeps each as long as it is told", () =>
    Effect.gen(function*() {
      yield* each
      yield* TestClock.adjust("2 days")
      const keep = { succeeded: "forever", dead: "forever", failed: 1, ticks: "forever" } as const
      assert.deepStrictEqual(yield* prune({ keep }), { webhooks: 1, details: 0, ticks: Option.none() })
      assert.deepStrictEqual(yield* left, ["dead 1", "processing 1", "succeeded 1"])
      assert.lengthOf(yield* recentTicks, 1)
    }).pipe(Effect.provide(everything)))

  it.effect("only counts in a dry run", () =>
    Effect.gen(function*() {
      yield* each
      yield* ended({ _tag: "Succeeded" }, 1500)
      yield* TestClock.adjust("100 days")
      assert.deepStrictEqual(yield* prune({ dryRun: true }), { webhooks: 1502, details: 0, ticks: Option.none() })
      assert.deepStrictEqual(yield* left, ["dead 1", "failed 1", "processing 1", "succeeded 1501"])
      assert.lengthOf(yield* recentTicks, 1)
    }).pipe(Effect.provide(everything)))

  it.effect("deletes details after 30 days, in bounded batches, or as it is told", () =>
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const details = Option.some({ response: "250 ok" })
      const kept = (count: number) =>
        ledger.append(
          acme,
          Array.from({ length: count }, (_, index) => Given.report("opened", `m-${count}-${index}`, { details }))
        )
      const sofar: Array<number> = []
      yield* kept(2100)
      yield* TestClock.adjust("30 days")
      assert.strictEqual((yield* prune()).details, 0)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* prune({ keep: { details: "forever" } })).details, 0)
      assert.strictEqual((yield* prune({ dryRun: true })).details, 2100)
      const onBatch = ({ details }: Pruner.Pruned) => Effect.sync(() => sofar.push(details))
      assert.strictEqual((yield* prune({ onBatch })).details, 2100)
      assert.deepStrictEqual(sofar, [1000, 2000, 2100, 2100])
      yield* kept(3)
      assert.strictEqual((yield* prune({ keep: { details: 1 } })).details, 0)
      assert.strictEqual((yield* prune({ keep: { details: "none" } })).details, 3)
    }).pipe(Effect.provide(everything)))

  it.effect("deletes in bounded batches until none is left, and counts them", () =>
    Effect.gen(function*() {
      const sofar: Array<number> = []
      yield* ended({ _tag: "Succeeded" }, 2100)
      yield* TestClock.adjust("15 days")
      yield* prune({ onBatch: ({ webhooks }) => Effect.sync(() => sofar.push(webhooks)) })
      assert.deepStrictEqual(sofar, [1000, 2000, 2100, 2100])
      const counter = (yield* Metric.snapshot).find(({ id }) => id === Metrics.webhooksPruned.id)
      assert.deepStrictEqual(counter?.state, { count: 2100, incremental: true })
    }).pipe(Effect.provide(everything), Effect.provideService(Metric.MetricRegistry, new Map())))

  for (const keep of [{ succeeded: 0 }, { dead: 1.5 }, { failed: -1 }, { details: 0 }, { ticks: Infinity }]) {
    it.effect(`refuses to keep ${JSON.stringify(keep)}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(prune({ keep }))
        assert.strictEqual(error._tag, "InvalidInput")
        assert.include(error.message, `keep.${Object.keys(keep)[0]}:`)
      }).pipe(Effect.provide(everything)))
  }
})

describe("layerCron", () => {
  it.effect("prunes at three in the morning and notes it", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      yield* ended({ _tag: "Succeeded" }, 1)
      yield* TestClock.adjust("15 days")
      yield* Layer.buildWithScope(Pruner.layerCron({ node: "one" }), scope)
      yield* TestClock.adjust("1 days")
      yield* Scope.close(scope, Exit.void)

      assert.deepStrictEqual(
        (yield* recentTicks).map(({ counts, schedule, tick }) => [schedule, DateTime.formatIso(tick), counts]),
        [["prune", "1970-01-16T03:00:00.000Z", { webhooks: 1, details: 0, ticks: 0 }]]
      )
    }).pipe(Effect.provide(everything)))

  it.effect("lets the batch in hand commit when it is stopped, and notes it", () =>
    Effect.gen(function*() {
      const inbox = yield* Inbox.Inbox
      yield* ended({ _tag: "Succeeded" }, 3000)
      yield* TestClock.adjust("15 days")
      const slow = Layer.succeed(Inbox.Inbox, {
        ...inbox,
        prune: (query) => Effect.delay(inbox.prune(query), "1 minutes")
      })
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(
        Pruner.layerCron().pipe(Layer.provide(Layer.fresh(Pruner.layer)), Layer.provide(slow)),
        scope
      )
      yield* TestClock.adjust("3 hours")
      const stopping = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* TestClock.adjust("10 minutes")
      yield* Fiber.join(stopping)

      assert.deepStrictEqual(yield* left, ["succeeded 2000"])
      assert.deepStrictEqual((yield* recentTicks).map(({ counts, error }) => [counts, Option.getOrNull(error)]), [
        [{ webhooks: 1000, details: 0, ticks: 0 }, "stopped by a shutdown"]
      ])
    }).pipe(Effect.provide(everything)))

  it.effect("fails to build where it means nothing", () =>
    Effect.gen(function*() {
      const build = (options: Pruner.CronOptions) => Effect.flip(Effect.scoped(Layer.build(Pruner.layerCron(options))))
      assert.strictEqual((yield* build({ cron: "never" }))._tag, "InvalidCron")
      assert.strictEqual((yield* build({ keep: { dead: 0 } }))._tag, "InvalidInput")
    }).pipe(Effect.provide(everything)))
})

describe("recordedPrune", () => {
  it.effect("notes what it did, and no dry run", () =>
    Effect.gen(function*() {
      yield* ended({ _tag: "Succeeded" }, 2)
      yield* TestClock.adjust("15 days")
      assert.strictEqual((yield* Pruner.recordedPrune({ dryRun: true })).webhooks, 2)
      assert.lengthOf(yield* recentTicks, 0)
      assert.strictEqual((yield* Pruner.recordedPrune()).webhooks, 2)
      assert.deepStrictEqual((yield* recentTicks).map(({ counts, schedule }) => [schedule, counts]), [
        ["prune by hand", { webhooks: 2, details: 0, ticks: 0 }]
      ])
    }).pipe(Effect.provide(everything)))
})
