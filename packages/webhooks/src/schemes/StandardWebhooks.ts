/**
 * Verifies requests that are signed as Standard Webhooks says, of which Svix is the first: HMAC-SHA256 over the id, the time and
 * the raw body, in three headers. Providers differ in the form of the key and of the signature.
 *
 * @since 0.2.0
 */
import type { Provider } from "@waybill/core"
import { Duration, Effect, Option, Redacted } from "effect"
import { createHmac, randomBytes } from "node:crypto"
import { sha256Hex } from "../internal/digest.ts"
import * as Signature from "../internal/signature.ts"
import type * as Scheme from "../Scheme.ts"
import * as Webhook from "../Webhook.ts"

/**
 * How far the signed time may be from ours: every attempt is signed anew, so that five minutes do for a retry after hours.
 *
 * @category constants
 * @since 0.2.0
 */
export const tolerance: Duration.Duration = Duration.seconds(300)

/**
 * How a provider signs.
 *
 * @category models
 * @since 0.2.0
 */
export interface Variant {
  readonly variable: string
  readonly about: string
  /** The first words of the three headers; the first spelling that a request has counts. */
  readonly prefixes: readonly ["svix" | "webhook", ...ReadonlyArray<"svix" | "webhook">]
  /** Whether a secret is the key in base64, after `whsec_`, or its text is the key as it is. */
  readonly key: "base64" | "text"
  /** Whether each signature has its version before it, `v1,…`, or stands alone. */
  readonly signature: "versioned" | "bare"
}

/**
 * The headers in which a request says its id, its time and its signatures.
 *
 * @category getters
 * @since 0.2.0
 */
export const headersOf = ({ prefixes }: Pick<Variant, "prefixes">): ReadonlyArray<string> =>
  prefixes.flatMap((prefix) => [`${prefix}-id`, `${prefix}-timestamp`, `${prefix}-signature`])

/**
 * The id of a request, in whichever spelling; it stays the same over retries.
 *
 * @category getters
 * @since 0.2.0
 */
export const idOf = (headers: Webhook.Request["headers"]): string | undefined => {
  const id = headers["svix-id"] ?? headers["webhook-id"]
  return id === "" ? undefined : id
}

const keyOf = ({ key }: Variant, secret: string): Option.Option<Uint8Array> => {
  if (key === "text") return secret === "" ? Option.none() : Option.some(Buffer.from(secret))
  const text = secret.trim().replace(/^whsec_/, "")
  return Signature.fromBase64(text.padEnd(Math.ceil(text.length / 4) * 4, "="))
}

const versioned = (signatures: string): ReadonlyArray<string> =>
  signatures.split(" ").filter((each) => each.startsWith("v1,")).map((each) => each.slice(3))

const bare = (signatures: string): ReadonlyArray<string> => signatures.split(" ").filter((each) => each !== "")

/** Reads the signatures and what they cover beside the body. */
const reader = (provider: Provider.Provider, { prefixes, signature }: Variant) => {
  const refuse = Signature.refusal(provider)
  return Effect.fnUntraced(function*(headers: Webhook.Request["headers"]) {
    const prefix = prefixes.find((prefix) => headers[`${prefix}-id`] !== undefined) ?? prefixes[0]
    const id = headers[`${prefix}-id`]
    const timestamp = headers[`${prefix}-timestamp`]
    const signatures = headers[`${prefix}-signature`]
    if (id === undefined || timestamp === undefined || signatures === undefined) return yield* refuse("MissingHeader")
    const given = signature === "bare" ? bare(signatures) : versioned(signatures)
    if (given.length === 0 || !Signature.isUnixTime(timestamp) || id === "" || id.includes(".")) {
      return yield* refuse("MalformedSignature")
    }
    return { id, timestamp, given }
  })
}

/**
 * Checks the signature against every active secret; a request may have several signatures. A time that is more than five
 * minutes from ours is refused.
 *
 * @category verification
 * @since 0.2.0
 */
export const verify = (provider: Provider.Provider, variant: Variant): Scheme.Verify => {
  const read = reader(provider, variant)
  return Effect.fnUntraced(function*({ body, headers, receivedAt, secrets }) {
    const { given, id, timestamp } = yield* read(headers)
    yield* Signature.judge(provider, secrets, (secret) =>
      Option.map(keyOf(variant, secret), (key) => {
        const expected = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest("base64")
        return given.map((each) => Signature.isEqual(each, expected)).includes(true)
      }))
    if (Math.abs(receivedAt.epochMilliseconds - Number(timestamp) * 1000) > Duration.toMillis(tolerance)) {
      return yield* Signature.refusal(provider)("TimestampOutOfTolerance")
    }
    return Webhook.verified()
  })
}

const signer = (variant: Variant, secret: Redacted.Redacted): Scheme.Signer => ({
  secrets: [secret],
  sign: ({ body, headers, ...request }, sentAt) => {
    const [prefix] = variant.prefixes
    const id = headers[`${prefix}-id`] ?? `msg_${sha256Hex(Buffer.from(body).toString("base64")).slice(0, 27)}`
    const timestamp = Signature.unixTime(sentAt)
    const key = Option.getOrElse(keyOf(variant, Redacted.value(secret)), () => new Uint8Array())
    const digest = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest("base64")
    return {
      ...request,
      body,
      headers: {
        ...headers,
        [`${prefix}-id`]: id,
        [`${prefix}-timestamp`]: timestamp,
        [`${prefix}-signature`]: variant.signature === "bare" ? digest : `v1,${digest}`
      }
    }
  }
})

/**
 * The scheme of a provider that signs so.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (provider: Provider.Provider, variant: Variant): Scheme.Scheme => {
  const read = reader(provider, variant)
  return {
    name: "signature",
    secrets: { variable: variant.variable, about: variant.about },
    proof: "signature",
    admit: ({ headers }) => Effect.asVoid(read(headers)),
    open: Effect.succeed(verify(provider, variant)),
    signing: {
      _tag: "Secret",
      generate: () => {
        const key = randomBytes(24).toString("base64")
        return Redacted.make(variant.signature === "bare" ? key : `whsec_${key}`)
      },
      make: (secret) => signer(variant, secret)
    }
  }
}
