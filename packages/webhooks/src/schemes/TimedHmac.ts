/**
 * Verifies requests that are signed by HMAC-SHA256 over a time and the raw body, in hexadecimal: near kin of Standard Webhooks,
 * without an id.
 *
 * @since 0.2.0
 */
import type { Provider } from "@waybill/core"
import { type DateTime, Duration, Effect, Option, Redacted } from "effect"
import { createHmac, randomBytes } from "node:crypto"
import * as Signature from "../internal/signature.ts"
import type * as Scheme from "../Scheme.ts"
import * as Webhook from "../Webhook.ts"
import { tolerance } from "./StandardWebhooks.ts"

/**
 * What a request says of its signature.
 *
 * @category models
 * @since 0.2.0
 */
export interface Signed {
  /** The time as it is signed. */
  readonly time: string
  readonly signatures: ReadonlyArray<string>
}

/**
 * How a provider signs.
 *
 * @category models
 * @since 0.2.0
 */
export interface Variant {
  readonly variable: string
  readonly about: string
  /** The digits of a signed time: ten are seconds, thirteen milliseconds. */
  readonly digits: 10 | 13
  /** Reads the headers; none where one is missing. A field that cannot be read is empty. */
  readonly read: (headers: Webhook.Request["headers"]) => Option.Option<Signed>
  /** The beginning of what is signed, before the body; the time and a dot by default. */
  readonly prefix?: (time: string) => string
  /** Whether the time is judged; not where later tries are sent with the time of the first. It is by default. */
  readonly isTimely?: false
  /** The headers that say a signature. */
  readonly write: (time: string, signature: string) => Readonly<Record<string, string>>
}

const isTime = ({ digits }: Variant, time: string): boolean => /^\d+$/.test(time) && time.length === digits

const millis = ({ digits }: Variant, time: string): number => digits === 13 ? Number(time) : Number(time) * 1000

const written = ({ digits }: Variant, at: DateTime.Utc): string =>
  digits === 13 ? String(at.epochMilliseconds).padStart(digits, "0") : Signature.unixTime(at)

const dotted = (time: string): string => `${time}.`

const digestOf = ({ prefix = dotted }: Variant, secret: string, time: string, body: Uint8Array): string =>
  createHmac("sha256", secret).update(prefix(time)).update(body).digest("hex")

const read = (provider: Provider.Provider, variant: Variant) => {
  const refuse = Signature.refusal(provider)
  return Effect.fnUntraced(function*(headers: Webhook.Request["headers"]) {
    const signed = variant.read(headers)
    if (Option.isNone(signed)) return yield* refuse("MissingHeader")
    if (!isTime(variant, signed.value.time) || signed.value.signatures.length === 0) {
      return yield* refuse("MalformedSignature")
    }
    return signed.value
  })
}

/**
 * The scheme of a provider that signs so. A time that is judged and more than five minutes from ours is refused.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (provider: Provider.Provider, variant: Variant): Scheme.Scheme => {
  const signed = read(provider, variant)
  const verify: Scheme.Verify = Effect.fnUntraced(function*({ body, headers, receivedAt, secrets }) {
    const { signatures, time } = yield* signed(headers)
    yield* Signature.judge(provider, secrets, (secret) => {
      if (secret === "") return Option.none()
      const expected = digestOf(variant, secret, time, body)
      return Option.some(signatures.map((each) => Signature.isEqual(each, expected)).includes(true))
    })
    const apart = Math.abs(receivedAt.epochMilliseconds - millis(variant, time))
    if (variant.isTimely !== false && apart > Duration.toMillis(tolerance)) {
      return yield* Signature.refusal(provider)("TimestampOutOfTolerance")
    }
    return Webhook.verified()
  })
  return {
    name: "signature",
    secrets: { variable: variant.variable, about: variant.about },
    proof: "signature",
    admit: ({ headers }) => Effect.asVoid(signed(headers)),
    open: Effect.succeed(verify),
    signing: {
      _tag: "Secret",
      generate: () => Redacted.make(randomBytes(24).toString("hex")),
      make: (secret) => ({
        secrets: [secret],
        sign: ({ body, headers, ...request }, sentAt) => {
          const time = written(variant, sentAt)
          return {
            ...request,
            body,
            headers: { ...headers, ...variant.write(time, digestOf(variant, Redacted.value(secret), time, body)) }
          }
        }
      })
    }
  }
}
