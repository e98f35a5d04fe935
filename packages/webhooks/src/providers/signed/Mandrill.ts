/**
 * Understands the webhooks of Mandrill, the transactional email of Mailchimp: a form with an array of events in it.
 *
 * The signature covers the public URL of the webhook, as it was given to Mandrill, and every field of the form.
 *
 * `_id` is the message's and not the event's, so the key of an event is a digest of what tells one from another: its time in
 * seconds, its name, the message, the link and the IP address.
 *
 * @since 0.2.0
 */
import { type Event, type EventType, Provider } from "@waybill/core"
import { Effect, Option, Redacted, Schema } from "effect"
import { createHmac, randomBytes } from "node:crypto"
import * as Batch from "../../internal/batch.ts"
import * as Echo from "../../internal/echo.ts"
import * as Form from "../../internal/form.ts"
import * as Instant from "../../internal/instant.ts"
import * as Json from "../../internal/json.ts"
import * as Report from "../../internal/report.ts"
import * as Signature from "../../internal/signature.ts"
import type * as Row from "../../Row.ts"
import type * as Scheme from "../../Scheme.ts"
import * as Sender from "../../Sender.ts"
import * as Webhook from "../../Webhook.ts"

const name = Provider.Provider.make("mandrill")

const events: ReadonlyMap<string, Report.Meaning> = new Map<string, Report.Meaning>([
  ["send", { type: "sent" }],
  ["deferral", { type: "deferred" }],
  ["delivered", { type: "delivered" }],
  ["hard_bounce", { type: "bounced", rejectReason: "bounced", bounceClass: "hard" }],
  ["soft_bounce", { type: "bounced", rejectReason: "bounced", bounceClass: "soft" }],
  ["open", { type: "opened" }],
  ["click", { type: "clicked" }],
  ["spam", { type: "complained" }],
  ["unsub", { type: "unsubscribed" }]
])

/** The reasons for a rejection, as the send call has them, and whether it is for what Mandrill remembers of the recipient. */
const rejections: ReadonlyMap<string, readonly [Event.RejectReason, boolean]> = new Map<
  string,
  readonly [Event.RejectReason, boolean]
>([
  ["hard-bounce", ["bounced", true]],
  ["soft-bounce", ["bounced", true]],
  ["spam", ["spam", true]],
  ["unsub", ["unsubscribed", true]],
  ["custom", ["blocked", true]],
  ["invalid", ["invalid", false]],
  ["invalid-sender", ["other", false]]
])

/** What is about a list, or came in, and not about a message that was sent. */
const notMail = new Set(["allowlist", "denylist", "whitelist", "blacklist", "inbound"])

const decode = Json.decoder(() =>
  Schema.Struct({
    event: Json.text,
    type: Json.text,
    _id: Json.id,
    ts: Json.scalar,
    url: Json.text,
    ip: Json.text,
    user_agent: Json.text,
    msg: Json.lenient(Schema.Struct({
      _id: Json.id,
      email: Json.text,
      diag: Json.text,
      bounce_description: Json.text,
      tags: Json.texts,
      metadata: Echo.own,
      smtp_events: Json.lenient(Schema.Array(Schema.Struct({ diag: Json.text }))),
      reject: Json.lenient(Schema.Union([Schema.String, Schema.Struct({ reason: Json.text })]))
    }))
  })
)

type Raw = Json.Decoded<typeof decode>

const rejected = ({ msg }: Raw): Report.Meaning => {
  const reason = typeof msg?.reject === "string" ? msg.reject : msg?.reject?.reason
  const [rejectReason, suppressed] = rejections.get(reason?.replaceAll("_", "-") ?? "") ?? []
  return {
    type: "rejected",
    ...(rejectReason !== undefined && { rejectReason }),
    ...(suppressed === true && { suppressed })
  }
}

const item = (value: unknown, { receivedAt }: Webhook.Received): Report.Item => {
  const decoded = decode(value)
  if (Option.isNone(decoded)) return Report.undecodable("NotAnObject")
  const raw = decoded.value
  const event = raw.event ?? raw.type
  if (event === undefined || event === "") return Report.undecodable("MissingType")
  if (notMail.has(event)) return Report.ignored(event)
  const diagnostic = raw.msg?.diag ?? raw.msg?.smtp_events?.at(-1)?.diag
  const messageId = raw._id ?? raw.msg?._id
  return Report.events({
    provider: name,
    meaning: event === "reject" ? rejected(raw) : events.get(event) ?? Report.unknown,
    payload: {
      event,
      subtype: raw.msg?.bounce_description,
      status: diagnostic
    },
    details: {
      response: diagnostic,
      url: raw.url,
      ip: raw.ip,
      userAgent: raw.user_agent,
      tags: raw.msg?.tags,
      metadata: Echo.words(raw.msg?.metadata)
    },
    occurredAt: Option.getOrElse(Instant.read(raw.ts), () => receivedAt),
    messageId,
    eventId: undefined,
    deliveryId: Echo.idIn(raw.msg?.metadata),
    recipient: Report.recipient(raw.msg?.email, true),
    key: Report.keyOfNature(name, raw.ts, value, event, messageId, raw.url, raw.ip)
  })
}

const items = ({ body }: Webhook.Received): Batch.Items => {
  const text = Form.read(Json.decodeText(body)).first("mandrill_events")
  if (text === undefined) return Report.malformed(name, "UnknownEnvelope")
  return Option.match(Json.parse(text), {
    onNone: () => Report.malformed(name, "NotJson"),
    onSome: (value) => Batch.arrayOf(name, value)
  })
}

/**
 * Reduces a batch piece by piece, a thousand items each.
 *
 * @category normalization
 * @since 0.2.0
 */
export const normalize: Row.Row["normalize"] = Batch.reader(items, item)

const refuse = Signature.refusal(name)

const header = "x-mandrill-signature"

/** The address and the fields of the form, sorted by name, each as its name and its value, with nothing between. */
const digest = (key: string, url: string, body: Uint8Array): string => {
  const fields = Form.read(Json.decodeText(body)).fields.toSorted(([left], [right]) => left < right ? -1 : 1)
  return createHmac("sha1", key).update([url, ...fields.flat()].join("")).digest("base64")
}

const signed = Effect.fnUntraced(function*({ [header]: signature }: Webhook.Request["headers"]) {
  if (signature === undefined) return yield* refuse("MissingHeader")
  return Option.isSome(Signature.fromBase64(signature)) ? signature : yield* refuse("MalformedSignature")
})

/**
 * The address that stands in for the one of a request that has none.
 *
 * @category constants
 * @since 0.2.0
 */
export const unknownUrl = "https://hooks.example/webhooks/mandrill"

/**
 * Whether a form is what Mandrill sends: the one field with the events. Nothing stands between names and values in what is
 * signed, so that a form with other fields could be cut in another way.
 */
const isWhole = (body: Uint8Array): boolean => {
  const { fields } = Form.read(Json.decodeText(body))
  return fields.length === 1 && fields[0]?.[0] === "mandrill_events"
}

/**
 * Checks the signature, HMAC with SHA-1 over the public URL and the form, with every active key of a webhook.
 *
 * @category verification
 * @since 0.2.0
 */
export const verify: Scheme.Verify = Effect.fnUntraced(function*({ body, headers, publicUrl = unknownUrl, secrets }) {
  const given = yield* signed(headers)
  if (!isWhole(body)) return yield* refuse("MalformedSignature")
  yield* Signature.judge(
    name,
    secrets,
    (secret) => secret === "" ? Option.none() : Option.some(Signature.isEqual(given, digest(secret, publicUrl, body)))
  )
  return Webhook.verified()
})

const signer = (secret: Redacted.Redacted): Scheme.Signer => ({
  secrets: [secret],
  sign: ({ body, headers, ...request }) => ({
    ...request,
    body,
    headers: { ...headers, [header]: digest(Redacted.value(secret), request.publicUrl ?? unknownUrl, body) }
  })
})

const signature: Scheme.Scheme = {
  name: "signature",
  secrets: { variable: "WAYBILL_MANDRILL_WEBHOOK_KEY", about: "key of the webhook" },
  proof: "signature",
  admit: ({ headers }) => Effect.asVoid(signed(headers)),
  open: Effect.succeed(verify),
  signing: { _tag: "Secret", generate: () => Redacted.make(randomBytes(16).toString("base64url")), make: signer }
}

const words: ReadonlyMap<EventType.ReportedType, Readonly<Record<string, unknown>>> = new Map<
  EventType.ReportedType,
  Readonly<Record<string, unknown>>
>([
  ["sent", { event: "send" }],
  ["deferred", { event: "deferral", diag: "451 4.3.5 try again later" }],
  ["delivered", { event: "delivered", diag: "250 2.0.0 OK" }],
  ["bounced", { event: "hard_bounce", bounce_description: "invalid_domain", diag: "smtp;550 5.1.1 mailbox not found" }],
  ["rejected", { event: "reject", reject: { reason: "unsub" } }],
  ["opened", { event: "open" }],
  ["clicked", { event: "click" }],
  ["complained", { event: "spam" }],
  ["unsubscribed", { event: "unsub" }]
])

const softBounce = { event: "soft_bounce", bounce_description: "mailbox_full", diag: "smtp;452 4.2.2 mailbox full" }

const engaged: ReadonlySet<EventType.ReportedType> = new Set(["opened", "clicked"])

const written = (report: Sender.Report): unknown => {
  const { event, ...fields } = report.type === "bounced" && report.bounceClass === "soft"
    ? softBounce
    : words.get(report.type) ?? { event: "unheard" }
  return {
    event,
    ts: Math.floor(report.at.epochMilliseconds / 1000),
    _id: report.messageId,
    msg: {
      _id: report.messageId,
      email: report.recipient,
      sender: "shop@shop.example",
      subject: "Your receipt",
      tags: ["receipt"],
      metadata: report.deliveryId === undefined ? {} : { waybill_delivery_id: report.deliveryId },
      ...fields
    },
    ...(engaged.has(report.type) && { ip: "192.0.2.7", user_agent: "Mozilla/5.0" }),
    ...(report.type === "clicked" && { url: "https://shop.example/orders" })
  }
}

const compose = (reports: ReadonlyArray<Sender.Report>): Webhook.Request => ({
  headers: { "content-type": "application/x-www-form-urlencoded" },
  body: new TextEncoder().encode(
    new URLSearchParams({ mandrill_events: JSON.stringify(reports.map(written)) }).toString()
  )
})

/** The most bytes of the post with which Mandrill tries an endpoint. */
const smallest = 4096

/** Whether a body is the one with which Mandrill tries an endpoint: no events, signed with a key that everybody knows. */
const isGreeting = ({ body }: Webhook.Received): boolean =>
  body.length <= smallest && isWhole(body) &&
  Form.read(Json.decodeText(body)).first("mandrill_events")?.trim() === "[]"

/**
 * Mandrill's row in the table of providers.
 *
 * @category providers
 * @since 0.2.0
 */
export const row: Row.Row = {
  name,
  schemes: [signature],
  headers: ["content-type"],
  refusal: 401,
  unavailable: 503,
  // It tries the address before there is a key.
  probes: { HEAD: () => ({}) },
  isGreeting,
  normalize,
  composer: { types: Sender.typesOf(words), compose: (reports) => [compose(reports)] }
}
