/**
 * Understands the webhooks of Resend, which are signed as Standard Webhooks says.
 *
 * The key of an event is the id in the header `svix-id` or `webhook-id`: a request without it is not verified, and it stays
 * the same over retries and replays, and every event has one of its own. A body read without its headers, by hand, gets a
 * digest of what tells one event from another instead, which is another key: its time, type and message, the link and time of
 * a click, and the recipients.
 *
 * @since 0.1.0
 */
import { type EventType, Provider } from "@waybill/core"
import { DateTime, Option, Schema } from "effect"
import { sha256Hex } from "../../internal/digest.ts"
import * as Json from "../../internal/json.ts"
import * as Report from "../../internal/report.ts"
import * as StandardRow from "../../internal/standardRow.ts"
import type * as Row from "../../Row.ts"
import * as StandardWebhooks from "../../schemes/StandardWebhooks.ts"
import * as Sender from "../../Sender.ts"
import type * as Webhook from "../../Webhook.ts"

const name = Provider.Provider.make("resend")

const events: ReadonlyMap<string, Report.Meaning> = new Map<string, Report.Meaning>([
  ["email.scheduled", { type: "queued" }],
  ["email.sent", { type: "sent" }],
  ["email.delivered", { type: "delivered" }],
  ["email.delivery_delayed", { type: "deferred" }],
  ["email.complained", { type: "complained" }],
  ["email.opened", { type: "opened" }],
  ["email.clicked", { type: "clicked" }],
  ["email.failed", { type: "failed" }]
])

const decode = Json.decoder(() =>
  Schema.Struct({
    type: Json.text,
    created_at: Json.text,
    data: Json.lenient(Schema.Struct({
      email_id: Json.text,
      to: Json.texts,
      cc: Json.texts,
      bcc: Json.texts,
      headers: Json.lenient(Schema.Array(Schema.Struct({ name: Json.text }))),
      tags: Json.fields,
      bounce: Json.lenient(Schema.Struct({
        type: Json.text,
        subType: Json.text,
        message: Json.text,
        diagnosticCode: Json.oneOrMore
      })),
      failed: Json.lenient(Schema.Struct({ reason: Json.text })),
      suppressed: Json.lenient(Schema.Struct({ type: Json.text, message: Json.text })),
      open: Json.lenient(Schema.Struct({ ipAddress: Json.text, userAgent: Json.text })),
      click: Json.lenient(Schema.Struct({
        link: Json.text,
        timestamp: Json.text,
        ipAddress: Json.text,
        userAgent: Json.text
      }))
    }))
  })
)

type Raw = Json.Decoded<typeof decode>

type Data = Exclude<Raw["data"], undefined>

const bounceClass = (data: Data): "hard" | "soft" | "undetermined" => {
  switch (data.bounce?.type) {
    case "Permanent":
      return "hard"
    case "Transient":
    case "Temporary":
      return "soft"
    default:
      return "undetermined"
  }
}

const notSent = /\bsuppressed sending\b|\bsuppression list\b/i

/** A bounce of a recipient on a suppression list was not sent; bounces of before had a message alone to say so. */
const refusal = ({ bounce: { message = "", subType } = {} }: Data): Report.Meaning | undefined =>
  Report.refusal(subType ?? (notSent.test(message) ? message : undefined), "bounced")

const meaning = (type: string, data: Data): Report.Meaning => {
  switch (type) {
    case "email.bounced":
      return refusal(data) ?? { type: "bounced", rejectReason: "bounced", bounceClass: bounceClass(data) }
    case "email.suppressed":
      return Report.refusal(data.suppressed?.type, "blocked") ??
        { type: "rejected", rejectReason: "blocked", suppressed: true }
    default:
      return events.get(type) ?? Report.unknown
  }
}

/** What Resend says in words. */
const details = ({ bounce, click, failed, open, suppressed, tags }: Data): Report.Report["details"] => ({
  response: typeof bounce?.diagnosticCode === "string" ? bounce.diagnosticCode : bounce?.diagnosticCode?.join("\n"),
  description: bounce?.message ?? failed?.reason ?? suppressed?.message,
  url: click?.link,
  ip: (click ?? open)?.ipAddress,
  userAgent: (click ?? open)?.userAgent,
  metadata: tags
})

/** The events that a server elsewhere reports, which may name another address: where a mailbox forwards to. */
const fromElsewhere = new Set(["email.bounced", "email.complained", "email.delivery_delayed"])

/** With one address in `to` and none in copy it is that one; else an event does not say which of them it is about. */
const isCertain = (type: string, data: Data): boolean =>
  !fromElsewhere.has(type) && data.to?.length === 1 && [...data.cc ?? [], ...data.bcc ?? []].length === 0 &&
  !(data.headers ?? []).some(({ name }) => name !== undefined && /^b?cc$/i.test(name))

const item = (value: unknown, { headers, receivedAt }: Webhook.Received): Report.Item => {
  const decoded = decode(value)
  if (Option.isNone(decoded)) return Report.undecodable("NotAnObject")
  const { created_at: time, data = {}, type } = decoded.value
  if (type === undefined || type === "") return Report.undecodable("MissingType")
  if (!type.startsWith("email.") || type === "email.received") return Report.ignored(type)
  const eventId = StandardWebhooks.idOf(headers)
  return Report.events({
    provider: name,
    meaning: meaning(type, data),
    payload: { event: type, subtype: data.bounce?.subType, status: data.bounce?.message },
    details: details(data),
    occurredAt: Option.getOrElse(Report.fromIso(time), () => receivedAt),
    messageId: data.email_id,
    eventId,
    deliveryId: Json.textIn(data.tags, "waybill_delivery_id"),
    recipient: Report.recipient(data.to?.[0], isCertain(type, data)),
    key: eventId === undefined
      ? Report.keyOfNature(
        name,
        time,
        value,
        type,
        data.email_id,
        data.click?.link,
        data.click?.timestamp,
        ...data.to ?? []
      )
      : Report.keyOfId(name, eventId)
  })
}

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

const detailsOf = (report: Sender.Report): Readonly<Record<string, unknown>> => {
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

const written = (report: Sender.Report): Webhook.Request => {
  const text = JSON.stringify({
    type: words.get(report.type) ?? "email.unheard",
    created_at: DateTime.formatIso(report.at),
    data: {
      email_id: report.messageId,
      from: "Shop <shop@shop.example>",
      to: [report.recipient],
      subject: "Your receipt",
      tags: report.deliveryId === undefined ? {} : { waybill_delivery_id: report.deliveryId },
      ...detailsOf(report)
    }
  })
  return {
    headers: { "content-type": "application/json", "svix-id": `msg_${sha256Hex(report.eventId).slice(0, 27)}` },
    body: new TextEncoder().encode(text)
  }
}

/**
 * Resend's row in the table of providers.
 *
 * @category providers
 * @since 0.1.0
 */
export const row: Row.Row = StandardRow.make({
  name,
  variant: {
    variable: "WAYBILL_RESEND_SECRET",
    about: "signing secret, whsec_…",
    prefixes: ["svix", "webhook"],
    key: "base64",
    signature: "versioned"
  },
  item,
  composer: { types: Sender.typesOf(words), compose: (reports) => reports.map(written) }
})
