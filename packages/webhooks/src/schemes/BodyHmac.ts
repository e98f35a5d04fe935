/**
 * Verifies requests of which a header holds the HMAC-SHA256 of the raw body, in hexadecimal digits. No time is signed, so that a
 * request that comes again is told by the ids of its events alone.
 *
 * @since 0.2.0
 */
import type { Provider } from "@waybill/core"
import { Effect, Option, Redacted } from "effect"
import { createHmac, randomBytes } from "node:crypto"
import * as Signature from "../internal/signature.ts"
import type * as Scheme from "../Scheme.ts"
import * as Webhook from "../Webhook.ts"

/**
 * How a provider signs.
 *
 * @category models
 * @since 0.2.0
 */
export interface Variant {
  /** The environment variable of the secrets. */
  readonly variable: string
  /** The header with the signature, in lower case. */
  readonly header: string
}

const digest = (secret: string, body: Uint8Array): string => createHmac("sha256", secret).update(body).digest("hex")

/**
 * The scheme of a provider that signs so. The text of a secret is the key.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (provider: Provider.Provider, { header, variable }: Variant): Scheme.Scheme => {
  const refuse = Signature.refusal(provider)
  const signed = Effect.fnUntraced(function*({ [header]: signature }: Webhook.Request["headers"]) {
    if (signature === undefined) return yield* refuse("MissingHeader")
    if (!/^[0-9a-f]{64}$/.test(signature)) return yield* refuse("MalformedSignature")
    return signature
  })
  return {
    name: "signature",
    secrets: { variable, about: "signing secret of the webhook" },
    proof: "signature",
    admit: ({ headers }) => Effect.asVoid(signed(headers)),
    open: Effect.succeed(Effect.fnUntraced(function*({ body, headers, secrets }) {
      const signature = yield* signed(headers)
      yield* Signature.judge(
        provider,
        secrets,
        (secret) => secret === "" ? Option.none() : Option.some(Signature.isEqual(signature, digest(secret, body)))
      )
      return Webhook.verified()
    })),
    signing: {
      _tag: "Secret",
      generate: () => Redacted.make(randomBytes(24).toString("base64url")),
      make: (secret) => ({
        secrets: [secret],
        sign: ({ body, headers, ...request }) => ({
          ...request,
          body,
          headers: { ...headers, [header]: digest(Redacted.value(secret), body) }
        })
      })
    }
  }
}
