/**
 * Understands what mail servers report by mail: delivery status notifications (RFC 3464) and complaints (ARF, RFC 5965), as the
 * raw mail.
 *
 * A mail is taken apart first, by `unpack`; what is read are its parts. The key of an event is a digest of the report's own
 * `Message-ID`, what it says, the message and the recipient: so the same mail gives the same events, however often it comes.
 *
 * @since 0.2.0
 */
import { type Event, Provider, Recipient } from "@waybill/core"
import { type DateTime, Effect, Option, Result, Schema } from "effect"
import * as Json from "../../internal/json.ts"
import * as Report from "../../internal/report.ts"
import type * as Row from "../../Row.ts"
import * as Token from "../../schemes/Token.ts"
import * as Webhook from "../../Webhook.ts"
import * as DsnSender from "./DsnSender.ts"

const name = Provider.Provider.make("dsn")

type Fields = Readonly<Record<string, ReadonlyArray<string>>>

/** A comment in parentheses says nothing. */
const field = (fields: Fields, key: string): string | undefined => {
  const value = fields[key]?.[0]?.replace(/\([^()]*\)/g, "").trim()
  return value === "" ? undefined : value
}

/** The address of a field that has its type before it, `rfc822;ada@reader.example`. */
const addressIn = (fields: Fields, key: string): string | undefined => {
  const [type, ...rest] = field(fields, key)?.split(";") ?? []
  return rest.length === 0 ? type?.trim() : rest.join(";").trim()
}

const months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]

const mailDate =
  /(\d{1,2})\s+([a-z]{3})[a-z]*\s+(\d{4}|\d{2})\s+(\d{1,2}):(\d\d)(?::(\d\d))?(?:\.\d+)?\s*([+-]\d{4}|[a-z]{1,3})?/i

/** The zones that RFC 822 names; any other name says no offset. */
const zones: ReadonlyMap<string, string> = new Map([
  ["EST", "-0500"],
  ["EDT", "-0400"],
  ["CST", "-0600"],
  ["CDT", "-0500"],
  ["MST", "-0700"],
  ["MDT", "-0600"],
  ["PST", "-0800"],
  ["PDT", "-0700"]
])

/** Reads the date of a mail, such as `Fri, 20 Nov 2026 12:00:00 +0100`. */
const fromMailDate = (text: string | undefined): Option.Option<DateTime.Utc> => {
  const [, day = "", month = "", year = "", hour = "", minute = "", second = "00", zone = "Z"] =
    mailDate.exec(text ?? "") ?? []
  const number = months.indexOf(month.toLowerCase()) + 1
  const two = (part: string | number) => String(part).padStart(2, "0")
  const century = year.length === 2 ? `${Number(year) < 50 ? "20" : "19"}${year}` : year
  const offset = /^[+-]/.test(zone) ? zone : zones.get(zone.toUpperCase()) ?? "Z"
  return number === 0
    ? Option.none()
    : Report.fromIso(`${century}-${two(number)}-${two(day)}T${two(hour)}:${minute}:${second}${offset}`)
}

/** How a delivery failed, by its enhanced status (RFC 3463). */
const bounced = (status: string): Report.Meaning => {
  const failed = (rejectReason: Event.RejectReason, bounceClass: Event.BounceClass): Report.Meaning => ({
    type: "bounced",
    rejectReason,
    bounceClass
  })
  // Given up after many tries.
  if (status.startsWith("4.") || status === "5.4.7") return failed("timed_out", "soft")
  if (status === "5.1.3") return failed("invalid", "hard")
  if (/^5\.(?:1\.|2\.1$)/.test(status)) return failed("bounced", "hard")
  if (status.startsWith("5.2.")) return failed("bounced", "soft")
  if (status.startsWith("5.7.")) return failed("blocked", "undetermined")
  return failed("bounced", "undetermined")
}

const meaning = (action: string, status: string): Report.Meaning => {
  switch (action) {
    case "failed":
      return bounced(status)
    case "delayed":
      return { type: "deferred" }
    case "delivered":
    case "relayed":
    case "expanded":
      return { type: "delivered" }
    default:
      return Report.unknown
  }
}

/** The mail that a report is in, and what it says of the message that was sent. */
interface Mail {
  readonly id: string | undefined
  readonly at: Option.Option<DateTime.Utc>
  readonly original: Fields
}

/** Our delivery id: the message's envelope id, or a header of it. */
const deliveryIdOf = ({ original }: Mail, envelopeId: string | undefined): string | undefined =>
  field(original, "x-waybill-delivery-id") ?? envelopeId

const messageIdOf = ({ original }: Mail, envelopeId: string | undefined): string | undefined =>
  field(original, "message-id") ?? envelopeId

/** The addresses to which the message was sent, as its headers have them. */
const sentTo = ({ original }: Mail): ReadonlyArray<string> =>
  [...original["to"] ?? [], ...original["cc"] ?? []].flatMap((list) =>
    list.slice(0, 10_000).match(/[^\s<>,;"()]+@[^\s<>,;"()]+/g) ?? []
  )

const isSame = (left: string, right: string): boolean =>
  Option.exists(
    Option.all([Report.recipient(left, true), Report.recipient(right, true)]),
    ([left, right]) => Recipient.isSame(left.address, right.address)
  )

const isSentTo = (mail: Mail, address: string): boolean => sentTo(mail).some((each) => isSame(each, address))

/** A report of one recipient: who it was sent to for certain, where the server says that or the message does. */
const ofRecipient = (
  mail: Mail,
  message: Fields,
  recipient: Fields,
  { receivedAt }: Webhook.Received
): Report.Report => {
  const envelopeId = field(message, "original-envelope-id")
  const action = field(recipient, "action")?.toLowerCase() ?? "none"
  const status = /\d\.\d{1,3}\.\d{1,3}/.exec(field(recipient, "status") ?? "")?.[0] ?? ""
  const original = addressIn(recipient, "original-recipient")
  const final = addressIn(recipient, "final-recipient")
  const address = original ?? final
  const isCertain = original !== undefined || (final !== undefined && isSentTo(mail, final))
  const isOther = final !== undefined && (original === undefined ? !isCertain : !isSame(original, final))
  const diagnostic = recipient["diagnostic-code"]?.[0]?.replace(/^[\w-]+\s*;\s*/, "")
  const time = field(recipient, "last-attempt-date")
  return {
    provider: name,
    meaning: meaning(action, status),
    payload: { event: action, status, otherRecipient: isOther },
    details: {
      response: diagnostic,
      server: addressIn(recipient, "remote-mta") ?? addressIn(message, "reporting-mta"),
      otherRecipient: isOther ? final : undefined
    },
    occurredAt: Option.getOrElse(Option.orElse(fromMailDate(time), () => mail.at), () => receivedAt),
    messageId: messageIdOf(mail, envelopeId),
    eventId: undefined,
    deliveryId: deliveryIdOf(mail, envelopeId),
    recipient: Report.recipient(address, isCertain),
    key: Report.keyOfNature(
      name,
      mail.id ?? time,
      [message, recipient],
      action,
      messageIdOf(mail, envelopeId),
      address?.toLowerCase()
    )
  }
}

const complaint = (kind: string): Report.Meaning => {
  switch (kind) {
    case "abuse":
    case "fraud":
    case "virus":
      return { type: "complained" }
    case "opt-out":
    case "opt-out-list":
      return { type: "unsubscribed" }
    default:
      return Report.unknown
  }
}

/** The reports of a complaint: of each recipient it names, or of one whom it does not name for certain. */
const ofComplaint = (mail: Mail, fields: Fields, { receivedAt }: Webhook.Received): ReadonlyArray<Report.Report> => {
  const kind = field(fields, "feedback-type")?.toLowerCase() ?? "none"
  const named = (fields["original-rcpt-to"] ?? []).map((address) => address.replace(/^[\w-]+\s*;\s*/, ""))
  const envelopeId = field(fields, "original-envelope-id")
  const time = field(fields, "arrival-date") ?? field(fields, "received-date")
  return (named.length > 0 ? named : sentTo(mail).slice(0, 1).concat([""]).slice(0, 1)).map((address) => ({
    provider: name,
    meaning: complaint(kind),
    payload: { event: "complaint", subtype: kind },
    details: {
      server: addressIn(fields, "reporting-mta"),
      userAgent: field(fields, "user-agent")
    },
    // The time at which the message arrived there is not that of the complaint.
    occurredAt: Option.getOrElse(Option.orElse(mail.at, () => fromMailDate(time)), () => receivedAt),
    messageId: messageIdOf(mail, envelopeId),
    eventId: undefined,
    deliveryId: deliveryIdOf(mail, envelopeId),
    recipient: Report.recipient(address, named.length > 0),
    key: Report.keyOfNature(
      name,
      mail.id ?? time,
      [fields, mail.original],
      "complaint",
      kind,
      messageIdOf(mail, envelopeId),
      address.toLowerCase()
    )
  }))
}

/** The kinds of feedback that are about how mail is authenticated, and about nobody's complaint. */
const notMail = new Set(["auth-failure", "dmarc"])

const Group = Schema.Record(Schema.String, Schema.Array(Schema.String))

const decode = Json.decoder(() =>
  Schema.Struct({
    headers: Group,
    deliveryStatus: Schema.Array(Group),
    feedback: Schema.Array(Group),
    original: Group
  })
)

const item = (value: unknown, received: Webhook.Received): Report.Item => {
  const decoded = decode(value)
  if (Option.isNone(decoded)) return Report.undecodable("NotAnObject")
  const { deliveryStatus: [message = {}, ...recipients], feedback: [feedback], headers, original } = decoded.value
  const mail: Mail = {
    id: headers["message-id"]?.[0]?.trim(),
    at: fromMailDate(headers["date"]?.[0]),
    original
  }
  if (recipients.length > 0) {
    return Report.events(...recipients.map((recipient) => ofRecipient(mail, message, recipient, received)))
  }
  const kind = feedback === undefined ? undefined : field(feedback, "feedback-type")?.toLowerCase()
  return feedback === undefined || notMail.has(kind ?? "")
    ? Report.ignored(kind ?? "mail")
    : Report.events(...ofComplaint(mail, feedback, received))
}

/**
 * Takes a raw mail apart. A mail that cannot be taken apart is not what is expected here.
 *
 * @category normalization
 * @since 0.2.0
 */
export const unpack: NonNullable<Row.Row["unpack"]> = Effect.fnUntraced(function*(received) {
  const Mail = yield* Effect.promise(() => import("./Mail.ts"))
  const parts = yield* Mail.read(received.body)
  if (Option.isNone(parts)) return yield* new Webhook.MalformedBody({ provider: name, reason: "UnknownEnvelope" })
  return { ...received, body: new TextEncoder().encode(JSON.stringify(parts.value)) }
})

/**
 * Reduces the parts of a mail to an event for each recipient that it reports; a mail that is no report is ignored.
 *
 * @category normalization
 * @since 0.2.0
 */
export const normalize: Row.Row["normalize"] = (received) =>
  Result.map(Report.json(name, received), (value) => [Report.collect([item(value, received)])])

/**
 * The row of mailed reports in the table of providers.
 *
 * @category providers
 * @since 0.2.0
 */
export const row: Row.Row = {
  name,
  schemes: [Token.make(name, "WAYBILL_DSN_TOKEN", "token with which mails may be posted")],
  headers: [],
  refusal: 401,
  unavailable: 503,
  isPiped: true,
  unpack,
  normalize,
  composer: DsnSender.composer
}
