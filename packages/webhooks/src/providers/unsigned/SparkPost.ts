/**
 * Understands the event webhooks of SparkPost (Bird): arrays of events, each in an object that names its class.
 *
 * SparkPost signs nothing. The key of an event is its `event_id`. The message is the transmission, whose id the send call
 * answered: it may have many recipients, each of which an event names.
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
import * as Token from "../../schemes/Token.ts"
import * as Sender from "../../Sender.ts"
import type * as Webhook from "../../Webhook.ts"

const name = Provider.Provider.make("sparkpost")

const events: ReadonlyMap<string, EventType.ReportedType> = new Map<string, EventType.ReportedType>([
  ["injection", "queued"],
  ["delivery", "delivered"],
  ["delay", "deferred"],
  ["bounce", "bounced"],
  ["out_of_band", "bounced"],
  ["policy_rejection", "rejected"],
  ["generation_rejection", "rejected"],
  ["generation_failure", "failed"],
  ["spam_complaint", "complained"],
  ["open", "opened"],
  ["amp_open", "opened"],
  ["click", "clicked"],
  ["amp_click", "clicked"],
  ["list_unsubscribe", "unsubscribed"],
  ["link_unsubscribe", "unsubscribed"]
])

/** They repeat the first opening, which `open` reports too: with them it would count twice. */
const repeated = new Set(["initial_open", "amp_initial_open"])

interface BounceClass {
  readonly rejectReason: Event.RejectReason
  readonly bounceClass: Event.BounceClass
}

const of = (rejectReason: Event.RejectReason, bounceClass: Event.BounceClass): BounceClass => ({
  rejectReason,
  bounceClass
})

/** By number, as SparkPost classifies bounces. */
const classes: ReadonlyMap<string, BounceClass> = new Map([
  ["10", of("invalid", "hard")],
  ["20", of("bounced", "soft")],
  ["21", of("bounced", "soft")],
  ["22", of("bounced", "soft")],
  ["23", of("bounced", "soft")],
  ["24", of("timed_out", "soft")],
  ["25", of("blocked", "undetermined")],
  ["30", of("bounced", "hard")],
  ["40", of("bounced", "soft")],
  ["50", of("blocked", "undetermined")],
  ["51", of("spam", "undetermined")],
  ["52", of("spam", "undetermined")],
  ["54", of("blocked", "undetermined")],
  ["70", of("bounced", "soft")]
])

/** The classes of what came back and is no bounce. */
const answers: ReadonlyMap<string, Report.Meaning> = new Map<string, Report.Meaning>([
  ["60", { type: "autoresponded" }],
  ["80", { type: "subscribed" }],
  ["90", { type: "unsubscribed" }],
  ["100", { type: "autoresponded" }]
])

const decode = Json.decoder(() =>
  Schema.Struct({
    type: Json.text,
    timestamp: Json.scalar,
    event_id: Json.id,
    transmission_id: Json.id,
    raw_rcpt_to: Json.text,
    rcpt_to: Json.text,
    rcpt_meta: Echo.own,
    campaign_id: Json.text,
    bounce_class: Json.scalar,
    raw_reason: Json.text,
    num_retries: Json.scalar,
    target_link_url: Json.text,
    user_agent: Json.text,
    ip_address: Json.text
  })
)

type Raw = Json.Decoded<typeof decode>

const meaning = (event: string, { bounce_class: number, raw_reason: reason = "" }: Raw): Report.Meaning => {
  const type = events.get(event)
  if (type === undefined) return Report.unknown
  const said = number === undefined ? undefined : String(number)
  const known = said === undefined ? undefined : classes.get(said) ?? of("other", "undetermined")
  switch (type) {
    case "bounced":
      return answers.get(said ?? "") ?? { type, ...(known ?? of("bounced", "undetermined")) }
    case "rejected":
      return {
        type,
        ...(known !== undefined && { rejectReason: known.rejectReason }),
        ...(/suppress/i.test(reason) && { suppressed: true })
      }
    case "failed":
      return { type, ...(known !== undefined && { rejectReason: known.rejectReason }) }
    default:
      return { type }
  }
}

const Wrapped = Json.decoder(() => Schema.Struct({ msys: Schema.Record(Schema.String, Schema.Unknown) }))

const item = (value: unknown, { receivedAt }: Webhook.Received): Report.Item => {
  const wrapped = Wrapped(value)
  if (Option.isNone(wrapped)) return Report.undecodable("NotAnObject")
  const [first, ...others] = Object.entries(wrapped.value.msys)
  // SparkPost tries an endpoint with an event of no class.
  if (first === undefined) return Report.ignored("ping")
  const [kind, inner] = first
  if (kind === "relay_message") return Report.ignored(kind)
  const decoded = others.length > 0 ? Option.none() : decode(inner)
  if (Option.isNone(decoded)) return Report.undecodable("NotAnObject")
  const raw = decoded.value
  const event = raw.type
  if (event === undefined || event === "") return Report.undecodable("MissingType")
  if (repeated.has(event)) return Report.ignored(event)
  const eventId = raw.event_id
  const messageId = raw.transmission_id
  const address = raw.raw_rcpt_to ?? raw.rcpt_to
  return Report.events({
    provider: name,
    meaning: meaning(event, raw),
    payload: {
      event,
      subtype: raw.bounce_class === undefined ? undefined : `class ${raw.bounce_class}`,
      status: raw.raw_reason,
      attempt: raw.num_retries
    },
    details: {
      response: raw.raw_reason,
      url: raw.target_link_url,
      ip: raw.target_link_url === undefined && raw.user_agent === undefined ? undefined : raw.ip_address,
      userAgent: raw.user_agent,
      tags: raw.campaign_id === undefined ? [] : [raw.campaign_id],
      metadata: Echo.words(raw.rcpt_meta)
    },
    occurredAt: Option.getOrElse(Instant.read(raw.timestamp), () => receivedAt),
    messageId,
    eventId,
    deliveryId: Echo.idIn(raw.rcpt_meta),
    recipient: Report.recipient(address, true),
    key: eventId === undefined
      ? Report.keyOfNature(name, raw.timestamp, value, event, messageId, address, raw.target_link_url)
      : Report.keyOfId(name, eventId)
  })
}

/**
 * Reduces a batch piece by piece, a thousand items each; an item that is not an event costs the others nothing.
 *
 * @category normalization
 * @since 0.2.0
 */
export const normalize: Row.Row["normalize"] = Batch.list(name, item)

/** The classes in which SparkPost has its events. */
type Class = "message_event" | "track_event" | "gen_event" | "unsubscribe_event"

const words: ReadonlyMap<EventType.ReportedType, readonly [Class, Readonly<Record<string, unknown>>]> = new Map<
  EventType.ReportedType,
  readonly [Class, Readonly<Record<string, unknown>>]
>([
  ["queued", ["message_event", { type: "injection" }]],
  ["delivered", ["message_event", { type: "delivery" }]],
  ["deferred", ["message_event", { type: "delay", bounce_class: "20", raw_reason: "421 4.7.0 try again later" }]],
  ["bounced", ["message_event", { type: "bounce", bounce_class: "10", raw_reason: "550 5.1.1 mailbox not found" }]],
  ["autoresponded", ["message_event", { type: "out_of_band", bounce_class: "60" }]],
  ["rejected", ["message_event", {
    type: "policy_rejection",
    bounce_class: "25",
    raw_reason: "554 5.7.1 recipient address suppressed due to customer policy"
  }]],
  ["failed", ["gen_event", { type: "generation_failure", raw_reason: "554 5.3.3 the template has a fault" }]],
  ["opened", ["track_event", { type: "open", user_agent: "Mozilla/5.0", ip_address: "192.0.2.7" }]],
  ["clicked", ["track_event", {
    type: "click",
    target_link_url: "https://shop.example/orders",
    ip_address: "192.0.2.7"
  }]],
  ["complained", ["message_event", { type: "spam_complaint" }]],
  ["unsubscribed", ["unsubscribe_event", { type: "list_unsubscribe" }]],
  ["subscribed", ["message_event", { type: "out_of_band", bounce_class: "80" }]]
])

const softBounce = [
  "message_event",
  { type: "bounce", bounce_class: "22", raw_reason: "452 4.2.2 mailbox full" }
] as const

const written = (report: Sender.Report): unknown => {
  const [kind, fields] = report.type === "bounced" && report.bounceClass === "soft"
    ? softBounce
    : words.get(report.type) ?? ["message_event", { type: "unheard" }]
  return {
    msys: {
      [kind]: {
        event_id: report.eventId,
        timestamp: String(Math.floor(report.at.epochMilliseconds / 1000)),
        transmission_id: report.messageId,
        rcpt_to: report.recipient.toLowerCase(),
        raw_rcpt_to: report.recipient,
        subject: "Your receipt",
        campaign_id: "receipt",
        rcpt_meta: report.deliveryId === undefined ? {} : { waybill_delivery_id: report.deliveryId },
        ...fields
      }
    }
  }
}

/**
 * SparkPost's row in the table of providers.
 *
 * @category providers
 * @since 0.2.0
 */
export const row: Row.Row = {
  name,
  schemes: [BasicAuth.make(name, "WAYBILL_SPARKPOST_BASIC_AUTH"), Token.make(name, "WAYBILL_SPARKPOST_TOKEN")],
  headers: ["x-messagesystems-batch-id"],
  refusal: 401,
  unavailable: 503,
  normalize,
  composer: { types: Sender.typesOf(words), compose: (reports) => [Sender.json(reports.map(written))] }
}
