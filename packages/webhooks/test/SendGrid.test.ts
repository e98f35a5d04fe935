import { assert, describe, it } from "@effect/vitest"
import { SendGrid } from "@waybill/webhooks"
import { DateTime, Effect, Redacted, Result } from "effect"
import { generateKeyPairSync } from "node:crypto"
import { event, events, key, keys, normalized, only, received, receivedAt } from "./Reading.ts"
import * as Schemes from "./Schemes.ts"

const { row: provider } = SendGrid

const messageId = "kXr0pBfKQ3mY7hWq2ZtLdA"

const item = {
  email: "ada@reader.example",
  timestamp: 1772619967,
  "smtp-id": `<${messageId}@geopod-ismtpd-4>`,
  sg_event_id: "ZGVsaXZlcmVkLTAtMTIzNDU2Nzg",
  sg_message_id: `${messageId}.filter0043p1mdw1.12345.69A8-1.0`,
  event: "delivered",
  response: "250 OK",
  category: ["receipt"]
}

const write = (...items: ReadonlyArray<unknown>): string => JSON.stringify(items)

describe("SendGrid", () => {
  it("reads a delivery with its time, message, recipient and our own id", () => {
    const deliveryId = "0190f3e2-0000-7000-8000-00000000002a"
    assert.deepStrictEqual(event(provider, write({ ...item, waybill_delivery_id: deliveryId })), {
      type: "delivered",
      at: "2026-03-04T10:26:07.000Z",
      message: messageId,
      to: "ada@reader.example",
      certain: true,
      reason: undefined,
      bounce: undefined,
      eventId: "ZGVsaXZlcmVkLTAtMTIzNDU2Nzg",
      delivery: deliveryId,
      payload: { event: "delivered" }
    })
  })

  it.for(
    [
      [{ event: "processed" }, "queued", undefined, undefined, {}],
      [{ event: "deferred", attempt: "3" }, "deferred", undefined, undefined, { attempt: 3 }],
      [{ event: "open", sg_machine_open: true }, "opened", undefined, undefined, { machine: "apple" }],
      [{ event: "open", sg_machine_open: false }, "opened", undefined, undefined, {}],
      [{ event: "click", url: "https://shop.example/a" }, "clicked", undefined, undefined, {}],
      [{ event: "spamreport" }, "complained", undefined, undefined, {}],
      [{ event: "unsubscribe" }, "unsubscribed", undefined, undefined, {}],
      [{ event: "group_unsubscribe" }, "unsubscribed", undefined, undefined, {}],
      [{ event: "group_resubscribe" }, "subscribed", undefined, undefined, {}],
      [{ event: "bounce", type: "bounce", status: "5.1.1" }, "bounced", "bounced", "hard", {
        subtype: "bounce",
        status: "5.1.1"
      }],
      [{ event: "bounce", type: "blocked" }, "bounced", "blocked", "soft", { subtype: "blocked" }],
      [{ event: "bounce", type: "expired" }, "bounced", "timed_out", "soft", { subtype: "expired" }],
      [{ event: "bounce" }, "bounced", "bounced", "undetermined", {}],
      [{ event: "dropped", reason: "Invalid" }, "rejected", "invalid", undefined, {}],
      [{ event: "dropped", reason: "Bounced Address" }, "rejected", "bounced", undefined, { suppressed: true }],
      [{ event: "dropped", reason: "Unsubscribed Address" }, "rejected", "unsubscribed", undefined, {
        suppressed: true
      }],
      [{ event: "dropped", reason: "Spam Reporting Address" }, "rejected", "spam", undefined, { suppressed: true }],
      [{ event: "dropped", reason: "Spam Content" }, "rejected", "spam", undefined, {}],
      [{ event: "dropped", reason: "Blocked" }, "rejected", "blocked", undefined, {}],
      [{ event: "dropped", reason: "Expired" }, "rejected", "timed_out", undefined, {}],
      [{ event: "dropped", reason: "On the Global Suppression List" }, "rejected", "other", undefined, {
        suppressed: true
      }],
      [{ event: "dropped", reason: "Group Unsubscribed" }, "rejected", "unsubscribed", undefined, { suppressed: true }],
      [{ event: "bounce", type: "suppressed" }, "rejected", "bounced", undefined, {
        subtype: "suppressed",
        suppressed: true
      }],
      [{ event: "deferred", response: "451 4.7.1 try again later" }, "deferred", undefined, undefined, {
        status: "4.7.1",
        smtpStatus: 451
      }],
      [
        { event: "bounce", type: "bounce", status: "5.1.1", response: "550 5.7.1 no" },
        "bounced",
        "bounced",
        "hard",
        { subtype: "bounce", status: "5.1.1", smtpStatus: 550 }
      ],
      [{ event: "dropped", reason: "Recipient List over Package Quota" }, "rejected", "other", undefined, {}],
      [{ event: "unheard" }, "unknown", undefined, undefined, {}]
    ] as const
  )("reads %o", ([raw, type, reason, bounceClass, payload]) => {
    const read = event(provider, write({ ...item, ...raw }))
    assert.deepStrictEqual([read.type, read.reason, read.bounce], [type, reason, bounceClass])
    assert.deepStrictEqual(read.payload, { event: raw.event, ...payload })
  })

  it.for([
    ["kXr0pBfKQ3mY7hWq2ZtLdA.filter0043p1mdw1.1.5.0", messageId],
    ["kXr0pBfKQ3mY7hWq2ZtLdA.recvd-canary-5b9-9-1.0", messageId],
    ["14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0", "14c5d75ce93.dfd.64b469"],
    ["kXr0pBfKQ3mY7hWq2ZtLdA", messageId],
    ["filter0093p1las1.9128.5717.0", messageId],
    ["", messageId],
    [undefined, messageId]
  ])("finds the id that the send call answered in %s", ([raw, expected]) => {
    assert.strictEqual(event(provider, write({ ...item, sg_message_id: raw })).message, expected)
  })

  it.for([
    "<kXr0pBfKQ3mY7hWq2ZtLdA@geopod-ismtpd-8>",
    "<kXr0pBfKQ3mY7hWq2ZtLdA@ismtpd-555>",
    "<kXr0pBfKQ3mY7hWq2ZtLdA@ismtpd0039p1iad1.sendgrid.net>",
    "<kXr0pBfKQ3mY7hWq2ZtLdA@geopod-ismtpd-4.sendgrid.net>",
    "kXr0pBfKQ3mY7hWq2ZtLdA@geopod-ismtpd-8"
  ])("finds the id that the send call answered in the Message-ID %s that SendGrid gave", (smtpId) => {
    const raw = { ...item, sg_message_id: "", "smtp-id": smtpId }
    assert.strictEqual(event(provider, write(raw)).message, messageId)
  })

  it.for([
    "<receipt-7@shop.example>",
    "<receipt-7@ismtpd.shop.example>",
    "<receipt-7@shop.ismtpd-555>",
    "<receipt-7@mail.sendgrid.net>",
    "<receipt-7@sendgrid.net>",
    "<a@b@geopod-ismtpd-8>"
  ])("takes no message id from the Message-ID %s that the sender chose", (smtpId) => {
    const raw = { ...item, sg_message_id: "", "smtp-id": smtpId }
    assert.strictEqual(event(provider, write(raw)).message, undefined)
  })

  it("reads an item that has next to nothing", () => {
    const read = event(provider, write({ event: "bounce", email: "", sg_message_id: "", type: "blocked" }))
    assert.deepStrictEqual([read.type, read.message, read.to, read.at], [
      "bounced",
      undefined,
      undefined,
      "2026-11-20T12:00:00.000Z"
    ])
  })

  it("keeps the good items of a batch", () => {
    const { events, ignored, undecodable } = normalized(
      provider,
      received(write(item, 7, { email: "ada@reader.example" }, { event: "account_status_change" }, {
        ...item,
        sg_event_id: "other"
      }))
    )
    assert.strictEqual(events.length, 2)
    assert.deepStrictEqual(undecodable, [{ index: 1, reason: "NotAnObject" }, { index: 2, reason: "MissingType" }])
    assert.deepStrictEqual(ignored, [{ index: 3, kind: "account_status_change" }])
  })

  it("reads a large batch piece by piece, each when it is asked for, and no otherwise than as a whole", () => {
    const items = Array.from(
      { length: 2500 },
      (_, index) => index % 1000 === 7 ? index : { ...item, sg_event_id: `${index}` }
    )
    const request = received(write(...items, { event: "account_status_change" }))
    const pieces = Array.from(Result.getOrThrow(SendGrid.normalize(request)))
    const whole = normalized(provider, request)
    assert.strictEqual(provider.normalize, SendGrid.normalize)
    assert.deepStrictEqual(pieces.map(({ events }) => events.length), [999, 999, 499])
    assert.deepStrictEqual(pieces.flatMap(({ events }) => events), whole.events)
    assert.deepStrictEqual(whole.undecodable.map(({ index }) => index), [7, 1007, 2007])
    assert.deepStrictEqual(pieces.flatMap(({ undecodable }) => undecodable), whole.undecodable)
    assert.deepStrictEqual(whole.ignored, [{ index: 2500, kind: "account_status_change" }])
  })

  it("gives one key to one event, whatever batch it comes in", () => {
    const other = { ...item, sg_event_id: "other", event: "open" }
    assert.deepStrictEqual(
      keys(provider, received(write(item, other))),
      keys(provider, received(write(other, item))).toReversed()
    )
    assert.strictEqual(key(provider, write(item)), "webhook:sendgrid:id:ZGVsaXZlcmVkLTAtMTIzNDU2Nzg")
  })

  it("tells events without an id apart", () => {
    const { sg_event_id: _, ...anonymous } = { ...item, event: "unsubscribe" }
    const { timestamp: __, ...timeless } = anonymous
    const all = [
      anonymous,
      { ...anonymous, timestamp: 1772619968 },
      { ...anonymous, email: "bob@reader.example" },
      { ...anonymous, event: "group_unsubscribe" },
      { ...anonymous, event: "click", url: "https://shop.example/a" },
      { ...anonymous, event: "click", url: "https://shop.example/b" },
      { ...timeless, asm_group_id: 1 },
      { ...timeless, asm_group_id: 2 }
    ]
    assert.strictEqual(new Set(all.map((each) => key(provider, write(each)))).size, all.length)
    assert.strictEqual(key(provider, write(anonymous)), key(provider, write(anonymous)))
  })

  it("digests an id that is too long for a key", () => {
    const long = "x".repeat(600)
    assert.match(key(provider, write({ ...item, sg_event_id: long })), /^webhook:sendgrid:digest:[0-9a-f]{64}$/)
    assert.notStrictEqual(
      key(provider, write({ ...item, sg_event_id: long })),
      key(provider, write({ ...item, sg_event_id: `${long}x` }))
    )
  })

  it("says why a whole body cannot be read", () => {
    const reason = (text: string) => {
      const result = SendGrid.normalize(received(text))
      return Result.isFailure(result) ? result.failure.reason : "read"
    }
    assert.strictEqual(reason(""), "NotJson")
    assert.strictEqual(reason("{}"), "NotAnArray")
    assert.deepStrictEqual(events(provider, "[]"), [])
  })

  const pair = generateKeyPairSync("ec", { namedCurve: "prime256v1" })
  const otherPair = generateKeyPairSync("ec", { namedCurve: "prime256v1" })
  const sender = Schemes.withKey(SendGrid.row, pair.privateKey)
  const request = only(sender.send([
    { type: "delivered", messageId, recipient: "ada@reader.example", at: receivedAt, eventId: "one" }
  ], receivedAt))

  const reason = Effect.fnUntraced(
    function*(change: {
      readonly headers?: Readonly<Record<string, string>>
      readonly body?: Uint8Array
      readonly secrets?: ReadonlyArray<Redacted.Redacted>
      readonly receivedAt?: DateTime.Utc
    }) {
      const result = yield* Effect.result(
        SendGrid.verify({ ...request, secrets: Schemes.secretsOf(sender), receivedAt, ...change })
      )
      return Result.isFailure(result) ? result.failure.reason : "accepted"
    }
  )

  it.effect("covers every byte of the body, the line break at its end included", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* reason({}), "accepted")
      assert.strictEqual(yield* reason({ body: request.body.slice(0, -1) }), "BadSignature")
    }))

  it.effect("accepts any of the active keys", () =>
    Effect.gen(function*() {
      const others = Schemes.secretsOf(Schemes.withKey(SendGrid.row, otherPair.privateKey))
      assert.strictEqual(yield* reason({ secrets: [...others, ...Schemes.secretsOf(sender)] }), "accepted")
      assert.strictEqual(yield* reason({ secrets: others }), "BadSignature")
    }))

  it.effect("accepts a key in PEM, or with line breaks in it", () =>
    Effect.gen(function*() {
      const pem = pair.publicKey.export({ format: "pem", type: "spki" }).toString()
      for (
        const secret of [
          pem,
          pem.replaceAll("\n", "\r\n"),
          pem.replaceAll("\n", "\\n"),
          pem.split("\n").slice(1, -2).join("\n ")
        ]
      ) {
        assert.strictEqual(yield* reason({ secrets: [Redacted.make(secret)] }), "accepted")
      }
    }))

  it.effect("says why it refuses", () =>
    Effect.gen(function*() {
      const headers = request.headers
      const signature = "x-twilio-email-event-webhook-signature"
      const rsa = generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey
      const rsaSecret = Redacted.make(rsa.export({ format: "der", type: "spki" }).toString("base64"))
      assert.strictEqual(yield* reason({ headers: {} }), "MissingHeader")
      assert.strictEqual(yield* reason({ headers: { ...headers, [signature]: "" } }), "MalformedSignature")
      assert.strictEqual(yield* reason({ headers: { ...headers, [signature]: "not base64" } }), "MalformedSignature")
      assert.strictEqual(yield* reason({ headers: { ...headers, [signature]: "AAAA" } }), "BadSignature")
      assert.strictEqual(yield* reason({ secrets: [] }), "MisconfiguredSecret")
      assert.strictEqual(yield* reason({ secrets: [Redacted.make("AAAA")] }), "MisconfiguredSecret")
      assert.strictEqual(yield* reason({ secrets: [rsaSecret] }), "MisconfiguredSecret")
    }))

  it.effect("accepts a retry after hours under its first signature", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* reason({ receivedAt: DateTime.add(receivedAt, { hours: 23 }) }), "accepted")
    }))
})
