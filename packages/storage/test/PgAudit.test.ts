import { assert, describe, it } from "@effect/vitest"
import { Audit, Directory, type Drift, Event, EventType, Ledger, Orphans, Search, type Tenant } from "@waybill/core"
import { Given } from "@waybill/storage/testing"
import { DateTime, Deferred, Effect, Fiber, Option } from "effect"
import { SqlClient } from "effect/sql"
import * as TestDatabase from "./TestDatabase.ts"

const audit = Effect.fnUntraced(function*(
  operation: "verify" | "rebuild",
  part: "deliveries" | "orphans",
  scope: Tenant.Scope
) {
  const stored = yield* Audit.Audit
  return (yield* stored[operation]({ part, scope, after: Option.none(), limit: 1000 })).drifts
})

const names = (drifts: ReadonlyArray<Drift.Drift>) => drifts.map(({ _tag }) => _tag)

const sweep = Effect.fnUntraced(function*(scope: Tenant.Scope) {
  const orphans = yield* Orphans.Orphans
  const now = yield* DateTime.now
  return yield* orphans.link({
    scope,
    limit: 100,
    insertedFrom: DateTime.subtract(now, { days: 1 }),
    insertedTo: DateTime.add(now, { days: 1 })
  })
})

const appendOne = Effect.fnUntraced(function*(tenantId: Tenant.TenantId, report: Event.NewEvent) {
  const ledger = yield* Ledger.Ledger
  const [outcome] = yield* ledger.append(tenantId, [report])
  return outcome === undefined || Ledger.isConflict(outcome) ? assert.fail("not appended") : outcome.eventId
})

const toAnn = { recipient: Given.named("ann@example.com", true) }

describe("audits on PostgreSQL", () => {
  it.live("verify and rebuild find no drift while traffic goes on", () =>
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const ledger = yield* Ledger.Ledger
      const traffic = Effect.forEach(
        Array.from({ length: 60 }, (_, index) => index),
        (index) =>
          Effect.gen(function*() {
            const message = `m-${index}`
            yield* ledger.append(tenantId, [Given.report("delivered", message), Given.report("sent", message)])
            yield* Given.dispatched(tenantId, message)
            yield* ledger.append(tenantId, [Given.report("opened", message)])
            yield* ledger.append(tenantId, [Given.report("clicked", message), Given.report("complained", message)])
          }),
        { concurrency: 4, discard: true }
      )
      const audits = Effect.forEach(
        ["verify", "rebuild"] as const,
        (operation) =>
          Effect.forEach(["deliveries", "orphans"] as const, (part) =>
            Effect.map(audit(operation, part, tenantId), (drifts) =>
              assert.deepStrictEqual(drifts, [], `${operation} of ${part}`))),
        { discard: true }
      )
      const audited = yield* Effect.forkChild(Effect.forever(audits))
      yield* Effect.raceFirst(traffic, Fiber.join(audited))
      yield* Fiber.interrupt(audited)
      yield* audits
    }).pipe(Effect.provide(TestDatabase.ledger)), 60_000)

  it.live("an orphan that is put back meets a dispatch that overlaps", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const tenantId = yield* Given.tenant
      const ledger = yield* Ledger.Ledger
      const delivery = yield* Given.recorded(tenantId)
      yield* appendOne(tenantId, Given.report("delivered", "m-1"))
      yield* sql`DELETE FROM waybill.orphans`
      const isBack = yield* Deferred.make<void>()
      const close = yield* Deferred.make<void>()
      const rebuilding = yield* Effect.forkChild(sql.withTransaction(Effect.gen(function*() {
        assert.deepStrictEqual(names(yield* audit("rebuild", "orphans", tenantId)), ["MissingOrphan"])
        yield* Deferred.succeed(isBack, undefined)
        yield* Deferred.await(close)
      })))
      yield* Deferred.await(isBack)
      const dispatching = yield* Effect.forkChild(ledger.dispatch(Given.dispatch(delivery, "m-1")))
      yield* Effect.sleep("100 millis")
      yield* Deferred.succeed(close, undefined)
      yield* Fiber.join(rebuilding)
      assert.strictEqual((yield* Fiber.join(dispatching)).linked, 1)
      assert.deepStrictEqual(yield* audit("verify", "orphans", tenantId), [])
    }).pipe(Effect.provide(TestDatabase.ledger)), 30_000)

  it.live("rebuild restores which orphans a sweep may link", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const tenantId = yield* Given.tenant
      const report = (message: string, fields: Partial<Event.NewEvent> = {}) =>
        appendOne(tenantId, Given.report("delivered", message, fields))
      yield* report("m-1", toAnn)
      yield* report("m-2")
      yield* sql`
        INSERT INTO waybill.deliveries (tenant_id, mailable, stream, recipient, provider, provider_message_id)
        VALUES (${tenantId}, 'welcome', 'bulk', 'ann@example.com', 'postmark', 'm-1')
      `
      yield* sql`UPDATE waybill.orphans SET ready = NOT ready`
      assert.deepStrictEqual(names(yield* audit("verify", "orphans", tenantId)), ["OrphanReadiness", "OrphanReadiness"])
      yield* audit("rebuild", "orphans", tenantId)
      assert.deepStrictEqual(yield* audit("verify", "orphans", tenantId), [])
      yield* sql`DELETE FROM waybill.orphans`
      yield* audit("rebuild", "orphans", tenantId)
      assert.deepStrictEqual(yield* audit("verify", "orphans", tenantId), [])
      assert.strictEqual((yield* sweep(tenantId)).links.length, 1)
    }).pipe(Effect.provide(TestDatabase.ledger)), 30_000)

  it.live(
    "rebuild brings back neither what was dismissed nor whom a forgotten recipient was",
    () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const tenantId = yield* Given.tenant
        const ledger = yield* Ledger.Ledger
        const orphans = yield* Orphans.Orphans
        const dismissed = yield* appendOne(tenantId, Given.report("delivered", "m-1"))
        const toForgotten = yield* appendOne(tenantId, Given.report("opened", "m-2", toAnn))
        assert.isTrue(yield* orphans.dismiss({ tenantId, eventId: dismissed }))
        yield* ledger.forget({ tenantId, recipient: Given.recipient })
        assert.deepStrictEqual(yield* audit("verify", "orphans", tenantId), [])

        yield* sql`DELETE FROM waybill.orphans`
        assert.deepStrictEqual(yield* audit("rebuild", "orphans", tenantId), [
          { _tag: "MissingOrphan", tenantId, eventId: toForgotten }
        ])
        yield* sql`
        INSERT INTO waybill.orphans (event_id, tenant_id, correlation, inserted_at)
        VALUES (${dismissed}, ${tenantId}, 'message:postmark:m-1', now())
      `
        assert.deepStrictEqual(names(yield* audit("rebuild", "orphans", tenantId)), ["ExtraOrphan"])
        assert.deepStrictEqual(yield* (yield* Orphans.Orphans).explain({ tenantId, eventId: dismissed }), {
          _tag: "Dismissed"
        })
        assert.strictEqual((yield* ledger.dispatch(Given.dispatch(yield* Given.recorded(tenantId), "m-1"))).linked, 0)
        assert.strictEqual((yield* ledger.dispatch(Given.dispatch(yield* Given.recorded(tenantId), "m-2"))).linked, 0)
        assert.deepStrictEqual(yield* audit("verify", "orphans", tenantId), [])
      }).pipe(Effect.provide(TestDatabase.ledger)),
    30_000
  )

  it.live("what is done by hand is noted", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const tenantId = yield* Given.tenant
      const ledger = yield* Ledger.Ledger
      const orphans = yield* Orphans.Orphans
      const first = yield* appendOne(tenantId, Given.report("delivered", "m-1", toAnn))
      const second = yield* appendOne(tenantId, Given.report("opened", "m-2"))
      yield* sql`UPDATE waybill.orphans SET next_attempt_at = now() + interval '1 day', last_error = 'it failed'`
      yield* orphans.retry({ tenantId, eventId: first })
      yield* orphans.retry({ tenantId, eventId: first })
      yield* ledger.forget({ tenantId, recipient: Given.recipient })
      yield* orphans.dismiss({ tenantId, eventId: second })
      yield* orphans.dismiss({ tenantId, eventId: second })
      const acts = yield* sql`
        SELECT tenant_id, act, event_id, deliveries, orphans FROM waybill.acts ORDER BY id
      `
      assert.deepStrictEqual(acts, [
        { tenant_id: tenantId, act: "retry", event_id: first, deliveries: null, orphans: null },
        { tenant_id: tenantId, act: "forget", event_id: null, deliveries: 0, orphans: 1 },
        { tenant_id: tenantId, act: "dismiss", event_id: second, deliveries: null, orphans: null }
      ])
    }).pipe(Effect.provide(TestDatabase.ledger)), 30_000)

  it.live(
    "verify finds what is noted of rare events and should not be, or should and is not, and rebuild mends that alone",
    () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const tenantId = yield* Given.tenant
        const ledger = yield* Ledger.Ledger
        const noted = sql<{ readonly row: string; readonly id: string; readonly written: string }>`
        SELECT o::text AS row, delivery_id AS id, xmin::text AS written FROM waybill.occurrences o ORDER BY o
      `
        const rows = Effect.map(noted, (all) => all.map(({ row }) => row))
        // A complaint that is linked later, for which the others are suppressed, and what happened to two of them all the same.
        yield* ledger.append(tenantId, [Given.report("complained", "m-1")])
        for (const message of ["m-1", "m-2", "m-3", "m-4"]) yield* Given.dispatched(tenantId, message)
        for (const type of ["bounced", "deferred", "bounced"] as const) {
          yield* ledger.append(tenantId, [Given.report(type, "m-2"), Given.report(type, "m-3")])
        }
        const before = yield* noted
        const ids = Array.from(new Set(before.map(({ id }) => id))).toSorted()
        assert.lengthOf(ids, 4)
        assert.deepStrictEqual(yield* audit("verify", "deliveries", tenantId), [])
        assert.deepStrictEqual(yield* audit("rebuild", "deliveries", tenantId), [])
        assert.deepStrictEqual(yield* noted, before)

        const drifted = ids.slice(0, 2)
        const stray = "ffffffff-0000-7000-8000-000000000000"
        yield* sql`DELETE FROM waybill.occurrences WHERE delivery_id = ${ids[0] ?? ""}`
        yield* sql`
        INSERT INTO waybill.occurrences
        SELECT tenant_id, 'unsubscribed', recorded_at, delivery_id, event_id FROM waybill.occurrences
        WHERE delivery_id = ${ids[1] ?? ""} LIMIT 1
      `
        yield* sql`INSERT INTO waybill.occurrences VALUES (${tenantId}, 'bounced', now(), ${stray}, ${stray})`
        const expected = [...drifted, stray].map((deliveryId) => ["Occurrences", tenantId, deliveryId])
        for (const operation of ["verify", "verify", "rebuild"] as const) {
          const found: Array<Drift.Drift> = []
          const stored = yield* Audit.Audit
          for (let after = Option.some(Option.none<string>()); Option.isSome(after);) {
            const page = yield* stored[operation]({ part: "deliveries", scope: tenantId, after: after.value, limit: 2 })
            found.push(...page.drifts)
            after = Option.map(page.next, Option.some)
          }
          assert.deepStrictEqual(
            found.map((drift) => [drift._tag, drift.tenantId, "deliveryId" in drift ? drift.deliveryId : ""]),
            expected
          )
        }
        assert.deepStrictEqual(yield* rows, before.map(({ row }) => row))
        const isKept = (row: { readonly id: string }) => row.id === ids[2]
        assert.deepStrictEqual((yield* noted).filter(isKept), before.filter(isKept))

        yield* sql`DELETE FROM waybill.occurrences`
        assert.lengthOf(yield* audit("rebuild", "deliveries", tenantId), 4)
        assert.deepStrictEqual(yield* rows, before.map(({ row }) => row))
      }).pipe(Effect.provide(TestDatabase.ledger)),
    60_000
  )

  it.live("an event of any type and bounce class marks its delivery as the core says", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const tenantId = yield* Given.tenant
      const { id } = yield* Given.dispatched(tenantId, "m-1")
      const classes = [Option.none(), ...Event.BounceClass.literals.map(Option.some)]
      const facts = EventType.EventType.literals.filter((type) => type !== "reconciled").flatMap((type) =>
        classes.map((bounceClass) => ({ type, bounceClass, occurredAt: DateTime.makeUnsafe(0) }))
      )
      for (const { bounceClass, type } of facts) {
        yield* sql`
          INSERT INTO waybill.events (id, tenant_id, delivery_id, type, bounce_class, occurred_at, inserted_at, idempotency_key)
          VALUES (gen_random_uuid(), ${tenantId}, ${id}, ${type}, ${Option.getOrNull(bounceClass)}, now(), now(),
            ${`${type} ${Option.getOrNull(bounceClass)}`})
        `
      }
      const rows = yield* sql<{ readonly mark: string }>`
        SELECT e.idempotency_key || ' ' || o.mark AS mark FROM waybill.occurrences o JOIN waybill.events e ON e.id = o.event_id
        WHERE o.delivery_id = ${id}
      `
      assert.deepStrictEqual(
        rows.map(({ mark }) => mark).toSorted(),
        facts.flatMap((fact) =>
          Search.marksOf(fact).map((mark) => `${fact.type} ${Option.getOrNull(fact.bounceClass)} ${mark}`)
        ).toSorted()
      )
    }).pipe(Effect.provide(TestDatabase.ledger)), 30_000)

  it.live(
    "a delivery that another program deletes, records again or dates otherwise is found by what happened to it",
    () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const tenantId = yield* Given.tenant
        const ledger = yield* Ledger.Ledger
        const directory = yield* Directory.Directory
        const bounced = directory.search({
          tenantId,
          filter: Search.Filter.make({ event: Option.some("bounced") }),
          after: Option.none(),
          limit: 1
        })
        const found = Effect.map(bounced, ({ deliveries, next }) => [
          deliveries.map(({ id }) => id),
          Option.isSome(next)
        ])
        const first = yield* Given.dispatched(tenantId, "m-1")
        const second = yield* Given.dispatched(tenantId, "m-2")
        yield* ledger.append(tenantId, [Given.report("bounced", "m-1"), Given.report("bounced", "m-2")])
        assert.deepStrictEqual(yield* found, [[second.id], true])

        yield* sql`CREATE TEMPORARY TABLE kept AS SELECT * FROM waybill.deliveries WHERE id = ${second.id}`
        yield* sql`ALTER TABLE kept DROP COLUMN unsent`
        yield* sql`DELETE FROM waybill.deliveries WHERE id = ${second.id}`
        assert.deepStrictEqual(yield* found, [[first.id], false])
        assert.deepStrictEqual(yield* audit("verify", "deliveries", tenantId), [])

        yield* sql`
        INSERT INTO waybill.deliveries (id, tenant_id, mailable, stream, recipient, provider, provider_message_id, inserted_at)
        SELECT id, tenant_id, mailable, stream, recipient, provider, provider_message_id, inserted_at FROM kept
      `
        const drifts = names(yield* audit("rebuild", "deliveries", tenantId))
        assert.deepStrictEqual(drifts, ["Projection", "Occurrences"])
        assert.deepStrictEqual(yield* found, [[second.id], true])

        yield* sql`UPDATE waybill.deliveries SET inserted_at = inserted_at - interval '1 day' WHERE id = ${second.id}`
        assert.deepStrictEqual(yield* found, [[first.id], true])
        assert.deepStrictEqual(yield* audit("verify", "deliveries", tenantId), [])
      }).pipe(Effect.provide(TestDatabase.ledger)),
    60_000
  )
})
