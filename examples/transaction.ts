/**
 * Writes an application's own row and the delivery it belongs to in one transaction: both are there, or neither is.
 *
 * Run it: npx node --conditions=@waybill/source examples/transaction.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { Delivery, Ledger, Recipient } from "@waybill/core"
import { PgLite, PgStorage } from "@waybill/storage"
import { Console, Effect, Layer, Option } from "effect"
import { SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"

const signUp = Effect.fn("signUp")(function*(address: Recipient.Recipient, isAccepted: boolean) {
  const sql = yield* SqlClient.SqlClient
  const ledger = yield* Ledger.Ledger
  return yield* sql.withTransaction(Effect.gen(function*() {
    yield* sql`INSERT INTO users (address) VALUES (${address})`
    const { delivery } = yield* ledger.record(
      Delivery.NewDelivery.make({ recipient: address, mailable: "welcome", stream: "transactional" })
    )
    return isAccepted ? delivery : yield* Effect.fail("refused" as const)
  }))
})

export const program = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const ledger = yield* Ledger.Ledger
  yield* sql`CREATE TABLE users (address text PRIMARY KEY)`
  const kept = yield* signUp(Recipient.Recipient.make("ann@example.com"), true)
  yield* Effect.ignore(signUp(Recipient.Recipient.make("bob@example.com"), false))

  const users = yield* sql<{ readonly address: string }>`SELECT address FROM users`
  const deliveries = yield* ledger.deliveries({ tenantId: kept.tenantId, after: Option.none(), limit: 10 })
  return { users: users.map(({ address }) => address), deliveries: deliveries.map(({ id }) => id), kept: kept.id }
})

export const layer = PgStorage.layer().pipe(
  Layer.provideMerge(PgStorage.layerMigrations()),
  Layer.provideMerge(PgLite.layer()),
  Layer.provide(SecureRandom.layerWebCrypto)
)

if (import.meta.main) {
  program.pipe(Effect.flatMap((result) => Console.log(result)), Effect.provide(layer), NodeRuntime.runMain)
}
