/**
 * Understands the webhooks of MailChannels, signed as HTTP Message Signatures (RFC 9421) say: Ed25519 over the digest of the body.
 *
 * A valid signature only proves that MailChannels sent a request, so the accounts that count are listed: their handles are this
 * provider's secrets, and each event has to name one of them.
 *
 * No event has an id. The key is a digest of its name, time, request, Message-ID, recipients, link and IP address; the time is
 * in whole seconds, so that two openings of one second from one address are one.
 *
 * @since 0.2.0
 */
import { type EventType, Provider } from "@waybill/core"
import { Duration, Effect, Option, Redacted, Schema } from "effect"
import { createHash, generateKeyPairSync, type KeyObject, sign, verify as verifies } from "node:crypto"
import * as Batch from "../../internal/batch.ts"
import * as Echo from "../../internal/echo.ts"
import * as Instant from "../../internal/instant.ts"
import * as Json from "../../internal/json.ts"
import * as Report from "../../internal/report.ts"
import * as Signature from "../../internal/signature.ts"
import type * as Row from "../../Row.ts"
import type * as Scheme from "../../Scheme.ts"
import { tolerance } from "../../schemes/StandardWebhooks.ts"
import * as Sender from "../../Sender.ts"
import * as Webhook from "../../Webhook.ts"

const name = Provider.Provider.make("mailchannels")

const refuse = Signature.refusal(name)

/**
 * Looks up a public key of MailChannels by its id; none where there is no such key.
 *
 * @category models
 * @since 0.2.0
 */
export type KeyOf = (id: string) => Effect.Effect<Option.Option<KeyObject>, Webhook.VerificationUnavailable>

const inputForm = /^([A-Za-z][\w-]*)=(\("content-digest"\);created=(\d{10});alg="ed25519";keyid="([\w.:-]{1,128})")$/i

interface Signed {
  readonly created: string
  readonly keyId: string
  readonly base: string
  readonly digest: Uint8Array
  readonly signature: Uint8Array
}

/** Reads the digest, the signature and what it covers. */
const signed = Effect.fnUntraced(function*(headers: Webhook.Request["headers"]) {
  const [digest, input, signature] = [headers["content-digest"], headers["signature-input"], headers["signature"]]
  if (digest === undefined || input === undefined || signature === undefined) return yield* refuse("MissingHeader")
  const [, label, params, created, keyId] = inputForm.exec(input) ?? []
  const hash = Option.flatMap(
    Option.fromUndefinedOr(/^sha-256=:([A-Za-z0-9+/=]+):$/.exec(digest)?.[1]),
    Signature.fromBase64
  )
  const given = Option.flatMap(
    Option.fromNullishOr(/^([A-Za-z][\w-]*)=:([A-Za-z0-9+/=]+):$/.exec(signature)),
    ([, ofLabel, text = ""]) => ofLabel === label ? Signature.fromBase64(text) : Option.none()
  )
  if (created === undefined || keyId === undefined || Option.isNone(hash) || Option.isNone(given)) {
    return yield* refuse("MalformedSignature")
  }
  const read: Signed = {
    created,
    keyId,
    base: `"content-digest": ${digest}\n"@signature-params": ${params}`,
    digest: hash.value,
    signature: given.value
  }
  return read
})

const isSignedBy = Option.liftThrowable((key: KeyObject, text: string, signature: Uint8Array) =>
  verifies(null, new TextEncoder().encode(text), key, signature)
)

const handles = Json.decoder(() => Schema.Array(Schema.Struct({ customer_handle: Json.text })))

/** Refuses events of an account that is not on the list; a body that names none is left to be read. */
const judgeAccounts = ({ body, secrets }: Webhook.Attempt) => {
  const known = new Set(secrets.map((secret) => Redacted.value(secret).trim()))
  const named = Option.getOrElse(Option.flatMap(Json.parse(Json.decodeText(body)), handles), () => [])
  return named.every(({ customer_handle: handle }) => handle !== undefined && known.has(handle))
    ? Effect.void
    : Effect.fail(refuse("UntrustedTopic"))
}

/**
 * Checks the digest of the body, the signature over it with the key that MailChannels publishes, its time, which may be five
 * minutes from ours, and that each event is of an account on the list.
 *
 * @category verification
 * @since 0.2.0
 */
export const verify = (keyOf: KeyOf): Scheme.Verify =>
  Effect.fnUntraced(function*(attempt) {
    const { body, headers, receivedAt } = attempt
    const { base, created, digest, keyId, signature } = yield* signed(headers)
    if (!Signature.isEqual(createHash("sha256").update(body).digest(), digest)) return yield* refuse("BadSignature")
    if (Math.abs(receivedAt.epochMilliseconds - Number(created) * 1000) > Duration.toMillis(tolerance)) {
      return yield* refuse("TimestampOutOfTolerance")
    }
    const key = yield* keyOf(keyId)
    const isGood = Option.exists(key, (key) => Option.getOrElse(isSignedBy(key, base, signature), () => false))
    if (!isGood) return yield* refuse("BadSignature")
    yield* judgeAccounts(attempt)
    return Webhook.verified()
  })

const meanings: ReadonlyMap<string, Report.Meaning> = new Map<string, Report.Meaning>([
  ["processed", { type: "queued" }],
  ["delivered", { type: "delivered" }],
  ["open", { type: "opened" }],
  ["click", { type: "clicked" }],
  ["hard-bounced", { type: "bounced", rejectReason: "bounced", bounceClass: "hard" }],
  ["soft-bounced", { type: "bounced", rejectReason: "bounced", bounceClass: "soft" }],
  ["dropped", { type: "rejected", rejectReason: "other" }],
  ["complained", { type: "complained" }],
  ["unsubscribed", { type: "unsubscribed" }]
])

const decode = Json.decoder(() =>
  Schema.Struct({
    event: Json.text,
    timestamp: Json.scalar,
    request_id: Json.id,
    smtp_id: Json.id,
    recipients: Json.texts,
    status: Json.text,
    reason: Json.text,
    url: Json.text,
    user_agent: Json.text,
    ip: Json.text,
    campaign_id: Json.text
  })
)

const item = (value: unknown, { receivedAt }: Webhook.Received): Report.Item => {
  const decoded = decode(value)
  if (Option.isNone(decoded)) return Report.undecodable("NotAnObject")
  const raw = decoded.value
  const { event, recipients = [], timestamp: time } = raw
  if (event === undefined || event === "") return Report.undecodable("MissingType")
  if (event === "test") return Report.ignored(event)
  const tags = raw.campaign_id === undefined ? [] : [raw.campaign_id]
  return Report.events({
    provider: name,
    meaning: meanings.get(event) ?? Report.unknown,
    payload: { event, status: `${raw.status ?? ""} ${raw.reason ?? ""}`, smtpStatus: raw.status },
    details: {
      response: raw.status,
      description: raw.reason,
      url: raw.url,
      ip: raw.ip,
      userAgent: raw.user_agent,
      tags
    },
    occurredAt: Option.getOrElse(Instant.read(time), () => receivedAt),
    messageId: raw.request_id ?? raw.smtp_id,
    eventId: undefined,
    deliveryId: Echo.idInTags(tags),
    recipient: Report.recipient(recipients[0], recipients.length === 1),
    key: Report.keyOfNature(
      name,
      time,
      value,
      event,
      raw.request_id,
      raw.smtp_id,
      raw.url,
      raw.ip,
      ...recipients
    )
  })
}

const words: ReadonlyMap<EventType.ReportedType, string> = new Map<EventType.ReportedType, string>([
  ["queued", "processed"],
  ["delivered", "delivered"],
  ["bounced", "hard-bounced"],
  ["rejected", "dropped"],
  ["opened", "open"],
  ["clicked", "click"],
  ["complained", "complained"],
  ["unsubscribed", "unsubscribed"]
])

const handle = "waybilltest"

const written = (report: Sender.Report) => ({
  email: "shop@shop.example",
  customer_handle: handle,
  timestamp: Math.floor(report.at.epochMilliseconds / 1000),
  event: report.type === "bounced" && report.bounceClass === "soft"
    ? "soft-bounced"
    : words.get(report.type) ?? "unheard",
  request_id: report.messageId,
  recipients: [report.recipient],
  ...report.deliveryId !== undefined && { campaign_id: `waybill:${report.deliveryId}` },
  ...report.type === "clicked" && { url: "https://shop.example/orders" },
  ...report.type === "bounced" && { status: "550", reason: "550 5.1.1 mailbox not found" }
})

const signer = (privateKey: KeyObject): Scheme.Signer => ({
  secrets: [Redacted.make(handle)],
  sign: ({ body, headers, ...request }, sentAt) => {
    const digest = `sha-256=:${createHash("sha256").update(body).digest("base64")}:`
    const params = `("content-digest");created=${Signature.unixTime(sentAt)};alg="ed25519";keyid="waybill"`
    const base = `"content-digest": ${digest}\n"@signature-params": ${params}`
    return {
      ...request,
      body,
      headers: {
        ...headers,
        "content-digest": digest,
        "signature-input": `sig_1=${params}`,
        signature: `sig_1=:${sign(null, new TextEncoder().encode(base), privateKey).toString("base64")}:`
      }
    }
  }
})

const generate = Effect.sync(() => {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519")
  const keyOf: KeyOf = (id) => Effect.succeed(id === "waybill" ? Option.some(publicKey) : Option.none())
  return { signer: signer(privateKey), verify: verify(keyOf) }
})

const scheme: Scheme.Scheme = {
  name: "signature",
  secrets: {
    variable: "WAYBILL_MAILCHANNELS_ACCOUNTS",
    about: "handles of the accounts that may report",
    isPublic: true
  },
  proof: "signature",
  admit: ({ headers }) => Effect.asVoid(signed(headers)),
  // What asks MailChannels over HTTP is loaded when the row is opened.
  open: Effect.flatMap(
    Effect.promise(() => import("./MailChannelsKeys.ts")),
    (MailChannelsKeys) => Effect.map(MailChannelsKeys.make(name), verify)
  ),
  signing: { _tag: "Nothing", generate, issue: "an endpoint believes the keys of MailChannels alone" }
}

/**
 * The row of MailChannels in the table of providers.
 *
 * @category providers
 * @since 0.2.0
 */
export const row: Row.Row = {
  name,
  schemes: [scheme],
  headers: ["content-digest", "signature-input", "signature"],
  refusal: 401,
  unavailable: 503,
  normalize: Batch.list(name, item),
  composer: {
    types: Sender.typesOf(words),
    compose: (reports) => [{
      headers: { "content-type": "application/json" },
      body: new TextEncoder().encode(JSON.stringify(reports.map(written)))
    }]
  }
}
