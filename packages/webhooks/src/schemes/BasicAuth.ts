/**
 * Authenticates a request by HTTP basic authentication. The body is not covered: who knows the credentials can send any, so they
 * belong into an `https` URL only.
 *
 * @since 0.2.0
 */
import type { Provider } from "@waybill/core"
import { Effect, Option, Redacted } from "effect"
import { randomBytes } from "node:crypto"
import * as Signature from "../internal/signature.ts"
import type * as Scheme from "../Scheme.ts"
import * as Webhook from "../Webhook.ts"

/**
 * Compares the request's credentials with every `user:pass` that is active, before the body is read.
 *
 * @category verification
 * @since 0.2.0
 */
export const admit = (provider: Provider.Provider): Scheme.Admit => {
  const refuse = Signature.refusal(provider)
  return Effect.fnUntraced(function*({ headers, secrets }) {
    const header = headers["authorization"]
    if (header === undefined) return yield* refuse("MissingHeader")
    const given = Option.flatMap(
      Option.fromUndefinedOr(/^Basic +([A-Za-z0-9+/=]+)$/i.exec(header)?.[1]),
      Signature.fromBase64
    )
    if (Option.isNone(given)) return yield* refuse("MalformedSignature")
    return yield* Signature.judge(
      provider,
      secrets,
      (secret) => /^[^:]*:.+$/.test(secret) ? Option.some(Signature.isEqual(secret, given.value)) : Option.none()
    )
  })
}

/**
 * The scheme of a provider that posts with a `user:pass`.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (provider: Provider.Provider, variable: string): Scheme.Scheme => {
  const judge = admit(provider)
  return {
    name: "basicAuth",
    secrets: { variable, about: "user:pass of the webhook's URL" },
    proof: "secret",
    admit: judge,
    open: Effect.succeed((attempt) => Effect.as(judge(attempt), Webhook.verified())),
    signing: {
      _tag: "Secret",
      generate: () => Redacted.make(`${provider}:${randomBytes(18).toString("base64url")}`),
      make: (secret) => ({
        secrets: [secret],
        sign: ({ headers, ...request }) => ({
          ...request,
          headers: { ...headers, authorization: `Basic ${Buffer.from(Redacted.value(secret)).toString("base64")}` }
        })
      })
    }
  }
}
