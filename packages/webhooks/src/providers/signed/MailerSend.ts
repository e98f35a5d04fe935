/**
 * Understands the webhooks of MailerSend, in both forms of their bodies: the first, with a message in an email in the activity,
 * and the second, which has the message's id and the recipient beside the event's own.
 *
 * The key of an event is its id.
 *
 * @since 0.2.0
 */
import { type EventType, Provider } from "@waybill/core"
import { DateTime, Option, Schema } from "effect"
import * as Echo from "../../internal/echo.ts"
import * as Instant from "../../internal/instant.ts"
import * as Json from "../../internal/json.ts"
import * as Report from "../../internal/report.ts"
import type * as Row from "../../Row.ts"
import * as BodyHmac from "../../schemes/BodyHmac.ts"
import * as Sender from "../../Sender.ts"
import type * as Webhook from "../../Webhook.ts"

const name = Provider.Provider.make("mailersend")

const events: ReadonlyMap<string, Report.Meaning> = new Map<string, Report.Meaning>([
  ["sent", { type: "sent" }],
  ["delivered", { type: "delivered" }],
  ["deferred", { type: "deferred" }],
  ["soft_bounced", { type: "bounced", rejectReason: "bounced", bounceClass: "soft" }],
  ["hard_bounced", { type: "bounced", rejectReason: "bounced", bounceClass: "hard" }],
  ["opened", { type: "opened" }],
  ["clicked", { type: "clicked" }],
  ["unsubscribed", { type: "unsubscribed" }],
  ["spam_complaint", { type: "complained" }],
  ["spam_complaints", { type: "complained" }]
])

/** They repeat the first opening or click, under an id of their own: with them it would count twice. */
const repeated = new Set(["opened_unique", "clicked_unique"])

/** MailerSend did not try, because of what it remembers of the recipient. */
const suppressed = (reason: string | undefined): Report.Meaning => ({
  type: "rejected",
  rejectReason: Report.remembered(reason) ?? "blocked",
  suppressed: true
})

const decode = Json.decoder(() =>
  Schema.Struct({
    type: Json.text,
    created_at: Json.scalar,
    data: Json.lenient(Schema.Struct({
      id: Json.id,
      type: Json.text,
      created_at: Json.scalar,
      recipient: Json.text,
      message_id: Json.id,
      tags: Json.texts,
      email: Json.lenient(Schema.Struct({
        tags: Json.texts,
        message: Json.lenient(Schema.Struct({ id: Json.id })),
        recipient: Json.lenient(Schema.Struct({ email: Json.text }))
      })),
      morph: Json.lenient(
        Schema.Struct({ url: Json.text, ip: Json.text, reason: Json.text, readable_reason: Json.text })
      ),
      meta: Json.lenient(Schema.Struct({
        url: Json.text,
        bounce_code: Json.scalar,
        bounce_reason: Json.text,
        reject_reason: Json.text,
        suppression_reason: Json.text,
        unsubscribe_reason: Json.text,
        ip: Json.text,
        user_agent: Json.text
      }))
    }))
  })
)

const item = (value: unknown, { receivedAt }: Webhook.Received): Report.Item => {
  const decoded = decode(value)
  if (Option.isNone(decoded)) return Report.undecodable("NotAnObject")
  const { created_at: posted, data = {}, type } = decoded.value
  if (type === undefined || type === "") return Report.undecodable("MissingType")
  if (!type.startsWith("activity.")) return Report.ignored(type)
  const event = data.type ?? type.slice("activity.".length)
  if (repeated.has(event) || event.startsWith("survey_")) return Report.ignored(event)
  const { meta, morph } = data
  const tags = data.tags ?? data.email?.tags ?? []
  const time = data.created_at ?? posted
  const eventId = data.id
  const messageId = data.message_id ?? data.email?.message?.id
  const address = data.recipient ?? data.email?.recipient?.email
  return Report.events({
    provider: name,
    meaning: event === "suppressed" ? suppressed(meta?.suppression_reason) : events.get(event) ?? Report.unknown,
    payload: {
      event,
      subtype: meta?.suppression_reason,
      status: `${morph?.reason ?? ""} ${morph?.readable_reason ?? ""} ${meta?.bounce_code ?? ""} ${
        meta?.bounce_reason ?? ""
      }`
    },
    details: {
      response: morph?.reason ?? meta?.bounce_reason,
      description: morph?.readable_reason ?? meta?.reject_reason ?? meta?.suppression_reason ??
        meta?.unsubscribe_reason,
      url: meta?.url ?? morph?.url,
      ip: meta?.ip ?? morph?.ip,
      userAgent: meta?.user_agent,
      tags
    },
    occurredAt: Option.getOrElse(Instant.read(time), () => receivedAt),
    messageId,
    eventId,
    deliveryId: Echo.idInTags(tags),
    recipient: Report.recipient(address, true),
    key: eventId === undefined
      ? Report.keyOfNature(name, time, value, event, messageId, address, meta?.url ?? morph?.url)
      : Report.keyOfId(name, eventId)
  })
}

/**
 * Reduces the one event of a body; what is not about a message that was sent is ignored.
 *
 * @category normalization
 * @since 0.2.0
 */
export const normalize: Row.Row["normalize"] = Report.single(name, item)

const words: ReadonlyMap<EventType.ReportedType, readonly [string, unknown?]> = new Map<
  EventType.ReportedType,
  readonly [string, unknown?]
>([
  ["sent", ["sent"]],
  ["delivered", ["delivered"]],
  ["deferred", ["deferred"]],
  ["bounced", ["hard_bounced", { object: "recipient_bounce", reason: "550 5.1.1 mailbox not found" }]],
  ["rejected", ["suppressed"]],
  ["opened", ["opened", { object: "open", ip: "192.0.2.7" }]],
  ["clicked", ["clicked", { object: "click", ip: "192.0.2.7", url: "https://shop.example/orders" }]],
  ["unsubscribed", ["unsubscribed", { object: "recipient_unsubscribe", reason: "other" }]],
  ["complained", ["spam_complaint", { object: "spam_complaint" }]]
])

const softBounce: readonly [string, unknown?] = [
  "soft_bounced",
  { object: "recipient_bounce", reason: "452 4.2.2 mailbox full" }
]

const written = (report: Sender.Report): unknown => {
  const [type, morph] = report.type === "bounced" && report.bounceClass === "soft"
    ? softBounce
    : words.get(report.type) ?? ["unheard"]
  return {
    type: `activity.${type}`,
    created_at: DateTime.formatIso(report.at),
    webhook_id: "1",
    data: {
      object: "activity",
      id: report.eventId,
      type,
      created_at: DateTime.formatIso(report.at),
      email: {
        from: "shop@shop.example",
        subject: "Your receipt",
        tags: report.deliveryId === undefined ? ["receipt"] : ["receipt", `waybill_delivery_id:${report.deliveryId}`],
        message: { object: "message", id: report.messageId },
        recipient: { object: "recipient", email: report.recipient }
      },
      ...(morph !== undefined && { morph })
    }
  }
}

/** The most bytes of the post with which MailerSend tries an endpoint. */
const smallest = 16_384

const decodeGreeting = Json.decoder(() => Schema.Struct({ type: Schema.Literal("webhook.test") }))

/**
 * Whether a body is the one with which MailerSend tries an endpoint when it is saved. It is signed with a secret that all of
 * MailerSend's customers share, so that its signature proves nothing.
 */
const isGreeting = ({ body }: Webhook.Received): boolean =>
  body.length <= smallest && Option.isSome(Option.flatMap(Json.parse(Json.decodeText(body)), decodeGreeting))

/**
 * MailerSend's row in the table of providers.
 *
 * @category providers
 * @since 0.2.0
 */
export const row: Row.Row = {
  name,
  schemes: [BodyHmac.make(name, { variable: "WAYBILL_MAILERSEND_SIGNING_SECRET", header: "signature" })],
  headers: [],
  refusal: 401,
  unavailable: 503,
  isGreeting,
  normalize,
  composer: {
    types: Sender.typesOf(words),
    compose: (reports) => reports.map((report) => Sender.json(written(report)))
  }
}
