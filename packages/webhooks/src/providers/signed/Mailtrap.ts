/**
 * Understands the webhooks of Mailtrap: up to 500 events in a post, as JSON or as lines of JSON.
 *
 * The key of an event is its `event_id`.
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
import * as BodyHmac from "../../schemes/BodyHmac.ts"
import * as Token from "../../schemes/Token.ts"
import * as Sender from "../../Sender.ts"
import type * as Webhook from "../../Webhook.ts"

const name = Provider.Provider.make("mailtrap")

const events: ReadonlyMap<string, Report.Meaning> = new Map<string, Report.Meaning>([
  ["delivery", { type: "delivered" }],
  ["open", { type: "opened" }],
  ["click", { type: "clicked" }],
  // Another try follows.
  ["soft bounce", { type: "deferred" }],
  ["suspension", { type: "deferred" }],
  ["spam", { type: "complained" }],
  ["unsubscribe", { type: "unsubscribed" }]
])

const rejected = (reason = ""): Report.Meaning => {
  const found = Report.remembered(reason)
  return {
    type: "rejected",
    rejectReason: found ?? "blocked",
    ...((found !== undefined || /suppress/i.test(reason)) && { suppressed: true })
  }
}

/** A bounce for what the message says is not for what the address is. */
const bounced = (category = ""): Report.Meaning =>
  /spam/i.test(category)
    ? { type: "bounced", rejectReason: "spam", bounceClass: "undetermined" }
    : { type: "bounced", rejectReason: "bounced", bounceClass: "hard" }

const decode = Json.decoder(() =>
  Schema.Struct({
    event: Json.text,
    timestamp: Json.scalar,
    event_id: Json.id,
    message_id: Json.id,
    email: Json.text,
    category: Json.text,
    custom_variables: Echo.own,
    reason: Json.text,
    response: Json.text,
    bounce_category: Json.text,
    url: Json.text,
    ip: Json.text,
    user_agent: Json.text
  })
)

type Raw = Json.Decoded<typeof decode>

const meaning = (event: string, raw: Raw): Report.Meaning => {
  switch (event) {
    case "bounce":
      return bounced(raw.bounce_category)
    case "reject":
      return rejected(raw.reason)
    default:
      return events.get(event) ?? Report.unknown
  }
}

/** What is about the account or came in, and not about a message that was sent. */
const notMail = /^(?:activity_log|inbound)\b/

const item = (value: unknown, { receivedAt }: Webhook.Received): Report.Item => {
  const decoded = decode(value)
  if (Option.isNone(decoded)) return Report.undecodable("NotAnObject")
  const raw = decoded.value
  const event = raw.event
  if (event === undefined || event === "") return Report.undecodable("MissingType")
  if (notMail.test(event)) return Report.ignored(event)
  const eventId = raw.event_id
  return Report.events({
    provider: name,
    meaning: meaning(event, raw),
    payload: { event, subtype: raw.bounce_category, status: raw.response },
    details: {
      response: raw.response,
      description: raw.reason,
      url: raw.url,
      ip: raw.ip,
      userAgent: raw.user_agent,
      tags: raw.category === undefined ? [] : [raw.category],
      metadata: Echo.words(raw.custom_variables)
    },
    occurredAt: Option.getOrElse(Instant.read(raw.timestamp), () => receivedAt),
    messageId: raw.message_id,
    eventId,
    deliveryId: Echo.idIn(raw.custom_variables),
    recipient: Report.recipient(raw.email, true),
    key: eventId === undefined
      ? Report.keyOfNature(name, raw.timestamp, value, event, raw.message_id, raw.email, raw.url)
      : Report.keyOfId(name, eventId)
  })
}

const decodeBatch = Json.decoder(() => Schema.Struct({ events: Schema.Array(Schema.Unknown) }))

const open = (value: unknown): ReadonlyArray<unknown> =>
  Option.match(decodeBatch(value), { onNone: () => Batch.several(value), onSome: ({ events }) => events })

/**
 * Reduces a batch piece by piece, a thousand items each; an item or a line that is not an event costs the others nothing.
 *
 * @category normalization
 * @since 0.2.0
 */
export const normalize: Row.Row["normalize"] = Batch.reader(
  (received) => Batch.jsonOrLines(name, received, open),
  item
)

const words: ReadonlyMap<EventType.ReportedType, Readonly<Record<string, unknown>>> = new Map<
  EventType.ReportedType,
  Readonly<Record<string, unknown>>
>([
  ["delivered", { event: "delivery" }],
  ["deferred", { event: "soft bounce", response: "421 4.7.0 try again later", response_code: 421 }],
  ["bounced", {
    event: "bounce",
    response: "550 5.1.1 mailbox not found",
    response_code: 550,
    bounce_category: "hard"
  }],
  ["rejected", { event: "reject", reason: "the recipient is on the suppression list" }],
  ["opened", { event: "open", ip: "192.0.2.7", user_agent: "Mozilla/5.0" }],
  ["clicked", { event: "click", ip: "192.0.2.7", url: "https://shop.example/orders" }],
  ["complained", { event: "spam" }],
  ["unsubscribed", { event: "unsubscribe" }]
])

const written = (report: Sender.Report): Readonly<Record<string, unknown>> => ({
  event_id: report.eventId,
  timestamp: Math.floor(report.at.epochMilliseconds / 1000),
  sending_stream: "transactional",
  message_id: report.messageId,
  email: report.recipient,
  category: "receipt",
  custom_variables: report.deliveryId === undefined ? {} : { waybill_delivery_id: report.deliveryId },
  ...words.get(report.type) ?? { event: "unheard" }
})

/**
 * Mailtrap's row in the table of providers.
 *
 * @category providers
 * @since 0.2.0
 */
export const row: Row.Row = {
  name,
  schemes: [
    BodyHmac.make(name, { variable: "WAYBILL_MAILTRAP_SIGNING_SECRET", header: "mailtrap-signature" }),
    BasicAuth.make(name, "WAYBILL_MAILTRAP_BASIC_AUTH"),
    Token.make(name, "WAYBILL_MAILTRAP_TOKEN")
  ],
  headers: [],
  refusal: 401,
  unavailable: 503,
  normalize,
  composer: {
    types: Sender.typesOf(words),
    compose: (reports) => [Sender.json({ events: reports.map(written) })]
  }
}
