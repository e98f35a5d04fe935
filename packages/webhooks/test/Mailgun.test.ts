import { assert, describe, it } from "@effect/vitest"
import { Mailgun } from "@waybill/webhooks"
import { DateTime, Effect, Option, Redacted, Result } from "effect"
import { createHmac } from "node:crypto"
import { bytes, event, key, normalized, only, received, receivedAt } from "./Reading.ts"
import * as Schemes from "./Schemes.ts"

const { row: provider } = Mailgun

const messageId = "20260304102600.1.7F3A@mg.shop.example"
const deliveryId = "0190f3e2-0000-7000-8000-00000000002a"

const signature = { timestamp: "1772619970", token: "a".repeat(50), signature: "00" }

const data = {
  event: "delivered",
  id: "hK7mQ2vZRf6c",
  timestamp: 1772619967.908181,
  recipient: "ada@reader.example",
  "log-level": "info",
  message: { headers: { to: "Ada <ada@reader.example>", "message-id": messageId, subject: "Your receipt" } },
  "delivery-status": { code: 250, "attempt-no": 2, message: "OK" },
  "user-variables": { waybill_delivery_id: deliveryId }
}

const write = (change: object = {}): string => JSON.stringify({ signature, "event-data": { ...data, ...change } })

const form = (...fields: ReadonlyArray<readonly [string, string]>): string =>
  fields.map(([field, value]) => `${encodeURIComponent(field)}=${encodeURIComponent(value)}`).join("&")

const legacy = (event: string, ...more: ReadonlyArray<readonly [string, string]>): string =>
  form(
    ["event", event],
    ["recipient", "ada@reader.example"],
    ["Message-Id", `<${messageId}>`],
    ...more,
    ["timestamp", "1772619967"],
    ["token", "b".repeat(50)],
    ["signature", "00"]
  )

describe("Mailgun", () => {
  it("reads a delivery with its time, message, recipient and our own id", () => {
    assert.deepStrictEqual(event(provider, write()), {
      type: "delivered",
      at: "2026-03-04T10:26:07.908Z",
      message: messageId,
      to: "ada@reader.example",
      certain: true,
      reason: undefined,
      bounce: undefined,
      eventId: "hK7mQ2vZRf6c",
      delivery: deliveryId,
      payload: { event: "delivered", attempt: 2 }
    })
  })

  it.for(
    [
      [{ event: "accepted" }, "queued", undefined, undefined],
      [{ event: "rejected", reject: { reason: "Sandbox" } }, "rejected", "other", undefined],
      [{ event: "opened" }, "opened", undefined, undefined],
      [{ event: "opened", severity: "temporary" }, "opened", undefined, undefined],
      [{ event: "clicked", url: "https://shop.example/a" }, "clicked", undefined, undefined],
      [{ event: "unsubscribed" }, "unsubscribed", undefined, undefined],
      [{ event: "complained" }, "complained", undefined, undefined],
      [{ event: "failed", severity: "temporary", reason: "generic" }, "deferred", undefined, undefined],
      [{ event: "failed", severity: "permanent", reason: "bounce" }, "bounced", "bounced", "hard"],
      [{ event: "failed", severity: "permanent", reason: "suppress-bounce" }, "rejected", "bounced", undefined],
      [{ event: "failed", severity: "permanent", reason: "suppress-anew" }, "rejected", "other", undefined],
      [{ event: "failed", severity: "permanent", reason: "blacklisted" }, "bounced", "other", "hard"],
      [{ event: "failed", severity: "permanent", reason: "generic" }, "bounced", "other", "hard"],
      [{ event: "failed", severity: "permanent", reason: "old" }, "bounced", "timed_out", "soft"],
      [{ event: "failed", severity: "permanent", reason: "espblock" }, "bounced", "blocked", "hard"],
      [{ event: "failed", severity: "permanent", reason: "suppress-complaint" }, "rejected", "spam", undefined],
      [
        { event: "failed", severity: "permanent", reason: "suppress-unsubscribe" },
        "rejected",
        "unsubscribed",
        undefined
      ],
      [{ event: "failed" }, "bounced", "other", "undetermined"],
      [
        { event: "failed", severity: "permanent", reason: "bounce", "delivery-status": { "bounce-type": "soft" } },
        "bounced",
        "bounced",
        "soft"
      ],
      [
        { event: "failed", reason: "generic", "delivery-status": { "bounce-type": "hard" } },
        "bounced",
        "other",
        "hard"
      ],
      [
        { event: "failed", severity: "permanent", "delivery-status": { "bounce-type": "?" } },
        "bounced",
        "other",
        "hard"
      ],
      [{ event: "unheard" }, "unknown", undefined, undefined]
    ] as const
  )("reads %o", ([change, type, reason, bounceClass]) => {
    const read = event(provider, write(change))
    assert.deepStrictEqual([read.type, read.reason, read.bounce], [type, reason, bounceClass])
  })

  it.for([
    ["", undefined],
    ["apple", "apple"],
    ["gmail", "gmail"],
    ["somebody's", "generic"]
  ])("names the machine that opened: %s", ([bot, machine]) => {
    assert.deepStrictEqual(event(provider, write({ event: "opened", "client-info": { bot } })).payload, {
      event: "opened",
      attempt: 2,
      ...(machine !== undefined && { machine })
    })
  })

  it("keeps reason and status of a failure, not its text", () => {
    const status = { code: 550, "attempt-no": 1, message: "5.1.1 ada@reader.example is unknown" }
    const change = { event: "failed", severity: "permanent", reason: "bounce", "delivery-status": status }
    const payload = { event: "failed", subtype: "bounce", status: "5.1.1", smtpStatus: 550, attempt: 1 }
    assert.deepStrictEqual(event(provider, write(change)).payload, payload)
    const precise = { ...change, "delivery-status": { ...status, "enhanced-code": "5.7.1" } }
    assert.deepStrictEqual(event(provider, write(precise)).payload, { ...payload, status: "5.7.1" })
  })

  it("reads a number that no ledger stores as the one it is equal to", () => {
    const body = write({ "delivery-status": { "attempt-no": 7 } }).replace("\"attempt-no\":7", "\"attempt-no\":-0")
    assert.deepStrictEqual(event(provider, body).payload, { event: "delivered", attempt: 0 })
  })

  it("takes the recipient of a rejection from the message, without certainty", () => {
    const to = `"Ada, reader" <ada@reader.example>, bob@reader.example`
    const read = event(provider, write({ event: "rejected", recipient: undefined, message: { headers: { to } } }))
    assert.deepStrictEqual([read.to, read.certain, read.message], ["ada@reader.example", false, undefined])
  })

  it("reads an event that has next to nothing", () => {
    const bare = (event: object, block: object = signature) => JSON.stringify({ signature: block, "event-data": event })
    const read = event(provider, bare({ event: "accepted", "delivery-status": null }))
    assert.deepStrictEqual([read.type, read.at, read.to], ["queued", "2026-03-04T10:26:10.000Z", undefined])
    assert.strictEqual(event(provider, bare({ event: "accepted" }, {})).at, "2026-11-20T12:00:00.000Z")
    assert.notStrictEqual(
      key(provider, bare({ event: "accepted" })),
      key(provider, bare({ event: "accepted" }, { ...signature, token: "c".repeat(50) }))
    )
  })

  it("gives one key to one event, and different keys to equal ids of different days", () => {
    const resigned = JSON.stringify({ signature: { ...signature, token: "other" }, "event-data": data })
    assert.strictEqual(key(provider, write()), "webhook:mailgun:id:hK7mQ2vZRf6c:1772619967.908181")
    assert.strictEqual(key(provider, write()), key(provider, resigned))
    assert.notStrictEqual(key(provider, write()), key(provider, write({ timestamp: 1772706367.908181 })))
  })

  it("tells events without an id apart", () => {
    const all = [
      write({ id: undefined }),
      write({ id: undefined, event: "opened" }),
      write({ id: undefined, timestamp: 1772619967.908182 }),
      write({ id: undefined, recipient: "bob@reader.example" }),
      write({ id: undefined, event: "clicked", url: "https://shop.example/a" }),
      write({ id: undefined, event: "clicked", url: "https://shop.example/b" }),
      write({ id: undefined, message: null }),
      legacy("delivered"),
      legacy("clicked", ["url", "https://shop.example/a"]),
      legacy("clicked", ["url", "https://shop.example/b"])
    ]
    assert.strictEqual(new Set(all.map((each) => key(provider, each))).size, all.length)
  })

  it.for(
    [
      ["delivered", [], "delivered", undefined, undefined],
      ["opened", [], "opened", undefined, undefined],
      ["clicked", [], "clicked", undefined, undefined],
      ["complained", [], "complained", undefined, undefined],
      ["unsubscribed", [], "unsubscribed", undefined, undefined],
      ["bounced", [["code", "550"]], "bounced", "bounced", "hard"],
      ["bounced", [["code", "5.1.1"]], "bounced", "bounced", "hard"],
      ["bounced", [["code", "499"]], "bounced", "timed_out", "soft"],
      ["dropped", [["code", "602"]], "bounced", "timed_out", "soft"],
      ["dropped", [["code", "550"], ["reason", "old"]], "bounced", "timed_out", "soft"],
      ["dropped", [["code", "550"], ["reason", "hardfail"]], "rejected", "bounced", undefined],
      ["bounced", [["code", "605"]], "rejected", "bounced", undefined],
      ["bounced", [], "bounced", "other", "hard"],
      ["dropped", [["code", "605"]], "rejected", "bounced", undefined],
      ["dropped", [["code", "606"]], "rejected", "unsubscribed", undefined],
      ["dropped", [["code", "607"]], "rejected", "spam", undefined],
      ["unheard", [], "unknown", undefined, undefined]
    ] as const
  )("reads the legacy form of %s with %o", ([raw, more, type, reason, bounceClass]) => {
    const read = event(provider, legacy(raw, ...more, ["waybill_delivery_id", deliveryId]))
    assert.deepStrictEqual([read.type, read.reason, read.bounce], [type, reason, bounceClass])
    assert.deepStrictEqual([read.message, read.to, read.certain, read.delivery, read.at], [
      messageId,
      "ada@reader.example",
      true,
      deliveryId,
      "2026-03-04T10:26:07.000Z"
    ])
  })

  it("tells Mailgun's own fields in a form from the user's variables of the same name", () => {
    const body = form(
      ["event", "opened"],
      ["event", "mine"],
      ["recipient", "ada@reader.example"],
      ["recipient", "mine"],
      ["timestamp", "mine"],
      ["timestamp", "1772619967"],
      ["token", "mine"],
      ["token", "b".repeat(50)]
    )
    const read = event(provider, body)
    assert.deepStrictEqual([read.type, read.to, read.at], ["opened", "ada@reader.example", "2026-03-04T10:26:07.000Z"])
  })

  it("reads a multipart form", () => {
    const part = (field: string, value: string) =>
      `--bound\r\nContent-Disposition: form-data; name="${field}"\r\n\r\n${value}\r\n`
    const body = [
      part("event", "bounced"),
      part("recipient", "ada@reader.example"),
      part("code", "550"),
      part("Message-Id", `<${messageId}>`),
      part("timestamp", "1772619967"),
      "--bound--\r\n"
    ].join("")
    const read = event(provider, body)
    assert.deepStrictEqual([read.type, read.to, read.message, read.at], [
      "bounced",
      "ada@reader.example",
      messageId,
      "2026-03-04T10:26:07.000Z"
    ])
  })

  it("ignores what is not about a message that was sent and cannot decode what has no type", () => {
    assert.deepStrictEqual(normalized(provider, received(write({ event: "stored" }))).ignored, [
      { index: 0, kind: "stored" }
    ])
    for (const body of ["{}", `{"event-data":{}}`, "a=b"]) {
      assert.deepStrictEqual(normalized(provider, received(body)).undecodable, [{ index: 0, reason: "MissingType" }])
    }
    assert.deepStrictEqual(normalized(provider, received("[]")).undecodable, [{ index: 0, reason: "NotAnObject" }])
    assert.isTrue(Result.isFailure(Mailgun.normalize(received("{"))))
  })

  const signingKey = "f".repeat(32)
  const request = only(
    Schemes.withSecret(Mailgun.row, Redacted.make(signingKey)).send([
      { type: "delivered", messageId, recipient: "ada@reader.example", at: receivedAt, eventId: "one" }
    ], receivedAt)
  )

  const verified = (
    body: string,
    change: {
      readonly secrets?: ReadonlyArray<string>
      readonly receivedAt?: DateTime.Utc
    } = {}
  ) =>
    Effect.result(Mailgun.verify({
      headers: {},
      body: bytes(body),
      receivedAt,
      ...change,
      secrets: (change.secrets ?? [signingKey]).map((each) => Redacted.make(each))
    }))

  const reason = Effect.fnUntraced(function*(...attempt: Parameters<typeof verified>) {
    const result = yield* verified(...attempt)
    return Result.isFailure(result) ? result.failure.reason : "accepted"
  })

  const posted = new TextDecoder().decode(request.body)

  const hmac = (timestamp: string, token: string) =>
    createHmac("sha256", signingKey).update(timestamp + token).digest("hex")

  it.effect("gives the token, because the signature covers time and token and not the body", () =>
    Effect.gen(function*() {
      const forged = posted.replace("ada@reader.example", "eve@reader.example")
      const first = yield* verified(posted)
      const second = yield* verified(forged)
      assert.isTrue(Result.isSuccess(first) && Option.isSome(first.success.token))
      assert.deepStrictEqual(first, second)
    }))

  it.effect("accepts any of the active keys, a form, and the signature for the parent account", () =>
    Effect.gen(function*() {
      const [timestamp, token] = ["1772619967", "b".repeat(50)]
      const block = { timestamp, token, signature: hmac(timestamp, "x"), "parent-signature": hmac(timestamp, token) }
      const filled = form(["timestamp", timestamp], ["token", token], ["signature", hmac(timestamp, token)])
      assert.strictEqual(yield* reason(posted, { secrets: ["other", signingKey] }), "accepted")
      assert.strictEqual(yield* reason(filled), "accepted")
      assert.strictEqual(yield* reason(JSON.stringify({ signature: block })), "accepted")
    }))

  it.effect("says why it refuses", () =>
    Effect.gen(function*() {
      const block = (change: object) => JSON.stringify({ signature: { ...signature, ...change } })
      assert.strictEqual(yield* reason("x"), "MalformedSignature")
      assert.strictEqual(yield* reason("{}"), "MissingHeader")
      assert.strictEqual(yield* reason(block({ token: "a b" })), "MalformedSignature")
      assert.strictEqual(yield* reason(block({ timestamp: "now" })), "MalformedSignature")
      assert.strictEqual(yield* reason(block({})), "BadSignature")
      assert.strictEqual(yield* reason(posted, { secrets: ["other"] }), "BadSignature")
      assert.strictEqual(yield* reason(posted, { secrets: [] }), "MisconfiguredSecret")
      assert.strictEqual(yield* reason(posted, { secrets: [""] }), "MisconfiguredSecret")
    }))

  it.effect("accepts a retry after hours under its first signature", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* reason(posted, { receivedAt: DateTime.add(receivedAt, { hours: 8 }) }), "accepted")
    }))
})
