/**
 * Measures what waits, into the metrics: how many orphans and for how long, how many raw webhooks are not in the ledger, how many
 * alerts are open, and how far consumers are behind the feed.
 *
 * @since 0.2.0
 */
import { AlertRule, Alerts, type Checkpoints, Inbox, Input, type Ledger, Orphans, Tenant } from "@waybill/core"
import { type Cause, DateTime, type Duration, Effect, Layer, Schedule } from "effect"
import * as Feed from "./Feed.ts"
import { secondsAt } from "./internal/age.ts"
import { annotateReason } from "./internal/reason.ts"
import * as Metrics from "./Metrics.ts"

/**
 * Measures the waiting orphans of all tenants: how many, how old, how many past a horizon. It costs what is pending, so a
 * sweep does not do it.
 *
 * @category measuring
 * @since 0.1.0
 */
export const measure = Effect.fn("Backlog.measure")(function*(horizon: Duration.Input = "7 days") {
  const orphans = yield* Orphans.Orphans
  const now = yield* DateTime.now
  const backlog = yield* orphans.backlog({
    scope: Tenant.all,
    horizon: DateTime.subtractDuration(now, horizon)
  })
  yield* Metrics.update(Metrics.orphansPending, backlog.reduce((sum, { pending }) => sum + pending, 0))
  yield* Metrics.update(Metrics.orphansExpired, backlog.reduce((sum, { expired }) => sum + expired, 0))
  yield* Metrics.update(
    Metrics.oldestOrphanAge,
    backlog.reduce((age, { oldest }) => Math.max(age, secondsAt(now, oldest)), 0)
  )
  return backlog
})

/**
 * How many raw webhooks of all tenants are not in the ledger, by status.
 *
 * @category models
 * @since 0.2.0
 */
export type Unfinished = Readonly<Record<typeof Inbox.unfinished[number], number>>

const counted = (count: number, one: string, more: string): ReadonlyArray<string> =>
  count === 0 ? [] : [count === 1 ? `1 webhook ${one}` : `${count} webhooks ${more}`]

/**
 * The words for whoever has to look at unfinished webhooks; none where webhooks are merely in hand.
 *
 * @category getters
 * @since 0.2.0
 */
export const warnings = ({ dead, failed, received }: Unfinished): ReadonlyArray<string> => [
  ...counted(dead, "was given up", "were given up"),
  ...counted(failed + received, "is to be tried again", "are to be tried again")
]

/**
 * Counts the raw webhooks of all tenants that are not in the ledger. It costs what is unfinished, not what is kept.
 *
 * @category measuring
 * @since 0.2.0
 */
export const unfinished = Effect.gen(function*() {
  const inbox = yield* Inbox.Inbox
  const counts = yield* inbox.counts(Tenant.all, Inbox.unfinished)
  const of = (wanted: Inbox.WebhookStatus) =>
    counts.reduce((sum, { count, status }) => status === wanted ? sum + count : sum, 0)
  const found: Unfinished = {
    received: of("received"),
    processing: of("processing"),
    failed: of("failed"),
    dead: of("dead")
  }
  return found
}).pipe(Effect.withSpan("Backlog.unfinished"))

/**
 * Measures the raw webhooks of all tenants that are not in the ledger.
 *
 * @category measuring
 * @since 0.2.0
 */
export const measureInbox = Effect.fn("Backlog.measureInbox")(function*() {
  const found = yield* unfinished
  for (const status of Inbox.unfinished) yield* Metrics.update(Metrics.webhooksUnfinished, found[status], { status })
  return found
})

/**
 * Counts the open alerts of all tenants and of the installation, by rule.
 *
 * @category measuring
 * @since 0.2.0
 */
export const measureAlerts = Effect.fn("Backlog.measureAlerts")(function*() {
  const alerts = yield* Alerts.Alerts
  const open = yield* alerts.list({ scope: Tenant.all, isOpen: true, limit: Input.maxLimit })
  for (const rule of AlertRule.Name.literals) {
    yield* Metrics.update(Metrics.alertsOpen, open.filter((alert) => alert.rule === rule).length, { rule })
  }
  return open
})

const again = <A, E, R>(
  measure: Effect.Effect<A, E, R>,
  every: Duration.Input = "1 minute"
): Layer.Layer<never, never, R> =>
  Layer.effectDiscard(
    measure.pipe(
      Effect.catchCause((cause: Cause.Cause<unknown>) =>
        Effect.logWarning("backlog not measured").pipe(annotateReason(cause))
      ),
      Effect.repeat(Schedule.spaced(every)),
      Effect.forkScoped
    )
  )

/**
 * Measures the waiting orphans again and again, every minute by default; a failure is logged and the next time tried
 * again.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: { readonly every?: Duration.Input; readonly horizon?: Duration.Input } = {}
): Layer.Layer<never, never, Orphans.Orphans> => again(measure(options.horizon), options.every)

/**
 * Measures the raw webhooks that are not in the ledger in the same way.
 *
 * @category layers
 * @since 0.2.0
 */
export const layerInbox = (
  options: {
    readonly every?: Duration.Input
    /** Is told each time what was found. */
    readonly onMeasured?: (found: Unfinished) => Effect.Effect<void>
  } = {}
): Layer.Layer<never, never, Inbox.Inbox> =>
  again(Effect.flatMap(measureInbox(), options.onMeasured ?? (() => Effect.void)), options.every)

/**
 * Measures the open alerts in the same way.
 *
 * @category layers
 * @since 0.2.0
 */
export const layerAlerts = (
  options: { readonly every?: Duration.Input } = {}
): Layer.Layer<never, never, Alerts.Alerts> => again(measureAlerts(), options.every)

/**
 * Measures how far consumers of the feed are behind, in the same way: also one that is stopped, which does not say so itself.
 *
 * @category layers
 * @since 0.2.0
 */
export const layerFeed = (
  options: { readonly consumers: ReadonlyArray<string>; readonly every?: Duration.Input }
): Layer.Layer<never, never, Ledger.Ledger | Checkpoints.Checkpoints> =>
  again(Effect.forEach(options.consumers, (consumer) => Feed.lag({ consumer })), options.every)
