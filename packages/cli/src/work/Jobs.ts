/**
 * Composes the jobs of `serve` by the settings: sweeps of the orphans and of the inbox, pruning, counting, and measuring the backlog.
 *
 * @since 0.2.0
 */
import { Figures } from "@waybill/core"
import * as Alerts from "@waybill/runtime/Alerts"
import * as Backlog from "@waybill/runtime/Backlog"
import * as Health from "@waybill/runtime/Health"
import * as Metrics from "@waybill/runtime/Metrics"
import * as Pruner from "@waybill/runtime/Pruner"
import * as Reconciler from "@waybill/runtime/Reconciler"
import * as Schedules from "@waybill/runtime/Schedules"
import * as Ingestion from "@waybill/webhooks/Ingestion"
import * as AlertPost from "@waybill/webhooks/outgoing/AlertPost"
import * as Providers from "@waybill/webhooks/Providers"
import * as Refusals from "@waybill/webhooks/Refusals"
import { DateTime, Duration, Effect, Layer, Option, Ref } from "effect"
import * as AlertSettings from "../config/AlertSettings.ts"
import * as Setting from "../config/Setting.ts"
import * as Settings from "../config/Settings.ts"
import { Version } from "../config/Version.ts"

const inbox = Schedules.job({
  name: "inbox",
  cron: Settings.inboxCron.fallback,
  work: (options: { readonly stalledFor: Duration.Duration }) =>
    Ingestion.Ingestion.use((ingestion) => ingestion.sweep(options)),
  counts: (swept) => ({ ...swept })
})

/**
 * Registers every metric, so that it is there with 0 before anything is counted.
 *
 * @category layers
 * @since 0.2.0
 */
export const metrics: Layer.Layer<never> = Layer.effectDiscard(
  Effect.all([
    Effect.flatMap(Version, Metrics.registerBuild),
    Metrics.register([Reconciler.defaultSchedule, inbox.name, Pruner.defaultSchedule, Health.defaultSchedule]),
    Refusals.register(Providers.all)
  ], { discard: true })
)

/**
 * What the jobs let others know of.
 *
 * @category models
 * @since 0.2.0
 */
export interface Seen {
  /** When a sweep last made a batch. */
  readonly lastBatchAt: Ref.Ref<DateTime.Utc>
  /** The raw webhooks that were not in the ledger when they were last counted. */
  readonly unfinished: Ref.Ref<Option.Option<Backlog.Unfinished>>
}

/**
 * Runs every job for as long as the layer lives, and notes what others look at.
 *
 * @category running
 * @since 0.2.0
 */
export const scheduled = Effect.fnUntraced(function*({ lastBatchAt, unfinished }: Seen) {
  const node = yield* Settings.nodeName
  const timeZone = yield* Setting.read(Settings.timeZone)
  const maxAge = yield* Setting.read(Settings.maxAge)
  const consumers = yield* Setting.read(AlertSettings.consumers)
  return Layer.mergeAll(
    Reconciler.layerCron({
      node,
      timeZone,
      cron: yield* Setting.read(Settings.reconcileCron),
      grace: yield* Setting.read(Settings.grace),
      maxAgeMinutes: Duration.toMinutes(maxAge),
      batchSize: yield* Setting.read(Settings.batchSize),
      onBatch: () => Effect.flatMap(DateTime.now, (now) => Ref.set(lastBatchAt, now))
    }),
    inbox.layerCron({
      node,
      timeZone,
      cron: yield* Setting.read(Settings.inboxCron),
      stalledFor: yield* Setting.read(Settings.inboxStalledAfter)
    }),
    Pruner.layerCron({
      node,
      timeZone,
      cron: yield* Setting.read(Settings.pruneCron),
      keep: yield* Settings.keep
    }),
    Health.layerCron({ node, timeZone, cron: yield* Setting.read(Settings.figuresCron) }),
    Alerts.layerCron({
      node,
      timeZone,
      cron: yield* Setting.read(AlertSettings.cron),
      rules: yield* AlertSettings.inForce,
      consumers,
      horizon: maxAge,
      sweeps: yield* Effect.fromResult(Schedules.parse(yield* Setting.read(Settings.reconcileCron), timeZone)),
      since: yield* DateTime.now
    }),
    Option.match(yield* AlertSettings.target, {
      onNone: () => Layer.empty,
      onSome: (target) => AlertPost.layer(target)
    }),
    Backlog.layerAlerts(),
    Backlog.layerFeed({ consumers: [Figures.consumer, ...consumers] }),
    Backlog.layer({ horizon: maxAge }),
    Backlog.layerInbox({ onMeasured: (found) => Ref.set(unfinished, Option.some(found)) })
  )
})
