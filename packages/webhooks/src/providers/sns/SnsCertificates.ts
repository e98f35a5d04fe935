/**
 * Holds the certificates with which Amazon SNS signs, fetched once from Amazon's own hosts.
 *
 * Only `https://sns.<region>.amazonaws.com/….pem` is ever asked for; no redirect is followed, a request takes at most
 * five seconds, and at most 64 certificates are kept.
 *
 * @since 0.1.0
 */
import { Cache, Context, DateTime, Effect, Exit, Layer, Option, Schema } from "effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import { type KeyObject, X509Certificate } from "node:crypto"

/**
 * The address of a certificate on a host of Amazon SNS.
 *
 * @category schemas
 * @since 0.1.0
 */
export const CertificateUrl = Schema.String.check(
  Schema.isPattern(/^https:\/\/sns\.[a-z0-9-]{3,}\.amazonaws\.com(?:\.cn)?\/[A-Za-z0-9_.-]{1,200}\.pem$/, {
    message: "must be the address of a certificate on a host of Amazon SNS"
  })
).pipe(Schema.brand("CertificateUrl"))

/**
 * The address of a certificate on a host of Amazon SNS.
 *
 * @category models
 * @since 0.1.0
 */
export type CertificateUrl = typeof CertificateUrl.Type

/**
 * A certificate, reduced to what verification needs.
 *
 * @category models
 * @since 0.1.0
 */
export interface Certificate {
  readonly publicKey: KeyObject
  readonly notBefore: DateTime.Utc
  readonly notAfter: DateTime.Utc
}

/**
 * A certificate could not be had; a later attempt may get it.
 *
 * @category errors
 * @since 0.1.0
 */
export class CertificateUnavailable
  extends Schema.TaggedError<CertificateUnavailable>("@waybill/webhooks/CertificateUnavailable")(
    "CertificateUnavailable",
    { url: CertificateUrl, cause: Schema.optionalKey(Schema.Defect()) }
  )
{
  override get message(): string {
    return `certificate of Amazon SNS unavailable: ${this.url}`
  }
}

/**
 * The certificates with which Amazon SNS signs.
 *
 * @category services
 * @since 0.1.0
 */
export class SnsCertificates extends Context.Service<SnsCertificates, {
  /** Returns the certificate at an address. */
  readonly get: (url: CertificateUrl) => Effect.Effect<Certificate, CertificateUnavailable>
}>()("@waybill/webhooks/SnsCertificates") {}

/**
 * Reads a certificate from its PEM text.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromPem: (pem: string) => Option.Option<Certificate> = Option.liftThrowable((pem) => {
  const certificate = new X509Certificate(pem)
  return {
    publicKey: certificate.publicKey,
    notBefore: DateTime.makeUnsafe(certificate.validFromDate.getTime()),
    notAfter: DateTime.makeUnsafe(certificate.validToDate.getTime())
  }
})

const capacity = 64

/**
 * Fetches certificates and keeps those it got.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<SnsCertificates, never, HttpClient.HttpClient> = Layer.effect(
  SnsCertificates,
  Effect.gen(function*() {
    const client = HttpClient.filterStatusOk(yield* HttpClient.HttpClient)
    const fetch = Effect.fn("SnsCertificates.fetch")(
      function*(url: CertificateUrl) {
        const response = yield* client.get(url)
        const certificate = fromPem(yield* response.text)
        return yield* Option.match(certificate, {
          onNone: () => Effect.fail(new CertificateUnavailable({ url })),
          onSome: Effect.succeed
        })
      },
      Effect.provideService(FetchHttpClient.RequestInit, { redirect: "error" }),
      Effect.timeout("5 seconds"),
      (effect, url) =>
        Effect.mapError(
          effect,
          (cause) => cause._tag === "CertificateUnavailable" ? cause : new CertificateUnavailable({ url, cause })
        )
    )
    const cache = yield* Cache.makeWith(fetch, {
      capacity,
      timeToLive: (exit) => Exit.isSuccess(exit) ? "1 day" : 0
    })
    return SnsCertificates.of({ get: (url) => Cache.get(cache, url) })
  })
)
