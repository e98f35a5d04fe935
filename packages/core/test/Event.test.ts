import { assert, describe, it } from "@effect/vitest"
import { Event, OwnEvent, Provider, Recipient, Tenant } from "@waybill/core"
import { Arbitrary, DateTime, Option, Schema } from "effect"
import * as Given from "./Given.ts"

const entry = { id: Given.eventId(1), tenantId: Tenant.defaultTenantId, insertedAt: Given.afterNoon(9) }

const stored = (fields: Partial<Event.NewEvent> = {}, deliveryId: Option.Option<Event.DeliveryId> = Option.none()) =>
  Event.fromNew(Given.newEvent(fields), { ...entry, deliveryId })

describe("an event", () => {
  it("is an orphan without a delivery, and none once it is bound", () => {
    const orphan = stored()
    assert.isTrue(orphan.needsReconciliation)
    const bound = Event.bind(orphan, Given.deliveryId(1))
    assert.deepStrictEqual([bound.needsReconciliation, bound.deliveryId], [false, Option.some(Given.deliveryId(1))])
    assert.isFalse(stored({}, Option.some(Given.deliveryId(1))).needsReconciliation)
  })

  it("has the canonical form of its message id, where one is left", () => {
    const providerMessageId = Option.some(Provider.MessageId.make("<m-1>"))
    assert.deepStrictEqual(stored({ providerMessageId }).providerMessageId, Option.some(Provider.MessageId.make("m-1")))
    const provider = Provider.Provider.make("sendgrid")
    const unusable = Option.some(Provider.MessageId.make("filter1"))
    assert.deepStrictEqual(stored({ provider, providerMessageId: unusable }).providerMessageId, Option.none())
  })

  it("is told by whom it names for certain, but not where it echoes a delivery id", () => {
    const address = Recipient.Recipient.make("ann@example.com")
    const recipient = Option.some({ address, certain: true })
    const told = (fields: Partial<Event.NewEvent>) => Event.certainRecipient(Given.newEvent(fields))
    assert.deepStrictEqual(told({ recipient }), Option.some(address))
    assert.deepStrictEqual(told({ recipient: Option.some({ address, certain: false }) }), Option.none())
    assert.deepStrictEqual(told({ recipient, echoedDeliveryId: Option.some(Given.deliveryId(1)) }), Option.none())
    assert.deepStrictEqual(told({}), Option.none())
  })

  it("is the same after a round trip through JSON", () => {
    const event = stored({ metadata: { a: [1] }, rejectReason: Option.some("spam"), traceId: Option.some("t") })
    const encoded = Schema.encodeSync(Event.Event)(event)
    assert.deepStrictEqual(JSON.parse(JSON.stringify(encoded)), encoded)
    assert.deepStrictEqual(Schema.encodeSync(Event.Event)(Schema.decodeSync(Event.Event)(encoded)), encoded)
  })

  it("is our own where no provider reported it", () => {
    const own = [
      OwnEvent.queued(Given.deliveryId(1), entry),
      OwnEvent.dispatched(Given.deliveryId(1), { ...entry, occurredAt: Given.noon }),
      OwnEvent.reconciled(stored(), Given.deliveryId(1), entry)
    ]
    for (const event of own) {
      assert.isTrue(Event.isOwn(event))
      assert.isFalse(event.needsReconciliation)
      assert.isTrue(Schema.is(Schema.toType(Event.Event))(event))
    }
    assert.strictEqual(new Set(own.map(({ idempotencyKey }) => idempotencyKey)).size, own.length)
    assert.isFalse(Event.isOwn(stored()))
  })

  it("that links an orphan names it", () => {
    const orphan = stored({ providerEventId: Option.some("e-1") })
    const link = OwnEvent.reconciled(orphan, Given.deliveryId(1), { ...entry, id: Given.eventId(2) })
    assert.deepStrictEqual(link.sourceEventId, Option.some(orphan.id))
    assert.deepStrictEqual(link.metadata, {
      reconciled_from_event_id: orphan.id,
      reconciled_type: orphan.type,
      reconciled_provider: "postmark",
      reconciled_provider_event_id: "e-1"
    })
    assert.strictEqual(link.occurredAt, entry.insertedAt)
  })
})

describe("a report as it is received", () => {
  const received = Given.noon
  const at = (occurredAt: Event.NewEvent["occurredAt"]) =>
    Event.received(Given.newEvent({ occurredAt, normalizedPayload: { event: "open" } }), received)

  it("happened when it says, up to a day ahead", () => {
    for (const seconds of [-1e9, -1, 0, 1, 24 * 60 * 60]) {
      const report = at(Given.afterNoon(seconds))
      assert.strictEqual(report.occurredAt.epochMilliseconds, Given.afterNoon(seconds).epochMilliseconds)
      assert.deepStrictEqual(report.normalizedPayload, { event: "open" })
    }
  })

  it("happened as it was received where it says later, and what it says is kept", () => {
    const report = at(DateTime.makeUnsafe("2100-01-01T00:00:00.000Z"))
    assert.strictEqual(report.occurredAt.epochMilliseconds, received.epochMilliseconds)
    assert.deepStrictEqual(report.normalizedPayload, { event: "open", reportedAt: "2100-01-01T00:00:00.000Z" })
    assert.strictEqual(
      at(DateTime.add(received, { milliseconds: 86_400_001 })).occurredAt.epochMilliseconds,
      received.epochMilliseconds
    )
  })

  it("says the same when it is received again, at whatever time", () => {
    const report = Given.newEvent({ occurredAt: DateTime.add(received, { days: 3 }) })
    const first = stored(Event.received(report, received))
    for (const days of [0, 1, 2, 30]) {
      const again = stored(Event.received(report, DateTime.add(received, { days })))
      assert.isTrue(Event.saysTheSame(first, again, true))
      assert.isTrue(Event.saysTheSame(again, first, true))
    }
    const other = Given.newEvent({ occurredAt: DateTime.add(received, { days: 4 }) })
    assert.isFalse(Event.saysTheSame(first, stored(Event.received(other, received)), true))
  })
})

describe("a report of a stored key", () => {
  it("says the same whatever its payload, metadata or trace", () => {
    const others: ReadonlyArray<Partial<Event.NewEvent>> = [
      {},
      { normalizedPayload: { a: 1 } },
      { metadata: { a: 1 } },
      { traceId: Option.some("t") }
    ]
    for (const fields of others) assert.isTrue(Event.saysTheSame(stored(), stored(fields), true))
  })

  it("says something else with another type, time, message, delivery, reason or recipient", () => {
    const others: ReadonlyArray<Partial<Event.NewEvent>> = [
      { type: "opened" },
      { occurredAt: Given.afterNoon(1) },
      { provider: Provider.Provider.make("mailgun") },
      { providerMessageId: Option.some(Provider.MessageId.make("m-1")) },
      { providerEventId: Option.some("e") },
      { echoedDeliveryId: Option.some(Given.deliveryId(1)) },
      { rejectReason: Option.some("spam") },
      { bounceClass: Option.some("hard") }
    ]
    for (const fields of others) assert.isFalse(Event.saysTheSame(stored(), stored(fields), true))
    assert.isFalse(Event.saysTheSame(stored(), stored(), false))
  })
})

describe("the order of a timeline", () => {
  it.prop("is total: sorting gives the same from any order", [Given.facts, Given.turn], ([facts, turn]) => {
    const ids = (list: ReadonlyArray<Parameters<typeof Event.compare>[0]>) =>
      list.toSorted(Event.compare).map(({ id }) => id)
    assert.deepStrictEqual(ids(Given.rotated(facts, turn)), ids(facts))
  }, { arbitrary: { runs: 200 } })

  it("has the order of a life within an instant, then the ids", () => {
    const life = [
      Given.fact("queued", { id: 9 }),
      Given.fact("delivered", { id: 3 }),
      Given.fact("opened", { id: 1 }),
      Given.fact("opened", { id: 2 }),
      Given.fact("complained", { id: 0 })
    ]
    assert.deepStrictEqual(life.toReversed().toSorted(Event.compare), life)
  })

  it.prop("has the time first", [Arbitrary.array(Given.turn, { maxLength: 6 })], ([times]) => {
    const sorted = times
      .map((at, id) => Given.fact(id % 2 === 0 ? "complained" : "queued", { at, id }))
      .toSorted(Event.compare)
      .map(({ occurredAt }) => occurredAt.epochMilliseconds)
    assert.deepStrictEqual(sorted, times.map((at) => Given.afterNoon(at).epochMilliseconds).toSorted((a, b) => a - b))
  })
})
