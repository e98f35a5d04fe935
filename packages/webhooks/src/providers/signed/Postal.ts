/**
 * Understands the webhooks of Postal, a mail server of one's own: one event in a post, signed with the installation's RSA key.
 *
 * The key of an event is its `uuid`.
 *
 * @since 0.2.0
 */
import { type EventType, Provider } from "@waybill/core"
import { Effect, Option, Redacted, Schema } from "effect"
import { createPublicKey, createSign, createVerify, generateKeyPairSync, type KeyObject } from "node:crypto"
import * as Echo from "../../internal/echo.ts"
import * as Instant from "../../internal/instant.ts"
import * as Json from "../../internal/json.ts"
import * as Report from "../../internal/report.ts"
import * as Signature from "../../internal/signature.ts"
import type * as Row from "../../Row.ts"
import type * as Scheme from "../../Scheme.ts"
import * as Sender from "../../Sender.ts"
import * as Webhook from "../../Webhook.ts"

const name = Provider.Provider.make("postal")

const statuses: ReadonlyMap<string, Report.Meaning> = new Map<string, Report.Meaning>([
  ["Sent", { type: "delivered" }],
  ["SoftFail", { type: "deferred" }],
  ["HardFail", { type: "bounced", rejectReason: "bounced", bounceClass: "hard" }],
  ["Held", { type: "queued" }]
])

const decode = Json.decoder(() => {
  const message = Json.lenient(Schema.Struct({
    id: Json.id,
    direction: Json.text,
    to: Json.text,
    tag: Json.text
  }))
  return Schema.Struct({
    event: Json.text,
    timestamp: Json.scalar,
    uuid: Json.id,
    payload: Json.lenient(Schema.Struct({
      message,
      original_message: message,
      bounce: Json.lenient(Schema.Record(Schema.String, Schema.Unknown)),
      status: Json.text,
      details: Json.text,
      output: Json.text,
      url: Json.text,
      ip_address: Json.text,
      user_agent: Json.text
    }))
  })
})

type Raw = Json.Decoded<typeof decode>

const meaning = ({ event, payload = {} }: Raw): Report.Meaning => {
  if (payload.status !== undefined) return statuses.get(payload.status) ?? Report.unknown
  // What came back is not said.
  if (payload.bounce !== undefined) return { type: "bounced", rejectReason: "bounced", bounceClass: "undetermined" }
  if (payload.url !== undefined || event === "MessageLinkClicked") return { type: "clicked" }
  return event === "MessageLoaded" ? { type: "opened" } : Report.unknown
}

const item = (value: unknown, { receivedAt }: Webhook.Received): Report.Item => {
  const decoded = decode(value)
  if (Option.isNone(decoded)) return Report.undecodable("NotAnObject")
  const raw = decoded.value
  const { event, payload = {}, timestamp } = raw
  if (event === undefined || event === "") return Report.undecodable("MissingType")
  const message = payload.message ?? payload.original_message
  if (message?.direction === "incoming" || !event.startsWith("Message")) return Report.ignored(event)
  const tags = message?.tag === undefined ? [] : [message.tag]
  const eventId = raw.uuid
  const messageId = message?.id
  return Report.events({
    provider: name,
    meaning: meaning(raw),
    payload: { event, subtype: payload.status, status: `${payload.output ?? ""} ${payload.details ?? ""}` },
    details: {
      response: payload.output,
      description: payload.details,
      url: payload.url,
      ip: payload.ip_address,
      userAgent: payload.user_agent,
      tags
    },
    occurredAt: Option.getOrElse(Instant.read(timestamp), () => receivedAt),
    messageId,
    eventId,
    deliveryId: Echo.idInTags(tags),
    recipient: Report.recipient(message?.to, true),
    key: eventId === undefined
      ? Report.keyOfNature(name, timestamp, value, event, messageId, message?.to, payload.url)
      : Report.keyOfId(name, eventId)
  })
}

/**
 * Reduces the one event of a body; what is not about a message that was sent is ignored.
 *
 * @category normalization
 * @since 0.2.0
 */
export const normalize: Row.Row["normalize"] = Report.single(name, item)

const refuse = Signature.refusal(name)

const isSignedBy = Option.liftThrowable((key: KeyObject, { digest, signature }: Signed, body: Uint8Array) =>
  createVerify(digest).update(body).verify(key, signature)
)

/** The headers with a signature, and the digest of each: Postal keeps the older one beside the newer. */
const signatureHeaders = [["x-postal-signature-256", "sha256"], ["x-postal-signature", "sha1"]] as const

interface Signed {
  readonly digest: typeof signatureHeaders[number][1]
  readonly signature: Uint8Array
}

/** The signatures of a request: the newer where Postal makes it, and the older. */
const signed = Effect.fnUntraced(function*(request: Webhook.Request["headers"]) {
  const signatures: Array<Signed> = []
  for (const [header, digest] of signatureHeaders) {
    const text = request[header]
    if (text === undefined) continue
    const signature = Signature.fromBase64(text)
    if (Option.isNone(signature)) return yield* refuse("MalformedSignature")
    signatures.push({ digest, signature: signature.value })
  }
  return signatures.length === 0 ? yield* refuse("MissingHeader") : signatures
})

/**
 * Checks the signatures, RSA with SHA-256 or SHA-1, against every active public key, in base64 as Postal shows it, or in PEM.
 * Each that a request has must hold: an older installation has the one with SHA-1 alone.
 *
 * @category verification
 * @since 0.2.0
 */
export const verify: Scheme.Verify = Effect.fnUntraced(function*({ body, headers, secrets }) {
  const given = yield* signed(headers)
  yield* Signature.judge(
    name,
    secrets,
    (secret) =>
      Option.map(
        Signature.publicKey(secret, "rsa"),
        (key) => given.every((each) => Option.getOrElse(isSignedBy(key, each, body), () => false))
      )
  )
  return Webhook.verified()
})

const signer = (privateKey: KeyObject): Scheme.Signer => ({
  secrets: [
    Redacted.make(createPublicKey(privateKey).export({ format: "der", type: "spki" }).toString("base64"))
  ],
  sign: ({ body, ...request }) => ({
    ...request,
    body,
    headers: {
      ...request.headers,
      ...Object.fromEntries(
        signatureHeaders.map(([header, digest]) => [header, createSign(digest).update(body).sign(privateKey, "base64")])
      )
    }
  })
})

const signature: Scheme.Scheme = {
  name: "signature",
  secrets: { variable: "WAYBILL_POSTAL_PUBLIC_KEY", about: "public key of the installation" },
  proof: "signature",
  admit: ({ headers }) => Effect.asVoid(signed(headers)),
  open: Effect.succeed(verify),
  signing: {
    _tag: "PrivateKey",
    generate: () => generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey,
    make: (privateKey) => privateKey.asymmetricKeyType === "rsa" ? Option.some(signer(privateKey)) : Option.none(),
    issue: "is not of RSA"
  }
}

const words: ReadonlyMap<EventType.ReportedType, Readonly<Record<string, unknown>>> = new Map<
  EventType.ReportedType,
  Readonly<Record<string, unknown>>
>([
  ["queued", { event: "MessageHeld", status: "Held" }],
  ["delivered", { event: "MessageSent", status: "Sent", output: "250 2.0.0 OK" }],
  ["deferred", { event: "MessageDelayed", status: "SoftFail", output: "421 4.7.0 try again later" }],
  ["bounced", { event: "MessageDeliveryFailed", status: "HardFail", output: "550 5.1.1 mailbox not found" }],
  ["opened", { event: "MessageLoaded", ip_address: "192.0.2.7", user_agent: "Mozilla/5.0" }],
  ["clicked", { event: "MessageLinkClicked", url: "https://shop.example/orders", ip_address: "192.0.2.7" }]
])

const written = (report: Sender.Report): unknown => {
  const { event, ...fields } = words.get(report.type) ?? { event: "MessageUnheard" }
  return {
    event,
    timestamp: report.at.epochMilliseconds / 1000,
    uuid: report.eventId,
    payload: {
      message: {
        id: report.messageId,
        direction: "outgoing",
        to: report.recipient,
        from: "shop@shop.example",
        subject: "Your receipt",
        tag: report.deliveryId === undefined ? "receipt" : `waybill_delivery_id:${report.deliveryId}`
      },
      ...fields
    }
  }
}

/**
 * Postal's row in the table of providers.
 *
 * @category providers
 * @since 0.2.0
 */
export const row: Row.Row = {
  name,
  schemes: [signature],
  headers: [],
  refusal: 401,
  unavailable: 503,
  normalize,
  composer: {
    types: Sender.typesOf(words),
    compose: (reports) => reports.map((report) => Sender.json(written(report)))
  }
}
