/**
 * Connects to a PostgreSQL server with the time limits that the ledger relies on.
 *
 * @since 0.1.0
 */
import { PgClient } from "@effect/sql-pg"
import { LedgerUnavailable } from "@waybill/core/LedgerError"
import { Effect, Layer, type Redacted } from "effect"
import { SqlClient } from "effect/sql"

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
 * A pool of connections to a server, checked by one query when the layer is built.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  url: Redacted.Redacted,
  options: { readonly maxConnections?: number } = {}
): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, LedgerUnavailable> => {
  const client = PgClient.layer({
    url,
    applicationName: "waybill",
    connectTimeout: "5 seconds",
    startupParameters: timeLimits,
    maxConnections: options.maxConnections ?? 10
  })
  return Layer.effectDiscard(SqlClient.SqlClient.use((sql) => sql`SELECT 1`)).pipe(
    Layer.provideMerge(client),
    Layer.catch((error) =>
      Layer.effectContext(Effect.fail(
        new LedgerUnavailable({
          reason: error.reason._tag === "AuthenticationError" ? "authentication" : "connection",
          cause: error
        })
      ))
    )
  )
}
