import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { shared } from "../src/internal/shared.ts"

it.effect("who asks the same at once shares an answer that was asked for after each question came", () =>
  Effect.gen(function*() {
    const gates = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
    let asked = 0
    const ask = shared((key) =>
      Effect.suspend(() => {
        const turn = asked++
        return Effect.as(gates[turn] === undefined ? Effect.void : Deferred.await(gates[turn]), `${key}${turn}`)
      })
    )
    const first = yield* Effect.forkChild(ask("k"), { startImmediately: true })
    const gone = yield* Effect.forkChild(ask("k"), { startImmediately: true })
    const others = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(ask("k"), { startImmediately: true }))
    yield* Fiber.interrupt(gone)
    for (const gate of gates) yield* Deferred.succeed(gate, undefined)
    assert.strictEqual(yield* Fiber.join(first), "k0")
    assert.deepStrictEqual(yield* Effect.forEach(others, Fiber.join), ["k1", "k1", "k1"])
    assert.strictEqual(yield* ask("k"), "k2")
    assert.strictEqual(yield* ask("other"), "other3")
  }))

it.effect("a failure is everybody's, and the next asking begins anew", () =>
  Effect.gen(function*() {
    let asked = 0
    const ask = shared(() => Effect.suspend(() => asked++ === 0 ? Effect.fail("down") : Effect.succeed("up")))
    assert.strictEqual(yield* Effect.flip(ask("k")), "down")
    assert.strictEqual(yield* ask("k"), "up")
  }))
