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
    id: Json.scalar,
    direction: Json.text,
    to: Json.text,
    tag: Json.text
  }))
  return Schema.Struct({
    event: Json.text,
    timestamp: Json.scalar,
    uuid: Json.text,
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
  const eventId = raw.uuid === "" ? undefined : raw.uuid
  const messageId = message?.id === undefined ? undefined : String(message.id)
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
    occurredAt: Option.getOrElse(Instant.fromEpoch(timestamp), () => receivedAt),
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

const importKey: (der: Uint8Array) => Option.Option<KeyObject> = Option.liftThrowable((der) =>
  createPublicKey({ key: Buffer.from(der), format: "der", type: "spki" })
)

/** What may stand around and in the base64 of a key: the armour of PEM and line breaks, some of them spelt out. */
const around = /-----[A-Z ]+-----|\\[rn]|\s/g

const publicKey = (secret: string): Option.Option<KeyObject> =>
  Option.filter(
    Option.flatMap(Signature.fromBase64(secret.replace(around, "")), importKey),
    (key) => key.asymmetricKeyType === "rsa"
  )

const isSignedBy = Option.liftThrowable((key: KeyObject, body: Uint8Array, signature: Uint8Array) =>
  createVerify("sha1").update(body).verify(key, signature)
)

const header = "x-postal-signature"

const signed = Effect.fnUntraced(function*({ [header]: text }: Webhook.Request["headers"]) {
  if (text === undefined) return yield* refuse("MissingHeader")
  const given = Signature.fromBase64(text)
  return Option.isSome(given) ? given.value : yield* refuse("MalformedSignature")
})

/**
 * Checks the signature, RSA with SHA-1, against every active public key, in base64 as Postal shows it, or in PEM.
 *
 * @category verification
 * @since 0.2.0
 */
export const verify: Scheme.Verify = Effect.fnUntraced(function*({ body, headers, secrets }) {
  const given = yield* signed(headers)
  yield* Signature.judge(
    name,
    secrets,
    (secret) => Option.map(publicKey(secret), (key) => Option.getOrElse(isSignedBy(key, body, given), () => false))
  )
  return Webhook.verified()
})

const signer = (privateKey: KeyObject): Scheme.Signer => ({
  secrets: [
    Redacted.make(createPublicKey(privateKey).export({ format: "der", type: "spki" }).toString("base64"))
  ],
  sign: ({ body, headers, ...request }) => ({
    ...request,
    body,
    headers: { ...headers, [header]: createSign("sha1").update(body).sign(privateKey, "base64") }
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
