/** Authenticates a provider by several schemes: each that has a secret has to hold. */
import { assert, describe, it } from "@effect/vitest"
import { Intake, Postmark, type Row, Secrets, SendGrid, Ses, type Webhook } from "@waybill/webhooks"
import { Senders } from "@waybill/webhooks/testing"
import { ConfigProvider, DateTime, Effect, Layer, Option, Result } from "effect"
import * as PublicUrl from "../src/internal/publicUrl.ts"
import * as Edge from "./Edge.ts"
import { bytes, event, key, only } from "./Reading.ts"

/** What becomes of a request that is signed for some schemes, where some are set up. */
const outcome = Effect.fnUntraced(function*(
  row: Row.Row,
  setUp: ReadonlyArray<string>,
  signed: ReadonlyArray<string>,
  change: (request: Webhook.Request) => Webhook.Request = (request) => request
) {
  const names = row.schemes.map(({ name }) => name)
  const { row: believing, sender } = yield* Senders.generateOf(row, names.filter((name) => name !== "basicAuth"))
  const keys = new Map(row.schemes.map(({ name }, index) => [name, index === 0 ? row.name : `${row.name}.${name}`]))
  const secrets = Object.fromEntries(
    setUp.map((name) => [keys.get(name) ?? "", sender.secrets[keys.get(name) ?? ""] ?? []])
  )
  const now = yield* DateTime.now
  const whole = only(sender.send([Edge.report("delivered", 1)], now))
  const { authorization: _, ...bare } = whole.headers
  const signs = (name: string) => signed.includes(name)
  const headers = {
    ...bare,
    ...(signs("basicAuth") || signs("token")) && { authorization: whole.headers["authorization"] ?? "" }
  }
  const request = change({ ...whole, headers })
  return yield* Effect.gen(function*() {
    const intake = yield* Intake.Intake
    const provider = Option.getOrThrow((yield* Edge.providers).get(row.name))
    const result = yield* Effect.result(
      intake.verify(provider, Edge.tenant("default"), Effect.succeed({ ...request, receivedAt: now }), {
        headers: request.headers
      })
    )
    return Result.isSuccess(result)
      ? "accepted"
      : "reason" in result.failure
      ? result.failure.reason
      : result.failure._tag
  }).pipe(Effect.provide(
    Intake.layer.pipe(Layer.provide(Secrets.layer({ default: { secrets } })), Layer.merge(Edge.table([believing])))
  ))
})

describe("The schemes of a row", () => {
  it.effect("each have to hold where they have a secret, and none where they have not", () =>
    Effect.gen(function*() {
      const forged = (request: Webhook.Request): Webhook.Request => ({ ...request, body: bytes("[]") })
      assert.strictEqual(yield* outcome(SendGrid.row, [], ["signature"]), "NoSecret")
      assert.strictEqual(yield* outcome(SendGrid.row, ["signature"], ["signature"]), "accepted")
      assert.strictEqual(yield* outcome(SendGrid.row, ["token"], ["token"]), "accepted")
      assert.strictEqual(yield* outcome(SendGrid.row, ["token"], []), "MissingHeader")
      assert.strictEqual(yield* outcome(SendGrid.row, ["token"], ["token"], forged), "accepted")
      assert.strictEqual(yield* outcome(SendGrid.row, ["signature", "token"], ["signature", "token"]), "accepted")
      assert.strictEqual(yield* outcome(SendGrid.row, ["signature", "token"], ["signature"]), "MissingHeader")
      assert.strictEqual(
        yield* outcome(SendGrid.row, ["signature", "token"], ["signature", "token"], forged),
        "BadSignature"
      )
    }))

  it.effect("have settings of their own", () =>
    Effect.gen(function*() {
      const secrets = yield* Secrets.Secrets
      const found = Option.getOrThrow(yield* secrets.lookup(Edge.tenant("default"), SendGrid.row.name))
      assert.lengthOf(found.secrets, 0)
      assert.lengthOf(found.furtherSecrets?.get("basicAuth") ?? [], 2)
      assert.lengthOf(found.furtherSecrets?.get("token") ?? [], 1)
      const other = Option.getOrThrow(yield* secrets.lookup(Edge.tenant("default"), Postmark.row.name))
      assert.strictEqual(other.furtherSecrets?.size, 0)
    }).pipe(
      Effect.provide(Secrets.layerConfig()),
      Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({
        WAYBILL_SENDGRID_BASIC_AUTH: "a:b, c:d",
        WAYBILL_SENDGRID_TOKEN: "t"
      })))
    ))
})

describe("Amazon SES", () => {
  const detail = {
    eventType: "Bounce",
    mail: { messageId: "m1", destination: ["ada@reader.example"] },
    bounce: {
      bounceType: "Permanent",
      bouncedRecipients: [{ emailAddress: "ada@reader.example" }],
      timestamp: "2026-03-04T10:26:07.123Z",
      feedbackId: "f1"
    }
  }

  it("is read the same in an envelope, raw and by EventBridge, under one key", () => {
    const bodies = [
      { Type: "Notification", MessageId: "n1", Message: JSON.stringify(detail) },
      detail,
      { id: "b1", source: "aws.ses", "detail-type": "Email Bounced", time: "2026-03-04T10:26:09Z", detail }
    ].map((body) => JSON.stringify(body))
    for (const body of bodies) {
      const read = event(Ses.row, body)
      assert.deepStrictEqual([read.type, read.bounce, read.message, read.to, read.at], [
        "bounced",
        "hard",
        "m1",
        "ada@reader.example",
        "2026-03-04T10:26:07.123Z"
      ])
    }
    assert.strictEqual(new Set(bodies.map((body) => key(Ses.row, body))).size, 1)
  })

  it.live(
    "takes what nobody signs by a token alone, and an envelope by its signature alone",
    () =>
      Effect.gen(function*() {
        const unsigned = { headers: {}, body: bytes(JSON.stringify(detail)) }
        assert.strictEqual((yield* Edge.post("/webhooks/ses", unsigned)).status, 401)
        assert.strictEqual((yield* Edge.post("/webhooks/ses?token=wrong", unsigned)).status, 401)
        assert.strictEqual((yield* Edge.post("/webhooks/ses?token=a-token", unsigned)).text, "orphan")
        const [signed] = yield* Edge.send("ses", Edge.report("delivered", 1))
        assert.deepStrictEqual([signed?.status, signed?.text], [200, "orphan"])
      }).pipe(Effect.provide(
        Edge.layer({
          storage: Edge.memory,
          secrets: Secrets.layer({
            default: { secrets: { ...Edge.sender("ses").secrets, "ses.token": [Edge.secret("a-token")] } }
          })
        }),
        { local: true }
      )),
    30_000
  )
})

describe("The public address of a request", () => {
  const headers = { host: "inner:8025", "x-forwarded-proto": "https, http", "x-forwarded-host": "hooks.example" }

  it("is what is configured, or what a trusted proxy says, or what the request says", () => {
    const of = (options: PublicUrl.Options, change: object = {}) =>
      PublicUrl.of("/webhooks/x?y=1", { ...headers, ...change }, options)
    assert.strictEqual(of({}), "http://inner:8025/webhooks/x?y=1")
    assert.strictEqual(of({ publicUrl: "https://a.example/" }), "https://a.example/webhooks/x?y=1")
    assert.strictEqual(of({ publicUrl: "https://a.example/in" }), "https://a.example/in/webhooks/x?y=1")
    assert.strictEqual(of({ trustProxy: true }), "https://hooks.example/webhooks/x?y=1")
    assert.strictEqual(of({ trustProxy: true, publicUrl: "https://a.example" }), "https://hooks.example/webhooks/x?y=1")
    const odd = { "x-forwarded-host": "a/b@c" }
    assert.strictEqual(
      of({ trustProxy: true, publicUrl: "https://a.example" }, odd),
      "https://a.example/webhooks/x?y=1"
    )
  })
})
