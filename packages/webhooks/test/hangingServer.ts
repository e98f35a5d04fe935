/**
 * A server whose ledger never answers: it prints its port, and `stored` each time a webhook has been stored and is about to be
 * appended.
 */
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Ledger } from "@waybill/core"
import { PgInbox, PgLedger, PgServer } from "@waybill/storage"
import { Ingestion, Intake, Providers, Secrets, WebhookRoutes } from "@waybill/webhooks"
import { Config, Effect, Layer, Stdio, Stream } from "effect"
import { SecureRandom } from "effect/crypto"
import { FetchHttpClient, HttpRouter, HttpServer } from "effect/http"
import { createServer } from "node:http"

const print = Effect.fnUntraced(function*(line: string) {
  const stdio = yield* Stdio.Stdio
  yield* Stream.run(Stream.make(`${line}\n`), stdio.stdout())
}, Effect.orDie)

const hanging = Layer.effect(
  Ledger.Ledger,
  Effect.gen(function*() {
    const ledger = yield* Ledger.Ledger
    const context = yield* Effect.context<Stdio.Stdio>()
    return Ledger.Ledger.of({
      ...ledger,
      append: () => Effect.andThen(print("stored"), Effect.never).pipe(Effect.provide(context))
    })
  })
)

const announce = Layer.effectDiscard(
  HttpServer.HttpServer.use(({ address }) => print(address._tag === "UnixPathAddress" ? "none" : String(address.port)))
)

const main = Layer.merge(
  announce,
  HttpRouter.serve(WebhookRoutes.layer(), { disableLogger: true, disableListenLog: true })
).pipe(
  Layer.provide([Ingestion.layer, Intake.layer]),
  Layer.provide(hanging),
  Layer.provide(Layer.provideMerge(PgInbox.layer(), PgLedger.layer())),
  Layer.provide(Layer.unwrap(Effect.map(Config.Redacted("WAYBILL_DATABASE_URL"), (url) => PgServer.layer(url)))),
  Layer.provide(Secrets.layerConfig()),
  Layer.provide(Providers.layer),
  Layer.provide([FetchHttpClient.layer, SecureRandom.layerWebCrypto]),
  Layer.provide(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" }))
)

NodeRuntime.runMain(Layer.launch(main))
