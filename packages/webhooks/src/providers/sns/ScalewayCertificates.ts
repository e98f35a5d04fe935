/**
 * Looks up the certificates with which Scaleway signs, and believes those alone that its own authority issued.
 *
 * Only hosts of Scaleway's object storage are ever asked, those of `messaging`; no redirect is followed, a request takes at most
 * five seconds, and at most 64 certificates are kept. The chain of the authority is one file for each region.
 *
 * @since 0.2.0
 */
import type { Provider } from "@waybill/core"
import { Cache, DateTime, Effect, Exit, Option } from "effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import { X509Certificate } from "node:crypto"
import * as Webhook from "../../Webhook.ts"
import type { Certificate, CertificateOf } from "./Scaleway.ts"

const chainOf = (region: string): string => `https://messaging.s3.fr-par.scw.cloud/${region}/sns/sns-trust-chain.pem`

const capacity = 64

const blocks = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

const read: (pem: string) => Option.Option<X509Certificate> = Option.liftThrowable((pem) => new X509Certificate(pem))

/** The certificates of a file. */
const readAll = (pem: string): ReadonlyArray<X509Certificate> =>
  (pem.match(blocks) ?? []).flatMap((block) => Option.toArray(read(block)))

const isIssuedBy = (certificate: X509Certificate, authority: X509Certificate): boolean =>
  authority.ca && certificate.checkIssued(authority) && certificate.verify(authority.publicKey)

/**
 * The first certificate of a text, if one of an authority's chain issued it and is not over by then.
 *
 * @category constructors
 * @since 0.2.0
 */
export const fromPem = (pem: string, chain: string, at: DateTime.Utc): Option.Option<Certificate> => {
  const authorities = readAll(chain).filter(({ validToDate }) => validToDate.getTime() >= at.epochMilliseconds)
  const [certificate] = readAll(pem)
  return certificate !== undefined && authorities.some((authority) => isIssuedBy(certificate, authority))
    ? Option.some({
      publicKey: certificate.publicKey,
      notBefore: DateTime.makeUnsafe(certificate.validFromDate.getTime()),
      notAfter: DateTime.makeUnsafe(certificate.validToDate.getTime())
    })
    : Option.none()
}

/**
 * Looks certificates up over HTTP.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (provider: Provider.Provider): Effect.Effect<CertificateOf, never, HttpClient.HttpClient> =>
  Effect.gen(function*() {
    const client = yield* HttpClient.HttpClient
    const fetch = Effect.fn("ScalewayCertificates.fetch")(
      function*(url: string) {
        const response = yield* client.get(url)
        if (response.status >= 400 && response.status < 500) return Option.none()
        const { text } = yield* HttpClientResponse.filterStatusOk(response)
        return Option.some(yield* text)
      },
      Effect.provideService(FetchHttpClient.RequestInit, { redirect: "error" }),
      Effect.timeout("5 seconds"),
      Effect.mapError((cause) =>
        new Webhook.VerificationUnavailable({ provider, issue: "a certificate of Scaleway cannot be had", cause })
      )
    )
    const cache = yield* Cache.makeWith(fetch, {
      capacity,
      timeToLive: (exit) => Exit.isSuccess(exit) && Option.isSome(exit.value) ? "1 day" : "1 minute"
    })
    return Effect.fnUntraced(function*(url, region) {
      const chain = yield* Cache.get(cache, chainOf(region))
      if (Option.isNone(chain)) {
        return yield* new Webhook.VerificationUnavailable({
          provider,
          issue: "the chain of Scaleway's authority cannot be had",
          cause: undefined
        })
      }
      const pem = yield* Cache.get(cache, url)
      const now = yield* DateTime.now
      return Option.flatMap(pem, (pem) => fromPem(pem, chain.value, now))
    })
  })
