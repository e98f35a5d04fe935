/** One webhook event by one transaction of one insert, which looks its delivery up, and one update. */
import { PgTypes } from "@effect/sql-pg"
import { Effect } from "effect"
import { SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"
import type { Given } from "../harness/Given.ts"

const columns: Readonly<Record<Given["type"], string>> = {
  delivered: "delivered_at",
  opened: "opened_at",
  clicked: "clicked_at"
}

export const append = Effect.fnUntraced(function*(event: Given) {
  const sql = yield* SqlClient.SqlClient
  const random = yield* SecureRandom.SecureRandom
  const id = yield* random.uuidV7()
  const at = PgTypes.timestamptz(event.at)
  const time = sql(columns[event.type])
  yield* sql.withTransaction(Effect.gen(function*() {
    const [inserted] = yield* sql<{ readonly delivery_id: string }>`
      INSERT INTO waybill.events (id, tenant_id, delivery_id, type, occurred_at, inserted_at, provider, provider_message_id,
        provider_event_id, normalized_payload, idempotency_key)
      SELECT ${id}, d.tenant_id, d.id, ${event.type}, ${at}, now(), 'postmark', d.provider_message_id, ${event.eventId},
        ${PgTypes.jsonb(event.payload)}, ${`postmark:${event.eventId}`}
      FROM waybill.deliveries d
      WHERE d.tenant_id = 'default' AND d.provider = 'postmark' AND d.provider_message_id = ${event.messageId}
      ON CONFLICT (tenant_id, idempotency_key) DO NOTHING
      RETURNING delivery_id
    `
    if (inserted === undefined) return
    yield* sql`
      UPDATE waybill.deliveries SET
        status = CASE WHEN status IN ('failed', 'suppressed') THEN status ELSE 'sent' END,
        terminal = terminal OR ${event.type === "delivered"},
        last_event_type = ${event.type}, last_event_at = ${at}, last_event_id = ${id}, last_event_own = false,
        ${time} = least(${time}, ${at}), lock_version = lock_version + 1, updated_at = now()
      WHERE tenant_id = 'default' AND id = ${inserted.delivery_id}
    `
  }))
})
