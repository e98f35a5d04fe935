import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import * as Coalescer from "../src/internal/Coalescer.ts"

/** A call whose caller is interrupted as it is made. */
const interrupting = -1

/** A coalescer in a scope of its own, whose runs end when they are told to. */
const make = Effect.gen(function*() {
  const scope = yield* Scope.make()
  const release = yield* Deferred.make<void>()
  const begun: Array<ReadonlyArray<number>> = []
  const run = (_: string, calls: ReadonlyArray<number>) =>
    Effect.as(Effect.andThen(Effect.sync(() => begun.push(calls)), Deferred.await(release)), calls)
  const weigh = (call: number) => {
    if (call === interrupting) Fiber.getCurrent()?.interruptUnsafe()
    return 1
  }
  const coalesced = yield* Scope.provide(
    Coalescer.make<string, number, number, never>({ run, weigh, isHeldUp: () => false, isLost: () => false }),
    scope
  )
  return { begun, release: Deferred.succeed(release, undefined), coalesced, close: Scope.close(scope, Exit.void) }
})

const turns = Effect.forEach(Array.from({ length: 20 }), () => Effect.yieldNow, { discard: true })

const begin = <A, E>(call: Effect.Effect<A, E>) => Effect.tap(Effect.forkChild(call), () => turns)

describe("calls that wait for others", () => {
  it.live("are run together and each gets its own result", () =>
    Effect.gen(function*() {
      const { begun, coalesced, release } = yield* make
      const fibers = yield* Effect.forEach([1, 2, 3, 4, 5], (call) => begin(coalesced("a", call)))
      assert.deepStrictEqual(begun, [[1], [2]])
      yield* release
      assert.deepStrictEqual(yield* Effect.forEach(fibers, Fiber.join), [1, 2, 3, 4, 5])
      assert.deepStrictEqual(begun, [[1], [2], [3, 4, 5]])
    }), 5000)

  it.live("are interrupted when the scope closes, and none waits for ever", () =>
    Effect.gen(function*() {
      const { close, coalesced, release } = yield* make
      const fibers = yield* Effect.forEach([1, 2, 3, 4], (call) => begin(coalesced("a", call)))
      yield* close
      for (const fiber of fibers.slice(2)) assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
      yield* release
      assert.deepStrictEqual(yield* Effect.forEach(fibers.slice(0, 2), Fiber.join), [1, 2])
    }), 5000)

  it.live(
    "are interrupted when the scope closes while a run for them begins or is under way",
    () =>
      Effect.gen(function*() {
        for (let steps = 0; steps < 12; steps++) {
          const { close, coalesced, release } = yield* make
          const running = yield* Effect.forEach([1, 2], (call) => begin(coalesced("a", call)))
          const fibers = yield* Effect.forEach([3, 4, 5], (call) => begin(coalesced("a", call)))
          yield* Effect.forEach(running, (fiber) => Effect.forkChild(Fiber.interrupt(fiber)))
          yield* Effect.forEach(Array.from({ length: steps }), () => Effect.yieldNow, { discard: true })
          yield* close
          for (const fiber of fibers) assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
          yield* release
        }
      }),
    5000
  )

  it.live("are interrupted when the scope closes, behind a run that serves others", () =>
    Effect.gen(function*() {
      const { close, coalesced, release } = yield* make
      const running = yield* Effect.forEach([1, 2], (call) => begin(coalesced("a", call)))
      const served = yield* begin(coalesced("a", 3))
      yield* Effect.forEach(running, Fiber.interrupt)
      const alone = yield* begin(coalesced("a", 4))
      const late = yield* begin(coalesced("a", 5))
      yield* close
      for (const fiber of [served, late]) assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
      yield* release
      assert.strictEqual(yield* Fiber.join(alone), 4)
    }), 5000)

  it.live("run alone once the scope has closed", () =>
    Effect.gen(function*() {
      const { begun, close, coalesced, release } = yield* make
      yield* close
      const fibers = yield* Effect.forEach([1, 2, 3, 4], (call) => begin(coalesced("a", call)))
      yield* release
      assert.deepStrictEqual(yield* Effect.forEach(fibers, Fiber.join), [1, 2, 3, 4])
      assert.deepStrictEqual(begun, [[1], [2], [3], [4]])
    }), 5000)

  it.live("do not lose their turn where others are interrupted before they run", () =>
    Effect.gen(function*() {
      const { coalesced, release } = yield* make
      for (let index = 0; index < 3; index++) {
        assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(yield* Effect.forkChild(coalesced("a", interrupting)))))
      }
      yield* release
      assert.deepStrictEqual(
        yield* Effect.forEach([1, 2, 3], (call) => coalesced("a", call), { concurrency: "unbounded" }),
        [1, 2, 3]
      )
    }), 5000)

  it.live("are not delayed by others that are held up", () =>
    Effect.gen(function*() {
      const release = yield* Deferred.make<void>()
      const run = (_: string, calls: ReadonlyArray<string>, hurried: boolean) => {
        if (!calls.includes("held")) return Effect.as(Effect.yieldNow, calls)
        return hurried ? Effect.fail("held up" as const) : Effect.as(Deferred.await(release), calls)
      }
      const coalesced = yield* Coalescer.make<string, string, string, "held up">({
        run,
        isHeldUp: () => true,
        isLost: () => false,
        weigh: () => 1
      })
      const held = yield* Effect.forEach(["held", "held", "held", "held"], (call) => begin(coalesced("a", call)))
      assert.deepStrictEqual(
        yield* Effect.forEach(["x", "held", "y", "z"], (call) =>
          call === "held" ? Effect.as(begin(coalesced("a", call)), call) : coalesced("a", call), {
          concurrency: "unbounded"
        }),
        ["x", "held", "y", "z"]
      )
      yield* Deferred.succeed(release, undefined)
      assert.deepStrictEqual(yield* Effect.forEach(held, Fiber.join), ["held", "held", "held", "held"])
    }), 5000)

  it.live("are tried twice together where nobody answers, and not each on their own", () =>
    Effect.gen(function*() {
      const release = yield* Deferred.make<void>()
      const runs: Array<number> = []
      const coalesced = yield* Coalescer.make<string, number, number, "lost">({
        run: (_, calls) =>
          Effect.andThen(Effect.sync(() => runs.push(calls.length)), Deferred.await(release)).pipe(
            Effect.andThen(Effect.fail("lost" as const))
          ),
        isHeldUp: () => false,
        isLost: (error) => error === "lost",
        weigh: () => 1
      })
      const calls = Array.from({ length: 100 }, (_, index) => index)
      const fibers = yield* Effect.forEach(calls, (call) => begin(coalesced("a", call)))
      yield* Deferred.succeed(release, undefined)
      for (const fiber of fibers) assert.strictEqual(yield* Effect.flip(Fiber.join(fiber)), "lost")
      assert.deepStrictEqual(runs, [1, 1, 98, 98])
    }), 5000)
})
