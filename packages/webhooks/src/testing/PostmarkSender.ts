/**
 * Posts as Postmark does, with HTTP basic authentication.
 *
 * @since 0.1.0
 */
import type { EventType } from "@waybill/core"
import { DateTime, Redacted } from "effect"
import { randomBytes } from "node:crypto"
import { sha256Hex } from "../internal/digest.ts"
import * as Postmark from "../providers/Postmark.ts"
import type * as Webhook from "../Webhook.ts"
import * as Sender from "./Sender.ts"

interface Shape {
  readonly recordType: string
  readonly time: "DeliveredAt" | "BouncedAt" | "ReceivedAt" | "ChangedAt"
  readonly address: "Recipient" | "Email"
  readonly fields: Readonly<Record<string, unknown>>
}

const bounce = (Type: string): Shape => ({
  recordType: "Bounce",
  time: "BouncedAt",
  address: "Email",
  fields: { Type, Name: Type, Details: "smtp;550 5.1.1 mailbox not found", Subject: "Your receipt", Inactive: true }
})

const subscription = (fields: Shape["fields"]): Shape => ({
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
  ["deferred", bounce("Transient")],
  ["bounced", bounce("HardBounce")],
  ["autoresponded", bounce("AutoResponder")],
  ["rejected", bounce("BadEmailAddress")],
  ["failed", bounce("SMTPApiError")],
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
  ["unsubscribed", subscription({ SuppressSending: true, SuppressionReason: "ManualSuppression" })],
  ["subscribed", subscription({ SuppressSending: false, SuppressionReason: null })]
])

const softBounce = bounce("SoftBounce")

/** A number of the size that Postmark uses, which a double does not hold. */
const bounceId = (eventId: string): string => String(2n ** 60n + BigInt(`0x${sha256Hex(eventId).slice(0, 14)}`))

const request = (basicAuth: string, report: Sender.Report): Webhook.Request => {
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
      "authorization": `Basic ${Buffer.from(basicAuth).toString("base64")}`,
      "x-pm-webhook-trace-id": sha256Hex(report.eventId).slice(0, 32)
    },
    body: new TextEncoder().encode(`{"ID":${bounceId(report.eventId)},${text.slice(1)}`)
  }
}

/**
 * Posts with a `user:pass`, one request for each report.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (basicAuth: Redacted.Redacted): Sender.Sender => ({
  provider: Postmark.row.name,
  secrets: [basicAuth],
  types: Sender.typesOf(shapes),
  send: (reports) => reports.map((report) => request(Redacted.value(basicAuth), report))
})

/**
 * How senders of Postmark are made.
 *
 * @category constructors
 * @since 0.2.0
 */
export const kind: Sender.Kind = {
  provider: Postmark.row.name,
  signing: { _tag: "Secret", make },
  generate: () => ({
    sender: make(Redacted.make(`postmark:${randomBytes(18).toString("base64url")}`)),
    row: Postmark.row
  })
}
