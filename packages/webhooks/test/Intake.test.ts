import { assert, describe, it } from "@effect/vitest"
import type { Tenant } from "@waybill/core"
import { Intake, Providers, Secrets, Webhook } from "@waybill/webhooks"
import { DateTime, Effect, Layer, Option, Redacted } from "effect"
import * as Edge from "./Edge.ts"
import { received, receivedAt } from "./Reading.ts"
import * as Signing from "./Signing.ts"

const own = Redacted.make("postmark:own")

const layer = Intake.layer.pipe(
  Layer.provide(Secrets.layer({
    acme: { secrets: { postmark: [own], ...Edge.sender("mailgun").secrets, ...Edge.sender("ses").secrets } }
  })),
  Layer.merge(Edge.table(Edge.rows()))
)

const layerOfAll = Intake.layer.pipe(
  Layer.provide(Secrets.layer({ globex: Edge.secretsOf(Signing.senders) })),
  Layer.merge(Edge.table(Edge.rows()))
)

const sendGrid = ["x-twilio-email-event-webhook-signature", "x-twilio-email-event-webhook-timestamp"] as const

const verify = Effect.fnUntraced(function*<E>(
  provider: string,
  request: Effect.Effect<Webhook.Received, E>,
  tenantId: Tenant.TenantId = Edge.tenant("acme"),
  headers?: Webhook.Request["headers"]
) {
  const intake = yield* Intake.Intake
  const providers = yield* Providers.Providers
  return yield* intake.verify(
    Option.getOrThrow(providers.get(provider)),
    tenantId,
    request,
    headers === undefined ? undefined : { headers }
  )
})

const signed = (provider: string) =>
  Effect.map(
    Edge.signed(provider, Edge.report("delivered", 1)),
    ([request]): Webhook.Received => ({ headers: {}, body: Signing.bytes(""), ...request, receivedAt })
  )

const unread = Effect.die(new Error("the request was read"))

describe("Intake", () => {
  it.effect("reads a request only where there is something to verify it with", () =>
    Effect.gen(function*() {
      const nobody = yield* Effect.flip(verify("postmark", unread, Edge.tenant("globex")))
      assert.strictEqual(nobody._tag, "UnknownTenant")
      assert.strictEqual(nobody.message, "there is no tenant globex")
      const unset = yield* Effect.flip(verify("resend", unread))
      assert.strictEqual(unset._tag, "NoSecret")
      assert.strictEqual(unset.message, "no secret is configured for resend")
      const brokenOff = yield* Effect.flip(verify("postmark", Effect.fail("broken off")))
      assert.strictEqual(brokenOff, "broken off")
    }).pipe(Effect.provide(layer)))

  it.effect("refuses by the headers alone what they tell, and reads no body for it", () =>
    Effect.gen(function*() {
      const arn = "arn:aws:sns:eu-central-1:1:of-others"
      const cases = [
        ["postmark", {}, "MissingHeader"],
        ["postmark", { authorization: "Bearer x" }, "MalformedSignature"],
        ["postmark", { authorization: "Basic eDp5" }, "BadSignature"],
        ["sendgrid", {}, "MissingHeader"],
        ["sendgrid", { [sendGrid[0]]: "no base64", [sendGrid[1]]: "1" }, "MalformedSignature"],
        ["sendgrid", { [sendGrid[0]]: "AAAA", [sendGrid[1]]: "now" }, "MalformedSignature"],
        ["resend", { "svix-id": "a" }, "MissingHeader"],
        ["resend", { "svix-id": "a", "svix-timestamp": "1", "svix-signature": "v2,x" }, "MalformedSignature"],
        ["ses", { "x-amz-sns-topic-arn": arn }, "UntrustedTopic"]
      ] as const
      for (const [provider, headers, reason] of cases) {
        const error = yield* Effect.flip(verify(provider, unread, Edge.tenant("globex"), headers))
        assert.deepInclude(error, { _tag: "VerificationError", reason }, provider)
      }
    }).pipe(Effect.provide(layerOfAll)))

  it.effect("reads the body of what its headers do not give away, and verifies all of it", () =>
    Effect.gen(function*() {
      for (const { provider } of Signing.senders) {
        const request = yield* signed(provider)
        const read = Effect.succeed({ ...request, receivedAt: yield* DateTime.now })
        yield* verify(provider, read, Edge.tenant("globex"), request.headers)
        const other = { ...request, body: Signing.bytes("{}"), receivedAt: yield* DateTime.now }
        if (!Signing.isSigned(provider)) continue
        const error = yield* Effect.flip(
          verify(provider, Effect.succeed(other), Edge.tenant("globex"), request.headers)
        )
        assert.strictEqual(error._tag, "VerificationError", provider)
      }
    }).pipe(Effect.provide(layerOfAll)))

  it.effect("says why a request is refused", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(verify("postmark", Effect.succeed(received("{}"))))
      assert.deepStrictEqual(
        error,
        new Webhook.VerificationError({ provider: Edge.sender("postmark").provider, reason: "MissingHeader" })
      )
    }).pipe(Effect.provide(layer)))

  it.effect("returns the request as it was read, and a token with whose secrets verified it", () =>
    Effect.gen(function*() {
      const request = yield* signed("mailgun")
      const admitted = yield* verify("mailgun", Effect.succeed(request))
      assert.strictEqual(admitted.received, request)
      assert.strictEqual(Option.getOrThrow(admitted.token).verifiedBy, "acme")
      assert.isTrue(Option.isNone(admitted.setup))
    }).pipe(Effect.provide(layer)))

  it.effect("tells a request that sets the webhooks up from mail", () =>
    Effect.gen(function*() {
      const subscription = Effect.succeed({ ...Signing.subscription(receivedAt), receivedAt })
      assert.isTrue(Option.isSome((yield* verify("ses", subscription)).setup))
      assert.isTrue(Option.isNone((yield* verify("ses", yield* Effect.map(signed("ses"), Effect.succeed))).setup))
    }).pipe(Effect.provide(layer)))
})
