import { assert, describe, it } from "@effect/vitest"
import { SnsCertificates } from "@waybill/webhooks"
import { DateTime, Effect, Fiber, Layer, Option, Result } from "effect"
import { FetchHttpClient, HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { createVerify } from "node:crypto"

/** A certificate made for this test; its key is lost. */
const pem = [
  "-----BEGIN CERTIFICATE-----",
  "MIIDGzCCAgOgAwIBAgIUb5zXq3QzqVpkG4uR/HDnG9rOS58wDQYJKoZIhvcNAQEL",
  "BQAwHDEaMBgGA1UEAwwRc25zLmFtYXpvbmF3cy5jb20wIBcNMjYxMTIzMTI1MTQy",
  "WhgPMjEyNjEwMzAxMjUxNDJaMBwxGjAYBgNVBAMMEXNucy5hbWF6b25hd3MuY29t",
  "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAuP4hI/eBCToJaJT/WRws",
  "AeHmwB3ClQtfO/b2wu3/ncisBaA/roXxxoTZmwHqU6FQu4Wq3GMYeiWWz5Y/GooR",
  "eXg70k26UupAV9+gI5qPLLMmROYZ6QoEhHUbQVUEEiwiFAqqrlV/bSLCHf9rYeyv",
  "RDZNHMATHxtywjvFlGo6liLjTPX8Z3GOXf4P+dzOGxXV4r1StLVAwTtudT9KgVHn",
  "DacOGOOYo/glt874O+iygiX3fiD/iZl9S0DnxXqeKGgLnADfxTtsBoai5rm1GUVn",
  "rBwGhWvQRs7paLYusCtv6v/aeqWPsGwnCNFkug2GwRIyVZ+902Im07u6p6EBFqvq",
  "YQIDAQABo1MwUTAdBgNVHQ4EFgQUKcjznK1aY0H/e6toE9kgjXXqkVEwHwYDVR0j",
  "BBgwFoAUKcjznK1aY0H/e6toE9kgjXXqkVEwDwYDVR0TAQH/BAUwAwEB/zANBgkq",
  "hkiG9w0BAQsFAAOCAQEAI70vRekTT1PyszT9clRNeKF92JoqpK4xgQbCr/nvmMLM",
  "koyrJ+E7eqTnw+/pHMlv9zI1iqjFW5MC4+AmHRDNzGy7aWzZgTLSd+yVHNSIobPF",
  "yCSn0mkZUT47wyLp4VddSYZZZDPKjToASr7wQ1ai9f3N6RO7+WbRW9kawgdpNMoA",
  "Khg1CxmGxMJavdXQJf5d+0SLft7a6HI0I5czYPYH7Q8U+u4QeKUosJai5tFM+ejk",
  "0Hw8cN0IzQQXuWTX2eKqPsM5ZEOudZAu2c9Q78PFqt5HbJE/3pBJXrHAhCRs59Vu",
  "UKEygWk4NxRgthA51yZaP/p3xTnO2AYYG08B8IbR1Q==",
  "-----END CERTIFICATE-----"
].join("\n")

/** What that key signed. */
const signature = [
  "AhI4wpSxPj315/CZGCkTsdaNwuMrOJRDaXZNUCyv6YQmZFKP2v1ESM/dUOMgsiDM/ZWqQ9zSXf+c",
  "N6Z4ZtinqG9WjE2DTlazBqhaP8imAC/Y/mhPxkr/gOGWMvr+sxoyKMmwwEZzmcW70CoCXLs3f9Ui",
  "Cb2NmfDRnT7slFukD3wStI82V//MIAbZZNPU4vskO95E3EL+RN7SdZaHnh8fCqI9Og1O5Jpfwo/h",
  "GmxyLtX6A5QXNc5XILZZc/lyPr4xgy2SGPQ3hXdbNHPVIO+KW8EVRB1z0Yr4lA6q37UKP5frV8xC",
  "77AppRxFO+YiVMTtTXRYgsAY9Y/UyqHwkr2vDw=="
].join("")

const url = (name: string) =>
  SnsCertificates.CertificateUrl.make(`https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-${name}.pem`)

/** A client that answers each address as it is told and notes what it was asked. */
const client = (answer: (asked: string) => Effect.Effect<Response>) => {
  const asked: Array<string> = []
  const layer = SnsCertificates.layer.pipe(
    Layer.provide(Layer.succeed(
      HttpClient.HttpClient,
      HttpClient.make((request, url) => {
        asked.push(url.href)
        return Effect.map(answer(url.href), (response) => HttpClientResponse.fromWeb(request, response))
      })
    ))
  )
  return { asked, layer }
}

const get = (name: string) => SnsCertificates.SnsCertificates.use((certificates) => certificates.get(url(name)))

describe("SnsCertificates", () => {
  it("reads a certificate", () => {
    const certificate = Option.getOrThrow(SnsCertificates.fromPem(pem))
    const verifier = createVerify("sha256").update("signed by Amazon SNS")
    assert.isTrue(verifier.verify(certificate.publicKey, signature, "base64"))
    assert.strictEqual(DateTime.formatIso(certificate.notBefore), "2026-11-23T12:51:42.000Z")
    assert.strictEqual(DateTime.formatIso(certificate.notAfter), "2126-10-30T12:51:42.000Z")
    assert.isTrue(Option.isNone(SnsCertificates.fromPem("-----BEGIN CERTIFICATE-----")))
  })

  it.effect("asks once for each address", () => {
    const { asked, layer } = client(() => Effect.succeed(new Response(pem)))
    return Effect.gen(function*() {
      yield* Effect.all([get("a"), get("a"), get("b")], { concurrency: "unbounded" })
      yield* get("a")
      assert.deepStrictEqual(asked.toSorted(), [url("a"), url("b")])
    }).pipe(Effect.provide(layer))
  })

  it.effect("keeps 64 of them", () => {
    const { asked, layer } = client(() => Effect.succeed(new Response(pem)))
    return Effect.gen(function*() {
      for (let index = 0; index < 65; index++) yield* get(String(index))
      yield* get("64")
      assert.strictEqual(asked.length, 65)
      yield* get("0")
      assert.strictEqual(asked.length, 66)
    }).pipe(Effect.provide(layer))
  })

  it.effect("asks again after a failure", () => {
    const responses = [
      new Response(null, { status: 500 }),
      new Response(null, { status: 301, headers: { location: "https://evil.example/" } }),
      new Response("not a certificate"),
      new Response(pem)
    ]
    const { asked, layer } = client(() => Effect.sync(() => responses.shift() ?? assert.fail("asked too often")))
    return Effect.gen(function*() {
      for (let index = 0; index < 3; index++) {
        const result = yield* Effect.result(get("a"))
        assert.isTrue(Result.isFailure(result) && result.failure._tag === "CertificateUnavailable")
      }
      yield* get("a")
      assert.strictEqual(asked.length, 4)
    }).pipe(Effect.provide(layer))
  })

  it.effect("gives up after five seconds", () => {
    const { layer } = client(() => Effect.never)
    return Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(Effect.result(get("a")))
      yield* TestClock.adjust("5 seconds")
      assert.isTrue(Result.isFailure(yield* Fiber.join(fiber)))
    }).pipe(Effect.provide(layer))
  })

  it.effect("lets no redirect be followed", () => {
    const redirects: Array<unknown> = []
    const layer = SnsCertificates.layer.pipe(
      Layer.provide(FetchHttpClient.layer),
      Layer.provide(Layer.succeed(FetchHttpClient.Fetch, (_, init) => {
        redirects.push(init?.redirect)
        return Promise.resolve(new Response(pem))
      }))
    )
    return Effect.gen(function*() {
      yield* Effect.result(get("a"))
      assert.deepStrictEqual(redirects, ["error"])
    }).pipe(Effect.provide(layer))
  })
})
