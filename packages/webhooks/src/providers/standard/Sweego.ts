/**
 * Understands the webhooks of Sweego, which are signed as Standard Webhooks says, with a bare signature.
 *
 * The key of an event is its `event_id`; without one it is a digest of its type, time, message and recipient.
 *
 * @since 0.2.0
 */
import { type EventType, Provider } from "@waybill/core"
import { DateTime, Option, Schema } from "effect"
import * as Json from "../../internal/json.ts"
import * as Report from "../../internal/report.ts"
import type * as Row from "../../Row.ts"
import * as StandardWebhooks from "../../schemes/StandardWebhooks.ts"
import * as Sender from "../../Sender.ts"
import type * as Webhook from "../../Webhook.ts"

const name = Provider.Provider.make("sweego")

const prefixes = ["webhook"] as const

const meanings: ReadonlyMap<string, Report.Meaning> = new Map<string, Report.Meaning>([
  ["email_sent", { type: "sent" }],
  ["delivered", { type: "delivered" }],
  ["soft_bounce", { type: "bounced", rejectReason: "bounced", bounceClass: "soft" }],
  ["hard_bounce", { type: "bounced", rejectReason: "bounced", bounceClass: "hard" }],
  ["list_unsub", { type: "unsubscribed" }],
  ["complaint", { type: "complained" }],
  ["email_opened", { type: "opened" }],
  ["email_clicked", { type: "clicked" }]
])

const decode = Json.decoder(() =>
  Schema.Struct({
    event_type: Json.text,
    timestamp: Json.text,
    event_id: Json.text,
    recipient: Json.text,
    campaign_tags: Json.texts,
    headers: Json.lenient(Schema.Struct({ "x-transaction-id": Json.text }))
  })
)

const item = (value: unknown, { receivedAt }: Webhook.Received): Report.Item => {
  const decoded = decode(value)
  if (Option.isNone(decoded)) return Report.undecodable("NotAnObject")
  const { campaign_tags: tags, event_type: event, headers, recipient, timestamp: time } = decoded.value
  if (event === undefined || event === "") return Report.undecodable("MissingType")
  const messageId = headers?.["x-transaction-id"]
  const eventId = decoded.value.event_id === "" ? undefined : decoded.value.event_id
  return Report.events({
    provider: name,
    meaning: meanings.get(event) ?? Report.unknown,
    payload: { event },
    details: { tags },
    occurredAt: Option.getOrElse(Report.fromIso(time), () => receivedAt),
    messageId,
    eventId,
    deliveryId: undefined,
    recipient: Report.recipient(recipient, true),
    key: eventId === undefined
      ? Report.keyOfNature(name, time, value, event, messageId, recipient)
      : Report.keyOfId(name, eventId)
  })
}

const words: ReadonlyMap<EventType.ReportedType, string> = new Map<EventType.ReportedType, string>([
  ["sent", "email_sent"],
  ["delivered", "delivered"],
  ["bounced", "hard_bounce"],
  ["opened", "email_opened"],
  ["clicked", "email_clicked"],
  ["complained", "complaint"],
  ["unsubscribed", "list_unsub"]
])

const written = (report: Sender.Report): Webhook.Request => ({
  headers: { "content-type": "application/json" },
  body: new TextEncoder().encode(JSON.stringify({
    event_type: report.type === "bounced" && report.bounceClass === "soft"
      ? "soft_bounce"
      : words.get(report.type) ?? "unheard",
    timestamp: DateTime.formatIso(report.at).replace("Z", "+00:00"),
    event_id: report.eventId,
    headers: { "x-transaction-id": report.messageId },
    recipient: report.recipient,
    campaign_tags: ["receipt"]
  }))
})

/**
 * The row of Sweego in the table of providers.
 *
 * @category providers
 * @since 0.2.0
 */
export const row: Row.Row = {
  name,
  schemes: [StandardWebhooks.make(name, {
    variable: "WAYBILL_SWEEGO_SECRET",
    about: "signing secret of the webhook, in base64",
    prefixes,
    key: "base64",
    signature: "bare"
  })],
  headers: StandardWebhooks.headersOf({ prefixes }),
  refusal: 401,
  unavailable: 503,
  normalize: Report.single(name, item),
  composer: { types: Sender.typesOf(words), echoes: false, compose: (reports) => reports.map(written) }
}
