/**
 * Understands the event callbacks of Mailjet: one event in a post, or an array of them ("group events").
 *
 * Mailjet signs nothing and gives its events no id: the key of an event is a digest of what tells one from another, its time in
 * seconds, its name, the message, the recipient and the link. Two openings of one second are one.
 *
 * @since 0.2.0
 */
import { type Event, type EventType, Provider } from "@waybill/core"
import { Option, Schema } from "effect"
import * as Batch from "../../internal/batch.ts"
import * as Echo from "../../internal/echo.ts"
import * as Instant from "../../internal/instant.ts"
import * as Json from "../../internal/json.ts"
import * as Report from "../../internal/report.ts"
import type * as Row from "../../Row.ts"
import * as BasicAuth from "../../schemes/BasicAuth.ts"
import * as Sender from "../../Sender.ts"
import type * as Webhook from "../../Webhook.ts"

const name = Provider.Provider.make("mailjet")

const events: ReadonlyMap<string, Report.Meaning> = new Map<string, Report.Meaning>([
  // The receiving server took it.
  ["sent", { type: "delivered" }],
  ["open", { type: "opened" }],
  ["click", { type: "clicked" }],
  ["spam", { type: "complained" }],
  ["unsub", { type: "unsubscribed" }]
])

const reasons: ReadonlyMap<string, Event.RejectReason> = new Map<string, Event.RejectReason>([
  ["user unknown", "bounced"],
  ["mailbox inactive", "bounced"],
  ["quota exceeded", "bounced"],
  ["invalid domain", "bounced"],
  ["no mail host", "bounced"],
  ["relay/access denied", "bounced"],
  ["typofix", "invalid"],
  ["blacklisted", "blocked"],
  ["sender blocked", "blocked"],
  ["content blocked", "blocked"],
  ["policy issue", "blocked"],
  ["preblocked", "blocked"],
  ["spam reporter", "spam"]
])

const decode = Json.decoder(() =>
  Schema.Struct({
    event: Json.text,
    time: Json.scalar,
    email: Json.text,
    MessageID: Json.id,
    mj_message_id: Json.id,
    Payload: Json.text,
    url: Json.text,
    hard_bounce: Json.flag,
    error: Json.text,
    error_related_to: Json.text,
    smtp_reply: Json.text,
    comment: Json.text,
    customcampaign: Json.text,
    ip: Json.text,
    agent: Json.text,
    geo: Json.text,
    source: Json.text
  })
)

type Raw = Json.Decoded<typeof decode>

const reasonOf = (error: string | undefined): Event.RejectReason | undefined =>
  error === undefined || error === "" ? undefined : reasons.get(error) ?? "other"

const bounceClass = (isHard: boolean | undefined): Event.BounceClass =>
  isHard === undefined ? "undetermined" : isHard ? "hard" : "soft"

const meaning = (event: string, { error, hard_bounce: isHard }: Raw): Report.Meaning => {
  if (event !== "bounce" && event !== "blocked") return events.get(event) ?? Report.unknown
  // Greylisting passes: Mailjet tries again.
  if (error === "greylisted" && isHard !== true) return { type: "deferred" }
  const rejectReason = reasonOf(error)
  return event === "bounce"
    ? { type: "bounced", rejectReason: rejectReason ?? "bounced", bounceClass: bounceClass(isHard) }
    : {
      type: "rejected",
      ...(rejectReason !== undefined && { rejectReason }),
      ...(error === "preblocked" && { suppressed: true })
    }
}

const item = (value: unknown, { receivedAt }: Webhook.Received): Report.Item => {
  const decoded = decode(value)
  if (Option.isNone(decoded)) return Report.undecodable("NotAnObject")
  const raw = decoded.value
  const event = raw.event
  if (event === undefined || event === "") return Report.undecodable("MissingType")
  const own = Echo.inText(raw.Payload)
  const messageId = raw.MessageID ?? raw.mj_message_id
  return Report.events({
    provider: name,
    meaning: meaning(event, raw),
    payload: {
      event,
      subtype: raw.error?.replaceAll("/", " "),
      status: `${raw.smtp_reply ?? ""} ${raw.comment ?? ""}`
    },
    details: {
      response: raw.smtp_reply,
      description: raw.comment ?? raw.error ?? raw.source,
      url: raw.url,
      ip: raw.ip,
      userAgent: raw.agent,
      location: raw.geo,
      tags: raw.customcampaign === undefined ? [] : [raw.customcampaign],
      metadata: Echo.words(own)
    },
    occurredAt: Option.getOrElse(Instant.read(raw.time), () => receivedAt),
    messageId,
    eventId: undefined,
    deliveryId: Echo.idIn(own),
    recipient: Report.recipient(raw.email, true),
    key: Report.keyOfNature(name, raw.time, value, event, messageId, raw.email, raw.url)
  })
}

/**
 * Reduces one event, or a batch piece by piece, a thousand items each.
 *
 * @category normalization
 * @since 0.2.0
 */
export const normalize: Row.Row["normalize"] = Batch.oneOrMany(name, item)

const words: ReadonlyMap<EventType.ReportedType, Readonly<Record<string, unknown>>> = new Map<
  EventType.ReportedType,
  Readonly<Record<string, unknown>>
>([
  ["delivered", { event: "sent", smtp_reply: "sent (250 2.0.0 OK)" }],
  ["deferred", { event: "bounce", hard_bounce: false, error_related_to: "domain", error: "greylisted" }],
  ["bounced", { event: "bounce", hard_bounce: true, error_related_to: "recipient", error: "user unknown" }],
  ["rejected", { event: "blocked", error_related_to: "mailjet", error: "preblocked" }],
  ["opened", { event: "open", ip: "192.0.2.7", geo: "DE", agent: "Mozilla/5.0" }],
  ["clicked", { event: "click", url: "https://shop.example/orders", ip: "192.0.2.7", agent: "Mozilla/5.0" }],
  ["complained", { event: "spam", source: "JMRPP" }],
  ["unsubscribed", { event: "unsub", mj_list_id: 1 }]
])

const softBounce = { event: "bounce", hard_bounce: false, error_related_to: "recipient", error: "quota exceeded" }

const written = (report: Sender.Report): Readonly<Record<string, unknown>> => ({
  time: Math.floor(report.at.epochMilliseconds / 1000),
  MessageID: report.messageId,
  email: report.recipient,
  mj_campaign_id: 1,
  mj_contact_id: 1,
  customcampaign: "receipt",
  Payload: JSON.stringify(report.deliveryId === undefined ? {} : { waybill_delivery_id: report.deliveryId }),
  ...(report.type === "bounced" && report.bounceClass === "soft"
    ? softBounce
    : words.get(report.type) ?? { event: "unheard" })
})

/**
 * Mailjet's row in the table of providers.
 *
 * @category providers
 * @since 0.2.0
 */
export const row: Row.Row = {
  name,
  schemes: [BasicAuth.make(name, "WAYBILL_MAILJET_BASIC_AUTH")],
  headers: [],
  refusal: 401,
  unavailable: 503,
  normalize,
  composer: { types: Sender.typesOf(words), compose: (reports) => [Sender.json(reports.map(written))] }
}
