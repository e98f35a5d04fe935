/**
 * Understands what Scaleway's transactional email publishes through Topics and Events: the envelope of Amazon SNS, signed with a
 * certificate that Scaleway's own authority issued.
 *
 * A valid signature only proves that some topic of Scaleway's sent an envelope, so the topics that count are listed: their ARNs
 * are this provider's secrets.
 *
 * The key of an event is its `id`; without one it is a digest of its type, time, message and recipient.
 *
 * @since 0.2.0
 */
import { type EventType, Provider } from "@waybill/core"
import { DateTime, Effect, Option, Redacted, Result, Schema } from "effect"
import { createSign, generateKeyPairSync, type KeyObject } from "node:crypto"
import { sha256Hex } from "../../internal/digest.ts"
import * as Instant from "../../internal/instant.ts"
import * as Json from "../../internal/json.ts"
import * as Report from "../../internal/report.ts"
import * as Signature from "../../internal/signature.ts"
import type * as Row from "../../Row.ts"
import type * as Scheme from "../../Scheme.ts"
import * as Sender from "../../Sender.ts"
import * as Webhook from "../../Webhook.ts"
import * as SnsEnvelope from "./SnsEnvelope.ts"
import type * as Sns from "./SnsSignature.ts"

const name = Provider.Provider.make("scaleway")

const refuse = Signature.refusal(name)

/**
 * A certificate that Scaleway's authority issued, reduced to what verification needs.
 *
 * @category models
 * @since 0.2.0
 */
export interface Certificate {
  readonly publicKey: KeyObject
  readonly notBefore: DateTime.Utc
  readonly notAfter: DateTime.Utc
}

/**
 * Looks up the certificate at an address; none where there is none that the authority of the region issued.
 *
 * @category models
 * @since 0.2.0
 */
export type CertificateOf = (
  url: string,
  region: string
) => Effect.Effect<Option.Option<Certificate>, Webhook.VerificationUnavailable>

const topicForm = /^arn:scw:sns:(fr-par|nl-ams):[A-Za-z0-9_.-]+:[A-Za-z0-9_.-]+$/

const certificateForm = /^https:\/\/messaging\.s3\.[a-z]{2}-[a-z]{3}\.scw\.cloud\/[\w./-]{1,300}\.pem$/

/** Refuses a topic that is not on the list; where the list is empty or names what is no topic, the fault is ours. */
const judgeTopic = (secrets: Webhook.Attempt["secrets"], topicArn: string) => {
  const topics = secrets.map((secret) => Redacted.value(secret).trim())
  if (topics.includes(topicArn)) return Effect.void
  const isOurs = topics.length === 0 || !topics.every((topic) => topicForm.test(topic))
  return Effect.fail(refuse(isOurs ? "MisconfiguredSecret" : "UntrustedTopic"))
}

/** Loaded when the row is opened: only who verifies needs what asks over HTTP. */
const loaded = Effect.all([
  Effect.promise(() => import("./SnsSignature.ts")),
  Effect.promise(() => import("./ScalewayCertificates.ts"))
])

/**
 * Checks that the topic is among the secrets, and the signature with a certificate that Scaleway's authority issued and that is
 * valid at the time of receipt.
 *
 * @category verification
 * @since 0.2.0
 */
export const verify = (
  certificateOf: CertificateOf,
  { digests, isSignedBy, stringToSign }: typeof Sns
): Scheme.Verify =>
  Effect.fnUntraced(function*({ body, receivedAt, secrets }) {
    const read = SnsEnvelope.read(body)
    if (Option.isNone(read)) return yield* refuse("MalformedSignature")
    const { Signature: given, SignatureVersion: version, SigningCertURL: url, TopicArn: topicArn } = read.value
    if (given === undefined || url === undefined || topicArn === undefined) return yield* refuse("MissingHeader")
    yield* judgeTopic(secrets, topicArn)
    const text = stringToSign(read.value)
    const digest = digests.get(version ?? "")
    const signature = Signature.fromBase64(given)
    const region = topicForm.exec(topicArn)?.[1]
    if (
      Option.isNone(text) || digest === undefined || Option.isNone(signature) || region === undefined ||
      !certificateForm.test(url) || url.includes("..")
    ) {
      return yield* refuse("MalformedSignature")
    }
    const certificate = yield* certificateOf(url, region)
    const isGood = Option.exists(certificate, ({ notAfter, notBefore, publicKey }) =>
      DateTime.between(receivedAt, { minimum: notBefore, maximum: notAfter }) &&
      Option.getOrElse(isSignedBy(digest, publicKey, text.value, signature.value), () =>
        false))
    if (!isGood) {
      return yield* refuse("BadSignature")
    }
    return Webhook.verified()
  })

const meanings: ReadonlyMap<string, Report.Meaning> = new Map<string, Report.Meaning>([
  ["email_queued", { type: "queued" }],
  ["email_delivered", { type: "delivered" }],
  ["email_deferred", { type: "deferred" }],
  ["email_dropped", { type: "bounced", rejectReason: "bounced", bounceClass: "hard" }],
  ["email_mailbox_not_found", { type: "bounced", rejectReason: "invalid", bounceClass: "hard" }],
  ["email_spam", { type: "bounced", rejectReason: "spam", bounceClass: "undetermined" }],
  ["email_blocklisted", { type: "rejected", rejectReason: "bounced", suppressed: true }]
])

const decode = Json.decoder(() =>
  Schema.Struct({
    id: Json.id,
    type: Json.text,
    created_at: Json.scalar,
    email_id: Json.id,
    email_to: Json.lenient(Schema.Union([Schema.String, Schema.Array(Schema.String)])),
    email_headers: Json.lenient(Schema.Array(Schema.Struct({ key: Json.text, value: Json.text }))),
    email_response_code: Json.scalar,
    email_response_message: Json.text,
    email_try_count: Json.scalar
  })
)

/** The header of a message in which an application gives our delivery id; events give the headers back. */
const deliveryHeader = "X-Waybill-Delivery-Id"

const published = (value: unknown, received: Webhook.Received): Report.Item => {
  const decoded = decode(value)
  if (Option.isNone(decoded)) return Report.undecodable("NotAnObject")
  const raw = decoded.value
  const { created_at: time, email_response_message: response, type: event } = raw
  if (event === undefined || event === "") return Report.undecodable("MissingType")
  if (!event.startsWith("email_")) return Report.ignored(event)
  const addresses = raw.email_to === undefined ? [] : [raw.email_to].flat()
  const eventId = raw.id
  return Report.events({
    provider: name,
    meaning: meanings.get(event) ?? Report.unknown,
    payload: { event, status: response, smtpStatus: raw.email_response_code, attempt: raw.email_try_count },
    details: {
      response: [raw.email_response_code, response].filter((each) => each !== undefined && each !== "").join(" ")
    },
    occurredAt: Option.getOrElse(Instant.read(time), () => received.receivedAt),
    messageId: raw.email_id,
    eventId,
    deliveryId: raw.email_headers?.find(({ key }) => key?.toLowerCase() === deliveryHeader.toLowerCase())?.value,
    recipient: Report.recipient(addresses[0], addresses.length === 1),
    key: eventId === undefined
      ? Report.keyOfNature(name, time, value, event, raw.email_id, ...addresses)
      : Report.keyOfId(name, eventId)
  })
}

/**
 * Reduces the one event of an envelope; what is about a subscription is no mail.
 *
 * @category normalization
 * @since 0.2.0
 */
export const normalize: Row.Row["normalize"] = (received) =>
  Result.flatMap(Report.json(name, received), (value) => {
    const envelope = SnsEnvelope.decode(value)
    if (Option.isNone(envelope)) return Report.malformed(name, "NotAnObject")
    switch (envelope.value.Type) {
      case "Notification":
        return Result.succeed([Report.collect([
          Option.match(Json.parse(envelope.value.Message ?? ""), {
            onNone: () => Report.ignored("text"),
            onSome: (message) => published(message, received)
          })
        ])])
      case "SubscriptionConfirmation":
      case "UnsubscribeConfirmation":
        return Result.succeed([Report.collect([Report.ignored(envelope.value.Type)])])
      default:
        return Report.malformed(name, "UnknownEnvelope")
    }
  })

const words: ReadonlyMap<EventType.ReportedType, string> = new Map<EventType.ReportedType, string>([
  ["queued", "email_queued"],
  ["delivered", "email_delivered"],
  ["deferred", "email_deferred"],
  ["bounced", "email_dropped"]
])

const written = (report: Sender.Report): Webhook.Request => ({
  headers: { "content-type": "application/json" },
  body: new TextEncoder().encode(JSON.stringify({
    id: report.eventId,
    type: words.get(report.type) ?? "email_unheard",
    created_at: DateTime.formatIso(report.at),
    email_id: report.messageId,
    email_to: report.recipient,
    email_from: "shop@shop.example",
    email_subject: "Your receipt",
    email_headers: report.deliveryId === undefined ? [] : [{ key: deliveryHeader, value: report.deliveryId }],
    ...report.type === "bounced" && {
      email_response_code: 550,
      email_response_message: "5.1.1 mailbox not found",
      email_try_count: 1
    }
  }))
})

const topicArn = "arn:scw:sns:fr-par:project-waybill:test"
const certificateUrl = "https://messaging.s3.fr-par.scw.cloud/fr-par/sns/waybill.pem"

/** Puts what is published into an envelope, signed with the private key of an RSA pair. */
const signer = (privateKey: KeyObject): Scheme.Signer => ({
  secrets: [Redacted.make(topicArn)],
  sign: ({ body, ...request }, sentAt) => {
    const fields = [
      ["Message", new TextDecoder().decode(body)],
      ["MessageId", sha256Hex(Buffer.from(body).toString("base64")).slice(0, 32)],
      ["Timestamp", DateTime.formatIso(sentAt)],
      ["TopicArn", topicArn],
      ["Type", "Notification"]
    ] as const
    const text = fields.map(([field, value]) => `${field}\n${value}\n`).join("")
    return {
      ...request,
      headers: { "content-type": "text/plain; charset=UTF-8" },
      body: new TextEncoder().encode(JSON.stringify({
        ...Object.fromEntries(fields),
        SignatureVersion: "2",
        Signature: createSign("sha256").update(text).sign(privateKey, "base64"),
        SigningCertURL: certificateUrl
      }))
    }
  }
})

const generate = Effect.map(loaded, ([SnsSignature]) => {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 })
  const certificate: Certificate = {
    publicKey,
    notBefore: DateTime.makeUnsafe(0),
    notAfter: DateTime.makeUnsafe("9999-12-31T23:59:59.999Z")
  }
  const certificateOf: CertificateOf = (url) =>
    Effect.succeed(url === certificateUrl ? Option.some(certificate) : Option.none())
  return { signer: signer(privateKey), verify: verify(certificateOf, SnsSignature) }
})

const scheme: Scheme.Scheme = {
  name: "signature",
  secrets: { variable: "WAYBILL_SCALEWAY_TOPIC_ARNS", about: "topics that may report", isPublic: true },
  proof: "signature",
  open: Effect.flatMap(
    loaded,
    ([SnsSignature, ScalewayCertificates]) =>
      Effect.map(ScalewayCertificates.make(name), (certificateOf) => verify(certificateOf, SnsSignature))
  ),
  signing: { _tag: "Nothing", generate, issue: "an endpoint believes the certificates of Scaleway alone" }
}

/**
 * The row of Scaleway in the table of providers.
 *
 * @category providers
 * @since 0.2.0
 */
export const row: Row.Row = {
  name,
  schemes: [scheme],
  headers: ["x-amz-sns-message-type", "x-amz-sns-message-id", "x-amz-sns-topic-arn"],
  refusal: 401,
  unavailable: 503,
  setup: ({ body }) =>
    Option.exists(SnsEnvelope.read(body), ({ Type }) => Type !== undefined && Type !== "Notification")
      ? Option.some({})
      : Option.none(),
  normalize,
  composer: { types: Sender.typesOf(words), compose: (reports) => reports.map(written) }
}
