/**
 * Understands the events of Cloudflare Email Sending. They come into a queue and not by a webhook: what is pulled from it is
 * authentic already, and a Worker that forwards it carries a token.
 *
 * The key of an event is its `eventId`; without one it is a digest of its type, time, message and recipient.
 *
 * @since 0.2.0
 */
import { type EventType, Provider } from "@waybill/core"
import { DateTime, Option, Schema } from "effect"
import * as Batch from "../../internal/batch.ts"
import * as Instant from "../../internal/instant.ts"
import * as Json from "../../internal/json.ts"
import * as Report from "../../internal/report.ts"
import type * as Row from "../../Row.ts"
import * as Token from "../../schemes/Token.ts"
import * as Sender from "../../Sender.ts"
import type * as Webhook from "../../Webhook.ts"

const name = Provider.Provider.make("cloudflare")

const prefix = "cf.email.sending.message."

const meanings: ReadonlyMap<string, Report.Meaning> = new Map<string, Report.Meaning>([
  ["delivered", { type: "delivered" }],
  ["deferred", { type: "deferred" }],
  ["failed", { type: "failed" }],
  ["complained", { type: "complained" }]
])

const decode = Json.decoder(() =>
  Schema.Struct({
    type: Json.text,
    payload: Json.lenient(Schema.Struct({
      eventId: Json.id,
      messageId: Json.id,
      recipient: Json.text,
      delivery: Json.lenient(Schema.Struct({
        smtpStatusCode: Json.scalar,
        smtpEnhancedStatusCode: Json.text,
        smtpResponse: Json.text
      })),
      bounce: Json.lenient(Schema.Struct({ type: Json.text, reason: Json.text })),
      failure: Json.lenient(Schema.Struct({ reason: Json.text })),
      rejection: Json.lenient(Schema.Struct({ reason: Json.text, detail: Json.text }))
    })),
    metadata: Json.lenient(Schema.Struct({ eventTimestamp: Json.scalar }))
  })
)

type Payload = NonNullable<Json.Decoded<typeof decode>["payload"]>

const meaning = (event: string, { bounce, rejection }: Payload): Report.Meaning => {
  switch (event) {
    case "bounced":
      return {
        type: "bounced",
        rejectReason: "bounced",
        bounceClass: bounce?.type === "hard" || bounce?.type === "soft" ? bounce.type : "undetermined"
      }
    case "rejected":
      return Report.refusal(rejection?.reason, "bounced") ??
        { type: "rejected", rejectReason: /spam/i.test(rejection?.reason ?? "") ? "spam" : "other" }
    default:
      return meanings.get(event) ?? Report.unknown
  }
}

const item = (value: unknown, { receivedAt }: Webhook.Received): Report.Item => {
  const decoded = decode(value)
  if (Option.isNone(decoded)) return Report.undecodable("NotAnObject")
  const { metadata, payload = {}, type } = decoded.value
  if (type === undefined || type === "") return Report.undecodable("MissingType")
  if (!type.startsWith(prefix)) return Report.ignored(type)
  const event = type.slice(prefix.length)
  const time = metadata?.eventTimestamp
  const { bounce, delivery, eventId, failure, rejection } = payload
  return Report.events({
    provider: name,
    meaning: meaning(event, payload),
    payload: {
      event,
      subtype: rejection?.reason ?? failure?.reason ?? bounce?.type,
      status: delivery?.smtpEnhancedStatusCode,
      smtpStatus: delivery?.smtpStatusCode
    },
    details: {
      response: delivery?.smtpResponse ?? bounce?.reason,
      description: rejection?.detail ?? rejection?.reason ?? failure?.reason
    },
    occurredAt: Option.getOrElse(Instant.read(time), () => receivedAt),
    messageId: payload.messageId,
    eventId,
    deliveryId: undefined,
    recipient: Report.recipient(payload.recipient, true),
    key: eventId === undefined
      ? Report.keyOfNature(name, time, value, event, payload.messageId, payload.recipient)
      : Report.keyOfId(name, eventId)
  })
}

const words: ReadonlyMap<EventType.ReportedType, string> = new Map<EventType.ReportedType, string>([
  ["delivered", "delivered"],
  ["deferred", "deferred"],
  ["bounced", "bounced"],
  ["failed", "failed"],
  ["rejected", "rejected"],
  ["complained", "complained"]
])

const written = (report: Sender.Report): Webhook.Request => ({
  headers: { "content-type": "application/json" },
  body: new TextEncoder().encode(JSON.stringify({
    type: `${prefix}${words.get(report.type) ?? "unheard"}`,
    payload: {
      eventId: report.eventId,
      messageId: report.messageId,
      recipient: report.recipient,
      terminal: report.type !== "deferred",
      ...report.type === "bounced" && {
        bounce: { type: report.bounceClass ?? "hard" },
        delivery: report.bounceClass === "soft"
          ? { smtpStatusCode: "452", smtpEnhancedStatusCode: "4.2.2", smtpResponse: "452 4.2.2 mailbox full" }
          : { smtpStatusCode: "550", smtpEnhancedStatusCode: "5.1.1", smtpResponse: "550 5.1.1 mailbox not found" }
      }
    },
    metadata: { eventTimestamp: DateTime.formatIso(report.at) }
  }))
})

/**
 * The row of Cloudflare Email Sending in the table of providers.
 *
 * @category providers
 * @since 0.2.0
 */
export const row: Row.Row = {
  name,
  schemes: [Token.make(name, "WAYBILL_CLOUDFLARE_TOKEN", "token of the Worker that forwards the queue")],
  headers: [],
  refusal: 401,
  unavailable: 503,
  normalize: Batch.oneOrMany(name, item),
  composer: { types: Sender.typesOf(words), echoes: false, compose: (reports) => reports.map(written) }
}
