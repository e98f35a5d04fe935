/**
 * Connects to a PostgreSQL server, or to one of several, with the time limits that the ledger relies on.
 *
 * A connection whose server does not answer is given up within seconds, and so are those of a server that no longer writes.
 * Behind a pooler that takes no settings of a session, the ledger sets its limits in each transaction.
 *
 * @since 0.1.0
 */
import { PgClient } from "@effect/sql-pg"
import { type LedgerUnavailable } from "@waybill/core/LedgerError"
import { Context, Duration, Effect, Exit, Layer, Option, type Redacted, Schema, Scope } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient, type SqlError } from "effect/sql"
import * as Hosts from "./internal/connection/Hosts.ts"
import * as poolers from "./internal/connection/poolers.ts"
import * as PgError from "./PgError.ts"
import * as PgUrl from "./PgUrl.ts"

/**
 * The limits of every transaction: a statement may take 30 s and wait 10 s for a lock, and a transaction that does nothing
 * for 15 s is ended by the server, so that a frozen process cannot hold its locks.
 *
 * @category constants
 * @since 0.1.0
 */
export const timeLimits = {
  statement_timeout: "30s",
  lock_timeout: "10s",
  idle_in_transaction_session_timeout: "15s"
}

/**
 * How long a server may say nothing, by default, before it is asked whether it is still at work on a statement.
 *
 * @category constants
 * @since 0.2.0
 */
export const silence: Duration.Duration = Duration.seconds(4)

/** How long a statement may take of which a pooler does not tell whether the server is at work on it. */
const untold = Duration.seconds(35)

/**
 * What lies between the ledger and the server: a pooler that gives each transaction to any of its connections, one that
 * gives a session a connection of its own, or none.
 *
 * @category models
 * @since 0.2.0
 */
export type Pooler = poolers.Pooler

/**
 * What a client of `layer` was found or told to be behind; none for any other.
 *
 * @category getters
 * @since 0.2.0
 */
export const poolerOf = (client: SqlClient.SqlClient): Pooler => poolers.of(client)

/**
 * How to connect.
 *
 * @category models
 * @since 0.2.0
 */
export interface Options {
  readonly maxConnections?: number
  /** Found out where it is not said. */
  readonly pooler?: Pooler
  readonly silence?: Duration.Duration
}

const decodeProcess = Schema.decodeUnknownEffect(Schema.Tuple([Schema.Struct({ processId: Schema.Int })]))

/** A client, what it is behind, and the process of the server that answered it. */
const open = Effect.fnUntraced(function*(
  target: PgUrl.Target,
  hosts: Effect.Success<ReturnType<typeof Hosts.make>>,
  pooler: Pooler,
  options: Options
) {
  const client = yield* PgClient.make({
    ...hosts.session(hosts.stream),
    // The hosts are tried one after another.
    connectTimeout: Duration.times(target.connectTimeout, target.hosts.length),
    ...target.options === undefined ? {} : { startupOptions: target.options },
    ...pooler === "none" ? { startupParameters: timeLimits } : {},
    prepare: pooler !== "transaction",
    maxConnections: options.maxConnections ?? 10
  })
  const rows = yield* client`SELECT pg_backend_pid() AS "processId"`
  const [{ processId }] = yield* Effect.orDie(decodeProcess(rows))
  poolers.note(client, pooler)
  return { client, processId }
})

/** A client in a scope of its own, which closes with the scope around it or where another takes its place. */
const attempt = <A, E, R>(effect: Effect.Effect<A, E, R | Scope.Scope>) =>
  Effect.gen(function*() {
    const scope = yield* Scope.fork(yield* Scope.Scope)
    const opened = yield* effect.pipe(
      Scope.provide(scope),
      Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
    )
    return { opened, close: Scope.close(scope, Exit.void) }
  })

const isRefusedParameter = (error: SqlError.SqlError): boolean =>
  PgError.ofConnection(error).reason === "startup-parameter"

const connect = Effect.fnUntraced(function*(url: Redacted.Redacted, options: Options) {
  const target = yield* PgUrl.read(url)
  const hosts = yield* Hosts.make(target, { silence: options.silence ?? silence, untold })
  const behind = (pooler: Pooler) => {
    if (pooler !== "none") hosts.pooled()
    return open(target, hosts, pooler, options)
  }
  if (options.pooler !== undefined) return yield* behind(options.pooler)
  const direct = yield* Effect.asSome(attempt(behind("none"))).pipe(
    Effect.catchIf(isRefusedParameter, () => Effect.succeedNone)
  )
  if (Option.isSome(direct)) {
    // A pooler tells a session a process of its own making, since it has no server for it yet.
    if (hosts.isKnown(direct.value.opened.processId)) return direct.value.opened
    yield* direct.value.close
  }
  return yield* behind("transaction")
})

/**
 * A pool of connections to the servers of a URL, checked by one query when the layer is built.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  url: Redacted.Redacted,
  options: Options = {}
): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, LedgerUnavailable | PgUrl.UnusableUrl> =>
  Layer.effectContext(
    connect(url, options).pipe(
      Effect.map(({ client }) =>
        Context.make(PgClient.PgClient, client).pipe(Context.add(SqlClient.SqlClient, client))
      ),
      Effect.catchTag("SqlError", (error) => Effect.fail(PgError.ofConnection(error)))
    )
  ).pipe(Layer.provide(Reactivity.layer))
