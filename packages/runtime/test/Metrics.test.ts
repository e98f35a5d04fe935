import { assert, describe, it } from "@effect/vitest"
import { Metrics } from "@waybill/runtime"
import { Effect, Metric } from "effect"

const defined = Object.values(Metrics).filter((value) => Metric.isMetric(value))

describe("metrics", () => {
  it("are all in the list of all, each once", () => {
    assert.isAbove(defined.length, 10)
    assert.sameMembers(Metrics.all.map(({ id }) => id), defined.map(({ id }) => id))
    assert.strictEqual(new Set(Metrics.all.map(({ id }) => id)).size, Metrics.all.length)
  })

  it("are named by Prometheus' conventions, and say what they mean", () => {
    for (const { description, id, type } of Metrics.all) {
      assert.match(id, /^waybill_[a-z]+(?:_[a-z]+)*$/)
      assert.strictEqual(id.endsWith("_total"), type === "Counter", id)
      assert.strictEqual(id.endsWith("_seconds"), type === "Histogram" || /lag|age/.test(id), id)
      assert.match(description ?? "", /^[A-Z1].{10,}[^.]$/, id)
    }
  })

  it.effect("are there before anything is counted, those of a schedule under its name", () =>
    Effect.gen(function*() {
      yield* Metrics.register(["reconcile", "prune"])
      const found = yield* Metric.snapshot
      const schedulesOf = (name: string) =>
        found.filter(({ id }) => id === name).map(({ attributes }) => attributes?.["schedule"])
      assert.sameMembers(schedulesOf("waybill_sweeps_failed_total"), ["reconcile", "prune"])
      assert.deepStrictEqual(schedulesOf("waybill_webhooks_pruned_total"), [undefined])
      assert.deepStrictEqual(schedulesOf("waybill_feed_lag_seconds"), [])
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})
