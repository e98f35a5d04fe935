/**
 * Makes the links by which a recipient unsubscribes with one click, and reads them again.
 *
 * RFC 8058 asks for two headers in a message. The link in the first ends in a token: whose delivery it is about, signed by
 * HMAC-SHA256, with no address in it. Whoever holds the link may unsubscribe, which is all that it is good for. It has no
 * end: it is good as long as its key is among the keys.
 *
 * @since 0.2.0
 */
import { Event, IdempotencyKey, type Ledger, Provider, Tenant, type Timestamp } from "@waybill/core"
import { Option, Redacted, Result, Schema } from "effect"
import { createHmac } from "node:crypto"
import { isEqual } from "./internal/signature.ts"
import * as Secrets from "./Secrets.ts"

/**
 * Who reports that a link was used. It is no provider: it is told by whoever holds our own link.
 *
 * @category constants
 * @since 0.2.0
 */
export const reporter: Provider.Provider = Provider.Provider.make("waybill")

/**
 * The fewest bytes of a secret: as many as its signature has.
 *
 * @category constants
 * @since 0.2.0
 */
export const minSecretBytes = 32

/**
 * A key, by which tokens are signed.
 *
 * @category models
 * @since 0.2.0
 */
export interface Key {
  /** Names the key in the tokens that it signed: 1 to 32 letters, digits, `-` and `_`. */
  readonly id: string
  /** At least 32 bytes, such as `openssl rand -hex 32` prints. */
  readonly secret: Redacted.Redacted
}

const issues = {
  NoKey: () => "there is no key to sign links with",
  MalformedId: (place: number) =>
    `the id of key ${place} must be 1 to 32 letters, digits, - and _, with a colon between it and the secret`,
  ShortSecret: (place: number) => `the secret of key ${place} must have at least ${minSecretBytes} bytes`,
  RepeatedId: (place: number) => `key ${place} has the id of another key`
}

/**
 * Keys that cannot be used; no secret is named.
 *
 * @category errors
 * @since 0.2.0
 */
export class UnusableKeys extends Schema.TaggedError<UnusableKeys>("@waybill/webhooks/UnusableKeys")("UnusableKeys", {
  reason: Schema.Literals(["NoKey", "MalformedId", "ShortSecret", "RepeatedId"]),
  /** The place of the key among the others, from 1; 0 where there is none. */
  place: Schema.Int
}) {
  override get message(): string {
    return issues[this.reason](this.place)
  }
}

/**
 * An address for links that cannot be used.
 *
 * @category errors
 * @since 0.2.0
 */
export class UnusablePublicUrl
  extends Schema.TaggedError<UnusablePublicUrl>("@waybill/webhooks/UnusablePublicUrl")("UnusablePublicUrl", {})
{
  override get message(): string {
    return "the address of links must be an https URL without a query, or an http URL of this machine"
  }
}

const KeysTypeId = "@waybill/webhooks/Unsubscribe/Keys"

/**
 * One key or several, checked. The first signs; the others are good for the tokens that they signed before.
 *
 * @category models
 * @since 0.2.0
 */
export interface Keys {
  readonly [KeysTypeId]: typeof KeysTypeId
  readonly first: Key
  readonly byId: ReadonlyMap<string, Key>
}

const isId = (id: string): boolean => /^[A-Za-z0-9_-]{1,32}$/.test(id)

const bytesOf = (key: Key): number => Buffer.byteLength(Redacted.value(key.secret))

/**
 * Checks keys; the first is the one that signs.
 *
 * @category constructors
 * @since 0.2.0
 */
export const keys = (given: ReadonlyArray<Key>): Result.Result<Keys, UnusableKeys> => {
  const byId = new Map<string, Key>()
  for (const [index, key] of given.entries()) {
    const refuse = (reason: UnusableKeys["reason"]) => Result.fail(new UnusableKeys({ reason, place: index + 1 }))
    if (!isId(key.id)) return refuse("MalformedId")
    if (bytesOf(key) < minSecretBytes) return refuse("ShortSecret")
    if (byId.has(key.id)) return refuse("RepeatedId")
    byId.set(key.id, key)
  }
  const [first] = given
  return first === undefined
    ? Result.fail(new UnusableKeys({ reason: "NoKey", place: 0 }))
    : Result.succeed({ [KeysTypeId]: KeysTypeId, first, byId })
}

/**
 * Reads keys as a setting holds them: `id:secret`, or several separated by commas.
 *
 * @category parsing
 * @since 0.2.0
 */
export const parseKeys = (text: string): Result.Result<Keys, UnusableKeys> =>
  keys(
    Secrets.parse(text).map((part) => {
      const colon = part.indexOf(":")
      return { id: part.slice(0, Math.max(colon, 0)), secret: Redacted.make(part.slice(colon + 1)) }
    })
  )

const isLocal = (host: string): boolean =>
  host === "localhost" || host === "[::1]" || /^127(?:\.\d{1,3}){3}$/.test(host)

/**
 * Reads the address that links begin with: an https URL, which may have a path. For trying it out, an http URL of this machine
 * will do; mailbox providers take no such link.
 *
 * @category parsing
 * @since 0.2.0
 */
export const parseUrl = (text: string): Result.Result<string, UnusablePublicUrl> => {
  const refused = Result.fail(new UnusablePublicUrl())
  if (text.length > 500 || !/^https?:\/\/[^/\\]/i.test(text) || !URL.canParse(text)) return refused
  const url = new URL(text)
  const isPlain = url.username === "" && url.password === "" && !/[?#]/.test(text)
  if (!isPlain || (url.protocol === "http:" && !isLocal(url.hostname))) return refused
  return Result.succeed(`${url.origin}${url.pathname.replace(/\/+$/, "")}`)
}

/** What a token of this kind begins with, under its signature. */
const version = 1

const idBytes = 16

/** What is signed names its purpose, so that the same secret may sign other things. */
const signature = (key: Key, claim: string): string =>
  createHmac("sha256", Redacted.value(key.secret)).update(`waybill unsubscribe ${key.id}.${claim}`).digest("base64url")

/**
 * The token of a delivery: the key's id, the delivery with its tenant, and the signature, each after a dot.
 *
 * @category constructors
 * @since 0.2.0
 */
export const token = ({ first }: Keys, { deliveryId, tenantId }: Ledger.DeliveryKey): string => {
  const claim = Buffer.concat([
    Uint8Array.of(version),
    Buffer.from(deliveryId.replaceAll("-", ""), "hex"),
    Buffer.from(tenantId, "ascii")
  ]).toString("base64url")
  return `${first.id}.${claim}.${signature(first, claim)}`
}

const claimed = (claim: string): Option.Option<Ledger.DeliveryKey> => {
  const bytes = Buffer.from(claim, "base64url")
  if (bytes[0] !== version) return Option.none()
  const hex = bytes.subarray(1, 1 + idBytes).toString("hex")
  return Option.all({
    tenantId: Tenant.TenantId.makeOption(bytes.subarray(1 + idBytes).toString("latin1")),
    deliveryId: Event.DeliveryId.makeOption(hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5"))
  })
}

/**
 * The delivery that a token is about; none where none of the keys signed it, or anything of it was changed.
 *
 * @category verifying
 * @since 0.2.0
 */
export const read = ({ byId }: Keys, token: string): Option.Option<Ledger.DeliveryKey> => {
  const parts = /^([\w-]{1,32})\.([\w-]{1,400})\.([\w-]{43})$/.exec(token)
  if (parts === null) return Option.none()
  const [, id = "", claim = "", given = ""] = parts
  const key = byId.get(id)
  return key !== undefined && isEqual(given, signature(key, claim)) ? claimed(claim) : Option.none()
}

/**
 * The headers of a message, as RFC 2369 and RFC 8058 have them.
 *
 * @category models
 * @since 0.2.0
 */
export interface Headers {
  readonly "List-Unsubscribe": string
  readonly "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"
}

/**
 * The headers for the message of a delivery. They count where the signature of the message (DKIM) covers both.
 *
 * @category constructors
 * @since 0.2.0
 */
export const headers = (
  signing: {
    readonly keys: Keys
    /** Where the links lead: the address before `/unsubscribe/`, as `parseUrl` takes it. */
    readonly publicUrl: string
  },
  delivery: Ledger.DeliveryKey
): Result.Result<Headers, UnusablePublicUrl> =>
  Result.map(parseUrl(signing.publicUrl), (url) => ({
    "List-Unsubscribe": `<${url}/unsubscribe/${token(signing.keys, delivery)}>`,
    "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"
  }))

/**
 * The key of the one event that a delivery's link makes, however often it is used.
 *
 * @category getters
 * @since 0.2.0
 */
export const idempotencyKey = (deliveryId: Event.DeliveryId): IdempotencyKey.IdempotencyKey =>
  IdempotencyKey.IdempotencyKey.make(`${reporter}:unsubscribed:${deliveryId}`)

/**
 * The event that the use of a delivery's link makes. It echoes the delivery's id, so that it meets its delivery, also where that
 * is recorded later.
 *
 * @category constructors
 * @since 0.2.0
 */
export const event = (
  deliveryId: Event.DeliveryId,
  /** By a mail program, or by a person on the page. */
  by: "one-click" | "page",
  occurredAt: Timestamp.Timestamp
): Event.NewEvent =>
  Event.NewEvent.make({
    type: "unsubscribed",
    occurredAt,
    provider: reporter,
    echoedDeliveryId: Option.some(deliveryId),
    normalizedPayload: { event: "unsubscribe", subtype: by },
    idempotencyKey: idempotencyKey(deliveryId)
  })
