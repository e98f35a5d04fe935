/**
 * Turns what PostgreSQL refuses into the ledger's typed errors.
 *
 * What a statement's data is at fault for stays an SQL error. All else is the database's own fault: it is unavailable, with
 * the cause.
 *
 * @since 0.1.0
 */
import { type LedgerError, LedgerImmutable, LedgerUnavailable, SchemaNotMigrated } from "@waybill/core/LedgerError"
import { Cause, Effect, Predicate } from "effect"
import { SqlError } from "effect/sql"
import * as causes from "./internal/connection/causes.ts"
import * as sqlStates from "./internal/connection/sqlStates.ts"

/** The SQLSTATE that the triggers on the ledger raise. */
const immutable = "45A01"

/** The schema or a table is not there. */
const missing = new Set(["3F000", "42P01"])

const field = (cause: unknown, name: string): string | undefined => {
  const value = Predicate.hasProperty(cause, name) ? cause[name] : undefined
  return typeof value === "string" ? value : undefined
}

/** The error that the server or the network gave, beneath those of the client. */
const rootOf = (error: SqlError.SqlError): unknown => {
  let cause = error.reason.cause
  for (let depth = 0; depth < 8 && SqlError.isSqlError(cause); depth++) cause = cause.reason.cause
  return cause
}

/**
 * The five-character SQLSTATE of an error that PostgreSQL answered; none where it did not answer.
 *
 * @category getters
 * @since 0.1.0
 */
export const sqlState = (error: SqlError.SqlError): string | undefined => {
  const code = field(rootOf(error), "code")
  return code !== undefined && /^[0-9A-Z]{5}$/.test(code) && !/^E[A-Z]{4}$/.test(code) ? code : undefined
}

const operation = (message: string | undefined): "UPDATE" | "DELETE" | "TRUNCATE" => {
  if (message?.includes("DELETE") === true) return "DELETE"
  return message?.includes("TRUNCATE") === true ? "TRUNCATE" : "UPDATE"
}

/** Why an SQL error says that the database is not available; nothing where it does not. */
const unavailability = (error: SqlError.SqlError): LedgerUnavailable["reason"] | undefined => {
  const state = sqlState(error)
  // What a server says as it refuses a connection is told by its words: poolers give one SQLSTATE to all of it.
  if (error.reason.operation === "connect" || state === undefined || state.startsWith("08")) {
    const cause = causes.reasonOf(error)
    if (cause !== undefined) return cause
  }
  if (state !== undefined) return sqlStates.reasonOf(state)
  if (error.reason._tag === "ConnectionError") return "connection"
  return error.reason._tag === "AuthenticationError" ? "authentication" : undefined
}

/**
 * The typed error that an SQL error stands for, in a schema; an error that is a defect of the caller's SQL or data stays as
 * it is.
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
  if (state === immutable) return new LedgerImmutable({ operation: operation(field(rootOf(error), "message")) })
  if (state !== undefined && missing.has(state)) return new SchemaNotMigrated({ schema })
  const reason = unavailability(error)
  return reason === undefined ? error : new LedgerUnavailable({ reason, cause: error })
}

/**
 * The typed error of a client that could not be opened.
 *
 * @category conversions
 * @since 0.2.0
 */
export const ofConnection = (error: SqlError.SqlError): LedgerUnavailable =>
  new LedgerUnavailable({ reason: unavailability(error) ?? "connection", cause: error })

/**
 * Whether an operation failed for a reason that any other would meet as well, and may meet only after a while.
 *
 * @category guards
 * @since 0.2.0
 */
export const isLost = (error: unknown): boolean =>
  error instanceof LedgerUnavailable && error.reason !== "timeout" && error.reason !== "contention"

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
