import { assert, describe, it } from "@effect/vitest"
import { Delivery, Event, IdempotencyKey, Input, Provider, Recipient, Tenant } from "@waybill/core"
import { Effect, Option, Result } from "effect"
import * as Given from "./Given.ts"

const secret = "secret-value"

const unchecked = { disableChecks: true }

const issueOf = <A>(result: Result.Result<A, { readonly issue: string }>): string =>
  Result.isFailure(result) ? result.failure.issue : assert.fail("it was accepted")

const invalidDeliveries: ReadonlyArray<Partial<Delivery.NewDelivery>> = [
  { id: Option.some(Event.DeliveryId.make(secret, unchecked)) },
  { tenantId: Tenant.TenantId.make(`${secret} with space`, unchecked) },
  { recipient: Recipient.Recipient.make(secret, unchecked) },
  { mailable: `${secret}\u0000` },
  { metadata: { [`${secret}\u0000`]: secret } },
  { metadata: { a: `${secret}\ud800` } },
  { idempotencyKey: Option.some(IdempotencyKey.IdempotencyKey.make(`${secret} key`, unchecked)) }
]

const invalidEvents: ReadonlyArray<Partial<Event.NewEvent>> = [
  { provider: Provider.Provider.make(`${secret}!`, unchecked) },
  { providerMessageId: Option.some(Provider.MessageId.make(`${secret} id`, unchecked)) },
  { providerEventId: Option.some(`${secret}\u0000`) },
  { echoedDeliveryId: Option.some(Event.DeliveryId.make(secret, unchecked)) },
  { recipient: Option.some({ address: Recipient.Recipient.make(secret, unchecked), certain: true }) },
  { normalizedPayload: { a: `${secret}\u0000` } },
  { metadata: { a: [`${secret}\ud800`] } },
  { traceId: Option.some(secret.repeat(20)) },
  { idempotencyKey: IdempotencyKey.IdempotencyKey.make(`dispatched:${secret}`) }
]

describe("a complaint", () => {
  it("names the field of a delivery and the rule, and never the value", () => {
    assert.isTrue(Result.isSuccess(Input.delivery(Given.newDelivery())))
    for (const fields of invalidDeliveries) {
      const issue = issueOf(Input.delivery(Given.newDelivery(fields)))
      assert.match(issue, new RegExp(`^${Object.keys(fields)[0]}\\b.*: must `))
      assert.notInclude(issue, secret)
    }
  })

  it("names the field of an event and the rule, and never the value", () => {
    assert.isTrue(Result.isSuccess(Input.event(Given.newEvent())))
    for (const fields of invalidEvents) {
      const result = Input.event(Given.newEvent(fields), 4)
      const issue = issueOf(result)
      assert.match(issue, new RegExp(`^${Object.keys(fields)[0]}\\b.*: must `))
      assert.notInclude(issue, secret)
      if (Result.isFailure(result)) {
        assert.notInclude(result.failure.message, secret)
        assert.deepStrictEqual([result.failure.what, result.failure.index], ["event", 4])
      }
    }
  })

  it("of a dispatch without a usable message id names no value", () => {
    const command = Delivery.Dispatch.make({
      deliveryId: Given.deliveryId(1),
      provider: Given.provider,
      providerMessageId: `${secret} with space`
    })
    assert.isTrue(Result.isSuccess(Input.dispatch(command)))
    const issue = issueOf(Input.messageId(command))
    assert.match(issue, /^providerMessageId: must /)
    assert.notInclude(issue, secret)
    assert.deepStrictEqual(
      Input.messageId({ ...command, providerMessageId: " <m-1>" }),
      Result.succeed(Provider.MessageId.make("m-1"))
    )
  })

  it("of a value of another kind says so", () => {
    const issue = issueOf(Input.delivery(Object.assign(Given.newDelivery(), { stream: secret })))
    assert.match(issue, /^stream: /)
    assert.notInclude(issue, secret)
  })
})

describe("a batch", () => {
  const tenantId = Tenant.defaultTenantId

  it.effect("is refused with the place of its first invalid event", () =>
    Effect.gen(function*() {
      const bad = Given.newEvent({ traceId: Option.some("") })
      yield* Input.events(tenantId, [])
      yield* Input.events(tenantId, [Given.newEvent(), Given.newEvent()])
      const error = yield* Effect.flip(Input.events(tenantId, [Given.newEvent(), Given.newEvent(), bad, bad]))
      assert.deepStrictEqual([error.what, error.index], ["event", 2])
      const tenant = yield* Effect.flip(Input.events(Tenant.TenantId.make("*", unchecked), []))
      assert.notInclude(tenant.issue, "*\"")
    }))
})

describe("a limit", () => {
  it.effect("is a whole number from 1 to 10,000", () =>
    Effect.gen(function*() {
      for (const rows of [1, 2, Input.maxLimit]) assert.strictEqual(yield* Input.limit(rows), rows)
      for (const rows of [0, -1, 1.5, NaN, Infinity, Input.maxLimit + 1]) {
        assert.strictEqual((yield* Effect.flip(Input.limit(rows))).what, "query")
      }
    }))
})
