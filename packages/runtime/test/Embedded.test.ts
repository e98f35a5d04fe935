import { assert, describe, it } from "@effect/vitest"
import { Ledger, Tenant, Ticks } from "@waybill/core"
import { Auditor, DeliveryUpdates, Feed, Pruner, Reconciler, Telemetry } from "@waybill/runtime"
import { PgLite, PgStorage } from "@waybill/storage"
import { Given, Importer } from "@waybill/storage/testing"
import { Duration, Effect, Fiber, Layer, Option, Stream } from "effect"
import { SecureRandom } from "effect/crypto"

const acme = Tenant.TenantId.make("acme")

const stores = Layer.mergeAll(
  Telemetry.layer.pipe(Layer.provideMerge(PgStorage.layer())),
  Importer.layerPg()
).pipe(
  Layer.provide(PgStorage.layerMigrations()),
  Layer.provide(PgLite.layer()),
  Layer.provideMerge(SecureRandom.layerWebCrypto)
)

const everything = Layer.mergeAll(Reconciler.layer, Pruner.layer, Auditor.layer, DeliveryUpdates.layer).pipe(
  Layer.provideMerge(stores)
)

describe("on the embedded database", () => {
  it.live(
    "three nodes share the ticks of a schedule, link what can be linked, and the feed tells of it",
    () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger.Ledger
        const importer = yield* Importer.Importer
        const updates = yield* DeliveryUpdates.DeliveryUpdates
        const inProcess = yield* Effect.forkChild(Stream.runCollect(Stream.take(updates.all, 2)), {
          startImmediately: true
        })
        const recorded = yield* Given.recorded(acme)
        yield* ledger.append(acme, [Given.report("delivered", "one")])
        yield* importer.importDelivery({
          tenantId: acme,
          id: yield* Given.deliveryId,
          recipient: Given.recipient,
          provider: Given.provider,
          providerMessageId: Given.messageId("one")
        })
        yield* Effect.scoped(Effect.gen(function*() {
          const node = (name: string) =>
            Layer.fresh(Reconciler.layerCron({ cron: "* * * * * *", grace: 0, node: name }))
          yield* Layer.build(Layer.mergeAll(node("one"), node("two"), node("three")))
          yield* Effect.sleep("3500 millis")
        }))

        const ticks = yield* Ticks.Ticks.use((ticks) =>
          ticks.recent({ schedule: Option.some("reconcile"), limit: 100 })
        )
        assert.isAtLeast(ticks.length, 2)
        assert.lengthOf(new Set(ticks.map(({ tick }) => tick.epochMilliseconds)), ticks.length)
        assert.isTrue(ticks.every(({ endedAt }) => Option.isSome(endedAt)))
        assert.strictEqual(ticks.reduce((sum, { counts }) => sum + (counts["linked"] ?? 0), 0), 1)

        const [queued, linked] = yield* Fiber.join(inProcess)
        assert.deepStrictEqual([queued?.deliveryId, queued?.type], [recorded.id, "queued"])
        assert.deepStrictEqual([linked?.type, linked?.cause], ["delivered", "reconciled"])
        const followed = yield* Stream.runCollect(Stream.take(DeliveryUpdates.follow(), 2))
        assert.deepStrictEqual(followed.map(({ update }) => update), [queued, linked].flatMap((update) => update ?? []))
      }).pipe(Effect.provide(everything)),
    30_000
  )

  it.live("a consumer goes on where it stopped, and its lag is known", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const consuming = DeliveryUpdates.consume({
        name: "updates",
        pollEvery: "50 millis",
        handle: (updates) => Effect.sync(() => seen.push(...updates.map(({ deliveryId }) => deliveryId)))
      })
      const settle = Effect.fnUntraced(function*(count: number) {
        const running = yield* Effect.forkChild(consuming)
        while (seen.length < count) yield* Effect.sleep("20 millis")
        yield* Fiber.interrupt(running)
      })
      const first = yield* Given.recorded(acme)
      yield* settle(1)
      const second = yield* Given.recorded(acme)
      yield* Effect.sleep("100 millis")
      assert.isAtLeast(Duration.toMillis(yield* Feed.lag({ consumer: "updates" })), 90)
      yield* settle(2)
      assert.deepStrictEqual(seen, [first.id, second.id])
      assert.strictEqual(Duration.toMillis(yield* Feed.lag({ consumer: "updates" })), 0)
    }).pipe(Effect.provide(Layer.fresh(everything))), 30_000)

  it.live("pruning and auditing find nothing to do on a new ledger", () =>
    Effect.gen(function*() {
      yield* Given.recorded(acme)
      assert.deepStrictEqual(yield* Pruner.recordedPrune(), { webhooks: 0, details: 0, ticks: Option.some(0) })
      assert.deepStrictEqual(yield* Auditor.Auditor.use(({ verify }) => verify()), {
        deliveries: 1,
        orphans: 0,
        suppressions: 0,
        contributions: 1,
        figures: 0,
        drifted: 0,
        drifts: []
      })
    }).pipe(Effect.provide(Layer.fresh(everything))), 30_000)
})
