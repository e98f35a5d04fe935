/**
 * Understands the webhooks of Resend, and verifies those of any sender that signs as Svix and Standard Webhooks do.
 *
 * The key of an event is the id in the header `svix-id` or `webhook-id`: a request without it is not verified, and it stays
 * the same over retries and replays, and every event has one of its own. A body read without its headers, by hand, gets a
 * digest of what tells one event from another instead, which is another key: its time, type and message, the link and time of
 * a click, and the recipients.
 *
 * @since 0.1.0
 */
import { Provider } from "@waybill/core"
import { Duration, Effect, Option, Schema } from "effect"
import { createHmac } from "node:crypto"
import * as Json from "../internal/json.ts"
import * as Report from "../internal/report.ts"
import * as Signature from "../internal/signature.ts"
import type * as Row from "../Row.ts"
import * as Webhook from "../Webhook.ts"

const name = Provider.Provider.make("resend")

const refuse = Signature.refusal(name)

/** Both spellings of the three headers. */
const prefixes = ["svix", "webhook"] as const

/** Every attempt is signed anew, so that five minutes do for a retry after hours. */
const tolerance = Duration.seconds(300)

const secretKey = (secret: string): Option.Option<Uint8Array> => {
  const text = secret.trim().replace(/^whsec_/, "")
  return Signature.fromBase64(text.padEnd(Math.ceil(text.length / 4) * 4, "="))
}

/** Reads the signatures and what they cover beside the body. */
const signed = Effect.fnUntraced(function*(headers: Webhook.Request["headers"]) {
  const prefix = prefixes.find((prefix) => headers[`${prefix}-id`] !== undefined) ?? "svix"
  const id = headers[`${prefix}-id`]
  const timestamp = headers[`${prefix}-timestamp`]
  const signatures = headers[`${prefix}-signature`]
  if (id === undefined || timestamp === undefined || signatures === undefined) {
    return yield* refuse("MissingHeader")
  }
  const given = signatures.split(" ").filter((each) => each.startsWith("v1,")).map((each) => each.slice(3))
  if (given.length === 0 || !Signature.isUnixTime(timestamp) || id === "" || id.includes(".")) {
    return yield* refuse("MalformedSignature")
  }
  return { id, timestamp, given }
})

/**
 * Refuses a request that has no signature, or none that can be read, before the body is read.
 *
 * @category verification
 * @since 0.2.0
 */
export const admit: Row.Admit = ({ headers }) => Effect.asVoid(signed(headers))

/**
 * Checks the signature against every active secret; the header may hold several signatures, of which those of version 1
 * count.
 *
 * @category verification
 * @since 0.1.0
 */
export const verify = Effect.fnUntraced(
  function*({ body, headers, receivedAt, secrets }: Webhook.Attempt) {
    const { given, id, timestamp } = yield* signed(headers)
    yield* Signature.judge(name, secrets, (secret) =>
      Option.map(secretKey(secret), (key) => {
        const expected = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest("base64")
        return given.map((each) => Signature.isEqual(each, expected)).includes(true)
      }))
    if (Math.abs(receivedAt.epochMilliseconds - Number(timestamp) * 1000) > Duration.toMillis(tolerance)) {
      return yield* refuse("TimestampOutOfTolerance")
    }
    return Webhook.verified()
  }
)

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
      tags: Json.lenient(Schema.Struct({ waybill_delivery_id: Json.text })),
      bounce: Json.lenient(Schema.Struct({ type: Json.text, subType: Json.text, message: Json.text })),
      suppressed: Json.lenient(Schema.Struct({ type: Json.text })),
      click: Json.lenient(Schema.Struct({ link: Json.text, timestamp: Json.text }))
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
  const id = headers["svix-id"] ?? headers["webhook-id"]
  const eventId = id === "" ? undefined : id
  return Report.events({
    provider: name,
    meaning: meaning(type, data),
    payload: { event: type, subtype: data.bounce?.subType, status: data.bounce?.message },
    occurredAt: Option.getOrElse(Report.fromIso(time), () => receivedAt),
    messageId: data.email_id,
    eventId,
    deliveryId: data.tags?.waybill_delivery_id,
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

/**
 * Reduces the one event of a body; what is not about a message that was sent is ignored.
 *
 * @category normalization
 * @since 0.1.0
 */
export const normalize: Row.Row["normalize"] = Report.single(name, item)

/**
 * Resend's row in the table of providers.
 *
 * @category providers
 * @since 0.1.0
 */
export const row: Row.Row = {
  name,
  secrets: { variable: "WAYBILL_RESEND_SECRET", about: "signing secret, whsec_…" },
  headers: prefixes.flatMap((prefix) => [`${prefix}-id`, `${prefix}-timestamp`, `${prefix}-signature`]),
  refusal: 401,
  unavailable: 503,
  admit,
  normalize,
  open: Effect.succeed({ verify })
}
