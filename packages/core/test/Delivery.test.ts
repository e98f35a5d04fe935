import { assert, describe, it } from "@effect/vitest"
import {
  Delivery,
  Drift,
  Event,
  Handover,
  IdempotencyKey,
  LedgerError,
  OwnEvent,
  Provider,
  Recipient,
  Tenant
} from "@waybill/core"
import { Option, Result, Schema } from "effect"
import * as Given from "./Given.ts"

const messageId = Provider.MessageId.make("m-1")

const command = (fields: Partial<Delivery.Dispatch> = {}): Delivery.Dispatch => ({
  ...Delivery.Dispatch.make({ deliveryId: Given.deliveryId(1), provider: Given.provider, providerMessageId: "m-1" }),
  ...fields
})

const dispatchedAt = (seconds: number): Event.Event =>
  OwnEvent.dispatched(Given.deliveryId(1), {
    id: Given.eventId(2),
    tenantId: Tenant.defaultTenantId,
    insertedAt: Given.afterNoon(seconds),
    occurredAt: Given.afterNoon(seconds)
  })

const dispatched = Handover.dispatched(
  Given.recorded(),
  { provider: Given.provider, messageId },
  [dispatchedAt(5)],
  Given.afterNoon(5)
)

describe("a dispatch", () => {
  const decide = (delivery: Delivery.Delivery, fields: Partial<Delivery.Dispatch> = {}, id = messageId) =>
    Handover.decideDispatch(delivery, command(fields), id)

  const otherMessage = Result.fail(
    new LedgerError.DispatchConflict({
      tenantId: dispatched.tenantId,
      deliveryId: dispatched.id,
      reason: "other-message"
    })
  )

  it("of a queued delivery is accepted, at the version that was seen", () => {
    assert.deepStrictEqual(decide(Given.recorded()), Result.succeed("Accepted"))
    assert.deepStrictEqual(decide(Given.recorded(), { expectedVersion: Option.some(1) }), Result.succeed("Accepted"))
  })

  it("under the same message id again is nothing new", () => {
    assert.deepStrictEqual(decide(dispatched), Result.succeed("AlreadyDispatched"))
  })

  it("under another message id or by another provider is another message", () => {
    assert.deepStrictEqual(decide(dispatched, {}, Provider.MessageId.make("m-2")), otherMessage)
    assert.deepStrictEqual(decide(dispatched, { provider: Provider.Provider.make("mailgun") }), otherMessage)
  })

  it("with another version is stale, whatever else it says", () => {
    const expected = Result.fail(
      new LedgerError.StaleDelivery({
        tenantId: dispatched.tenantId,
        deliveryId: dispatched.id,
        expectedVersion: 1,
        actualVersion: 2
      })
    )
    assert.deepStrictEqual(decide(dispatched, { expectedVersion: Option.some(1) }), expected)
    assert.deepStrictEqual(
      decide(dispatched, { expectedVersion: Option.some(1) }, Provider.MessageId.make("m-2")),
      expected
    )
  })

  it("of a delivery that another writer gave its message id is accepted under that id", () => {
    const imported = {
      ...Given.recorded(),
      provider: dispatched.provider,
      providerMessageId: dispatched.providerMessageId
    }
    assert.deepStrictEqual(decide(imported), Result.succeed("Accepted"))
    assert.deepStrictEqual(decide(imported, {}, Provider.MessageId.make("m-2")), otherMessage)
  })

  it("gives the next version", () => {
    assert.deepStrictEqual([dispatched.lockVersion, dispatched.status], [2, "dispatched"])
    assert.deepStrictEqual(dispatched.providerMessageId, Option.some(messageId))
    assert.deepStrictEqual(dispatched.dispatchedAt, Option.some(Given.afterNoon(5)))
    assert.deepStrictEqual(dispatched.updatedAt, Given.afterNoon(5))
  })
})

describe("recording again", () => {
  const key = Option.some(IdempotencyKey.IdempotencyKey.make("order-1"))
  const stored = Given.recorded({ idempotencyKey: key })
  const isSame = (fields: Partial<Delivery.NewDelivery>) =>
    Delivery.isSameRecord(stored, Given.newDelivery({ idempotencyKey: key, ...fields }))

  it("asks for the delivery that is there", () => {
    assert.isTrue(isSame({}))
    assert.isTrue(isSame({ id: Option.some(stored.id) }))
    assert.isTrue(isSame({ recipient: Recipient.Recipient.make("ANN@example.com"), metadata: { other: 1 } }))
    assert.isTrue(
      Delivery.isSameRecord(
        { ...stored, recipient: Option.none() },
        Given.newDelivery({ idempotencyKey: key, recipient: Recipient.Recipient.make("bob@example.com") })
      )
    )
  })

  it("asks for another one where it says something else", () => {
    assert.isFalse(isSame({ id: Option.some(Given.deliveryId(2)) }))
    assert.isFalse(isSame({ idempotencyKey: Option.none() }))
    assert.isFalse(isSame({ recipient: Recipient.Recipient.make("bob@example.com") }))
    assert.isFalse(isSame({ mailable: "other" }))
    assert.isFalse(isSame({ stream: "bulk" }))
  })
})

describe("a delivery", () => {
  it("begins as queued, at version 1", () => {
    const delivery = Given.recorded({ recipient: Recipient.Recipient.make("Ann@Example.COM") })
    assert.deepStrictEqual([delivery.status, delivery.lockVersion, delivery.terminal], ["queued", 1, false])
    assert.deepStrictEqual(delivery.lastEventType, Option.some("queued"))
    assert.deepStrictEqual(delivery.recipientDomain, Option.some("example.com"))
    assert.isTrue(Schema.is(Schema.toType(Delivery.Delivery))(delivery))
    assert.deepStrictEqual(Drift.ofDelivery(delivery, [Given.fact("queued", { id: 1, own: true })]), Option.none())
  })

  it("rises by one version a change and stays the very same where nothing changes", () => {
    const facts = [Given.fact("delivered", { at: 1, id: 3 }), Given.fact("opened", { at: 2, id: 4 })]
    const moved = Delivery.evolve(dispatched, facts, Given.afterNoon(9))
    assert.deepStrictEqual([moved.lockVersion, moved.status, moved.terminal], [3, "sent", true])
    assert.deepStrictEqual(moved.updatedAt, Given.afterNoon(9))
    assert.strictEqual(Delivery.evolve(moved, facts, Given.afterNoon(10)), moved)
    assert.strictEqual(Delivery.evolve(moved, [], Given.afterNoon(10)), moved)
    assert.strictEqual(Delivery.evolve(moved, [Given.fact("reconciled", { at: 99 })], Given.afterNoon(10)), moved)
  })

  it("that is not the fold of its events has drifted, in the fields that say so", () => {
    const drift = Drift.ofDelivery({ ...dispatched, status: "failed", terminal: true }, [
      Given.fact("queued", { id: 1, own: true }),
      dispatchedAt(5)
    ])
    assert.deepStrictEqual(
      drift,
      Option.some({
        _tag: "Projection",
        tenantId: Tenant.defaultTenantId,
        deliveryId: Given.deliveryId(1),
        fields: ["status", "terminal"]
      })
    )
  })

  it("as of an instant knows what had been appended or linked by then", () => {
    const entry = { tenantId: Tenant.defaultTenantId, deliveryId: Option.none<Event.DeliveryId>() }
    const orphan = Event.fromNew(Given.newEvent({ occurredAt: Given.afterNoon(1) }), {
      ...entry,
      id: Given.eventId(3),
      insertedAt: Given.afterNoon(2)
    })
    const link = OwnEvent.reconciled(orphan, Given.deliveryId(1), {
      tenantId: Tenant.defaultTenantId,
      id: Given.eventId(4),
      insertedAt: Given.afterNoon(9)
    })
    const timeline = [
      { event: orphan, linkedBy: Option.some(link.id) },
      { event: dispatchedAt(5), linkedBy: Option.none() },
      { event: link, linkedBy: Option.none() }
    ]
    const statuses = [4, 5, 8, 9].map((seconds) =>
      Delivery.asOf(dispatched, Delivery.knownAt(timeline, Given.afterNoon(seconds))).status
    )
    assert.deepStrictEqual(statuses, ["queued", "dispatched", "dispatched", "sent"])
  })
})
