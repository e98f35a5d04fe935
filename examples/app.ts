/**
 * Sends mail in an Effect application that keeps a ledger: record, send, note the message id; webhooks may come at any time.
 *
 * Run it: npx node --conditions=@waybill/source examples/app.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { Delivery, Ledger, Provider, Recipient, Tenant } from "@waybill/core"
import { Reconciler } from "@waybill/runtime"
import { PgLite, PgStorage } from "@waybill/storage"
import { Postmark, Webhook } from "@waybill/webhooks"
import { Console, Context, DateTime, Effect, Layer, Option } from "effect"
import { SecureRandom } from "effect/crypto"

const postmark = Provider.Provider.make("postmark")

/** What sends a message and answers with the provider's id of it. */
export class Mailer extends Context.Service<Mailer, {
  readonly send: (recipient: Recipient.Recipient, mailable: string) => Effect.Effect<string>
}>()("example/Mailer") {}

export const sendWelcome = Effect.fn("sendWelcome")(function*(recipient: Recipient.Recipient) {
  const ledger = yield* Ledger.Ledger
  const mailer = yield* Mailer
  const { delivery } = yield* ledger.record(
    Delivery.NewDelivery.make({ recipient, mailable: "welcome", stream: "transactional" })
  )
  const providerMessageId = yield* mailer.send(recipient, "welcome")
  yield* ledger.dispatch(Delivery.Dispatch.make({ deliveryId: delivery.id, provider: postmark, providerMessageId }))
  return delivery.id
})

/** Takes what the endpoint for Postmark received, once it is verified. */
export const onWebhook = Effect.fn("onWebhook")(function*(body: Uint8Array) {
  const ledger = yield* Ledger.Ledger
  const pieces = yield* Effect.fromResult(Postmark.normalize({ headers: {}, body, receivedAt: yield* DateTime.now }))
  return yield* ledger.append(Tenant.defaultTenantId, Webhook.join(pieces).events)
})

/** A ledger and its reconciler; `PgLite.layer({ directory })` keeps it, `PgServer.layer(url)` puts it on a server. */
export const WaybillLive = Reconciler.layer.pipe(
  Layer.provideMerge(PgStorage.layer()),
  Layer.provide(PgStorage.layerMigrations()),
  Layer.provide(PgLite.layer()),
  Layer.provide(SecureRandom.layerWebCrypto)
)

/** A mailer whose provider reports before the send call has returned. */
export const HastyMailer = Layer.effect(
  Mailer,
  Effect.gen(function*() {
    const context = yield* Effect.context<Ledger.Ledger>()
    const random = yield* SecureRandom.SecureRandom
    return Mailer.of({
      send: Effect.fn("HastyMailer.send")(function*(recipient) {
        const messageId = yield* random.uuidV4()
        const delivered = { RecordType: "Delivery", MessageID: messageId, Recipient: recipient }
        yield* onWebhook(new TextEncoder().encode(JSON.stringify(delivered))).pipe(
          Effect.provideContext(context),
          Effect.orDie
        )
        return messageId
      })
    })
  })
).pipe(Layer.provide(SecureRandom.layerWebCrypto))

export const program = Effect.gen(function*() {
  const ledger = yield* Ledger.Ledger
  const deliveryId = yield* sendWelcome(Recipient.Recipient.make("ada@example.com"))
  const delivery = yield* ledger.delivery({ tenantId: Tenant.defaultTenantId, deliveryId })
  return Option.getOrUndefined(Option.flatMap(delivery, ({ lastEventType }) => lastEventType))
})

export const layer = Layer.provideMerge(HastyMailer, WaybillLive)

if (import.meta.main) {
  program.pipe(
    Effect.flatMap((lastEventType) => Console.log(`the delivery is ${lastEventType}`)),
    Effect.provide(layer),
    NodeRuntime.runMain
  )
}
