/**
 * Authenticates a request by a token that it carries: as a bearer in `Authorization`, in the header `X-Waybill-Token`, or as
 * `token` in the query of its address. The body is not covered, so a token belongs into an `https` request only.
 *
 * @since 0.2.0
 */
import type { Provider } from "@waybill/core"
import { Effect, Option, Redacted } from "effect"
import { randomBytes } from "node:crypto"
import * as Signature from "../internal/signature.ts"
import type * as Scheme from "../Scheme.ts"
import * as Webhook from "../Webhook.ts"

/** The token that a request carries; the first place that has one counts. */
const tokenIn = ({ headers, publicUrl }: Omit<Scheme.Head, "secrets">): string | undefined => {
  const bearer = /^Bearer +(.+)$/i.exec(headers["authorization"] ?? "")?.[1]
  if (bearer !== undefined) return bearer
  if (headers["x-waybill-token"] !== undefined) return headers["x-waybill-token"]
  return publicUrl !== undefined && URL.canParse(publicUrl)
    ? new URL(publicUrl).searchParams.get("token") ?? undefined
    : undefined
}

/**
 * Compares the request's token with every one that is active, before the body is read.
 *
 * @category verification
 * @since 0.2.0
 */
export const admit = (provider: Provider.Provider): Scheme.Admit => {
  const refuse = Signature.refusal(provider)
  return Effect.fnUntraced(function*({ secrets, ...head }) {
    const given = tokenIn(head)
    if (given === undefined) return yield* refuse("MissingHeader")
    return yield* Signature.judge(
      provider,
      secrets,
      (secret) => secret === "" ? Option.none() : Option.some(Signature.isEqual(secret, given))
    )
  })
}

/**
 * The scheme of a provider that posts with a token.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (
  provider: Provider.Provider,
  variable: string,
  about = "token of the webhook's address or headers"
): Scheme.Scheme => {
  const judge = admit(provider)
  return {
    name: "token",
    secrets: { variable, about },
    proof: "secret",
    admit: judge,
    open: Effect.succeed((attempt) => Effect.as(judge(attempt), Webhook.verified())),
    signing: {
      _tag: "Secret",
      generate: () => Redacted.make(randomBytes(24).toString("base64url")),
      make: (secret) => ({
        secrets: [secret],
        sign: ({ headers, ...request }) => ({
          ...request,
          headers: {
            ...headers,
            // Basic authentication may have taken its place.
            ...headers["authorization"] === undefined
              ? { authorization: `Bearer ${Redacted.value(secret)}` }
              : { "x-waybill-token": Redacted.value(secret) }
          }
        })
      })
    }
  }
}
