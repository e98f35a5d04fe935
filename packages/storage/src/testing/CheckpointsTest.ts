/**
 * Declares the contract of the `Checkpoints` port as a test suite that every adapter runs.
 *
 * @since 0.1.0
 */
import { assert } from "@effect/vitest"
import { Checkpoints, Cursor, Ledger, type Tenant } from "@waybill/core"
import { DateTime, Effect, type Layer, Option } from "effect"
import { TestClock } from "effect/testing"
import * as Given from "./Given.ts"
import * as Contract from "./internal/contract.ts"

const unchecked = { disableChecks: true }

const keeping = ({ example }: Contract.Contract<Checkpoints.Checkpoints>): void => {
  example(
    "gives the place that a consumer kept last, and none to one that kept none",
    Effect.gen(function*() {
      const checkpoints = yield* Checkpoints.Checkpoints
      const consumer = `consumer of ${yield* Given.tenant}`
      assert.deepStrictEqual(yield* checkpoints.load(consumer), Option.none())
      const last = Cursor.of(2n ** 64n - 1n, 2n ** 63n - 1n, 2_147_483_647)
      for (const cursor of [Cursor.of(7n, 3n), Cursor.of(2n ** 64n - 1n, 2n ** 63n - 1n), last, Cursor.start]) {
        yield* checkpoints.save(consumer, cursor)
        assert.deepStrictEqual(yield* checkpoints.load(consumer), Option.some(cursor))
      }
      assert.deepStrictEqual(yield* checkpoints.load(consumer.toUpperCase()), Option.none())
    })
  )

  example(
    "knows consumers of odd names apart",
    Effect.gen(function*() {
      const checkpoints = yield* Checkpoints.Checkpoints
      const names = ["'; DROP TABLE checkpoints; --", " ", "é", "e\u0301", "\u{1f4a9}", "x".repeat(255)]
      for (const [index, name] of names.entries()) yield* checkpoints.save(name, Cursor.of(1n, BigInt(index)))
      for (const [index, name] of names.entries()) {
        assert.deepStrictEqual(yield* checkpoints.load(name), Option.some(Cursor.of(1n, BigInt(index))))
      }
    })
  )

  example(
    "refuses a name that cannot be kept exactly and a place that no feed gave",
    Effect.gen(function*() {
      const checkpoints = yield* Checkpoints.Checkpoints
      for (const name of ["", "a\u0000b", "\ud800", "x".repeat(256), "x".repeat(100_000)]) {
        for (const call of [checkpoints.load(name), checkpoints.save(name, Cursor.start)]) {
          const error = yield* Contract.refused(Effect.asVoid(call), "InvalidInput")
          assert.match(error.issue, /^consumer: must /)
        }
      }
      const consumer = yield* Given.tenant
      const nowhere = Cursor.Cursor.make("1.0\u0000", unchecked)
      assert.match((yield* Contract.refused(checkpoints.save(consumer, nowhere), "InvalidInput")).issue, /^after: /)
      assert.deepStrictEqual(yield* checkpoints.load(consumer), Option.none())
      const at = DateTime.makeUnsafe("+010000-01-01T00:00:00Z")
      yield* Contract.refused(checkpoints.reset(consumer, { _tag: "At", instant: at }), "InvalidInput")
      yield* Contract.refused(checkpoints.reset("", { _tag: "Now" }), "InvalidInput")
      assert.deepStrictEqual(yield* checkpoints.load(consumer), Option.none())
    })
  )

  example(
    "lists the consumers by their names, each with its place and when it was kept",
    Effect.gen(function*() {
      const checkpoints = yield* Checkpoints.Checkpoints
      const prefix = yield* Given.tenant
      const names = ["a", "B", "é", "b"].map((name) => `${prefix} ${name}`)
      for (const [index, name] of names.entries()) {
        yield* checkpoints.save(name, Cursor.of(5n, BigInt(index)))
        yield* TestClock.adjust("1 seconds")
      }
      yield* checkpoints.save(`${prefix} a`, Cursor.of(6n, 0n))
      const own = (yield* checkpoints.list).filter(({ consumer }) => consumer.startsWith(prefix))
      assert.deepStrictEqual(
        own.map(({ consumer, cursor, savedAt }) => [
          consumer.slice(prefix.length + 1),
          cursor,
          savedAt.epochMilliseconds - Given.noon.epochMilliseconds
        ]),
        [["B", "5.1", 1000], ["a", "6.0", 4000], ["b", "5.3", 3000], ["é", "5.2", 2000]]
      )
    })
  )
}

/** The keys of the events that follow a place, as soon as there are so many. */
const following = (scope: Tenant.TenantId, after: Cursor.Cursor, count: number) =>
  Ledger.Ledger.use((ledger) => ledger.changes({ scope, after, limit: 100 })).pipe(
    Effect.tap(() => TestClock.withLive(Effect.sleep("5 millis"))),
    Effect.repeat({ until: ({ length }) => length >= count }),
    Effect.map((page) => page.map(({ event }) => event.idempotencyKey))
  )

const moving = ({ example }: Contract.Contract<Checkpoints.Checkpoints | Ledger.Ledger>): void => {
  example(
    "a consumer is moved to the start, to an instant or to the end",
    Effect.gen(function*() {
      const checkpoints = yield* Checkpoints.Checkpoints
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const consumer = `consumer of ${tenantId}`
      for (const message of ["m-1", "m-2", "m-3"]) {
        yield* ledger.append(tenantId, [Given.report("opened", message)])
        yield* TestClock.adjust("1 minutes")
      }
      const all = yield* following(tenantId, Cursor.start, 3)
      const at = (minutes: number) => ({ _tag: "At" as const, instant: DateTime.add(Given.noon, { minutes }) })
      const expected: ReadonlyArray<readonly [Checkpoints.Beginning, ReadonlyArray<string>]> = [
        [{ _tag: "Start" }, all],
        [at(-1), all],
        [at(1), all.slice(1)],
        [at(1.5), all.slice(2)],
        [at(10), []],
        [{ _tag: "Now" }, []]
      ]
      for (const [beginning, keys] of expected) {
        const cursor = yield* checkpoints.reset(consumer, beginning)
        assert.deepStrictEqual(yield* checkpoints.load(consumer), Option.some(cursor))
        assert.deepStrictEqual(yield* following(tenantId, cursor, keys.length), keys)
      }
      const end = yield* checkpoints.reset(consumer, { _tag: "Now" })
      yield* ledger.append(tenantId, [Given.report("opened", "m-4")])
      assert.deepStrictEqual(yield* following(tenantId, end, 1), ["opened-m-4"])
    })
  )
}

/**
 * Declares what holds for all checkpoints.
 *
 * @category suites
 * @since 0.1.0
 */
export const suite = <E>(name: string, checkpoints: Layer.Layer<Checkpoints.Checkpoints | Ledger.Ledger, E>): void =>
  Contract.declare(name, checkpoints, (contract) => {
    keeping(contract)
    moving(contract)
  })
