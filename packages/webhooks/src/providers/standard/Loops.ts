/**
 * Understands the webhooks of Loops, which are signed as Standard Webhooks says.
 *
 * The key of an event is the header `webhook-id`, which stays the same over retries. A body that is read without it gets a
 * digest of its name, time, message and recipient instead.
 *
 * @since 0.2.0
 */
import { type EventType, Provider } from "@waybill/core"
import { Option, Schema } from "effect"
import { sha256Hex } from "../../internal/digest.ts"
import * as Instant from "../../internal/instant.ts"
import * as Json from "../../internal/json.ts"
import * as Report from "../../internal/report.ts"
import * as StandardRow from "../../internal/standardRow.ts"
import type * as Row from "../../Row.ts"
import * as StandardWebhooks from "../../schemes/StandardWebhooks.ts"
import * as Sender from "../../Sender.ts"
import type * as Webhook from "../../Webhook.ts"

const name = Provider.Provider.make("loops")

const meanings: ReadonlyMap<string, Report.Meaning> = new Map<string, Report.Meaning>([
  ["transactional.email.sent", { type: "sent" }],
  ["campaign.email.sent", { type: "sent" }],
  ["loop.email.sent", { type: "sent" }],
  ["email.delivered", { type: "delivered" }],
  ["email.softBounced", { type: "bounced", rejectReason: "bounced", bounceClass: "soft" }],
  ["email.hardBounced", { type: "bounced", rejectReason: "bounced", bounceClass: "hard" }],
  ["email.opened", { type: "opened" }],
  ["email.clicked", { type: "clicked" }],
  ["email.spamReported", { type: "complained" }],
  ["email.unsubscribed", { type: "unsubscribed" }],
  ["email.resubscribed", { type: "subscribed" }]
])

const decode = Json.decoder(() =>
  Schema.Struct({
    eventName: Json.text,
    eventTime: Json.scalar,
    contactIdentity: Json.lenient(Schema.Struct({ email: Json.text })),
    email: Json.lenient(Schema.Struct({ id: Json.id }))
  })
)

const item = (value: unknown, { headers, receivedAt }: Webhook.Received): Report.Item => {
  const decoded = decode(value)
  if (Option.isNone(decoded)) return Report.undecodable("NotAnObject")
  const { contactIdentity: contact, email, eventName: event, eventTime: time } = decoded.value
  if (event === undefined || event === "") return Report.undecodable("MissingType")
  if (!/(?:^|\.)email\./.test(event)) return Report.ignored(event)
  const eventId = StandardWebhooks.idOf(headers)
  return Report.events({
    provider: name,
    meaning: meanings.get(event) ?? Report.unknown,
    payload: { event },
    occurredAt: Option.getOrElse(Instant.read(time), () => receivedAt),
    messageId: email?.id,
    eventId,
    deliveryId: undefined,
    recipient: Report.recipient(contact?.email, true),
    key: eventId === undefined
      ? Report.keyOfNature(name, time, value, event, email?.id, contact?.email)
      : Report.keyOfId(name, eventId)
  })
}

const words: ReadonlyMap<EventType.ReportedType, string> = new Map<EventType.ReportedType, string>([
  ["sent", "transactional.email.sent"],
  ["delivered", "email.delivered"],
  ["bounced", "email.hardBounced"],
  ["opened", "email.opened"],
  ["clicked", "email.clicked"],
  ["complained", "email.spamReported"],
  ["unsubscribed", "email.unsubscribed"],
  ["subscribed", "email.resubscribed"]
])

const written = (report: Sender.Report): Webhook.Request => ({
  headers: { "content-type": "application/json", "webhook-id": `msg_${sha256Hex(report.eventId).slice(0, 27)}` },
  body: new TextEncoder().encode(JSON.stringify({
    eventName: report.type === "bounced" && report.bounceClass === "soft"
      ? "email.softBounced"
      : words.get(report.type) ?? "email.unheard",
    eventTime: Math.floor(report.at.epochMilliseconds / 1000),
    webhookSchemaVersion: "1.0.0",
    contactIdentity: { id: sha256Hex(report.recipient).slice(0, 25), email: report.recipient, userId: null },
    email: { id: report.messageId, emailMessageId: sha256Hex(report.messageId).slice(0, 25), subject: "Your receipt" },
    sourceType: "transactional"
  }))
})

/**
 * The row of Loops in the table of providers.
 *
 * @category providers
 * @since 0.2.0
 */
export const row: Row.Row = StandardRow.make({
  name,
  variant: {
    variable: "WAYBILL_LOOPS_SECRET",
    about: "signing secret, whsec_…",
    prefixes: ["webhook"],
    key: "base64",
    signature: "versioned"
  },
  item,
  composer: { types: Sender.typesOf(words), echoes: false, compose: (reports) => reports.map(written) }
})
