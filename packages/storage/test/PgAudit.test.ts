import { assert, describe, it } from "@effect/vitest"
import { Audit, type Drift, type Event, Ledger, Orphans, type Tenant } from "@waybill/core"
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
})
