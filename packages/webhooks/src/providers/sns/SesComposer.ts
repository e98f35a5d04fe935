/**
 * Writes events as Amazon SES publishes them, without what is around them.
 *
 * @since 0.2.0
 */
import type { EventType } from "@waybill/core"
import { DateTime } from "effect"
import * as Sender from "../../Sender.ts"

type Part = (report: Sender.Report) => readonly [eventType: string, part: Readonly<Record<string, unknown>>]

const at = (report: Sender.Report): string => DateTime.formatIso(report.at)

const parts: ReadonlyMap<EventType.ReportedType, Part> = new Map<EventType.ReportedType, Part>([
  ["sent", () => ["Send", { send: {} }]],
  ["delivered", (report) => ["Delivery", { delivery: { timestamp: at(report), recipients: [report.recipient] } }]],
  ["deferred", (report) => ["DeliveryDelay", {
    deliveryDelay: {
      timestamp: at(report),
      delayType: "MailboxFull",
      delayedRecipients: [{ emailAddress: report.recipient, status: "4.2.2" }]
    }
  }]],
  ["bounced", (report) => ["Bounce", {
    bounce: {
      timestamp: at(report),
      feedbackId: report.eventId,
      bounceType: report.bounceClass === "soft" ? "Transient" : "Permanent",
      bounceSubType: "General",
      bouncedRecipients: [{ emailAddress: report.recipient, status: report.bounceClass === "soft" ? "4.2.2" : "5.1.1" }]
    }
  }]],
  ["rejected", () => ["Reject", { reject: { reason: "Bad content" } }]],
  ["failed", () => ["Rendering Failure", { failure: { templateName: "receipt", errorMessage: "missing attribute" } }]],
  ["opened", (report) => ["Open", { open: { timestamp: at(report), ipAddress: "192.0.2.7" } }]],
  ["clicked", (report) => ["Click", {
    click: { timestamp: at(report), ipAddress: "192.0.2.7", link: "https://shop.example/orders" }
  }]],
  ["complained", (report) => ["Complaint", {
    complaint: {
      timestamp: at(report),
      feedbackId: report.eventId,
      complaintFeedbackType: "abuse",
      complainedRecipients: [{ emailAddress: report.recipient }]
    }
  }]],
  ["unsubscribed", (report) => ["Subscription", {
    subscription: { timestamp: at(report), newTopicPreferences: { unsubscribeAll: true } }
  }]],
  ["subscribed", (report) => ["Subscription", {
    subscription: { timestamp: at(report), newTopicPreferences: { unsubscribeAll: false } }
  }]]
])

const unheard: Part = () => ["Unheard", {}]

const message = (report: Sender.Report): string => {
  const [eventType, part] = (parts.get(report.type) ?? unheard)(report)
  return JSON.stringify({
    eventType,
    mail: {
      timestamp: at(report),
      messageId: report.messageId,
      source: "shop@shop.example",
      destination: [report.recipient],
      commonHeaders: { subject: "Your receipt" },
      tags: report.deliveryId === undefined ? {} : { waybill_delivery_id: [report.deliveryId] }
    },
    ...part
  })
}

/**
 * Writes events as Amazon SES publishes them, without what is around them.
 *
 * @category constructors
 * @since 0.2.0
 */
export const composer: Sender.Composer = {
  types: Sender.typesOf(parts),
  compose: (reports) =>
    reports.map((report) => ({
      headers: { "content-type": "application/json" },
      body: new TextEncoder().encode(message(report))
    }))
}
