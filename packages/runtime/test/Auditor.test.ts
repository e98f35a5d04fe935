import { assert, describe, it } from "@effect/vitest"
import { Audit, type Drift, Event, Ledger, Tenant } from "@waybill/core"
import { Auditor } from "@waybill/runtime"
import { Given, Importer } from "@waybill/storage/testing"
import { Effect, Fiber, Layer, Option } from "effect"
import { SecureRandom } from "effect/crypto"
import { TestClock } from "effect/testing"

const acme = Tenant.TenantId.make("acme")
const globex = Tenant.TenantId.make("globex")

const stores = Importer.layerMemory.pipe(Layer.provideMerge(SecureRandom.layerWebCrypto))

const everything = Layer.provideMerge(Auditor.layer, stores)

const drift = (n: number): Drift.Drift => ({
  _tag: "Projection",
  tenantId: acme,
  deliveryId: Event.DeliveryId.make(`00000000-0000-7000-8000-${String(n).padStart(12, "0")}`),
  fields: ["status"]
})

/** A ledger whose pages are these many drifts each, of each part, and what it was asked. */
const drifting = (sizes: ReadonlyArray<number>) => {
  const asked: Array<string> = []
  const page = (name: string) => ({ after, part }: Audit.Query) =>
    Effect.sync(() => {
      const index = Number(Option.getOrElse(after, () => "0"))
      asked.push(`${name} ${part} ${index}`)
      const size = sizes[index] ?? 0
      return {
        checked: size,
        drifts: Array.from({ length: size }, (_, n) => drift(n)),
        next: index + 1 < sizes.length ? Option.some(String(index + 1)) : Option.none()
      }
    })
  const auditor = Auditor.layer.pipe(
    Layer.provide(
      Layer.succeed(Audit.Audit, {
        verify: page("verify"),
        rebuild: page("rebuild"),
        repairFeed: Effect.die("unused")
      })
    )
  )
  return { asked, auditor: Layer.fresh(auditor) }
}

describe("verify", () => {
  it.effect("compares every delivery and every orphan, page by page, and finds none that drifted", () =>
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      for (const tenantId of [acme, globex]) {
        yield* Effect.forEach(Array.from({ length: 5 }), () => Given.recorded(tenantId))
        yield* ledger.append(tenantId, [
          Given.report("opened", "a"),
          Given.report("opened", "b"),
          Given.report("sent", "b")
        ])
      }
      const pages: Array<Auditor.Progress> = []
      const auditor = yield* Auditor.Auditor
      const audited = yield* auditor.verify({
        pageSize: 4,
        onPage: (sofar) => Effect.sync(() => pages.push(sofar))
      })
      assert.deepStrictEqual(audited, {
        deliveries: 10,
        orphans: 6,
        suppressions: 0,
        contributions: 10,
        figures: 0,
        drifted: 0,
        drifts: []
      })
      assert.deepStrictEqual(pages.map(({ deliveries, orphans, part }) => [part, deliveries, orphans]), [
        ["deliveries", 4, 0],
        ["deliveries", 8, 0],
        ["deliveries", 10, 0],
        ["orphans", 10, 4],
        ["orphans", 10, 6],
        ["suppressions", 10, 6],
        ["contributions", 10, 6],
        ["contributions", 10, 6],
        ["contributions", 10, 6],
        ["figures", 10, 6]
      ])
      assert.strictEqual((yield* auditor.verify({ tenantId: globex })).deliveries, 5)
      assert.deepStrictEqual(yield* auditor.rebuild(), audited)
    }).pipe(Effect.provide(everything)))

  it.effect("counts all drifts and gives the first thousand", () =>
    Effect.gen(function*() {
      const { asked, auditor } = drifting([700, 700])
      const audited = yield* Auditor.Auditor.use(({ verify }) => verify()).pipe(Effect.provide(auditor))
      assert.strictEqual(audited.drifted, 7000)
      assert.lengthOf(audited.drifts, Auditor.maxDrifts)
      assert.deepStrictEqual(asked, [
        "verify deliveries 0",
        "verify deliveries 1",
        "verify orphans 0",
        "verify orphans 1",
        "verify suppressions 0",
        "verify suppressions 1",
        "verify contributions 0",
        "verify contributions 1",
        "verify figures 0",
        "verify figures 1"
      ])
    }).pipe(Effect.provide(stores)))

  it.effect("refuses pages that mean nothing", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Auditor.Auditor.use(({ verify }) => verify({ pageSize: 0 })))
      assert.strictEqual(error._tag, "InvalidInput")
    }).pipe(Effect.provide(everything)))
})

describe("rebuild", () => {
  it.effect("repairs page by page, and begins no other when it is stopped", () =>
    Effect.gen(function*() {
      const { asked, auditor } = drifting([1, 1, 1])
      const running = yield* Auditor.Auditor.use(({ rebuild }) => rebuild({ onPage: () => Effect.sleep("1 minutes") }))
        .pipe(
          Effect.provide(auditor),
          Effect.forkChild({ startImmediately: true })
        )
      yield* TestClock.adjust("90 seconds")
      const stopping = yield* Effect.forkChild(Fiber.interrupt(running), { startImmediately: true })
      yield* TestClock.adjust("1 hours")
      yield* Fiber.join(stopping)
      assert.deepStrictEqual(asked, ["rebuild deliveries 0", "rebuild deliveries 1"])
    }).pipe(Effect.provide(stores)))
})
