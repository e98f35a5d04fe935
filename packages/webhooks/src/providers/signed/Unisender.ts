/**
 * Understands the webhooks of Unisender Go and UniOne: batches of up to 100 events, or one alone, with the signature in the body.
 *
 * Unisender gives its events no id, and its header `ID` changes at each try. So the key of an event is a digest of what tells
 * one from another: its time in seconds, its status, the job, the recipient and the link.
 *
 * @since 0.2.0
 */
import { type Event, type EventType, Provider } from "@waybill/core"
import { DateTime, Effect, Option, Redacted, Result, Schema } from "effect"
import { createHash, randomBytes } from "node:crypto"
import * as Batch from "../../internal/batch.ts"
import * as Echo from "../../internal/echo.ts"
import * as Instant from "../../internal/instant.ts"
import * as Json from "../../internal/json.ts"
import * as Report from "../../internal/report.ts"
import * as Signature from "../../internal/signature.ts"
import type * as Row from "../../Row.ts"
import type * as Scheme from "../../Scheme.ts"
import * as Sender from "../../Sender.ts"
import * as Webhook from "../../Webhook.ts"

const name = Provider.Provider.make("unisender")

const events: ReadonlyMap<string, Report.Meaning> = new Map<string, Report.Meaning>([
  ["accepted", { type: "queued" }],
  ["sent", { type: "sent" }],
  ["delivered", { type: "delivered" }],
  ["soft_bounced", { type: "deferred" }],
  ["opened", { type: "opened" }],
  ["clicked", { type: "clicked" }],
  ["spam", { type: "complained" }],
  ["unsubscribed", { type: "unsubscribed" }],
  ["subscribed", { type: "subscribed" }]
])

/** The reasons for a hard bounce; any other word of Unisender's is `other`. */
const reasons: ReadonlyMap<string, Event.RejectReason> = new Map<string, Event.RejectReason>([
  ["err_user_unknown", "bounced"],
  ["err_user_inactive", "bounced"],
  ["err_mailbox_discarded", "bounced"],
  ["err_mailbox_full", "bounced"],
  ["err_too_large", "bounced"],
  ["err_unreachable", "bounced"],
  ["err_skip_letter", "bounced"],
  ["err_domain_inactive", "bounced"],
  ["err_destination_misconfigured", "bounced"],
  ["err_spam_rejected", "spam"],
  ["err_spam_skipped", "spam"],
  ["err_blacklisted", "blocked"],
  ["err_unsubscribed", "unsubscribed"]
])

/** The reasons for which Unisender did not try, because of what it remembers of the recipient. */
const remembered = new Set(["err_unsubscribed", "err_unreachable", "err_skip_letter"])

/** The reasons that say nothing of the address. */
const passing = new Set([
  "err_mailbox_full",
  "err_too_large",
  "err_spam_rejected",
  "err_spam_skipped",
  "err_blacklisted",
  "err_destination_misconfigured",
  "err_delivery_failed",
  "err_lost"
])

const hardBounce = (status: string | undefined): Report.Meaning => {
  const rejectReason = status?.startsWith("err") === true ? reasons.get(status) ?? "other" : "bounced"
  return remembered.has(status ?? "")
    ? { type: "rejected", rejectReason, suppressed: true }
    : { type: "bounced", rejectReason, bounceClass: passing.has(status ?? "") ? "undetermined" : "hard" }
}

const decode = Json.decoder(() =>
  Schema.Struct({
    status: Json.text,
    email: Json.text,
    job_id: Json.id,
    event_time: Json.scalar,
    url: Json.text,
    metadata: Echo.own,
    delivery_info: Json.lenient(Schema.Struct({
      delivery_status: Json.text,
      destination_response: Json.text,
      user_agent: Json.text,
      ip: Json.text
    }))
  })
)

/** What a body says of the item, or the item alone, beside its data. */
const decodeNamed = Json.decoder(() =>
  Schema.Struct({ event_name: Json.text, event_data: Json.lenient(Schema.Record(Schema.String, Schema.Unknown)) })
)

const item = (value: unknown, { receivedAt }: Webhook.Received): Report.Item => {
  const named = decodeNamed(value)
  if (Option.isNone(named)) return Report.undecodable("NotAnObject")
  const { event_data: inner, event_name: kind } = named.value
  if (kind !== undefined && kind !== "transactional_email_status") return Report.ignored(kind)
  const decoded = decode(inner ?? value)
  if (Option.isNone(decoded)) return Report.undecodable("NotAnObject")
  const raw = decoded.value
  const event = raw.status
  if (event === undefined || event === "") return Report.undecodable("MissingType")
  const info = raw.delivery_info
  return Report.events({
    provider: name,
    meaning: event === "hard_bounced" ? hardBounce(info?.delivery_status) : events.get(event) ?? Report.unknown,
    payload: { event, subtype: info?.delivery_status, status: info?.destination_response },
    details: {
      response: info?.destination_response,
      description: info?.delivery_status,
      url: raw.url,
      ip: info?.ip,
      userAgent: info?.user_agent,
      metadata: Echo.words(raw.metadata)
    },
    // It is UTC without saying so.
    occurredAt: Option.getOrElse(Instant.read(raw.event_time), () => receivedAt),
    messageId: raw.job_id,
    eventId: undefined,
    deliveryId: Echo.idIn(raw.metadata),
    recipient: Report.recipient(raw.email, true),
    // Without a time, what was read stands in and not the whole item: alone it has the signature of its body in it.
    key: Report.keyOfNature(name, raw.event_time, raw, event, raw.job_id, raw.email, raw.url)
  })
}

const decodeUsers = Json.decoder(() =>
  Schema.Struct({
    events_by_user: Schema.Array(Schema.Struct({ events: Json.lenient(Schema.Array(Schema.Unknown)) }))
  })
)

/**
 * Reduces one event, or a batch piece by piece; what is not about a message that was sent is ignored.
 *
 * @category normalization
 * @since 0.2.0
 */
export const normalize: Row.Row["normalize"] = Batch.reader(
  (received) =>
    Result.map(Report.json(name, received), (value) =>
      Option.match(decodeUsers(value), {
        onNone: () => [value],
        onSome: ({ events_by_user: users }) => users.flatMap(({ events = [] }) => events)
      })),
  item
)

const refuse = Signature.refusal(name)

/** Letter for byte, so that a body of any bytes is replaced in and digested as it is. */
const letters = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1")

/** The digest of a body in which the API key stands in the place of the signature. */
const digest = (body: string, signature: string, key: string): string =>
  createHash("md5").update(body.replaceAll(signature, letters(Buffer.from(key))), "latin1").digest("hex")

const decodeAuth = Json.decoder(() => Schema.Struct({ auth: Schema.String }))

/**
 * Checks the signature in the body with every active API key: the MD5 of the raw body, in which the key stands in the signature's
 * place. The whole body has to be JSON: else bytes could be added behind it, under a signature that follows from the first.
 *
 * @category verification
 * @since 0.2.0
 */
export const verify: Scheme.Verify = Effect.fnUntraced(function*({ body, secrets }) {
  const parsed = Json.parse(Json.decodeText(body))
  if (Option.isNone(parsed)) return yield* refuse("MalformedSignature")
  const found = decodeAuth(parsed.value)
  if (Option.isNone(found)) return yield* refuse("MissingHeader")
  const { auth } = found.value
  if (!/^[0-9a-f]{32}$/.test(auth)) return yield* refuse("MalformedSignature")
  const text = letters(body)
  yield* Signature.judge(
    name,
    secrets,
    (secret) => secret === "" ? Option.none() : Option.some(Signature.isEqual(auth, digest(text, auth, secret)))
  )
  return Webhook.verified()
})

const unsigned = "0".repeat(32)

/** Puts the signature into a body that has its place in it; into any other body, at its end. */
const signer = (secret: Redacted.Redacted): Scheme.Signer => ({
  secrets: [secret],
  sign: ({ body, ...request }) => {
    const text = letters(body)
    const whole = text.includes(`"auth":"${unsigned}"`) ? text : `${text.replace(/\}\s*$/, "")},"auth":"${unsigned}"}`
    const signed = whole.replace(unsigned, digest(whole, unsigned, Redacted.value(secret)))
    return { ...request, body: new Uint8Array(Buffer.from(signed, "latin1")) }
  }
})

const signature: Scheme.Scheme = {
  name: "signature",
  secrets: { variable: "WAYBILL_UNISENDER_API_KEY", about: "API key of the account or project" },
  proof: "signature",
  open: Effect.succeed(verify),
  signing: { _tag: "Secret", generate: () => Redacted.make(randomBytes(24).toString("hex")), make: signer }
}

const words: ReadonlyMap<EventType.ReportedType, Readonly<Record<string, unknown>>> = new Map<
  EventType.ReportedType,
  Readonly<Record<string, unknown>>
>([
  ["queued", { status: "accepted" }],
  ["sent", { status: "sent" }],
  ["delivered", { status: "delivered" }],
  ["deferred", {
    status: "soft_bounced",
    delivery_info: { delivery_status: "err_will_retry", destination_response: "421 4.7.0 try again later" }
  }],
  ["bounced", {
    status: "hard_bounced",
    delivery_info: { delivery_status: "err_user_unknown", destination_response: "550 5.1.1 mailbox not found" }
  }],
  ["opened", { status: "opened", delivery_info: { user_agent: "Mozilla/5.0", ip: "192.0.2.7" } }],
  ["clicked", { status: "clicked", url: "https://shop.example/orders", delivery_info: { ip: "192.0.2.7" } }],
  ["complained", { status: "spam" }],
  ["unsubscribed", { status: "unsubscribed" }],
  ["subscribed", { status: "subscribed" }]
])

const written = (report: Sender.Report): unknown => ({
  event_name: "transactional_email_status",
  event_data: {
    job_id: report.messageId,
    email: report.recipient,
    event_time: DateTime.formatIso(report.at).slice(0, 19).replace("T", " "),
    metadata: report.deliveryId === undefined ? {} : { waybill_delivery_id: report.deliveryId },
    ...words.get(report.type) ?? { status: "unheard" }
  }
})

/**
 * The row of Unisender Go in the table of providers.
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
  // It tries the address before it saves it.
  probes: { GET: () => ({}) },
  normalize,
  composer: {
    types: Sender.typesOf(words),
    compose: (reports) => [
      Sender.json({ auth: unsigned, events_by_user: [{ user_id: 1, events: reports.map(written) }] })
    ]
  }
}
