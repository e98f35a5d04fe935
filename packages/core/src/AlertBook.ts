/**
 * Keeps the alerts of an installation as one value, and says what each operation of `Alerts` makes of it: an adapter that keeps
 * rows does the same.
 *
 * @since 0.2.0
 */
import { DateTime, Duration, Option, Schema } from "effect"
import * as Alert from "./Alert.ts"
import * as Alerts from "./Alerts.ts"
import * as Tenant from "./Tenant.ts"
import * as Text from "./Text.ts"
import * as Timestamp from "./Timestamp.ts"

/**
 * A notice and how it stands with posting it.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Entry = Schema.Struct({
  notice: Alert.Notice,
  attempts: Schema.Int,
  /** When it is to be posted next; absent where it is not, or was. */
  dueAt: Schema.OptionFromNullOr(Timestamp.Timestamp)
})

/**
 * A notice and how it stands with posting it.
 *
 * @category models
 * @since 0.2.0
 */
export type Entry = typeof Entry.Type

/**
 * How the webhooks of a tenant's provider were answered in one part of the time.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Tally = Schema.Struct({ ...Alerts.Answered.fields, startsAt: Timestamp.Timestamp })

/**
 * How the webhooks of a tenant's provider were answered in one part of the time.
 *
 * @category models
 * @since 0.2.0
 */
export type Tally = typeof Tally.Type

/**
 * The alerts of an installation, and what is kept beside them; its encoded form is JSON.
 *
 * @category schemas
 * @since 0.2.0
 */
export const AlertBook = Schema.Struct({
  alerts: Schema.Array(Alert.Alert),
  entries: Schema.Array(Entry),
  mutes: Schema.Array(Alert.Mute),
  tallies: Schema.Array(Tally)
})

/**
 * The alerts of an installation, and what is kept beside them.
 *
 * @category models
 * @since 0.2.0
 */
export type AlertBook = typeof AlertBook.Type

/**
 * A book in which nothing stands.
 *
 * @category constants
 * @since 0.2.0
 */
export const empty: AlertBook = { alerts: [], entries: [], mutes: [], tallies: [] }

/**
 * A book after an operation, and what the operation returns.
 *
 * @category models
 * @since 0.2.0
 */
export type Changed<A> = readonly [result: A, book: AlertBook]

const isReached = (scope: Tenant.Scope, { tenantId }: { readonly tenantId: Tenant.Scope }): boolean =>
  scope === Tenant.all || scope === tenantId

/**
 * Settles a verdict.
 *
 * @category folding
 * @since 0.2.0
 */
export const settle = (
  book: AlertBook,
  verdict: Alert.Verdict,
  ids: ReadonlyArray<Alert.AlertId>,
  now: Timestamp.Timestamp
): Changed<ReadonlyArray<Alert.Notice>> => {
  const steps = Alert.settle(verdict, book.alerts.filter(Alert.isOpen), ids, now)
  const changed = new Map(steps.map(({ alert }) => [alert.id, alert]))
  const kept = book.alerts.map((alert) => changed.get(alert.id) ?? alert)
  const known = new Set(kept.map(({ id }) => id))
  const last = book.entries.at(-1)?.notice.position ?? 0
  const notices = steps
    .flatMap(({ alert, told }) => Option.toArray(told).map((kind) => ({ alert, kind })))
    .map(({ alert, kind }, index): Alert.Notice =>
      Object.assign(
        { position: last + index + 1 },
        Alert.noticeOf(alert, kind, Alert.isMuted(alert, book.mutes, now), now)
      )
    )
  const entries = notices.map((notice): Entry => ({
    notice,
    attempts: 0,
    dueAt: notice.isMuted ? Option.none() : Option.some(now)
  }))
  return [notices, {
    ...book,
    alerts: [...kept, ...steps.map(({ alert }) => alert).filter(({ id }) => !known.has(id))],
    entries: [...book.entries, ...entries]
  }]
}

/**
 * The alerts of a query, what opened last first.
 *
 * @category getters
 * @since 0.2.0
 */
export const list = (book: AlertBook, { isOpen, limit, scope }: Alerts.ListQuery): ReadonlyArray<Alert.Alert> =>
  book.alerts
    .filter((alert) => isReached(scope, alert) && (!isOpen || Alert.isOpen(alert)))
    .toSorted(Alert.compare)
    .slice(0, limit)

/**
 * An alert of a scope with all that was told of it.
 *
 * @category getters
 * @since 0.2.0
 */
export const history = (book: AlertBook, scope: Tenant.Scope, id: Alert.AlertId): Option.Option<Alerts.History> =>
  Option.map(
    Option.fromUndefinedOr(book.alerts.find((alert) => alert.id === id && isReached(scope, alert))),
    (alert) => ({
      alert,
      notices: book.entries.map(({ notice }) => notice).filter(({ alertId }) => alertId === id)
    })
  )

/**
 * The notices of a query, in the order of their places, without those that were muted.
 *
 * @category getters
 * @since 0.2.0
 */
export const notices = (
  book: AlertBook,
  { after, limit, scope }: Alerts.NoticesQuery
): ReadonlyArray<Alert.Notice> =>
  book.entries
    .map(({ notice }) => notice)
    .filter((notice) => notice.position > after && !notice.isMuted && isReached(scope, notice))
    .slice(0, limit)

/**
 * Mutes a rule; a mute of the same tenant and rule is replaced.
 *
 * @category folding
 * @since 0.2.0
 */
export const mute = (book: AlertBook, given: Alert.Mute): AlertBook => ({
  ...book,
  mutes: [...book.mutes.filter(({ rule, tenantId }) => rule !== given.rule || tenantId !== given.tenantId), given]
})

/**
 * The mutes of a scope that have not ended, by tenant and rule.
 *
 * @category getters
 * @since 0.2.0
 */
export const mutes = (
  book: AlertBook,
  scope: Tenant.Scope,
  now: Timestamp.Timestamp
): ReadonlyArray<Alert.Mute> =>
  book.mutes
    .filter((mute) =>
      (isReached(scope, mute) || mute.tenantId === Tenant.all) && mute.until.epochMilliseconds > now.epochMilliseconds
    )
    .toSorted((left, right) => Text.compare(left.tenantId, right.tenantId) || Text.compare(left.rule, right.rule))

/**
 * Claims the notices that are due, oldest first.
 *
 * @category folding
 * @since 0.2.0
 */
export const claim = (
  book: AlertBook,
  { lease, limit }: { readonly limit: number; readonly lease: Duration.Duration },
  now: Timestamp.Timestamp
): Changed<ReadonlyArray<Alerts.Claimed>> => {
  const youngest = now.epochMilliseconds - Duration.toMillis(Alerts.postedWithin)
  const due = book.entries
    .filter(({ dueAt, notice }) =>
      notice.at.epochMilliseconds >= youngest &&
      Option.exists(dueAt, (at) => at.epochMilliseconds <= now.epochMilliseconds)
    )
    .slice(0, limit)
    .map((entry): Entry => ({
      notice: entry.notice,
      attempts: entry.attempts + 1,
      dueAt: Option.some(DateTime.addDuration(now, lease))
    }))
  return [due.map(({ attempts, notice }) => ({ notice, attempts })), replaced(book, due)]
}

const replaced = (book: AlertBook, entries: ReadonlyArray<Entry>): AlertBook => {
  const changed = new Map(entries.map((entry) => [entry.notice.position, entry]))
  return { ...book, entries: book.entries.map((entry) => changed.get(entry.notice.position) ?? entry) }
}

/**
 * Notes that a notice was posted, or when it is to be tried again.
 *
 * @category folding
 * @since 0.2.0
 */
export const posted = (
  book: AlertBook,
  { position, tenantId }: Pick<Alert.Notice, "tenantId" | "position">,
  again: Option.Option<Timestamp.Timestamp>
): AlertBook =>
  replaced(
    book,
    book.entries
      .filter(({ notice }) => notice.position === position && notice.tenantId === tenantId)
      .map(({ attempts, notice }) => ({ notice, attempts, dueAt: again }))
  )

/**
 * How long the parts are in which answers are counted.
 *
 * @category constants
 * @since 0.2.0
 */
export const tallyEvery: Duration.Duration = Duration.minutes(5)

/**
 * How long it is kept how webhooks were answered.
 *
 * @category constants
 * @since 0.2.0
 */
export const talliesKept: Duration.Duration = Duration.days(2)

/**
 * The beginning of the part of the time in which an instant is.
 *
 * @category getters
 * @since 0.2.0
 */
export const partOf = ({ epochMilliseconds }: Timestamp.Timestamp): Timestamp.Timestamp => {
  const length = Duration.toMillis(tallyEvery)
  return DateTime.makeUnsafe(Math.floor(epochMilliseconds / length) * length)
}

const sums = (answered: ReadonlyArray<Alerts.Answered>): ReadonlyArray<Alerts.Answered> =>
  Array.from(Map.groupBy(answered, ({ provider, tenantId }) => `${tenantId} ${provider}`))
    .toSorted(([left], [right]) => Text.compare(left, right))
    .flatMap(([, all]) =>
      all.slice(0, 1).map(({ provider, tenantId }) => ({
        tenantId,
        provider,
        answered: all.reduce((sum, { answered }) => sum + answered, 0),
        refused: all.reduce((sum, { refused }) => sum + refused, 0)
      }))
    )

/**
 * Adds how webhooks were answered, and leaves out what is too old.
 *
 * @category folding
 * @since 0.2.0
 */
export const noteAnswered = (
  book: AlertBook,
  answered: ReadonlyArray<Alerts.Answered>,
  now: Timestamp.Timestamp
): AlertBook => {
  const startsAt = partOf(now)
  const [young, old] = [startsAt.epochMilliseconds, now.epochMilliseconds - Duration.toMillis(talliesKept)]
  const kept = book.tallies.filter((tally) => tally.startsAt.epochMilliseconds >= old)
  const current = kept.filter((tally) => tally.startsAt.epochMilliseconds === young)
  const summed = sums([...current, ...answered])
  return {
    ...book,
    tallies: [
      ...kept.filter((tally) => tally.startsAt.epochMilliseconds !== young),
      ...summed.map((each): Tally => Object.assign({ startsAt }, each))
    ]
  }
}

/**
 * How webhooks were answered in the last so long, by tenant and provider.
 *
 * @category getters
 * @since 0.2.0
 */
export const answered = (
  book: AlertBook,
  within: Duration.Duration,
  now: Timestamp.Timestamp
): ReadonlyArray<Alerts.Answered> =>
  sums(
    book.tallies.filter(({ startsAt }) =>
      startsAt.epochMilliseconds > now.epochMilliseconds - Duration.toMillis(within)
    )
  )
