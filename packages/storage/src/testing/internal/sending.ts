/** Declares what holds for the sender's own half: attempts that failed, what is not sent on purpose, and what waits to be sent. */
import { assert } from "@effect/vitest"
import { Delivery, Handover, Ledger, type Tenant, Unsent } from "@waybill/core"
import { DateTime, Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import * as Generators from "../Generators.ts"
import * as Given from "../Given.ts"
import * as History from "../History.ts"
import {
  appendOne,
  assertLaws,
  type Contract,
  deliveriesOf,
  fetch,
  refused,
  sameDelivery,
  timeline,
  told
} from "./contract.ts"

const failure = (
  { id, tenantId }: Pick<Delivery.Delivery, "id" | "tenantId">,
  fields: Partial<Delivery.Fail> = {}
): Delivery.Fail => ({
  ...Delivery.Fail.make({ tenantId, deliveryId: id, error: { code: "timeout" }, final: false }),
  ...fields
})

const suppression = (
  { id, tenantId }: Pick<Delivery.Delivery, "id" | "tenantId">,
  fields: Partial<Delivery.Suppress> = {}
): Delivery.Suppress => ({ ...Delivery.Suppress.make({ tenantId, deliveryId: id }), ...fields })

/** Claims of one tenant what is due now, for a minute. */
const claimed = Effect.fnUntraced(function*(scope: Tenant.Scope, fields: Partial<Unsent.Claim> = {}) {
  const unsent = yield* Unsent.Unsent
  const now = yield* DateTime.now
  const until = DateTime.add(now, { minutes: 1 })
  return yield* unsent.claim({ scope, limit: 100, dueTo: now, until, ...fields })
})

const attempts = (claims: ReadonlyArray<Unsent.Claimed>) =>
  claims.map(({ attempt, delivery }): readonly [string, number] => [delivery.id, attempt])

const failing = ({ example }: Contract): void => {
  example(
    "a failed attempt is an event of our own and the delivery's last error, without addresses",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const recorded = yield* Given.recorded(tenantId)
      const subscription = yield* ledger.updates
      yield* TestClock.adjust("5 seconds")
      const message = "550 <ann@example.com> is gone, see https://example.com/ann\u0000"
      const { attempt, delivery, noted } = yield* ledger.fail(
        failure(recorded, { error: { code: "smtp", message: Option.some(message) } })
      )
      assert.deepStrictEqual([attempt, noted], [1, true])
      sameDelivery(yield* fetch(recorded), delivery)
      assert.deepStrictEqual([delivery.status, delivery.terminal, delivery.lockVersion], ["queued", false, 2])
      assert.deepStrictEqual(delivery.lastErrorType, Option.some("deferred"))
      const error = Option.getOrThrow(delivery.lastError)
      assert.deepStrictEqual(error.code, Option.some("smtp"))
      assert.deepStrictEqual(error.message, Option.some("550 <[hidden]> is gone, see [hidden]"))
      const entries = yield* timeline(delivery)
      assert.deepStrictEqual(entries.map(({ event }) => event.type), ["queued", "deferred"])
      assert.deepStrictEqual(entries[1]?.event.provider, Option.none())
      assert.deepStrictEqual((yield* told(subscription, tenantId)).map(({ type }) => type), ["deferred"])
      yield* assertLaws(tenantId)
    })
  )

  example(
    "an attempt is noted once by its number, and one without a number is the next",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const recorded = yield* Given.recorded(tenantId)
      const third = failure(recorded, { attempt: Option.some(3) })
      assert.isTrue((yield* ledger.fail(third)).noted)
      const before = yield* fetch(recorded)
      yield* TestClock.adjust("5 seconds")
      const again = yield* ledger.fail({ ...third, error: { code: "other", message: Option.none() } })
      assert.deepStrictEqual([again.attempt, again.noted], [3, false])
      assert.isFalse((yield* ledger.fail({ ...third, final: true })).noted)
      sameDelivery(yield* fetch(recorded), before)
      assert.strictEqual((yield* ledger.fail(failure(recorded))).attempt, 4)
      const last = failure(recorded, { attempt: Option.some(5), final: true })
      assert.isTrue((yield* ledger.fail(last)).noted)
      assert.isFalse((yield* ledger.fail({ ...last, final: false })).noted)
      const types = (yield* timeline(recorded)).map(({ event }) => event.type)
      assert.deepStrictEqual(types, ["queued", "deferred", "deferred", "failed"])
      const { failedAt, status, terminal } = yield* fetch(recorded)
      assert.deepStrictEqual([status, terminal], ["failed", true])
      assert.isTrue(Option.isSome(failedAt))
      yield* assertLaws(tenantId)
    })
  )

  example(
    "the same attempt noted at the same time is one event",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const recorded = yield* Given.recorded(tenantId)
      const first = failure(recorded, { attempt: Option.some(1) })
      const results = yield* Effect.all(Array.from({ length: 6 }, () => ledger.fail(first)), {
        concurrency: "unbounded"
      })
      assert.lengthOf(results.filter(({ noted }) => noted), 1)
      assert.lengthOf(yield* timeline(recorded), 2)
      assert.strictEqual((yield* fetch(recorded)).lockVersion, 2)
    })
  )

  example(
    "a failed attempt that later succeeds ends as sent, and what was given up stays failed",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const tried = yield* Given.recorded(tenantId)
      yield* ledger.fail(failure(tried))
      yield* ledger.dispatch(Given.dispatch(tried, "m-1"))
      assert.strictEqual((yield* fetch(tried)).status, "dispatched")
      yield* appendOne(tenantId, Given.report("delivered", "m-1"))
      const sent = yield* fetch(tried)
      assert.deepStrictEqual([sent.status, sent.lastEventType], ["sent", Option.some("delivered")])
      assert.isTrue(Option.isSome(sent.lastError))

      const givenUp = yield* Given.recorded(tenantId)
      yield* ledger.fail(failure(givenUp, { final: true }))
      yield* ledger.dispatch(Given.dispatch(givenUp, "m-2"))
      yield* appendOne(tenantId, Given.report("delivered", "m-2"))
      const stored = yield* fetch(givenUp)
      assert.deepStrictEqual([stored.status, stored.lastEventType], ["failed", Option.some("delivered")])
      assert.isTrue(Option.isSome(stored.dispatchedAt) && Option.isSome(stored.deliveredAt))
      yield* assertLaws(tenantId)
    })
  )

  example(
    "nothing can fail or be suppressed once a provider has it; what is unknown or stale is refused",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const dispatched = yield* Given.dispatched(tenantId, "m-1")
      const reported = yield* Given.recorded(tenantId)
      yield* appendOne(tenantId, Given.report("unknown", undefined, { echoedDeliveryId: Option.some(reported.id) }))
      for (const delivery of [dispatched, reported]) {
        const before = yield* fetch(delivery)
        for (
          const refusal of [
            yield* refused(ledger.fail(failure(delivery)), "DispatchConflict"),
            yield* refused(ledger.suppress(suppression(delivery)), "DispatchConflict")
          ]
        ) {
          assert.deepStrictEqual([refusal.deliveryId, refusal.reason], [delivery.id, "handed-over"])
        }
        sameDelivery(yield* fetch(delivery), before)
      }
      const recorded = yield* Given.recorded(tenantId)
      const expectedVersion = Option.some(7)
      yield* refused(ledger.fail(failure(recorded, { expectedVersion })), "StaleDelivery")
      yield* refused(ledger.suppress(suppression(recorded, { expectedVersion })), "StaleDelivery")
      const elsewhere = { id: recorded.id, tenantId: yield* Given.tenant }
      yield* refused(ledger.fail(failure(elsewhere)), "DeliveryNotFound")
      yield* refused(ledger.suppress(suppression(elsewhere)), "DeliveryNotFound")
      for (
        const bad of [
          failure(recorded, { error: { code: "ann@example.com", message: Option.none() } }),
          failure(recorded, { attempt: Option.some(0) })
        ]
      ) {
        assert.strictEqual((yield* refused(ledger.fail(bad), "InvalidInput")).what, "failure")
      }
      assert.lengthOf(yield* timeline(recorded), 1)
      yield* assertLaws(tenantId)
    })
  )

  example(
    "what is suppressed is so once, with the reason and without addresses, and may fail no more than that",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const recorded = yield* Given.recorded(tenantId)
      const command = suppression(recorded, { because: Option.some("ann@example.com asked for it") })
      const { delivery, noted } = yield* ledger.suppress(command)
      assert.isTrue(noted)
      assert.deepStrictEqual([delivery.status, delivery.terminal], ["suppressed", true])
      yield* TestClock.adjust("5 seconds")
      assert.isFalse((yield* ledger.suppress(suppression(recorded))).noted)
      sameDelivery(yield* fetch(recorded), delivery)
      const [, entry] = yield* timeline(recorded)
      assert.deepStrictEqual([entry?.event.type, entry?.event.metadata], [
        "suppressed",
        { because: "[hidden] asked for it" }
      ])
      yield* ledger.fail(failure(recorded, { final: true }))
      assert.strictEqual((yield* fetch(recorded)).status, "suppressed")
      yield* assertLaws(tenantId)
    })
  )
}

const claiming = ({ example, histories }: Contract): void => {
  example(
    "a delivery is claimed from its record on by one at a time, and again when the claim ends",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const first = yield* Given.recorded(tenantId)
      yield* TestClock.adjust("1 second")
      const second = yield* Given.recorded(tenantId)
      const now = yield* DateTime.now
      assert.deepStrictEqual(
        attempts(yield* claimed(tenantId, { dueTo: DateTime.subtract(now, { seconds: 1 }) })),
        [[first.id, 1]]
      )
      const claims = yield* claimed(tenantId)
      assert.deepStrictEqual(attempts(claims), [[second.id, 1]])
      for (const { delivery } of claims) sameDelivery(delivery, second)
      assert.deepStrictEqual(yield* claimed(tenantId), [])
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(attempts(yield* claimed(tenantId, { limit: 1 })), [[first.id, 2]])
      assert.deepStrictEqual(attempts(yield* claimed(tenantId)), [[second.id, 2]])
    })
  )

  example(
    "a failed attempt puts its delivery off, unless a later one has begun",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const recorded = yield* Given.recorded(tenantId)
      yield* claimed(tenantId)
      yield* ledger.fail(failure(recorded, { attempt: Option.some(1) }))
      yield* TestClock.adjust("59 seconds")
      assert.deepStrictEqual(yield* claimed(tenantId), [])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(attempts(yield* claimed(tenantId)), [[recorded.id, 2]])
      assert.isFalse((yield* ledger.fail(failure(recorded, { attempt: Option.some(1) }))).noted)
      assert.strictEqual((yield* ledger.fail(failure(recorded))).attempt, 3)
      yield* TestClock.adjust("14 minutes")
      assert.deepStrictEqual(yield* claimed(tenantId), [])
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(attempts(yield* claimed(tenantId)), [[recorded.id, 4]])
    })
  )

  example(
    "what is dispatched, given up, suppressed or known to a provider is not claimed",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      yield* Given.dispatched(tenantId, "m-1")
      yield* ledger.fail(failure(yield* Given.recorded(tenantId), { final: true }))
      yield* ledger.suppress(suppression(yield* Given.recorded(tenantId)))
      const reported = yield* Given.recorded(tenantId)
      yield* appendOne(tenantId, Given.report("unknown", undefined, { echoedDeliveryId: Option.some(reported.id) }))
      const early = yield* Given.deliveryId
      yield* appendOne(
        tenantId,
        Given.report("sent", undefined, { echoedDeliveryId: Option.some(early), idempotencyKey: Given.key("early") })
      )
      yield* Given.recorded(tenantId, { id: Option.some(early) })
      assert.deepStrictEqual(yield* claimed(tenantId), [])
    })
  )

  example(
    "two who claim at the same time never get the same",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const recorded = yield* Effect.replicateEffect(Given.recorded(tenantId), 12)
      const claims = yield* Effect.all(Array.from({ length: 6 }, () => claimed(tenantId, { limit: 3 })), {
        concurrency: "unbounded"
      })
      const rest = yield* claimed(tenantId)
      assert.sameMembers([...claims.flat(), ...rest].map(({ delivery }) => delivery.id), recorded.map(({ id }) => id))
    })
  )

  example(
    "a claim names how many and when",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      for (const limit of [0, 10_001, 1.5]) yield* refused(claimed(tenantId, { limit }), "InvalidInput")
    })
  )

  histories(
    "what is unsent can be claimed, and nothing else, whatever happened",
    Generators.history,
    (history) =>
      Effect.gen(function*() {
        const { tenants } = yield* History.run(history)
        yield* TestClock.adjust("2 days")
        for (const tenantId of tenants) {
          const unsent = (yield* deliveriesOf(tenantId)).filter(Handover.isUnsent)
          const claims = yield* claimed(tenantId, { limit: 10_000 })
          assert.sameMembers(claims.map(({ delivery }) => delivery.id), unsent.map(({ id }) => id))
        }
      })
  )
}

/** What `fail`, `suppress` and `claim` promise. */
export const sending = (contract: Contract): void => {
  failing(contract)
  claiming(contract)
}
