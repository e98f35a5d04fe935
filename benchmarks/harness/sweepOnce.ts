/** Sweeps a database once in a process of its own and prints the links and the peak of its resident memory in kilobytes. */
import { NodeRuntime } from "@effect/platform-node"
import { Reconciler } from "@waybill/runtime"
import { PgLedger, PgServer } from "@waybill/storage"
import { Console, Effect, Layer, Redacted } from "effect"
import { SecureRandom } from "effect/crypto"
import { argv, resourceUsage } from "node:process"

const sweep = Effect.gen(function*() {
  const reconciler = yield* Reconciler.Reconciler
  const { linked } = yield* reconciler.sweep()
  yield* Console.log(JSON.stringify({ linked, peak: resourceUsage().maxRSS }))
})

NodeRuntime.runMain(sweep.pipe(
  Effect.provide(
    Reconciler.layer.pipe(
      Layer.provide(PgLedger.layer()),
      Layer.provide(PgServer.layer(Redacted.make(argv[2] ?? ""))),
      Layer.provide(SecureRandom.layerWebCrypto)
    )
  )
))
