/**
 * Understands the webhooks of Brevo: one event in a post, or an array of them where the webhook was made with `batched`.
 *
 * Brevo signs nothing. The `id` in a body is the webhook's and not the event's, so the key of an event is a digest of what tells
 * one from another: its time, its name, the message, the recipient and the link.
 *
 * @since 0.2.0
 */
import { type EventType, Provider } from "@waybill/core"
import { Option, Schema } from "effect"
import * as Batch from "../../internal/batch.ts"
import * as Echo from "../../internal/echo.ts"
import * as Instant from "../../internal/instant.ts"
import * as Json from "../../internal/json.ts"
import * as Report from "../../internal/report.ts"
import type * as Row from "../../Row.ts"
import * as BasicAuth from "../../schemes/BasicAuth.ts"
import * as Token from "../../schemes/Token.ts"
import * as Sender from "../../Sender.ts"
import type * as Webhook from "../../Webhook.ts"

const name = Provider.Provider.make("brevo")

const events: ReadonlyMap<string, Report.Meaning> = new Map<string, Report.Meaning>([
  ["request", { type: "queued" }],
  ["deferred", { type: "deferred" }],
  ["delivered", { type: "delivered" }],
  ["hard_bounce", { type: "bounced", rejectReason: "bounced", bounceClass: "hard" }],
  ["soft_bounce", { type: "bounced", rejectReason: "bounced", bounceClass: "soft" }],
  ["invalid_email", { type: "bounced", rejectReason: "invalid", bounceClass: "hard" }],
  ["error", { type: "failed" }],
  ["opened", { type: "opened" }],
  ["unique_opened", { type: "opened" }],
  ["proxy_open", { type: "opened" }],
  ["unique_proxy_open", { type: "opened" }],
  ["click", { type: "clicked" }],
  ["spam", { type: "complained" }],
  ["complaint", { type: "complained" }],
  ["unsubscribed", { type: "unsubscribed" }],
  ["unsubscribe", { type: "unsubscribed" }],
  ["list_addition", { type: "subscribed" }]
])

/** Brevo did not try, because of what it remembers of the recipient. */
const blocked = (reason = ""): Report.Meaning => ({
  type: "rejected",
  rejectReason: /unsubscri/i.test(reason) ? "unsubscribed" : "blocked",
  suppressed: true
})

const decode = Json.decoder(() =>
  Schema.Struct({
    event: Json.text,
    email: Json.text,
    "message-id": Json.id,
    ts_epoch: Json.scalar,
    s_epoch: Json.scalar,
    ts_event: Json.scalar,
    reason: Json.text,
    link: Json.text,
    tag: Json.lenient(Schema.Union([Schema.String, Schema.Array(Schema.String)])),
    tags: Json.texts,
    items: Json.lenient(Schema.Array(Schema.Unknown)),
    "X-Mailin-custom": Json.lenient(Schema.Union([Schema.String, Schema.Record(Schema.String, Schema.Unknown)]))
  })
)

const decodeTags = Json.decoder(() => Schema.Array(Schema.String))

type Raw = Json.Decoded<typeof decode>

const ownOf = ({ "X-Mailin-custom": own }: Raw): Echo.Own => typeof own === "string" ? Echo.inText(own) : own

/** The tags; a single one may be an array of them, as the text of its JSON. */
const tagsOf = ({ tag, tags }: Raw): ReadonlyArray<string> => {
  if (tags !== undefined) return tags
  if (typeof tag !== "string") return tag ?? []
  return Option.getOrElse(Option.flatMap(Json.parse(tag), decodeTags), () => [tag])
}

const item = (value: unknown, { receivedAt }: Webhook.Received): Report.Item => {
  const decoded = decode(value)
  if (Option.isNone(decoded)) return Report.undecodable("NotAnObject")
  const raw = decoded.value
  const own = ownOf(raw)
  const event = raw.event
  if (event === undefined || event === "") {
    return raw.items === undefined ? Report.undecodable("MissingType") : Report.ignored("inbound")
  }
  if (event.startsWith("contact_")) return Report.ignored(event)
  // Only `ts_epoch` is always UTC; some events have it under a name with a letter missing.
  const time = raw.ts_epoch ?? raw.s_epoch ?? raw.ts_event
  return Report.events({
    provider: name,
    meaning: event === "blocked" ? blocked(raw.reason) : events.get(event) ?? Report.unknown,
    payload: { event, status: raw.reason, machine: event.includes("proxy_open") ? "generic" : undefined },
    details: { response: raw.reason, url: raw.link, tags: tagsOf(raw), metadata: Echo.words(own) },
    occurredAt: Option.getOrElse(Instant.read(time), () => receivedAt),
    messageId: raw["message-id"],
    eventId: undefined,
    deliveryId: Echo.idIn(own),
    recipient: Report.recipient(raw.email, true),
    key: Report.keyOfNature(name, time, value, event, raw["message-id"], raw.email, raw.link)
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
  ["queued", { event: "request" }],
  ["deferred", { event: "deferred", reason: "421 4.7.0 try again later" }],
  ["delivered", { event: "delivered" }],
  ["bounced", { event: "hard_bounce", reason: "550 5.1.1 mailbox not found" }],
  ["rejected", { event: "blocked", reason: "blocked : due to blacklist user" }],
  ["failed", { event: "error", reason: "the mailbox is not known" }],
  ["opened", { event: "opened" }],
  ["clicked", { event: "click", link: "https://shop.example/orders" }],
  ["complained", { event: "spam" }],
  ["unsubscribed", { event: "unsubscribed" }],
  ["subscribed", { event: "list_addition" }]
])

const softBounce = { event: "soft_bounce", reason: "452 4.2.2 mailbox full" }

const written = (report: Sender.Report): Readonly<Record<string, unknown>> => ({
  id: 7,
  email: report.recipient,
  "message-id": `<${report.messageId}>`,
  ts_epoch: report.at.epochMilliseconds,
  ts_event: Math.floor(report.at.epochMilliseconds / 1000),
  subject: "Your receipt",
  tags: ["receipt"],
  "X-Mailin-custom": JSON.stringify(report.deliveryId === undefined ? {} : { waybill_delivery_id: report.deliveryId }),
  ...(report.type === "bounced" && report.bounceClass === "soft"
    ? softBounce
    : words.get(report.type) ?? { event: "unheard" })
})

/**
 * Brevo's row in the table of providers.
 *
 * @category providers
 * @since 0.2.0
 */
export const row: Row.Row = {
  name,
  schemes: [BasicAuth.make(name, "WAYBILL_BREVO_BASIC_AUTH"), Token.make(name, "WAYBILL_BREVO_TOKEN")],
  headers: [],
  refusal: 401,
  // Brevo drops an event at any 5xx.
  unavailable: 429,
  normalize,
  composer: { types: Sender.typesOf(words), compose: (reports) => [Sender.json(reports.map(written))] }
}
