import { assert, describe, it } from "@effect/vitest"
import { Tenant } from "@waybill/core"
import { Secrets, Ses, type SnsEnvelope, SnsSubscriptions } from "@waybill/webhooks"
import { Effect, Layer, Redacted } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import * as Edge from "./Edge.ts"

const topicArn = "arn:aws:sns:eu-central-1:123456789012:mail"

const host = "https://sns.eu-central-1.amazonaws.com"

const subscribeUrl = `${host}/?Action=ConfirmSubscription&TopicArn=${topicArn}&Token=1`

/** A client that notes what it is asked for. */
const client = (asked: Array<string>, status = 200) =>
  Layer.succeed(
    HttpClient.HttpClient,
    HttpClient.make((request, url) => {
      asked.push(url.href)
      return Effect.succeed(HttpClientResponse.fromWeb(request, new Response("", { status })))
    })
  )

const secrets = (confirmSubscriptions: boolean, topics: ReadonlyArray<string> = [topicArn]) =>
  Secrets.layer({
    default: { secrets: { ses: topics.map((topic) => Redacted.make(topic)) }, switches: { confirmSubscriptions } }
  })

const confirm = Effect.fnUntraced(
  function*(confirmation: SnsEnvelope.Confirmation, tenantId: Tenant.TenantId = Tenant.defaultTenantId) {
    const subscriptions = yield* SnsSubscriptions.SnsSubscriptions
    const secrets = yield* Secrets.Secrets
    return yield* subscriptions.confirm(confirmation, secrets.lookup(tenantId, Ses.row.name))
  }
)

const layer = (client: Layer.Layer<HttpClient.HttpClient>, secrets: Layer.Layer<Secrets.Secrets>) =>
  Layer.merge(Layer.provide(SnsSubscriptions.layer, client), secrets)

describe("SnsSubscriptions", () => {
  it.effect("confirms a subscription of a listed topic where the tenant has opted in", () => {
    const asked: Array<string> = []
    return Effect.gen(function*() {
      assert.isTrue(yield* confirm({ topicArn, subscribeUrl }))
      assert.deepStrictEqual(asked, [subscribeUrl])
    }).pipe(Effect.provide(layer(client(asked), secrets(true))))
  })

  it.effect("asks nobody where the tenant has not, or is not there", () => {
    const asked: Array<string> = []
    return Effect.gen(function*() {
      assert.isFalse(yield* confirm({ topicArn, subscribeUrl }))
      assert.isFalse(yield* confirm({ topicArn, subscribeUrl }, Edge.tenant("other")))
      assert.deepStrictEqual(asked, [])
    }).pipe(Effect.provide(layer(client(asked), secrets(false))))
  })

  it.effect("asks no other host than Amazon's in the region of a listed topic", () => {
    const asked: Array<string> = []
    return Effect.gen(function*() {
      for (
        const url of [
          "http://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription",
          "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription",
          "https://sns.eu-central-1.amazonaws.com.evil.example/?Action=ConfirmSubscription",
          "https://sns.eu-central-1.amazonaws.com.cn/",
          "https://sns.eu-central-1.amazonaws.com:8443/",
          "https://evil.example/https://sns.eu-central-1.amazonaws.com/",
          "https://sns.eu-central-1.amazonaws.com@evil.example/",
          "https://user:pass@sns.eu-central-1.amazonaws.com/",
          "https://169.254.169.254/",
          "file:///etc/passwd",
          "not a url",
          ""
        ]
      ) {
        assert.isFalse(yield* confirm({ topicArn, subscribeUrl: url }), url)
      }
      const unlisted = "arn:aws:sns:eu-central-1:123456789012:other"
      assert.isFalse(yield* confirm({ topicArn: unlisted, subscribeUrl }))
      assert.isFalse(yield* confirm({ topicArn: "nonsense", subscribeUrl }))
      assert.deepStrictEqual(asked, [])
      const chinese = "arn:aws-cn:sns:cn-north-1:123456789012:mail"
      assert.isTrue(
        yield* confirm({ topicArn: chinese, subscribeUrl: "https://sns.cn-north-1.amazonaws.com.cn/?Token=1" })
      )
    }).pipe(
      Effect.provide(
        layer(client(asked), secrets(true, [topicArn, "nonsense", "arn:aws-cn:sns:cn-north-1:123456789012:mail"]))
      )
    )
  })

  it.effect("fails where Amazon refuses", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(confirm({ topicArn, subscribeUrl }))
      assert.strictEqual(error.message, "the subscription could not be confirmed")
    }).pipe(Effect.provide(layer(client([], 403), secrets(true)))))

  it.effect("fails where Amazon does not answer in time, also within a sweep that cannot be interrupted", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(
        Effect.uninterruptible(Effect.flip(confirm({ topicArn, subscribeUrl }))),
        { startImmediately: true }
      )
      yield* TestClock.adjust("5 seconds")
      const error = yield* (fiber.pollUnsafe() ?? assert.fail("it still waits"))
      assert.strictEqual(error._tag, "SubscriptionNotConfirmed")
    }).pipe(Effect.provide(layer(
      Layer.succeed(HttpClient.HttpClient, HttpClient.make(() => Effect.never)),
      secrets(true)
    ))))
})
