import { assert, describe, it } from "@effect/vitest"
import { Ses, SnsCertificates, SnsEnvelope, SnsSignature } from "@waybill/webhooks"
import { Senders, SesSender } from "@waybill/webhooks/testing"
import { DateTime, Effect, Layer, Option, Redacted, Result } from "effect"
import { createSign, generateKeyPairSync } from "node:crypto"
import { bytes, event, events, key, normalized, only, received, receivedAt } from "./Reading.ts"

const { row: provider } = Ses

const messageId = "0107019502c5b3a1-6a1f6f1e-0000-4000-8000-2f1b5a3c9d00-000000"
const deliveryId = "0190f3e2-0000-7000-8000-00000000002a"

const mail = {
  timestamp: "2026-03-04T10:26:00.500Z",
  messageId,
  source: "shop@shop.example",
  destination: ["ada@reader.example"],
  commonHeaders: { messageId: "<other@shop.example>", subject: "Your receipt" }
}

const envelope = (message: unknown, more: object = {}): string =>
  JSON.stringify({
    Type: "Notification",
    MessageId: "f2b0d0f0-0000-5000-8000-000000000001",
    TopicArn: SesSender.topicArn,
    Message: typeof message === "string" ? message : JSON.stringify(message),
    Timestamp: "2026-03-04T10:30:00.000Z",
    ...more
  })

const bounce = (bounce: object) => ({
  eventType: "Bounce",
  mail,
  bounce: {
    timestamp: "2026-03-04T10:26:07.123Z",
    feedbackId: "feedback-1",
    bounceType: "Permanent",
    bounceSubType: "General",
    bouncedRecipients: [{ emailAddress: "ada@reader.example", status: "5.1.1", diagnosticCode: "smtp; 550 no" }],
    ...bounce
  }
})

const complaint = (complaint: object) => ({
  notificationType: "Complaint",
  mail,
  complaint: {
    timestamp: "2026-03-04T10:26:07.123Z",
    feedbackId: "feedback-2",
    complainedRecipients: [{ emailAddress: "ada@reader.example" }],
    complaintFeedbackType: "abuse",
    complaintSubType: null,
    ...complaint
  }
})

const subscription = (now: unknown, before: unknown = { unsubscribeAll: false }) => ({
  eventType: "Subscription",
  mail,
  subscription: { timestamp: "2026-03-04T10:26:07.123Z", newTopicPreferences: now, oldTopicPreferences: before }
})

const topics = (subscriptionStatus: string) => ({
  unsubscribeAll: false,
  topicSubscriptionStatus: [{ topicName: "offers", subscriptionStatus }]
})

describe("Ses", () => {
  it("reads a bounce with its own time, message, recipient and our own id", () => {
    const tagged = { ...mail, tags: { "ses:caller-identity": ["shop"], waybill_delivery_id: [deliveryId] } }
    assert.deepStrictEqual(event(provider, envelope({ ...bounce({}), mail: tagged })), {
      type: "bounced",
      at: "2026-03-04T10:26:07.123Z",
      message: messageId,
      to: "ada@reader.example",
      certain: true,
      reason: "bounced",
      bounce: "hard",
      eventId: "feedback-1",
      delivery: deliveryId,
      payload: { event: "Bounce", subtype: "General", status: "5.1.1", smtpStatus: 550 }
    })
  })

  it("finds our own id among the headers", () => {
    const headers = [{ name: "Subject", value: "Your receipt" }, { name: "x-waybill-delivery-id", value: deliveryId }]
    assert.strictEqual(event(provider, envelope({ ...bounce({}), mail: { ...mail, headers } })).delivery, deliveryId)
  })

  it.for(
    [
      ["Send", { eventType: "Send", mail, send: {} }, "sent", undefined, undefined],
      ["Delivery", { eventType: "Delivery", mail, delivery: { recipients: mail.destination } }, "delivered"],
      ["Reject", { eventType: "Reject", mail, reject: { reason: "Bad content" } }, "rejected", "blocked"],
      ["Rendering Failure", { eventType: "Rendering Failure", mail, failure: {} }, "failed"],
      ["Open", { eventType: "Open", mail, open: { timestamp: "2026-03-04T10:26:07Z" } }, "opened"],
      ["Click", { eventType: "Click", mail, click: { link: "https://shop.example/a" } }, "clicked"],
      ["hard Bounce", bounce({}), "bounced", "bounced", "hard"],
      ["soft Bounce", bounce({ bounceType: "Transient" }), "bounced", "bounced", "soft"],
      ["undetermined Bounce", bounce({ bounceType: "Undetermined" }), "bounced", "bounced", "undetermined"],
      ["suppressed Bounce", bounce({ bounceSubType: "OnAccountSuppressionList" }), "rejected", "bounced", undefined],
      ["Bounce suppressed by SES itself", bounce({ bounceSubType: "Suppressed" }), "rejected", "bounced", undefined],
      ["Bounce on a tenant's list", bounce({ bounceSubType: "OnTenantSuppressionList" }), "rejected", "bounced"],
      ["Bounce on a list unheard of", bounce({ bounceSubType: "OnDomainList" }), "rejected", "bounced"],
      ["Bounce of who unsubscribed", bounce({ bounceSubType: "UnsubscribedRecipient" }), "rejected", "unsubscribed"],
      ["Bounce without validation", bounce({ bounceSubType: "FailedValidation" }), "rejected", "invalid"],
      ["Bounce of a full mailbox", bounce({ bounceSubType: "MailboxFull" }), "bounced", "bounced", "hard"],
      ["Complaint", complaint({}), "complained"],
      ["Complaint on a tenant's list", complaint({ complaintSubType: "OnTenantSuppressionList" }), "rejected", "spam"],
      ["Complaint of who unsubscribed", complaint({ complaintSubType: "Unsubscribed" }), "rejected", "unsubscribed"],
      ["Complaint of another kind", complaint({ complaintSubType: "Other" }), "complained"],
      ["not-spam Complaint", complaint({ complaintFeedbackType: "not-spam" }), "unknown"],
      ["suppressed Complaint", complaint({ complaintSubType: "OnAccountSuppressionList" }), "rejected", "spam"],
      ["Subscription to nothing", subscription({ unsubscribeAll: true }), "unsubscribed"],
      ["Subscription without a topic", subscription(topics("OptOut"), topics("OptIn")), "unsubscribed"],
      ["Subscription still without a topic", subscription(topics("OptOut"), topics("OptOut")), "subscribed"],
      ["Subscription to a topic", subscription(topics("OptIn"), topics("OptOut")), "subscribed"],
      ["Subscription without preferences", subscription(undefined), "unknown"],
      ["Unheard", { eventType: "Unheard", mail }, "unknown"]
    ] as const
  )("reads a %s", ([, message, type, reason, bounceClass]) => {
    const read = event(provider, envelope(message))
    assert.deepStrictEqual([read.type, read.reason, read.bounce, read.message], [type, reason, bounceClass, messageId])
    assert.strictEqual(read.to, "ada@reader.example")
  })

  it("says that a suppressed recipient was not tried", () => {
    const message = bounce({ bounceSubType: "OnAccountSuppressionList", bouncedRecipients: [] })
    assert.deepStrictEqual(event(provider, envelope(message)).payload, {
      event: "Bounce",
      subtype: "OnAccountSuppressionList",
      suppressed: true
    })
  })

  it("reads a delay for those delayed alone", () => {
    const message = {
      eventType: "DeliveryDelay",
      mail: { ...mail, destination: ["ada@reader.example", "bob@reader.example", "eve@reader.example"] },
      deliveryDelay: {
        timestamp: "2026-03-04T10:26:07.123Z",
        delayType: "MailboxFull",
        delayedRecipients: [{ emailAddress: "bob@reader.example", status: "4.2.2" }]
      }
    }
    const read = event(provider, envelope(message))
    assert.deepStrictEqual([read.type, read.to, read.certain], ["deferred", "bob@reader.example", true])
    assert.deepStrictEqual(read.payload, { event: "DeliveryDelay", subtype: "MailboxFull", status: "4.2.2" })
  })

  it("is not certain of an address that the message was not sent to, and says no more of it than that", () => {
    const named = (emailAddress: string, destination: unknown = ["Ada <Ada@reader.example>"]) =>
      event(
        provider,
        envelope({ ...bounce({ bouncedRecipients: [{ emailAddress }] }), mail: { ...mail, destination } })
      )
    const own = named("ada@reader.example")
    assert.deepStrictEqual([own.certain, own.payload], [true, { event: "Bounce", subtype: "General" }])
    const other = named("postmaster@elsewhere.example")
    assert.deepStrictEqual([other.certain, other.payload], [
      false,
      { event: "Bounce", subtype: "General", otherRecipient: true }
    ])
    const unsaid = named("ada@reader.example", null)
    assert.deepStrictEqual([unsaid.certain, unsaid.payload], [false, own.payload])
    const complained = event(
      provider,
      envelope(complaint({ complainedRecipients: [{ emailAddress: "postmaster@elsewhere.example" }] }))
    )
    assert.deepStrictEqual([complained.type, complained.certain], ["complained", false])
  })

  it("gives each recipient an event of its own", () => {
    const both = [{ emailAddress: "ada@reader.example" }, { emailAddress: "bob@reader.example" }]
    const sent = { ...mail, destination: ["ada@reader.example", "bob@reader.example"] }
    const read = events(provider, envelope({ ...bounce({ bouncedRecipients: both }), mail: sent }))
    assert.deepStrictEqual(read.map(({ certain, to }) => [to, certain]), [
      ["ada@reader.example", true],
      ["bob@reader.example", true]
    ])
    const keys = normalized(provider, received(envelope(bounce({ bouncedRecipients: both })))).events
    assert.strictEqual(new Set(keys.map(({ idempotencyKey }) => idempotencyKey)).size, 2)
  })

  it("is not certain whom an engagement or a complaint is about where there are several", () => {
    const several = { ...mail, destination: ["ada@reader.example", "bob@reader.example"] }
    const opened = event(provider, envelope({ eventType: "Open", mail: several, open: {} }))
    assert.deepStrictEqual([opened.to, opened.certain], ["ada@reader.example", false])
    const both = several.destination.map((emailAddress) => ({ emailAddress }))
    const complained = events(provider, envelope(complaint({ complainedRecipients: both })))
    assert.deepStrictEqual(complained.map(({ certain }) => certain), [false, false])
    const unnamed = event(provider, envelope(bounce({ bouncedRecipients: null })))
    assert.deepStrictEqual([unnamed.type, unnamed.to, unnamed.certain], ["bounced", "ada@reader.example", false])
  })

  it("takes the time from the event, else from the message it is about, else from the envelope", () => {
    const at = (message: unknown, more: object = {}) => event(provider, envelope(message, more)).at
    assert.strictEqual(at({ eventType: "Send", mail, send: {} }), "2026-03-04T10:26:00.500Z")
    assert.strictEqual(at(bounce({ timestamp: null })), "2026-03-04T10:30:00.000Z")
    assert.strictEqual(at(bounce({ timestamp: null }), { Timestamp: "?" }), "2026-11-20T12:00:00.000Z")
  })

  it("gives one key to one event, under whatever envelope and through both channels", () => {
    const { eventType, ...rest } = bounce({})
    const republished = envelope({ ...rest, notificationType: eventType }, {
      MessageId: "f2b0d0f0-0000-5000-8000-000000000002",
      Timestamp: "2026-03-04T10:31:00.000Z"
    })
    assert.strictEqual(key(provider, envelope(bounce({}))), key(provider, republished))
  })

  it("gives different keys to different events", () => {
    const opened = (open: object) => ({ eventType: "Open", mail, open })
    const all = [
      bounce({}),
      bounce({ feedbackId: "feedback-3" }),
      complaint({ feedbackId: "feedback-1" }),
      bounce({ bouncedRecipients: [{ emailAddress: "bob@reader.example" }] }),
      opened({ timestamp: "2026-03-04T10:26:07.123Z" }),
      opened({ timestamp: "2026-03-04T10:26:07.124Z" }),
      opened({ timestamp: "2026-03-04T10:26:07.124Z", ipAddress: "192.0.2.7" }),
      { eventType: "Send", mail },
      { eventType: "Send", mail: { ...mail, messageId: "another" } },
      { eventType: "Reject", mail }
    ]
    assert.strictEqual(new Set(all.map((each) => key(provider, envelope(each)))).size, all.length)
  })

  it("falls back on the envelope's id where an event has no time", () => {
    const message = { eventType: "Open", mail, open: {} }
    assert.strictEqual(key(provider, envelope(message)), key(provider, envelope(message)))
    assert.notStrictEqual(key(provider, envelope(message)), key(provider, envelope(message, { MessageId: "another" })))
  })

  it.for([
    ["Received", "Received"],
    ["AmazonSnsSubscriptionSucceeded", "AmazonSnsSubscriptionSucceeded"]
  ])("ignores %s", ([notificationType, kind]) => {
    const { events, ignored } = normalized(provider, received(envelope({ notificationType, mail })))
    assert.deepStrictEqual([events, ignored], [[], [{ index: 0, kind }]])
  })

  it("ignores text and cannot decode what has no type", () => {
    const read = (message: unknown) => normalized(provider, received(envelope(message)))
    assert.deepStrictEqual(read("Successfully validated SNS topic").ignored, [{ index: 0, kind: "text" }])
    assert.deepStrictEqual(read("[]").undecodable, [{ index: 0, reason: "NotAnObject" }])
    assert.deepStrictEqual(read({ mail }).undecodable, [{ index: 0, reason: "MissingType" }])
  })

  const confirmationIn = (body: Uint8Array) => Option.flatMap(SnsEnvelope.read(body), SnsEnvelope.confirmation)

  it("gives a subscription to confirm only where it is confirmed in the topic's region", () => {
    const subscribe = (SubscribeURL: string) =>
      confirmationIn(bytes(envelope("", { Type: "SubscriptionConfirmation", SubscribeURL })))
    const subscribeUrl = "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&Token=1"
    assert.deepStrictEqual(subscribe(subscribeUrl), Option.some({ topicArn: SesSender.topicArn, subscribeUrl }))
    assert.isTrue(Option.isNone(subscribe("https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription")))
    assert.isTrue(Option.isNone(subscribe("https://sns.eu-central-1.amazonaws.com.evil.example/?")))
    assert.isTrue(Option.isNone(subscribe("http://sns.eu-central-1.amazonaws.com/?")))
    const unsubscribe = envelope("", { Type: "UnsubscribeConfirmation", SubscribeURL: subscribeUrl })
    const { ignored } = normalized(provider, received(unsubscribe))
    assert.deepStrictEqual(ignored, [{ index: 0, kind: "UnsubscribeConfirmation" }])
    assert.isTrue(Option.isNone(confirmationIn(bytes(unsubscribe))))
  })

  it("says why a whole body cannot be read", () => {
    const reason = (text: string) => {
      const result = Ses.normalize(received(text))
      return Result.isFailure(result) ? result.failure.reason : "read"
    }
    assert.strictEqual(reason("x"), "NotJson")
    assert.strictEqual(reason("[]"), "NotAnObject")
    assert.strictEqual(reason("{\"mail\":{}}"), "UnknownEnvelope")
  })

  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 })
  const sender = Senders.make(provider, new Map([["signature", SesSender.signer(privateKey)]]))
  const request = only(sender.send([
    { type: "delivered", messageId, recipient: "ada@reader.example", at: receivedAt, eventId: "one" }
  ], receivedAt))
  const posted: Readonly<Record<string, string>> = JSON.parse(new TextDecoder().decode(request.body))

  const reason = Effect.fnUntraced(
    function*(
      body: Readonly<Record<string, string | undefined>> | string,
      change: {
        readonly secrets?: ReadonlyArray<string>
        readonly receivedAt?: DateTime.Utc
      } = {}
    ) {
      const secrets = (change.secrets ?? [SesSender.topicArn]).map((each) => Redacted.make(each))
      const result = yield* Effect.result(SnsSignature.verify(provider.name, {
        headers: {},
        body: bytes(typeof body === "string" ? body : JSON.stringify(body)),
        receivedAt,
        ...change,
        secrets
      }))
      if (Result.isSuccess(result)) return "accepted"
      return result.failure._tag === "VerificationError" ? result.failure.reason : result.failure._tag
    }
  )

  it.layer(SesSender.layerCertificates(publicKey))("verification", (it) => {
    it.effect("accepts a notification and a request to confirm a subscription", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* reason(posted), "accepted")
        const confirmation = SesSender.subscriptionConfirmation(privateKey, receivedAt)
        assert.strictEqual(yield* reason(new TextDecoder().decode(confirmation.body)), "accepted")
        assert.isTrue(Option.isSome(confirmationIn(confirmation.body)))
      }))

    it.effect("accepts both versions of the signature, with and without a subject", () =>
      Effect.gen(function*() {
        const { Subject: _, ...plain } = posted
        for (const [version, digest] of [["1", "sha1"], ["2", "sha256"]] as const) {
          const fields = ["Message", "MessageId", "Timestamp", "TopicArn", "Type"]
          const text = fields.map((field) => `${field}\n${posted[field]}\n`).join("")
          const signature = createSign(digest).update(text).sign(privateKey, "base64")
          const body = { ...plain, SignatureVersion: version, Signature: signature }
          assert.strictEqual(yield* reason(body), "accepted")
          assert.strictEqual(yield* reason({ ...body, Subject: "added" }), "BadSignature")
        }
      }))

    it.effect("refuses topics that are not listed before it asks for a certificate", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* reason(posted, { secrets: [`${SesSender.topicArn}2`] }), "UntrustedTopic")
        assert.strictEqual(
          yield* reason(posted, { secrets: [`${SesSender.topicArn}2`, SesSender.topicArn] }),
          "accepted"
        )
        assert.strictEqual(yield* reason(posted, { secrets: [] }), "MisconfiguredSecret")
        assert.strictEqual(yield* reason(posted, { secrets: ["waybill-test"] }), "MisconfiguredSecret")
        assert.strictEqual(yield* reason(posted, { secrets: ["waybill-test", SesSender.topicArn] }), "accepted")
        assert.strictEqual(
          yield* reason(posted, { secrets: ["waybill-test", `${SesSender.topicArn}2`] }),
          "MisconfiguredSecret"
        )
      }))

    it.effect.each([
      "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-waybill.pem",
      "https://sns.eu-central-1.amazonaws.com.evil.example/SimpleNotificationService-waybill.pem",
      "https://sns.eu-central-1.amazonaws.com:8443/SimpleNotificationService-waybill.pem",
      "https://user@sns.eu-central-1.amazonaws.com/SimpleNotificationService-waybill.pem",
      "http://sns.eu-central-1.amazonaws.com/SimpleNotificationService-waybill.pem",
      "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-waybill.txt",
      "https://sns.eu-central-1.amazonaws.com/?a=.pem",
      "https://s3.eu-central-1.amazonaws.com/SimpleNotificationService-waybill.pem",
      "file:///etc/passwd.pem",
      ""
    ])("refuses a certificate at %s", (SigningCertURL) =>
      Effect.gen(function*() {
        assert.strictEqual(yield* reason({ ...posted, SigningCertURL }), "MalformedSignature")
      }))

    it.effect("says why it refuses", () =>
      Effect.gen(function*() {
        const elsewhere = "https://sns.eu-central-1.amazonaws.com/Other.pem"
        assert.strictEqual(yield* reason("x"), "MalformedSignature")
        assert.strictEqual(yield* reason({ ...posted, Signature: undefined }), "MissingHeader")
        assert.strictEqual(yield* reason({ ...posted, Signature: "#" }), "MalformedSignature")
        assert.strictEqual(yield* reason({ ...posted, SignatureVersion: "3" }), "MalformedSignature")
        assert.strictEqual(yield* reason({ ...posted, Type: "Other" }), "MalformedSignature")
        assert.strictEqual(yield* reason({ ...posted, Message: undefined }), "MalformedSignature")
        assert.strictEqual(yield* reason({ ...posted, MessageId: "a\nb" }), "MalformedSignature")
        assert.strictEqual(yield* reason({ ...posted, Message: "{}" }), "BadSignature")
        assert.strictEqual(yield* reason({ ...posted, SigningCertURL: elsewhere }), "CertificateUnavailable")
      }))

    it.effect("accepts a retry after most of an hour under its first signature", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* reason(posted, { receivedAt: DateTime.add(receivedAt, { minutes: 50 }) }), "accepted")
      }))
  })

  const brief = Layer.succeed(SnsCertificates.SnsCertificates, {
    get: () =>
      Effect.succeed({
        publicKey,
        notBefore: DateTime.subtract(receivedAt, { days: 1 }),
        notAfter: DateTime.add(receivedAt, { days: 1 })
      })
  })

  it.layer(brief)("a certificate", (it) => {
    it.effect("counts as long as it is valid at the time of receipt", () =>
      Effect.gen(function*() {
        const at = (days: number) => ({ receivedAt: DateTime.add(receivedAt, { days }) })
        assert.strictEqual(yield* reason(posted, at(1)), "accepted")
        assert.strictEqual(yield* reason(posted, at(2)), "BadSignature")
        assert.strictEqual(yield* reason(posted, at(-2)), "BadSignature")
      }))
  })
})
