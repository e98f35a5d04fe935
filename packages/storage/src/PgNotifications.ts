/**
 * Tells the readers of the feed that events were appended, by whatever process, so that they need not wait to look again.
 *
 * It only wakes: what was appended is read from the feed, where an event shows once every transaction that began before its
 * own has ended. Keep polling, more rarely.
 *
 * @since 0.1.0
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Schedule, Stream } from "effect"
import * as PgMigrations from "./PgMigrations.ts"

/**
 * How long it waits to listen again where its connection broke.
 *
 * @category constants
 * @since 0.1.0
 */
export const listensAgainAfter = "5 seconds"

/**
 * A stream that gives something when it begins to listen, and whenever events were committed since; give it to
 * `Feed.consume` or `Feed.stream` as `wake`. It needs `PgMigrations.enableNotifications`.
 *
 * It holds one connection of the client's pool for as long as it runs, so that it is not for an embedded database, which has
 * but one.
 *
 * @category streams
 * @since 0.1.0
 */
export const wake = (
  options: { readonly schema?: string } = {}
): Effect.Effect<Stream.Stream<void>, never, PgClient.PgClient> =>
  Effect.map(PgClient.PgClient, (client) => {
    const schema = options.schema ?? PgMigrations.defaultSchema
    return Stream.unwrap(Effect.map(client.listen(PgMigrations.notifyChannel), (notifications) =>
      Stream.fromQueue(notifications).pipe(
        Stream.filter(({ payload }) => payload === schema),
        Stream.map(() => undefined),
        Stream.prepend([undefined])
      ))).pipe(
        Stream.retry(Schedule.spaced(listensAgainAfter)),
        Stream.orDie
      )
  })
