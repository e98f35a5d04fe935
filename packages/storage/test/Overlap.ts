/** Lets two transactions overlap, without a clock: the second begins while the first is open, and ends after it if it has to wait. */
import { Deferred, Effect, Fiber } from "effect"
import { SqlClient } from "effect/sql"

/** Runs one in a transaction that stays open until another waits for it, or is done without. */
export const overlapping = Effect.fnUntraced(function*<A, B, E, F, R, S>(
  first: Effect.Effect<A, E, R>,
  second: Effect.Effect<B, F, S>
) {
  const sql = yield* SqlClient.SqlClient
  const opened = yield* Deferred.make<void>()
  const close = yield* Deferred.make<void>()
  const holding = yield* Effect.forkChild(sql.withTransaction(Effect.gen(function*() {
    yield* first
    yield* Deferred.succeed(opened, undefined)
    yield* Deferred.await(close)
  })))
  yield* Deferred.await(opened)
  const isWaiting = Effect.map(
    sql<{ readonly waits: boolean }>`
      SELECT EXISTS (
        SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
      ) AS waits
    `,
    ([row]) => row?.waits === true
  )
  const following = yield* Effect.forkChild(second)
  yield* isWaiting.pipe(
    Effect.delay("5 millis"),
    Effect.repeat({ until: (waits) => waits }),
    Effect.raceFirst(Fiber.await(following))
  )
  yield* Deferred.succeed(close, undefined)
  yield* Fiber.join(holding)
  yield* Fiber.join(following)
})
