/** Reads what Event Grid posts, in both of its schemas, and answers its handshakes over HTTP. */
import { assert, describe, it } from "@effect/vitest"
import { Azure } from "@waybill/webhooks"
import { DateTime, Effect, Redacted } from "effect"
import * as Edge from "./Edge.ts"
import { bytes, event, events } from "./Reading.ts"
import * as Schemes from "./Schemes.ts"

const report = (status: string, change: object = {}) => ({
  id: "e1",
  topic: "/subscriptions/s/resourceGroups/g/providers/Microsoft.Communication/CommunicationServices/c",
  subject: "sender/shop@shop.example/message/m1",
  eventType: "Microsoft.Communication.EmailDeliveryReportReceived",
  eventTime: "2026-03-04T10:26:09Z",
  dataVersion: "1.0",
  data: {
    sender: "shop@shop.example",
    recipient: "ada@reader.example",
    messageId: "m1",
    internetMessageId: "<m1@shop.example>",
    status,
    deliveryStatusDetails: { statusMessage: "5.1.1 mailbox not found" },
    deliveryAttemptTimeStamp: "2026-03-04T10:26:07.1234567Z"
  },
  ...change
})

const engagement = (engagementType: string) => ({
  id: "e2",
  eventType: "Microsoft.Communication.EmailEngagementTrackingReportReceived",
  eventTime: "2026-03-04T10:26:09Z",
  data: {
    sender: "shop@shop.example",
    messageId: "m1",
    userActionTimeStamp: "2026-03-04T10:26:07.1234567+00:00",
    engagementContext: "https://shop.example/orders",
    userAgent: "Mozilla/5.0",
    engagementType
  }
})

const validation = [{
  id: "v1",
  eventType: "Microsoft.EventGrid.SubscriptionValidationEvent",
  data: { validationCode: "512d38b6-c7b8-40c8-89fe-f46f9e9622b6", validationUrl: "https://x.eventgrid.azure.net:553/y" }
}]

const token = Redacted.make("a-token")

const layer = Edge.layer({
  storage: Edge.memory,
  tenants: { default: { secrets: { azure: [token] } } }
})

const post = (path: string, headers: Readonly<Record<string, string>>, body: unknown) =>
  Edge.post(path, { headers: { "content-type": "application/json", ...headers }, body: bytes(JSON.stringify(body)) })

describe("Azure", () => {
  it.for(
    [
      ["Delivered", "delivered", undefined, undefined],
      ["Bounced", "bounced", "bounced", "hard"],
      ["Failed", "failed", undefined, undefined],
      ["Suppressed", "rejected", "bounced", undefined],
      ["FilteredSpam", "bounced", "spam", "undetermined"],
      ["Quarantined", "bounced", "spam", "soft"],
      ["Expanded", "unknown", undefined, undefined]
    ] as const
  )("reads the status %s, in either schema", ([status, type, reason, bounce]) => {
    const { eventTime, eventType, ...rest } = report(status)
    const cloud = { specversion: "1.0", type: eventType, time: eventTime, source: rest.topic, ...rest }
    for (const text of [JSON.stringify([report(status)]), JSON.stringify(cloud)]) {
      const read = event(Azure.row, text)
      assert.deepStrictEqual(
        [read.type, read.reason, read.bounce, read.message, read.to, read.certain, read.at, read.eventId],
        [type, reason, bounce, "m1", "ada@reader.example", true, "2026-03-04T10:26:07.123Z", "e1"]
      )
    }
  })

  it("reads an opening and a click, which name nobody", () => {
    for (const [word, type] of [["view", "opened"], ["click", "clicked"]] as const) {
      const read = event(Azure.row, JSON.stringify([engagement(word)]))
      assert.deepStrictEqual([read.type, read.to, read.message], [type, undefined, "m1"])
    }
  })

  it("ignores what is about no mail", () => {
    assert.deepStrictEqual(events(Azure.row, JSON.stringify(validation)), [])
    const sms = report("Delivered", { eventType: "Microsoft.Communication.SMSReceived" })
    assert.deepStrictEqual(events(Azure.row, JSON.stringify([sms, report("Delivered")])).length, 1)
  })

  it.live(
    "answers the handshake with its code, where the token is right, and takes events by header, bearer and query",
    () =>
      Effect.gen(function*() {
        const asked = yield* post(
          "/webhooks/azure?token=a-token",
          { "aeg-event-type": "SubscriptionValidation" },
          validation
        )
        assert.deepStrictEqual([asked.status, asked.text, asked.headers.get("content-type")], [
          200,
          "{\"validationResponse\":\"512d38b6-c7b8-40c8-89fe-f46f9e9622b6\"}",
          "application/json"
        ])
        for (const path of ["/webhooks/azure", "/webhooks/azure?token=b-token"]) {
          assert.strictEqual((yield* post(path, {}, validation)).status, 401)
        }
        for (const headers of [{ authorization: "Bearer a-token" }, { "x-waybill-token": "a-token" }]) {
          assert.strictEqual((yield* post("/webhooks/azure", headers, [report("Delivered")])).status, 200)
        }
        assert.lengthOf(yield* Edge.orphans(), 1)
      }).pipe(Effect.provide(layer, { local: true })),
    30_000
  )

  it.live(
    "answers OPTIONS of CloudEvents, and says yes to Event Grid alone",
    () =>
      Effect.gen(function*() {
        const asked = (origin: string, path = "/webhooks/azure") =>
          Edge.call(path, { method: "OPTIONS", headers: { "webhook-request-origin": origin } })
        const good = yield* asked("eventgrid.azure.net")
        assert.deepStrictEqual([good.status, good.headers.get("webhook-allowed-origin")], [200, "eventgrid.azure.net"])
        assert.isNull((yield* asked("elsewhere.example")).headers.get("webhook-allowed-origin"))
        assert.strictEqual((yield* asked("eventgrid.azure.net", "/tenants/nobody/webhooks/azure")).status, 404)
        const refused = yield* Edge.call("/webhooks/azure", { method: "GET" })
        assert.deepStrictEqual([refused.status, refused.headers.get("allow")], [405, "POST, OPTIONS"])
        assert.lengthOf(yield* Edge.webhooks("*"), 0)
      }).pipe(Effect.provide(layer, { local: true })),
    30_000
  )

  it.effect("compares the whole token", () =>
    Effect.gen(function*() {
      for (const given of ["a-toke", "a-token2", "A-token"]) {
        const refused = yield* Effect.flip(Schemes.verify(Azure.row, {
          headers: { "x-waybill-token": given },
          body: bytes("[]"),
          receivedAt: yield* DateTime.now,
          secrets: [token]
        }))
        assert.strictEqual(refused.reason, "BadSignature")
      }
    }))
})
