/**
 * Writes the mails in which a mail server reports.
 *
 * @since 0.2.0
 */
import type { EventType } from "@waybill/core"
import { DateTime } from "effect"
import { sha256Hex } from "../../internal/digest.ts"
import * as Sender from "../../Sender.ts"
import type * as Webhook from "../../Webhook.ts"

const boundary = "=_report_of_waybill"

const day = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
const month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

const mailDate = (at: DateTime.Utc): string => {
  const parts = DateTime.toPartsUtc(at)
  const two = (part: number) => String(part).padStart(2, "0")
  const time = [parts.hour, parts.minute, parts.second].map(two).join(":")
  return `${day[parts.weekDay]}, ${two(parts.day)} ${month[parts.month - 1]} ${parts.year} ${time} +0000`
}

type Fields = Readonly<Record<string, string>>

const words: ReadonlyMap<EventType.ReportedType, Fields> = new Map<EventType.ReportedType, Fields>([
  ["delivered", { Action: "delivered", Status: "2.0.0", "Diagnostic-Code": "smtp; 250 2.0.0 OK" }],
  ["deferred", { Action: "delayed", Status: "4.7.0", "Diagnostic-Code": "smtp; 421 4.7.0 try again later" }],
  ["bounced", { Action: "failed", Status: "5.1.1", "Diagnostic-Code": "smtp; 550 5.1.1 mailbox not found" }],
  ["complained", { "Feedback-Type": "abuse" }],
  ["unsubscribed", { "Feedback-Type": "opt-out" }]
])

const softBounce: Fields = { Action: "failed", Status: "5.2.2", "Diagnostic-Code": "smtp; 552 5.2.2 mailbox full" }

const lines = (fields: Fields): ReadonlyArray<string> =>
  Object.entries(fields).map(([name, value]) => `${name}: ${value}`)

const part = (type: string, content: ReadonlyArray<string>): ReadonlyArray<string> => [
  `--${boundary}`,
  `Content-Type: ${type}`,
  "",
  ...content
]

const isComplaint = (fields: Fields): boolean => "Feedback-Type" in fields

const reportOf = (report: Sender.Report, fields: Fields): ReadonlyArray<string> =>
  isComplaint(fields)
    ? part(
      "message/feedback-report",
      lines({
        ...fields,
        Version: "1",
        "User-Agent": "Feedback/1.0",
        "Original-Rcpt-To": report.recipient,
        "Reporting-MTA": "dns; mx.reader.example"
      })
    )
    : part("message/delivery-status", [
      ...lines({
        "Reporting-MTA": "dns; mail.shop.example",
        ...(report.deliveryId !== undefined && { "Original-Envelope-Id": report.deliveryId })
      }),
      "",
      ...lines({
        "Original-Recipient": `rfc822;${report.recipient}`,
        "Final-Recipient": `rfc822;${report.recipient}`,
        ...fields,
        "Remote-MTA": "dns; mx.reader.example",
        "Last-Attempt-Date": mailDate(report.at)
      }),
      ""
    ])

const written = (report: Sender.Report): Webhook.Request => {
  const fields = report.type === "bounced" && report.bounceClass === "soft"
    ? softBounce
    : words.get(report.type) ?? { Action: "unheard", Status: "2.0.0" }
  const kind = isComplaint(fields) ? "feedback-report" : "delivery-status"
  return {
    headers: { "content-type": "message/rfc822" },
    body: new TextEncoder().encode([
      ...lines({
        From: "Mail Delivery System <mailer-daemon@mail.shop.example>",
        To: "bounces@shop.example",
        Subject: "Report",
        Date: mailDate(report.at),
        "Message-ID": `<${sha256Hex(report.eventId).slice(0, 32)}@mail.shop.example>`,
        "MIME-Version": "1.0",
        "Content-Type": `multipart/report; report-type=${kind}; boundary="${boundary}"`
      }),
      "",
      ...part("text/plain; charset=utf-8", ["This is a report about a message that you sent."]),
      ...reportOf(report, fields),
      ...part(
        "text/rfc822-headers",
        lines({
          "Message-ID": `<${report.messageId}>`,
          From: "shop@shop.example",
          To: report.recipient,
          Subject: "Your receipt",
          ...(report.deliveryId !== undefined && { "X-Waybill-Delivery-ID": report.deliveryId })
        })
      ),
      `--${boundary}--`,
      ""
    ].join("\r\n"))
  }
}

/**
 * Writes one mail for each report.
 *
 * @category constructors
 * @since 0.2.0
 */
export const composer: Sender.Composer = {
  types: Sender.typesOf(words),
  compose: (reports) => reports.map(written)
}
