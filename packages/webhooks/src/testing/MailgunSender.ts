/**
 * Posts as Mailgun does, with the signature in the body.
 *
 * @since 0.1.0
 */
import type { EventType } from "@waybill/core"
import { type DateTime, Redacted } from "effect"
import { createHmac, randomBytes } from "node:crypto"
import { sha256Hex } from "../internal/digest.ts"
import * as Signature from "../internal/signature.ts"
import * as Mailgun from "../providers/Mailgun.ts"
import type * as Webhook from "../Webhook.ts"
import * as Sender from "./Sender.ts"

const failed = (severity: string, code: number) => ({
  event: "failed",
  severity,
  reason: severity === "permanent" ? "bounce" : "generic",
  "delivery-status": { code, "attempt-no": 1, message: `${code} the mailbox does not answer` }
})

const words: ReadonlyMap<EventType.ReportedType, Readonly<Record<string, unknown>>> = new Map<
  EventType.ReportedType,
  Readonly<Record<string, unknown>>
>([
  ["queued", { event: "accepted" }],
  ["delivered", { event: "delivered", "delivery-status": { code: 250, "attempt-no": 1, message: "OK" } }],
  ["deferred", failed("temporary", 421)],
  ["bounced", failed("permanent", 550)],
  ["rejected", { event: "rejected", reject: { reason: "Sandbox subdomains are for test purposes only." } }],
  ["opened", { event: "opened", ip: "192.0.2.7", "client-info": { bot: "" } }],
  ["clicked", { event: "clicked", url: "https://shop.example/orders", ip: "192.0.2.7", "client-info": { bot: "" } }],
  ["complained", { event: "complained" }],
  ["unsubscribed", { event: "unsubscribed" }]
])

const request = (key: string, report: Sender.Report, sentAt: DateTime.Utc): Webhook.Request => {
  const timestamp = Signature.unixTime(sentAt)
  const token = sha256Hex(`${report.eventId} ${timestamp}`).slice(0, 50)
  return {
    headers: { "content-type": "application/json" },
    body: new TextEncoder().encode(JSON.stringify({
      signature: {
        timestamp,
        token,
        signature: createHmac("sha256", key).update(timestamp).update(token).digest("hex")
      },
      "event-data": {
        id: report.eventId,
        timestamp: report.at.epochMilliseconds / 1000,
        recipient: report.recipient,
        message: { headers: { "message-id": report.messageId, from: "shop@shop.example", subject: "Your receipt" } },
        "user-variables": report.deliveryId === undefined ? {} : { waybill_delivery_id: report.deliveryId },
        ...words.get(report.type) ?? { event: "unheard" }
      }
    }))
  }
}

/**
 * Posts with an HTTP webhook signing key, one request for each report. There is no soft bounce: what may pass is deferred.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (signingKey: Redacted.Redacted): Sender.Sender => ({
  provider: Mailgun.row.name,
  secrets: [signingKey],
  types: Sender.typesOf(words),
  send: (reports, sentAt) => reports.map((report) => request(Redacted.value(signingKey), report, sentAt))
})

/**
 * How senders of Mailgun are made.
 *
 * @category constructors
 * @since 0.2.0
 */
export const kind: Sender.Kind = {
  provider: Mailgun.row.name,
  signing: { _tag: "Secret", make },
  generate: () => ({ sender: make(Redacted.make(randomBytes(16).toString("hex"))), row: Mailgun.row })
}
