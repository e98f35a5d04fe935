/** An outbox in a process of its own, whose sends print the delivery's id and then hang before they are noted. */
import { NodeRuntime } from "@effect/platform-node"
import { Outbox } from "@waybill/runtime"
import { PgLedger, PgServer } from "@waybill/storage"
import { Config, Console, Effect, Layer } from "effect"
import { SecureRandom } from "effect/crypto"

const outbox = Outbox.layer({
  grace: 0,
  lease: "2 seconds",
  interval: "50 millis",
  send: ({ id }) => Effect.andThen(Console.log(id), Effect.never)
})

Layer.unwrap(Effect.map(Config.Redacted("WAYBILL_DATABASE_URL"), (url) =>
  outbox.pipe(
    Layer.provide(PgLedger.layer()),
    Layer.provide([PgServer.layer(url), SecureRandom.layerWebCrypto])
  ))).pipe(Layer.launch, NodeRuntime.runMain)
