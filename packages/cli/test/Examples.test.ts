import "../../../examples/app.test.ts"
import { assert, describe, it } from "@effect/vitest"
import { LedgerError } from "@waybill/core"
import { Reconciler } from "@waybill/runtime"
import { MemoryStorage, PgMigrations, PgServer, PgStorage } from "@waybill/storage"
import { Effect, Exit, Layer, Logger, Option, Scope } from "effect"
import { SecureRandom } from "effect/crypto"
import { TestClock } from "effect/testing"
import { createServer } from "node:net"
import { layer, program } from "../../../examples/app.ts"
import * as Cluster from "../../../examples/cluster.ts"
import * as Sending from "../../../examples/outbox.ts"
import { Sweeps } from "../../../examples/sweep.ts"
import * as Transaction from "../../../examples/transaction.ts"
import * as Unsubscribing from "../../../examples/unsubscribe.ts"
import * as TestDatabase from "../../storage/test/TestDatabase.ts"
import * as Serving from "./Serving.ts"

/** A port that nothing listens on. */
const freePort = Effect.callback<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0)))
  })
})

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

  it.live("a delivery that a transaction recorded is sent by the outbox", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* Sending.program, "dispatched")
    }).pipe(Effect.provide(Sending.layer)), 60_000)

  it.live("a reader unsubscribes once, however often the link is used", () =>
    Effect.gen(function*() {
      const { events, isUnsubscribed } = yield* Unsubscribing.program
      assert.isTrue(isUnsubscribed)
      assert.deepStrictEqual(events, ["queued", "unsubscribed"])
    }).pipe(Effect.provide(Unsubscribing.layer)))

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
        Effect.provide(
          Layer.provide(
            Sweeps,
            Layer.merge(flaky, MemoryStorage.layer.pipe(Layer.provide(SecureRandom.layerWebCrypto)))
          )
        ),
        Effect.provide(Logger.layer([Logger.map(Logger.formatJson, (line) => logged.push(line))]))
      )
    }))

  it.live(
    "two runners of a cluster share the ticks, and where one ends the other takes the next",
    () =>
      Effect.gen(function*() {
        const url = yield* TestDatabase.fresh
        yield* Effect.provide(PgMigrations.migrate(), PgServer.layer(url))
        const history = yield* Layer.build(
          PgStorage.layer().pipe(Layer.provide(PgServer.layer(url)), Layer.provide(SecureRandom.layerWebCrypto))
        )
        const runners = new Map<string, Scope.Closeable>()
        for (let count = 0; count < 2; count++) {
          const port = yield* freePort
          const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
          yield* Layer.buildWithScope(Cluster.runner(url, port, "* * * * * *"), scope)
          runners.set(`runner ${port}`, scope)
        }
        const ended = Cluster.recent.pipe(
          Effect.map((ticks) => ticks.filter(({ endedAt }) => Option.isSome(endedAt))),
          Effect.provide(history)
        )
        const first = yield* Serving.eventually(
          Effect.flatMap(ended, ([tick]) => Effect.fromNullishOr(tick)),
          "60 seconds"
        )
        assert.deepStrictEqual(first.error, Option.none())
        yield* Scope.close(runners.get(first.node) ?? assert.fail(first.node), Exit.void)
        runners.delete(first.node)

        const next = yield* Serving.eventually(
          Effect.flatMap(ended, (ticks) => Effect.fromNullishOr(ticks.find(({ node }) => node !== first.node))),
          "60 seconds"
        )
        assert.deepStrictEqual([...runners.keys()], [next.node])
        assert.deepStrictEqual(next.error, Option.none())
      }),
    180_000
  )
})
