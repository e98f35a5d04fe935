/**
 * Understands the webhooks of Sweego, which are signed as Standard Webhooks says, with a bare signature.
 *
 * The key of an event is its `event_id`; without one it is a digest of its type, time, message,
 * recipient and link.
 *
 * @since 0.2.0
 */
import { type EventType, Provider } from "@waybill/core"
import { DateTime, Option, Schema } from "effect"
import * as Instant from "../../internal/instant.ts"
import * as Json from "../../internal/json.ts"
import * as Report from "../../internal/report.ts"
import * as StandardRow from "../../internal/standardRow.ts"
import type * as Row from "../../Row.ts"
import * as Sender from "../../Sender.ts"
import type * as Webhook from "../../Webhook.ts"

const name = Provider.Provider.make("sweego")

/** By the name of the event with lines under the words; Sweego writes some with hyphens between them. */
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

const decode = Json.decoder(() => {
  const engagement = Json.lenient(
    Schema.Struct({ ip_address: Json.text, url: Json.text, user_agent: Json.text, proxy: Json.flag })
  )
  return Schema.Struct({
    event_type: Json.text,
    timestamp: Json.scalar,
    event_id: Json.id,
    channel: Json.text,
    transaction_id: Json.id,
    recipient: Json.text,
    campaign_tags: Json.oneOrMore,
    response_code: Json.scalar,
    headers: Json.lenient(Schema.Struct({ "x-transaction-id": Json.id })),
    open: engagement,
    click: engagement
  })
})

const item = (value: unknown, { receivedAt }: Webhook.Received): Report.Item => {
  const decoded = decode(value)
  if (Option.isNone(decoded)) return Report.undecodable("NotAnObject")
  const { campaign_tags: tags = [], channel = "email", event_type: event, headers, recipient } = decoded.value
  const { response_code: smtpStatus, timestamp: time } = decoded.value
  if (event === undefined || event === "") return Report.undecodable("MissingType")
  if (channel !== "email") return Report.ignored(channel)
  const engagement = decoded.value.click ?? decoded.value.open
  const messageId = headers?.["x-transaction-id"] ?? decoded.value.transaction_id
  const eventId = decoded.value.event_id
  return Report.events({
    provider: name,
    meaning: meanings.get(event.replaceAll("-", "_")) ?? Report.unknown,
    payload: { event, smtpStatus, machine: engagement?.proxy === true ? "generic" : undefined },
    details: {
      url: engagement?.url,
      ip: engagement?.ip_address,
      userAgent: engagement?.user_agent,
      tags: [tags].flat()
    },
    occurredAt: Option.getOrElse(Instant.read(time), () => receivedAt),
    messageId,
    eventId,
    deliveryId: undefined,
    recipient: Report.recipient(recipient, true),
    key: eventId === undefined
      ? Report.keyOfNature(name, time, value, event, messageId, recipient, engagement?.url)
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
export const row: Row.Row = StandardRow.make({
  name,
  variant: {
    variable: "WAYBILL_SWEEGO_SECRET",
    about: "signing secret of the webhook, in base64",
    prefixes: ["webhook"],
    key: "base64",
    signature: "bare"
  },
  item,
  composer: { types: Sender.typesOf(words), echoes: false, compose: (reports) => reports.map(written) }
})
