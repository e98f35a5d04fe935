import { assert, describe, it } from "@effect/vitest"
import { LedgerError, Ticks } from "@waybill/core"
import { Schedules } from "@waybill/runtime"
import { MemoryStorage } from "@waybill/storage"
import { DateTime, Effect, Layer, Option, Result } from "effect"
import { SecureRandom } from "effect/crypto"
import { TestClock } from "effect/testing"
import * as Database from "../src/store/Database.ts"
import * as Readiness from "../src/work/Readiness.ts"

const cron = Result.getOrThrow(Schedules.parse("*/5 * * * *"))

const at = (time: string) => DateTime.makeUnsafe(`2026-11-20T${time}Z`)

const options: Readiness.Options = {
  cron,
  node: "one",
  startedAt: at("12:01:00"),
  lastBatchAt: Effect.succeed(at("12:01:00"))
}

const storage = Layer.provide(MemoryStorage.layer, SecureRandom.layerWebCrypto)

const database = (
  pending: Database.Database["Service"]["pending"],
  writes: Database.Database["Service"]["writes"] = Effect.void
) =>
  Layer.succeed(Database.Database, {
    kind: "Server",
    schema: "waybill",
    pending,
    applied: Effect.succeed([]),
    writes,
    examine: () => Effect.succeed(Option.none())
  })

const migrated = Layer.merge(storage, database(Effect.succeed([])))

const setTime = (time: string) => TestClock.setTime(at(time).epochMilliseconds)

const claim = (tick: string, node: string) =>
  Ticks.Ticks.use((ticks) => ticks.claim({ schedule: "reconcile", tick: at(tick), node }))

const finish = (tick: string, error: Option.Option<string> = Option.none()) =>
  Ticks.Ticks.use((ticks) => ticks.finish({ schedule: "reconcile", tick: at(tick) }, { counts: {}, error }))

const stale = (since: string) => Option.some(`no sweep has succeeded since 2026-11-20T${since}.000Z`)

describe("readiness", () => {
  it.effect("needs no sweep until three ticks have passed", () =>
    Effect.gen(function*() {
      yield* setTime("12:14:59")
      assert.deepStrictEqual(yield* Readiness.reason(options), Option.none())
      yield* setTime("12:15:00")
      assert.deepStrictEqual(yield* Readiness.reason(options), stale("12:01:00"))
    }).pipe(Effect.provide(migrated)))

  it.effect("counts sweeps of any node that ended well", () =>
    Effect.gen(function*() {
      yield* setTime("12:15:00")
      yield* claim("12:15:00", "two")
      yield* finish("12:15:00")
      yield* setTime("12:20:00")
      yield* claim("12:20:00", "two")
      yield* finish("12:20:00", Option.some("LedgerUnavailable"))
      yield* setTime("12:29:59")
      assert.deepStrictEqual(yield* Readiness.reason(options), Option.none())
      yield* setTime("12:30:00")
      assert.deepStrictEqual(yield* Readiness.reason(options), stale("12:15:00"))
    }).pipe(Effect.provide(migrated)))

  it.effect("counts a sweep that this node is at, and none that another never ended", () =>
    Effect.gen(function*() {
      yield* setTime("12:25:00")
      yield* claim("12:25:00", "two")
      assert.deepStrictEqual(yield* Readiness.reason(options), stale("12:01:00"))
      yield* claim("12:20:00", "one")
      assert.deepStrictEqual(yield* Readiness.reason(options), Option.none())
    }).pipe(Effect.provide(migrated)))

  it.effect("counts a sweep in hand for as long as it makes batches", () =>
    Effect.gen(function*() {
      const ready = (lastBatch: string) => Readiness.reason({ ...options, lastBatchAt: Effect.succeed(at(lastBatch)) })
      yield* setTime("12:05:00")
      yield* claim("12:05:00", "one")
      yield* setTime("12:44:00")
      assert.deepStrictEqual(yield* ready("12:43:00"), Option.none())
      assert.deepStrictEqual(yield* ready("12:29:00"), stale("12:29:00"))
      yield* finish("12:05:00", Option.some("LedgerUnavailable"))
      assert.deepStrictEqual(yield* ready("12:43:00"), stale("12:01:00"))
    }).pipe(Effect.provide(migrated)))

  it.effect("counts a long sweep from its end", () =>
    Effect.gen(function*() {
      yield* setTime("12:05:00")
      yield* claim("12:05:00", "two")
      yield* setTime("12:44:00")
      yield* finish("12:05:00")
      assert.deepStrictEqual(yield* Readiness.reason(options), Option.none())
    }).pipe(Effect.provide(migrated)))

  it.effect("names the migrations that are lacking", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* Readiness.reason(options),
        Option.some("the schema waybill lacks 0001_create_ledger, 0002_create_inbox_and_sweeps")
      )
    }).pipe(
      Effect.provide(storage),
      Effect.provide(database(Effect.succeed(["0001_create_ledger", "0002_create_inbox_and_sweeps"])))
    ))

  it.live("does not wait long for a database that does not answer", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Readiness.reason(options), Option.some("the database does not answer"))
    }).pipe(Effect.provide(storage), Effect.provide(database(Effect.never))))

  it.effect("says why the database refuses", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* Readiness.reason(options),
        Option.some("the database is not available (connection)")
      )
    }).pipe(
      Effect.provide(storage),
      Effect.provide(database(Effect.fail(
        new LedgerError.LedgerUnavailable({ reason: "connection", cause: "gone" })
      )))
    ))

  it.effect("says that the database does not write", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* Readiness.reason(options),
        Option.some("the database is not available (the server refuses writes)")
      )
    }).pipe(
      Effect.provide(storage),
      Effect.provide(database(
        Effect.succeed([]),
        Effect.fail(new LedgerError.LedgerUnavailable({ reason: "read-only", cause: "standby" }))
      ))
    ))
})
