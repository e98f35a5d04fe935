/**
 * Appends, dispatches and sweeps against one server until it is ended, and prints each call that was acknowledged.
 *
 * Arguments: the seed, the name of the run.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Delivery, Event, IdempotencyKey, Ledger, Orphans, Provider, Recipient, Tenant } from "@waybill/core"
import { PgLedger, PgServer } from "@waybill/storage"
import { Config, DateTime, Effect, Layer, Option, Random } from "effect"
import { SecureRandom } from "effect/crypto"
import { writeSync } from "node:fs"
import { argv } from "node:process"
import { type Acknowledged, messageCount, providerName, tenantNames } from "./script.ts"

const [, , seed = "1", run = "run"] = argv

const provider = Provider.Provider.make(providerName)

const types = ["delivered", "opened", "clicked", "bounced", "deferred", "complained"] as const

/** Written straight to the pipe, so that a kill right after loses nothing that was told. */
const tell = (acknowledged: Acknowledged) => Effect.sync(() => writeSync(1, `${JSON.stringify(acknowledged)}\n`))

const pick = <A>(items: readonly [A, ...ReadonlyArray<A>]) =>
  Effect.map(Random.nextIntBetween(0, items.length, { halfOpen: true }), (index) => items[index] ?? items[0])

const step = Effect.gen(function*() {
  const ledger = yield* Ledger.Ledger
  const orphans = yield* Orphans.Orphans
  const random = yield* SecureRandom.SecureRandom
  const tenantId = Tenant.TenantId.make(yield* pick(tenantNames))
  const message = yield* Random.nextIntBetween(0, messageCount)
  const messageId = `${run}-${message}`
  const recipient = Recipient.Recipient.make(`r${message}@example.com`)
  const kind = yield* Random.nextIntBetween(0, 9)
  if (kind <= 4) {
    const size = kind === 0 ? 40 : 1
    const events: Array<Event.NewEvent> = []
    for (let index = 0; index < size; index++) {
      const number = size === 1 ? message : yield* Random.nextIntBetween(0, messageCount)
      const type = yield* pick(types)
      const version = yield* Random.nextIntBetween(0, 3)
      events.push(Event.NewEvent.make({
        type,
        occurredAt: DateTime.makeUnsafe(1_700_000_000_000 + number * 1000 + version),
        provider,
        providerMessageId: Option.some(Provider.MessageId.make(`${run}-${number}`)),
        recipient: Option.some({ address: Recipient.Recipient.make(`r${number}@example.com`), certain: true }),
        idempotencyKey: IdempotencyKey.IdempotencyKey.make(`webhook:${run}:${number}:${type}:${version}`)
      }))
    }
    const outcomes = yield* ledger.append(tenantId, events)
    yield* tell({
      _tag: "appended",
      tenantId,
      events: events.map((event, index) => [event.idempotencyKey, outcomes[index]?._tag ?? "missing"])
    })
  } else if (kind <= 7) {
    const recorded = yield* ledger.record(Delivery.NewDelivery.make({
      tenantId,
      recipient,
      mailable: "torture",
      stream: "bulk",
      id: Option.some(Event.DeliveryId.make(yield* random.uuidV4())),
      idempotencyKey: Option.some(IdempotencyKey.IdempotencyKey.make(`record:${messageId}`))
    })).pipe(
      Effect.catchTag("DeliveryConflict", (conflict) =>
        Effect.map(
          Effect.flatMap(
            ledger.delivery({ tenantId, deliveryId: conflict.storedDeliveryId }),
            Effect.fromOption
          ),
          (delivery) => ({ delivery })
        ))
    )
    const deliveryId = recorded.delivery.id
    yield* tell({ _tag: "recorded", tenantId, deliveryId })
    yield* ledger.dispatch(Delivery.Dispatch.make({ tenantId, deliveryId, provider, providerMessageId: messageId }))
    yield* tell({ _tag: "dispatched", tenantId, deliveryId, messageId })
  } else {
    const now = yield* DateTime.now
    const swept = yield* orphans.link({
      scope: Tenant.all,
      limit: 100,
      insertedFrom: DateTime.subtract(now, { days: 1 }),
      insertedTo: now
    })
    yield* tell({ _tag: "swept", links: swept.links.length })
  }
})

/** An error of the database says nothing of whether the call took effect: it is not acknowledged, and the next call follows. */
const forever = Effect.forever(
  Effect.catchTag(step, "LedgerUnavailable", () => Effect.sleep("20 millis"))
)

const ledger = Layer.unwrap(
  Effect.map(
    Config.Redacted("WAYBILL_DATABASE_URL"),
    (url) => PgLedger.layer().pipe(Layer.provide(PgServer.layer(url)))
  )
)

/** The server may be down when a worker starts. */
const main = forever.pipe(
  Effect.provide(ledger),
  Effect.provide(SecureRandom.layerWebCrypto),
  Effect.catchTag("LedgerUnavailable", () => Effect.sleep("100 millis")),
  Effect.forever,
  Random.withSeed(seed)
)

NodeRuntime.runMain(main)
