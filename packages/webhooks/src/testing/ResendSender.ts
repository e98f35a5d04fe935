/**
 * Posts as Resend does, signed as Svix signs.
 *
 * @since 0.1.0
 */
import type { EventType } from "@waybill/core"
import { DateTime, Redacted } from "effect"
import { createHmac, randomBytes } from "node:crypto"
import { sha256Hex } from "../internal/digest.ts"
import * as Signature from "../internal/signature.ts"
import * as Resend from "../providers/Resend.ts"
import type * as Webhook from "../Webhook.ts"
import * as Sender from "./Sender.ts"

const words: ReadonlyMap<EventType.ReportedType, string> = new Map<EventType.ReportedType, string>([
  ["queued", "email.scheduled"],
  ["sent", "email.sent"],
  ["delivered", "email.delivered"],
  ["deferred", "email.delivery_delayed"],
  ["bounced", "email.bounced"],
  ["rejected", "email.suppressed"],
  ["failed", "email.failed"],
  ["opened", "email.opened"],
  ["clicked", "email.clicked"],
  ["complained", "email.complained"]
])

const details = (report: Sender.Report): Readonly<Record<string, unknown>> => {
  switch (report.type) {
    case "bounced":
      return {
        bounce: report.bounceClass === "soft"
          ? { type: "Transient", subType: "MailboxFull", message: "The mailbox is full." }
          : { type: "Permanent", subType: "General", message: "The mailbox was not found." }
      }
    case "clicked":
      return { click: { link: "https://shop.example/orders", timestamp: DateTime.formatIso(report.at) } }
    default:
      return {}
  }
}

const request = (key: Uint8Array, report: Sender.Report, sentAt: DateTime.Utc): Webhook.Request => {
  const text = JSON.stringify({
    type: words.get(report.type) ?? "email.unheard",
    created_at: DateTime.formatIso(report.at),
    data: {
      email_id: report.messageId,
      from: "Shop <shop@shop.example>",
      to: [report.recipient],
      subject: "Your receipt",
      tags: report.deliveryId === undefined ? {} : { waybill_delivery_id: report.deliveryId },
      ...details(report)
    }
  })
  const id = `msg_${sha256Hex(report.eventId).slice(0, 27)}`
  const timestamp = Signature.unixTime(sentAt)
  const signature = createHmac("sha256", key).update(`${id}.${timestamp}.${text}`).digest("base64")
  return {
    headers: {
      "content-type": "application/json",
      "svix-id": id,
      "svix-timestamp": timestamp,
      "svix-signature": `v1,${signature}`
    },
    body: new TextEncoder().encode(text)
  }
}

/**
 * Posts with a secret in the form `whsec_…`, one request for each report.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (secret: Redacted.Redacted): Sender.Sender => {
  const key = Buffer.from(Redacted.value(secret).replace(/^whsec_/, ""), "base64")
  return {
    provider: Resend.row.name,
    secrets: [secret],
    types: Sender.typesOf(words),
    send: (reports, sentAt) => reports.map((report) => request(key, report, sentAt))
  }
}

/**
 * How senders of Resend are made.
 *
 * @category constructors
 * @since 0.2.0
 */
export const kind: Sender.Kind = {
  provider: Resend.row.name,
  signing: { _tag: "Secret", make },
  generate: () => ({ sender: make(Redacted.make(`whsec_${randomBytes(24).toString("base64")}`)), row: Resend.row })
}
