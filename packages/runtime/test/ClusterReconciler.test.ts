import { assert, describe, it } from "@effect/vitest"
import { Ledger, Orphans, Tenant, Ticks } from "@waybill/core"
import { Reconciler } from "@waybill/runtime"
import * as ClusterReconciler from "@waybill/runtime/ClusterReconciler"
import { Given, Importer } from "@waybill/storage/testing"
import { DateTime, Effect, Exit, Fiber, Layer, Option, Scope } from "effect"
import { MessageStorage, RunnerHealth, Runners, RunnerStorage, Sharding, ShardingConfig } from "effect/cluster"
import { SecureRandom } from "effect/crypto"
import { TestClock } from "effect/testing"

const acme = Tenant.TenantId.make("acme")

const stores = Importer.layerMemory.pipe(
  Layer.provideMerge(SecureRandom.layerWebCrypto)
)

const cluster = Sharding.layer.pipe(
  Layer.provideMerge(Runners.layerNoop),
  Layer.provideMerge(MessageStorage.layerMemory),
  Layer.provide([RunnerStorage.layerMemory, RunnerHealth.layerNoop]),
  Layer.provide(ShardingConfig.layer({ entityMessagePollInterval: 1000, shardsPerGroup: 4 }))
)

const everything = Layer.mergeAll(Reconciler.layer, cluster).pipe(Layer.provideMerge(stores))

const history = Ticks.Ticks.use((ticks) => ticks.recent({ schedule: Option.none(), limit: 100 })).pipe(
  Effect.map((rows) =>
    rows.toReversed().map(({ counts, error, node, schedule, tick }) => ({
      schedule,
      tick: DateTime.formatIso(tick).slice(11, 19),
      node,
      counts,
      error: Option.getOrNull(error)
    }))
  )
)

const linkable = Effect.fnUntraced(function*(count: number) {
  const ledger = yield* Ledger.Ledger
  const importer = yield* Importer.Importer
  for (let n = 0; n < count; n++) {
    yield* ledger.append(acme, [Given.report("delivered", `message-${n}`)])
    yield* importer.importDelivery({
      tenantId: acme,
      id: yield* Given.deliveryId,
      recipient: Given.recipient,
      provider: Given.provider,
      providerMessageId: Given.messageId(`message-${n}`)
    })
  }
})

const start = Effect.fnUntraced(function*<E, R>(layer: Layer.Layer<never, E, R>) {
  const scope = yield* Scope.make()
  yield* Layer.buildWithScope(layer, scope)
  yield* TestClock.adjust(1)
  return scope
})

describe("layer", () => {
  it.effect("sweeps at the cron's times and notes each tick under the cron's instant", () =>
    Effect.gen(function*() {
      yield* linkable(3)
      yield* start(ClusterReconciler.layer({ cron: "*/2 * * * *", node: "one" }))
      yield* TestClock.adjust("5 minutes")

      assert.deepStrictEqual(yield* history, [
        {
          schedule: "reconcile",
          tick: "00:02:00",
          node: "one",
          counts: { scanned: 3, linked: 3, failed: 0, remaining: 0 },
          error: null
        },
        {
          schedule: "reconcile",
          tick: "00:04:00",
          node: "one",
          counts: { scanned: 0, linked: 0, failed: 0, remaining: 0 },
          error: null
        }
      ])
    }).pipe(Effect.provide(everything)))

  it.effect("shares its schedule with nodes outside of the cluster", () =>
    Effect.gen(function*() {
      yield* start(Reconciler.layerCron({ cron: "* * * * *", node: "outside" }))
      yield* start(ClusterReconciler.layer({ cron: "* * * * *", node: "inside" }))
      yield* TestClock.adjust("5 minutes")

      assert.deepStrictEqual((yield* history).map(({ tick }) => tick), [
        "00:01:00",
        "00:02:00",
        "00:03:00",
        "00:04:00",
        "00:05:00"
      ])
    }).pipe(Effect.provide(everything)))

  it.effect("lets the batch in hand commit when it is closed, and begins no other", () =>
    Effect.gen(function*() {
      yield* linkable(5)
      const orphans = yield* Orphans.Orphans
      const slow = Reconciler.layer.pipe(Layer.provide(Layer.succeed(Orphans.Orphans, {
        ...orphans,
        link: (query) => Effect.delay(orphans.link(query), "1 minutes")
      })))
      const job = ClusterReconciler.layer({ cron: "*/5 * * * *", batchSize: 2, node: "one" })
      const scope = yield* start(Layer.provide(job, Layer.fresh(slow)))
      yield* TestClock.adjust("5 minutes")
      const stopping = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* TestClock.adjust("3 minutes")
      yield* Fiber.join(stopping)

      assert.deepStrictEqual(yield* history, [{
        schedule: "reconcile",
        tick: "00:05:00",
        node: "one",
        counts: { scanned: 2, linked: 2, failed: 0, remaining: 0 },
        error: "stopped by a shutdown"
      }])
    }).pipe(Effect.provide(everything)))

  it.effect("fails to build where it means nothing", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(start(ClusterReconciler.layer({ cron: "soon" }))))._tag, "InvalidCron")
      assert.strictEqual((yield* Effect.flip(start(ClusterReconciler.layer({ batchSize: 0 }))))._tag, "InvalidInput")
    }).pipe(Effect.provide(everything)))
})
