import { assert, describe, it } from "@effect/vitest"
import { Resend } from "@waybill/webhooks"
import { DateTime, Effect, Redacted, Result } from "effect"
import { event, key, normalized, only, received, receivedAt } from "./Reading.ts"
import * as Schemes from "./Schemes.ts"

const { row: provider } = Resend

const emailId = "5f1c1a52-6d3e-4a8f-9c1b-0c7f6a3d2e10"
const headers = { "svix-id": "msg_2Zt8K1", "svix-timestamp": "1772619970", "svix-signature": "v1,x" }

const write = (type: string, data: Readonly<Record<string, unknown>> = {}, top: object = {}): string =>
  JSON.stringify({
    type,
    created_at: "2026-03-04T10:26:07.123456Z",
    data: {
      email_id: emailId,
      message_id: "<other@resend.example>",
      created_at: "2026-03-04T09:00:00.000Z",
      from: "Shop <shop@shop.example>",
      to: ["Ada <ada@reader.example>"],
      subject: "Your receipt",
      ...data
    },
    ...top
  })

describe("Resend", () => {
  it("reads a delivery with its time, message, recipient and our own id", () => {
    const deliveryId = "0190f3e2-0000-7000-8000-00000000002a"
    const body = write("email.delivered", { tags: { waybill_delivery_id: deliveryId, category: "receipt" } })
    assert.deepStrictEqual(event(provider, body, headers), {
      type: "delivered",
      at: "2026-03-04T10:26:07.123Z",
      message: emailId,
      to: "ada@reader.example",
      certain: true,
      reason: undefined,
      bounce: undefined,
      eventId: "msg_2Zt8K1",
      delivery: deliveryId,
      payload: { event: "email.delivered" }
    })
  })

  it.for(
    [
      ["email.scheduled", {}, "queued", undefined, undefined],
      ["email.sent", {}, "sent", undefined, undefined],
      ["email.delivery_delayed", {}, "deferred", undefined, undefined],
      ["email.complained", {}, "complained", undefined, undefined],
      ["email.opened", {}, "opened", undefined, undefined],
      ["email.clicked", { click: { link: "https://shop.example/a" } }, "clicked", undefined, undefined],
      ["email.failed", { failed: { reason: "reached_daily_quota" } }, "failed", undefined, undefined],
      ["email.suppressed", {}, "rejected", "blocked", undefined],
      ["email.bounced", { bounce: { type: "Permanent", subType: "General" } }, "bounced", "bounced", "hard"],
      ["email.suppressed", { suppressed: { type: "OnComplaintList" } }, "rejected", "spam", undefined],
      ["email.bounced", { bounce: { type: "Permanent", subType: "Suppressed" } }, "rejected", "bounced", undefined],
      ["email.bounced", { bounce: { type: "Permanent", subType: "OnTeamList" } }, "rejected", "bounced", undefined],
      ["email.bounced", { bounce: { message: "We have suppressed sending to it." } }, "rejected", "bounced", undefined],
      [
        "email.bounced",
        { bounce: { message: "It is on a suppression list, since it complained." } },
        "rejected",
        "spam",
        undefined
      ],
      ["email.bounced", { bounce: { message: "A bounce message came back." } }, "bounced", "bounced", "undetermined"],
      [
        "email.bounced",
        { bounce: { subType: "General", message: "The suppression list is full." } },
        "bounced",
        "bounced",
        "undetermined"
      ],
      ["email.bounced", { bounce: { type: "Transient", subType: "MailboxFull" } }, "bounced", "bounced", "soft"],
      ["email.bounced", { bounce: { type: "Undetermined" } }, "bounced", "bounced", "undetermined"],
      ["email.bounced", {}, "bounced", "bounced", "undetermined"],
      ["email.unheard", {}, "unknown", undefined, undefined]
    ] as const
  )("reads %s with %o", ([raw, data, type, reason, bounceClass]) => {
    const read = event(provider, write(raw, data), headers)
    assert.deepStrictEqual([read.type, read.reason, read.bounce, read.message], [type, reason, bounceClass, emailId])
  })

  it("says that a suppressed recipient was not tried", () => {
    const bounce = { type: "Permanent", subType: "Suppressed", message: "smtp; 550 5.1.1 ada@reader.example" }
    assert.deepStrictEqual(event(provider, write("email.bounced", { bounce }), headers).payload, {
      event: "email.bounced",
      subtype: "Suppressed",
      status: "5.1.1",
      smtpStatus: 550,
      suppressed: true
    })
  })

  it.for(
    [
      [{ to: ["ada@reader.example"] }, true],
      [{ to: ["ada@reader.example", "bob@reader.example"] }, false],
      [{ to: ["ada@reader.example"], cc: ["bob@reader.example"] }, false],
      [{ to: ["ada@reader.example"], bcc: ["bob@reader.example"] }, false],
      [{ to: ["ada@reader.example"], headers: [{ name: "Cc", value: "bob@reader.example" }] }, false]
    ] as const
  )("is certain of the recipient only where there is one: %o", ([data, certain]) => {
    const read = event(provider, write("email.delivered", data), headers)
    assert.deepStrictEqual([read.to, read.certain], ["ada@reader.example", certain])
  })

  it.for(["email.bounced", "email.complained", "email.delivery_delayed"])(
    "is not certain of the recipient of %s, which may be where a mailbox forwards to",
    (type) => {
      const read = event(provider, write(type, { to: ["postmaster@elsewhere.example"] }), headers)
      assert.deepStrictEqual([read.to, read.certain], ["postmaster@elsewhere.example", false])
    }
  )

  it.for(["email.received", "domain.updated", "contact.created", "suppression.added", "inbox.created"])(
    "ignores %s",
    (type) => {
      const { events, ignored, undecodable } = normalized(provider, received(write(type), headers))
      assert.deepStrictEqual([events, ignored, undecodable], [[], [{ index: 0, kind: type }], []])
    }
  )

  it("ignores what another sender posts in the same manner", () => {
    const { events, ignored } = normalized(provider, received(`{"type":"invoice.paid","data":{}}`))
    assert.deepStrictEqual([events, ignored], [[], [{ index: 0, kind: "invoice.paid" }]])
  })

  it("cannot decode what has no readable type", () => {
    for (const body of ["{}", `{"test":1}`, `{"type":7}`, `{"type":""}`, `{"type":null,"data":{}}`]) {
      const { events, ignored, undecodable } = normalized(provider, received(body))
      assert.deepStrictEqual([events, ignored], [[], []])
      assert.deepStrictEqual(undecodable, [{ index: 0, reason: "MissingType" }])
    }
  })

  it("gives one key to every attempt and different keys to equal bodies under different ids", () => {
    const body = write("email.bounced", { to: ["ada@reader.example", "bob@reader.example"] })
    const again = { ...headers, "svix-timestamp": "1772619999", "svix-signature": "v1,y" }
    assert.strictEqual(key(provider, body, headers), "webhook:resend:id:msg_2Zt8K1")
    assert.strictEqual(key(provider, body, headers), key(provider, body, again))
    assert.strictEqual(key(provider, body, headers), key(provider, body, { "webhook-id": "msg_2Zt8K1" }))
    assert.notStrictEqual(key(provider, body, headers), key(provider, body, { ...headers, "svix-id": "msg_2Zt8K2" }))
  })

  it("tells events apart without their headers", () => {
    const all = [
      write("email.opened"),
      write("email.clicked"),
      write("email.clicked", { click: { link: "https://shop.example/a" } }),
      write("email.clicked", { click: { link: "https://shop.example/b" } }),
      write("email.opened", {}, { created_at: "2026-03-04T10:26:07.123457Z" }),
      write("email.opened", { email_id: "another" }),
      write("email.opened", {}, { created_at: null }),
      write("email.opened", {}, { created_at: null, more: 1 })
    ]
    assert.strictEqual(new Set(all.map((each) => key(provider, each))).size, all.length)
  })

  const secret = Redacted.make(`whsec_${Buffer.alloc(24, 7).toString("base64")}`)
  const request = only(
    Schemes.withSecret(Resend.row, secret).send([
      { type: "delivered", messageId: emailId, recipient: "ada@reader.example", at: receivedAt, eventId: "one" }
    ], receivedAt)
  )

  const reason = Effect.fnUntraced(
    function*(change: {
      readonly headers?: Readonly<Record<string, string>>
      readonly secrets?: ReadonlyArray<string>
      readonly receivedAt?: DateTime.Utc
    }) {
      const secrets = (change.secrets ?? [Redacted.value(secret)]).map((each) => Redacted.make(each))
      const result = yield* Effect.result(Schemes.verify(Resend.row, { ...request, receivedAt, ...change, secrets }))
      return Result.isFailure(result) ? result.failure.reason : "accepted"
    }
  )

  const renamed = Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [name.replace("svix", "webhook"), value])
  )

  it.effect("accepts both spellings of the headers, and any of several signatures and secrets", () =>
    Effect.gen(function*() {
      const signature = request.headers["svix-signature"] ?? ""
      const several = { ...request.headers, "svix-signature": `v1a,abc v1,AAAA ${signature}` }
      assert.strictEqual(yield* reason({}), "accepted")
      assert.strictEqual(yield* reason({ headers: renamed }), "accepted")
      assert.strictEqual(yield* reason({ headers: several }), "accepted")
      assert.strictEqual(yield* reason({ secrets: ["whsec_AAAA", Redacted.value(secret)] }), "accepted")
    }))

  it.effect("says why it refuses", () =>
    Effect.gen(function*() {
      const with_ = (change: Readonly<Record<string, string>>) => ({ headers: { ...request.headers, ...change } })
      assert.strictEqual(yield* reason({ headers: {} }), "MissingHeader")
      assert.strictEqual(yield* reason(with_({ "svix-signature": "v2,AAAA" })), "MalformedSignature")
      assert.strictEqual(yield* reason(with_({ "svix-timestamp": "now" })), "MalformedSignature")
      assert.strictEqual(yield* reason(with_({ "svix-id": "msg.1" })), "MalformedSignature")
      assert.strictEqual(yield* reason(with_({ "svix-signature": "v1,AAAA" })), "BadSignature")
      assert.strictEqual(yield* reason({ secrets: ["whsec_AAAA"] }), "BadSignature")
      assert.strictEqual(yield* reason({ secrets: [] }), "MisconfiguredSecret")
      assert.strictEqual(yield* reason({ secrets: ["whsec_"] }), "MisconfiguredSecret")
    }))

  it.effect("accepts five minutes on either side", () =>
    Effect.gen(function*() {
      const at = (seconds: number) => DateTime.add(receivedAt, { seconds })
      assert.strictEqual(yield* reason({ receivedAt: at(300) }), "accepted")
      assert.strictEqual(yield* reason({ receivedAt: at(-300) }), "accepted")
      assert.strictEqual(yield* reason({ receivedAt: at(301) }), "TimestampOutOfTolerance")
      assert.strictEqual(yield* reason({ receivedAt: at(-301) }), "TimestampOutOfTolerance")
    }))
})
