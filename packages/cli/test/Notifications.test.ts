import { assert, describe, it } from "@effect/vitest"
import { Cursor, Event, IdempotencyKey, Ledger, Provider, Tenant } from "@waybill/core"
import { Feed } from "@waybill/runtime"
import { PgLedger, PgNotifications, PgServer } from "@waybill/storage"
import { DateTime, Effect, Fiber, Latch, Layer, Option, Redacted, Schedule, Stream } from "effect"
import { SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"
import * as Waybill from "./Waybill.ts"

/** A client of its own, as another process has. */
const client = ({ WAYBILL_DATABASE_URL, WAYBILL_SCHEMA }: Waybill.Env) =>
  Layer.fresh(
    PgLedger.layer({ schema: WAYBILL_SCHEMA }).pipe(
      Layer.provideMerge(PgServer.layer(Redacted.make(WAYBILL_DATABASE_URL), { maxConnections: 3 })),
      Layer.provide(SecureRandom.layerWebCrypto)
    )
  )

let appended = 0

const append = Effect.gen(function*() {
  const ledger = yield* Ledger.Ledger
  appended += 1
  return yield* ledger.append(Tenant.defaultTenantId, [Event.NewEvent.make({
    type: "delivered",
    occurredAt: yield* DateTime.now,
    provider: Provider.Provider.make("postmark"),
    providerMessageId: Option.some(Provider.MessageId.make(`message-${appended}`)),
    idempotencyKey: IdempotencyKey.IdempotencyKey.make(`postmark:${appended}`)
  })])
})

/** Counts the wakes of a schema until the scope ends, from when it listens. */
const counting = Effect.fnUntraced(function*(env: Waybill.Env) {
  const wake = yield* PgNotifications.wake({ schema: env.WAYBILL_SCHEMA })
  const listens = yield* Latch.make()
  const count = { wakes: -1 }
  yield* Stream.runForEach(wake, () => {
    count.wakes += 1
    return Latch.open(listens)
  }).pipe(Effect.forkScoped)
  yield* listens.await
  return count
})

describe("migrate --notify", () => {
  it.live(
    "wakes who follows the feed in another process, long before it would look again",
    () =>
      Effect.gen(function*() {
        const env = yield* Waybill.server
        assert.strictEqual((yield* Waybill.run(["migrate", "--notify"], env)).code, 0)
        assert.strictEqual((yield* Waybill.run(["migrate", "--notify"], env)).code, 0)
        const listens = yield* Latch.make()
        const following = yield* Effect.gen(function*() {
          const wake = yield* PgNotifications.wake({ schema: env.WAYBILL_SCHEMA })
          return yield* Feed.stream({
            after: Cursor.start,
            pollEvery: "1 hour",
            wake: Stream.tap(wake, () => Latch.open(listens))
          }).pipe(Stream.runHead)
        }).pipe(Effect.provide(client(env)), Effect.forkChild)
        yield* listens.await
        // A transaction of another test that is still open would delay the feed, and the next append wakes again.
        const writing = yield* append.pipe(
          Effect.repeat(Schedule.spaced("200 millis")),
          Effect.provide(client(env)),
          Effect.forkChild
        )
        const first = yield* Effect.timeout(Fiber.join(following), "30 seconds")
        yield* Fiber.interrupt(writing)
        assert.strictEqual(Option.getOrUndefined(first)?.event.type, "delivered")
      }),
    60_000
  )

  it.live(
    "tells nothing of other schemas, of duplicates or of what is rolled back, and nothing without it",
    () =>
      Effect.gen(function*() {
        const env = yield* Waybill.server
        const other = yield* Waybill.server
        const silent = yield* Waybill.migrated
        for (const each of [env, other]) yield* Waybill.run(["migrate", "--notify"], each)
        yield* Effect.gen(function*() {
          const [own, foreign, none] = [yield* counting(env), yield* counting(other), yield* counting(silent)]
          const sql = yield* SqlClient.SqlClient
          const again = Effect.suspend(() => {
            appended -= 1
            return append
          })
          yield* Effect.provide(append, client(silent))
          yield* append
          yield* again
          yield* Effect.exit(sql.withTransaction(Effect.andThen(append, Effect.fail("rolled back"))))
          yield* append
          yield* Effect.suspend(() => own.wakes < 2 ? Effect.fail("not yet") : Effect.void).pipe(
            Effect.retry(Schedule.spaced("20 millis")),
            Effect.timeout("20 seconds")
          )
          yield* Effect.sleep("300 millis")
          assert.deepStrictEqual([own, foreign, none], [{ wakes: 2 }, { wakes: 0 }, { wakes: 0 }])
        }).pipe(
          Effect.scoped,
          Effect.provide(Layer.fresh(
            PgLedger.layer({ schema: env.WAYBILL_SCHEMA }).pipe(
              Layer.provideMerge(PgServer.layer(Redacted.make(env.WAYBILL_DATABASE_URL), { maxConnections: 6 })),
              Layer.provide(SecureRandom.layerWebCrypto)
            )
          ))
        )
      }),
    60_000
  )

  it.live("listens again where its connection was ended", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.server
      yield* Waybill.run(["migrate", "--notify"], env)
      yield* Effect.gen(function*() {
        const count = yield* counting(env)
        const sql = yield* SqlClient.SqlClient
        yield* sql`
          SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE query LIKE 'LISTEN%waybill_events%' AND pid <> pg_backend_pid()
        `
        yield* append.pipe(
          Effect.andThen(Effect.suspend(() => count.wakes < 2 ? Effect.fail("not yet") : Effect.void)),
          Effect.retry(Schedule.spaced("200 millis")),
          Effect.timeout("30 seconds")
        )
      }).pipe(Effect.scoped, Effect.provide(client(env)))
    }), 60_000)
})
