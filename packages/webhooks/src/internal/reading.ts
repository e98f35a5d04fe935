/**
 * Reads one stored webhook into the ledger, once: its provider's follow-up, then its events piece by piece, and counts what
 * became of them. Noting how that ended is left to the caller.
 *
 * An item that cannot be understood costs the others nothing. Only storage that fails ends a reading early.
 */
import { Event, type Inbox, Input, Ledger, type LedgerError } from "@waybill/core"
import * as Attributes from "@waybill/core/Attributes"
import { Effect, Option, Result, Schema } from "effect"
import * as Arr from "effect/Array"
import type { Counts, Processed } from "../Processed.ts"
import type * as Refusals from "../Refusals.ts"
import * as Row from "../Row.ts"
import type { Secrets } from "../Secrets.ts"
import type * as Webhook from "../Webhook.ts"
import * as Distinct from "./distinct.ts"

export const nothing: Counts = {
  appended: 0,
  duplicates: 0,
  conflicts: 0,
  orphans: 0,
  unknown: 0,
  undecodable: 0,
  ignored: 0
}

/** How a reading ended. */
export interface Reading extends Processed {
  /** Why the body as a whole could not be read. */
  readonly malformed: Option.Option<Webhook.MalformedBody>
  /** Why the body was not understood, as a whole or in part. */
  readonly misread: Option.Option<Refusals.Misreading>
  /** Whether every event that the body names is in the ledger. */
  readonly isComplete: boolean
}

/** What was read from a webhook whose events may share a transaction with those of others. */
export interface Draft extends Inbox.Read {
  /** Tells how the reading ended, by the outcomes of its events. */
  readonly conclude: (outcomes: ReadonlyArray<Ledger.Outcome>) => Reading
}

/** Is told of every event, in the order of the body, what became of it. */
export type Told = (event: Event.NewEvent, outcome: Ledger.Outcome) => void

/** The most places that a reason names. */
const maxNamed = 10

const complaint = (items: ReadonlyArray<Webhook.Undecodable>): string => {
  const named = items.slice(0, maxNamed).map(({ index, reason }) => `${index} (${reason})`).join(", ")
  const more = items.length > maxNamed ? ` and ${items.length - maxNamed} more` : ""
  return `items not understood: ${named}${more}`
}

const failed = (reason: string): Inbox.Ending => ({ _tag: "Failed", reason })

/** A reading that came to nothing. */
const vain = (
  result: Inbox.Ending,
  misread?: Refusals.Misreading,
  malformed: Reading["malformed"] = Option.none()
): Reading => ({
  result,
  counts: nothing,
  malformed,
  misread: Option.fromUndefinedOr(misread),
  isComplete: false
})

/** A delay of storage is no fault of the webhook. */
const ofFailure = (error: LedgerError.LedgerError | LedgerError.InvalidInput): Reading =>
  error._tag === "InvalidInput"
    ? vain(failed(error.message), "InvalidInput")
    : vain({ _tag: "Postponed", reason: error.message })

/** An SQL error of a statement itself (SQLSTATE class 42), as where the schema is another program's; its data are not at fault. */
const isOfStatement = Schema.is(Schema.Struct({
  _tag: Schema.Literal("SqlError"),
  reason: Schema.Struct({
    cause: Schema.Struct({ code: Schema.String.check(Schema.isPattern(/^42/)) })
  })
}))

/** How a reading ended that died. */
const ofDefect = (defect: unknown): Reading =>
  isOfStatement(defect)
    ? vain({ _tag: "Postponed", reason: "the database refused a statement" })
    : vain(failed("processing it died"), "Died")

/** A draft without an event, of a reading that came to nothing. */
const idle = (reading: Reading): Draft => ({ events: [], ending: reading.result, conclude: () => reading })

/** Counts what became of one event. */
const tally = (counts: { -readonly [Count in keyof Counts]: Counts[Count] }, outcome: Ledger.Outcome): void => {
  if (Ledger.isConflict(outcome)) counts.conflicts++
  else if (outcome._tag === "Duplicate") counts.duplicates++
  else {
    counts.appended++
    if (Option.isNone(outcome.deliveryId)) counts.orphans++
  }
}

const isStorable = (event: Event.NewEvent): boolean => Result.isSuccess(Input.event(event))

/** Appends what can be stored, as it is taken when it is received; the outcomes are those of the events beside them. */
const append = Effect.fnUntraced(function*(
  ledger: Ledger.Ledger["Service"],
  { receivedAt, tenantId }: Pick<Inbox.Webhook, "receivedAt" | "tenantId">,
  reported: ReadonlyArray<Event.NewEvent>,
  keepDetails: boolean
) {
  const events = reported.map((event) =>
    Event.received(keepDetails ? event : { ...event, details: Option.none() }, receivedAt)
  )
  const appended = (events: ReadonlyArray<Event.NewEvent>) => Distinct.append(ledger, tenantId, events)
  return yield* Effect.catchTag(appended(events), "InvalidInput", (error) => {
    const storable = events.filter(isStorable)
    return storable.length === events.length || error.what !== "event" ? Effect.fail(error) : appended(storable)
  })
})

/** Reads webhooks into a ledger, so many events in a transaction, with or without what the provider says in words. */
export const make = (
  ledger: Ledger.Ledger["Service"],
  secrets: Secrets["Service"],
  { batchSize, keepDetails }: { readonly batchSize: number; readonly keepDetails: boolean }
) => {
  const appendAll = Effect.fnUntraced(function*(
    pieces: Iterable<Webhook.Normalized>,
    webhook: Inbox.Webhook,
    told: Told | undefined
  ) {
    const counts = { ...nothing }
    const undecodable: Array<Webhook.Undecodable> = []
    let unstorable = 0
    let isFirst = true
    for (const piece of pieces) {
      // Others have their turn between two pieces.
      if (!isFirst) yield* Effect.yieldNow
      isFirst = false
      for (const batch of Arr.chunksOf(piece.events, batchSize)) {
        const { events, outcomes } = yield* append(ledger, webhook, batch, keepDetails)
        unstorable += batch.length - events.length
        for (const [index, outcome] of outcomes.entries()) {
          const event = events[index]
          if (event !== undefined) told?.(event, outcome)
          tally(counts, outcome)
        }
      }
      counts.unknown += piece.events.filter(({ type }) => type === "unknown").length
      counts.ignored += piece.ignored.length
      for (const item of piece.undecodable) undecodable.push(item)
    }
    counts.undecodable = undecodable.length + unstorable
    return { counts, undecodable, unstorable }
  })

  const read = Effect.fnUntraced(function*(row: Row.OpenRow, webhook: Inbox.Webhook, told: Told | undefined) {
    const pieces = yield* Effect.result(Row.read(row, webhook))
    if (Result.isFailure(pieces)) {
      return vain(failed(pieces.failure.message), pieces.failure.reason, Option.some(pieces.failure))
    }
    const followed = row.followUp === undefined
      ? Result.void
      : yield* Effect.result(row.followUp(webhook, secrets.lookup(webhook.tenantId, webhook.provider)))
    const { counts, undecodable, unstorable } = yield* appendAll(pieces.success, webhook, told)
    const reasons = [
      ...Result.isFailure(followed) ? [followed.failure.message] : [],
      ...undecodable.length > 0 ? [complaint(undecodable)] : [],
      ...unstorable > 0 ? [`events that cannot be stored: ${unstorable}`] : []
    ]
    const reading: Reading = {
      result: reasons.length === 0 ? { _tag: "Succeeded" } : failed(reasons.join("; ")),
      counts,
      malformed: Option.none(),
      misread: Option.fromUndefinedOr(undecodable[0]?.reason ?? (unstorable > 0 ? "InvalidInput" : undefined)),
      isComplete: unstorable === 0 && Result.isSuccess(followed)
    }
    return reading
  })

  const unknownProvider = vain(failed("the provider is not known"), "UnknownProvider")

  /**
   * Reads a webhook without appending anything; none where it has to be read alone: it asks for something beside events, it has
   * more of them than one transaction appends, or reading it dies.
   */
  const draft = (row: Option.Option<Row.OpenRow>, webhook: Webhook.Received): Effect.Effect<Option.Option<Draft>> => {
    if (Option.isNone(row)) return Effect.succeed(Option.some(idle(unknownProvider)))
    const { followUp, setup } = row.value
    if (followUp !== undefined && (setup === undefined || Option.isSome(setup(webhook)))) return Effect.succeedNone
    return Effect.catchDefect(
      Effect.gen(function*() {
        const pieces = yield* Effect.result(Row.read(row.value, webhook))
        if (Result.isFailure(pieces)) {
          const { message, reason } = pieces.failure
          return Option.some(idle(vain(failed(message), reason, Option.some(pieces.failure))))
        }
        const events: Array<Event.NewEvent> = []
        const undecodable: Array<Webhook.Undecodable> = []
        let ignored = 0
        for (const piece of pieces.success) {
          if (events.length + piece.events.length > batchSize) return Option.none()
          for (const event of piece.events) {
            events.push(Event.received(keepDetails ? event : { ...event, details: Option.none() }, webhook.receivedAt))
          }
          for (const item of piece.undecodable) undecodable.push(item)
          ignored += piece.ignored.length
        }
        const ending: Inbox.Ending = undecodable.length === 0 ? { _tag: "Succeeded" } : failed(complaint(undecodable))
        const conclude = (outcomes: ReadonlyArray<Ledger.Outcome>): Reading => {
          const unknown = events.filter(({ type }) => type === "unknown").length
          const counts = { ...nothing, unknown, undecodable: undecodable.length, ignored }
          for (const outcome of outcomes) tally(counts, outcome)
          return {
            result: ending,
            counts,
            malformed: Option.none(),
            misread: Option.fromUndefinedOr(undecodable[0]?.reason),
            isComplete: true
          }
        }
        return Option.some({ events, ending, conclude })
      }),
      () => Effect.succeedNone
    )
  }

  /** Reads a webhook into the ledger, all by itself. */
  const readAlone = (row: Option.Option<Row.OpenRow>, webhook: Inbox.Webhook, told?: Told): Effect.Effect<Reading> =>
    Option.isNone(row)
      ? Effect.succeed(unknownProvider)
      : Effect.suspend(() => read(row.value, webhook, told)).pipe(
        Effect.catch((error) => Effect.succeed(ofFailure(error))),
        Effect.catchDefect((defect) =>
          Effect.as(
            Effect.logError("processing a webhook died").pipe(
              Attributes.annotateLogs({ tenant_id: webhook.tenantId, provider: webhook.provider, reason: "Died" })
            ),
            ofDefect(defect)
          )
        )
      )

  return { readAlone, draft }
}

/** The reading of webhooks. */
export type Readings = ReturnType<typeof make>
