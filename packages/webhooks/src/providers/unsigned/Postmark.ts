/**
 * Understands the webhooks of Postmark, and of any sender that authenticates by HTTP basic authentication.
 *
 * Postmark signs nothing: who knows the credentials can send any body, so they belong into an `https` URL only.
 *
 * The key of an event comes from the body alone: the `ID` of a bounce or complaint with its record type, else a digest of what
 * tells one event from another: the record type, the message, the recipient, the time to 100 ns, the link of a click, and
 * whether sending was suppressed. Two suppressions of one instant are told apart by their reasons, the second of which gets a
 * finer key, see `internal/distinct`; a reason that is not known is in the digest itself, since 0.2. `Origin` is not: one
 * change at an instant has one. The header `X-PM-Webhook-Trace-Id` would do as well, but it is not always there, and one
 * event must not have two keys.
 *
 * @since 0.1.0
 */
import { type Event, type EventType, Provider } from "@waybill/core"
import { DateTime, Option, Schema } from "effect"
import { sha256Hex } from "../../internal/digest.ts"
import * as Json from "../../internal/json.ts"
import * as Report from "../../internal/report.ts"
import type * as Row from "../../Row.ts"
import * as BasicAuth from "../../schemes/BasicAuth.ts"
import * as Sender from "../../Sender.ts"
import type * as Webhook from "../../Webhook.ts"

const name = Provider.Provider.make("postmark")

const bounced = (bounceClass: Event.BounceClass, rejectReason: Event.RejectReason = "bounced"): Report.Meaning => ({
  type: "bounced",
  rejectReason,
  bounceClass
})

const bounces: ReadonlyMap<string, Report.Meaning> = new Map<string, Report.Meaning>([
  ["HardBounce", bounced("hard")],
  ["SoftBounce", bounced("soft")],
  ["VirusNotification", bounced("undetermined", "other")],
  ["Transient", { type: "deferred" }],
  ["DnsError", { type: "deferred" }],
  ["OpenRelayTest", { type: "deferred" }],
  ["Unsubscribe", { type: "unsubscribed" }],
  ["Subscribe", { type: "subscribed" }],
  ["AutoResponder", { type: "autoresponded" }],
  ["AddressChange", { type: "autoresponded" }],
  ["ChallengeVerification", { type: "autoresponded" }],
  ["SpamNotification", { type: "complained" }],
  ["SpamComplaint", { type: "complained" }],
  ["BadEmailAddress", { type: "rejected", rejectReason: "invalid" }],
  ["ManuallyDeactivated", { type: "rejected", rejectReason: "blocked" }],
  ["Blocked", { type: "rejected", rejectReason: "blocked" }],
  ["DMARCPolicy", { type: "rejected", rejectReason: "blocked" }],
  ["Unconfirmed", { type: "rejected" }],
  ["SMTPApiError", { type: "failed" }],
  ["TemplateRenderingFailed", { type: "failed" }]
])

const suppressions: ReadonlyMap<string, Report.Meaning> = new Map<string, Report.Meaning>([
  ["HardBounce", bounced("hard")],
  ["SpamComplaint", { type: "complained" }],
  ["ManualSuppression", { type: "unsubscribed" }]
])

const decode = Json.decoder(() =>
  Schema.Struct({
    RecordType: Json.text,
    FromFull: Json.lenient(Schema.Unknown),
    ID: Json.scalar,
    Type: Json.text,
    MessageID: Json.text,
    Recipient: Json.text,
    Email: Json.text,
    DeliveredAt: Json.text,
    BouncedAt: Json.text,
    ReceivedAt: Json.text,
    ChangedAt: Json.text,
    OriginalLink: Json.text,
    Details: Json.text,
    Description: Json.text,
    UserAgent: Json.text,
    Platform: Json.text,
    Client: Json.lenient(Schema.Struct({ Name: Json.text })),
    OS: Json.lenient(Schema.Struct({ Name: Json.text })),
    Geo: Json.lenient(Schema.Struct({ IP: Json.text, City: Json.text, Region: Json.text, Country: Json.text })),
    Tag: Json.text,
    SuppressSending: Json.flag,
    SuppressionReason: Json.text,
    Metadata: Json.fields
  })
)

type Raw = Json.Decoded<typeof decode>

/** Whom Postmark does not send to any more, without a reason, has unsubscribed by what it knows. */
const subscriptionChange = ({ SuppressSending, SuppressionReason = "" }: Raw): Report.Meaning => {
  if (SuppressSending === false) return { type: "subscribed" }
  return suppressions.get(SuppressionReason) ??
    (SuppressSending === true && SuppressionReason === "" ? { type: "unsubscribed" } : Report.unknown)
}

const meaning = (recordType: string, raw: Raw): Report.Meaning => {
  switch (recordType) {
    case "Delivery":
      return { type: "delivered" }
    case "Open":
      return { type: "opened" }
    case "Click":
      return { type: "clicked" }
    case "SpamComplaint":
      return { type: "complained" }
    case "Bounce":
      return bounces.get(raw.Type ?? "") ?? Report.refusal(raw.Type, "blocked") ?? Report.unknown
    case "SubscriptionChange":
      return subscriptionChange(raw)
    default:
      return Report.unknown
  }
}

/** The reason for a suppression that is not told from others by its meaning. */
const unheardReason = ({ SuppressionReason: reason }: Raw): ReadonlyArray<string> =>
  reason === undefined || reason === "" || suppressions.has(reason) ? [] : [reason]

/** What Postmark says in words. */
const details = (raw: Raw): Report.Report["details"] => ({
  response: raw.Details,
  description: raw.Description,
  url: raw.OriginalLink,
  ip: raw.Geo?.IP,
  userAgent: raw.UserAgent,
  client: Report.listed(raw.Client?.Name, raw.OS?.Name, raw.Platform),
  location: Report.listed(raw.Geo?.City, raw.Geo?.Region, raw.Geo?.Country),
  tags: [raw.Tag ?? ""],
  metadata: raw.Metadata
})

/** The message id of the posts with which Postmark tries an endpoint. */
const testMessageId = "00000000-0000-0000-0000-000000000000"

const item = (value: unknown, { receivedAt }: Webhook.Received): Report.Item => {
  const decoded = decode(value)
  if (Option.isNone(decoded)) return Report.undecodable("NotAnObject")
  const raw = decoded.value
  const recordType = raw.RecordType ?? ""
  const numbered = /^[1-9]\d*$/.exec(String(raw.ID))?.[0]
  // A body of before 2018 does not say its type: what has an id is kept as an unknown event.
  if (recordType === "" && raw.FromFull !== undefined) return Report.ignored("Inbound")
  if (recordType === "" && numbered === undefined && (raw.MessageID ?? "") === "") {
    return Report.undecodable("MissingType")
  }
  if (recordType === "Inbound" || raw.Type === "InboundError") return Report.ignored(raw.Type ?? recordType)
  const time = raw.DeliveredAt ?? raw.BouncedAt ?? raw.ReceivedAt ?? raw.ChangedAt
  const address = raw.Recipient ?? raw.Email
  const eventId = ["Bounce", "SpamComplaint", ""].includes(recordType) ? numbered : undefined
  return Report.events({
    provider: name,
    meaning: meaning(recordType, raw),
    payload: {
      event: recordType,
      subtype: recordType === "SubscriptionChange" ? raw.SuppressionReason : raw.Type,
      status: raw.Details
    },
    details: details(raw),
    occurredAt: Option.getOrElse(Report.fromIso(time), () => receivedAt),
    messageId: raw.MessageID === testMessageId ? undefined : raw.MessageID,
    eventId,
    deliveryId: Json.textIn(raw.Metadata, "waybill_delivery_id"),
    recipient: Report.recipient(address, true),
    key: eventId === undefined
      ? Report.keyOfNature(
        name,
        time,
        value,
        recordType,
        raw.MessageID,
        address,
        raw.OriginalLink,
        String(raw.SuppressSending),
        ...unheardReason(raw)
      )
      : Report.keyOfId(name, recordType, eventId)
  })
}

/**
 * Reduces the one event of a body.
 *
 * @category normalization
 * @since 0.1.0
 */
export const normalize: Row.Row["normalize"] = Report.single(name, item)

interface Shape {
  readonly recordType: string
  readonly time: "DeliveredAt" | "BouncedAt" | "ReceivedAt" | "ChangedAt"
  readonly address: "Recipient" | "Email"
  readonly fields: Readonly<Record<string, unknown>>
}

const bounceOf = (Type: string): Shape => ({
  recordType: "Bounce",
  time: "BouncedAt",
  address: "Email",
  fields: { Type, Name: Type, Details: "smtp;550 5.1.1 mailbox not found", Subject: "Your receipt", Inactive: true }
})

const subscriptionOf = (fields: Shape["fields"]): Shape => ({
  recordType: "SubscriptionChange",
  time: "ChangedAt",
  address: "Recipient",
  fields: { Origin: "Recipient", ...fields }
})

const shapes: ReadonlyMap<EventType.ReportedType, Shape> = new Map<EventType.ReportedType, Shape>([
  ["delivered", {
    recordType: "Delivery",
    time: "DeliveredAt",
    address: "Recipient",
    fields: { Details: "smtp;250 2.0.0 OK" }
  }],
  ["deferred", bounceOf("Transient")],
  ["bounced", bounceOf("HardBounce")],
  ["autoresponded", bounceOf("AutoResponder")],
  ["rejected", bounceOf("BadEmailAddress")],
  ["failed", bounceOf("SMTPApiError")],
  ["opened", { recordType: "Open", time: "ReceivedAt", address: "Recipient", fields: { FirstOpen: true } }],
  ["clicked", {
    recordType: "Click",
    time: "ReceivedAt",
    address: "Recipient",
    fields: { OriginalLink: "https://shop.example/orders" }
  }],
  ["complained", {
    recordType: "SpamComplaint",
    time: "BouncedAt",
    address: "Email",
    fields: { Type: "SpamComplaint", Subject: "Your receipt" }
  }],
  ["unsubscribed", subscriptionOf({ SuppressSending: true, SuppressionReason: "ManualSuppression" })],
  ["subscribed", subscriptionOf({ SuppressSending: false, SuppressionReason: null })]
])

const softBounce = bounceOf("SoftBounce")

/** A number of the size that Postmark uses, which a double does not hold. */
const bounceId = (eventId: string): string => String(2n ** 60n + BigInt(`0x${sha256Hex(eventId).slice(0, 14)}`))

const written = (report: Sender.Report): Webhook.Request => {
  const shape = report.type === "bounced" && report.bounceClass === "soft" ? softBounce : shapes.get(report.type)
  const text = JSON.stringify({
    RecordType: shape?.recordType ?? "Unheard",
    MessageID: report.messageId,
    [shape?.address ?? "Recipient"]: report.recipient,
    [shape?.time ?? "ReceivedAt"]: DateTime.formatIso(report.at),
    ServerID: 23,
    MessageStream: "outbound",
    Tag: "receipt",
    Metadata: report.deliveryId === undefined ? {} : { waybill_delivery_id: report.deliveryId },
    ...shape?.fields
  })
  return {
    headers: {
      "content-type": "application/json",
      "x-pm-webhook-trace-id": sha256Hex(report.eventId).slice(0, 32)
    },
    body: new TextEncoder().encode(`{"ID":${bounceId(report.eventId)},${text.slice(1)}`)
  }
}

/**
 * Postmark's row in the table of providers.
 *
 * @category providers
 * @since 0.1.0
 */
export const row: Row.Row = {
  name,
  schemes: [BasicAuth.make(name, "WAYBILL_POSTMARK_BASIC_AUTH")],
  headers: ["x-pm-webhook-trace-id"],
  refusal: 401,
  unavailable: 503,
  normalize,
  composer: { types: Sender.typesOf(shapes), compose: (reports) => reports.map(written) }
}
