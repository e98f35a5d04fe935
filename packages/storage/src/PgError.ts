/**
 * Turns what PostgreSQL refuses into the ledger's typed errors.
 *
 * @since 0.1.0
 */
import { type LedgerError, LedgerImmutable, LedgerUnavailable, SchemaNotMigrated } from "@waybill/core/LedgerError"
import { Cause, Effect, Predicate } from "effect"
import { SqlError } from "effect/sql"

/** The SQLSTATE that the triggers on the ledger raise. */
const immutable = "45A01"

/** The server shuts down, crashed, starts up, or takes no more connections. */
const unavailable = new Set(["57P01", "57P02", "57P03", "53300"])

/** The disk is full or the server is out of memory. */
const exhausted = new Set(["53000", "53100", "53200", "53400"])

/** The schema or a table is not there. */
const missing = new Set(["3F000", "42P01"])

const field = (cause: unknown, name: string): string | undefined => {
  const value = Predicate.hasProperty(cause, name) ? cause[name] : undefined
  return typeof value === "string" ? value : undefined
}

/**
 * The five-character SQLSTATE of an error that PostgreSQL answered; none where it did not answer.
 *
 * @category getters
 * @since 0.1.0
 */
export const sqlState = (error: SqlError.SqlError): string | undefined => field(error.reason.cause, "code")

const operation = (message: string | undefined): "UPDATE" | "DELETE" | "TRUNCATE" => {
  if (message?.includes("DELETE") === true) return "DELETE"
  return message?.includes("TRUNCATE") === true ? "TRUNCATE" : "UPDATE"
}

/**
 * The typed error that an SQL error stands for, in a schema; an error that is a defect of the caller's SQL stays as it is.
 *
 * Use it on your own statements to meet `LedgerImmutable` where they touch the ledger.
 *
 * @category conversions
 * @since 0.1.0
 */
export const fromSqlError = (
  schema: string
) =>
(error: SqlError.SqlError): LedgerImmutable | LedgerUnavailable | SchemaNotMigrated | SqlError.SqlError => {
  const state = sqlState(error)
  if (state === immutable) return new LedgerImmutable({ operation: operation(field(error.reason.cause, "message")) })
  if (state !== undefined && missing.has(state)) return new SchemaNotMigrated({ schema })
  if (state !== undefined && exhausted.has(state)) return new LedgerUnavailable({ reason: "full", cause: error })
  if (state !== undefined && unavailable.has(state)) {
    return new LedgerUnavailable({ reason: "connection", cause: error })
  }
  switch (error.reason._tag) {
    case "ConnectionError":
      return new LedgerUnavailable({ reason: "connection", cause: error })
    case "AuthenticationError":
      return new LedgerUnavailable({ reason: "authentication", cause: error })
    case "AuthorizationError":
      return new LedgerUnavailable({ reason: "permission", cause: error })
    case "LockTimeoutError":
    case "StatementTimeoutError":
      return new LedgerUnavailable({ reason: "timeout", cause: error })
    case "DeadlockError":
    case "SerializationError":
      return new LedgerUnavailable({ reason: "contention", cause: error })
    default:
      return error
  }
}

/** The SQL error of a cause; where a transaction failed and its rollback too, as on a broken connection, the first. */
const sqlErrorOf = (cause: Cause.Cause<unknown>): SqlError.SqlError | undefined => {
  if (Cause.hasInterrupts(cause)) return undefined
  for (const reason of cause.reasons) {
    const error = Cause.isFailReason(reason) ? reason.error : Cause.isDieReason(reason) ? reason.defect : undefined
    if (SqlError.isSqlError(error)) return error
  }
  return undefined
}

/**
 * Fails with the typed error of an SQL error and dies of one that is a defect.
 *
 * @category error handling
 * @since 0.1.0
 */
export const refine = (schema: string) => {
  const convert = fromSqlError(schema)
  function refined<A, E, R>(
    effect: Effect.Effect<A, E, R>
  ): Effect.Effect<A, Exclude<E, SqlError.SqlError> | LedgerError, R>
  function refined<A, R>(effect: Effect.Effect<A, unknown, R>): Effect.Effect<A, unknown, R> {
    return Effect.catchCause(effect, (cause) => {
      const error = sqlErrorOf(cause)
      if (error === undefined) return Effect.failCause(cause)
      const converted = convert(error)
      return converted._tag === "SqlError" ? Effect.die(converted) : Effect.fail(converted)
    })
  }
  return refined
}
