/**
 * Records a delivery in the application's own transaction and lets an outbox send it: it is sent if the transaction committed, and
 * only then, also where the process dies in between.
 *
 * Run it: npx node --conditions=@waybill/source examples/outbox.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { Delivery, Ledger, Provider, Recipient } from "@waybill/core"
import { Outbox } from "@waybill/runtime"
import { PgLite, PgStorage } from "@waybill/storage"
import { Console, Effect, Layer, Option, PubSub } from "effect"
import { SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"

const signUp = Effect.fn("signUp")(function*(address: Recipient.Recipient) {
  const sql = yield* SqlClient.SqlClient
  const ledger = yield* Ledger.Ledger
  return yield* sql.withTransaction(Effect.gen(function*() {
    yield* sql`INSERT INTO users (address) VALUES (${address})`
    const { delivery } = yield* ledger.record(
      Delivery.NewDelivery.make({ recipient: address, mailable: "welcome", stream: "transactional" })
    )
    return delivery
  }))
})

/** The app's own send: it writes the message from what the delivery names, and calls its provider. */
const send: Outbox.Options["send"] = ({ id, recipient }) =>
  Option.isNone(recipient)
    ? Effect.fail(new Outbox.SendFailed({ code: "forgotten", final: true }))
    : Effect.succeed({ provider: Provider.Provider.make("postmark"), providerMessageId: `message-${id}` })

export const program = Effect.scoped(Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const ledger = yield* Ledger.Ledger
  const updates = yield* ledger.updates
  yield* sql`CREATE TABLE users (address text PRIMARY KEY)`
  const { id, tenantId } = yield* signUp(Recipient.Recipient.make("ann@example.com"))
  yield* PubSub.take(updates).pipe(Effect.repeat({ until: ({ type }) => type === "dispatched" }))
  const delivery = yield* Effect.flatMap(
    ledger.delivery({ tenantId, deliveryId: id }),
    (found) => Effect.fromOption(found)
  )
  return delivery.status
}))

export const layer = Outbox.layer({ send, grace: 0, interval: "100 millis" }).pipe(
  Layer.provideMerge(PgStorage.layer()),
  Layer.provideMerge(PgStorage.layerMigrations()),
  Layer.provideMerge(PgLite.layer()),
  Layer.provide(SecureRandom.layerWebCrypto)
)

if (import.meta.main) {
  program.pipe(Effect.flatMap((result) => Console.log(result)), Effect.provide(layer), NodeRuntime.runMain)
}
