/**
 * Understands the webhooks of useSend, near kin of Standard Webhooks: the time is in milliseconds, and the signature in
 * hexadecimal.
 *
 * The key of an event is the `id` of its call, which stays the same over retries; without one it is a digest of its type,
 * time, message, recipients and link.
 *
 * @since 0.2.0
 */
import { type Event, type EventType, Provider } from "@waybill/core"
import { DateTime, Option, Schema } from "effect"
import * as Instant from "../../internal/instant.ts"
import * as Json from "../../internal/json.ts"
import * as Report from "../../internal/report.ts"
import type * as Row from "../../Row.ts"
import * as TimedHmac from "../../schemes/TimedHmac.ts"
import * as Sender from "../../Sender.ts"
import type * as Webhook from "../../Webhook.ts"

const name = Provider.Provider.make("usesend")

const timeHeader = "x-usesend-timestamp"
const signatureHeader = "x-usesend-signature"

const meanings: ReadonlyMap<string, Report.Meaning> = new Map<string, Report.Meaning>([
  ["email.queued", { type: "queued" }],
  ["email.sent", { type: "sent" }],
  ["email.delivered", { type: "delivered" }],
  ["email.delivery_delayed", { type: "deferred" }],
  ["email.rejected", { type: "rejected", rejectReason: "blocked" }],
  ["email.rendering_failure", { type: "failed" }],
  ["email.failed", { type: "failed" }],
  ["email.complained", { type: "complained" }],
  ["email.opened", { type: "opened" }],
  ["email.clicked", { type: "clicked" }]
])

const decode = Json.decoder(() =>
  Schema.Struct({
    id: Json.id,
    type: Json.text,
    createdAt: Json.scalar,
    data: Json.lenient(Schema.Struct({
      id: Json.id,
      to: Json.texts,
      occurredAt: Json.scalar,
      metadata: Json.bag,
      bounce: Json.lenient(Schema.Struct({ type: Json.text, subType: Json.text, message: Json.text })),
      failed: Json.lenient(Schema.Struct({ reason: Json.text })),
      suppression: Json.lenient(Schema.Struct({ type: Json.text, reason: Json.text })),
      open: Json.lenient(Schema.Struct({ ip: Json.text, userAgent: Json.text })),
      click: Json.lenient(Schema.Struct({ url: Json.text, ip: Json.text, userAgent: Json.text }))
    }))
  })
)

type Data = NonNullable<Json.Decoded<typeof decode>["data"]>

const classes: ReadonlyMap<string | undefined, Event.BounceClass> = new Map<string | undefined, Event.BounceClass>([
  ["Permanent", "hard"],
  ["Transient", "soft"]
])

const meaning = (event: string, { bounce, suppression }: Data): Report.Meaning => {
  switch (event) {
    case "email.bounced":
      return Report.refusal(bounce?.subType, "bounced") ??
        { type: "bounced", rejectReason: "bounced", bounceClass: classes.get(bounce?.type) ?? "undetermined" }
    case "email.suppressed":
      return {
        type: "rejected",
        rejectReason: Report.remembered(suppression?.type) ?? "blocked",
        suppressed: true
      }
    default:
      return meanings.get(event) ?? Report.unknown
  }
}

const item = (value: unknown, { receivedAt }: Webhook.Received): Report.Item => {
  const decoded = decode(value)
  if (Option.isNone(decoded)) return Report.undecodable("NotAnObject")
  const { createdAt, data = {}, id: eventId, type: event } = decoded.value
  if (event === undefined || event === "") return Report.undecodable("MissingType")
  if (!event.startsWith("email.")) return Report.ignored(event)
  const time = data.occurredAt ?? createdAt
  return Report.events({
    provider: name,
    meaning: meaning(event, data),
    payload: {
      event,
      subtype: data.bounce?.subType ?? data.suppression?.type,
      status: data.bounce?.message
    },
    details: {
      response: data.bounce?.message,
      description: data.failed?.reason ?? data.suppression?.reason,
      url: data.click?.url,
      ip: (data.click ?? data.open)?.ip,
      userAgent: (data.click ?? data.open)?.userAgent,
      metadata: data.metadata
    },
    occurredAt: Option.getOrElse(Instant.read(time), () => receivedAt),
    messageId: data.id,
    eventId,
    deliveryId: Json.textIn(data.metadata, "waybill_delivery_id"),
    recipient: Report.recipient(data.to?.[0], data.to?.length === 1),
    key: eventId === undefined
      ? Report.keyOfNature(name, time, value, event, data.id, data.click?.url, ...data.to ?? [])
      : Report.keyOfId(name, eventId)
  })
}

const words: ReadonlyMap<EventType.ReportedType, string> = new Map<EventType.ReportedType, string>([
  ["queued", "email.queued"],
  ["sent", "email.sent"],
  ["delivered", "email.delivered"],
  ["deferred", "email.delivery_delayed"],
  ["bounced", "email.bounced"],
  ["rejected", "email.rejected"],
  ["failed", "email.failed"],
  ["opened", "email.opened"],
  ["clicked", "email.clicked"],
  ["complained", "email.complained"]
])

const written = (report: Sender.Report): Webhook.Request => ({
  headers: { "content-type": "application/json" },
  body: new TextEncoder().encode(JSON.stringify({
    id: report.eventId,
    type: words.get(report.type) ?? "email.unheard",
    createdAt: DateTime.formatIso(report.at),
    attempt: 1,
    data: {
      id: report.messageId,
      to: [report.recipient],
      from: "shop@shop.example",
      subject: "Your receipt",
      occurredAt: DateTime.formatIso(report.at),
      metadata: report.deliveryId === undefined ? {} : { waybill_delivery_id: report.deliveryId },
      ...report.type === "bounced" && {
        bounce: report.bounceClass === "soft"
          ? { type: "Transient", subType: "MailboxFull" }
          : { type: "Permanent", subType: "General" }
      }
    }
  }))
})

const scheme = TimedHmac.make(name, {
  variable: "WAYBILL_USESEND_SECRET",
  about: "signing secret of the webhook",
  digits: 13,
  read: (headers) => {
    const [time, signature] = [headers[timeHeader], headers[signatureHeader]]
    return time === undefined || signature === undefined
      ? Option.none()
      : Option.some({ time, signatures: signature.startsWith("v1=") ? [signature.slice(3)] : [] })
  },
  write: (time, signature) => ({ [timeHeader]: time, [signatureHeader]: `v1=${signature}` })
})

/**
 * The row of useSend in the table of providers.
 *
 * @category providers
 * @since 0.2.0
 */
export const row: Row.Row = {
  name,
  schemes: [scheme],
  headers: [timeHeader, signatureHeader, "x-usesend-call", "x-usesend-event"],
  refusal: 401,
  unavailable: 503,
  normalize: Report.single(name, item),
  composer: { types: Sender.typesOf(words), compose: (reports) => reports.map(written) }
}
