import { assert, describe, it } from "@effect/vitest"
import { Postmark } from "@waybill/webhooks"
import { Effect, Redacted, Result } from "effect"
import { bytes, event, key, normalized, received, receivedAt } from "./Reading.ts"
import * as Schemes from "./Schemes.ts"

const { row: provider } = Postmark

const messageId = "b7bc2f4a-e38e-4336-af7d-e6c392c2f817"
const deliveryId = "0190f3e2-0000-7000-8000-00000000002a"

const delivery = {
  RecordType: "Delivery",
  MessageID: messageId,
  Recipient: "ada@reader.example",
  DeliveredAt: "2026-03-04T05:06:07.8901234-05:00",
  Details: "smtp;250 2.0.0 Ok: queued",
  ServerID: 23,
  Metadata: { waybill_delivery_id: deliveryId }
}

const bounce = {
  RecordType: "Bounce",
  MessageID: messageId,
  Type: "HardBounce",
  TypeCode: 1,
  Details: "smtp;550 5.1.1 ada@reader.example is unknown (192.5.6.7)",
  Email: "ada@reader.example",
  From: "shop@shop.example",
  BouncedAt: "2026-03-04T10:06:07Z",
  Subject: "Your receipt"
}

const write = (value: unknown): string => JSON.stringify(value)

describe("Postmark", () => {
  it("reads a delivery with its time, message, recipient and our own id", () => {
    assert.deepStrictEqual(event(provider, write(delivery)), {
      type: "delivered",
      at: "2026-03-04T10:06:07.890Z",
      message: messageId,
      to: "ada@reader.example",
      certain: true,
      reason: undefined,
      bounce: undefined,
      eventId: undefined,
      delivery: deliveryId,
      payload: { event: "Delivery", status: "2.0.0" }
    })
  })

  it.for([
    ["HardBounce", "bounced", "bounced", "hard"],
    ["SoftBounce", "bounced", "bounced", "soft"],
    ["VirusNotification", "bounced", "other", "undetermined"],
    ["Transient", "deferred", undefined, undefined],
    ["DnsError", "deferred", undefined, undefined],
    ["OpenRelayTest", "deferred", undefined, undefined],
    ["Unsubscribe", "unsubscribed", undefined, undefined],
    ["Subscribe", "subscribed", undefined, undefined],
    ["AutoResponder", "autoresponded", undefined, undefined],
    ["AddressChange", "autoresponded", undefined, undefined],
    ["ChallengeVerification", "autoresponded", undefined, undefined],
    ["SpamNotification", "complained", undefined, undefined],
    ["SpamComplaint", "complained", undefined, undefined],
    ["BadEmailAddress", "rejected", "invalid", undefined],
    ["ManuallyDeactivated", "rejected", "blocked", undefined],
    ["Blocked", "rejected", "blocked", undefined],
    ["DMARCPolicy", "rejected", "blocked", undefined],
    ["Unconfirmed", "rejected", undefined, undefined],
    ["SMTPApiError", "failed", undefined, undefined],
    ["TemplateRenderingFailed", "failed", undefined, undefined],
    ["Unknown", "unknown", undefined, undefined],
    ["constructor", "unknown", undefined, undefined]
  ])("reads a bounce of type %s", ([Type, type, reason, bounceClass]) => {
    const read = event(provider, write({ ...bounce, ID: 42, Type }))
    assert.deepStrictEqual([read.type, read.reason, read.bounce], [type, reason, bounceClass])
    assert.deepStrictEqual(read.payload, { event: "Bounce", subtype: Type, status: "5.1.1", smtpStatus: 550 })
    assert.strictEqual(read.at, "2026-03-04T10:06:07.000Z")
    assert.strictEqual(read.to, "ada@reader.example")
  })

  it.for(
    [
      [{ RecordType: "Open", ReceivedAt: "2026-03-04T10:00:00Z" }, "opened", "2026-03-04T10:00:00.000Z"],
      [{ RecordType: "Click", ReceivedAt: "2026-03-04T10:00:01Z" }, "clicked", "2026-03-04T10:00:01.000Z"],
      [
        { RecordType: "SpamComplaint", ID: 1, BouncedAt: "2026-03-04T10:00:02Z" },
        "complained",
        "2026-03-04T10:00:02.000Z"
      ],
      [{ RecordType: "Unheard" }, "unknown", "2026-11-20T12:00:00.000Z"],
      [{ RecordType: "SubscriptionChange", SuppressSending: false }, "subscribed", "2026-11-20T12:00:00.000Z"],
      [
        { RecordType: "SubscriptionChange", SuppressSending: true, SuppressionReason: "ManualSuppression" },
        "unsubscribed",
        "2026-11-20T12:00:00.000Z"
      ],
      [{ RecordType: "SubscriptionChange", SuppressSending: true }, "unsubscribed", "2026-11-20T12:00:00.000Z"],
      [
        { RecordType: "SubscriptionChange", SuppressSending: true, SuppressionReason: null },
        "unsubscribed",
        "2026-11-20T12:00:00.000Z"
      ],
      [
        { RecordType: "SubscriptionChange", SuppressSending: true, SuppressionReason: "Unheard" },
        "unknown",
        "2026-11-20T12:00:00.000Z"
      ],
      [
        { RecordType: "SubscriptionChange", SuppressSending: true, SuppressionReason: "SpamComplaint" },
        "complained",
        "2026-11-20T12:00:00.000Z"
      ],
      [
        {
          RecordType: "SubscriptionChange",
          SuppressSending: true,
          SuppressionReason: "HardBounce",
          ChangedAt: "2026-03-04T10:00:03Z"
        },
        "bounced",
        "2026-03-04T10:00:03.000Z"
      ]
    ] as const
  )("reads %o", ([raw, type, at]) => {
    const read = event(provider, write({ MessageID: messageId, Recipient: "ada@reader.example", ...raw }))
    assert.deepStrictEqual([read.type, read.at, read.message], [type, at, messageId])
  })

  it("tells a refusal to send by its form", () => {
    const read = event(provider, write({ ...bounce, ID: 42, Type: "OnSuppressionList" }))
    assert.deepStrictEqual([read.type, read.reason, read.bounce], ["rejected", "blocked", undefined])
    const payload = {
      event: "Bounce",
      subtype: "OnSuppressionList",
      status: "5.1.1",
      smtpStatus: 550,
      suppressed: true
    }
    assert.deepStrictEqual(read.payload, payload)
  })

  it("reads a time of any precision, and one without an offset as UTC", () => {
    const at = (DeliveredAt: unknown) => event(provider, write({ ...delivery, DeliveredAt })).at
    assert.strictEqual(at("2026-03-04T05:06:07"), "2026-03-04T05:06:07.000Z")
    assert.strictEqual(at("2026-03-04 05:06:07.9999999+02"), "2026-03-04T03:06:07.999Z")
    assert.strictEqual(at("0001-01-01T00:00:00Z"), "2026-11-20T12:00:00.000Z")
    assert.strictEqual(at("yesterday"), "2026-11-20T12:00:00.000Z")
    assert.strictEqual(at(7), "2026-11-20T12:00:00.000Z")
  })

  it("keeps an id beyond 2^53 digit by digit", () => {
    const body = `{"ID":4323372036854775807,${write(bounce).slice(1)}`
    assert.strictEqual(event(provider, body).eventId, "4323372036854775807")
    const next = body.replace("4323372036854775807", "4323372036854775806")
    assert.notStrictEqual(key(provider, body), key(provider, next))
  })

  it("reduces a display name to the address and drops what is none", () => {
    const to = (Recipient: unknown) => event(provider, write({ ...delivery, Recipient })).to
    assert.strictEqual(to("Ada <ada@reader.example>"), "ada@reader.example")
    assert.strictEqual(to("nobody"), undefined)
    assert.strictEqual(to(null), undefined)
  })

  it("takes the message id of a test post for none", () => {
    const read = event(provider, write({ ...delivery, MessageID: "00000000-0000-0000-0000-000000000000" }))
    assert.strictEqual(read.message, undefined)
  })

  it("takes only a UUID for our own id, in whatever case", () => {
    const echoed = (id: unknown) =>
      event(provider, write({ ...delivery, Metadata: { waybill_delivery_id: id } })).delivery
    assert.strictEqual(echoed(deliveryId.toUpperCase()), deliveryId)
    assert.strictEqual(echoed("42"), undefined)
    assert.strictEqual(echoed(42), undefined)
  })

  it("gives one key to one event, with and without the trace header", () => {
    const headers = { "x-pm-webhook-trace-id": "7f2d", "x-pm-retries-remaining": "3" }
    assert.strictEqual(key(provider, write(delivery)), key(provider, write(delivery), headers))
    assert.strictEqual(key(provider, write({ ...bounce, ID: 42 })), "webhook:postmark:id:Bounce:42")
  })

  it("gives different keys to different events", () => {
    const opened = { ...delivery, RecordType: "Open", ReceivedAt: "2026-03-04T10:00:00.0000001Z" }
    const { DeliveredAt: _, ...untimed } = delivery
    const all = [
      delivery,
      { ...delivery, Recipient: "bob@reader.example" },
      { ...delivery, MessageID: "b7bc2f4a-e38e-4336-af7d-e6c392c2f818" },
      { ...opened, DeliveredAt: undefined },
      { ...opened, DeliveredAt: undefined, ReceivedAt: "2026-03-04T10:00:00.0000002Z" },
      { ...untimed, RecordType: "Click", OriginalLink: "https://shop.example/a" },
      { ...untimed, RecordType: "Click", OriginalLink: "https://shop.example/b" },
      { ...untimed, RecordType: "Open", UserAgent: "one" },
      { ...untimed, RecordType: "Open", UserAgent: "two" },
      { ...bounce, ID: 42 },
      { ...bounce, ID: 43 },
      { ...bounce, ID: 0 },
      { ...bounce, RecordType: "SpamComplaint", ID: 42 }
    ]
    assert.strictEqual(new Set(all.map((each) => key(provider, write(each)))).size, all.length)
  })

  it("keeps the ids of a body without a type, as the oldest are", () => {
    const { RecordType: _, ...old } = { ...bounce, ID: 42 }
    const read = event(provider, write(old))
    assert.deepStrictEqual([read.type, read.message, read.eventId, read.to, read.at], [
      "unknown",
      messageId,
      "42",
      "ada@reader.example",
      "2026-03-04T10:06:07.000Z"
    ])
    assert.deepStrictEqual(read.payload, { subtype: "HardBounce", status: "5.1.1", smtpStatus: 550 })
    const { ID: __, ...unnumbered } = old
    const { MessageID: ___, ...numbered } = old
    const all = [old, unnumbered, { ...old, ID: 43 }, { ...unnumbered, MessageID: "another" }]
    assert.strictEqual(new Set(all.map((each) => key(provider, write(each)))).size, all.length)
    assert.deepStrictEqual(event(provider, write(numbered)).eventId, "42")
    const inbound = write({ FromFull: { Email: "ada@reader.example" }, MessageID: messageId })
    assert.deepStrictEqual(normalized(provider, received(inbound)).ignored, [{ index: 0, kind: "Inbound" }])
    const neither = write({ Type: "HardBounce", ID: 0, MessageID: "" })
    assert.deepStrictEqual(normalized(provider, received(neither)).undecodable, [{ index: 0, reason: "MissingType" }])
  })

  it("ignores inbound mail and cannot decode what has no type", () => {
    const { events, ignored, undecodable } = normalized(provider, received(write({ RecordType: "Inbound" })))
    assert.deepStrictEqual([events, ignored, undecodable], [[], [{ index: 0, kind: "Inbound" }], []])
    assert.deepStrictEqual(normalized(provider, received("{}")).undecodable, [{ index: 0, reason: "MissingType" }])
    assert.deepStrictEqual(normalized(provider, received("[]")).undecodable, [{ index: 0, reason: "NotAnObject" }])
  })

  it("says why a whole body cannot be read, and nothing of it", () => {
    const result = Postmark.normalize(received("ada@reader.example"))
    assert.isTrue(Result.isFailure(result) && result.failure.reason === "NotJson")
    assert.notInclude(String(Result.isFailure(result) && result.failure.message), "ada")
  })

  const attempt = (authorization: string | undefined, secrets: ReadonlyArray<string>) =>
    Effect.result(Schemes.verify(Postmark.row, {
      headers: authorization === undefined ? {} : { authorization },
      body: bytes("{}"),
      secrets: secrets.map((secret) => Redacted.make(secret)),
      receivedAt
    }))

  const basic = (credentials: string) => `Basic ${Buffer.from(credentials).toString("base64")}`

  it.effect("accepts any of the active credentials", () =>
    Effect.gen(function*() {
      for (const credentials of ["old:one", "new:two:three"]) {
        assert.isTrue(Result.isSuccess(yield* attempt(basic(credentials), ["old:one", "new:two:three"])))
      }
      assert.isTrue(Result.isSuccess(yield* attempt(basic("old:one").replace("Basic", "basic"), ["old:one"])))
      assert.isTrue(Result.isSuccess(yield* attempt(basic(":one"), [":one"])))
      assert.isTrue(Result.isSuccess(yield* attempt(basic("old:one"), ["old:one\r\n"])))
    }))

  it.effect("says why it refuses", () =>
    Effect.gen(function*() {
      const reason = Effect.fnUntraced(function*(authorization: string | undefined, secrets: ReadonlyArray<string>) {
        const result = yield* attempt(authorization, secrets)
        return Result.isFailure(result) ? result.failure.reason : "accepted"
      })
      assert.strictEqual(yield* reason(undefined, ["a:b"]), "MissingHeader")
      assert.strictEqual(yield* reason("Bearer abc", ["a:b"]), "MalformedSignature")
      assert.strictEqual(yield* reason("Basic ####", ["a:b"]), "MalformedSignature")
      assert.strictEqual(yield* reason(basic("a:c"), ["a:b"]), "BadSignature")
      assert.strictEqual(yield* reason(basic("a:b"), []), "MisconfiguredSecret")
      assert.strictEqual(yield* reason(basic("a"), ["a"]), "MisconfiguredSecret")
    }))
})
