/**
 * Declares the contract of the `Checkpoints` port as a test suite that every adapter runs.
 *
 * @since 0.1.0
 */
import { assert } from "@effect/vitest"
import { Checkpoints, Cursor } from "@waybill/core"
import { Effect, type Layer, Option } from "effect"
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
      for (const cursor of [Cursor.of(7n, 3n), Cursor.of(2n ** 64n - 1n, 2n ** 63n - 1n), Cursor.start]) {
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
    })
  )
}

/**
 * Declares what holds for all checkpoints.
 *
 * @category suites
 * @since 0.1.0
 */
export const suite = <E>(name: string, checkpoints: Layer.Layer<Checkpoints.Checkpoints, E>): void =>
  Contract.declare(name, checkpoints, keeping)
