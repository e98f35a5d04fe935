/**
 * Opens the row of a provider that publishes through Amazon SNS: verifies its envelopes, and confirms the subscriptions
 * that a tenant wants.
 *
 * @since 0.2.0
 */
import type { Provider } from "@waybill/core"
import { Effect, Layer, Option } from "effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as Signature from "../../internal/signature.ts"
import type * as Row from "../../Row.ts"
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
 * Builds what verifies and follows up for a provider.
 *
 * @category constructors
 * @since 0.2.0
 */
export const open = (
  provider: Provider.Provider
): Effect.Effect<Required<Row.Open>, never, SnsCertificates.SnsCertificates | SnsSubscriptions.SnsSubscriptions> =>
  Effect.gen(function*() {
    const certificates = yield* SnsCertificates.SnsCertificates
    const subscriptions = yield* SnsSubscriptions.SnsSubscriptions

    const verify: Row.Verify = (attempt) =>
      SnsSignature.verify(provider, attempt).pipe(
        Effect.provideService(SnsCertificates.SnsCertificates, certificates),
        Effect.catchTag("CertificateUnavailable", (error) =>
          Effect.fail(
            isNowhere(error)
              ? Signature.refusal(provider)("BadSignature")
              : new Webhook.VerificationUnavailable({ provider, issue: error.message, cause: error })
          ))
      )

    const followUp: Row.FollowUp = Effect.fnUntraced(
      function*(webhook, credentials) {
        const confirmation = Option.flatMap(SnsEnvelope.read(webhook.body), SnsEnvelope.confirmation)
        if (Option.isNone(confirmation) || (yield* subscriptions.confirm(confirmation.value, credentials))) return
        yield* Effect.logWarning("subscription of Amazon SNS not confirmed").pipe(
          Effect.annotateLogs({ webhook: webhook.id })
        )
      },
      Effect.mapError((error) => new Webhook.FollowUpFailed({ provider, issue: error.message, cause: error }))
    )

    return { verify, followUp }
  })

/**
 * The certificates and subscriptions of Amazon SNS, over HTTP.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer: Layer.Layer<
  SnsCertificates.SnsCertificates | SnsSubscriptions.SnsSubscriptions,
  never,
  HttpClient.HttpClient
> = Layer.merge(SnsCertificates.layer, SnsSubscriptions.layer)
