/**
 * Understands the signed event webhook of SendGrid: batches of events, signed with ECDSA over the header's time and the
 * raw body.
 *
 * The key of an event is its `sg_event_id`. Some subscription events have none and get a digest of what tells one event from
 * another: its time in seconds, `sg_message_id`, its name, the address, the link, and the group where it is a group that was
 * left or joined, because one click on "all of them" leaves several in one second. Version 0.1 left the group out: such an
 * event that it stored, and that comes again after the upgrade, is stored once more and changes no status. The keys of all
 * others are as they were.
 *
 * @since 0.1.0
 */
import { type EventType, Provider } from "@waybill/core"
import { Effect, Option, Redacted, Schema } from "effect"
import { createPublicKey, createSign, createVerify, generateKeyPairSync, type KeyObject } from "node:crypto"
import * as Batch from "../../internal/batch.ts"
import * as Json from "../../internal/json.ts"
import * as Report from "../../internal/report.ts"
import * as Signature from "../../internal/signature.ts"
import type * as Row from "../../Row.ts"
import type * as Scheme from "../../Scheme.ts"
import * as BasicAuth from "../../schemes/BasicAuth.ts"
import * as Token from "../../schemes/Token.ts"
import * as Sender from "../../Sender.ts"
import * as Webhook from "../../Webhook.ts"

const name = Provider.Provider.make("sendgrid")

const refuse = Signature.refusal(name)

const signatureHeader = "x-twilio-email-event-webhook-signature"
const timestampHeader = "x-twilio-email-event-webhook-timestamp"

const isSignedBy = Option.liftThrowable((key: KeyObject, timestamp: string, body: Uint8Array, signature: Uint8Array) =>
  createVerify("sha256").update(timestamp).update(body).verify(key, signature)
)

/** Reads the signature and what it covers beside the body. */
const signed = Effect.fnUntraced(function*(headers: Webhook.Request["headers"]) {
  const signatureText = headers[signatureHeader]
  const timestamp = headers[timestampHeader]
  if (signatureText === undefined || timestamp === undefined) {
    return yield* refuse("MissingHeader")
  }
  const signature = Signature.fromBase64(signatureText)
  if (Option.isNone(signature) || !Signature.isUnixTime(timestamp)) {
    return yield* refuse("MalformedSignature")
  }
  return { signature: signature.value, timestamp }
})

/**
 * Refuses a request that has no signature, or none that can be read, before the body is read.
 *
 * @category verification
 * @since 0.2.0
 */
export const admit: Scheme.Admit = ({ headers }) => Effect.asVoid(signed(headers))

/**
 * Checks the signature against every active public key, each in base64 as SendGrid shows it, or in PEM.
 *
 * Nothing stands between the time and the body in what is signed, so that a time is taken in its one form only: ten digits.
 *
 * SendGrid documents no tolerance and retries for a day, so the time is not judged.
 *
 * @category verification
 * @since 0.1.0
 */
export const verify = Effect.fnUntraced(
  function*({ body, headers, secrets }: Webhook.Attempt) {
    const { signature, timestamp } = yield* signed(headers)
    yield* Signature.judge(
      name,
      secrets,
      (secret) =>
        Option.map(
          Signature.publicKey(secret, "ec"),
          (key) => Option.getOrElse(isSignedBy(key, timestamp, body, signature), () => false)
        )
    )
    return Webhook.verified()
  }
)

const events: ReadonlyMap<string, Report.Meaning> = new Map<string, Report.Meaning>([
  ["processed", { type: "queued" }],
  ["deferred", { type: "deferred" }],
  ["delivered", { type: "delivered" }],
  ["open", { type: "opened" }],
  ["click", { type: "clicked" }],
  ["spamreport", { type: "complained" }],
  ["unsubscribe", { type: "unsubscribed" }],
  ["group_unsubscribe", { type: "unsubscribed" }],
  ["group_resubscribe", { type: "subscribed" }]
])

const bounces: ReadonlyMap<string, Report.Meaning> = new Map<string, Report.Meaning>([
  ["bounce", { type: "bounced", rejectReason: "bounced", bounceClass: "hard" }],
  ["blocked", { type: "bounced", rejectReason: "blocked", bounceClass: "soft" }],
  ["expired", { type: "bounced", rejectReason: "timed_out", bounceClass: "soft" }]
])

const drops: ReadonlyMap<string, Report.Meaning> = new Map<string, Report.Meaning>([
  ["invalid", { type: "rejected", rejectReason: "invalid" }],
  ["unsubscribed address", { type: "rejected", rejectReason: "unsubscribed", suppressed: true }],
  ["bounced address", { type: "rejected", rejectReason: "bounced", suppressed: true }],
  ["spam reporting address", { type: "rejected", rejectReason: "spam", suppressed: true }],
  ["spam content", { type: "rejected", rejectReason: "spam" }],
  ["blocked", { type: "rejected", rejectReason: "blocked" }],
  ["expired", { type: "rejected", rejectReason: "timed_out" }]
])

const decode = Json.decoder(() =>
  Schema.Struct({
    event: Json.text,
    type: Json.text,
    reason: Json.text,
    status: Json.text,
    response: Json.text,
    ip: Json.text,
    useragent: Json.text,
    category: Json.oneOrMore,
    attempt: Json.scalar,
    email: Json.text,
    timestamp: Json.scalar,
    sg_event_id: Json.text,
    sg_message_id: Json.text,
    "smtp-id": Json.text,
    sg_machine_open: Json.flag,
    url: Json.text,
    asm_group_id: Json.scalar,
    waybill_delivery_id: Json.text
  })
)

type Raw = Json.Decoded<typeof decode>

const meaning = (event: string, raw: Raw): Report.Meaning => {
  switch (event) {
    case "bounce":
      return bounces.get(raw.type ?? "") ?? Report.refusal(raw.type, "bounced") ??
        { type: "bounced", rejectReason: "bounced", bounceClass: "undetermined" }
    case "dropped":
      return drops.get(raw.reason?.trim().toLowerCase() ?? "") ?? Report.refusal(raw.reason, "other") ??
        { type: "rejected", rejectReason: "other" }
    default:
      return events.get(event) ?? Report.unknown
  }
}

/** A Message-ID that a host of SendGrid's gave, such as `geopod-ismtpd-8` or `ismtpd0039p1iad1.sendgrid.net`. */
const ownMessageId = /^<?([^<>@\s]+)@(?:geopod-)?ismtpd[\w-]*(?:\.sendgrid\.net)?>?$/

/**
 * The id that the send call answered. Where `sg_message_id` is empty or routing alone, the Message-ID that SendGrid itself
 * gave has it before the `@`.
 */
const messageId = (raw: Raw): string | undefined =>
  Option.getOrUndefined(Provider.canonicalMessageId(name, raw.sg_message_id ?? "")) ??
    ownMessageId.exec(raw["smtp-id"] ?? "")?.[1]

const decodeFields = Json.decoder(() => Schema.Record(Schema.String, Schema.Unknown))

/** The fields that are SendGrid's own. Those that an app gives to a message stand beside them. */
const own = new Set([
  "event",
  "type",
  "reason",
  "status",
  "response",
  "attempt",
  "email",
  "timestamp",
  "send_at",
  "category",
  "newsletter",
  "pool",
  "ip",
  "useragent",
  "url",
  "url_offset",
  "tls",
  "cert_err",
  "bounce_classification",
  "smtp-id",
  "asm_group_id",
  "sg_event_id",
  "sg_message_id",
  "sg_user_id",
  "sg_machine_open",
  "sg_content_type",
  "sg_template_id",
  "sg_template_name",
  "marketing_campaign_id",
  "marketing_campaign_name",
  "marketing_campaign_version",
  "marketing_campaign_split_id",
  "singlesend_id",
  "singlesend_name",
  "template_id",
  "phase_id",
  "mc_auto_id",
  "mc_auto_name",
  "mc_auto_step_id",
  "mc_pod_id",
  "mc_stats"
])

const engagements = new Set(["open", "click"])

/** What SendGrid says in words; the reason of a bounce is what the receiving server answered. */
const details = (event: string, raw: Raw, value: unknown): Report.Report["details"] => ({
  response: event === "bounce" ? raw.reason : raw.response,
  description: event === "bounce" ? undefined : raw.reason,
  url: raw.url,
  ip: engagements.has(event) ? raw.ip : undefined,
  userAgent: raw.useragent,
  list: groupOf(event, raw)[0],
  tags: typeof raw.category === "string" ? [raw.category] : raw.category,
  metadata: Object.fromEntries(
    Object.entries(Option.getOrElse(decodeFields(value), () => ({}))).filter(([name]) => !own.has(name))
  )
})

const groupEvents = new Set(["group_unsubscribe", "group_resubscribe"])

/** The group that an event is about. Any other event may name the group of its message, which tells nothing from others. */
const groupOf = (event: string, { asm_group_id: group }: Raw): ReadonlyArray<string> =>
  group !== undefined && groupEvents.has(event) ? [String(group)] : []

const item = (value: unknown, { receivedAt }: Webhook.Received): Report.Item => {
  const decoded = decode(value)
  if (Option.isNone(decoded)) return Report.undecodable("NotAnObject")
  const raw = decoded.value
  const event = raw.event
  if (event === undefined || event === "") return Report.undecodable("MissingType")
  if (event === "account_status_change") return Report.ignored(event)
  const eventId = raw.sg_event_id === "" ? undefined : raw.sg_event_id
  return Report.events({
    provider: name,
    meaning: meaning(event, raw),
    payload: {
      event,
      subtype: event === "bounce" ? raw.type : undefined,
      status: `${raw.status ?? ""} ${raw.response ?? ""}`,
      attempt: raw.attempt,
      machine: raw.sg_machine_open === true ? "apple" : undefined
    },
    details: details(event, raw, value),
    occurredAt: Option.getOrElse(Report.fromSeconds(raw.timestamp), () => receivedAt),
    messageId: messageId(raw),
    eventId,
    deliveryId: raw.waybill_delivery_id,
    recipient: Report.recipient(raw.email, true),
    key: eventId === undefined
      ? Report.keyOfNature(
        name,
        raw.timestamp,
        value,
        raw.sg_message_id,
        event,
        raw.email,
        raw.url,
        ...groupOf(event, raw)
      )
      : Report.keyOfId(name, eventId)
  })
}

/**
 * Reduces a batch piece by piece, a thousand items each; an item that is not an event costs the others nothing.
 *
 * @category normalization
 * @since 0.1.0
 */
export const normalize: Row.Row["normalize"] = Batch.list(name, item)

const words: ReadonlyMap<EventType.ReportedType, Readonly<Record<string, unknown>>> = new Map<
  EventType.ReportedType,
  Readonly<Record<string, unknown>>
>([
  ["queued", { event: "processed" }],
  ["delivered", { event: "delivered", response: "250 OK" }],
  ["deferred", { event: "deferred", attempt: "2", response: "421 4.7.0 try again later" }],
  ["bounced", { event: "bounce", type: "bounce", status: "5.1.1", reason: "550 5.1.1 mailbox not found" }],
  ["rejected", { event: "dropped", reason: "Invalid" }],
  ["opened", { event: "open", sg_machine_open: false, useragent: "Mozilla/5.0", ip: "192.0.2.7" }],
  ["clicked", { event: "click", url: "https://shop.example/orders", ip: "192.0.2.7" }],
  ["complained", { event: "spamreport" }],
  ["unsubscribed", { event: "unsubscribe" }],
  ["subscribed", { event: "group_resubscribe", asm_group_id: 7 }]
])

const softBounce = { event: "bounce", type: "blocked", status: "4.7.0", reason: "421 4.7.0 try again later" }

const written = (report: Sender.Report): string =>
  JSON.stringify({
    email: report.recipient,
    timestamp: Math.floor(report.at.epochMilliseconds / 1000),
    "smtp-id": `<${report.messageId}@geopod-ismtpd-1>`,
    sg_event_id: report.eventId,
    sg_message_id: `${report.messageId}.filter0001.16648.5515E0B88.0`,
    ...(report.deliveryId !== undefined && { waybill_delivery_id: report.deliveryId }),
    ...(report.type === "bounced" && report.bounceClass === "soft"
      ? softBounce
      : words.get(report.type) ?? { event: "unheard" })
  })

/** Signs with the private key of an elliptic-curve pair. */
const signer = (privateKey: KeyObject): Scheme.Signer => ({
  secrets: [Redacted.make(createPublicKey(privateKey).export({ format: "der", type: "spki" }).toString("base64"))],
  sign: ({ body, headers, ...request }, sentAt) => {
    const timestamp = Signature.unixTime(sentAt)
    return {
      ...request,
      body,
      headers: {
        ...headers,
        [signatureHeader]: createSign("sha256").update(timestamp).update(body).sign(privateKey, "base64"),
        [timestampHeader]: timestamp
      }
    }
  }
})

const signature: Scheme.Scheme = {
  name: "signature",
  secrets: { variable: "WAYBILL_SENDGRID_PUBLIC_KEY", about: "verification key, as SendGrid shows it" },
  proof: "signature",
  admit,
  open: Effect.succeed(verify),
  signing: {
    _tag: "PrivateKey",
    generate: () => generateKeyPairSync("ec", { namedCurve: "prime256v1" }).privateKey,
    make: (privateKey) => privateKey.asymmetricKeyType === "ec" ? Option.some(signer(privateKey)) : Option.none(),
    issue: "is not of an elliptic curve"
  }
}

/**
 * SendGrid's row in the table of providers.
 *
 * @category providers
 * @since 0.1.0
 */
export const row: Row.Row = {
  name,
  schemes: [
    signature,
    BasicAuth.make(name, "WAYBILL_SENDGRID_BASIC_AUTH"),
    Token.make(name, "WAYBILL_SENDGRID_TOKEN", "token that your OAuth server gives to SendGrid")
  ],
  headers: [signatureHeader, timestampHeader],
  refusal: 401,
  unavailable: 503,
  normalize,
  composer: {
    types: Sender.typesOf(words),
    compose: (reports) => [{
      headers: { "content-type": "application/json" },
      body: new TextEncoder().encode(`[${reports.map(written).join(",\r\n")}]\r\n`)
    }]
  }
}
