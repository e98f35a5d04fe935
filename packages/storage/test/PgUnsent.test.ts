/** That the table `unsent` holds what `Handover.isUnsent` of the core tells, whatever happened and whoever wrote. */
import { assert } from "@effect/vitest"
import { Audit, Delivery, Handover, Ledger, Recipient, Suppressions, type Tenant } from "@waybill/core"
import { Generators, Given, History } from "@waybill/storage/testing"
import { Effect, Option } from "effect"
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
