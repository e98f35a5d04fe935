/**
 * Tests an application against the ledger in memory: the laws hold whatever comes in whatever order.
 */
import { assert, it } from "@effect/vitest"
import { Delivery, Event, IdempotencyKey, Ledger, Provider, Recipient, Tenant } from "@waybill/core"
import { MemoryStorage } from "@waybill/storage"
import { DateTime, Effect, Layer, Option, Schema } from "effect"
import { SecureRandom } from "effect/crypto"
import { HastyMailer, program } from "./app.ts"

const layer = Layer.provide(MemoryStorage.layer, SecureRandom.layerWebCrypto)

const tenantId = Tenant.defaultTenantId
const provider = Provider.Provider.make("postmark")

const Reports = Schema.NonEmptyArray(Schema.Struct({
  type: Schema.Literals(["delivered", "opened", "bounced", "complained"]),
  second: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 60 })),
  isBeforeDispatch: Schema.Boolean
}))

it.effect("an event that comes before the send call returns is not lost", () =>
  Effect.gen(function*() {
    assert.strictEqual(yield* program, "delivered")
  }).pipe(Effect.provide(Layer.provideMerge(HastyMailer, layer))))

it.effect.prop(
  "no report is lost, before the dispatch or after it, once or twice",
  [Reports],
  ([reports]) =>
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const { delivery } = yield* ledger.record(
        Delivery.NewDelivery.make({
          recipient: Recipient.Recipient.make("ada@example.com"),
          mailable: "welcome",
          stream: "bulk"
        })
      )
      const events = reports.map(({ second, type }, index) =>
        Event.NewEvent.make({
          type,
          occurredAt: DateTime.makeUnsafe(second * 1000),
          provider,
          providerMessageId: Option.some(Provider.MessageId.make("message")),
          idempotencyKey: IdempotencyKey.IdempotencyKey.make(`report:${index}`)
        })
      )
      yield* ledger.append(tenantId, events.filter((_, index) => reports[index]?.isBeforeDispatch))
      yield* ledger.dispatch(
        Delivery.Dispatch.make({ deliveryId: delivery.id, provider, providerMessageId: "message" })
      )
      yield* ledger.append(tenantId, events)
      yield* ledger.append(tenantId, events)

      const timeline = yield* ledger.timeline({ tenantId, deliveryId: delivery.id })
      const reported = timeline.filter(({ event }) => Option.isSome(event.provider))
      assert.lengthOf(reported, reports.length)
      const after = yield* ledger.delivery({ tenantId, deliveryId: delivery.id })
      assert.strictEqual(
        Option.getOrThrow(after).terminal,
        reports.some(({ type }) => type !== "opened")
      )
    }).pipe(Effect.provide(layer, { local: true }))
)
