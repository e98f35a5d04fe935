/**
 * Understands the webhooks of Lettermint, near kin of Standard Webhooks: one header has the time and the signature.
 *
 * The key of an event is the `id` of its webhook, which stays the same over retries; without one it is a digest of its name,
 * time, message, recipient and link.
 *
 * @since 0.2.0
 */
import { type EventType, Provider } from "@waybill/core"
import { DateTime, Option, Schema } from "effect"
import * as Instant from "../../internal/instant.ts"
import * as Json from "../../internal/json.ts"
import * as Report from "../../internal/report.ts"
import type * as Row from "../../Row.ts"
import * as TimedHmac from "../../schemes/TimedHmac.ts"
import * as Sender from "../../Sender.ts"
import type * as Webhook from "../../Webhook.ts"

const name = Provider.Provider.make("lettermint")

const signatureHeader = "x-lettermint-signature"
const deliveryHeader = "x-lettermint-delivery"

const meanings: ReadonlyMap<string, Report.Meaning> = new Map<string, Report.Meaning>([
  ["message.created", { type: "queued" }],
  ["message.sent", { type: "sent" }],
  ["message.delivered", { type: "delivered" }],
  ["message.hard_bounced", { type: "bounced", rejectReason: "bounced", bounceClass: "hard" }],
  ["message.soft_bounced", { type: "bounced", rejectReason: "bounced", bounceClass: "soft" }],
  ["message.failed", { type: "failed" }],
  ["message.policy_rejected", { type: "rejected", rejectReason: "blocked" }],
  ["message.spam_complaint", { type: "complained" }],
  ["message.unsubscribed", { type: "unsubscribed" }],
  ["message.opened", { type: "opened" }],
  ["message.clicked", { type: "clicked" }],
  ["message.auto_replied", { type: "autoresponded" }]
])

const decode = Json.decoder(() =>
  Schema.Struct({
    id: Json.id,
    event: Json.text,
    timestamp: Json.scalar,
    data: Json.lenient(Schema.Struct({
      message_id: Json.id,
      recipient: Json.text,
      to: Json.texts,
      cc: Json.texts,
      bcc: Json.texts,
      tag: Json.text,
      metadata: Json.bag,
      response: Json.lenient(Schema.Struct({
        status_code: Json.scalar,
        enhanced_status_code: Json.text,
        content: Json.text
      })),
      reason: Json.text,
      reason_code: Json.text,
      opened_at: Json.scalar,
      clicked_at: Json.scalar,
      unsubscribed_at: Json.scalar,
      destination_url: Json.text,
      user_agent: Json.text,
      bot: Json.lenient(Schema.Struct({ machine: Json.flag }))
    }))
  })
)

type Data = NonNullable<Json.Decoded<typeof decode>["data"]>

const meaning = (event: string, { reason, reason_code: code }: Data): Report.Meaning =>
  event === "message.suppressed"
    ? { type: "rejected", rejectReason: Report.remembered(code ?? reason) ?? "blocked", suppressed: true }
    : meanings.get(event) ?? Report.unknown

/** Whom an event is about: one that is not about a recipient names all of the message. */
const recipientOf = ({ bcc = [], cc = [], recipient, to = [] }: Data) => {
  const all = [...to, ...cc, ...bcc]
  return recipient === undefined ? Report.recipient(all[0], all.length === 1) : Report.recipient(recipient, true)
}

const item = (value: unknown, { receivedAt }: Webhook.Received): Report.Item => {
  const decoded = decode(value)
  if (Option.isNone(decoded)) return Report.undecodable("NotAnObject")
  const { data = {}, event, id: eventId, timestamp } = decoded.value
  if (event === undefined || event === "") return Report.undecodable("MissingType")
  if (!event.startsWith("message.") || event === "message.inbound") return Report.ignored(event)
  const time = data.opened_at ?? data.clicked_at ?? data.unsubscribed_at ?? timestamp
  const { response } = data
  return Report.events({
    provider: name,
    meaning: meaning(event, data),
    payload: {
      event,
      subtype: data.reason_code,
      status: `${response?.enhanced_status_code ?? ""} ${response?.content ?? ""}`,
      smtpStatus: response?.status_code,
      machine: data.bot?.machine === true ? "generic" : undefined
    },
    details: {
      response: response?.content,
      description: data.reason,
      url: data.destination_url,
      userAgent: data.user_agent,
      tags: data.tag === undefined ? [] : [data.tag],
      metadata: data.metadata
    },
    occurredAt: Option.getOrElse(Instant.read(time), () => receivedAt),
    messageId: data.message_id,
    eventId,
    deliveryId: Json.textIn(data.metadata, "waybill_delivery_id"),
    recipient: recipientOf(data),
    key: eventId === undefined
      ? Report.keyOfNature(name, time, value, event, data.message_id, data.recipient, data.destination_url)
      : Report.keyOfId(name, eventId)
  })
}

const words: ReadonlyMap<EventType.ReportedType, string> = new Map<EventType.ReportedType, string>([
  ["queued", "message.created"],
  ["sent", "message.sent"],
  ["delivered", "message.delivered"],
  ["bounced", "message.hard_bounced"],
  ["rejected", "message.policy_rejected"],
  ["failed", "message.failed"],
  ["autoresponded", "message.auto_replied"],
  ["opened", "message.opened"],
  ["clicked", "message.clicked"],
  ["complained", "message.spam_complaint"],
  ["unsubscribed", "message.unsubscribed"]
])

const written = (report: Sender.Report): Webhook.Request => ({
  headers: { "content-type": "application/json" },
  body: new TextEncoder().encode(JSON.stringify({
    id: report.eventId,
    event: report.type === "bounced" && report.bounceClass === "soft"
      ? "message.soft_bounced"
      : words.get(report.type) ?? "message.unheard",
    timestamp: DateTime.formatIso(report.at),
    data: {
      message_id: report.messageId,
      recipient: report.recipient,
      tag: "receipt",
      metadata: report.deliveryId === undefined ? {} : { waybill_delivery_id: report.deliveryId },
      ...report.type === "bounced" && {
        response: { status_code: 550, enhanced_status_code: "5.1.1", content: "550 5.1.1 mailbox not found" }
      }
    }
  }))
})

/** The fields of a header such as `t=…,v1=…`. */
const fields = (header: string): ReadonlyArray<readonly [string, string]> =>
  header.split(",").map((field) => {
    const [key = "", value = ""] = field.trim().split("=", 2)
    return [key, value] as const
  })

const scheme = TimedHmac.make(name, {
  variable: "WAYBILL_LETTERMINT_SECRET",
  about: "signing secret of the webhook",
  digits: 10,
  read: (headers) => {
    const [signature, delivery] = [headers[signatureHeader], headers[deliveryHeader]]
    if (signature === undefined || delivery === undefined) return Option.none()
    const all = fields(signature)
    const times = all.flatMap(([key, value]) => key === "t" ? [value] : [])
    return Option.some({
      time: times.length === 1 && times[0] === delivery ? delivery : "",
      signatures: all.flatMap(([key, value]) => key === "v1" ? [value] : [])
    })
  },
  write: (time, signature) => ({ [signatureHeader]: `t=${time},v1=${signature}`, [deliveryHeader]: time })
})

/**
 * The row of Lettermint in the table of providers.
 *
 * @category providers
 * @since 0.2.0
 */
export const row: Row.Row = {
  name,
  schemes: [scheme],
  headers: [signatureHeader, deliveryHeader, "x-lettermint-event"],
  refusal: 401,
  unavailable: 503,
  normalize: Report.single(name, item),
  composer: { types: Sender.typesOf(words), compose: (reports) => reports.map(written) }
}
