/** Reads and verifies what the kin of Standard Webhooks send. */
import { assert, describe, it } from "@effect/vitest"
import { AhaSend, Lettermint, Loops, type Row, Sweego, UseSend, type Webhook } from "@waybill/webhooks"
import { Senders } from "@waybill/webhooks/testing"
import { DateTime, Effect, Redacted, Result } from "effect"
import { createHmac } from "node:crypto"
import { bytes, event, events, key, only, receivedAt } from "./Reading.ts"
import * as Schemes from "./Schemes.ts"

const body = (text: object) => JSON.stringify(text)

const loops = (eventName: string, change: object = {}) =>
  body({
    eventName,
    eventTime: 1772619967,
    webhookSchemaVersion: "1.0.0",
    contactIdentity: { id: "c1", email: "ada@reader.example", userId: "7" },
    email: { id: "em_1", emailMessageId: "other", subject: "Your receipt" },
    ...change
  })

const ahasend = (type: string, data: object = {}) =>
  body({
    type,
    timestamp: "2026-03-04T10:26:07.123456789Z",
    webhook_id: "w1",
    data: { id: "m1", message_id_header: "<x@shop.example>", recipient: "ada@reader.example", ...data }
  })

const sweego = (event_type: string, change: object = {}) =>
  body({
    event_type,
    timestamp: "2026-03-04T12:26:07+02:00",
    event_id: "e1",
    swg_uid: "u1",
    headers: { "x-transaction-id": "t1" },
    recipient: "ada@reader.example",
    ...change
  })

const usesend = (type: string, data: object = {}) =>
  body({
    id: "call_1",
    type,
    createdAt: "2026-03-04T10:26:09Z",
    data: { id: "m1", to: ["ada@reader.example"], occurredAt: "2026-03-04T10:26:07.123Z", ...data }
  })

const lettermint = (event: string, data: object = {}) =>
  body({
    id: "d1",
    event,
    timestamp: "2026-03-04T10:26:07Z",
    data: { message_id: "m1", recipient: "ada@reader.example", ...data }
  })

type Case = readonly [row: Row.Row, text: string, type: string, reason?: string, bounce?: string]

const cases: ReadonlyArray<Case> = [
  [Loops.row, loops("transactional.email.sent"), "sent"],
  [Loops.row, loops("campaign.email.sent"), "sent"],
  [Loops.row, loops("loop.email.sent"), "sent"],
  [Loops.row, loops("email.delivered"), "delivered"],
  [Loops.row, loops("email.softBounced"), "bounced", "bounced", "soft"],
  [Loops.row, loops("email.hardBounced"), "bounced", "bounced", "hard"],
  [Loops.row, loops("email.opened"), "opened"],
  [Loops.row, loops("email.clicked"), "clicked"],
  [Loops.row, loops("email.spamReported"), "complained"],
  [Loops.row, loops("email.unsubscribed"), "unsubscribed"],
  [Loops.row, loops("email.resubscribed"), "subscribed"],
  [Loops.row, loops("email.unheard"), "unknown"],
  [AhaSend.row, ahasend("message.reception"), "queued"],
  [AhaSend.row, ahasend("message.delivered"), "delivered"],
  [AhaSend.row, ahasend("message.transient_error"), "deferred"],
  [AhaSend.row, ahasend("message.failed"), "bounced", "timed_out", "soft"],
  [AhaSend.row, ahasend("message.bounced"), "bounced", "bounced", "undetermined"],
  [AhaSend.row, ahasend("message.suppressed"), "rejected", "blocked"],
  [AhaSend.row, ahasend("message.opened"), "opened"],
  [AhaSend.row, ahasend("message.clicked"), "clicked"],
  [Sweego.row, sweego("email_sent"), "sent"],
  [Sweego.row, sweego("delivered"), "delivered"],
  [Sweego.row, sweego("soft_bounce"), "bounced", "bounced", "soft"],
  [Sweego.row, sweego("hard_bounce"), "bounced", "bounced", "hard"],
  [Sweego.row, sweego("list_unsub"), "unsubscribed"],
  [Sweego.row, sweego("complaint"), "complained"],
  [Sweego.row, sweego("email_opened"), "opened"],
  [Sweego.row, sweego("email_clicked"), "clicked"],
  [UseSend.row, usesend("email.queued"), "queued"],
  [UseSend.row, usesend("email.sent"), "sent"],
  [UseSend.row, usesend("email.delivered"), "delivered"],
  [UseSend.row, usesend("email.delivery_delayed"), "deferred"],
  [UseSend.row, usesend("email.bounced", { bounce: { type: "Permanent" } }), "bounced", "bounced", "hard"],
  [UseSend.row, usesend("email.bounced", { bounce: { type: "Transient" } }), "bounced", "bounced", "soft"],
  [UseSend.row, usesend("email.bounced", { bounce: { subType: "OnAccountSuppressionList" } }), "rejected", "bounced"],
  [UseSend.row, usesend("email.rejected"), "rejected", "blocked"],
  [UseSend.row, usesend("email.rendering_failure"), "failed"],
  [UseSend.row, usesend("email.failed"), "failed"],
  [UseSend.row, usesend("email.cancelled"), "unknown"],
  [UseSend.row, usesend("email.suppressed", { suppression: { type: "COMPLAINT" } }), "rejected", "spam"],
  [UseSend.row, usesend("email.suppressed", { suppression: { type: "BOUNCE" } }), "rejected", "bounced"],
  [UseSend.row, usesend("email.complained"), "complained"],
  [UseSend.row, usesend("email.opened"), "opened"],
  [UseSend.row, usesend("email.clicked"), "clicked"],
  [Lettermint.row, lettermint("message.created"), "queued"],
  [Lettermint.row, lettermint("message.sent"), "sent"],
  [Lettermint.row, lettermint("message.delivered"), "delivered"],
  [Lettermint.row, lettermint("message.hard_bounced"), "bounced", "bounced", "hard"],
  [Lettermint.row, lettermint("message.soft_bounced"), "bounced", "bounced", "soft"],
  [Lettermint.row, lettermint("message.failed"), "failed"],
  [Lettermint.row, lettermint("message.suppressed"), "rejected", "blocked"],
  [Lettermint.row, lettermint("message.policy_rejected"), "rejected", "blocked"],
  [Lettermint.row, lettermint("message.spam_complaint"), "complained"],
  [Lettermint.row, lettermint("message.unsubscribed"), "unsubscribed"],
  [Lettermint.row, lettermint("message.opened"), "opened"],
  [Lettermint.row, lettermint("message.clicked"), "clicked"],
  [Lettermint.row, lettermint("message.auto_replied"), "autoresponded"],
  [Lettermint.row, lettermint("message.rescheduled"), "unknown"]
]

const messages: Readonly<Record<string, string>> = { loops: "em_1", sweego: "t1" }

const times: Readonly<Record<string, string>> = {
  loops: "2026-03-04T10:26:07.000Z",
  ahasend: "2026-03-04T10:26:07.123Z",
  sweego: "2026-03-04T10:26:07.000Z",
  usesend: "2026-03-04T10:26:07.123Z",
  lettermint: "2026-03-04T10:26:07.000Z"
}

const ids: Readonly<Record<string, string>> = { sweego: "e1", usesend: "call_1", lettermint: "d1" }

describe("The kin of Standard Webhooks", () => {
  it.for(cases)("are read: $0.name $1", ([row, text, type, reason, bounce]) => {
    const read = event(row, text, { "webhook-id": "msg_1" })
    assert.deepStrictEqual(
      [read.type, read.reason, read.bounce, read.message, read.to, read.certain, read.at, read.eventId],
      [
        type,
        reason,
        bounce,
        messages[row.name] ?? "m1",
        "ada@reader.example",
        true,
        times[row.name],
        ids[row.name] ?? "msg_1"
      ]
    )
  })

  it.for(
    [
      [Loops.row, loops("contact.created")],
      [Loops.row, loops("testing.testEvent")],
      [AhaSend.row, ahasend("suppression.created")],
      [AhaSend.row, ahasend("message.routing")],
      [AhaSend.row, ahasend("route.message")],
      [Sweego.row, sweego("delivered", { channel: "sms" })],
      [UseSend.row, usesend("contact.created")],
      [UseSend.row, usesend("webhook.test")],
      [Lettermint.row, lettermint("webhook.test")],
      [Lettermint.row, lettermint("message.inbound")]
    ] as const
  )("ignore what is about no message: $0.name $1", ([row, text]) => {
    assert.deepStrictEqual(events(row, text), [])
  })

  it("tell a robot's opening, and whom one of several it was not", () => {
    assert.deepStrictEqual(event(AhaSend.row, ahasend("message.opened", { is_bot: true })).payload, {
      event: "message.opened",
      machine: "generic"
    })
    const machine = { machine: "generic" }
    assert.deepInclude(event(AhaSend.row, ahasend("message.opened", { is_bot: "true" })).payload, machine)
    for (const open of [{ open: { proxy: true } }, { click: { proxy: true } }]) {
      assert.deepInclude(event(Sweego.row, sweego("email_opened", open)).payload, machine)
    }
    const robot = lettermint("message.opened", { bot: { machine: true, classification: "proxy" } })
    assert.deepInclude(event(Lettermint.row, robot).payload, machine)
    const several = usesend("email.delivered", { to: ["ada@reader.example", "bob@reader.example"] })
    assert.isFalse(event(UseSend.row, several).certain)
  })

  it("are known by either name of the transaction, of the suppression and of whom it is about", () => {
    assert.strictEqual(event(Sweego.row, sweego("delivered", { headers: {}, transaction_id: "t2" })).message, "t2")
    const created = (fields: object) =>
      event(Lettermint.row, lettermint("message.created", { recipient: undefined, ...fields }))
    assert.deepInclude(created({ to: ["ada@reader.example"] }), { to: "ada@reader.example", certain: true })
    assert.isFalse(created({ to: ["ada@reader.example"], cc: ["bob@reader.example"] }).certain)
    assert.strictEqual(created({}).to, undefined)
    const suppressed = (reason: string) => event(Lettermint.row, lettermint("message.suppressed", { reason })).reason
    assert.deepStrictEqual(["hard_bounce", "spam_complaint", "unsubscribe", "by hand"].map(suppressed), [
      "bounced",
      "spam",
      "unsubscribed",
      "blocked"
    ])
    const left = lettermint("message.unsubscribed", { unsubscribed_at: "2026-03-04T10:00:00Z" })
    assert.strictEqual(event(Lettermint.row, left).at, "2026-03-04T10:00:00.000Z")
  })

  it("give one key to one event, by its own id or that of its headers", () => {
    const headers = { "webhook-id": "msg_1" }
    assert.strictEqual(key(Loops.row, loops("email.opened"), headers), "webhook:loops:id:msg_1")
    assert.strictEqual(key(AhaSend.row, ahasend("message.opened"), headers), "webhook:ahasend:id:msg_1")
    assert.strictEqual(key(Sweego.row, sweego("delivered"), headers), "webhook:sweego:id:e1")
    assert.strictEqual(key(UseSend.row, usesend("email.sent"), headers), "webhook:usesend:id:call_1")
    assert.strictEqual(key(Lettermint.row, lettermint("message.sent"), headers), "webhook:lettermint:id:d1")
  })
})

const report = {
  type: "delivered",
  messageId: "m-1",
  recipient: "ada@reader.example",
  at: receivedAt,
  eventId: "one"
} as const

describe.each([Loops.row, AhaSend.row, Sweego.row, UseSend.row, Lettermint.row])("The signature of $name", (row) => {
  const reasonOf = (request: Webhook.Request, secrets: ReadonlyArray<Redacted.Redacted>, at = receivedAt) =>
    Effect.map(
      Effect.result(Schemes.verify(row, { ...request, secrets, receivedAt: at })),
      (result) => Result.isFailure(result) ? result.failure.reason : "accepted"
    )

  it.effect("is taken by any active secret, and for five minutes", () =>
    Effect.gen(function*() {
      const { sender } = yield* Senders.generateOf(row)
      const { sender: other } = yield* Senders.generateOf(row)
      const request = only(sender.send([report], receivedAt))
      const [own, others] = [Schemes.secretsOf(sender), Schemes.secretsOf(other)]
      assert.strictEqual(yield* reasonOf(request, own), "accepted")
      assert.strictEqual(yield* reasonOf(request, [...others, ...own]), "accepted")
      assert.strictEqual(yield* reasonOf(request, others), "BadSignature")
      assert.strictEqual(yield* reasonOf(request, [...others, Redacted.make("")]), "MisconfiguredSecret")
      for (const minutes of [-6, 6]) {
        const at = DateTime.add(receivedAt, { minutes })
        assert.strictEqual(yield* reasonOf(request, own, at), "TimestampOutOfTolerance")
      }
      assert.strictEqual(yield* reasonOf({ ...request, headers: {} }, own), "MissingHeader")
    }))
})

describe("What is signed", () => {
  const time = String(Math.floor(receivedAt.epochMilliseconds / 1000))

  const accepts = (row: Row.Row, secret: string, headers: Readonly<Record<string, string>>, text: string) =>
    Effect.map(
      Effect.result(
        Schemes.verify(row, { headers, body: bytes(text), receivedAt, secrets: [Redacted.make(secret)] })
      ),
      Result.isSuccess
    )

  const standard = (signature: string) => ({
    "webhook-id": "msg_1",
    "webhook-timestamp": time,
    "webhook-signature": signature
  })

  it.effect("has the key and the form of each provider", () =>
    Effect.gen(function*() {
      const text = "{\"a\":1}"
      const key = Buffer.alloc(24, 7)
      const over = (key: string | Uint8Array) => createHmac("sha256", key).update(`msg_1.${time}.${text}`)
      const base64 = key.toString("base64")
      assert.isTrue(yield* accepts(Loops.row, `whsec_${base64}`, standard(`v1,${over(key).digest("base64")}`), text))
      const whole = `whsec_${base64}`
      assert.isTrue(yield* accepts(AhaSend.row, whole, standard(`v1,${over(whole).digest("base64")}`), text))
      assert.isFalse(yield* accepts(AhaSend.row, whole, standard(`v1,${over(key).digest("base64")}`), text))
      assert.isTrue(yield* accepts(Sweego.row, base64, standard(over(key).digest("base64")), text))
      assert.isFalse(yield* accepts(Sweego.row, base64, standard(`v1,${over(key).digest("base64")}`), text))
    }))

  it.effect("by Lettermint has one time, said twice", () =>
    Effect.gen(function*() {
      const signature = createHmac("sha256", "key").update(`${time}.x`).digest("hex")
      const headers = (delivery: string, t = `t=${time}`) => ({
        "x-lettermint-signature": `${t},v1=${signature}`,
        "x-lettermint-delivery": delivery
      })
      assert.isTrue(yield* accepts(Lettermint.row, "key", headers(time), "x"))
      assert.isFalse(yield* accepts(Lettermint.row, "key", headers(`${Number(time) + 1}`), "x"))
      assert.isFalse(yield* accepts(Lettermint.row, "key", headers(time, `t=${time},t=${time}`), "x"))
    }))
})
