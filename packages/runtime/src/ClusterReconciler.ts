/**
 * Sweeps as a cron job of an Effect Cluster, for applications that run on one.
 *
 * The cluster only wakes the sweep: each tick is claimed by its row as everywhere else, so that nodes inside and outside of the
 * cluster may share a schedule. `effect/cluster` is unstable and is loaded by this module alone.
 *
 * @since 0.1.0
 */
import type { LedgerError, Ticks } from "@waybill/core"
import { Effect, Fiber, Layer } from "effect"
import * as ClusterCron from "effect/cluster/ClusterCron"
import type * as Sharding from "effect/cluster/Sharding"
import * as Reconciler from "./Reconciler.ts"
import type * as Schedules from "./Schedules.ts"

/**
 * The times of a scheduled sweep, the orphans that it reaches, and the runners that make it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends Reconciler.CronOptions {
  /** The shard group that the job runs on; the cluster's own by default. */
  readonly shardGroup?: string
}

/**
 * Sweeps at the times of a cron, on whichever runner the cluster gives the job to.
 *
 * When the layer is closed, a sweep in hand lets its batch commit and begins no other; the cluster gives the next tick to
 * another runner.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: Options = {}
): Layer.Layer<
  never,
  Schedules.InvalidCron | LedgerError.InvalidInput,
  Reconciler.Reconciler | Ticks.Ticks | Sharding.Sharding
> =>
  Layer.unwrap(Effect.gen(function*() {
    const { cron, runTick, schedule } = yield* Reconciler.job.prepare(options)
    const scope = yield* Effect.scope
    // The cluster runs its jobs uninterruptibly; a fiber of this layer's own can be stopped between two batches.
    const execute = Effect.gen(function*() {
      const tick = yield* ClusterCron.CurrentScheduledTime
      const running = yield* Effect.forkIn(runTick(tick), scope, { uninterruptible: false })
      yield* Fiber.await(running)
    })
    return ClusterCron.make({ name: `waybill/${schedule}`, cron, execute, shardGroup: options.shardGroup })
  }))
