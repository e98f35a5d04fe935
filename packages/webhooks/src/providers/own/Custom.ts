/**
 * Understands a JSON of our own, for mail servers of one's own: one event, an array of events or lines of them, signed.
 *
 * The key of an event is its `id`; without one it is a digest of what tells one from another: its time, its type, the message,
 * the recipient and the link.
 *
 * @since 0.2.0
 */
import { Event, EventType, Provider } from "@waybill/core"
import { DateTime, Option, Schema } from "effect"
import * as Batch from "../../internal/batch.ts"
import * as Echo from "../../internal/echo.ts"
import * as Instant from "../../internal/instant.ts"
import * as Json from "../../internal/json.ts"
import * as Report from "../../internal/report.ts"
import type * as Row from "../../Row.ts"
import * as TimedHmac from "../../schemes/TimedHmac.ts"
import * as Sender from "../../Sender.ts"
import type * as Webhook from "../../Webhook.ts"

const name = Provider.Provider.make("custom")

const decode = Json.decoder(() =>
  Schema.Struct({
    type: Json.text,
    messageId: Json.id,
    recipient: Json.text,
    occurredAt: Json.scalar,
    id: Json.id,
    deliveryId: Json.text,
    rejectReason: Json.lenient(Event.RejectReason),
    bounceClass: Json.lenient(Event.BounceClass),
    suppressed: Json.flag,
    machine: Json.lenient(Schema.Literals(["apple", "gmail", "generic"])),
    status: Json.text,
    attempt: Json.scalar,
    response: Json.text,
    description: Json.text,
    url: Json.text,
    ip: Json.text,
    userAgent: Json.text,
    tags: Json.texts,
    metadata: Echo.own
  })
)

type Raw = Json.Decoded<typeof decode>

/** What a mail server can report; it refuses to send by `rejected`, since only our own side suppresses. */
const types = EventType.ReportedType.literals.filter((type) => type !== "unknown" && type !== "suppressed")

/** The class that a bounce has by its enhanced status, where it does not say one. */
const bounceClass = (status = ""): Event.BounceClass =>
  status.startsWith("5.") ? "hard" : status.startsWith("4.") ? "soft" : "undetermined"

const refusals: ReadonlySet<EventType.ReportedType> = new Set(["bounced", "rejected", "failed"])

const meaning = (raw: Raw): Report.Meaning => {
  const type: EventType.ReportedType = types.find((type) => type === raw.type) ?? "unknown"
  const rejectReason = raw.rejectReason ?? (type === "bounced" ? "bounced" : undefined)
  return {
    type,
    ...(refusals.has(type) && rejectReason !== undefined && { rejectReason }),
    ...(type === "bounced" && { bounceClass: raw.bounceClass ?? bounceClass(raw.status) }),
    ...(raw.suppressed === true && { suppressed: true })
  }
}

const item = (value: unknown, { receivedAt }: Webhook.Received): Report.Item => {
  const decoded = decode(value)
  if (Option.isNone(decoded)) return Report.undecodable("NotAnObject")
  const raw = decoded.value
  const { messageId, occurredAt, recipient, type } = raw
  if (type === undefined || type === "") return Report.undecodable("MissingType")
  const eventId = raw.id
  return Report.events({
    provider: name,
    meaning: meaning(raw),
    payload: { event: type, status: raw.status ?? raw.response, attempt: raw.attempt, machine: raw.machine },
    details: {
      response: raw.response,
      description: raw.description,
      url: raw.url,
      ip: raw.ip,
      userAgent: raw.userAgent,
      tags: raw.tags,
      metadata: Echo.words(raw.metadata)
    },
    occurredAt: Option.getOrElse(Instant.read(occurredAt), () => receivedAt),
    messageId,
    eventId,
    deliveryId: raw.deliveryId ?? Echo.idIn(raw.metadata),
    recipient: Report.recipient(recipient, true),
    key: eventId === undefined
      ? Report.keyOfNature(name, occurredAt, value, type, messageId, recipient, raw.url)
      : Report.keyOfId(name, eventId)
  })
}

/**
 * Reduces one event, or several piece by piece, a thousand items each; an item or a line that is not an event costs the others
 * nothing.
 *
 * @category normalization
 * @since 0.2.0
 */
export const normalize: Row.Row["normalize"] = Batch.reader(
  (received) => Batch.jsonOrLines(name, received, Batch.several),
  item
)

const header = "waybill-signature"

/** Reads `t=<seconds>,v1=<digits>`; `v1` may be there several times. */
const read = ({ [header]: text }: Webhook.Request["headers"]): Option.Option<TimedHmac.Signed> => {
  if (text === undefined) return Option.none()
  const parts = text.split(",").map((part) => part.trim().split("=", 2))
  return Option.some({
    time: parts.find(([key]) => key === "t")?.[1] ?? "",
    signatures: parts.flatMap(([key, value]) => key === "v1" && value !== undefined ? [value] : [])
  })
}

const signature = TimedHmac.make(name, {
  variable: "WAYBILL_CUSTOM_SECRET",
  about: "secret that your mail server signs with",
  digits: 10,
  read,
  write: (time, signature) => ({ [header]: `t=${time},v1=${signature}` })
})

const ofType: Readonly<Partial<Record<EventType.ReportedType, Readonly<Record<string, unknown>>>>> = {
  deferred: { status: "4.7.0", response: "421 4.7.0 try again later" },
  rejected: { rejectReason: "blocked" },
  opened: { ip: "192.0.2.7", userAgent: "Mozilla/5.0" },
  clicked: { url: "https://shop.example/orders", ip: "192.0.2.7" }
}

const bounced = (report: Sender.Report): Readonly<Record<string, unknown>> =>
  report.bounceClass === "soft"
    ? { bounceClass: "soft", status: "4.2.2", response: "452 4.2.2 mailbox full" }
    : { bounceClass: "hard", status: "5.1.1", response: "550 5.1.1 mailbox not found" }

const written = (report: Sender.Report): unknown => ({
  id: report.eventId,
  type: types.some((type) => type === report.type) ? report.type : "unheard",
  messageId: report.messageId,
  recipient: report.recipient,
  occurredAt: DateTime.formatIso(report.at),
  ...(report.deliveryId !== undefined && { deliveryId: report.deliveryId }),
  ...(report.type === "bounced" ? bounced(report) : ofType[report.type])
})

/**
 * The row of `custom` in the table of providers.
 *
 * @category providers
 * @since 0.2.0
 */
export const row: Row.Row = {
  name,
  schemes: [signature],
  headers: [],
  refusal: 401,
  unavailable: 503,
  normalize,
  composer: { types, compose: (reports) => [Sender.json(reports.map(written))] }
}
