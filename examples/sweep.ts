/**
 * Sweeps every five minutes for as long as the process lives, from an entry point of its own.
 *
 * Run it: DATABASE_URL=postgres://app@localhost/app npx node --conditions=@waybill/source examples/sweep.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { Reconciler } from "@waybill/runtime"
import { PgServer, PgStorage } from "@waybill/storage"
import { Config, Effect, Layer } from "effect"
import { SecureRandom } from "effect/crypto"

/**
 * Each tick is swept by one of all processes, and its row says what the sweep did. One that fails is logged without what the
 * database said, which may hold an address; the next tick tries again.
 */
export const Sweeps = Reconciler.layerCron({ cron: "*/5 * * * *" })

const Server = Layer.unwrap(Effect.map(Config.Redacted("DATABASE_URL"), (url) => PgServer.layer(url)))

if (import.meta.main) {
  Sweeps.pipe(
    Layer.provide(Reconciler.layer),
    Layer.provide(PgStorage.layer()),
    Layer.provide(Server),
    Layer.provide(SecureRandom.layerWebCrypto),
    Layer.launch,
    NodeRuntime.runMain
  )
}
