/**
 * Understands what Amazon SES publishes through Amazon SNS: a signed envelope with the event as text in it.
 *
 * A valid signature only proves that some topic of Amazon's sent it, so the topics that count are listed: their ARNs are
 * this provider's secrets.
 *
 * The key of an event is a digest of the message id, the type, the recipient and the `feedbackId` or the time: Amazon
 * publishes one event several times, and through two channels, under envelopes that differ.
 *
 * @since 0.1.0
 */
import { type Event, Provider } from "@waybill/core"
import { type DateTime, Effect, Option, Redacted, Result, Schema } from "effect"
import { createVerify, type KeyObject } from "node:crypto"
import * as Json from "./internal/json.ts"
import * as Report from "./internal/report.ts"
import * as Signature from "./internal/signature.ts"
import { CertificateUrl, SnsCertificates } from "./SnsCertificates.ts"
import * as Webhook from "./Webhook.ts"

const name = Provider.Provider.make("ses")

const Envelope = Schema.Struct({
  Type: Json.text,
  MessageId: Json.text,
  TopicArn: Json.text,
  Subject: Json.text,
  Message: Json.text,
  Timestamp: Json.text,
  SubscribeURL: Json.text,
  Token: Json.text,
  SignatureVersion: Json.text,
  Signature: Json.text,
  SigningCertURL: Json.text
})

type Envelope = typeof Envelope.Type

const decodeEnvelope = Schema.decodeUnknownOption(Envelope)

const readEnvelope = (body: Uint8Array): Option.Option<Envelope> =>
  Option.flatMap(Json.parse(Json.decodeText(body)), decodeEnvelope)

const arn = /^arn:(aws|aws-cn|aws-us-gov):sns:([a-z0-9-]{3,}):\d+:[A-Za-z0-9_.-]+$/

/** The host of Amazon SNS in the region of a topic, as the beginning of an address. */
const origin = (topicArn: string): Option.Option<string> => {
  const parts = arn.exec(topicArn)
  if (parts === null) return Option.none()
  const [, partition, region = ""] = parts
  return Option.some(`https://sns.${region}.amazonaws.com${partition === "aws-cn" ? ".cn" : ""}/`)
}

const signedFields: ReadonlyMap<string, ReadonlyArray<keyof Envelope>> = new Map<string, ReadonlyArray<keyof Envelope>>(
  [
    ["Notification", ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]],
    ["SubscriptionConfirmation", ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]],
    ["UnsubscribeConfirmation", ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]]
  ]
)

/**
 * What is signed; none where a field is missing or, but for the message, holds a line break: fields joined by line breaks
 * could then be read in more than one way.
 */
const stringToSign = (envelope: Envelope): Option.Option<string> => {
  const lines: Array<string> = []
  for (const field of signedFields.get(envelope.Type ?? "") ?? []) {
    const value = envelope[field]
    if (value === undefined && field === "Subject") continue
    if (value === undefined || (field !== "Message" && value.includes("\n"))) return Option.none()
    lines.push(`${field}\n${value}\n`)
  }
  return lines.length === 0 ? Option.none() : Option.some(lines.join(""))
}

const digests: ReadonlyMap<string, string> = new Map([["1", "sha1"], ["2", "sha256"]])

const isSignedBy = Option.liftThrowable((digest: string, key: KeyObject, text: string, signature: Uint8Array) =>
  createVerify(digest).update(text).verify(key, signature)
)

const isBetween = (at: DateTime.Utc, from: DateTime.Utc, to: DateTime.Utc): boolean =>
  at.epochMilliseconds >= from.epochMilliseconds && at.epochMilliseconds <= to.epochMilliseconds

const refuse = (reason: Webhook.VerificationReason) => new Webhook.VerificationError({ provider: name, reason })

/**
 * Checks that the topic is allowed, and the signature with Amazon's certificate, which must lie on the host of the topic's
 * region and be valid at the time of receipt.
 *
 * Amazon documents no tolerance for the time of a message, so it is not judged.
 *
 * @category verification
 * @since 0.1.0
 */
export const verify = Effect.fn("Ses.verify")(
  function*({ body, receivedAt, secrets }: Webhook.Attempt) {
    const topics = secrets.map((secret) => Redacted.value(secret).trim())
    const read = readEnvelope(body)
    if (Option.isNone(read)) return yield* refuse("MalformedSignature")
    const envelope = read.value
    if (
      envelope.Signature === undefined || envelope.SigningCertURL === undefined || envelope.TopicArn === undefined
    ) {
      return yield* refuse("MissingHeader")
    }
    const { TopicArn: topicArn } = envelope
    if (!topics.includes(topicArn)) {
      const isOurs = topics.length === 0 || !topics.every((topic) => arn.test(topic))
      return yield* refuse(isOurs ? "MisconfiguredSecret" : "UntrustedTopic")
    }
    const text = stringToSign(envelope)
    const digest = digests.get(envelope.SignatureVersion ?? "")
    const signature = Signature.fromBase64(envelope.Signature)
    const url = Option.filter(
      CertificateUrl.makeOption(envelope.SigningCertURL),
      (url) => Option.exists(origin(topicArn), (start) => url.startsWith(start))
    )
    if (Option.isNone(text) || digest === undefined || Option.isNone(signature) || Option.isNone(url)) {
      return yield* refuse("MalformedSignature")
    }
    const certificates = yield* SnsCertificates
    const { notAfter, notBefore, publicKey } = yield* certificates.get(url.value)
    const isGood = isBetween(receivedAt, notBefore, notAfter) &&
      Option.getOrElse(isSignedBy(digest, publicKey, text.value, signature.value), () => false)
    if (!isGood) return yield* refuse("BadSignature")
    const verified: Webhook.Verified = { token: Option.none(), isOfSubscription: envelope.Type !== "Notification" }
    return verified
  }
)

const Party = Schema.Struct({ emailAddress: Json.text, status: Json.text })

const parties = Json.lenient(Schema.Array(Party))

const Topics = Json.lenient(Schema.Struct({
  unsubscribeAll: Json.flag,
  topicSubscriptionStatus: Json.lenient(
    Schema.Array(Schema.Struct({ topicName: Json.text, subscriptionStatus: Json.text }))
  )
}))

const Engagement = Json.lenient(Schema.Struct({ timestamp: Json.text, ipAddress: Json.text, link: Json.text }))

const Raw = Schema.Struct({
  eventType: Json.text,
  notificationType: Json.text,
  mail: Json.lenient(Schema.Struct({
    messageId: Json.text,
    timestamp: Json.text,
    destination: Json.texts,
    headers: Json.lenient(Schema.Array(Schema.Struct({ name: Json.text, value: Json.text }))),
    tags: Json.lenient(Schema.Struct({ waybill_delivery_id: Json.texts }))
  })),
  bounce: Json.lenient(Schema.Struct({
    bounceType: Json.text,
    bounceSubType: Json.text,
    bouncedRecipients: parties,
    timestamp: Json.text,
    feedbackId: Json.text
  })),
  complaint: Json.lenient(Schema.Struct({
    complaintSubType: Json.text,
    complaintFeedbackType: Json.text,
    complainedRecipients: parties,
    timestamp: Json.text,
    feedbackId: Json.text
  })),
  delivery: Json.lenient(Schema.Struct({ timestamp: Json.text, recipients: Json.texts })),
  deliveryDelay: Json.lenient(
    Schema.Struct({ timestamp: Json.text, delayType: Json.text, delayedRecipients: parties })
  ),
  subscription: Json.lenient(
    Schema.Struct({ timestamp: Json.text, newTopicPreferences: Topics, oldTopicPreferences: Topics })
  ),
  open: Engagement,
  click: Engagement
})

type Raw = typeof Raw.Type

const decode = Schema.decodeUnknownOption(Raw)

interface Named {
  readonly address: string | undefined
  readonly status?: string | undefined
}

/** What the part of an event that is named after its type says. */
interface Part {
  readonly meaning: Report.Meaning
  readonly time: string | undefined
  readonly subtype?: string | undefined
  readonly feedbackId?: string | undefined
  /** What tells two engagements of the same instant from each other. */
  readonly distinct?: ReadonlyArray<string | undefined>
  readonly named: ReadonlyArray<Named>
  /** Whether it is about each of those named, and not about one of them. */
  readonly certain: boolean
}

const fromParties = (parties: ReadonlyArray<typeof Party.Type> | undefined): ReadonlyArray<Named> =>
  (parties ?? []).map(({ emailAddress, status }) => ({ address: emailAddress, status }))

const fromAddresses = (addresses: ReadonlyArray<string> | undefined): ReadonlyArray<Named> =>
  (addresses ?? []).map((address) => ({ address }))

const classes: ReadonlyMap<string | undefined, Event.BounceClass> = new Map<string | undefined, Event.BounceClass>([
  ["Permanent", "hard"],
  ["Transient", "soft"]
])

/** A bounce of a recipient on a suppression list was not sent: nothing bounced but what had bounced before. */
const bounce = ({ bounce = {} }: Raw): Part => ({
  meaning: bounce.bounceSubType === "OnAccountSuppressionList" || bounce.bounceSubType === "Suppressed"
    ? { type: "rejected", rejectReason: "bounced", suppressed: true }
    : { type: "bounced", rejectReason: "bounced", bounceClass: classes.get(bounce.bounceType) ?? "undetermined" },
  time: bounce.timestamp,
  subtype: bounce.bounceSubType,
  feedbackId: bounce.feedbackId,
  named: fromParties(bounce.bouncedRecipients),
  certain: true
})

/** A complaint of a recipient on the suppression list was not sent; `not-spam` takes an earlier one back. */
const complaint = ({ complaint = {} }: Raw): Part => ({
  meaning: complaint.complaintSubType === "OnAccountSuppressionList"
    ? { type: "rejected", rejectReason: "spam", suppressed: true }
    : complaint.complaintFeedbackType === "not-spam"
    ? Report.unknown
    : { type: "complained" },
  time: complaint.timestamp,
  subtype: complaint.complaintSubType ?? complaint.complaintFeedbackType,
  feedbackId: complaint.feedbackId,
  named: fromParties(complaint.complainedRecipients),
  certain: complaint.complainedRecipients?.length === 1
})

const optedOut = (topics: Raw["subscription"], which: "newTopicPreferences" | "oldTopicPreferences"): Set<string> =>
  new Set(
    (topics?.[which]?.topicSubscriptionStatus ?? [])
      .filter(({ subscriptionStatus }) => subscriptionStatus === "OptOut")
      .map(({ topicName = "" }) => topicName)
  )

const subscription = ({ mail, subscription }: Raw): Part => {
  const before = optedOut(subscription, "oldTopicPreferences")
  const left = [...optedOut(subscription, "newTopicPreferences")].some((topic) => !before.has(topic))
  return {
    meaning: subscription?.newTopicPreferences === undefined
      ? Report.unknown
      : { type: subscription.newTopicPreferences.unsubscribeAll === true || left ? "unsubscribed" : "subscribed" },
    time: subscription?.timestamp,
    named: fromAddresses(mail?.destination),
    certain: mail?.destination?.length === 1
  }
}

/** An event about the message as a whole, and so about each of its recipients; it has the message's own time. */
const whole = ({ mail }: Raw, meaning: Report.Meaning): Part => ({
  meaning,
  time: mail?.timestamp,
  named: fromAddresses(mail?.destination),
  certain: true
})

/** An event of one recipient that does not say which. */
const engagement = (
  { mail }: Raw,
  type: "opened" | "clicked" | "unknown",
  part: Raw["open"]
): Part => ({
  meaning: { type },
  time: part?.timestamp,
  distinct: [part?.link, part?.ipAddress],
  named: fromAddresses(mail?.destination?.slice(0, 1)),
  certain: type !== "unknown" && mail?.destination?.length === 1
})

const part = (type: string, raw: Raw): Part => {
  switch (type) {
    case "Send":
      return whole(raw, { type: "sent" })
    case "Reject":
      return whole(raw, { type: "rejected", rejectReason: "blocked" })
    case "Rendering Failure":
      return whole(raw, { type: "failed" })
    case "Delivery":
      return {
        meaning: { type: "delivered" },
        time: raw.delivery?.timestamp,
        named: fromAddresses(raw.delivery?.recipients),
        certain: true
      }
    case "DeliveryDelay":
      return {
        meaning: { type: "deferred" },
        time: raw.deliveryDelay?.timestamp,
        subtype: raw.deliveryDelay?.delayType,
        named: fromParties(raw.deliveryDelay?.delayedRecipients),
        certain: true
      }
    case "Bounce":
      return bounce(raw)
    case "Complaint":
      return complaint(raw)
    case "Subscription":
      return subscription(raw)
    case "Open":
      return engagement(raw, "opened", raw.open)
    case "Click":
      return engagement(raw, "clicked", raw.click)
    default:
      return engagement(raw, "unknown", undefined)
  }
}

const echoed = ({ mail }: Raw): string | undefined =>
  mail?.tags?.waybill_delivery_id?.[0] ??
    mail?.headers?.find(({ name }) => name?.toLowerCase() === "x-waybill-delivery-id")?.value

/** Notifications that are not about a message that was sent. */
const otherNotifications = new Set(["Received", "AmazonSnsSubscriptionSucceeded"])

const notification = (envelope: Envelope, { receivedAt }: Webhook.Received): Report.Item => {
  const message = Json.parse(envelope.Message ?? "")
  if (Option.isNone(message)) return Report.ignored("text")
  const decoded = decode(message.value)
  if (Option.isNone(decoded)) return Report.undecodable("NotAnObject")
  const raw = decoded.value
  const type = raw.eventType ?? raw.notificationType
  if (type === undefined || type === "") return Report.undecodable("MissingType")
  if (otherNotifications.has(type)) return Report.ignored(type)
  const { certain, distinct = [], feedbackId, meaning, named, subtype, time } = part(type, raw)
  const first = named.length === 0 ? { address: raw.mail?.destination?.[0] } : undefined
  return Report.events(...(first === undefined ? named : [first]).map(({ address, status }: Named) => ({
    provider: name,
    meaning,
    details: { event: type, subtype, status },
    occurredAt: Option.getOrElse(
      Option.orElse(Report.fromIso(time), () => Report.fromIso(envelope.Timestamp)),
      () => receivedAt
    ),
    messageId: raw.mail?.messageId,
    eventId: feedbackId,
    deliveryId: echoed(raw),
    recipient: Report.recipient(address, certain && first === undefined),
    key: Report.keyOfNature(
      name,
      feedbackId ?? time ?? envelope.MessageId,
      message.value,
      raw.mail?.messageId,
      type,
      address,
      ...distinct
    )
  })))
}

/** The wish to subscribe, if it is to be confirmed at Amazon SNS in the topic's own region. */
const confirmation = (envelope: Envelope): Option.Option<Webhook.Confirmation> => {
  const { SubscribeURL: subscribeUrl = "", TopicArn: topicArn = "" } = envelope
  return Option.exists(origin(topicArn), (start) => subscribeUrl.startsWith(`${start}?`))
    ? Option.some({ topicArn, subscribeUrl })
    : Option.none()
}

/**
 * Reduces a notification to one event for each recipient it is about; a request to confirm a subscription is given as such.
 *
 * @category normalization
 * @since 0.1.0
 */
export const normalize = (received: Webhook.Received): Result.Result<Webhook.Normalized, Webhook.MalformedBody> => {
  const parsed = Json.parse(Json.decodeText(received.body))
  if (Option.isNone(parsed)) return Result.fail(new Webhook.MalformedBody({ provider: name, reason: "NotJson" }))
  const decoded = decodeEnvelope(parsed.value)
  if (Option.isNone(decoded)) return Result.fail(new Webhook.MalformedBody({ provider: name, reason: "NotAnObject" }))
  const envelope = decoded.value
  switch (envelope.Type) {
    case "Notification":
      return Result.succeed(Report.collect([notification(envelope, received)]))
    case "SubscriptionConfirmation":
      return Result.succeed({
        ...Report.collect([Report.ignored(envelope.Type)]),
        confirmation: confirmation(envelope)
      })
    case "UnsubscribeConfirmation":
      return Result.succeed(Report.collect([Report.ignored(envelope.Type)]))
    default:
      return Result.fail(new Webhook.MalformedBody({ provider: name, reason: "UnknownEnvelope" }))
  }
}

/**
 * The row of Amazon SES in the table of providers.
 *
 * @category providers
 * @since 0.1.0
 */
export const provider: Webhook.Provider = {
  name,
  secretsVariable: "WAYBILL_SES_TOPIC_ARNS",
  headers: ["x-amz-sns-message-type", "x-amz-sns-message-id", "x-amz-sns-topic-arn"],
  refusal: 401,
  unavailable: 503,
  verify,
  normalize
}
