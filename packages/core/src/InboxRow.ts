/**
 * Models a webhook as an inbox keeps it, and decides when it is tried, what is shown of it and when it is deleted.
 *
 * @since 0.2.0
 */
import { Duration, Option, Result, Schema } from "effect"
import * as Inbox from "./Inbox.ts"
import * as Place from "./Place.ts"
import type * as Provider from "./Provider.ts"
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
): Result.Result<Inbox.Stored, Inbox.TokenReplayed> =>
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
 * A webhook whose try has ended; one whose try had ended already is left as it is.
 *
 * @category folding
 * @since 0.2.0
 */
export const finish = (row: InboxRow, ending: Inbox.Ending, at: Timestamp.Timestamp): InboxRow => {
  const { webhook } = row
  if (webhook.status !== "processing" && webhook.status !== "received") return row
  const { nextAttemptAt, ...concluded } = Inbox.conclude(ending, webhook.attempts, at)
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
 * Tells whether a webhook may be claimed: it was released, it failed and has waited, or its try began too long ago to go on
 * still.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isDue = (
  { claimedAt, nextAttemptAt, webhook }: InboxRow,
  stalledFor: Duration.Duration,
  now: Timestamp.Timestamp
): boolean => {
  if (webhook.status === "received") return true
  if (webhook.status === "failed") {
    return Option.exists(nextAttemptAt, (at) => at.epochMilliseconds <= now.epochMilliseconds)
  }
  const stalledSince = now.epochMilliseconds - Duration.toMillis(stalledFor)
  return webhook.status === "processing" && Option.exists(claimedAt, (at) => at.epochMilliseconds < stalledSince)
}

/**
 * Orders webhooks: the one that was received first, then by id.
 *
 * @category ordering
 * @since 0.2.0
 */
export const compare = (left: InboxRow, right: InboxRow): number =>
  left.webhook.receivedAt.epochMilliseconds - right.webhook.receivedAt.epochMilliseconds ||
  Text.compare(left.webhook.id, right.webhook.id)

/**
 * The webhooks in the scope of a query that are claimed, oldest first, as they are once their try has begun.
 *
 * @category decisions
 * @since 0.2.0
 */
export const claim = (
  { limit, stalledFor }: Pick<Inbox.ClaimQuery, "limit" | "stalledFor">,
  rows: ReadonlyArray<InboxRow>,
  now: Timestamp.Timestamp
): ReadonlyArray<InboxRow> =>
  rows
    .filter((row) => isDue(row, stalledFor, now))
    .toSorted(compare)
    .slice(0, limit)
    .map((row) => begin(row, now))

/**
 * The webhooks in the scope of a query that it asks for, newest first, without headers and bodies.
 *
 * @category getters
 * @since 0.2.0
 */
export const list = (
  { after, limit, status }: Pick<Inbox.ListQuery, "after" | "limit" | "status">,
  rows: ReadonlyArray<InboxRow>
): ReadonlyArray<Inbox.Summary> =>
  rows
    .filter(({ webhook }) =>
      (Option.isNone(status) || status.value === webhook.status) &&
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
  { dryRun, limit, retention }: Inbox.PruneQuery,
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
