/**
 * Sweeps every five minutes for as long as the process lives, from an entry point of its own.
 *
 * Run it: DATABASE_URL=postgres://app@localhost/app npx node --conditions=@waybill/source examples/sweep.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { Reconciler } from "@waybill/runtime"
import { PgLedger, PgServer } from "@waybill/storage"
import { Config, Effect, Layer, Schedule } from "effect"
import { SecureRandom } from "effect/crypto"

/** A sweep that fails is logged and tried again at the next tick; ticks never overlap. */
export const Sweeps = Layer.effectDiscard(Effect.gen(function*() {
  const reconciler = yield* Reconciler.Reconciler
  const sweep = reconciler.sweep().pipe(
    Effect.flatMap((swept) => Effect.logInfo("swept").pipe(Effect.annotateLogs({ ...swept }))),
    Effect.catchCause((cause) => Effect.logError("the sweep failed", cause))
  )
  yield* sweep.pipe(Effect.schedule(Schedule.cron("*/5 * * * *")), Effect.forkScoped)
}))

const Server = Layer.unwrap(Effect.map(Config.Redacted("DATABASE_URL"), (url) => PgServer.layer(url)))

if (import.meta.main) {
  Sweeps.pipe(
    Layer.provide(Reconciler.layer),
    Layer.provide(PgLedger.layer()),
    Layer.provide(Server),
    Layer.provide(SecureRandom.layerWebCrypto),
    Layer.launch,
    NodeRuntime.runMain
  )
}
