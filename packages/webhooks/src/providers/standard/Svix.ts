/**
 * Takes what an application of one's own posts through Svix, in Standard Webhooks' form: `type`, `timestamp` and `data`.
 *
 * The type ends with one of Waybill's own words, such as `email.delivered`. The data has `messageId` and `recipient`, and may have
 * `occurredAt`, `deliveryId`, `bounceClass`, `rejectReason` and `url`.
 *
 * The key of an event is the header `svix-id` or `webhook-id`. A body that is read without it gets a digest of its type, time,
 * message, recipient and link instead.
 *
 * @since 0.2.0
 */
import { Event, EventType, Provider } from "@waybill/core"
import { DateTime, Option, Schema } from "effect"
import { sha256Hex } from "../../internal/digest.ts"
import * as Instant from "../../internal/instant.ts"
import * as Json from "../../internal/json.ts"
import * as Report from "../../internal/report.ts"
import * as StandardRow from "../../internal/standardRow.ts"
import type * as Row from "../../Row.ts"
import * as StandardWebhooks from "../../schemes/StandardWebhooks.ts"
import type * as Sender from "../../Sender.ts"
import type * as Webhook from "../../Webhook.ts"

const name = Provider.Provider.make("svix")

const isReported = Schema.is(EventType.ReportedType)

const decode = Json.decoder(() =>
  Schema.Struct({
    type: Json.text,
    timestamp: Json.scalar,
    data: Json.lenient(Schema.Struct({
      messageId: Json.id,
      recipient: Json.text,
      occurredAt: Json.scalar,
      deliveryId: Json.text,
      bounceClass: Json.lenient(Event.BounceClass),
      rejectReason: Json.lenient(Event.RejectReason),
      url: Json.text
    }))
  })
)

type Data = NonNullable<Json.Decoded<typeof decode>["data"]>

/** Reasons belong to what was not delivered, and a class to a bounce. */
const meaning = (type: EventType.ReportedType, { bounceClass, rejectReason }: Data): Report.Meaning => ({
  type,
  ...(type === "bounced" && { bounceClass: bounceClass ?? "undetermined", rejectReason: rejectReason ?? "bounced" }),
  ...((type === "rejected" || type === "failed") && rejectReason !== undefined && { rejectReason })
})

const item = (value: unknown, { headers, receivedAt }: Webhook.Received): Report.Item => {
  const decoded = decode(value)
  if (Option.isNone(decoded)) return Report.undecodable("NotAnObject")
  const { data = {}, timestamp, type: event } = decoded.value
  if (event === undefined || event === "") return Report.undecodable("MissingType")
  const word = event.slice(event.lastIndexOf(".") + 1)
  const time = data.occurredAt ?? timestamp
  const eventId = StandardWebhooks.idOf(headers)
  return Report.events({
    provider: name,
    meaning: isReported(word) && word !== "suppressed" ? meaning(word, data) : Report.unknown,
    payload: { event },
    details: { url: data.url },
    occurredAt: Option.getOrElse(Instant.read(time), () => receivedAt),
    messageId: data.messageId,
    eventId,
    deliveryId: data.deliveryId,
    recipient: Report.recipient(data.recipient, true),
    key: eventId === undefined
      ? Report.keyOfNature(name, time, value, event, data.messageId, data.recipient, data.url)
      : Report.keyOfId(name, eventId)
  })
}

const types = EventType.ReportedType.literals.filter((type) => type !== "suppressed" && type !== "unknown")

const written = (report: Sender.Report): Webhook.Request => ({
  headers: { "content-type": "application/json", "svix-id": `msg_${sha256Hex(report.eventId).slice(0, 27)}` },
  body: new TextEncoder().encode(JSON.stringify({
    type: `email.${report.type}`,
    timestamp: DateTime.formatIso(report.at),
    data: {
      messageId: report.messageId,
      recipient: report.recipient,
      deliveryId: report.deliveryId,
      ...report.type === "bounced" && { bounceClass: report.bounceClass ?? "hard" }
    }
  }))
})

/**
 * The row of Svix in the table of providers.
 *
 * @category providers
 * @since 0.2.0
 */
export const row: Row.Row = StandardRow.make({
  name,
  variant: {
    variable: "WAYBILL_SVIX_SECRET",
    about: "signing secret, whsec_…",
    prefixes: ["svix", "webhook"],
    key: "base64",
    signature: "versioned"
  },
  item,
  composer: { types, compose: (reports) => reports.map(written) }
})
