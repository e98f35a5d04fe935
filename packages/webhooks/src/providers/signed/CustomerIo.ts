/**
 * Understands the reporting webhooks of Customer.io, as far as they are about email.
 *
 * The key of an event is its `event_id`. The message is the delivery, whose id the transactional send call answered.
 *
 * @since 0.2.0
 */
import { type EventType, Provider } from "@waybill/core"
import { Option, Schema } from "effect"
import * as Instant from "../../internal/instant.ts"
import * as Json from "../../internal/json.ts"
import * as Report from "../../internal/report.ts"
import type * as Row from "../../Row.ts"
import * as TimedHmac from "../../schemes/TimedHmac.ts"
import * as Sender from "../../Sender.ts"
import type * as Webhook from "../../Webhook.ts"

const name = Provider.Provider.make("customerio")

const events: ReadonlyMap<string, Report.Meaning> = new Map<string, Report.Meaning>([
  ["drafted", { type: "queued" }],
  ["attempted", { type: "queued" }],
  ["sent", { type: "sent" }],
  ["delivered", { type: "delivered" }],
  ["deferred", { type: "deferred" }],
  ["bounced", { type: "bounced", rejectReason: "bounced", bounceClass: "undetermined" }],
  // It was for somebody whom Customer.io suppresses.
  ["dropped", { type: "rejected", suppressed: true }],
  ["undeliverable", { type: "rejected" }],
  ["failed", { type: "failed" }],
  ["opened", { type: "opened" }],
  ["clicked", { type: "clicked" }],
  ["spammed", { type: "complained" }],
  ["unsubscribed", { type: "unsubscribed" }]
])

const decode = Json.decoder(() =>
  Schema.Struct({
    event_id: Json.id,
    object_type: Json.text,
    metric: Json.text,
    timestamp: Json.scalar,
    data: Json.lenient(Schema.Struct({
      delivery_id: Json.id,
      recipient: Json.text,
      identifiers: Json.lenient(Schema.Struct({ email: Json.text })),
      href: Json.text,
      failure_message: Json.text
    }))
  })
)

const item = (value: unknown, { receivedAt }: Webhook.Received): Report.Item => {
  const decoded = decode(value)
  if (Option.isNone(decoded)) return Report.undecodable("NotAnObject")
  const raw = decoded.value
  const { data = {}, metric } = raw
  if (metric === undefined || metric === "") return Report.undecodable("MissingType")
  if (raw.object_type !== undefined && raw.object_type !== "email") return Report.ignored(raw.object_type)
  if (metric === "converted") return Report.ignored(metric)
  const eventId = raw.event_id
  const messageId = data.delivery_id
  return Report.events({
    provider: name,
    meaning: events.get(metric) ?? Report.unknown,
    payload: { event: metric, status: data.failure_message },
    details: { response: data.failure_message, url: data.href },
    occurredAt: Option.getOrElse(Instant.read(raw.timestamp), () => receivedAt),
    messageId,
    eventId,
    deliveryId: undefined,
    recipient: Report.recipient(data.recipient ?? data.identifiers?.email, data.recipient !== undefined),
    key: eventId === undefined
      ? Report.keyOfNature(name, raw.timestamp, value, metric, messageId, data.recipient, data.href)
      : Report.keyOfId(name, eventId)
  })
}

/**
 * Reduces the one event of a body; what is not about an email is ignored.
 *
 * @category normalization
 * @since 0.2.0
 */
export const normalize: Row.Row["normalize"] = Report.single(name, item)

const words: ReadonlyMap<EventType.ReportedType, Readonly<Record<string, unknown>>> = new Map<
  EventType.ReportedType,
  Readonly<Record<string, unknown>>
>([
  ["queued", { metric: "attempted" }],
  ["sent", { metric: "sent" }],
  ["delivered", { metric: "delivered" }],
  ["deferred", { metric: "deferred" }],
  ["bounced", { metric: "bounced" }],
  ["rejected", { metric: "dropped" }],
  ["failed", { metric: "failed" }],
  ["opened", { metric: "opened" }],
  ["clicked", { metric: "clicked" }],
  ["complained", { metric: "spammed" }],
  ["unsubscribed", { metric: "unsubscribed" }]
])

const written = (report: Sender.Report): unknown => ({
  event_id: report.eventId,
  object_type: "email",
  timestamp: Math.floor(report.at.epochMilliseconds / 1000),
  data: {
    delivery_id: report.messageId,
    recipient: report.recipient,
    identifiers: { id: "42" },
    subject: "Your receipt",
    ...(report.type === "bounced" && { failure_message: "550 5.1.1 mailbox not found" }),
    ...(report.type === "clicked" && { href: "https://shop.example/orders" })
  },
  ...words.get(report.type) ?? { metric: "unheard" }
})

/** Later tries are sent with the time of the first, for up to seven days, so that the time is not judged. */
const signature = TimedHmac.make(name, {
  variable: "WAYBILL_CUSTOMERIO_SIGNING_KEY",
  about: "webhook signing key",
  digits: 10,
  read: ({ "x-cio-signature": signature, "x-cio-timestamp": time }) =>
    signature === undefined || time === undefined ? Option.none() : Option.some({ time, signatures: [signature] }),
  write: (time, signature) => ({ "x-cio-timestamp": time, "x-cio-signature": signature }),
  prefix: (time) => `v0:${time}:`,
  isTimely: false
})

/**
 * Customer.io's row in the table of providers.
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
    echoes: false,
    types: Sender.typesOf(words),
    compose: (reports) => reports.map((report) => Sender.json(written(report)))
  }
}
