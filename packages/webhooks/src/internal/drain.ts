/**
 * Processes webhooks in hand, many together: what was read from them is appended and their tries are ended in one transaction a
 * tenant. What cannot share one is processed alone.
 */
import { type Inbox, InboxRow, type LedgerError, Place, Tenant } from "@waybill/core"
import { Clock, Duration, Effect, Option, Result } from "effect"
import type { Processed, ReplayQuery, SweepOptions, Swept } from "../Processed.ts"
import * as Reading from "./reading.ts"

/** A webhook whose try has ended. */
interface Ended extends Processed {
  readonly webhook: Inbox.Webhook
}

/** A webhook in hand, what was read from it, and how its try is to end. */
interface Drafted {
  readonly webhook: Inbox.Webhook
  readonly draft: Reading.Draft
  readonly ending: Inbox.Ending
}

/** How many webhooks are claimed together at most. */
const maxTogether = 200

/** How many that cannot share a transaction are processed at once. */
const maxAlone = 4

/** The longest rest between two batches for the sake of what comes in, in milliseconds. */
const longestRest = 1000

/** How many webhooks are listed at once to be processed again. */
const replayPage = 1000

const begun: Swept = { claimed: 0, succeeded: 0, postponed: 0, failed: 0, dead: 0, appended: 0 }

/** What was done so far, with a batch more. */
const counted = (sofar: Swept, ended: ReadonlyArray<Processed>): Swept => {
  const of = (tag: Inbox.Ending["_tag"]) => ended.filter(({ result }) => result._tag === tag).length
  return {
    claimed: sofar.claimed + ended.length,
    succeeded: sofar.succeeded + of("Succeeded"),
    postponed: sofar.postponed + of("Postponed"),
    failed: sofar.failed + of("Failed"),
    dead: sofar.dead + of("Dead"),
    appended: ended.reduce((sum, { counts }) => sum + counts.appended, sofar.appended)
  }
}

/** Parts what was drafted so that no part has more events than one transaction appends. */
const parts = (drafted: ReadonlyArray<Drafted>, batchSize: number): ReadonlyArray<ReadonlyArray<Drafted>> => {
  const found: Array<Array<Drafted>> = []
  let events = Infinity
  for (const each of drafted) {
    events += each.draft.events.length
    if (events > batchSize) {
      found.push([each])
      events = each.draft.events.length
    } else found.at(-1)?.push(each)
  }
  return found
}

/** Whether storage failed in a way that it would fail in for any other webhook. */
const isDown = (error: LedgerError.InvalidInput | LedgerError.LedgerError | "died"): error is LedgerError.LedgerError =>
  error !== "died" && error._tag !== "InvalidInput" &&
  !(error._tag === "LedgerUnavailable" && (error.reason === "timeout" || error.reason === "contention"))

/** Processes many webhooks, by the ways to read and to process a single one. */
const batches = (options: {
  readonly inbox: Inbox.Inbox["Service"]
  readonly batchSize: number
  readonly draft: (webhook: Inbox.Webhook) => Effect.Effect<Option.Option<Reading.Draft>>
  /** Processes one all by itself. */
  readonly alone: (webhook: Inbox.Webhook) => Effect.Effect<Processed>
  /** Tells of a try that has ended. */
  readonly tell: (webhook: Inbox.Webhook, reading: Reading.Reading) => Effect.Effect<void>
}) => {
  const { alone, batchSize, draft, inbox, tell } = options

  const processAlone = (webhook: Inbox.Webhook): Effect.Effect<Ended> =>
    Effect.map(alone(webhook), ({ counts, result }) => ({ webhook, counts, result }))

  const postpone = ({ webhook }: Drafted, reason: string): Effect.Effect<Ended> => {
    const result: Inbox.Ending = { _tag: "Postponed", reason }
    return Effect.as(
      Effect.catchCause(inbox.finish(webhook, result), () => Effect.void),
      { webhook, result, counts: Reading.nothing }
    )
  }

  /** Ends the tries of webhooks of a tenant together; those that are left have to be processed alone. */
  const settle = Effect.fnUntraced(function*(tenantId: Tenant.TenantId, drafted: ReadonlyArray<Drafted>) {
    const settled = yield* Effect.result(Effect.catchDefect(
      inbox.settle(
        tenantId,
        drafted.map(({ draft: { events }, ending, webhook: { id } }) => ({ id, events, ending }))
      ),
      () => Effect.fail("died" as const)
    ))
    if (Result.isFailure(settled)) {
      const error = settled.failure
      return isDown(error)
        ? { ended: yield* Effect.forEach(drafted, (each) => postpone(each, error.message)), left: [] }
        : { ended: [], left: drafted.map(({ webhook }) => webhook) }
    }
    const ended: Array<Ended> = []
    const left: Array<Inbox.Webhook> = []
    for (const [index, { draft, ending, webhook }] of drafted.entries()) {
      const outcomes = settled.success[index] ?? []
      if (InboxRow.isSettled(outcomes)) {
        const reading = { ...draft.conclude(outcomes), result: ending }
        yield* tell(webhook, reading)
        ended.push({ webhook, result: ending, counts: reading.counts })
      } else left.push(webhook)
    }
    return { ended, left }
  })

  /** Processes webhooks in hand, each to the end of its try. */
  return Effect.fnUntraced(function*(webhooks: ReadonlyArray<Inbox.Webhook>) {
    const [first, second] = webhooks
    if (first === undefined) return []
    if (second === undefined) return [yield* processAlone(first)]
    const drafted: Array<Drafted> = []
    const left: Array<Inbox.Webhook> = []
    for (const webhook of webhooks) {
      const found = yield* draft(webhook)
      if (Option.isNone(found)) left.push(webhook)
      else {
        const ending = InboxRow.giveUp(found.value.ending, webhook.attempts)
        drafted.push({ webhook, draft: found.value, ending })
      }
      // Others have their turn between two bodies.
      yield* Effect.yieldNow
    }
    const ended: Array<Ended> = []
    for (const [tenantId, own] of Map.groupBy(drafted, ({ webhook }) => webhook.tenantId)) {
      for (const part of parts(own, batchSize)) {
        const settled = yield* settle(tenantId, part)
        ended.push(...settled.ended)
        left.push(...settled.left)
      }
    }
    return [...ended, ...yield* Effect.forEach(left, processAlone, { concurrency: maxAlone })]
  })
}

/** Opens the ways to process all that is due and all that is asked for. */
export const make = (
  options: Omit<Parameters<typeof batches>[0], "alone" | "tell"> & {
    readonly stalledFor: Duration.Duration
    /** How many webhooks have come in so far. */
    readonly received: () => number
    /** Processes one all by itself; one that is not new was asked for. */
    readonly alone: (webhook: Inbox.Webhook, isNew: boolean) => Effect.Effect<Processed>
    readonly tell: (webhook: Inbox.Webhook, reading: Reading.Reading, isNew: boolean) => Effect.Effect<void>
  }
) => {
  const { inbox, received } = options

  const together = (isNew: boolean) =>
    batches({
      ...options,
      alone: (webhook) => options.alone(webhook, isNew),
      tell: (webhook, reading) => options.tell(webhook, reading, isNew)
    })

  /** Rests after a batch: as its rate asks, or for as long as the batch took where others came in meanwhile. */
  const paced = Effect.fnUntraced(function*<A extends { readonly size: number }, E, R>(
    rate: number | undefined,
    batch: Effect.Effect<A, E, R>
  ) {
    const before = received()
    const began = yield* Clock.currentTimeMillis
    const done = yield* batch
    const took = (yield* Clock.currentTimeMillis) - began
    const rest = rate === undefined
      ? received() === before ? 0 : Math.min(took, longestRest)
      : done.size * 1000 / rate - took
    yield* rest > 0 && done.size > 0 ? Effect.sleep(rest) : Effect.yieldNow
    return done
  })

  /** How many are processed together: no more than a second's worth at the given rate. */
  const sizeAt = (rate: number | undefined): number => Math.max(1, Math.min(maxTogether, Math.floor(rate ?? Infinity)))

  const sweep = Effect.fn("Ingestion.sweep")(function*(asked: SweepOptions = {}) {
    const { onBatch, rate, tenantId = Tenant.all } = asked
    const stalledFor = Duration.fromInputUnsafe(asked.stalledFor ?? options.stalledFor)
    const postponed = new Set<Inbox.WebhookId>()
    const processAll = together(true)
    let swept = begun
    const next = Effect.uninterruptible(Effect.gen(function*() {
      const claimed = yield* inbox.claim({ scope: tenantId, limit: sizeAt(rate), stalledFor })
      if (claimed.length === 0) return { size: 0, isLast: true }
      const ended = yield* processAll(claimed)
      swept = counted(swept, ended)
      yield* onBatch?.(swept) ?? Effect.void
      const delayed = ended.filter(({ result }) => result._tag === "Postponed").map(({ webhook: { id } }) => id)
      const isLast = delayed.some((id) => postponed.has(id))
      for (const id of delayed) postponed.add(id)
      return { size: claimed.length, isLast }
    }))
    while (!(yield* paced(rate, next)).isLast);
    return swept
  })

  const replayAll = Effect.fn("Ingestion.replayAll")(function*({ onBatch, rate, ...query }: ReplayQuery) {
    const processAll = together(false)
    let swept = begun
    let waiting: Array<Inbox.WebhookId> = []
    let after: Place.Place | undefined
    const next = Effect.uninterruptible(Effect.gen(function*() {
      if (waiting.length === 0) {
        const page = yield* inbox.list({ ...query, limit: replayPage, ...after !== undefined && { after } })
        const last = page.at(-1)
        if (last === undefined) return { size: 0, isLast: true }
        after = Place.of(last.receivedAt, last.id)
        waiting = page.map(({ id }) => id)
      }
      const asked = waiting.slice(0, sizeAt(rate))
      const claimed = yield* inbox.reclaim(query.scope, asked)
      // Those that are not there any more are passed over; those that did not fit come next.
      const last = claimed.at(-1)
      waiting = waiting.slice(last === undefined ? asked.length : asked.indexOf(last.id) + 1)
      const ended = yield* processAll(claimed)
      swept = counted(swept, ended)
      yield* onBatch?.(swept, ended.map(({ counts, result, webhook: { id } }) => ({ id, counts, result }))) ??
        Effect.void
      return {
        size: claimed.length,
        isLast: ended.length > 0 && ended.every(({ result }) => result._tag === "Postponed")
      }
    }))
    while (!(yield* paced(rate, next)).isLast);
    return swept
  })

  return { sweep, replayAll }
}
