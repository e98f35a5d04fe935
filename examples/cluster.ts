/**
 * Sweeps as a cron job of an Effect Cluster: two runners share one PostgreSQL server, each tick is run by one of them, and
 * where that one ends the other takes the next.
 *
 * Run it: WAYBILL_DATABASE_URL=postgres://… npx node --conditions=@waybill/source examples/cluster.ts
 */
import { NodeClusterSocket, NodeRuntime } from "@effect/platform-node"
import { Ticks } from "@waybill/core"
import { Reconciler } from "@waybill/runtime"
import * as ClusterReconciler from "@waybill/runtime/ClusterReconciler"
import { PgMigrations, PgServer, PgStorage } from "@waybill/storage"
import { Config, Console, DateTime, Effect, Layer, Option, type Redacted } from "effect"
import { RunnerAddress } from "effect/cluster"
import { SecureRandom } from "effect/crypto"

/** What one runner is made of: the ledger, the cluster over the same server, and the sweep as its job. */
export const runner = (url: Redacted.Redacted, port: number, cron: string) =>
  Layer.fresh(
    ClusterReconciler.layer({ cron, node: `runner ${port}`, grace: "0 millis" }).pipe(
      Layer.provide(Reconciler.layer),
      Layer.provide(PgStorage.layer()),
      Layer.provide(NodeClusterSocket.layer({
        shardingConfig: { runnerAddress: Option.some(RunnerAddress.make("127.0.0.1", port)) }
      })),
      Layer.provide(PgServer.layer(url)),
      Layer.provide(SecureRandom.layerWebCrypto)
    )
  )

/** Who ran the last ticks. */
export const recent = Effect.gen(function*() {
  const ticks = yield* Ticks.Ticks
  return yield* ticks.recent({ schedule: Option.some(Reconciler.defaultSchedule), limit: 5 })
})

const main = Effect.gen(function*() {
  const url = yield* Config.Redacted("WAYBILL_DATABASE_URL")
  yield* PgMigrations.migrate().pipe(Effect.provide(PgServer.layer(url)))
  const watch = Effect.gen(function*() {
    for (const { counts, node, tick } of yield* recent) yield* Console.log(DateTime.formatIso(tick), node, counts)
  }).pipe(
    Effect.delay("45 seconds"),
    Effect.provide(PgStorage.layer()),
    Effect.provide([PgServer.layer(url), SecureRandom.layerWebCrypto])
  )
  yield* Effect.raceFirst(
    Effect.all([
      Layer.launch(runner(url, 34_431, "*/10 * * * * *")),
      Layer.launch(runner(url, 34_432, "*/10 * * * * *"))
    ], {
      concurrency: "unbounded"
    }),
    watch
  )
})

if (import.meta.main) NodeRuntime.runMain(main)
