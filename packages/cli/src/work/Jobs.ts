/**
 * Composes the jobs of `serve` by the settings: sweeps of the orphans and of the inbox, pruning, and measuring the backlog.
 *
 * @since 0.2.0
 */
import * as Backlog from "@waybill/runtime/Backlog"
import * as Metrics from "@waybill/runtime/Metrics"
import * as Pruner from "@waybill/runtime/Pruner"
import * as Reconciler from "@waybill/runtime/Reconciler"
import * as Schedules from "@waybill/runtime/Schedules"
import * as Ingestion from "@waybill/webhooks/Ingestion"
import { DateTime, Duration, Effect, Layer, Ref } from "effect"
import * as Setting from "../config/Setting.ts"
import * as Settings from "../config/Settings.ts"

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
  Metrics.register([Reconciler.defaultSchedule, inbox.name, Pruner.defaultSchedule])
)

/**
 * Runs every job for as long as the layer lives, and notes when a sweep last made a batch.
 *
 * @category running
 * @since 0.2.0
 */
export const scheduled = Effect.fnUntraced(function*(lastBatchAt: Ref.Ref<DateTime.Utc>) {
  const node = yield* Settings.nodeName
  const timeZone = yield* Setting.read(Settings.timeZone)
  const maxAge = yield* Setting.read(Settings.maxAge)
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
    Backlog.layer({ horizon: maxAge })
  )
})
