/** Says why something failed, in words that a log may hold. */
import { LedgerError } from "@waybill/core"
import { Cause, Effect, Schema } from "effect"

/** The errors whose message names no value but a tenant's id. */
const isPlain = Schema.is(
  Schema.Union([
    LedgerError.InvalidInput,
    LedgerError.CursorAhead,
    LedgerError.DeliveryNotFound,
    LedgerError.EventNotFound,
    LedgerError.MalformedPayload,
    LedgerError.LedgerUnavailable,
    LedgerError.SchemaNotMigrated,
    LedgerError.SchemaTooNew,
    LedgerError.LedgerImmutable
  ])
)

const isTagged = Schema.is(Schema.Struct({ _tag: Schema.String }))

const className = /^[A-Za-z][A-Za-z0-9_]{0,63}$/

const named = (name: string): string => className.test(name) ? name : "Error"

/** The reason of a failure: its message if it is one of ours, else its name alone, as its message may hold an address or a body. */
export const reasonOf = (cause: Cause.Cause<unknown>): string => {
  if (Cause.hasInterruptsOnly(cause)) return "stopped by a shutdown"
  const error = Cause.squash(cause)
  if (isPlain(error)) {
    const isAddressed = "tenantId" in error && error.tenantId.includes("@")
    return isAddressed ? error._tag : `${error._tag}: ${error.message}`
  }
  if (isTagged(error)) return named(error._tag)
  return `unexpected ${error instanceof Error ? named(error.name) : typeof error}`
}

/** Adds the reason of a failure to what an effect logs. */
export const annotateReason = (
  cause: Cause.Cause<unknown>
): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> => Effect.annotateLogs({ reason: reasonOf(cause) })
