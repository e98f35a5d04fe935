/**
 * Understands the webhooks of AhaSend, which are signed as Standard Webhooks says, with the text of the secret as the key.
 *
 * The key of an event is the header `webhook-id`, which stays the same over retries. A body that is read without it gets a
 * digest of its type, time, message, recipient and link instead.
 *
 * @since 0.2.0
 */
import { type EventType, Provider } from "@waybill/core"
import { DateTime, Option, Schema } from "effect"
import { sha256Hex } from "../../internal/digest.ts"
import * as Instant from "../../internal/instant.ts"
import * as Json from "../../internal/json.ts"
import * as Report from "../../internal/report.ts"
import * as StandardRow from "../../internal/standardRow.ts"
import type * as Row from "../../Row.ts"
import * as StandardWebhooks from "../../schemes/StandardWebhooks.ts"
import * as Sender from "../../Sender.ts"
import type * as Webhook from "../../Webhook.ts"

const name = Provider.Provider.make("ahasend")

const meanings: ReadonlyMap<string, Report.Meaning> = new Map<string, Report.Meaning>([
  ["message.reception", { type: "queued" }],
  ["message.delivered", { type: "delivered" }],
  ["message.transient_error", { type: "deferred" }],
  // It was given up after many tries.
  ["message.failed", { type: "bounced", rejectReason: "timed_out", bounceClass: "soft" }],
  ["message.suppressed", { type: "rejected", rejectReason: "blocked", suppressed: true }],
  ["message.opened", { type: "opened" }],
  ["message.clicked", { type: "clicked" }]
])

/** A bounce is refused by the recipient's server, or reported later; it is hard where the address is what is wrong. */
const bounced = ({ delivery_attempt: attempt }: Data): Report.Meaning =>
  attempt?.classification === "InvalidRecipient" || attempt?.enhanced_status_code?.startsWith("5.1.") === true
    ? { type: "bounced", rejectReason: "bounced", bounceClass: "hard" }
    : { type: "bounced", rejectReason: "bounced", bounceClass: "undetermined" }

const decode = Json.decoder(() =>
  Schema.Struct({
    type: Json.text,
    timestamp: Json.scalar,
    data: Json.lenient(Schema.Struct({
      id: Json.id,
      recipient: Json.text,
      user_agent: Json.text,
      ip: Json.text,
      is_bot: Json.lenient(Schema.Union([Schema.Boolean, Schema.String])),
      url: Json.text,
      delivery_attempt: Json.lenient(Schema.Struct({
        classification: Json.text,
        smtp_code: Json.scalar,
        enhanced_status_code: Json.text,
        response: Json.text
      }))
    }))
  })
)

type Data = NonNullable<Json.Decoded<typeof decode>["data"]>

const item = (value: unknown, { headers, receivedAt }: Webhook.Received): Report.Item => {
  const decoded = decode(value)
  if (Option.isNone(decoded)) return Report.undecodable("NotAnObject")
  const { data = {}, timestamp: time, type: event } = decoded.value
  if (event === undefined || event === "") return Report.undecodable("MissingType")
  if (!event.startsWith("message.") || event === "message.routing") return Report.ignored(event)
  const eventId = StandardWebhooks.idOf(headers)
  const attempt = data.delivery_attempt
  return Report.events({
    provider: name,
    meaning: event === "message.bounced" ? bounced(data) : meanings.get(event) ?? Report.unknown,
    payload: {
      event,
      subtype: attempt?.classification,
      status: attempt?.enhanced_status_code,
      smtpStatus: attempt?.smtp_code,
      machine: String(data.is_bot) === "true" ? "generic" : undefined
    },
    details: { response: attempt?.response, url: data.url, ip: data.ip, userAgent: data.user_agent },
    occurredAt: Option.getOrElse(Instant.read(time), () => receivedAt),
    messageId: data.id,
    eventId,
    deliveryId: undefined,
    recipient: Report.recipient(data.recipient, true),
    key: eventId === undefined
      ? Report.keyOfNature(name, time, value, event, data.id, data.recipient, data.url)
      : Report.keyOfId(name, eventId)
  })
}

const words: ReadonlyMap<EventType.ReportedType, string> = new Map<EventType.ReportedType, string>([
  ["queued", "message.reception"],
  ["delivered", "message.delivered"],
  ["deferred", "message.transient_error"],
  ["bounced", "message.bounced"],
  ["rejected", "message.suppressed"],
  ["opened", "message.opened"],
  ["clicked", "message.clicked"]
])

const written = (report: Sender.Report): Webhook.Request => ({
  headers: { "content-type": "application/json", "webhook-id": sha256Hex(report.eventId).slice(0, 27) },
  body: new TextEncoder().encode(JSON.stringify({
    type: report.type === "bounced" && report.bounceClass === "soft"
      ? "message.failed"
      : words.get(report.type) ?? "message.unheard",
    timestamp: DateTime.formatIso(report.at).replace("Z", "000000Z"),
    webhook_id: "7d0a8f2e-6f1f-4b5f-9b53-7cf3a0f7a4c1",
    data: {
      id: report.messageId,
      message_id_header: `<${sha256Hex(report.messageId).slice(0, 20)}@shop.example>`,
      recipient: report.recipient,
      from: "shop@shop.example",
      ...(report.type === "opened" || report.type === "clicked") && { ip: "192.0.2.7", is_bot: false },
      ...report.type === "clicked" && { url: "https://shop.example/orders" },
      ...report.type === "bounced" && report.bounceClass !== "soft" && {
        delivery_attempt: {
          classification: "InvalidRecipient",
          smtp_code: 550,
          enhanced_status_code: "5.1.1",
          response: "5.1.1 mailbox not found",
          command: "RCPT TO"
        }
      }
    }
  }))
})

/**
 * The row of AhaSend in the table of providers.
 *
 * @category providers
 * @since 0.2.0
 */
export const row: Row.Row = StandardRow.make({
  name,
  variant: {
    variable: "WAYBILL_AHASEND_SECRET",
    about: "signing secret of the webhook, whole",
    prefixes: ["webhook"],
    key: "text",
    signature: "versioned"
  },
  item,
  composer: { types: Sender.typesOf(words), echoes: false, compose: (reports) => reports.map(written) }
})
