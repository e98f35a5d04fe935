/**
 * Understands what Azure Communication Services reports of email through Event Grid, in its own schema and as CloudEvents.
 *
 * Event Grid signs nothing: a subscription carries a token in its address or in a header. It begins by a handshake: a validation
 * event whose code is to be answered, or a request by OPTIONS for CloudEvents.
 *
 * The key of an event is its outer `id`; without one it is a digest of its type, time, message, recipient, status and link. A
 * report of an opening or a click names no recipient.
 *
 * @since 0.2.0
 */
import { type EventType, Provider } from "@waybill/core"
import { DateTime, Option, Schema } from "effect"
import * as Batch from "../../internal/batch.ts"
import { sha256Hex } from "../../internal/digest.ts"
import * as Instant from "../../internal/instant.ts"
import * as Json from "../../internal/json.ts"
import * as Report from "../../internal/report.ts"
import type * as Row from "../../Row.ts"
import * as Token from "../../schemes/Token.ts"
import * as Sender from "../../Sender.ts"
import type * as Webhook from "../../Webhook.ts"

const name = Provider.Provider.make("azure")

const validation = "Microsoft.EventGrid.SubscriptionValidationEvent"
const deliveryReport = "Microsoft.Communication.EmailDeliveryReportReceived"
const engagementReport = "Microsoft.Communication.EmailEngagementTrackingReportReceived"

/** In lower case: the documentation writes these words in more than one way. */
const statuses: ReadonlyMap<string, Report.Meaning> = new Map<string, Report.Meaning>([
  ["delivered", { type: "delivered" }],
  ["bounced", { type: "bounced", rejectReason: "bounced", bounceClass: "hard" }],
  ["failed", { type: "failed" }],
  ["suppressed", { type: "rejected", rejectReason: "bounced", suppressed: true }],
  ["filteredspam", { type: "bounced", rejectReason: "spam", bounceClass: "undetermined" }],
  ["quarantined", { type: "bounced", rejectReason: "spam", bounceClass: "soft" }]
])

const engagements: ReadonlyMap<string, Report.Meaning> = new Map<string, Report.Meaning>([
  ["view", { type: "opened" }],
  ["click", { type: "clicked" }]
])

const decode = Json.decoder(() =>
  Schema.Struct({
    id: Json.id,
    eventType: Json.text,
    type: Json.text,
    eventTime: Json.scalar,
    time: Json.scalar,
    data: Json.lenient(Schema.Struct({
      validationCode: Json.text,
      recipient: Json.text,
      messageId: Json.id,
      status: Json.text,
      deliveryStatusDetails: Json.lenient(Schema.Struct({ statusMessage: Json.text })),
      deliveryAttemptTimestamp: Json.scalar,
      deliveryAttemptTimeStamp: Json.scalar,
      engagementType: Json.text,
      engagementContext: Json.text,
      userActionTimeStamp: Json.scalar,
      userAgent: Json.text
    }))
  })
)

type Data = NonNullable<Json.Decoded<typeof decode>["data"]>

const meaning = (kind: string, data: Data): Report.Meaning =>
  (kind === deliveryReport ?
    statuses.get(data.status?.toLowerCase() ?? "")
    : engagements.get(data.engagementType?.toLowerCase() ?? "")) ??
    Report.unknown

const item = (value: unknown, { receivedAt }: Webhook.Received): Report.Item => {
  const decoded = decode(value)
  if (Option.isNone(decoded)) return Report.undecodable("NotAnObject")
  const { data = {}, eventTime, eventType, id: eventId, time: cloudTime, type } = decoded.value
  const kind = eventType ?? type
  if (kind === undefined || kind === "") return Report.undecodable("MissingType")
  if (kind !== deliveryReport && kind !== engagementReport) return Report.ignored(kind)
  const time = data.deliveryAttemptTimestamp ?? data.deliveryAttemptTimeStamp ?? data.userActionTimeStamp ??
    eventTime ?? cloudTime
  const event = kind === deliveryReport ? data.status : data.engagementType
  const said = data.deliveryStatusDetails?.statusMessage
  return Report.events({
    provider: name,
    meaning: meaning(kind, data),
    payload: { event: event ?? kind, status: said },
    details: { response: said, url: data.engagementContext, userAgent: data.userAgent },
    occurredAt: Option.getOrElse(Instant.read(time), () => receivedAt),
    messageId: data.messageId,
    eventId,
    deliveryId: undefined,
    recipient: Report.recipient(data.recipient, true),
    key: eventId === undefined
      ? Report.keyOfNature(name, time, value, kind, data.messageId, data.recipient, event, data.engagementContext)
      : Report.keyOfId(name, eventId)
  })
}

/** The answer to a validation event: its code. */
const setup = ({ body }: Webhook.Received): Option.Option<Row.Setup> => {
  const value = Option.getOrUndefined(Json.parse(Json.decodeText(body)))
  const [first]: ReadonlyArray<unknown> = Array.isArray(value) ? value : [value]
  return Option.flatMap(
    decode(first),
    ({ data, eventType }) =>
      eventType === validation && data?.validationCode !== undefined
        ? Option.some({ reply: JSON.stringify({ validationResponse: data.validationCode }) })
        : Option.none()
  )
}

/** CloudEvents asks by OPTIONS whether its origin may post; only Event Grid may. */
const probe = (headers: Webhook.Request["headers"]): Readonly<Record<string, string>> => {
  const origin = headers["webhook-request-origin"]
  return origin !== undefined && /^(?:[a-z0-9-]+\.)*eventgrid\.azure\.net$/i.test(origin)
    ? { "webhook-allowed-origin": origin }
    : {}
}

const words: ReadonlyMap<EventType.ReportedType, string> = new Map<EventType.ReportedType, string>([
  ["delivered", "Delivered"],
  ["bounced", "Bounced"],
  ["failed", "Failed"],
  ["rejected", "Suppressed"]
])

const written = (report: Sender.Report) => ({
  id: report.eventId,
  topic: "/subscriptions/shop/resourceGroups/mail/providers/Microsoft.Communication/CommunicationServices/shop",
  subject: `sender/shop@shop.example/message/${sha256Hex(report.messageId).slice(0, 16)}`,
  eventType: deliveryReport,
  dataVersion: "1.0",
  metadataVersion: "1",
  eventTime: DateTime.formatIso(report.at),
  data: {
    sender: "shop@shop.example",
    recipient: report.recipient,
    messageId: report.messageId,
    status: report.type === "bounced" && report.bounceClass === "soft"
      ? "Quarantined"
      : words.get(report.type) ?? "Unheard",
    deliveryStatusDetails: { statusMessage: "" },
    deliveryAttemptTimestamp: DateTime.formatIso(report.at).replace("Z", "0000+00:00")
  }
})

/**
 * The row of Azure Communication Services in the table of providers. Its composer writes no openings and clicks.
 *
 * @category providers
 * @since 0.2.0
 */
export const row: Row.Row = {
  name,
  schemes: [Token.make(name, "WAYBILL_AZURE_TOKEN", "token of the subscription's address or headers")],
  headers: ["aeg-event-type", "aeg-subscription-name", "aeg-delivery-count"],
  refusal: 401,
  unavailable: 503,
  probes: { OPTIONS: probe },
  setup,
  normalize: Batch.oneOrMany(name, item),
  composer: {
    types: Sender.typesOf(words),
    echoes: false,
    compose: (reports) => [{
      headers: { "content-type": "application/json", "aeg-event-type": "Notification" },
      body: new TextEncoder().encode(JSON.stringify(reports.map(written)))
    }]
  }
}
