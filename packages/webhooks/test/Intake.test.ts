import { assert, describe, it } from "@effect/vitest"
import type { Tenant } from "@waybill/core"
import { Intake, Providers, Secrets, Webhook } from "@waybill/webhooks"
import { Effect, Layer, Option, Redacted } from "effect"
import * as Edge from "./Edge.ts"
import { received, receivedAt } from "./Reading.ts"
import * as Signing from "./Signing.ts"

const own = Redacted.make("postmark:own")

const layer = Intake.layer.pipe(
  Layer.provide(Secrets.layer({
    acme: { secrets: { postmark: [own], mailgun: Edge.sender("mailgun").secrets, ses: Edge.sender("ses").secrets } }
  })),
  Layer.merge(Edge.table(Edge.rows()))
)

const verify = Effect.fnUntraced(function*<E>(
  provider: string,
  request: Effect.Effect<Webhook.Received, E>,
  tenantId: Tenant.TenantId = Edge.tenant("acme")
) {
  const intake = yield* Intake.Intake
  const providers = yield* Providers.Providers
  return yield* intake.verify(Option.getOrThrow(providers.get(provider)), tenantId, request)
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
      assert.isFalse(admitted.isSetup)
    }).pipe(Effect.provide(layer)))

  it.effect("tells a request that sets the webhooks up from mail", () =>
    Effect.gen(function*() {
      const subscription = Effect.succeed({ ...Signing.subscription(receivedAt), receivedAt })
      assert.isTrue((yield* verify("ses", subscription)).isSetup)
      assert.isFalse((yield* verify("ses", yield* Effect.map(signed("ses"), Effect.succeed))).isSetup)
    }).pipe(Effect.provide(layer)))
})
