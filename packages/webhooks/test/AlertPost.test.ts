import { assert, describe, it } from "@effect/vitest"
import { Alerts, type Judgement, Provider, Tenant } from "@waybill/core"
import { MemoryStorage } from "@waybill/storage"
import { AlertPost, PublicAddress, StandardWebhooks, type Webhook } from "@waybill/webhooks"
import { DateTime, Effect, Layer, Logger, Option, Redacted } from "effect"
import { SecureRandom } from "effect/crypto"
import { TestClock } from "effect/testing"
import { createServer, type IncomingHttpHeaders } from "node:http"

const secret = Redacted.make(`whsec_${Buffer.alloc(32, 7).toString("base64")}`)

interface Got {
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** A receiver that answers with some statuses, one after the other, the last again and again. */
const receiver = Effect.fnUntraced(function*(...statuses: ReadonlyArray<number>) {
  const got: Array<Got> = []
  const server = createServer((request, response) => {
    let body = ""
    request.setEncoding("utf8").on("data", (text: string) => (body += text))
    request.on("end", () => {
      got.push({ headers: request.headers, body })
      response.writeHead(statuses[Math.min(got.length, statuses.length) - 1] ?? 200, { location: "/elsewhere" }).end(
        "x"
      )
    })
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  )
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : assert.fail("no port")
  return { got, port }
})

const targetOf = (url: string, allowPrivate = true): AlertPost.Target => ({
  url: Redacted.make(url),
  secret,
  allowPrivate
})

const acme = Tenant.TenantId.make("acme")

const bad: Judgement.Judgement = {
  tenantId: acme,
  rule: "silent_provider",
  subject: { provider: Provider.Provider.make("postmark") },
  level: "over",
  value: 0.75,
  of: 100,
  line: 0.5
}

const specimen: AlertPost.Posted = {
  alertId: null,
  tenantId: Tenant.all,
  rule: "no_sweep",
  subject: { schedule: "reconcile" },
  kind: "opened",
  at: DateTime.makeUnsafe(1_772_366_400_000),
  value: 3600,
  of: 0,
  line: 1800
}

const verify = StandardWebhooks.verify(Provider.Provider.make("waybill"), {
  variable: "X",
  about: "",
  prefixes: ["webhook"],
  key: "base64",
  signature: "versioned"
})

const verified = Effect.fnUntraced(function*({ body, headers }: Got) {
  const request: Webhook.Request = {
    headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)])),
    body: new TextEncoder().encode(body)
  }
  yield* verify({ ...request, receivedAt: yield* DateTime.now, secrets: [secret] })
})

const storage = MemoryStorage.layer.pipe(Layer.provide(SecureRandom.layerWebCrypto))

describe("an alert", () => {
  it.live("is posted once, signed as Standard Webhooks says, and tells nothing but what is said of it", () =>
    Effect.gen(function*() {
      const { got, port } = yield* receiver(200)
      const alerts = yield* Alerts.Alerts
      const [notice] = yield* alerts.settle({ judged: ["silent_provider"], judgements: [bad] })
      const target = targetOf(`http://127.0.0.1:${port}/hook?token=x`)
      const posted = yield* Effect.replicateEffect(AlertPost.postDue(target), 3, { concurrency: 3 })
      assert.deepStrictEqual(posted.toSorted((left, right) => left - right), [0, 0, 1])
      assert.strictEqual(yield* AlertPost.postDue(target), 0)
      const [request] = got
      assert(request !== undefined && got.length === 1 && notice !== undefined)
      yield* verified(request)
      assert.strictEqual(request.headers["webhook-id"], `alert_${notice.alertId}_${notice.position}`)
      assert.deepStrictEqual(JSON.parse(request.body), {
        type: "alert.opened",
        timestamp: DateTime.formatIso(notice.at),
        data: {
          alertId: notice.alertId,
          tenantId: "acme",
          rule: "silent_provider",
          subject: { provider: "postmark" },
          value: 0.75,
          of: 100,
          line: 0.5,
          summary:
            "provider=postmark: 75 % of the mail dispatched by the provider was never heard of (75 of 100), above 50 %",
          advice:
            "See that its webhooks are switched on and reach serve: waybill send-test, and the provider's own log of them."
        }
      })
    }).pipe(Effect.provide(storage, { local: true })))

  it.live("that is not taken is posted again under the same id when it is due, and a redirection is not followed", () =>
    Effect.gen(function*() {
      const { got, port } = yield* receiver(500, 302, 204)
      const alerts = yield* Alerts.Alerts
      yield* TestClock.setTime(specimen.at.epochMilliseconds)
      yield* alerts.settle({ judged: ["silent_provider"], judgements: [bad] })
      const lines: Array<unknown> = []
      const logger = Logger.layer([Logger.map(Logger.formatStructured, (line) => void lines.push(line))])
      const due = Effect.provide(AlertPost.postDue(targetOf(`http://127.0.0.1:${port}/secret`)), logger)
      assert.strictEqual(yield* due, 0)
      assert.strictEqual(yield* due, 0)
      assert.lengthOf(got, 1)
      yield* TestClock.adjust("1 minutes")
      assert.strictEqual(yield* due, 0)
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(yield* due, 1)
      yield* TestClock.adjust("1 hours")
      assert.strictEqual(yield* due, 0)
      assert.lengthOf(got, 3)
      assert.strictEqual(new Set(got.map(({ headers }) => headers["webhook-id"])).size, 1)
      assert.include(JSON.stringify(lines), "it answers 500")
      assert.notMatch(JSON.stringify(lines), /secret|127\.0\.0\.1/)
    }).pipe(Effect.provide(Layer.merge(storage, TestClock.layer()), { local: true })))

  it.live("is not posted to a private address, by number or by name, unless that is allowed", () =>
    Effect.gen(function*() {
      const { got, port } = yield* receiver(200)
      const post = (host: string, allowPrivate = false) =>
        AlertPost.post(targetOf(`http://${host}:${port}/`, allowPrivate), "alert_test", specimen)
      for (const host of ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "2130706433", "0x7f.1", "0.0.0.0"]) {
        const error = yield* Effect.flip(post(host))
        assert.include(error.message, "private network", host)
      }
      assert.lengthOf(got, 0)
      yield* post("localhost", true)
      assert.deepStrictEqual(got.map(({ body }) => JSON.parse(body).type), ["alert.test"])
    }))

  it.live("that cannot be posted says why without the address", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(AlertPost.post(targetOf("http://127.0.0.1:1/x"), "alert_test", specimen))
      assert.strictEqual(error.message, "the alert was not taken: ECONNREFUSED")
    }))
})

describe("an address", () => {
  it("is public or not", () => {
    for (
      const address of [
        "10.1.2.3",
        "172.31.255.255",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "fd00::1"
      ]
    ) assert.isFalse(PublicAddress.isPublic(address), address)
    for (const address of ["fe80::1", "fec0::1", "::", "::ffff:8.8.8.8", "64:ff9b::a00:1", "2002:a00:1::", "x", ""]) {
      assert.isFalse(PublicAddress.isPublic(address), address)
    }
    for (const address of ["8.8.8.8", "172.32.0.1", "93.184.216.34", "2606:4700::1111", "2a00:1450::1"]) {
      assert.isTrue(PublicAddress.isPublic(address), address)
    }
  })

  it("and a secret are read, or are not", () => {
    assert.isTrue(Option.isSome(AlertPost.parseUrl("https://hooks.example/x?y=z")))
    for (const text of ["", "hooks.example", "ftp://hooks.example", "https://", "file:///etc/passwd"]) {
      assert.isTrue(Option.isNone(AlertPost.parseUrl(text)), text)
    }
    assert.isTrue(Option.isSome(AlertPost.parseSecret(Redacted.value(secret))))
    for (
      const text of [
        "",
        "whsec_",
        "whsec_c2hvcnQ=",
        Redacted.value(secret).slice(6),
        "whsec_ not base64 not base64 not base"
      ]
    ) {
      assert.isTrue(Option.isNone(AlertPost.parseSecret(text)), text)
    }
  })
})
