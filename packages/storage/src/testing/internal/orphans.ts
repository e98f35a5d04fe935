/** Declares what holds for orphans: how they are linked, explained and acted on by hand. */
import { assert } from "@effect/vitest"
import { Correlation, Event, Ledger, Orphans, OwnEvent, Recipient } from "@waybill/core"
import { Arbitrary, type DateTime, Effect, Option, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as Given from "../Given.ts"
import {
  appended,
  appendOne,
  assertLaws,
  type Contract,
  deliveriesOf,
  fetch,
  pending,
  refused,
  sameDelivery,
  sameEvent,
  timeline,
  told
} from "./contract.ts"

/** The key of a message of the provider that reports here. */
const correlation = (message: string): Correlation.Key =>
  Correlation.ofMessage(Given.provider, Given.messageId(message))

const bob = Recipient.Recipient.make("bob@example.com")

const linking = ({ example }: Contract): void => {
  example(
    "an event that comes before its dispatch waits, and the dispatch links it",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const ledger = yield* Ledger.Ledger
      const recorded = yield* Given.recorded(tenantId)
      const report = Given.report("delivered", "m-1", { occurredAt: Given.afterNoon(1) })
      const { deliveryId, eventId } = yield* appendOne(tenantId, report)
      assert.deepStrictEqual(deliveryId, Option.none())
      const [orphan] = yield* pending(tenantId)
      if (orphan === undefined) throw new Error("no orphan waits")
      assert.strictEqual(orphan.id, eventId)
      assert.isTrue(orphan.needsReconciliation)
      sameDelivery(yield* fetch(recorded), recorded)

      yield* TestClock.adjust("3 seconds")
      const { delivery, linked } = yield* ledger.dispatch(Given.dispatch(recorded, "m-1"))
      assert.strictEqual(linked, 1)
      assert.strictEqual(delivery.lockVersion, 2)
      assert.deepStrictEqual(delivery.lastEventId, Option.some(eventId))
      assert.lengthOf(yield* pending(tenantId), 0)
      const entries = yield* timeline(delivery)
      assert.deepStrictEqual(
        entries.map(({ event }) => event.type),
        ["queued", "delivered", "reconciled", "dispatched"]
      )
      const link = entries[2]?.event ?? assert.fail("no link")
      sameEvent(
        link,
        OwnEvent.reconciled(orphan, delivery.id, { id: link.id, tenantId, insertedAt: Given.afterNoon(3) })
      )
      assert.deepStrictEqual(entries[1]?.linkedBy, Option.some(link.id))
      sameEvent(entries[1]?.event ?? assert.fail("no orphan"), orphan)
      assert.deepStrictEqual(yield* appendOne(tenantId, report), {
        _tag: "Duplicate",
        eventId,
        deliveryId: Option.some(delivery.id)
      })
      yield* assertLaws(tenantId)
    })
  )

  example(
    "an event that echoes a delivery id waits for it to be recorded",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const ledger = yield* Ledger.Ledger
      const id = yield* Given.deliveryId
      const echoing = (key: string, fields: Partial<Event.NewEvent>) =>
        Given.report("delivered", "m-1", {
          echoedDeliveryId: Option.some(id),
          idempotencyKey: Given.key(key),
          ...fields
        })
      yield* appended(tenantId, [
        echoing("a", {}),
        echoing("b", { recipient: Given.named("ANN@example.com", true) }),
        echoing("c", { recipient: Given.named("bob@example.com", true) })
      ])
      const { created, delivery, linked } = yield* ledger.record(Given.delivery(tenantId, { id: Option.some(id) }))
      assert.deepStrictEqual([created, linked], [true, 3])
      assert.strictEqual(delivery.lockVersion, 2)
      assert.deepStrictEqual(delivery.lastEventType, Option.some("delivered"))
      assert.lengthOf(yield* pending(tenantId), 0)
      sameDelivery(yield* fetch(delivery), delivery)
      yield* assertLaws(tenantId)
    })
  )

  example(
    "a dispatch links only the orphans that are about its own recipient",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const ledger = yield* Ledger.Ledger
      const toAnn = yield* Given.recorded(tenantId)
      const toBob = yield* Given.recorded(tenantId, { recipient: bob })
      const naming = (address: string, certain: boolean, key: string) =>
        Given.report("opened", "m-1", { recipient: Given.named(address, certain), idempotencyKey: Given.key(key) })
      yield* appended(tenantId, [
        naming("ann@example.com", true, "a"),
        naming("Bob@Example.com", true, "b"),
        naming("eve@example.com", true, "c")
      ])
      assert.strictEqual((yield* ledger.dispatch(Given.dispatch(toAnn, "m-1"))).linked, 1)
      assert.strictEqual((yield* ledger.dispatch(Given.dispatch(toBob, "m-1"))).linked, 1)
      assert.lengthOf(yield* pending(tenantId), 1)
      yield* appended(tenantId, [naming("ann@example.com", false, "d")])
      const third = yield* Given.recorded(tenantId, { recipient: Recipient.Recipient.make("eve@example.com") })
      assert.strictEqual((yield* ledger.dispatch(Given.dispatch(third, "m-1"))).linked, 1)
      assert.lengthOf(yield* pending(tenantId), 1)
      yield* assertLaws(tenantId)
    })
  )

  example(
    "linking moves a delivery once, whatever it links",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const ledger = yield* Ledger.Ledger
      const recorded = yield* Given.recorded(tenantId)
      const types = ["sent", "delivered", "opened", "clicked", "complained"] as const
      yield* appended(tenantId, types.map((type) => Given.report(type, "m-1")))
      const { delivery, linked } = yield* ledger.dispatch(Given.dispatch(recorded, "m-1"))
      assert.deepStrictEqual([linked, delivery.lockVersion], [types.length, 2])
      assert.deepStrictEqual(delivery.lastEventType, Option.some("complained"))
      yield* assertLaws(tenantId)
    })
  )
}

const racing = ({ property }: Contract): void => {
  const size = Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 4 })))

  property(
    "an event whose webhook and dispatch overlap is linked when both are done",
    size,
    (size) =>
      Effect.gen(function*() {
        const tenantId = yield* Given.tenant
        const ledger = yield* Ledger.Ledger
        const recorded = yield* Effect.replicateEffect(Given.recorded(tenantId), size)
        const batch = recorded.flatMap((_, index) => [
          Given.report("delivered", `m-${index}`),
          Given.report("opened", `m-${index}`)
        ])
        yield* Effect.all([
          appended(tenantId, batch),
          ...recorded.map((delivery, index) => ledger.dispatch(Given.dispatch(delivery, `m-${index}`))),
          appended(tenantId, batch.toReversed())
        ], { concurrency: "unbounded" })
        assert.lengthOf(yield* pending(tenantId), 0)
        for (const delivery of yield* deliveriesOf(tenantId)) {
          assert.deepStrictEqual([delivery.status, delivery.lastEventType], ["sent", Option.some("opened")])
        }
        yield* assertLaws(tenantId)
      })
  )

  property(
    "an event whose webhook and record overlap is linked when both are done",
    size,
    (size) =>
      Effect.gen(function*() {
        const tenantId = yield* Given.tenant
        const ledger = yield* Ledger.Ledger
        const ids = yield* Effect.replicateEffect(Given.deliveryId, size)
        yield* Effect.all([
          ...ids.map((id) => ledger.record(Given.delivery(tenantId, { id: Option.some(id) }))),
          appended(
            tenantId,
            ids.map((id) =>
              Given.report("delivered", undefined, { echoedDeliveryId: Option.some(id), idempotencyKey: Given.key(id) })
            )
          )
        ], { concurrency: "unbounded" })
        assert.lengthOf(yield* pending(tenantId), 0)
        yield* assertLaws(tenantId)
      })
  )
}

/** What is asked of an orphan that waits. */
const asking = ({ example }: Contract): void => {
  example(
    "an attempt says which delivery an event is about, or why none, and changes nothing",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const ledger = yield* Ledger.Ledger
      const orphans = yield* Orphans.Orphans
      const delivery = yield* Given.dispatched(tenantId, "m-1")
      const toBob = yield* Given.recorded(tenantId, { recipient: bob })
      const [bound, early, stray, malformed, unusable] = yield* appended(tenantId, [
        Given.report("delivered", "m-1"),
        Given.report("delivered", "m-2"),
        Given.report("delivered", "m-3"),
        Given.report("delivered", undefined),
        Given.report("delivered", "filter0001", { provider: Given.sendGrid })
      ])
      if (!bound || !early || !stray || !malformed || !unusable) throw new Error("an event is missing")
      const attempt = ({ eventId }: Ledger.Appended) => orphans.attemptLink({ tenantId, id: eventId })

      const found = yield* attempt(bound)
      assert.deepStrictEqual([found.event.id, found.delivery.id], [bound.eventId, delivery.id])
      sameDelivery(found.delivery, yield* fetch(delivery))
      yield* refused(attempt(early), "DeliveryNotFound")
      yield* ledger.dispatch(Given.dispatch(toBob, "m-2"))
      assert.strictEqual((yield* attempt(early)).delivery.id, toBob.id)
      yield* refused(attempt(stray), "DeliveryNotFound")
      for (const each of [malformed, unusable]) {
        const error = yield* refused(attempt(each), "MalformedPayload")
        assert.deepStrictEqual([error.tenantId, error.eventId], [tenantId, each.eventId])
      }
      const unknown = Event.EventId.make(yield* Given.deliveryId)
      const error = yield* refused(orphans.attemptLink({ tenantId, id: unknown }), "EventNotFound")
      assert.deepStrictEqual([error.tenantId, error.eventId], [tenantId, unknown])
      assert.lengthOf(yield* pending(tenantId), 3)
    })
  )

  example(
    "an explanation says why an event waits, or that it does not",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const orphans = yield* Orphans.Orphans
      const elsewhere = yield* Given.tenant
      const shared = `shared-${tenantId}`
      const early = yield* appendOne(tenantId, Given.report("delivered", "m-1"))
      const delivery = yield* Given.dispatched(tenantId, "m-1")
      yield* Given.dispatched(tenantId, "m-2")
      yield* Given.dispatched(tenantId, "m-2", { recipient: bob })
      yield* Given.dispatched(elsewhere, shared)
      const stray = `stray-${tenantId}`
      const [bound, other, ambiguous, none, away, malformed] = yield* appended(tenantId, [
        Given.report("opened", "m-1"),
        Given.report("clicked", "m-1", { recipient: Given.named("eve@example.com", true) }),
        Given.report("opened", "m-2"),
        Given.report("opened", stray),
        Given.report("opened", shared),
        Given.report("opened", undefined)
      ])
      if (!bound || !other || !ambiguous || !none || !away || !malformed) throw new Error("an event is missing")
      const explain = ({ eventId }: Ledger.Appended) => orphans.explain({ tenantId, eventId })
      assert.deepStrictEqual(yield* explain(early), { _tag: "Linked", deliveryId: delivery.id })
      assert.deepStrictEqual(yield* explain(bound), { _tag: "NotAnOrphan", deliveryId: delivery.id })
      assert.deepStrictEqual(yield* explain(other), { _tag: "OtherRecipient", correlation: correlation("m-1") })
      assert.deepStrictEqual(yield* explain(ambiguous), { _tag: "Ambiguous", correlation: correlation("m-2") })
      assert.deepStrictEqual(yield* explain(none), {
        _tag: "NoDelivery",
        correlation: correlation(stray),
        otherTenant: false
      })
      assert.deepStrictEqual(yield* explain(away), {
        _tag: "NoDelivery",
        correlation: correlation(shared),
        otherTenant: true
      })
      assert.deepStrictEqual(yield* explain(malformed), { _tag: "Malformed" })
      const unknown = Event.EventId.make(yield* Given.deliveryId)
      yield* refused(orphans.explain({ tenantId, eventId: unknown }), "EventNotFound")
    })
  )
}

const byHand = ({ example }: Contract): void => {
  example(
    "an orphan can be linked by hand to whatever delivery, once",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const ledger = yield* Ledger.Ledger
      const orphans = yield* Orphans.Orphans
      const delivery = yield* Given.recorded(tenantId)
      const { eventId } = yield* appendOne(tenantId, Given.report("delivered", undefined))
      const updates = yield* ledger.updates
      yield* TestClock.adjust("1 minute")
      const unknown = yield* Given.deliveryId
      yield* refused(
        orphans.linkTo({ tenantId, eventId, deliveryId: unknown, expectedVersion: Option.none() }),
        "DeliveryNotFound"
      )
      yield* refused(
        orphans.linkTo({
          tenantId,
          eventId: Event.EventId.make(unknown),
          deliveryId: delivery.id,
          expectedVersion: Option.none()
        }),
        "EventNotFound"
      )
      const results = yield* Effect.all(
        Array.from(
          { length: 4 },
          () => orphans.linkTo({ tenantId, eventId, deliveryId: delivery.id, expectedVersion: Option.none() })
        ),
        { concurrency: "unbounded" }
      )
      assert.lengthOf(results.filter((linked) => linked), 1)
      const after = yield* fetch(delivery)
      assert.deepStrictEqual([after.lockVersion, after.lastEventType], [2, Option.some("delivered")])
      assert.strictEqual(after.updatedAt.epochMilliseconds, Given.afterNoon(60).epochMilliseconds)
      assert.deepStrictEqual(yield* told(updates, tenantId), [
        { tenantId, deliveryId: delivery.id, eventId, type: "delivered", cause: "reconciled" }
      ])
      assert.lengthOf(yield* pending(tenantId), 0)
      yield* assertLaws(tenantId)
    })
  )

  example(
    "an orphan is linked by hand to the version of a delivery that was seen, or not at all",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const orphans = yield* Orphans.Orphans
      const delivery = yield* Given.dispatched(tenantId, "m-1")
      const [moving, still] = yield* appended(tenantId, [
        Given.report("delivered", undefined),
        Given.report("sent", undefined, { occurredAt: Given.afterNoon(-60) })
      ])
      if (moving === undefined || still === undefined) throw new Error("an event is missing")
      const linkTo = ({ eventId }: Ledger.Appended, expectedVersion: number) =>
        orphans.linkTo({
          tenantId,
          eventId,
          deliveryId: delivery.id,
          expectedVersion: Option.some(expectedVersion)
        })
      const error = yield* refused(linkTo(moving, 1), "StaleDelivery")
      assert.deepStrictEqual(
        [error.tenantId, error.deliveryId, error.expectedVersion, error.actualVersion],
        [tenantId, delivery.id, 1, 2]
      )
      assert.strictEqual((yield* refused(linkTo(moving, 1.5), "InvalidInput")).what, "query")
      assert.lengthOf(yield* pending(tenantId), 2)
      sameDelivery(yield* fetch(delivery), delivery)

      const results = yield* Effect.all(
        Array.from({ length: 4 }, () => linkTo(moving, 2)),
        { concurrency: "unbounded", mode: "result" }
      )
      assert.lengthOf(results.filter((result) => result._tag === "Success" && result.success), 1)
      for (const result of results) {
        if (result._tag === "Failure") assert.strictEqual(result.failure._tag, "StaleDelivery")
      }
      assert.strictEqual((yield* fetch(delivery)).lockVersion, 3)
      yield* refused(linkTo(moving, 2), "StaleDelivery")
      assert.isFalse(yield* linkTo(moving, 3))
      assert.isTrue(yield* linkTo(still, 3))
      assert.strictEqual((yield* fetch(delivery)).lockVersion, 3)
      assert.isFalse(yield* linkTo(still, 3))
      assert.lengthOf(yield* pending(tenantId), 0)
      yield* assertLaws(tenantId)
    })
  )

  example(
    "of many links by hand that have seen the same version exactly one wins",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const orphans = yield* Orphans.Orphans
      const delivery = yield* Given.dispatched(tenantId, "m-1")
      const reports = Array.from(
        { length: 6 },
        (_, index) => Given.report("opened", undefined, { idempotencyKey: Given.key(`opened-${index}`) })
      )
      const results = yield* Effect.all(
        (yield* appended(tenantId, reports)).map(({ eventId }) =>
          orphans.linkTo({ tenantId, eventId, deliveryId: delivery.id, expectedVersion: Option.some(2) })
        ),
        { concurrency: "unbounded", mode: "result" }
      )
      assert.lengthOf(results.filter((result) => result._tag === "Success" && result.success), 1)
      for (const result of results) {
        if (result._tag === "Failure") assert.strictEqual(result.failure._tag, "StaleDelivery")
      }
      assert.strictEqual((yield* fetch(delivery)).lockVersion, 3)
      assert.lengthOf(yield* pending(tenantId), 5)
      yield* assertLaws(tenantId)
    })
  )

  example(
    "a dismissed orphan waits no longer and is never linked",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const orphans = yield* Orphans.Orphans
      const report = Given.report("delivered", "m-1")
      const { eventId } = yield* appendOne(tenantId, report)
      assert.isTrue(yield* orphans.dismiss({ tenantId, eventId }))
      assert.isFalse(yield* orphans.dismiss({ tenantId, eventId }))
      assert.lengthOf(yield* pending(tenantId), 0)
      assert.deepStrictEqual(yield* orphans.explain({ tenantId, eventId }), { _tag: "Dismissed" })
      const delivery = yield* Given.dispatched(tenantId, "m-1")
      assert.deepStrictEqual(delivery.lastEventType, Option.some("dispatched"))
      assert.isFalse(
        yield* orphans.linkTo({ tenantId, eventId, deliveryId: delivery.id, expectedVersion: Option.none() })
      )
      yield* refused(orphans.attemptLink({ tenantId, id: eventId }), "DeliveryNotFound")
      assert.deepStrictEqual(yield* appendOne(tenantId, report), {
        _tag: "Duplicate",
        eventId,
        deliveryId: Option.none()
      })
      const [bound] = yield* appended(tenantId, [Given.report("opened", "m-1")])
      if (bound === undefined) throw new Error("nothing was appended")
      assert.isFalse(yield* orphans.dismiss({ tenantId, eventId: bound.eventId }))
      yield* assertLaws(tenantId)
    })
  )

  example(
    "an orphan that was not set aside is not released",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const orphans = yield* Orphans.Orphans
      const { eventId } = yield* appendOne(tenantId, Given.report("delivered", "m-1"))
      assert.isFalse(yield* orphans.retry({ tenantId, eventId }))
      const unknown = Event.EventId.make(yield* Given.deliveryId)
      yield* refused(orphans.retry({ tenantId, eventId: unknown }), "EventNotFound")
      yield* refused(orphans.dismiss({ tenantId, eventId: unknown }), "EventNotFound")
    })
  )
}

const forgetting = ({ example }: Contract): void => {
  example(
    "a forgotten recipient is gone from deliveries and orphans, and nothing else is",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const ledger = yield* Ledger.Ledger
      const delivery = yield* Given.dispatched(tenantId, "m-1")
      const toBob = yield* Given.dispatched(tenantId, "m-1", { recipient: bob })
      const naming = (address: string, message: string) =>
        Given.report("delivered", message, {
          recipient: Given.named(address, true),
          idempotencyKey: Given.key(`${address}-${message}`)
        })
      yield* appended(tenantId, [naming("ann@example.com", "m-1"), naming("ann@example.com", "m-2")])
      const before = yield* fetch(delivery)
      const forget = ledger.forget({ tenantId, recipient: Recipient.Recipient.make("ANN@Example.com") })
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* forget, { deliveries: 1, orphans: 1 })
      assert.deepStrictEqual(yield* forget, { deliveries: 0, orphans: 0 })
      sameDelivery(yield* fetch(delivery), {
        ...before,
        recipient: Option.none(),
        recipientDomain: Option.none(),
        lockVersion: before.lockVersion + 1,
        updatedAt: Given.afterNoon(60)
      })
      sameDelivery(yield* fetch(toBob), toBob)
      assert.lengthOf(yield* timeline(delivery), 3)
      assert.lengthOf(yield* pending(tenantId), 1)
      yield* assertLaws(tenantId)
    })
  )

  example(
    "what names a forgotten recipient for certain meets no delivery any more",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const ledger = yield* Ledger.Ledger
      const orphans = yield* Orphans.Orphans
      const naming = (type: Event.NewEvent["type"], message: string) =>
        Given.report(type, message, { recipient: Given.named("ann@example.com", true) })
      const { eventId } = yield* appendOne(tenantId, naming("sent", "m-2"))
      const delivery = yield* Given.dispatched(tenantId, "m-1")
      yield* ledger.forget({ tenantId, recipient: Given.recipient })
      const late = yield* appendOne(tenantId, naming("delivered", "m-1"))
      assert.deepStrictEqual(late.deliveryId, Option.none())
      const unnamed = yield* appendOne(tenantId, Given.report("opened", "m-1"))
      assert.deepStrictEqual(unnamed.deliveryId, Option.some(delivery.id))
      yield* Given.dispatched(tenantId, "m-2")
      assert.deepStrictEqual(yield* orphans.explain({ tenantId, eventId }), {
        _tag: "OtherRecipient",
        correlation: correlation("m-2")
      })
      assert.isTrue(
        yield* orphans.linkTo({ tenantId, eventId, deliveryId: delivery.id, expectedVersion: Option.none() })
      )
      yield* assertLaws(tenantId)
    })
  )
}

const counting = ({ example }: Contract): void => {
  example(
    "the backlog counts what waits, and what is past the horizon",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const orphans = yield* Orphans.Orphans
      const count = (horizon: DateTime.Utc) => orphans.backlog({ scope: tenantId, horizon })
      assert.deepStrictEqual(yield* count(Given.noon), [])
      yield* appended(tenantId, [Given.report("sent", "m-1"), Given.report("sent", undefined)])
      yield* TestClock.adjust("10 seconds")
      yield* appended(tenantId, [Given.report("opened", "m-1")])
      for (const [seconds, expired] of [[0, 0], [1, 2], [10, 2], [11, 3]] as const) {
        const rows = yield* count(Given.afterNoon(seconds))
        assert.lengthOf(rows, 1)
        assert.deepInclude(rows[0], { tenantId, pending: 3, expired, failed: 0 })
        assert.strictEqual(rows[0]?.oldest.epochMilliseconds, Given.noon.epochMilliseconds)
      }
      const everyone = yield* orphans.backlog({ scope: "*", horizon: Given.noon })
      assert.lengthOf(everyone.filter((row) => row.tenantId === tenantId), 1)
    })
  )
}

/** What the port promises of events that come before their delivery. */
export const orphans = (contract: Contract): void => {
  linking(contract)
  racing(contract)
  asking(contract)
  byHand(contract)
  forgetting(contract)
  counting(contract)
}
