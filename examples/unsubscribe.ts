/**
 * Sends a newsletter whose readers unsubscribe with one click, and serves the link in the application itself.
 *
 * Run it: npx node --conditions=@waybill/source examples/unsubscribe.ts
 */
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Delivery, Ledger, Recipient } from "@waybill/core"
import { MemoryStorage } from "@waybill/storage"
import { Unsubscribe, UnsubscribeRoutes } from "@waybill/webhooks"
import { Config, Console, Effect, Layer, Option, Redacted } from "effect"
import { SecureRandom } from "effect/crypto"
import { FetchHttpClient, HttpBody, HttpClient, HttpRouter, HttpServer } from "effect/http"
import { createServer } from "node:http"

/** The keys as `waybill serve` reads them, so that either of the two may answer the link. */
const keys = Effect.gen(function*() {
  const text = yield* Config.Redacted("WAYBILL_UNSUBSCRIBE_KEYS").pipe(
    Config.withDefault(Redacted.make("example:not-a-secret-but-long-enough-to-sign"))
  )
  return yield* Effect.fromResult(Unsubscribe.parseKeys(Redacted.value(text)))
})

/** The headers of one reader's message. Put them in before the message is signed by DKIM, and let that cover both. */
export const newsletter = Effect.fn("newsletter")(function*(recipient: Recipient.Recipient, publicUrl: string) {
  const ledger = yield* Ledger.Ledger
  const { delivery } = yield* ledger.record(
    Delivery.NewDelivery.make({ recipient, mailable: "newsletter", stream: "bulk" })
  )
  const key = { tenantId: delivery.tenantId, deliveryId: delivery.id }
  const headers = yield* Effect.fromResult(Unsubscribe.headers({ keys: yield* keys, publicUrl }, key))
  return { key, headers }
})

/** Serves `/unsubscribe/:token` beside the application's own routes. */
const server = HttpRouter.serve(Layer.unwrap(Effect.map(keys, UnsubscribeRoutes.layer)), {
  disableLogger: true,
  disableListenLog: true
}).pipe(Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" })))

export const layer = Layer.mergeAll(server, FetchHttpClient.layer).pipe(
  Layer.provideMerge(MemoryStorage.layer),
  Layer.provide(SecureRandom.layerWebCrypto)
)

/** Presses the link twice, as a mail program does for its reader. */
export const program = Effect.gen(function*() {
  const ledger = yield* Ledger.Ledger
  const { address } = yield* HttpServer.HttpServer
  const { headers, key } = yield* newsletter(
    Recipient.Recipient.make("ann@example.com"),
    HttpServer.formatAddress(address)
  )
  const link = headers["List-Unsubscribe"].slice(1, -1)
  const body = HttpBody.text(headers["List-Unsubscribe-Post"], "application/x-www-form-urlencoded")
  for (let times = 0; times < 2; times++) yield* HttpClient.post(link, { body })
  const delivery = yield* ledger.delivery(key)
  const timeline = yield* ledger.timeline(key)
  return {
    isUnsubscribed: Option.isSome(Option.getOrThrow(delivery).unsubscribedAt),
    events: timeline.map(({ event }) => event.type)
  }
})

if (import.meta.main) {
  program.pipe(
    Effect.flatMap(({ events }) => Console.log(events.join(", "))),
    Effect.provide(layer),
    NodeRuntime.runMain
  )
}
