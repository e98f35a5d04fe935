/**
 * Defines every metric of Waybill: its name, its meaning and how it is counted.
 *
 * They are Effect's own metrics and are exported where an exporter is configured. Their names follow Prometheus' conventions: a
 * counter ends in `_total`, and a unit is a base unit and ends the name. Their attributes are those of `Attributes`. A new metric is a definition here and a place in `ofInstallation` or in `all`.
 *
 * @since 0.2.0
 */
import { AlertRule, Inbox } from "@waybill/core"
import * as Attributes from "@waybill/core/Attributes"
import { Effect, Metric } from "effect"

const counter = (name: string, description: string) => Metric.counter(name, { description, incremental: true })

/**
 * Provider events that were appended.
 *
 * @category metrics
 * @since 0.1.0
 */
export const eventsAppended = counter("waybill_events_appended_total", "Provider events appended")

/**
 * Provider events that were in the ledger already.
 *
 * @category metrics
 * @since 0.1.0
 */
export const eventsDuplicate = counter("waybill_events_duplicate_total", "Provider events that were there already")

/**
 * Provider events that said something else than the stored one of their key.
 *
 * @category metrics
 * @since 0.1.0
 */
export const eventsConflicting = counter("waybill_events_conflicting_total", "Provider events refused for their key")

/**
 * Appended events that had no delivery yet.
 *
 * @category metrics
 * @since 0.1.0
 */
export const eventsOrphaned = counter("waybill_events_orphaned_total", "Appended events without a delivery")

/**
 * Orphans that were linked, whoever linked them.
 *
 * @category metrics
 * @since 0.1.0
 */
export const orphansLinked = counter("waybill_orphans_linked_total", "Orphans linked to their delivery")

/**
 * How long orphans waited that a sweep linked.
 *
 * @category metrics
 * @since 0.1.0
 */
export const timeToLink = Metric.histogram("waybill_time_to_link_seconds", {
  description: "Seconds from the append of an orphan to its link by a sweep",
  boundaries: [1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 21_600, 86_400, 604_800]
})

/**
 * Orphans that wait now, of all tenants.
 *
 * @category metrics
 * @since 0.1.0
 */
export const orphansPending = Metric.gauge("waybill_orphans_pending", { description: "Orphans that wait now" })

/**
 * How long the oldest waiting orphan has waited; 0 where none waits.
 *
 * @category metrics
 * @since 0.1.0
 */
export const oldestOrphanAge = Metric.gauge("waybill_orphans_oldest_age_seconds", {
  description: "Age of the oldest orphan that waits"
})

/**
 * Orphans that wait beyond the horizon, so that no sweep looks at them.
 *
 * @category metrics
 * @since 0.1.0
 */
export const orphansExpired = Metric.gauge("waybill_orphans_expired", { description: "Orphans past the horizon" })

/**
 * How long each run of a schedule took.
 *
 * @category metrics
 * @since 0.1.0
 */
export const sweepDuration = Metric.histogram("waybill_sweep_duration_seconds", {
  description: "Seconds that a run of a schedule took",
  boundaries: [0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600]
})

/**
 * Runs of a schedule that failed.
 *
 * @category metrics
 * @since 0.1.0
 */
export const sweepsFailed = counter("waybill_sweeps_failed_total", "Runs of a schedule that failed")

/**
 * How long ago the oldest event was appended that a consumer of the feed has not handled; 0 where it has handled all.
 *
 * @category metrics
 * @since 0.1.0
 */
export const feedLag = Metric.gauge("waybill_feed_lag_seconds", {
  description: "Age of the oldest event that a consumer of the feed has not handled"
})

/**
 * Raw webhooks that were deleted after their time.
 *
 * @category metrics
 * @since 0.1.0
 */
export const webhooksPruned = counter("waybill_webhooks_pruned_total", "Raw webhooks deleted after their time")

/**
 * Raw webhooks that are not in the ledger yet, of all tenants, by status: those that wait, and the dead.
 *
 * @category metrics
 * @since 0.2.0
 */
export const webhooksUnfinished = Metric.gauge("waybill_webhooks_unfinished", {
  description: "Raw webhooks that are not in the ledger, by status"
})

/**
 * Deliveries that an outbox has sent, by provider.
 *
 * @category metrics
 * @since 0.2.0
 */
export const outboxSent = counter("waybill_outbox_sent_total", "Deliveries that an outbox has sent")

/**
 * Attempts of an outbox that failed and are followed by another.
 *
 * @category metrics
 * @since 0.2.0
 */
export const outboxRetried = counter(
  "waybill_outbox_retried_total",
  "Attempts to send that failed and are followed by another"
)

/**
 * Deliveries that an outbox has given up.
 *
 * @category metrics
 * @since 0.2.0
 */
export const outboxFailed = counter("waybill_outbox_failed_total", "Deliveries that an outbox has given up")

/**
 * Alerts that are open now, by rule, of all tenants and of the installation.
 *
 * @category metrics
 * @since 0.2.0
 */
export const alertsOpen = Metric.gauge("waybill_alerts_open", { description: "Alerts that are open now, by rule" })

/**
 * The program that runs, as 1 under its version.
 *
 * @category metrics
 * @since 0.2.0
 */
export const buildInfo = Metric.gauge("waybill_build_info", {
  description: "1 under the version of the program that runs"
})

const ofOutbox = [outboxSent, outboxRetried, outboxFailed]

/** The metrics of a whole installation; the others are of a schedule, of a consumer or of an outbox. */
const ofInstallation = [
  eventsAppended,
  eventsDuplicate,
  eventsConflicting,
  eventsOrphaned,
  orphansLinked,
  timeToLink,
  orphansPending,
  oldestOrphanAge,
  orphansExpired,
  webhooksPruned
]

/**
 * Every metric.
 *
 * @category metrics
 * @since 0.2.0
 */
export const all: ReadonlyArray<Metric.Metric<never, unknown>> = [
  ...ofInstallation,
  webhooksUnfinished,
  sweepDuration,
  sweepsFailed,
  feedLag,
  alertsOpen,
  buildInfo,
  ...ofOutbox
]

const readAll = (metrics: ReadonlyArray<Metric.Metric<never, unknown>>): Effect.Effect<void> =>
  Effect.forEach(metrics, (metric) => Metric.value(metric), { discard: true })

/**
 * Registers the metrics of an installation and of its schedules, so that they are exported with 0 before anything is counted.
 * Those of a consumer or of an outbox appear with it.
 *
 * @category registering
 * @since 0.2.0
 */
export const register = (schedules: ReadonlyArray<string>): Effect.Effect<void> =>
  readAll([
    ...ofInstallation,
    ...Inbox.unfinished.map((status) => Metric.withAttributes(webhooksUnfinished, { status })),
    ...AlertRule.Name.literals.map((rule) => Metric.withAttributes(alertsOpen, { rule })),
    ...schedules.flatMap((schedule) => [
      Metric.withAttributes(sweepDuration, { schedule }),
      Metric.withAttributes(sweepsFailed, { schedule })
    ])
  ])

/**
 * Says which version of the program runs.
 *
 * @category registering
 * @since 0.2.0
 */
export const registerBuild = (version: string): Effect.Effect<void> =>
  Metric.update(Metric.withAttributes(buildInfo, { version }), 1)

/**
 * Registers the metrics of an outbox, so that they are exported with 0 before anything is sent.
 *
 * @category registering
 * @since 0.2.0
 */
export const registerOutbox: Effect.Effect<void> = readAll(ofOutbox)

/**
 * Updates a metric under attributes of the allow-list.
 *
 * @category updating
 * @since 0.1.0
 */
export const update = <Input, State>(
  metric: Metric.Metric<Input, State>,
  input: Input,
  attributes: Parameters<typeof Attributes.labels>[0] = {}
): Effect.Effect<void> => Metric.update(Metric.withAttributes(metric, Attributes.labels(attributes)), input)
