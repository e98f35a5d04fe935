import { assert, describe, it } from "@effect/vitest"
import { Correlation, Event, Provider, Tenant } from "@waybill/core"
import { Arbitrary, Option, Schema } from "effect"
import * as Given from "./Given.ts"

const candidate = (number: number, recipient: Correlation.Candidate["recipient"]): Correlation.Candidate => ({
  deliveryId: Given.deliveryId(number),
  recipient
})

const met = (number: number): Correlation.Meeting => ({ _tag: "Met", deliveryId: Given.deliveryId(number) })

describe("which delivery an event meets", () => {
  it("is none where no delivery has its key", () => {
    assert.deepStrictEqual(Correlation.decide([]), { _tag: "NoDelivery" })
  })

  it("is the one to the recipient it names for certain, and never one to another", () => {
    assert.deepStrictEqual(Correlation.decide([candidate(1, "same")]), met(1))
    assert.deepStrictEqual(Correlation.decide([candidate(1, "other"), candidate(2, "same")]), met(2))
    assert.deepStrictEqual(Correlation.decide([candidate(1, "other"), candidate(2, "other")]), {
      _tag: "OtherRecipient"
    })
  })

  it("is the only one of its key where it names none", () => {
    assert.deepStrictEqual(Correlation.decide([candidate(1, "unnamed")]), met(1))
    assert.deepStrictEqual(Correlation.decide([candidate(1, "unnamed"), candidate(2, "unnamed")]), {
      _tag: "Ambiguous"
    })
  })

  it.prop(
    "does not depend on the order of the deliveries",
    [Arbitrary.array(Arbitrary.schema(Schema.Literals(["same", "other", "unnamed"])), { maxLength: 5 }), Given.turn],
    ([recipients, turn]) => {
      const candidates = recipients.map((recipient, number) => candidate(number, recipient))
      assert.deepStrictEqual(Correlation.decide(Given.rotated(candidates, turn)), Correlation.decide(candidates))
    },
    { arbitrary: { runs: 200 } }
  )
})

describe("the key of an event", () => {
  const event = (fields: Partial<Event.NewEvent>) =>
    Event.fromNew(Given.newEvent(fields), {
      id: Given.eventId(1),
      tenantId: Tenant.defaultTenantId,
      deliveryId: Option.none(),
      insertedAt: Given.noon
    })
  const messageId = Option.some(Provider.MessageId.make("<m-1>"))

  it("is the echoed delivery id, else its message id in canonical form, else none", () => {
    const echoedDeliveryId = Option.some(Given.deliveryId(3))
    assert.deepStrictEqual(
      Correlation.ofEvent(event({ echoedDeliveryId, providerMessageId: messageId })),
      Option.some(Correlation.ofDelivery(Given.deliveryId(3)))
    )
    assert.deepStrictEqual(
      Correlation.ofEvent(event({ providerMessageId: messageId })),
      Option.some(Correlation.ofMessage(Given.provider, Provider.MessageId.make("m-1")))
    )
    assert.deepStrictEqual(Correlation.ofEvent(event({})), Option.none())
    const unusable = Option.some(Provider.MessageId.make("filter0001"))
    const provider = Provider.Provider.make("sendgrid")
    assert.deepStrictEqual(Correlation.ofEvent(event({ provider, providerMessageId: unusable })), Option.none())
  })

  it("differs between providers and from every delivery id", () => {
    const id = Provider.MessageId.make("delivery:1")
    const keys = [
      Correlation.ofMessage(Given.provider, id),
      Correlation.ofMessage(Provider.Provider.make("mailgun"), id),
      Correlation.ofDelivery(Given.deliveryId(1))
    ]
    assert.strictEqual(new Set(keys).size, keys.length)
  })
})
