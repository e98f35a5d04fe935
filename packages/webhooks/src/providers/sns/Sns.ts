/**
 * Opens the row of a provider that publishes through Amazon SNS: verifies its envelopes, and confirms the subscriptions
 * that a tenant wants.
 *
 * @since 0.2.0
 */
import type { Provider } from "@waybill/core"
import { Effect, Option } from "effect"
import * as HttpClientError from "effect/http/HttpClientError"
import * as Signature from "../../internal/signature.ts"
import type * as Row from "../../Row.ts"
import type * as Scheme from "../../Scheme.ts"
import * as Webhook from "../../Webhook.ts"
import * as SnsCertificates from "./SnsCertificates.ts"
import * as SnsEnvelope from "./SnsEnvelope.ts"
import * as SnsSignature from "./SnsSignature.ts"
import * as SnsSubscriptions from "./SnsSubscriptions.ts"

/**
 * Whether Amazon has no certificate where an unverified request says that one is: it was forged, and no later attempt helps.
 */
const isNowhere = ({ cause }: SnsCertificates.CertificateUnavailable): boolean => {
  const status = HttpClientError.isHttpClientError(cause) ? cause.response?.status : undefined
  return status === 400 || status === 403 || status === 404 || status === 410
}

/**
 * Builds what verifies for a provider.
 *
 * @category constructors
 * @since 0.2.0
 */
export const verify = (
  provider: Provider.Provider
): Effect.Effect<Scheme.Verify, never, SnsCertificates.SnsCertificates> =>
  Effect.map(
    SnsCertificates.SnsCertificates,
    (certificates) => (attempt) =>
      SnsSignature.verify(provider, attempt).pipe(
        Effect.provideService(SnsCertificates.SnsCertificates, certificates),
        Effect.catchTag("CertificateUnavailable", (error) =>
          Effect.fail(
            isNowhere(error)
              ? Signature.refusal(provider)("BadSignature")
              : new Webhook.VerificationUnavailable({ provider, issue: error.message, cause: error })
          ))
      )
  )

/**
 * Builds what confirms the subscriptions of a provider.
 *
 * @category constructors
 * @since 0.2.0
 */
export const followUp = (
  provider: Provider.Provider
): Effect.Effect<Row.FollowUp, never, SnsSubscriptions.SnsSubscriptions> =>
  Effect.map(SnsSubscriptions.SnsSubscriptions, (subscriptions) =>
    Effect.fnUntraced(
      function*(webhook, credentials) {
        const confirmation = Option.flatMap(SnsEnvelope.read(webhook.body), SnsEnvelope.confirmation)
        if (Option.isNone(confirmation) || (yield* subscriptions.confirm(confirmation.value, credentials))) return
        yield* Effect.logWarning("subscription of Amazon SNS not confirmed").pipe(
          Effect.annotateLogs({ webhook: webhook.id })
        )
      },
      Effect.mapError((error) => new Webhook.FollowUpFailed({ provider, issue: error.message, cause: error }))
    ))
