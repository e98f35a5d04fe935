/** What a provider says in words: kept beside the ledger, brought in later, pruned and erased. */
import { assert } from "@effect/vitest"
import { Details, Event, Ledger, Orphans, type Tenant } from "@waybill/core"
import { Arbitrary, DateTime, Effect, Option, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as Given from "../Given.ts"
import * as History from "../History.ts"
import { appended, type Contract, fetch, refused, timeline, told } from "./contract.ts"

const bounce: Details.Details = {
  response: "550 5.1.1 <ann@example.com>: no such user",
  description: "The server was unable to deliver your message",
  tags: ["welcome", "\u0001\u{1f4a9}"],
  metadata: { order: "17", "": "", constructor: "x" }
}

const words = (details: Details.Details) => ({ details: Option.some(details) })

/** The details of each event of a delivery that is no own one, by their types. */
const saidOf = Effect.fnUntraced(function*(delivery: Parameters<typeof timeline>[0]) {
  return (yield* timeline(delivery))
    .filter(({ event }) => Option.isSome(event.provider))
    .map(({ details, event }): readonly [Event.Event["type"], Details.Details | null] => [
      event.type,
      Option.getOrNull(details)
    ])
})

/** What the feed holds of a tenant, so many events, as JSON. */
const fed = Effect.fnUntraced(function*(tenantId: Tenant.TenantId, count: number) {
  const events = yield* History.feedOf(tenantId, count)
  return JSON.stringify(events.map((event) => Schema.encodeSync(Event.Event)(event)))
})

const inAWhile = Effect.map(DateTime.now, (now) => DateTime.add(now, { days: 400 }))

/** Deletes what any test has left. */
const pruneAll = Effect.gen(function*() {
  const ledger = yield* Ledger.Ledger
  const before = yield* inAWhile
  while ((yield* ledger.pruneDetails({ before, limit: 10_000, dryRun: false })) > 0);
})

const forget = Effect.fnUntraced(function*(tenantId: Tenant.TenantId, recipient = Given.recipient) {
  const ledger = yield* Ledger.Ledger
  return yield* ledger.forget({ tenantId, recipient })
})

const text = Arbitrary.schema(
  Schema.optionalKey(Schema.String).pipe((field) =>
    Schema.Struct({
      response: field,
      url: field,
      tags: Schema.optionalKey(Schema.Array(Schema.String)),
      metadata: Schema.optionalKey(Schema.Record(Schema.String, Schema.String))
    })
  )
)

/** Declares what holds for details. */
export const details = ({ example, property }: Contract): void => {
  example(
    "an event keeps what its provider said, whether it met its delivery or was linked later",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      yield* appended(tenantId, [Given.report("deferred", "m-1", words({ response: "421 later" }))])
      const delivery = yield* Given.dispatched(tenantId, "m-1")
      yield* appended(tenantId, [
        Given.report("bounced", "m-1", words(bounce)),
        Given.report("opened", "m-1")
      ])
      assert.deepStrictEqual(
        (yield* saidOf(delivery)).toSorted(([left], [right]) => (left < right ? -1 : 1)),
        [["bounced", bounce], ["deferred", { response: "421 later" }], ["opened", null]]
      )
      const own = (yield* timeline(delivery)).filter(({ event }) => Option.isNone(event.provider))
      assert.deepStrictEqual(own.map(({ details }) => details), own.map(() => Option.none()))
    })
  )

  property(
    "details are given back as they were",
    text,
    (said) =>
      Effect.gen(function*() {
        const tenantId = yield* Given.tenant
        const delivery = yield* Given.dispatched(tenantId, "m-1")
        const details = Details.make(said)
        yield* appended(tenantId, [Given.report("bounced", "m-1", { details })])
        yield* appended(tenantId, [Given.report("opened", "m-2", { details })])
        assert.deepStrictEqual(yield* saidOf(delivery), [["bounced", Option.getOrNull(details)]])
        assert.deepStrictEqual(yield* saidOf(yield* Given.dispatched(tenantId, "m-2")), [
          ["opened", Option.getOrNull(details)]
        ])
      })
  )

  example(
    "nothing of it is in the ledger or in the feed",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      yield* Given.dispatched(tenantId, "m-1")
      yield* appended(tenantId, [
        Given.report("bounced", "m-1", words(bounce)),
        Given.report("bounced", "m-2", words(bounce))
      ])
      const events = yield* fed(tenantId, 4)
      assert.include(events, "bounced")
      for (const said of ["550 5.1.1", "unable", "welcome", "order", "details"]) assert.notInclude(events, said)
    })
  )

  example(
    "a duplicate brings details in where none are kept, and changes nothing else",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const delivery = yield* Given.dispatched(tenantId, "m-1")
      const orphan = yield* Given.dispatched(tenantId, "m-2")
      yield* appended(tenantId, [Given.report("bounced", "m-1"), Given.report("bounced", "m-3")])
      const read = Effect.all([fetch(delivery), fetch(orphan), fed(tenantId, 6)])
      const before = yield* read
      const updates = yield* ledger.updates
      const again = [Given.report("bounced", "m-1", words(bounce)), Given.report("bounced", "m-3", words(bounce))]
      const outcomes = yield* ledger.append(tenantId, again)
      assert.deepStrictEqual(outcomes.map(({ _tag }) => _tag), ["Duplicate", "Duplicate"])
      assert.deepStrictEqual(yield* read, before)
      assert.deepStrictEqual(yield* told(updates, tenantId), [])
      assert.deepStrictEqual(yield* saidOf(delivery), [["bounced", bounce]])
      const other = words({ response: "another" })
      yield* ledger.append(tenantId, [Given.report("bounced", "m-1", other), Given.report("bounced", "m-3", other)])
      assert.deepStrictEqual(yield* saidOf(delivery), [["bounced", bounce]])
      const linked = yield* Given.dispatched(tenantId, "m-3", { recipient: Given.address("bob@example.com") })
      assert.deepStrictEqual(yield* saidOf(linked), [["bounced", bounce]])
      yield* ledger.append(tenantId, [Given.report("bounced", "m-3", other)])
      assert.deepStrictEqual(yield* saidOf(linked), [["bounced", bounce]])
    })
  )

  example(
    "a conflict brings nothing in",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const delivery = yield* Given.dispatched(tenantId, "m-1")
      const idempotencyKey = Given.key("one")
      yield* appended(tenantId, [Given.report("bounced", "m-1", { idempotencyKey })])
      const [outcome] = yield* ledger.append(tenantId, [
        Given.report("opened", "m-1", { idempotencyKey, ...words(bounce) })
      ])
      assert.strictEqual(outcome?._tag, "IdempotencyConflict")
      assert.deepStrictEqual(yield* saidOf(delivery), [["bounced", null]])
    })
  )

  example(
    "details go with the recipient: of the deliveries, of linked orphans, and of orphans that name it",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const ann = { recipient: Option.some({ address: Given.address("Ann@Example.COM"), certain: true }) }
      const perhaps = { recipient: Option.some({ address: Given.recipient, certain: false }) }
      const bob = Given.address("bob@example.com")
      yield* appended(tenantId, [
        Given.report("deferred", "m-1", words(bounce)),
        Given.report("bounced", "m-2", { ...ann, ...words(bounce) }),
        Given.report("bounced", "m-3", { ...perhaps, ...words(bounce) }),
        Given.report("bounced", "m-4", words(bounce)),
        Given.report("opened", "m-5", { ...ann, ...words(bounce) })
      ])
      const delivery = yield* Given.dispatched(tenantId, "m-1")
      yield* appended(tenantId, [Given.report("bounced", "m-1", words(bounce))])
      const other = yield* Given.dispatched(tenantId, "m-6", { recipient: bob })
      yield* appended(tenantId, [Given.report("bounced", "m-6", words(bounce))])
      const orphans = yield* Orphans.Orphans
      const [first] = yield* orphans.find({
        scope: tenantId,
        limit: 10,
        insertedFrom: Option.none(),
        failedOnly: false
      })
      assert.isDefined(first)
      yield* forget(tenantId)
      assert.deepStrictEqual(
        (yield* saidOf(delivery)).toSorted(([left], [right]) => (left < right ? -1 : 1)),
        [["bounced", null], ["deferred", null]]
      )
      assert.deepStrictEqual(yield* saidOf(other), [["bounced", bounce]])
      const later = { recipient: bob }
      assert.deepStrictEqual(yield* saidOf(yield* Given.dispatched(tenantId, "m-3", later)), [["bounced", null]])
      assert.deepStrictEqual(yield* saidOf(yield* Given.dispatched(tenantId, "m-4", later)), [["bounced", bounce]])
      for (
        const { event } of yield* orphans.find({
          scope: tenantId,
          limit: 10,
          insertedFrom: Option.none(),
          failedOnly: false
        })
      ) {
        yield* orphans.linkTo({
          tenantId,
          eventId: event.id,
          deliveryId: other.id,
          expectedVersion: Option.none()
        })
      }
      assert.deepStrictEqual(
        (yield* saidOf(other)).filter(([, details]) => details !== null).length,
        1
      )
    })
  )

  example(
    "of a forgotten recipient no details are kept, new ones or brought in",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const delivery = yield* Given.dispatched(tenantId, "m-1")
      yield* appended(tenantId, [Given.report("bounced", "m-1", words(bounce))])
      yield* forget(tenantId)
      const recipient = { recipient: Option.none() }
      yield* ledger.append(tenantId, [
        Given.report("bounced", "m-1", { ...recipient, ...words(bounce) }),
        Given.report("opened", "m-1", { ...recipient, ...words(bounce) })
      ])
      yield* ledger.append(tenantId, [Given.report("clicked", "m-1", { ...recipient, ...words(bounce) })])
      assert.deepStrictEqual((yield* saidOf(delivery)).map(([, details]) => details), [null, null, null])
    })
  )

  example(
    "details are pruned by how long they are kept, the oldest first and no more than it may",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      yield* pruneAll
      const tenantId = yield* Given.tenant
      const delivery = yield* Given.dispatched(tenantId, "m-1")
      yield* appended(tenantId, [Given.report("opened", "m-1")])
      for (const type of ["deferred", "delivered", "clicked"] as const) {
        yield* appended(tenantId, [Given.report(type, "m-1", words({ description: type }))])
        yield* TestClock.adjust("1 day")
      }
      // What is brought in later is as old as it is kept.
      yield* ledger.append(tenantId, [Given.report("opened", "m-1", words({ description: "opened" }))])
      const kept = Effect.map(
        saidOf(delivery),
        (all) => all.flatMap(([type, details]) => details === null ? [] : [type]).toSorted()
      )
      const before = DateTime.subtract(yield* DateTime.now, { hours: 36 })
      assert.strictEqual(yield* ledger.pruneDetails({ before, limit: 10, dryRun: true }), 2)
      assert.strictEqual(yield* ledger.pruneDetails({ before, limit: 1, dryRun: false }), 1)
      assert.deepStrictEqual(yield* kept, ["clicked", "delivered", "opened"])
      assert.strictEqual(yield* ledger.pruneDetails({ before, limit: 10, dryRun: false }), 1)
      assert.deepStrictEqual(yield* kept, ["clicked", "opened"])
      assert.strictEqual(yield* ledger.pruneDetails({ before, limit: 10, dryRun: false }), 0)
      for (const limit of [0, 10_001]) {
        yield* refused(ledger.pruneDetails({ before, limit, dryRun: false }), "InvalidInput")
      }
    })
  )

  example(
    "details beyond the bound, or that cannot be stored, are refused and nothing is written",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const delivery = yield* Given.dispatched(tenantId, "m-1")
      for (const details of [{ response: "x".repeat(5000) }, { response: "\u0000" }, { tags: ["\ud800"] }]) {
        const error = yield* refused(
          ledger.append(tenantId, [Given.report("bounced", "m-1", words(details))]),
          "InvalidInput"
        )
        assert.strictEqual(error.what, "event")
        assert.notInclude(error.message, "xxx")
      }
      assert.deepStrictEqual(yield* saidOf(delivery), [])
    })
  )

  example(
    "a tenant's details are its own, also under equal ids and keys",
    Effect.gen(function*() {
      const one = yield* Given.tenant
      const two = yield* Given.tenant
      const mine = yield* Given.dispatched(one, "m-1")
      const theirs = yield* Given.dispatched(two, "m-1")
      yield* appended(one, [Given.report("bounced", "m-1", words(bounce))])
      yield* appended(two, [Given.report("bounced", "m-1", words({ response: "550 theirs" }))])
      yield* forget(one)
      assert.deepStrictEqual(yield* saidOf(mine), [["bounced", null]])
      assert.deepStrictEqual(yield* saidOf(theirs), [["bounced", { response: "550 theirs" }]])
    })
  )
}
