/** That the table `unsent` holds what `Handover.isUnsent` of the core tells, whatever happened and whoever wrote. */
import { assert } from "@effect/vitest"
import { Audit, Delivery, Handover, Ledger, Recipient, Suppressions, Tenant, Unsent } from "@waybill/core"
import { Generators, Given, History } from "@waybill/storage/testing"
import { DateTime, Effect, Option } from "effect"
import { SqlClient } from "effect/sql"
import { declare, deliveriesOf } from "../src/testing/internal/contract.ts"
import * as TestDatabase from "./TestDatabase.ts"

/** The deliveries of a tenant that have a place in the queue, unsent or not. */
const placed = Effect.fnUntraced(function*(tenantId: Tenant.TenantId) {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql<{ readonly id: string }>`
    SELECT delivery_id::text AS id FROM waybill.unsent WHERE tenant_id = ${tenantId}
  `
  return rows.map(({ id }) => id)
})

const assertKept = Effect.fnUntraced(function*(tenantId: Tenant.TenantId) {
  const unsent = (yield* deliveriesOf(tenantId)).filter(Handover.isUnsent)
  assert.sameMembers(yield* placed(tenantId), unsent.map(({ id }) => id))
})

declare("the queue of the unsent on PostgreSQL", TestDatabase.ledger, ({ example, histories }) => {
  histories(
    "holds the unsent deliveries and no others, whatever happened",
    Generators.history,
    (history) =>
      Effect.gen(function*() {
        const { tenants } = yield* History.run(history)
        for (const tenantId of tenants) yield* assertKept(tenantId)
      })
  )

  example(
    "holds nothing of a record that a suppression refused, and what is recorded in spite of it",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const suppressions = yield* Suppressions.Suppressions
      const tenantId = yield* Given.tenant
      const recipient = Recipient.Recipient.make("ann@example.com")
      yield* suppressions.add({
        tenantId,
        additions: [{ recipient, reason: "manual", stream: Option.none(), since: Option.none() }],
        actor: "operator",
        because: Option.none()
      })
      const input = Delivery.NewDelivery.make({ tenantId, recipient, mailable: "welcome", stream: "bulk" })
      const refused = yield* ledger.record(input)
      assert.isTrue(Option.isSome(refused.suppressedBy))
      assert.deepStrictEqual(yield* placed(tenantId), [])
      const { delivery } = yield* ledger.record({ ...input, ignoreSuppression: true })
      assert.deepStrictEqual(yield* placed(tenantId), [delivery.id])
    })
  )

  example(
    "claims of all tenants take what the core says",
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const unsent = yield* Unsent.Unsent
      // Before all else in the queue: nothing of other tests is due by then.
      const early = DateTime.makeUnsafe("1000-01-01T00:00:00Z")
      const dueTo = DateTime.add(early, { minutes: 30 })
      for (
        const [limit, counts] of [[1, [2, 1]], [2, [1, 1, 1, 3]], [7, [1, 9, 2]], [8, [1, 6, 5]], [40, [
          3,
          0,
          5
        ]]] as const
      ) {
        const rows: Array<Unsent.Row> = []
        for (const count of counts) {
          const tenantId = yield* Given.tenant
          for (let index = 0; index < count; index++) {
            const { id } = yield* Given.recorded(tenantId)
            const dueAt = DateTime.add(early, { minutes: (rows.length * 7 + 3) % 11 })
            yield* sql`
              UPDATE waybill.unsent SET due_at = ${DateTime.formatIso(dueAt)}::timestamptz
              WHERE tenant_id = ${tenantId} AND delivery_id = ${id}
            `
            rows.push({ tenantId, deliveryId: id, attempts: 0, dueAt })
          }
        }
        const claim = { scope: Tenant.all, dueTo, until: yield* DateTime.now, limit }
        const claims = yield* unsent.claim(claim)
        assert.deepStrictEqual(
          claims.map(({ delivery }) => delivery.id),
          Unsent.select(rows, claim).map(({ deliveryId }) => deliveryId)
        )
        assert.lengthOf(yield* unsent.claim({ ...claim, limit: 100 }), rows.length - claims.length)
      }
    })
  )

  example(
    "holds nothing of a record that was rolled back",
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const tenantId = yield* Given.tenant
      const error = yield* Effect.flip(
        sql.withTransaction(Effect.andThen(Given.recorded(tenantId), Effect.fail("rolled back")))
      )
      assert.strictEqual(error, "rolled back")
      assert.deepStrictEqual(yield* placed(tenantId), [])
    })
  )

  example(
    "follows a projection that another writer spoiled, and the rebuild of it",
    Effect.gen(function*() {
      const audit = yield* Audit.Audit
      const sql = yield* SqlClient.SqlClient
      const tenantId = yield* Given.tenant
      const waiting = yield* Given.recorded(tenantId)
      const sent = yield* Given.dispatched(tenantId, "m-1")
      const gone = yield* Given.recorded(tenantId)
      yield* sql`UPDATE waybill.deliveries SET status = 'failed' WHERE id = ${waiting.id}`
      yield* sql`
        UPDATE waybill.deliveries SET status = 'queued', dispatched_at = NULL, provider = NULL, provider_message_id = NULL
        WHERE id = ${sent.id}
      `
      yield* sql`DELETE FROM waybill.deliveries WHERE id = ${gone.id}`
      assert.deepStrictEqual(yield* placed(tenantId), [sent.id])
      const query = { part: "deliveries", scope: tenantId, after: Option.none(), limit: 100 } as const
      assert.lengthOf((yield* audit.rebuild(query)).drifts, 2)
      assert.deepStrictEqual(yield* placed(tenantId), [waiting.id])
      yield* assertKept(tenantId)
    })
  )
})
