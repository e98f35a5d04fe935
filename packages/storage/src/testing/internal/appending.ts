/** Declares what holds for appending: exactly once, conflicts, batches, and what deliveries make of events. */
import { assert } from "@effect/vitest"
import { DeliveryError, Event, EventType, Ledger, Orphans, Projection, Recipient, type Tenant } from "@waybill/core"
import { Arbitrary, DateTime, Effect, Option, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as Given from "../Given.ts"
import {
  appended,
  appendOne,
  assertLaws,
  type Contract,
  fetch,
  pending,
  sameDelivery,
  sameEvent,
  timeline,
  told
} from "./contract.ts"

const bob = Recipient.Recipient.make("bob@example.com")

const moving = ({ example }: Contract): void => {
  example(
    "a delivery keeps the error of the latest event that carries one",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const dispatched = yield* Given.dispatched(tenantId, "m-1")
      assert.deepStrictEqual(dispatched.lastError, Option.none())
      const reported = {
        rejectReason: Option.some<Event.RejectReason>("bounced"),
        bounceClass: Option.some<Event.BounceClass>("hard"),
        normalizedPayload: { event: "bounce", smtpStatus: 550, status: "5.1.1" }
      }
      yield* appended(tenantId, [
        Given.report("bounced", "m-1", {
          occurredAt: Given.afterNoon(3),
          ...reported
        }),
        Given.report("deferred", "m-1", { occurredAt: Given.afterNoon(2), normalizedPayload: { smtpStatus: 421 } }),
        Given.report("opened", "m-1", { occurredAt: Given.afterNoon(9) })
      ])
      const bounced = yield* fetch(dispatched)
      assert.deepStrictEqual(bounced.lastError, Option.some(DeliveryError.ofEvent(reported)))
      assert.deepStrictEqual(bounced.lastErrorType, Option.some("bounced"))
      assert.strictEqual(
        Option.getOrThrow(bounced.lastErrorAt).epochMilliseconds,
        Given.afterNoon(3).epochMilliseconds
      )
      yield* appendOne(
        tenantId,
        Given.report("deferred", "m-1", { occurredAt: Given.afterNoon(1), idempotencyKey: Given.key("earlier") })
      )
      assert.deepStrictEqual((yield* fetch(dispatched)).lastError, bounced.lastError)
      yield* assertLaws(tenantId)
    })
  )

  example(
    "a batch moves its delivery once, and keeps the provider's time and ours",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const dispatched = yield* Given.dispatched(tenantId, "m-1")
      yield* TestClock.adjust("10 seconds")
      const outcomes = yield* appended(tenantId, [
        Given.report("opened", "m-1", { occurredAt: Given.afterNoon(7) }),
        Given.report("delivered", "m-1", { occurredAt: Given.afterNoon(3) }),
        Given.report("sent", "m-1", { occurredAt: Given.afterNoon(2) })
      ])
      assert.deepStrictEqual(outcomes.map(({ _tag }) => _tag), ["Appended", "Appended", "Appended"])
      for (const { deliveryId } of outcomes) assert.deepStrictEqual(deliveryId, Option.some(dispatched.id))
      const delivery = yield* fetch(dispatched)
      assert.strictEqual(delivery.lockVersion, dispatched.lockVersion + 1)
      assert.strictEqual(delivery.updatedAt.epochMilliseconds, Given.afterNoon(10).epochMilliseconds)
      assert.strictEqual(delivery.status, "sent")
      assert.isTrue(delivery.terminal)
      assert.deepStrictEqual(delivery.lastEventType, Option.some("opened"))
      assert.strictEqual(
        Option.getOrThrow(delivery.deliveredAt).epochMilliseconds,
        Given.afterNoon(3).epochMilliseconds
      )
      assert.strictEqual(Option.getOrThrow(delivery.openedAt).epochMilliseconds, Given.afterNoon(7).epochMilliseconds)
      const entries = yield* timeline(delivery)
      assert.deepStrictEqual(
        entries.map(({ event }) => event.type),
        ["queued", "dispatched", "sent", "delivered", "opened"]
      )
      for (const { event } of entries.slice(2)) {
        assert.strictEqual(event.insertedAt.epochMilliseconds, Given.afterNoon(10).epochMilliseconds)
        assert.isFalse(event.needsReconciliation)
      }
      yield* assertLaws(tenantId)
    })
  )

  example(
    "an event that tells nothing new is stored and moves nothing",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const dispatched = yield* Given.dispatched(tenantId, "m-1")
      yield* appended(tenantId, [Given.report("delivered", "m-1", { occurredAt: Given.afterNoon(5) })])
      const before = yield* fetch(dispatched)
      yield* TestClock.adjust("1 minute")
      const late = Given.report("sent", "m-1", { occurredAt: Given.afterNoon(1) })
      assert.strictEqual((yield* appendOne(tenantId, late))._tag, "Appended")
      sameDelivery(yield* fetch(dispatched), before)
      assert.lengthOf(yield* timeline(dispatched), 4)
    })
  )

  example(
    "a soft bounce is not the end",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const dispatched = yield* Given.dispatched(tenantId, "m-1")
      yield* appended(tenantId, [Given.report("bounced", "m-1", { bounceClass: Option.some("soft") })])
      const soft = yield* fetch(dispatched)
      assert.deepStrictEqual([soft.terminal, soft.status], [false, "dispatched"])
      assert.isTrue(Option.isSome(soft.bouncedAt))
      yield* appended(tenantId, [
        Given.report("bounced", "m-1", { bounceClass: Option.some("hard"), idempotencyKey: Given.key("hard") })
      ])
      const hard = yield* fetch(dispatched)
      assert.deepStrictEqual([hard.terminal, hard.status], [true, "failed"])
    })
  )

  example(
    "appending nothing gives nothing",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      assert.deepStrictEqual(yield* ledger.append(yield* Given.tenant, []), [])
    })
  )

  example(
    "what is read back is what was appended",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const dispatched = yield* Given.dispatched(tenantId, "m-1")
      const report = Given.report("rejected", "m-1", {
        occurredAt: DateTime.makeUnsafe("2026-03-01T09:08:07.006Z"),
        providerEventId: Option.some("evt 1/ü"),
        rejectReason: Option.some("spam"),
        bounceClass: Option.some("undetermined"),
        normalizedPayload: { nested: { list: [1, 2.5, true, null, "x"] } },
        metadata: { campaign: "spring" },
        traceId: Option.some("0af7651916cd43dd8448eb211c80319c")
      })
      const { eventId } = yield* appendOne(tenantId, report)
      const stored = (yield* timeline(dispatched)).find(({ event }) => event.id === eventId)?.event
      sameEvent(
        stored ?? assert.fail("the event is not in the timeline"),
        Event.fromNew(report, {
          id: eventId,
          tenantId,
          deliveryId: Option.some(dispatched.id),
          insertedAt: Given.noon
        })
      )
    })
  )

  example(
    "what a caller does afterwards to an object it gave does not reach the ledger",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const metadata = { note: "before" }
      const dispatched = yield* Given.dispatched(tenantId, "m-1", { metadata })
      yield* appended(tenantId, [Given.report("sent", "m-1", { metadata, normalizedPayload: metadata })])
      metadata.note = "after"
      assert.deepStrictEqual((yield* fetch(dispatched)).metadata, { note: "before" })
      const stored = (yield* timeline(dispatched)).at(-1)?.event
      assert.deepStrictEqual([stored?.metadata, stored?.normalizedPayload], [{ note: "before" }, { note: "before" }])
    })
  )
}

const onceOnly = ({ example }: Contract): void => {
  example(
    "appending an event again changes nothing at all and tells no one",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const dispatched = yield* Given.dispatched(tenantId, "m-1")
      const report = Given.report("delivered", "m-1")
      const first = yield* appendOne(tenantId, report)
      const before = yield* fetch(dispatched)
      const updates = yield* ledger.updates
      yield* TestClock.adjust("1 hour")
      const again = { ...report, metadata: { other: 1 }, normalizedPayload: { other: 2 }, traceId: Option.some("t") }
      for (const batch of [[report], [again, report], [report, report, again]]) {
        for (const outcome of yield* appended(tenantId, batch)) {
          assert.deepStrictEqual(outcome, { ...first, _tag: "Duplicate" })
        }
      }
      sameDelivery(yield* fetch(dispatched), before)
      assert.lengthOf(yield* timeline(dispatched), 3)
      assert.lengthOf(yield* told(updates, tenantId), 0)
    })
  )

  example(
    "an event twice in one batch is appended once",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const dispatched = yield* Given.dispatched(tenantId, "m-1")
      const report = Given.report("delivered", "m-1")
      const outcomes = yield* appended(tenantId, [report, report])
      assert.deepStrictEqual(outcomes.map(({ _tag }) => _tag), ["Appended", "Duplicate"])
      assert.strictEqual(new Set(outcomes.map(({ eventId }) => eventId)).size, 1)
      assert.strictEqual((yield* fetch(dispatched)).lockVersion, 3)
    })
  )

  example(
    "the same events at the same time are appended once each",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const dispatched = yield* Given.dispatched(tenantId, "m-1")
      const updates = yield* ledger.updates
      const batch = [
        Given.report("sent", "m-1"),
        Given.report("delivered", "m-1"),
        Given.report("opened", "waits"),
        Given.report("clicked", undefined)
      ]
      const results = yield* Effect.all(
        Array.from({ length: 8 }, (_, index) => appended(tenantId, index % 2 === 0 ? batch : batch.toReversed())),
        { concurrency: "unbounded" }
      )
      const outcomes = results.flat()
      assert.lengthOf(outcomes.filter(({ _tag }) => _tag === "Appended"), batch.length)
      assert.strictEqual(new Set(outcomes.map(({ eventId }) => eventId)).size, batch.length)
      assert.lengthOf(yield* timeline(dispatched), 4)
      assert.lengthOf(yield* pending(tenantId), 2)
      assert.lengthOf(yield* told(updates, tenantId), 2)
      assert.strictEqual((yield* fetch(dispatched)).lockVersion, 3)
      yield* assertLaws(tenantId)
    })
  )

  example(
    "a key that says something else is refused and the rest of the batch stands",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const dispatched = yield* Given.dispatched(tenantId, "m-1")
      const words = { event: "sent", subtype: "ann@example.com" }
      const report = Given.report("sent", "m-1", { normalizedPayload: words })
      const first = yield* appendOne(tenantId, report)
      const differing: ReadonlyArray<Event.NewEvent> = [
        { ...report, type: "delivered" },
        { ...report, occurredAt: Given.afterNoon(1) },
        { ...report, providerMessageId: Option.none() },
        { ...report, providerEventId: Option.some("e") },
        { ...report, echoedDeliveryId: Option.some(dispatched.id) },
        { ...report, rejectReason: Option.some("other") },
        { ...report, bounceClass: Option.some("soft") }
      ]
      const outcomes = yield* ledger.append(tenantId, [...differing, Given.report("opened", "m-1"), report])
      for (const outcome of outcomes.slice(0, differing.length)) {
        if (!Ledger.isConflict(outcome)) throw new Error("a differing report was taken for the same")
        assert.strictEqual(outcome.storedEventId, first.eventId)
        assert.strictEqual(outcome.idempotencyKey, report.idempotencyKey)
        assert.strictEqual(outcome.tenantId, tenantId)
        assert.deepStrictEqual(outcome.storedName, { event: "sent" })
      }
      assert.deepStrictEqual(outcomes.slice(differing.length).map(({ _tag }) => _tag), ["Appended", "Duplicate"])
      assert.deepStrictEqual(
        (yield* timeline(dispatched)).map(({ event }) => event.type),
        ["queued", "dispatched", "sent", "opened"]
      )
      const [fresh, other] = yield* ledger.append(tenantId, [
        Given.report("clicked", "m-1", { idempotencyKey: Given.key("both") }),
        Given.report("opened", "m-1", { idempotencyKey: Given.key("both") })
      ])
      assert.deepStrictEqual([fresh?._tag, other?._tag], ["Appended", "IdempotencyConflict"])
    })
  )

  const toAnn = Given.named("ann@example.com", true)
  const toAnnAloud = Given.named("ANN@Example.com", true)
  const toBob = Given.named("bob@example.com", true)
  const maybeToBob = Given.named("bob@example.com", false)
  const toNone = Option.none()

  /** Appends what has the key of a stored report and another recipient, and gives the tags of the outcomes. */
  const renamed = (tenantId: Tenant.TenantId, report: Event.NewEvent, ...recipients: ReadonlyArray<typeof toAnn>) =>
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const outcomes = yield* ledger.append(
        tenantId,
        recipients.map((recipient) => Object.assign({}, report, { recipient }))
      )
      return outcomes.map(({ _tag }) => _tag)
    })

  example(
    "a key that stands for an event of one delivery is refused for another recipient than the delivery's",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      yield* Given.dispatched(tenantId, "m-1")
      yield* Given.dispatched(tenantId, "m-2")
      const named = Given.report("sent", "m-1", { recipient: toAnn })
      const unnamed = Given.report("sent", "m-2")
      for (const report of [named, unnamed]) {
        assert.deepStrictEqual(
          yield* renamed(tenantId, report, report.recipient, toBob, toAnnAloud, toNone, maybeToBob, toBob),
          ["Appended", "IdempotencyConflict", "Duplicate", "Duplicate", "Duplicate", "IdempotencyConflict"]
        )
        assert.deepStrictEqual(
          yield* renamed(tenantId, report, toBob, toAnn, toAnnAloud, toNone),
          ["IdempotencyConflict", "Duplicate", "Duplicate", "Duplicate"]
        )
      }
      yield* ledger.forget({ tenantId, recipient: Given.recipient })
      for (const report of [named, unnamed]) {
        assert.deepStrictEqual(yield* renamed(tenantId, report, toAnn, toBob, toNone), Array(3).fill("Duplicate"))
      }
    })
  )

  example(
    "a key that stands for an orphan is refused for another recipient than it named, also when it is linked",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const orphans = yield* Orphans.Orphans
      const tenantId = yield* Given.tenant
      const named = Given.report("sent", "m-1", { recipient: toAnn })
      const unnamed = Given.report("opened", "m-1")
      const byHand = Given.report("sent", "m-2", { recipient: toBob })
      assert.deepStrictEqual(
        yield* renamed(tenantId, named, toAnn, toBob, toAnnAloud, toNone),
        ["Appended", "IdempotencyConflict", "Duplicate", "IdempotencyConflict"]
      )
      const [none, linked] = yield* appended(tenantId, [unnamed, byHand])
      if (none === undefined || linked === undefined) throw new Error("an event is missing")
      const assertSame = Effect.gen(function*() {
        assert.deepStrictEqual(
          yield* renamed(tenantId, named, toAnn, toBob, toAnnAloud, toNone),
          ["Duplicate", "IdempotencyConflict", "Duplicate", "IdempotencyConflict"]
        )
        assert.deepStrictEqual(
          yield* renamed(tenantId, unnamed, toNone, toAnn, maybeToBob),
          ["Duplicate", "IdempotencyConflict", "Duplicate"]
        )
        assert.deepStrictEqual(
          yield* renamed(tenantId, byHand, toBob, toAnn, toNone),
          ["Duplicate", "IdempotencyConflict", "IdempotencyConflict"]
        )
      })
      yield* assertSame
      const delivery = yield* Given.dispatched(tenantId, "m-1")
      yield* orphans.linkTo({
        tenantId,
        eventId: linked.eventId,
        deliveryId: delivery.id,
        expectedVersion: Option.none()
      })
      assert.lengthOf(yield* pending(tenantId), 0)
      yield* assertSame
      yield* ledger.forget({ tenantId, recipient: bob })
      assert.deepStrictEqual(yield* renamed(tenantId, byHand, toBob, toAnn, toNone), Array(3).fill("Duplicate"))
      assert.deepStrictEqual(yield* renamed(tenantId, named, toAnn, toBob), ["Duplicate", "IdempotencyConflict"])
    })
  )
}

const correlating = ({ example }: Contract): void => {
  example(
    "an event that names its recipient for certain meets the delivery to it, without case",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const toAnn = yield* Given.dispatched(tenantId, "m-1")
      const toBob = yield* Given.dispatched(tenantId, "m-1", { recipient: bob })
      const named = (address: string, key: string) =>
        appendOne(
          tenantId,
          Given.report("delivered", "m-1", { recipient: Given.named(address, true), idempotencyKey: Given.key(key) })
        )
      assert.deepStrictEqual((yield* named("BOB@Example.com", "b")).deliveryId, Option.some(toBob.id))
      assert.deepStrictEqual((yield* named("ann@EXAMPLE.com", "a")).deliveryId, Option.some(toAnn.id))
      assert.deepStrictEqual((yield* named("eve@example.com", "e")).deliveryId, Option.none())
      assert.lengthOf(yield* pending(tenantId), 1)
    })
  )

  example(
    "two spellings of one recipient meet",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const spellings = [
        "j\u00f6@b\u00fccher.example",
        "JO\u0308@BU\u0308CHER.example",
        "J\u00d6@xn--bcher-kva.example.",
        "jo\u0308@XN--BCHER-KVA.EXAMPLE"
      ]
      for (const [index, recorded] of spellings.entries()) {
        const message = `m-${index}`
        const early = yield* appendOne(
          tenantId,
          Given.report("sent", message, { recipient: Given.named(spellings.at(index - 1) ?? recorded, true) })
        )
        assert.deepStrictEqual(early.deliveryId, Option.none())
        const delivery = yield* Given.dispatched(tenantId, message, { recipient: Given.address(recorded) })
        assert.deepStrictEqual(delivery.recipientDomain, Option.some("xn--bcher-kva.example"))
        for (const [at, named] of spellings.entries()) {
          const { deliveryId } = yield* appendOne(
            tenantId,
            Given.report("opened", message, {
              recipient: Given.named(named, true),
              idempotencyKey: Given.key(`${message}-${at}`)
            })
          )
          assert.deepStrictEqual(deliveryId, Option.some(delivery.id), `${recorded} ${named}`)
        }
        const again = yield* appendOne(
          tenantId,
          Given.report("opened", message, {
            recipient: Given.named(recorded, true),
            idempotencyKey: Given.key(`${message}-0`)
          })
        )
        assert.strictEqual(again._tag, "Duplicate")
        assert.lengthOf(yield* timeline(delivery), 8)
      }
      assert.lengthOf(yield* pending(tenantId), 0)
      yield* assertLaws(tenantId)
      const recipient = Given.address("J\u00d6@b\u00fccher.example")
      assert.deepStrictEqual(yield* ledger.forget({ tenantId, recipient }), {
        deliveries: spellings.length,
        orphans: 0
      })
    })
  )

  example(
    "an event that does not name its recipient for certain meets a delivery only where one alone has the message id",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const toAnn = yield* Given.dispatched(tenantId, "m-1")
      const uncertain = (key: string) =>
        appendOne(
          tenantId,
          Given.report("delivered", "m-1", {
            recipient: Given.named("bob@example.com", false),
            idempotencyKey: Given.key(key)
          })
        )
      const unnamed = (key: string) =>
        appendOne(tenantId, Given.report("opened", "m-1", { idempotencyKey: Given.key(key) }))
      assert.deepStrictEqual((yield* uncertain("a")).deliveryId, Option.some(toAnn.id))
      assert.deepStrictEqual((yield* unnamed("b")).deliveryId, Option.some(toAnn.id))
      yield* Given.dispatched(tenantId, "m-1", { recipient: bob })
      assert.deepStrictEqual((yield* uncertain("c")).deliveryId, Option.none())
      assert.deepStrictEqual((yield* unnamed("d")).deliveryId, Option.none())
      assert.lengthOf(yield* pending(tenantId), 2)
    })
  )

  example(
    "an echoed delivery id decides alone, whatever recipient is named",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      yield* Given.dispatched(tenantId, "m-1")
      const echoed = yield* Given.recorded(tenantId, { recipient: bob })
      const echoing = (key: string, fields: Partial<Event.NewEvent>) =>
        appendOne(
          tenantId,
          Given.report("delivered", "m-1", {
            echoedDeliveryId: Option.some(echoed.id),
            idempotencyKey: Given.key(key),
            ...fields
          })
        )
      assert.deepStrictEqual((yield* echoing("a", {})).deliveryId, Option.some(echoed.id))
      const uncertain = { recipient: Given.named("ann@example.com", false) }
      assert.deepStrictEqual((yield* echoing("b", uncertain)).deliveryId, Option.some(echoed.id))
      const certain = { recipient: Given.named("ann@example.com", true) }
      assert.deepStrictEqual((yield* echoing("c", certain)).deliveryId, Option.some(echoed.id))
      const again = Given.report("delivered", "m-1", {
        echoedDeliveryId: Option.some(echoed.id),
        idempotencyKey: Given.key("c"),
        ...certain
      })
      const ledger = yield* Ledger.Ledger
      assert.deepStrictEqual((yield* ledger.append(tenantId, [again])).map(({ _tag }) => _tag), ["Duplicate"])
      const unknown = { echoedDeliveryId: Option.some(yield* Given.deliveryId) }
      assert.deepStrictEqual((yield* echoing("d", unknown)).deliveryId, Option.none())
    })
  )

  example(
    "message ids meet in their canonical form",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const delivery = yield* Given.dispatched(tenantId, " <a.b@mail.example.com>")
      const bracketed = Given.report("delivered", "<a.b@mail.example.com>")
      assert.deepStrictEqual((yield* appendOne(tenantId, bracketed)).deliveryId, Option.some(delivery.id))
      const entry = (yield* timeline(delivery)).at(-1)
      assert.deepStrictEqual(entry?.event.providerMessageId, Option.some(Given.messageId("a.b@mail.example.com")))
    })
  )
}

interface Fact {
  readonly type: EventType.ReportedType
  readonly at: number
  readonly bounce: Event.BounceClass | null
}

const facts: Arbitrary.Arbitrary<ReadonlyArray<Fact>> = Arbitrary.array(
  Arbitrary.all({
    type: Arbitrary.schema(EventType.ReportedType),
    at: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: -5, maximum: 5 }))),
    bounce: Arbitrary.schema(Schema.NullOr(Event.BounceClass))
  }),
  { minLength: 1, maxLength: 8 }
)

const order = Arbitrary.array(Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 7 }))), {
  maxLength: 12
})

const folding = ({ property }: Contract): void => {
  property(
    "any order, batching and repetition of the same events gives the same projection",
    Arbitrary.all({
      facts,
      order,
      size: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 4 })))
    }),
    ({ facts, order, size }) =>
      Effect.gen(function*() {
        const reports = facts.map(({ at, bounce, type }, index) =>
          Given.report(type, "m-1", {
            occurredAt: Given.afterNoon(at),
            bounceClass: Option.fromNullOr(bounce),
            normalizedPayload: { smtpStatus: 550 + at },
            idempotencyKey: Given.key(`event-${index}`)
          })
        )
        const shuffled = [...order.flatMap((index) => reports[index] ?? []), ...reports.toReversed()]
        const one = yield* Given.tenant
        const other = yield* Given.tenant
        const expected = yield* Given.dispatched(one, "m-1")
        yield* appended(one, reports)
        yield* Given.dispatched(other, "m-1").pipe(
          Effect.tap(() =>
            Effect.gen(function*() {
              for (let from = 0; from < shuffled.length; from += size) {
                yield* appended(other, shuffled.slice(from, from + size))
              }
            })
          ),
          Effect.flatMap(fetch),
          Effect.flatMap((actual) =>
            Effect.map(fetch(expected), (stored) => {
              const differing = Projection.differences(actual, stored).filter((field) =>
                !["lastEventId", "lastErrorId", "lastError"].includes(field)
              )
              assert.deepStrictEqual(differing, [])
              // Ids alone tell apart the bounces of one instant, whose classes may differ.
              const smtpStatus = Option.map(actual.lastError, ({ smtpStatus }) => smtpStatus)
              assert.deepStrictEqual(Option.map(stored.lastError, ({ smtpStatus }) => smtpStatus), smtpStatus)
            })
          )
        )
        yield* assertLaws(one)
        yield* assertLaws(other)
      })
  )
}

/** What `append` promises. */
export const appending = (contract: Contract): void => {
  moving(contract)
  onceOnly(contract)
  correlating(contract)
  folding(contract)
}
