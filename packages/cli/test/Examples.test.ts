import "../../../examples/app.test.ts"
import { assert, describe, it } from "@effect/vitest"
import { LedgerError } from "@waybill/core"
import { Reconciler } from "@waybill/runtime"
import { MemoryTicks } from "@waybill/storage"
import { Effect, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"
import { layer, program } from "../../../examples/app.ts"
import { Sweeps } from "../../../examples/sweep.ts"
import * as Transaction from "../../../examples/transaction.ts"

describe("examples", () => {
  it.live("an application on the embedded database loses nothing", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* program, "delivered")
    }).pipe(Effect.provide(layer)), 60_000)

  it.live("an application's row and its delivery are written together or not at all", () =>
    Effect.gen(function*() {
      const { deliveries, kept, users } = yield* Transaction.program
      assert.deepStrictEqual(users, ["ann@example.com"])
      assert.deepStrictEqual(deliveries, [kept])
    }).pipe(Effect.provide(Transaction.layer)), 60_000)

  it.effect("the sweep runs every five minutes, also after one that failed", () =>
    Effect.gen(function*() {
      let sweeps = 0
      const logged: Array<string> = []
      const flaky = Layer.succeed(Reconciler.Reconciler, {
        findOrphans: () => Effect.succeed([]),
        attemptLink: () => Effect.die("unused"),
        sweep: () =>
          Effect.suspend(() => {
            sweeps += 1
            return sweeps === 1
              ? Effect.fail(new LedgerError.LedgerUnavailable({ reason: "connection", cause: "ann@example.com" }))
              : Effect.succeed({ scanned: 0, linked: 0, failed: 0, remaining: 0 })
          })
      })
      yield* Effect.gen(function*() {
        yield* TestClock.adjust("5 minutes")
        assert.strictEqual(sweeps, 1)
        yield* TestClock.adjust("10 minutes")
        assert.strictEqual(sweeps, 3)
        assert.include(logged.join(), "LedgerUnavailable")
        assert.notInclude(logged.join(), "ann@example.com")
      }).pipe(
        Effect.provide(Layer.provide(Sweeps, Layer.merge(flaky, MemoryTicks.layer))),
        Effect.provide(Logger.layer([Logger.map(Logger.formatJson, (line) => logged.push(line))]))
      )
    }))
})
