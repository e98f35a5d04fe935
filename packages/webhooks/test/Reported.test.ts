import { assert, describe, it } from "@effect/vitest"
import { Ledger, Tenant } from "@waybill/core"
import { Ingestion, Providers, Secrets } from "@waybill/webhooks"
import { DateTime, Effect, Layer, Option } from "effect"
import { TestClock } from "effect/testing"
import * as Edge from "./Edge.ts"
import { bytes, only } from "./Reading.ts"
import * as Signing from "./Signing.ts"

const tenantId = Tenant.defaultTenantId

const layer = Ingestion.layer.pipe(
  Layer.provide(Layer.merge(Edge.table(Edge.rows()), Secrets.layer({}))),
  Layer.provideMerge(Edge.memory)
)

const ingest = (name: string, body: Uint8Array, headers: Readonly<Record<string, string>> = {}) =>
  Effect.flatMap(
    Effect.fromOption(Providers.get(name)),
    (provider) =>
      Ingestion.Ingestion.use((ingestion) =>
        ingestion.ingest({ tenantId, provider, headers, body, token: Option.none() })
      )
  )

const names = Signing.senders.map(({ provider }) => provider)

describe("a report of the far future", () => {
  const at = DateTime.makeUnsafe("2100-01-01T00:00:00.000Z")
  const now = DateTime.makeUnsafe("2026-11-20T12:00:00.000Z")

  const outcomes = Effect.fnUntraced(function*(name: string, at: DateTime.Utc) {
    const requests = yield* Edge.signed(name, Edge.report("delivered", 1, { at }))
    const { events } = yield* ingest(name, only(requests).body, only(requests).headers)
    return events.map(({ outcome }) => outcome._tag)
  })

  it.effect.each(names)("happened as it was received, from %s", (name) =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now.epochMilliseconds)
      const { delivery } = yield* Edge.recorded(1)
      yield* Edge.dispatched(delivery, name, 1)
      assert.deepStrictEqual(yield* outcomes(name, at), ["Appended"])
      const timeline = yield* Ledger.Ledger.use((ledger) => ledger.timeline({ tenantId, deliveryId: delivery.id }))
      const { event } = only(timeline.filter(({ event }) => event.type === "delivered"))
      assert.deepStrictEqual(event.occurredAt, now)
      assert.strictEqual(event.normalizedPayload["reportedAt"], DateTime.formatIso(at))
      yield* TestClock.adjust("3 days")
      assert.deepStrictEqual(yield* outcomes(name, at), ["Duplicate"])
    }).pipe(Effect.provide(layer)))

  it.effect.each(names)("is taken as it is up to a day ahead, from %s", (name) =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now.epochMilliseconds)
      const soon = DateTime.add(now, { hours: 23 })
      assert.deepStrictEqual(yield* outcomes(name, soon), ["Appended"])
      const event = only(yield* Edge.orphans())
      assert.deepStrictEqual(event.occurredAt, soon)
      assert.notProperty(event.normalizedPayload, "reportedAt")
    }).pipe(Effect.provide(layer)))
})

describe("a report that names another address than the message was sent to", () => {
  const other = "postmaster@elsewhere.example"

  /** One body for each provider that names the other address. */
  const bodies = (deliveryId: string | undefined): Readonly<Record<string, unknown>> => ({
    ses: {
      Type: "Notification",
      MessageId: "00000000-0000-5000-8000-000000000001",
      Message: JSON.stringify({
        eventType: "Bounce",
        mail: {
          messageId: "message-1",
          destination: ["reader-1@reader.example"],
          tags: deliveryId === undefined ? {} : { waybill_delivery_id: [deliveryId] }
        },
        bounce: {
          bounceType: "Permanent",
          bouncedRecipients: [{ emailAddress: other }],
          timestamp: "2026-03-04T10:26:07.123Z"
        }
      })
    },
    resend: {
      type: "email.bounced",
      created_at: "2026-03-04T10:26:07.123Z",
      data: {
        email_id: "message-1",
        to: [other],
        tags: { waybill_delivery_id: deliveryId },
        bounce: { type: "Permanent" }
      }
    },
    postmark: {
      RecordType: "Bounce",
      ID: 42,
      Type: "HardBounce",
      MessageID: "message-1",
      Email: other,
      Metadata: { waybill_delivery_id: deliveryId }
    },
    sendgrid: [{
      event: "bounce",
      type: "bounce",
      email: other,
      timestamp: 1772619967,
      sg_message_id: "message-1",
      sg_event_id: "one",
      waybill_delivery_id: deliveryId
    }],
    mailgun: {
      "event-data": {
        event: "failed",
        severity: "permanent",
        id: "one",
        timestamp: 1772619967,
        recipient: other,
        message: { headers: { "message-id": "message-1" } },
        "user-variables": { waybill_delivery_id: deliveryId }
      }
    }
  })

  const bounced = Effect.fnUntraced(function*(name: string, isEchoed: boolean) {
    const { delivery } = yield* Edge.recorded(1)
    yield* Edge.dispatched(delivery, name, 1)
    const body = bytes(JSON.stringify(bodies(isEchoed ? delivery.id : undefined)[name]))
    const { outcome } = only((yield* ingest(name, body)).events)
    const again = only((yield* ingest(name, body)).events)
    assert.strictEqual(again.outcome._tag, "Duplicate")
    return "deliveryId" in outcome && Option.isSome(outcome.deliveryId)
  })

  it.effect.each(Object.keys(bodies(undefined)))(
    "is about the delivery whose id is echoed, from %s",
    (name) =>
      Effect.gen(function*() {
        assert.isTrue(yield* bounced(name, true))
      }).pipe(Effect.provide(layer))
  )

  it.effect.each(["ses", "resend"])(
    "is about the one delivery of the message, from %s",
    (name) =>
      Effect.gen(function*() {
        assert.isTrue(yield* bounced(name, false))
      }).pipe(Effect.provide(layer))
  )

  it.effect.each(["postmark", "sendgrid", "mailgun"])(
    "is about another recipient of the message, from %s, which says whom it sent to",
    (name) =>
      Effect.gen(function*() {
        assert.isFalse(yield* bounced(name, false))
      }).pipe(Effect.provide(layer))
  )
})
