/**
 * The algorithm that the project was given: find the orphans, oldest first, look each one's delivery up, and insert the link
 * and update the delivery in one transaction an orphan.
 *
 * The lookup is by tenant, provider and message id on the index of the deliveries, and the projection is what one `delivered`
 * event does to it.
 */
import { PgTypes } from "@effect/sql-pg"
import { Effect } from "effect"
import { SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"

interface Orphan {
  readonly id: string
  readonly tenant_id: string
  readonly provider: string
  readonly provider_message_id: string
  readonly provider_event_id: string
  readonly occurred_at: Date
}

export const sweep = Effect.fnUntraced(function*(limit: number) {
  const sql = yield* SqlClient.SqlClient
  const random = yield* SecureRandom.SecureRandom
  const orphans = yield* sql<Orphan>`
    SELECT e.id, e.tenant_id, e.provider, e.provider_message_id, e.provider_event_id, e.occurred_at
    FROM waybill.events e
    WHERE e.needs_reconciliation
      AND NOT EXISTS (SELECT FROM waybill.events link WHERE link.source_event_id = e.id)
      AND e.inserted_at >= now() - interval '7 days' AND e.inserted_at <= now() - interval '60 seconds'
    ORDER BY e.inserted_at LIMIT ${limit}
  `
  let linked = 0
  for (const orphan of orphans) {
    const [delivery] = yield* sql<{ readonly id: string; readonly lock_version: number }>`
      SELECT id, lock_version FROM waybill.deliveries
      WHERE tenant_id = ${orphan.tenant_id} AND provider = ${orphan.provider}
        AND provider_message_id = ${orphan.provider_message_id}
      LIMIT 1
    `
    if (delivery === undefined) continue
    const id = yield* random.uuidV7()
    const metadata = {
      reconciled_from_event_id: orphan.id,
      reconciled_type: "delivered",
      reconciled_provider: orphan.provider,
      reconciled_provider_event_id: orphan.provider_event_id
    }
    yield* sql.withTransaction(Effect.gen(function*() {
      yield* sql`
        INSERT INTO waybill.events (id, tenant_id, delivery_id, type, occurred_at, inserted_at, metadata, source_event_id,
          idempotency_key)
        VALUES (${id}, ${orphan.tenant_id}, ${delivery.id}, 'reconciled', now(), now(), ${PgTypes.jsonb(metadata)},
          ${orphan.id}, ${`reconciled:${orphan.id}`})
        ON CONFLICT (tenant_id, idempotency_key) DO NOTHING
      `
      yield* sql`
        UPDATE waybill.deliveries SET
          status = 'sent', terminal = true,
          last_event_type = 'delivered', last_event_at = ${orphan.occurred_at}, last_event_id = ${orphan.id},
          last_event_own = false, delivered_at = least(delivered_at, ${orphan.occurred_at}),
          lock_version = lock_version + 1, updated_at = now()
        WHERE tenant_id = ${orphan.tenant_id} AND id = ${delivery.id} AND lock_version = ${delivery.lock_version}
      `
    }))
    linked++
  }
  return linked
})
