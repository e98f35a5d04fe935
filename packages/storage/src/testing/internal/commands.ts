/** Declares what holds for recording and dispatching deliveries. */
import { assert } from "@effect/vitest"
import { type Event, Ledger, LedgerError, Provider, Recipient } from "@waybill/core"
import { DateTime, Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import * as Given from "../Given.ts"
import { type Contract, deliveriesOf, fetch, refused, sameDelivery, timeline } from "./contract.ts"

const recording = ({ example }: Contract): void => {
  example(
    "a recorded delivery is queued, by our clock",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const id = yield* Given.deliveryId
      const given = Given.delivery(tenantId, {
        id: Option.some(id),
        recipient: Recipient.Recipient.make("Ann@Example.COM"),
        metadata: { order: 7, tags: ["a", { b: null }] },
        idempotencyKey: Option.some(Given.key("order-7"))
      })
      const { created, delivery, linked } = yield* ledger.record(given)
      assert.deepStrictEqual([created, linked], [true, 0])
      sameDelivery(yield* fetch(delivery), delivery)
      assert.strictEqual(delivery.id, id)
      assert.deepStrictEqual(delivery.recipient, Option.some(given.recipient))
      assert.deepStrictEqual(delivery.recipientDomain, Option.some("example.com"))
      assert.deepStrictEqual(delivery.metadata, given.metadata)
      assert.deepStrictEqual(delivery.idempotencyKey, given.idempotencyKey)
      assert.strictEqual(delivery.status, "queued")
      assert.strictEqual(delivery.lockVersion, 1)
      assert.isTrue(delivery.lastEventOwn)
      assert.deepStrictEqual(delivery.lastEventType, Option.some("queued"))
      assert.deepStrictEqual([delivery.provider, delivery.providerMessageId], [Option.none(), Option.none()])
      assert.deepStrictEqual(
        [delivery.insertedAt.epochMilliseconds, delivery.updatedAt.epochMilliseconds],
        [Given.noon.epochMilliseconds, Given.noon.epochMilliseconds]
      )
      const entries = yield* timeline(delivery)
      assert.deepStrictEqual(entries.map(({ event }) => event.type), ["queued"])
      assert.deepStrictEqual(delivery.lastEventId, Option.fromUndefinedOr(entries[0]?.event.id))
    })
  )

  example(
    "recording again under the same key or id gives the delivery that is there",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const id = yield* Given.deliveryId
      const given = Given.delivery(tenantId, { id: Option.some(id), idempotencyKey: Option.some(Given.key("once")) })
      const { delivery } = yield* ledger.record(given)
      yield* TestClock.adjust("1 minute")
      const again = [given, { ...given, id: Option.none() }, {
        ...given,
        recipient: Recipient.Recipient.make("ANN@example.com"),
        metadata: { other: true }
      }]
      for (const each of again) {
        const result = yield* ledger.record(each)
        assert.deepStrictEqual([result.created, result.linked], [false, 0])
        sameDelivery(result.delivery, delivery)
      }
      assert.lengthOf(yield* deliveriesOf(tenantId), 1)
      assert.lengthOf(yield* timeline(delivery), 1)
    })
  )

  example(
    "a key or an id that stands for something else is refused",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const keyed = yield* Given.recorded(tenantId, { idempotencyKey: Option.some(Given.key("once")) })
      const other = yield* Given.recorded(tenantId)
      const conflicting = [
        Given.delivery(tenantId, { idempotencyKey: keyed.idempotencyKey, mailable: "other" }),
        Given.delivery(tenantId, { idempotencyKey: keyed.idempotencyKey, stream: "bulk" }),
        Given.delivery(tenantId, {
          idempotencyKey: keyed.idempotencyKey,
          recipient: Recipient.Recipient.make("bob@example.com")
        }),
        Given.delivery(tenantId, { id: Option.some(other.id), idempotencyKey: keyed.idempotencyKey }),
        Given.delivery(tenantId, { id: Option.some(keyed.id) })
      ]
      for (const each of conflicting) {
        const error = yield* refused(ledger.record(each), "DeliveryConflict")
        assert.deepStrictEqual([error.tenantId, error.storedDeliveryId], [tenantId, keyed.id])
      }
      assert.lengthOf(yield* deliveriesOf(tenantId), 2)
    })
  )

  example(
    "recording the same at the same time creates one delivery",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const given = Given.delivery(tenantId, { idempotencyKey: Option.some(Given.key("once")) })
      const results = yield* Effect.all(Array.from({ length: 6 }, () => ledger.record(given)), {
        concurrency: "unbounded"
      })
      assert.lengthOf(results.filter(({ created }) => created), 1)
      assert.strictEqual(new Set(results.map(({ delivery }) => delivery.id)).size, 1)
      assert.lengthOf(yield* deliveriesOf(tenantId), 1)
    })
  )
}

const dispatching = ({ example }: Contract): void => {
  example(
    "a dispatch notes the canonical message id and when, and rises the version by one",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const recorded = yield* Given.recorded(tenantId)
      yield* TestClock.adjust("5 seconds")
      const { delivery, linked } = yield* ledger.dispatch(Given.dispatch(recorded, " <m-1@mail.example.com>\n"))
      assert.strictEqual(linked, 0)
      sameDelivery(yield* fetch(recorded), delivery)
      assert.deepStrictEqual(delivery.providerMessageId, Option.some(Given.messageId("m-1@mail.example.com")))
      assert.deepStrictEqual(delivery.provider, Option.some(Given.provider))
      assert.strictEqual(delivery.status, "dispatched")
      assert.strictEqual(delivery.lockVersion, 2)
      assert.strictEqual(
        Option.getOrThrow(delivery.dispatchedAt).epochMilliseconds,
        Given.afterNoon(5).epochMilliseconds
      )
      assert.strictEqual(delivery.updatedAt.epochMilliseconds, Given.afterNoon(5).epochMilliseconds)
      assert.strictEqual(delivery.insertedAt.epochMilliseconds, Given.noon.epochMilliseconds)
      assert.deepStrictEqual((yield* timeline(delivery)).map(({ event }) => event.type), ["queued", "dispatched"])
    })
  )

  example(
    "dispatching again under the same message id, however spelt, changes nothing",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const delivery = yield* Given.dispatched(tenantId, "m-1")
      yield* TestClock.adjust("1 minute")
      for (const spelling of ["m-1", "<m-1>", "\tm-1 "]) {
        const again = yield* ledger.dispatch(Given.dispatch(delivery, spelling))
        assert.strictEqual(again.linked, 0)
        sameDelivery(again.delivery, delivery)
      }
      assert.lengthOf(yield* timeline(delivery), 2)
    })
  )

  example(
    "a dispatch of an unknown delivery is refused",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const id = yield* Given.deliveryId
      const error = yield* refused(ledger.dispatch(Given.dispatch({ tenantId, id }, "m-1")), "DeliveryNotFound")
      assert.strictEqual(error.tenantId, tenantId)
    })
  )

  example(
    "a delivery is not dispatched under a second message id or by a second provider",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const delivery = yield* Given.dispatched(tenantId, "m-1")
      const commands = [
        Given.dispatch(delivery, "m-2"),
        Given.dispatch(delivery, "m-1", { provider: Provider.Provider.make("mailgun") })
      ]
      for (const command of commands) {
        const error = yield* refused(ledger.dispatch(command), "DispatchConflict")
        assert.deepStrictEqual([error.deliveryId, error.reason], [delivery.id, "other-message"])
      }
      sameDelivery(yield* fetch(delivery), delivery)
    })
  )

  example(
    "a message id belongs to one delivery a recipient",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      yield* Given.dispatched(tenantId, "m-1")
      const same = yield* Given.recorded(tenantId, { recipient: Recipient.Recipient.make("ANN@Example.com") })
      const error = yield* refused(ledger.dispatch(Given.dispatch(same, "m-1")), "DispatchConflict")
      assert.deepStrictEqual([error.tenantId, error.deliveryId, error.reason], [tenantId, same.id, "taken"])
      sameDelivery(yield* fetch(same), same)
      assert.lengthOf(yield* timeline(same), 1)

      const other = yield* Given.dispatched(tenantId, "m-1", { recipient: Recipient.Recipient.make("bob@example.com") })
      assert.strictEqual(other.status, "dispatched")
      const elsewhere = Given.dispatch(same, "m-1", { provider: Provider.Provider.make("mailgun") })
      assert.strictEqual((yield* ledger.dispatch(elsewhere)).delivery.lockVersion, 2)
    })
  )

  example(
    "a dispatch with another version than the stored one is refused",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const delivery = yield* Given.recorded(tenantId)
      const at = (version: number) => Given.dispatch(delivery, "m-1", { expectedVersion: Option.some(version) })
      const error = yield* refused(ledger.dispatch(at(2)), "StaleDelivery")
      assert.deepStrictEqual(
        [error.tenantId, error.deliveryId, error.expectedVersion, error.actualVersion],
        [tenantId, delivery.id, 2, 1]
      )
      sameDelivery(yield* fetch(delivery), delivery)
      assert.strictEqual((yield* ledger.dispatch(at(1))).delivery.lockVersion, 2)
    })
  )

  example(
    "of many dispatches that have seen the same version exactly one wins",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const delivery = yield* Given.recorded(tenantId)
      const results = yield* Effect.all(
        Array.from(
          { length: 5 },
          (_, index) => ledger.dispatch(Given.dispatch(delivery, `m-${index}`, { expectedVersion: Option.some(1) }))
        ),
        { concurrency: "unbounded", mode: "result" }
      )
      assert.lengthOf(results.filter((result) => result._tag === "Success"), 1)
      for (const result of results) {
        if (result._tag === "Failure") assert.strictEqual(result.failure._tag, "StaleDelivery")
      }
      const stored = yield* fetch(delivery)
      assert.strictEqual(stored.lockVersion, 2)
      assert.lengthOf(yield* timeline(delivery), 2)
    })
  )

  example(
    "of many deliveries to one recipient exactly one gets a message id",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const recorded = yield* Effect.replicateEffect(Given.recorded(tenantId), 5)
      const results = yield* Effect.all(
        recorded.map((delivery) => ledger.dispatch(Given.dispatch(delivery, "m-1"))),
        { concurrency: "unbounded", mode: "result" }
      )
      assert.lengthOf(results.filter((result) => result._tag === "Success"), 1)
      for (const result of results) {
        if (result._tag === "Failure") assert.instanceOf(result.failure, LedgerError.DispatchConflict)
      }
    })
  )

  example(
    "a dispatch after the provider's event does not hide it",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const recorded = yield* Given.recorded(tenantId)
      yield* ledger.append(tenantId, [
        Given.report("delivered", "m-1", { occurredAt: DateTime.subtract(Given.noon, { hours: 1 }) })
      ])
      yield* TestClock.adjust("1 hour")
      const { delivery, linked } = yield* ledger.dispatch(Given.dispatch(recorded, "m-1"))
      assert.strictEqual(linked, 1)
      assert.strictEqual(delivery.lockVersion, 2)
      assert.deepStrictEqual(delivery.lastEventType, Option.some("delivered"))
      assert.isFalse(delivery.lastEventOwn)
      assert.strictEqual(delivery.status, "sent")
      assert.isTrue(delivery.terminal)
      assert.isTrue(Option.isSome(delivery.dispatchedAt))
      const types = (yield* timeline(delivery)).map(({ event }): Event.Event["type"] => event.type)
      assert.sameMembers(types, ["delivered", "queued", "dispatched", "reconciled"])
    })
  )
}

/** What `record` and `dispatch` promise. */
export const commands = (contract: Contract): void => {
  recording(contract)
  dispatching(contract)
}
