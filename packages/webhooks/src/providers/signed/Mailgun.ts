/**
 * Understands the webhooks of Mailgun: JSON, and the form that legacy webhooks post.
 *
 * The signature covers a time and a token and **not the body**: who has seen one request can send any other with it. So the
 * token that verification returns has to be consumed: it is good for one body only. Nothing stands between the two in what
 * is signed. A time is therefore taken in its one form only, ten digits: what was signed then has one time and one token, and
 * the token alone stands for it.
 *
 * The key of an event is its `id`, unique within a day, with its time. Mailgun may give one id to events of several names,
 * such as a click and the opening that it implies: which of them has the key is told by their names, see `internal/distinct`.
 * Without an id the key is a digest of what tells one event from another: its time, to the microsecond, its name, message,
 * recipient and link. The time of a legacy form is in whole seconds, so that two openings of one second are one.
 *
 * @since 0.1.0
 */
import { type Event, type EventType, Provider } from "@waybill/core"
import { Effect, Option, Redacted, Result, Schema } from "effect"
import { createHmac, randomBytes } from "node:crypto"
import { sha256Hex } from "../../internal/digest.ts"
import * as Form from "../../internal/form.ts"
import * as Json from "../../internal/json.ts"
import * as Report from "../../internal/report.ts"
import * as Signature from "../../internal/signature.ts"
import type * as Row from "../../Row.ts"
import type * as Scheme from "../../Scheme.ts"
import * as Sender from "../../Sender.ts"
import * as Webhook from "../../Webhook.ts"

const name = Provider.Provider.make("mailgun")

const refuse = Signature.refusal(name)

const decode = Json.decoder(() =>
  Schema.Struct({
    signature: Json.lenient(Schema.Struct({
      timestamp: Json.scalar,
      token: Json.text,
      signature: Json.text,
      "parent-signature": Json.text
    })),
    "event-data": Json.lenient(Schema.Struct({
      event: Json.text,
      id: Json.text,
      timestamp: Json.scalar,
      recipient: Json.text,
      severity: Json.text,
      reason: Json.text,
      url: Json.text,
      message: Json.lenient(Schema.Struct({
        headers: Json.lenient(Schema.Struct({ "message-id": Json.text, to: Json.text }))
      })),
      "delivery-status": Json.lenient(Schema.Struct({
        "attempt-no": Json.scalar,
        code: Json.scalar,
        "enhanced-code": Json.text,
        "bounce-type": Json.text,
        message: Json.text,
        description: Json.text,
        "mx-host": Json.text
      })),
      reject: Json.lenient(Schema.Struct({ reason: Json.text, description: Json.text })),
      ip: Json.text,
      geolocation: Json.lenient(Schema.Struct({ city: Json.text, region: Json.text, country: Json.text })),
      "client-info": Json.lenient(Schema.Struct({
        bot: Json.text,
        "client-name": Json.text,
        "client-os": Json.text,
        "device-type": Json.text,
        "user-agent": Json.text
      })),
      tags: Json.texts,
      "user-variables": Json.fields
    }))
  })
)

type Raw = Json.Decoded<typeof decode>

type Data = NonNullable<Raw["event-data"]>

interface Block {
  readonly timestamp: string | undefined
  readonly token: string | undefined
  readonly signatures: ReadonlyArray<string>
}

/** The legacy form posts the user's own variables beside Mailgun's fields, which come after them. */
const blockOfForm = (form: Form.Form): Block => {
  const signature = form.last("signature")
  return {
    timestamp: form.last("timestamp"),
    token: form.last("token"),
    signatures: signature === undefined ? [] : [signature]
  }
}

const blockOfRaw = ({ signature = {} }: Raw): Block => ({
  timestamp: signature.timestamp === undefined ? undefined : String(signature.timestamp),
  token: signature.token,
  signatures: [signature.signature, signature["parent-signature"]].filter((each) => each !== undefined)
})

const isForm = (text: string): boolean => !/^\s*[[{"]/.test(text) && text.includes("=")

const block = (body: Uint8Array): Option.Option<Block> => {
  const text = Json.decodeText(body)
  return isForm(text)
    ? Option.some(blockOfForm(Form.read(text)))
    : Option.map(Option.flatMap(Json.parse(text), decode), blockOfRaw)
}

/**
 * Checks the signature, or the one for the parent account, with every active signing key, and returns the token to consume.
 * A request whose time is not ten digits is refused before that: its digits could be moved into the token, and back.
 *
 * Mailgun documents no tolerance and is said to send retries, for eight hours, with their first signature, so the time is
 * not judged.
 *
 * @category verification
 * @since 0.1.0
 */
export const verify = Effect.fnUntraced(
  function*({ body, secrets }: Webhook.Attempt) {
    const read = block(body)
    if (Option.isNone(read)) {
      return yield* refuse("MalformedSignature")
    }
    const { signatures, timestamp, token } = read.value
    if (timestamp === undefined || token === undefined || signatures.length === 0) {
      return yield* refuse("MissingHeader")
    }
    if (!Signature.isUnixTime(timestamp) || !/^[A-Za-z0-9_-]{1,255}$/.test(token)) {
      return yield* refuse("MalformedSignature")
    }
    yield* Signature.judge(name, secrets, (secret) => {
      if (secret === "") return Option.none()
      const expected = createHmac("sha256", secret).update(timestamp).update(token).digest("hex")
      return Option.some(signatures.map((each) => Signature.isEqual(each, expected)).includes(true))
    })
    return Webhook.verified({ token })
  }
)

const events: ReadonlyMap<string, Report.Meaning> = new Map<string, Report.Meaning>([
  ["accepted", { type: "queued" }],
  ["delivered", { type: "delivered" }],
  ["rejected", { type: "rejected", rejectReason: "other" }],
  ["opened", { type: "opened" }],
  ["clicked", { type: "clicked" }],
  ["unsubscribed", { type: "unsubscribed" }],
  ["complained", { type: "complained" }]
])

const notMail = new Set(["stored", "list_member_uploaded", "list_member_upload_error", "list_uploaded"])

const bounced = (rejectReason: Event.RejectReason, bounceClass: Event.BounceClass): Report.Meaning => ({
  type: "bounced",
  rejectReason,
  bounceClass
})

/** Given up after many tries, which says nothing of the next message. */
const timedOut = bounced("timed_out", "soft")

const failed = ({ "delivery-status": status, reason, severity }: Data): Report.Meaning => {
  if (severity === "temporary") return { type: "deferred" }
  const said = status?.["bounce-type"]?.toLowerCase()
  const bounceClass = said === "hard" || said === "soft" ? said : severity === "permanent" ? "hard" : "undetermined"
  switch (reason) {
    case "bounce":
      return bounced("bounced", bounceClass)
    case "old":
      return timedOut
    case "espblock":
      return bounced("blocked", bounceClass)
    default:
      return Report.refusal(reason, "other") ?? bounced("other", bounceClass)
  }
}

const machine = (event: string, bot: string | undefined): Report.Payload["machine"] => {
  if ((event !== "opened" && event !== "clicked") || bot === undefined || bot === "") return undefined
  return bot === "apple" || bot === "gmail" ? bot : "generic"
}

/** What Mailgun says in words. */
const details = (data: Data): Report.Report["details"] => {
  const { "client-info": client, "delivery-status": status, geolocation, reject } = data
  return {
    response: status?.message,
    description: Report.listed(reject?.reason, reject?.description) ?? status?.description,
    url: data.url,
    server: status?.["mx-host"],
    ip: data.ip,
    userAgent: client?.["user-agent"],
    client: Report.listed(client?.["client-name"], client?.["client-os"], client?.["device-type"]),
    location: Report.listed(geolocation?.city, geolocation?.region, geolocation?.country),
    tags: data.tags,
    metadata: data["user-variables"]
  }
}

/** The first of a list of addresses, as a header has them. */
const firstOf = (list: string | undefined): string | undefined =>
  /^(?:[^",]|"[^"]*")*/.exec(list?.slice(0, 1000) ?? "")?.[0]

const ofRaw = (value: unknown, { receivedAt }: Webhook.Received): Report.Item => {
  const decoded = decode(value)
  if (Option.isNone(decoded)) return Report.undecodable("NotAnObject")
  const { "event-data": data, signature } = decoded.value
  if (data?.event === undefined || data.event === "") return Report.undecodable("MissingType")
  if (notMail.has(data.event)) return Report.ignored(data.event)
  const messageId = data.message?.headers?.["message-id"]
  const status = data["delivery-status"]
  const eventId = data.id === "" ? undefined : data.id
  return Report.events({
    provider: name,
    meaning: data.event === "failed"
      ? failed(data)
      : events.get(data.event) ?? Report.unknown,
    payload: {
      event: data.event,
      subtype: data.reason,
      status: status?.["enhanced-code"] ?? status?.message,
      smtpStatus: status?.code,
      attempt: status?.["attempt-no"],
      machine: machine(data.event, data["client-info"]?.bot)
    },
    details: details(data),
    occurredAt: Option.getOrElse(
      Option.orElse(Report.fromSeconds(data.timestamp), () => Report.fromSeconds(signature?.timestamp)),
      () => receivedAt
    ),
    messageId,
    eventId,
    deliveryId: Json.textIn(data["user-variables"], "waybill_delivery_id"),
    recipient: data.recipient === undefined
      ? Report.recipient(firstOf(data.message?.headers?.to), false)
      : Report.recipient(data.recipient, true),
    key: eventId === undefined
      ? Report.keyOfNature(
        name,
        data.timestamp,
        { data: value, token: signature?.token },
        data.event,
        messageId,
        data.recipient,
        data.url
      )
      : Report.keyOfId(name, eventId, String(data.timestamp ?? ""))
  })
}

const ofJson = Report.single(name, ofRaw)

const legacyCodes: ReadonlyMap<string, Event.RejectReason> = new Map<string, Event.RejectReason>([
  ["499", "timed_out"],
  ["602", "timed_out"],
  ["605", "bounced"],
  ["606", "unsubscribed"],
  ["607", "spam"]
])

const legacyReason = (code: string | undefined): Event.RejectReason =>
  legacyCodes.get(code ?? "") ?? (/^[45](?:\d\d$|\.)/.test(code ?? "") ? "bounced" : "other")

const legacyMeaning = (event: string, code: string | undefined, reason: string | undefined): Report.Meaning => {
  if (event !== "bounced" && event !== "dropped") return events.get(event) ?? Report.unknown
  const rejectReason = legacyReason(code)
  if (reason === "old" || rejectReason === "timed_out") return timedOut
  if (/^60[567]$/.test(code ?? "")) return { type: "rejected", rejectReason, suppressed: true }
  return event === "bounced" ? bounced(rejectReason, "hard") : { type: "rejected", rejectReason }
}

const ofForm = (form: Form.Form, { receivedAt }: Webhook.Received): Report.Item => {
  const event = form.first("event")
  if (event === undefined || event === "") return Report.undecodable("MissingType")
  if (notMail.has(event)) return Report.ignored(event)
  const timestamp = form.last("timestamp")
  const address = form.first("recipient")
  const messageId = form.first("Message-Id") ?? form.first("message-id")
  const code = form.first("code")
  return Report.events({
    provider: name,
    meaning: legacyMeaning(event, code, form.first("reason")),
    payload: { event, status: code?.includes(".") === true ? code : form.first("error"), smtpStatus: code },
    details: {
      response: form.first("error"),
      description: form.first("description"),
      url: form.first("url"),
      ip: form.first("ip"),
      userAgent: form.first("user-agent"),
      client: Report.listed(form.first("client-name"), form.first("client-os"), form.first("device-type")),
      location: Report.listed(form.first("city"), form.first("region"), form.first("country")),
      tags: form.fields.flatMap(([field, value]) => field === "tag" ? [value] : [])
    },
    occurredAt: Option.getOrElse(Report.fromSeconds(timestamp), () => receivedAt),
    messageId,
    eventId: undefined,
    deliveryId: form.first("waybill_delivery_id"),
    recipient: Report.recipient(address, true),
    key: Report.keyOfNature(
      name,
      timestamp,
      { token: form.last("token") },
      event,
      messageId,
      address,
      form.first("url"),
      messageId === undefined ? form.last("token") : undefined
    )
  })
}

/**
 * Reduces the one event of a body.
 *
 * @category normalization
 * @since 0.1.0
 */
export const normalize: Row.Row["normalize"] = (received) => {
  const text = Json.decodeText(received.body)
  return isForm(text) ? Result.succeed([Report.collect([ofForm(Form.read(text), received)])]) : ofJson(received)
}

const failedWith = (severity: string, code: number) => ({
  event: "failed",
  severity,
  reason: severity === "permanent" ? "bounce" : "generic",
  "delivery-status": { code, "attempt-no": 1, message: `${code} the mailbox does not answer` }
})

const words: ReadonlyMap<EventType.ReportedType, Readonly<Record<string, unknown>>> = new Map<
  EventType.ReportedType,
  Readonly<Record<string, unknown>>
>([
  ["queued", { event: "accepted" }],
  ["delivered", { event: "delivered", "delivery-status": { code: 250, "attempt-no": 1, message: "OK" } }],
  ["deferred", failedWith("temporary", 421)],
  ["bounced", failedWith("permanent", 550)],
  ["rejected", { event: "rejected", reject: { reason: "Sandbox subdomains are for test purposes only." } }],
  ["opened", { event: "opened", ip: "192.0.2.7", "client-info": { bot: "" } }],
  ["clicked", { event: "clicked", url: "https://shop.example/orders", ip: "192.0.2.7", "client-info": { bot: "" } }],
  ["complained", { event: "complained" }],
  ["unsubscribed", { event: "unsubscribed" }]
])

/** The event alone, without the signature that stands before it in the body. */
const written = (report: Sender.Report): Webhook.Request => ({
  headers: { "content-type": "application/json" },
  body: new TextEncoder().encode(JSON.stringify({
    id: report.eventId,
    timestamp: report.at.epochMilliseconds / 1000,
    recipient: report.recipient,
    message: { headers: { "message-id": report.messageId, from: "shop@shop.example", subject: "Your receipt" } },
    "user-variables": report.deliveryId === undefined ? {} : { waybill_delivery_id: report.deliveryId },
    ...words.get(report.type) ?? { event: "unheard" }
  }))
})

/** Puts an event into a body with a signature; its token is one that is used once. */
const signer = (secret: Redacted.Redacted): Scheme.Signer => ({
  secrets: [secret],
  sign: ({ body, ...request }, sentAt) => {
    const timestamp = Signature.unixTime(sentAt)
    const token = sha256Hex(`${sha256Hex(Buffer.from(body).toString("base64"))} ${timestamp}`).slice(0, 50)
    const signature = createHmac("sha256", Redacted.value(secret)).update(timestamp).update(token).digest("hex")
    const head = new TextEncoder().encode(
      `{"signature":${JSON.stringify({ timestamp, token, signature })},"event-data":`
    )
    return { ...request, body: new Uint8Array([...head, ...body, "}".charCodeAt(0)]) }
  }
})

const signature: Scheme.Scheme = {
  name: "signature",
  secrets: { variable: "WAYBILL_MAILGUN_SIGNING_KEY", about: "webhook signing key" },
  proof: "signature",
  open: Effect.succeed(verify),
  signing: { _tag: "Secret", generate: () => Redacted.make(randomBytes(16).toString("hex")), make: signer }
}

/**
 * Mailgun's row in the table of providers.
 *
 * @category providers
 * @since 0.1.0
 */
export const row: Row.Row = {
  name,
  schemes: [signature],
  headers: ["content-type"],
  refusal: 406,
  unavailable: 503,
  normalize,
  composer: { types: Sender.typesOf(words), compose: (reports) => reports.map(written) }
}
