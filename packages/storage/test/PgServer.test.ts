/** The connections to a server through whatever befalls the network between. */
import { assert, describe, it } from "@effect/vitest"
import { Ledger, type LedgerError } from "@waybill/core"
import { PgError, PgLedger, PgMigrations, PgServer } from "@waybill/storage"
import { Given } from "@waybill/storage/testing"
import { Duration, Effect, Fiber, Layer, Redacted, Schedule, Stream } from "effect"
import { SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"
import * as Proxy from "./Proxy.ts"
import * as TestDatabase from "./TestDatabase.ts"

const silence = Duration.millis(300)

/** A proxy to the server of the tests, and the address of a fresh, migrated database through it. */
const behindProxy = Effect.gen(function*() {
  const url = Redacted.value(yield* TestDatabase.fresh)
  const proxy = yield* Proxy.start(Number(new URL(url).port))
  yield* Effect.provide(PgMigrations.migrate(), PgServer.layer(Redacted.make(url)))
  const through = new URL(proxy.through(url))
  through.searchParams.set("connect_timeout", "1")
  const layer = PgServer.layer(Redacted.make(through.href), { silence, maxConnections: 4 })
  return { proxy, layer }
})

const count = SqlClient.SqlClient.use((sql) => sql`SELECT 1 AS one`).pipe(PgError.refine("waybill"))

/** How long something took, in milliseconds. */
const timed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.timed(effect).pipe(Effect.map(([taken]) => Duration.toMillis(taken)))

const reasonOf = <A, R>(effect: Effect.Effect<A, LedgerError.LedgerError, R>) =>
  Effect.map(Effect.flip(effect), (error) => error._tag === "LedgerUnavailable" ? error.reason : error._tag)

describe("PgServer", () => {
  it.live("gives up a statement whose connection lost its server, and the idle connections beside it", () =>
    Effect.gen(function*() {
      const { layer, proxy } = yield* behindProxy
      yield* Effect.gen(function*() {
        // All four at once, so that each has its connection.
        const slow = SqlClient.SqlClient.use((sql) => sql`SELECT pg_sleep(0.2)`)
        yield* Effect.all([slow, slow, slow, slow], { concurrency: 4 })
        proxy.treat("silent", "passes")
        assert.strictEqual(yield* reasonOf(count), "silent")
        // Every other connection is one of those that went silent.
        assert.isBelow(yield* timed(Effect.all([count, count, count, count], { concurrency: 4 })), 200)
      }).pipe(Effect.provide(layer))
    }))

  it.live("lets go of a statement that is interrupted where nobody answers", () =>
    Effect.gen(function*() {
      const { layer, proxy } = yield* behindProxy
      yield* Effect.gen(function*() {
        yield* count
        proxy.treat("silent", "silent")
        const running = yield* Effect.forkChild(count, { startImmediately: true })
        yield* Effect.sleep("50 millis")
        assert.isBelow(yield* timed(Fiber.interrupt(running)), 1000)
      }).pipe(Effect.provide(layer))
    }))

  it.live("lets a statement take its time that the server is at work on", () =>
    Effect.gen(function*() {
      const { layer } = yield* behindProxy
      yield* SqlClient.SqlClient.use((sql) => sql`SELECT pg_sleep(2)`).pipe(Effect.provide(layer))
    }))

  it.live("lets a reader take its time", () =>
    Effect.gen(function*() {
      const { layer } = yield* behindProxy
      yield* Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const rows = sql`SELECT repeat('x', 100000) AS text FROM generate_series(1, 300)`.stream
        const slowly = Stream.tap(rows, () => Effect.sleep("5 millis"))
        assert.strictEqual(yield* Stream.runCount(slowly), 300)
      }).pipe(Effect.provide(layer))
    }))

  it.live("does not let a statement keep others waiting where nobody answers at all", () =>
    Effect.gen(function*() {
      const { layer, proxy } = yield* behindProxy
      yield* Effect.gen(function*() {
        yield* count
        proxy.treat("silent", "silent")
        const many = Array.from({ length: 40 }, () => Effect.exit(count))
        assert.isBelow(yield* timed(Effect.all(many, { concurrency: "unbounded" })), 8000)
        proxy.treat("silent", "passes")
        yield* Effect.retry(count, { times: 20, schedule: Schedule.spaced("200 millis") })
      }).pipe(Effect.provide(layer))
    }))

  for (const how of ["cut", "reset"] as const) {
    it.live(`recovers at once from connections that are ${how === "cut" ? "cut" : "reset"}`, () =>
      Effect.gen(function*() {
        const { layer, proxy } = yield* behindProxy
        yield* Effect.gen(function*() {
          const sql = yield* SqlClient.SqlClient
          const running = yield* Effect.forkChild(PgError.refine("waybill")(sql`SELECT pg_sleep(20)`))
          yield* Effect.all([count, count], { concurrency: 2 })
          proxy.end(how)
          assert.strictEqual(yield* reasonOf(Fiber.join(running)), "connection")
          // One that was being made when all ended may be the next.
          yield* Effect.retry(count, { times: 1 })
        }).pipe(Effect.provide(layer))
      }))
  }

  it.live("waits for what is late", () =>
    Effect.gen(function*() {
      const { layer, proxy } = yield* behindProxy
      yield* Effect.gen(function*() {
        yield* count
        proxy.treat("late", "late")
        yield* count
      }).pipe(Effect.provide(layer))
    }))

  it.live("keeps no lock of a transaction whose connection was lost while nobody answered", () =>
    Effect.gen(function*() {
      const { layer, proxy } = yield* behindProxy
      yield* Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const lock = sql`SELECT pg_advisory_xact_lock(1)`
        const lost = sql.withTransaction(Effect.gen(function*() {
          yield* lock
          proxy.treat("silent", "silent")
          yield* sql`SELECT 1`
        })).pipe(PgError.refine("waybill"))
        assert.strictEqual(yield* reasonOf(lost), "silent")
        // Long enough for the question whether the server is at work to have had no answer either.
        yield* Effect.sleep("1 second")
        proxy.treat("silent", "passes")
        const again = Effect.retry(sql.withTransaction(lock), { schedule: Schedule.spaced("50 millis"), times: 100 })
        // By the server's own time limit it would be 15 seconds.
        assert.isBelow(yield* timed(again), 5000)
      }).pipe(Effect.provide(layer))
    }))

  it.live("loses no event that it acknowledged, whatever befalls the network, and goes on appending", () =>
    Effect.gen(function*() {
      const { layer, proxy } = yield* behindProxy
      const ledger = PgLedger.layer().pipe(Layer.provideMerge(layer), Layer.provideMerge(SecureRandom.layerWebCrypto))
      yield* Effect.gen(function*() {
        const ledger = yield* Ledger.Ledger
        const tenantId = yield* Given.tenant
        const acknowledged: Array<string> = []
        const run = { isOver: false }
        /** Appends one event after another, each until it is acknowledged. */
        const writer = (name: number) =>
          Effect.gen(function*() {
            for (let turn = 0; !run.isOver; turn++) {
              const id = `${name}-${turn}`
              yield* Effect.retry(ledger.append(tenantId, [Given.report("delivered", id)]), {
                while: () => !run.isOver,
                schedule: Schedule.spaced("50 millis")
              })
              acknowledged.push(id)
            }
          })
        const writers = yield* Effect.forEach([1, 2, 3, 4, 5, 6], (name) => Effect.forkChild(writer(name)))
        /** Waits until something more is acknowledged, and no longer than the longest that a fault may keep it. */
        const recovers = Effect.suspend(() => {
          const before = acknowledged.length
          return Effect.suspend(() => acknowledged.length > before ? Effect.void : Effect.fail("stuck")).pipe(
            Effect.retry({ schedule: Schedule.spaced("20 millis"), times: 700 })
          )
        })
        for (const fault of ["silent", "cut", "late", "reset", "silence for all", "silent", "reset"] as const) {
          yield* recovers
          if (fault === "cut" || fault === "reset") proxy.end(fault)
          else proxy.treat(fault === "late" ? "late" : "silent", fault === "silence for all" ? "silent" : "passes")
          yield* Effect.sleep("400 millis")
          if (fault !== "silent") proxy.treat(fault === "silence for all" ? "silent" : "passes", "passes")
        }
        yield* recovers
        run.isOver = true
        yield* Effect.forEach(writers, Fiber.await)
        const sql = yield* SqlClient.SqlClient
        const rows = yield* sql<{ readonly id: string }>`SELECT provider_message_id AS id FROM waybill.events`
        const stored = rows.map(({ id }) => id)
        assert.strictEqual(new Set(stored).size, stored.length)
        assert.deepStrictEqual(acknowledged.filter((id) => !stored.includes(id)), [])
      }).pipe(Effect.provide(ledger))
    }))
})
