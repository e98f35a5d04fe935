/** Declares what holds for reading: timelines, listings, the feed and the audit. */
import { assert } from "@effect/vitest"
import { Audit, Cursor, type Event, Ledger, type LedgerError, Orphans, Place, type Tenant } from "@waybill/core"
import { DateTime, Effect, Option } from "effect"
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
  timeline,
  told
} from "./contract.ts"

const separating = ({ example }: Contract): void => {
  example(
    "tenants with equal ids, keys, message ids and addresses never meet",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const orphans = yield* Orphans.Orphans
      const one = yield* Given.tenant
      const other = yield* Given.tenant
      const id = yield* Given.deliveryId
      const given = { id: Option.some(id), idempotencyKey: Option.some(Given.key("order-1")) }
      const report = Given.report("delivered", "m-1", { recipient: Given.named("ann@example.com", true) })
      const echoing = Given.report("opened", undefined, { echoedDeliveryId: Option.some(id) })

      const { eventId } = yield* appendOne(one, report)
      yield* appendOne(one, echoing)
      const theirs = yield* Given.dispatched(other, "m-1", given)
      assert.strictEqual(theirs.lockVersion, 2)
      assert.deepStrictEqual(theirs.lastEventType, Option.some("dispatched"))
      assert.lengthOf(yield* pending(one), 2)
      assert.lengthOf(yield* pending(other), 0)
      assert.lengthOf(yield* deliveriesOf(one), 0)
      assert.deepStrictEqual(yield* ledger.delivery({ tenantId: one, deliveryId: id }), Option.none())
      assert.deepStrictEqual(yield* ledger.timeline({ tenantId: one, deliveryId: id }), [])
      yield* refused(ledger.dispatch(Given.dispatch({ tenantId: one, id }, "m-9")), "DeliveryNotFound")

      const second = yield* appendOne(other, report)
      assert.strictEqual(second._tag, "Appended")
      assert.deepStrictEqual(second.deliveryId, Option.some(id))
      const foreign: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string }>> = [
        orphans.attemptLink({ tenantId: other, id: eventId }),
        orphans.explain({ tenantId: other, eventId }),
        orphans.linkTo({ tenantId: other, eventId, deliveryId: id, expectedVersion: Option.none() }),
        orphans.dismiss({ tenantId: other, eventId }),
        orphans.retry({ tenantId: other, eventId })
      ]
      for (const call of foreign) assert.strictEqual((yield* Effect.flip(call))._tag, "EventNotFound")
      yield* refused(
        orphans.linkTo({ tenantId: one, eventId, deliveryId: id, expectedVersion: Option.none() }),
        "DeliveryNotFound"
      )

      const { created, linked } = yield* ledger.record(Given.delivery(one, given))
      assert.deepStrictEqual([created, linked], [true, 1])
      assert.strictEqual((yield* ledger.dispatch(Given.dispatch({ tenantId: one, id }, "m-1"))).linked, 1)
      const before = yield* fetch({ tenantId: other, id })
      assert.deepStrictEqual(
        yield* ledger.forget({ tenantId: one, recipient: Given.recipient }),
        { deliveries: 1, orphans: 0 }
      )
      sameDelivery(yield* fetch({ tenantId: other, id }), before)
      for (const tenantId of [one, other]) yield* assertLaws(tenantId)
    })
  )
}

const listing = ({ example }: Contract): void => {
  example(
    "deliveries come in the order of their ids, page by page",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const ids: Array<Event.DeliveryId> = []
      for (let index = 0; index < 5; index++) {
        const id = yield* Given.deliveryId
        yield* Given.recorded(tenantId, index % 2 === 0 ? { id: Option.some(id) } : {})
      }
      let after: Option.Option<Event.DeliveryId> = Option.none()
      for (let page = 0; page < 4; page++) {
        const found: ReadonlyArray<{ readonly id: Event.DeliveryId }> = yield* ledger.deliveries({
          tenantId,
          after,
          limit: 2
        })
        assert.lengthOf(found, [2, 2, 1, 0][page] ?? 0)
        ids.push(...found.map(({ id }) => id))
        after = Option.orElse(Option.fromUndefinedOr(found.at(-1)?.id), () => after)
      }
      assert.deepStrictEqual(ids, ids.toSorted())
      assert.strictEqual(new Set(ids).size, 5)
      assert.deepStrictEqual((yield* deliveriesOf(tenantId)).map(({ id }) => id), ids)
    })
  )

  example(
    "pending orphans come oldest first, from an instant on and at most so many",
    Effect.gen(function*() {
      const orphans = yield* Orphans.Orphans
      const tenantId = yield* Given.tenant
      const neighbour = yield* Given.tenant
      const future = DateTime.add(Given.noon, { days: 400_000 })
      yield* TestClock.setTime(future.epochMilliseconds)
      const [a, b] = yield* appended(tenantId, [Given.report("sent", "m-1"), Given.report("opened", "m-1")])
      yield* TestClock.adjust("-10 seconds")
      const [earlier] = yield* appended(tenantId, [Given.report("clicked", undefined)])
      yield* TestClock.adjust("20 seconds")
      const [later] = yield* appended(tenantId, [Given.report("delivered", "m-2")])
      const [theirs] = yield* appended(neighbour, [Given.report("delivered", "m-2")])
      if (!a || !b || !earlier || !later || !theirs) throw new Error("an event is missing")

      const find = (scope: Tenant.Scope, limit: number, seconds: number) =>
        Effect.map(
          orphans.find({
            scope,
            limit,
            insertedFrom: Option.some(DateTime.add(future, { seconds })),
            failedOnly: false
          }),
          (found) => {
            for (const { failure } of found) assert.deepStrictEqual(failure, Option.none())
            return found.map(({ event }) => event.id)
          }
        )
      const same = [a.eventId, b.eventId].toSorted()
      assert.deepStrictEqual(yield* find(tenantId, 10, -10), [earlier.eventId, ...same, later.eventId])
      assert.deepStrictEqual(yield* find(tenantId, 10, 0), [...same, later.eventId])
      assert.deepStrictEqual(yield* find(tenantId, 2, -10), [earlier.eventId, same[0]])
      assert.deepStrictEqual(yield* find(tenantId, 10, 11), [])
      const everyone = yield* find("*", 10_000, 0)
      assert.includeMembers(everyone, [a.eventId, b.eventId, later.eventId, theirs.eventId])
      assert.notInclude(everyone, earlier.eventId)
      const pageOf = (after?: Place.Place) =>
        Effect.map(
          orphans.find({
            scope: tenantId,
            limit: 1,
            insertedFrom: Option.none(),
            failedOnly: false,
            ...after !== undefined && { after }
          }),
          ([found]) => found?.event
        )
      const paged: Array<string> = []
      for (
        let event = yield* pageOf();
        event !== undefined;
        event = yield* pageOf(Place.of(event.insertedAt, event.id))
      ) {
        paged.push(event.id)
      }
      assert.deepStrictEqual(paged, [earlier.eventId, ...same, later.eventId])
      const failed = yield* orphans.find({
        scope: tenantId,
        limit: 10,
        insertedFrom: Option.none(),
        failedOnly: true
      })
      assert.lengthOf(failed, 0)
    })
  )

  example(
    "a query for no row, for parts of one or for too many is refused",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const orphans = yield* Orphans.Orphans
      const audit = yield* Audit.Audit
      const scope = yield* Given.tenant
      const none = Option.none()
      const queries: ReadonlyArray<
        (
          limit: number
        ) => Effect.Effect<unknown, LedgerError.LedgerError | LedgerError.InvalidInput | LedgerError.CursorAhead>
      > = [
        (limit) => orphans.find({ scope, limit, insertedFrom: none, failedOnly: false }),
        (limit) => orphans.link({ scope, limit, insertedFrom: Given.noon, insertedTo: Given.noon }),
        (limit) => ledger.deliveries({ tenantId: scope, after: none, limit }),
        (limit) => ledger.changes({ scope, after: Cursor.start, limit }),
        (limit) => audit.verify({ part: "deliveries", scope, after: none, limit }),
        (limit) => audit.rebuild({ part: "orphans", scope, after: none, limit })
      ]
      for (const query of queries) {
        for (const limit of [0, -1, 1.5, 10_001, NaN, Infinity]) {
          const error = yield* refused(query(limit), "InvalidInput")
          assert.strictEqual(error.what, "query")
          assert.match(error.issue, /^limit: /)
        }
        yield* query(1)
        yield* query(10_000)
      }
    })
  )

  example(
    "our times come from the clock, even where it goes back",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const recorded = yield* Given.recorded(tenantId)
      yield* TestClock.setTime(Given.afterNoon(-3600).epochMilliseconds)
      const { delivery } = yield* ledger.dispatch(Given.dispatch(recorded, "m-1"))
      assert.strictEqual(delivery.updatedAt.epochMilliseconds, Given.afterNoon(-3600).epochMilliseconds)
      assert.strictEqual(delivery.insertedAt.epochMilliseconds, Given.noon.epochMilliseconds)
      assert.deepStrictEqual(delivery.lastEventType, Option.some("queued"))
      yield* TestClock.setTime(DateTime.makeUnsafe("2031-12-31T23:59:59.999Z").epochMilliseconds)
      const { eventId } = yield* appendOne(tenantId, Given.report("sent", "m-1"))
      const entry = (yield* timeline(recorded)).find(({ event }) => event.id === eventId)
      if (entry === undefined) throw new Error("the event is not in the timeline")
      assert.strictEqual(DateTime.formatIso(entry.event.insertedAt), "2031-12-31T23:59:59.999Z")
      assert.strictEqual(entry.event.occurredAt.epochMilliseconds, Given.noon.epochMilliseconds)
    })
  )
}

const idOf = (told: Ledger.TimelineEntry | Ledger.Appended | undefined): Event.EventId => {
  if (told === undefined) throw new Error("an event is missing")
  return "event" in told ? told.event.id : told.eventId
}

const telling = ({ example }: Contract): void => {
  example(
    "updates tell what moved each delivery, once and after it can be read",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const updates = yield* ledger.updates
      const early = yield* appendOne(tenantId, Given.report("delivered", "m-1"))
      assert.lengthOf(yield* told(updates, tenantId), 0)

      const delivery = yield* Given.recorded(tenantId)
      const [queued] = yield* timeline(delivery)
      const update = (
        eventId: Event.EventId,
        type: Event.Event["type"],
        cause: "append" | "reconciled"
      ) => ({
        tenantId,
        deliveryId: delivery.id,
        eventId,
        type,
        cause
      })
      assert.deepStrictEqual(yield* told(updates, tenantId), [update(idOf(queued), "queued", "append")])

      yield* ledger.dispatch(Given.dispatch(delivery, "m-1"))
      const dispatched = (yield* timeline(delivery)).find(({ event }) => event.type === "dispatched")
      assert.sameDeepMembers([...yield* told(updates, tenantId)], [
        update(idOf(dispatched), "dispatched", "append"),
        update(early.eventId, "delivered", "reconciled")
      ])

      const batch = [Given.report("opened", "m-1"), Given.report("clicked", "m-1"), Given.report("sent", "m-7")]
      const [opened, clicked] = yield* appended(tenantId, batch)
      assert.deepStrictEqual(yield* told(updates, tenantId), [
        update(idOf(opened), "opened", "append"),
        update(idOf(clicked), "clicked", "append")
      ])
      yield* appended(tenantId, batch)
      yield* ledger.dispatch(Given.dispatch(delivery, "m-1"))
      yield* ledger.record(Given.delivery(tenantId, { id: Option.some(delivery.id) }))
      yield* Effect.flip(ledger.dispatch(Given.dispatch(delivery, "m-2")))
      assert.lengthOf(yield* told(updates, tenantId), 0)
    })
  )
}

/** All events of a tenant in the order of the feed, as soon as it gives so many. */
const feedOf = (tenantId: Tenant.TenantId, count: number, limit: number) =>
  Effect.gen(function*() {
    const ledger = yield* Ledger.Ledger
    const found: Array<Event.EventId> = []
    let after = Cursor.start
    for (let tries = 0; tries < 400 && found.length < count;) {
      const page: ReadonlyArray<Ledger.Change> = yield* ledger.changes({ scope: tenantId, after, limit })
      assert.isAtMost(page.length, limit)
      found.push(...page.map(({ event }) => event.id))
      after = page.at(-1)?.cursor ?? after
      if (page.length > 0) continue
      tries++
      yield* TestClock.withLive(Effect.sleep("20 millis"))
    }
    assert.lengthOf(yield* ledger.changes({ scope: tenantId, after, limit }), 0)
    return found
  })

const feeding = ({ example }: Contract): void => {
  example(
    "the feed gives every event of a tenant once, page by page",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const neighbour = yield* Given.tenant
      yield* appended(tenantId, [Given.report("delivered", "m-1"), Given.report("sent", undefined)])
      yield* Given.dispatched(neighbour, "m-1")
      const delivery = yield* Given.dispatched(tenantId, "m-1")
      const last = yield* appendOne(tenantId, Given.report("opened", "m-1"))
      const known = [
        ...(yield* timeline(delivery)).map(({ event }) => event.id),
        ...(yield* pending(tenantId)).map(({ id }) => id)
      ]
      assert.lengthOf(known, 6)
      for (const limit of [1, 4, 100]) {
        const found = yield* feedOf(tenantId, known.length, limit)
        assert.sameMembers(found, known)
        assert.strictEqual(found.at(-1), last.eventId)
      }
    })
  )

  example(
    "a place that no feed gave is refused",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const scope = yield* Given.tenant
      const places = [
        "",
        "1",
        "1.",
        "a.b",
        "-1.0",
        "1.0; DROP TABLE events",
        "18446744073709551616.0",
        `0.${2n ** 63n}`,
        "0.1.1",
        "01.1.1",
        "1.1.1.1",
        `${2n ** 31n}.1.1`
      ]
      for (const text of places) {
        const after = Cursor.Cursor.make(text, { disableChecks: true })
        const error = yield* refused(ledger.changes({ scope, after, limit: 1 }), "InvalidInput")
        assert.match(error.issue, /^after: /)
      }
    })
  )

  example(
    "a place ahead of all that the feed has fails instead of passing over what is to come",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const scope = yield* Given.tenant
      yield* appended(scope, [Given.report("delivered", "m-1"), Given.report("opened", "m-1")])
      yield* feedOf(scope, 2, 10)
      const [change] = yield* ledger.changes({ scope, after: Cursor.start, limit: 1 })
      if (change === undefined) throw new Error("the feed is empty")
      const [transaction, position] = Cursor.parts(change.cursor)
      const ahead = [
        Cursor.of(2n ** 64n - 1n, 2n ** 63n - 1n),
        Cursor.of(2n ** 64n - 1n, 0n),
        Cursor.of(transaction, position + 2n ** 32n),
        Cursor.of(transaction, position, 2_147_483_647),
        Cursor.of(0n, 0n, 7)
      ]
      for (const after of ahead) {
        const error = yield* refused(ledger.changes({ scope, after, limit: 1 }), "CursorAhead")
        assert.strictEqual(error.reason, "lost")
      }
      assert.lengthOf(yield* ledger.changes({ scope, after: Cursor.of(transaction, 0n), limit: 10 }), 2)
      // A reader of one tenant may begin at a place of another's event.
      const neighbour = yield* Given.tenant
      assert.deepStrictEqual(yield* ledger.changes({ scope: neighbour, after: change.cursor, limit: 1 }), [])
    })
  )

  example(
    "a feed that is sound is not repaired",
    Effect.gen(function*() {
      const audit = yield* Audit.Audit
      yield* appended(yield* Given.tenant, [Given.report("delivered", "m-1")])
      assert.deepStrictEqual(yield* audit.repairFeed, { epoch: Option.none(), shown: 0, moved: 0 })
    })
  )
}

const auditing = ({ example }: Contract): void => {
  example(
    "a comparison goes through all rows, page by page, and a rebuild touches nothing that has not drifted",
    Effect.gen(function*() {
      const audit = yield* Audit.Audit
      const tenantId = yield* Given.tenant
      for (const message of ["m-1", "m-2", "m-3"]) {
        yield* appended(tenantId, [Given.report("delivered", message)])
        yield* Given.dispatched(tenantId, message)
        yield* appended(tenantId, [Given.report("opened", `${message}-stray`)])
      }
      const before = yield* deliveriesOf(tenantId)
      yield* TestClock.adjust("1 hour")
      for (const compare of [audit.verify, audit.rebuild]) {
        for (const [part, rows] of [["deliveries", 3], ["orphans", 6]] as const) {
          let checked = 0
          let after: Option.Option<string> = Option.none()
          for (let pages = 0; pages < 10; pages++) {
            const page: Audit.Page = yield* compare({ part, scope: tenantId, after, limit: 2 })
            assert.deepStrictEqual(page.drifts, [])
            checked += page.checked
            after = page.next
            if (Option.isNone(after)) break
          }
          assert.strictEqual(checked, rows)
        }
      }
      for (const delivery of before) sameDelivery(yield* fetch(delivery), delivery)
      const nowhere = Option.some("nowhere")
      for (const part of ["deliveries", "orphans"] as const) {
        const error = yield* refused(audit.verify({ part, scope: tenantId, after: nowhere, limit: 1 }), "InvalidInput")
        assert.match(error.issue, /^after: /)
      }
    })
  )

  example(
    "a comparison that begins at no place of a page is refused",
    Effect.gen(function*() {
      const audit = yield* Audit.Audit
      const tenantId = yield* Given.tenant
      const id = yield* Given.deliveryId
      const nowhere = [
        "",
        " ",
        "-".repeat(36),
        "a".repeat(36),
        id.toUpperCase(),
        ` ${id}`,
        `${id} `,
        `${id} a\u0000b`,
        `${id} *`,
        `${id} a b`,
        `${id}\n${tenantId}`,
        `${id} ${"x".repeat(256)}`
      ]
      const places = [
        ...nowhere.flatMap((after) => [["deliveries", after], ["orphans", after]] as const),
        ["deliveries", id],
        ["orphans", `${id} ${tenantId}`],
        ["suppressions", `abc ${tenantId}`],
        ["figures", `2026-02-30 ${tenantId}`]
      ] as const
      for (const compare of [audit.verify, audit.rebuild]) {
        for (const [part, after] of places) {
          const query = { part, scope: tenantId, after: Option.some(after), limit: 1 }
          const error = yield* refused(compare(query), "InvalidInput")
          assert.deepStrictEqual([error.what, error.issue], ["query", "after: must be the next of a page"])
        }
        for (const [part, after] of [["deliveries", `${id} ${tenantId}`], ["orphans", id]] as const) {
          const { checked } = yield* compare({ part, scope: tenantId, after: Option.some(after), limit: 1 })
          assert.strictEqual(checked, 0)
        }
      }
    })
  )

  example(
    "what a caller does to what it was given back does not reach the ledger",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const metadata = { note: "before", inner: { note: "before" } }
      const dispatched = yield* Given.dispatched(tenantId, "m-1", { metadata })
      const bags = { metadata, normalizedPayload: metadata }
      yield* appended(tenantId, [Given.report("sent", "m-1", bags), Given.report("opened", undefined, bags)])
      const read = Effect.gen(function*() {
        return [
          yield* fetch(dispatched),
          ...yield* deliveriesOf(tenantId),
          ...(yield* timeline(dispatched)).flatMap((entry) => [entry, entry.event]),
          ...yield* pending(tenantId)
        ]
      })
      const before = (yield* read).map((each) => JSON.stringify(each))
      for (const found of [dispatched, ...yield* read]) {
        const parts = "metadata" in found ? [found.metadata["inner"], found.metadata, found] : [found]
        // It may be refused to the caller, or done to a copy.
        for (const part of parts) yield* Effect.ignore(Effect.try(() => Object.assign(part ?? {}, { note: "after" })))
      }
      assert.deepStrictEqual((yield* read).map((each) => JSON.stringify(each)), before)
      assert.deepStrictEqual((yield* ledger.record(Given.delivery(tenantId))).delivery.metadata, {})
    })
  )

  example(
    "a delivery that is not there has no timeline",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const key = { tenantId: yield* Given.tenant, deliveryId: yield* Given.deliveryId }
      assert.deepStrictEqual(yield* ledger.timeline(key), [])
      assert.deepStrictEqual(yield* ledger.delivery(key), Option.none())
    })
  )
}

/** What the port promises of reading, listing and telling. */
export const reading = (contract: Contract): void => {
  separating(contract)
  listing(contract)
  telling(contract)
  feeding(contract)
  auditing(contract)
}
