/**
 * Measures how many orphans wait and for how long, into the metrics.
 *
 * @since 0.2.0
 */
import { Orphans, Tenant } from "@waybill/core"
import { type Cause, DateTime, type Duration, Effect, Layer, Schedule } from "effect"
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
  yield* Metrics.update(Metrics.oldestOrphanAge, Math.max(0, ...backlog.map(({ oldest }) => secondsAt(now, oldest))))
  return backlog
})

/**
 * Measures the waiting orphans again and again, every minute by default; a failure is logged and the next time tried
 * again.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: { readonly every?: Duration.Input; readonly horizon?: Duration.Input } = {}
): Layer.Layer<never, never, Orphans.Orphans> =>
  Layer.effectDiscard(
    measure(options.horizon).pipe(
      Effect.catchCause((cause: Cause.Cause<unknown>) =>
        Effect.logWarning("backlog not measured").pipe(annotateReason(cause))
      ),
      Effect.repeat(Schedule.spaced(options.every ?? "1 minute")),
      Effect.forkScoped
    )
  )
