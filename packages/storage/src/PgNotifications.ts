/**
 * Tells the readers of the feed that events were appended, by whatever process, so that they need not wait to look again.
 *
 * It only wakes: what was appended is read from the feed, where an event shows once every transaction that began before its
 * own has ended. Keep polling, more rarely.
 *
 * @since 0.1.0
 */
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, type Redacted, Schedule, Stream } from "effect"
import * as PgMigrations from "./PgMigrations.ts"
import * as PgServer from "./PgServer.ts"

/**
 * How long it waits to listen again where its connection broke.
 *
 * @category constants
 * @since 0.1.0
 */
export const listensAgainAfter = "5 seconds"

/**
 * How often it gives something where a pooler keeps it from listening.
 *
 * @category constants
 * @since 0.2.0
 */
export const pollsEvery = "1 second"

/**
 * A stream that gives something when it begins to listen, and whenever events were committed since; give it to
 * `Feed.consume` or `Feed.stream` as `wake`. It needs `PgMigrations.enableNotifications`.
 *
 * It holds one connection of the client's pool for as long as it runs, so that it is not for an embedded database, which has
 * but one. A pooler that gives a connection to each transaction has none to listen on: name the server itself by `direct`, or
 * the stream gives something every second instead.
 *
 * @category streams
 * @since 0.1.0
 */
export const wake = (
  options: { readonly schema?: string; readonly direct?: Redacted.Redacted } = {}
): Effect.Effect<Stream.Stream<void>, never, PgClient.PgClient> =>
  Effect.map(PgClient.PgClient, (client) => {
    const schema = options.schema ?? PgMigrations.defaultSchema
    const { direct } = options
    if (direct === undefined && PgServer.poolerOf(client) === "transaction") {
      return Stream.map(Stream.fromSchedule(Schedule.spaced(pollsEvery)), () => undefined).pipe(
        Stream.prepend([undefined])
      )
    }
    const listening = direct === undefined
      ? Effect.succeed(client)
      : Effect.map(
        Layer.build(PgServer.layer(direct, { pooler: "none", maxConnections: 1 })),
        Context.get(PgClient.PgClient)
      )
    const listen = Effect.flatMap(listening, (client) => client.listen(PgMigrations.notifyChannel))
    return Stream.unwrap(Effect.map(listen, (notifications) =>
      Stream.fromQueue(notifications).pipe(
        Stream.filter(({ payload }) => payload === schema),
        Stream.map(() => undefined),
        Stream.prepend([undefined])
      ))).pipe(
        Stream.retry(Schedule.spaced(listensAgainAfter)),
        Stream.orDie
      )
  })
