/**
 * Models a webhook as an inbox keeps it, and decides when it is tried, what is shown of it and when it is deleted.
 *
 * @since 0.2.0
 */
import { DateTime, Duration, Option, Result, Schema } from "effect"
import * as Inbox from "./Inbox.ts"
import type * as InboxQuery from "./InboxQuery.ts"
import * as Ledger from "./Ledger.ts"
import * as Place from "./Place.ts"
import type * as Provider from "./Provider.ts"
import * as Retry from "./Retry.ts"
import * as Text from "./Text.ts"
import * as Timestamp from "./Timestamp.ts"

/**
 * A webhook, when it was claimed, and before when it is not tried again.
 *
 * @category schemas
 * @since 0.2.0
 */
export const InboxRow = Schema.Struct({
  webhook: Inbox.Webhook,
  claimedAt: Schema.OptionFromNullOr(Timestamp.Timestamp),
  nextAttemptAt: Schema.OptionFromNullOr(Timestamp.Timestamp)
})

/**
 * A webhook as an inbox keeps it.
 *
 * @category models
 * @since 0.2.0
 */
export type InboxRow = typeof InboxRow.Type

/**
 * What tells a token apart from others: whose secrets verified it, the provider and its value.
 *
 * @category getters
 * @since 0.2.0
 */
export const tokenKey = (
  { token, provider }: { readonly token: Inbox.Token; readonly provider: Provider.Provider }
): string => JSON.stringify([token.verifiedBy, provider, token.value])

/**
 * Decides what a token means that came before with a webhook: repeated over the same body, else refused.
 *
 * @category decisions
 * @since 0.2.0
 */
export const repeated = (
  { provider, tenantId }: Pick<Inbox.NewWebhook, "tenantId" | "provider">,
  known: { readonly id: Inbox.WebhookId; readonly isSameBody: boolean }
): Result.Result<Inbox.Repeated, Inbox.TokenReplayed> =>
  known.isSameBody
    ? Result.succeed({ _tag: "Repeated", id: known.id })
    : Result.fail(new Inbox.TokenReplayed({ tenantId, provider }))

/**
 * A webhook as it is stored: its first try has begun.
 *
 * @category constructors
 * @since 0.2.0
 */
export const receive = (
  { body, headers, provider, tenantId }: Inbox.NewWebhook,
  id: Inbox.WebhookId,
  at: Timestamp.Timestamp
): InboxRow => ({
  webhook: {
    id,
    tenantId,
    provider,
    headers: { ...headers },
    body: body.slice(),
    status: "processing",
    attempts: 1,
    lastError: Option.none(),
    receivedAt: at,
    processedAt: Option.none()
  },
  claimedAt: Option.some(at),
  nextAttemptAt: Option.none()
})

/**
 * How often a webhook is tried before it is given up: once, and again after each of `Retry.waits`.
 *
 * @category constants
 * @since 0.2.0
 */
export const maxTries = Retry.waits.length + 1

/**
 * Gives up where the last of the bounded tries failed; any other ending is left as it is.
 *
 * @category decisions
 * @since 0.2.0
 */
export const giveUp = (ending: Inbox.Ending, attempts: number): Inbox.Ending =>
  ending._tag === "Failed" && attempts >= maxTries ? { _tag: "Dead", reason: ending.reason } : ending

/**
 * What a webhook's row says once a try has ended.
 *
 * @category models
 * @since 0.2.0
 */
export interface Concluded extends Pick<Inbox.Webhook, "status" | "attempts" | "lastError"> {
  /** When it may be tried again; absent where it is not to be tried again. */
  readonly nextAttemptAt: Option.Option<Timestamp.Timestamp>
}

/**
 * Decides what the end of a try makes of a webhook that was begun so often: a failed one waits longer each time, a postponed
 * one takes its try back and waits the first of the waits.
 *
 * @category decisions
 * @since 0.2.0
 */
export const conclude = (ending: Inbox.Ending, attempts: number, now: Timestamp.Timestamp): Concluded => {
  const { isCounted, status } = Inbox.endings[ending._tag]
  return {
    status,
    attempts: isCounted ? attempts : Math.max(attempts - 1, 0),
    lastError: ending._tag === "Succeeded" ? Option.none() : Option.some(ending.reason),
    nextAttemptAt: status === "failed"
      ? Option.some(DateTime.addDuration(now, Retry.waitAfter(isCounted ? attempts : 1)))
      : Option.none()
  }
}

/**
 * A webhook whose try has ended; one whose try had ended already is left as it is.
 *
 * @category folding
 * @since 0.2.0
 */
export const finish = (row: InboxRow, ending: Inbox.Ending, at: Timestamp.Timestamp): InboxRow => {
  const { webhook } = row
  if (webhook.status !== "processing" && webhook.status !== "received") return row
  const { nextAttemptAt, ...concluded } = conclude(ending, webhook.attempts, at)
  return {
    webhook: { ...webhook, ...concluded, processedAt: Option.some(at) },
    claimedAt: Option.none(),
    nextAttemptAt
  }
}

/**
 * A webhook that may be claimed at once, its tries forgotten.
 *
 * @category folding
 * @since 0.2.0
 */
export const release = ({ webhook }: InboxRow): InboxRow => ({
  webhook: { ...webhook, status: "received", attempts: 0 },
  claimedAt: Option.none(),
  nextAttemptAt: Option.none()
})

/** A webhook whose next try has begun. */
const begin = ({ webhook }: InboxRow, at: Timestamp.Timestamp): InboxRow => ({
  webhook: { ...webhook, status: "processing", attempts: webhook.attempts + 1 },
  claimedAt: Option.some(at),
  nextAttemptAt: Option.none()
})

/**
 * Orders webhooks: the one that was received first, then by id.
 *
 * @category ordering
 * @since 0.2.0
 */
export const compare = (left: InboxRow, right: InboxRow): number =>
  left.webhook.receivedAt.epochMilliseconds - right.webhook.receivedAt.epochMilliseconds ||
  Text.compare(left.webhook.id, right.webhook.id)

/** Since when a webhook waits to be claimed; for ever, where it is not to be claimed, or its try may go on still. */
const dueAt = ({ nextAttemptAt, webhook }: InboxRow): number => {
  if (webhook.status === "received") return webhook.receivedAt.epochMilliseconds
  return webhook.status === "failed"
    ? Option.match(nextAttemptAt, { onNone: () => Infinity, onSome: (at) => at.epochMilliseconds })
    : Infinity
}

const byDue = (left: InboxRow, right: InboxRow): number =>
  dueAt(left) - dueAt(right) || Text.compare(left.webhook.id, right.webhook.id)

/** When a try began that has not ended. */
const begunAt = ({ claimedAt, webhook }: InboxRow): number =>
  webhook.status === "processing" && Option.isSome(claimedAt) ? claimedAt.value.epochMilliseconds : Infinity

const byBegin = (left: InboxRow, right: InboxRow): number =>
  begunAt(left) - begunAt(right) || Text.compare(left.webhook.id, right.webhook.id)

/** As many of the first webhooks as may be claimed at once, by the bytes of their bodies. */
const fitting = (rows: ReadonlyArray<InboxRow>): ReadonlyArray<InboxRow> => {
  let bytes = 0
  const beyond = rows.findIndex(({ webhook }) => (bytes += webhook.body.length) > Inbox.maxClaimedBytes)
  return beyond === -1 ? rows : rows.slice(0, Math.max(beyond, 1))
}

/**
 * The webhooks in the scope of a query that are claimed, as they are once their try has begun: a fair share of what waits for
 * each tenant and provider, the longest due first, or else the one that has stalled for the longest time.
 *
 * @category decisions
 * @since 0.2.0
 */
export const claim = (
  { limit, stalledFor }: Pick<InboxQuery.ClaimQuery, "limit" | "stalledFor">,
  rows: ReadonlyArray<InboxRow>,
  now: Timestamp.Timestamp
): ReadonlyArray<InboxRow> => {
  const waiting = rows.filter((row) => dueAt(row) <= now.epochMilliseconds)
  const kinds = [...Map.groupBy(waiting, ({ webhook }) => `${webhook.tenantId} ${webhook.provider}`).values()]
  const share = Math.ceil(limit / kinds.length)
  const fair = kinds.flatMap((own) => own.toSorted(byDue).slice(0, share)).toSorted(byDue).slice(0, limit)
  const stalledSince = now.epochMilliseconds - Duration.toMillis(stalledFor)
  const claimed = fair.length > 0
    ? fitting(fair)
    : rows.filter((row) => begunAt(row) < stalledSince).toSorted(byBegin).slice(0, 1)
  return claimed.map((row) => begin(row, now)).toSorted(compare)
}

/**
 * The webhooks of some ids that are claimed at once, whatever their status, in the order of the ids, as they are once their try
 * has begun.
 *
 * @category decisions
 * @since 0.2.0
 */
export const reclaim = (
  ids: ReadonlyArray<Inbox.WebhookId>,
  rows: ReadonlyArray<InboxRow>,
  now: Timestamp.Timestamp
): ReadonlyArray<InboxRow> => {
  const byId = new Map(rows.map((row) => [row.webhook.id, row]))
  return fitting(ids.flatMap((id) => byId.get(id) ?? [])).map((row) => begin(release(row), now))
}

/**
 * Whether a webhook's try has ended with these outcomes of its events: where one is a conflict, it stays in hand.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isSettled = (outcomes: ReadonlyArray<Ledger.Outcome>): boolean => !outcomes.some(Ledger.isConflict)

/**
 * A webhook whose events have been appended with these outcomes.
 *
 * @category folding
 * @since 0.2.0
 */
export const settle = (
  row: InboxRow,
  ending: Inbox.Ending,
  outcomes: ReadonlyArray<Ledger.Outcome>,
  at: Timestamp.Timestamp
): InboxRow => isSettled(outcomes) ? finish(row, ending, at) : row

/**
 * Parts the outcomes of the events of several webhooks, appended together, by webhook.
 *
 * @category getters
 * @since 0.2.0
 */
export const parted = (
  reads: ReadonlyArray<Pick<Inbox.Read, "events">>,
  outcomes: ReadonlyArray<Ledger.Outcome>
): ReadonlyArray<ReadonlyArray<Ledger.Outcome>> => {
  let from = 0
  return reads.map(({ events }) => outcomes.slice(from, from += events.length))
}

/**
 * The webhooks in the scope of a query that it asks for, newest first, without headers and bodies.
 *
 * @category getters
 * @since 0.2.0
 */
export const list = (
  { after, from, limit, provider, status, to }: Omit<InboxQuery.ListQuery, "scope">,
  rows: ReadonlyArray<InboxRow>
): ReadonlyArray<Inbox.Summary> =>
  rows
    .filter(({ webhook }) =>
      (Option.isNone(status) || status.value === webhook.status) &&
      (provider === undefined || provider === webhook.provider) &&
      (from === undefined || webhook.receivedAt.epochMilliseconds >= from.epochMilliseconds) &&
      (to === undefined || webhook.receivedAt.epochMilliseconds < to.epochMilliseconds) &&
      (after === undefined || Place.compare(Place.of(webhook.receivedAt, webhook.id), after) < 0)
    )
    .toSorted((left, right) => compare(right, left))
    .slice(0, limit)
    .map(({ webhook: { body: _body, headers: _headers, ...summary } }) => summary)

/**
 * Counts webhooks by tenant and status, of all statuses where none is named.
 *
 * @category getters
 * @since 0.2.0
 */
export const count = (
  rows: ReadonlyArray<InboxRow>,
  statuses: ReadonlyArray<Inbox.WebhookStatus> = []
): ReadonlyArray<Inbox.Count> =>
  Array.from(Map.groupBy(
    statuses.length === 0 ? rows : rows.filter(({ webhook }) => statuses.includes(webhook.status)),
    ({ webhook }) => `${webhook.tenantId} ${webhook.status}`
  ))
    .toSorted(([left], [right]) => Text.compare(left, right))
    .flatMap(([, own]) =>
      own.slice(0, 1).map(({ webhook: { status, tenantId } }) => ({ tenantId, status, count: own.length }))
    )

/** When the last try ended; never, for one that had none. */
const processedAt = ({ webhook }: InboxRow): number =>
  Option.match(webhook.processedAt, { onNone: () => Infinity, onSome: (at) => at.epochMilliseconds })

/**
 * Decides which webhooks a pruning deletes, of those that have been kept long enough the ones whose last try ended first, and
 * how many it counts; a dry run counts all of them and deletes none.
 *
 * @category decisions
 * @since 0.2.0
 */
export const prune = (
  { dryRun, limit, retention }: InboxQuery.PruneQuery,
  rows: ReadonlyArray<InboxRow>,
  now: Timestamp.Timestamp
): { readonly count: number; readonly deleted: ReadonlyArray<InboxRow> } => {
  const kept: Partial<Record<Inbox.WebhookStatus, Option.Option<Duration.Duration>>> = retention
  const outdated = rows.filter((row) => {
    const time = kept[row.webhook.status] ?? Option.none()
    return Option.isSome(time) && processedAt(row) < now.epochMilliseconds - Duration.toMillis(time.value)
  })
  if (dryRun) return { count: outdated.length, deleted: [] }
  const deleted = outdated.toSorted((left, right) => processedAt(left) - processedAt(right)).slice(0, limit)
  return { count: deleted.length, deleted }
}
