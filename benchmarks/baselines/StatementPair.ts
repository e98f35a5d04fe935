/**
 * A batch of webhook events by a pair of statements in one transaction: insert the events with the deliveries they name,
 * update the deliveries. The parameters are ready before; every event is taken for one that moves its delivery forward.
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import * as Parameters from "../../packages/storage/src/internal/pg/Parameters.ts"
import type { Given } from "../harness/Given.ts"

/** The parameters of a batch. */
export const parameters = (batch: ReadonlyArray<Given>) => [
  Parameters.texts(batch.map(({ type }) => type)),
  Parameters.instants(batch.map(({ at }) => at)),
  Parameters.texts(batch.map(({ messageId }) => messageId)),
  Parameters.texts(batch.map(({ eventId }) => eventId)),
  Parameters.texts(batch.map(({ payload }) => JSON.stringify(payload)))
]

export const append = Effect.fnUntraced(function*(given: ReturnType<typeof parameters>) {
  const sql = yield* SqlClient.SqlClient
  yield* sql.withTransaction(Effect.gen(function*() {
    yield* sql.unsafe(
      `INSERT INTO waybill.events (id, tenant_id, delivery_id, type, occurred_at, inserted_at, provider, provider_message_id,
        provider_event_id, normalized_payload, idempotency_key)
      SELECT uuidv7(), d.tenant_id, d.id, g.type, g.at, now(), 'postmark', g.message_id, g.event_id, g.payload::jsonb,
        'postmark:' || g.event_id
      FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::text[])
        AS g (type, at, message_id, event_id, payload)
      JOIN waybill.deliveries d ON d.tenant_id = 'default' AND d.provider = 'postmark'
        AND d.provider_message_id = g.message_id
      ON CONFLICT (tenant_id, idempotency_key) DO NOTHING`,
      given
    )
    yield* sql.unsafe(
      `UPDATE waybill.deliveries d SET
        status = CASE WHEN d.status IN ('failed', 'suppressed') THEN d.status ELSE 'sent' END,
        terminal = d.terminal OR e.type = 'delivered',
        last_event_type = e.type, last_event_at = e.occurred_at, last_event_id = e.id, last_event_own = false,
        delivered_at = least(d.delivered_at, CASE WHEN e.type = 'delivered' THEN e.occurred_at END),
        opened_at = least(d.opened_at, CASE WHEN e.type = 'opened' THEN e.occurred_at END),
        clicked_at = least(d.clicked_at, CASE WHEN e.type = 'clicked' THEN e.occurred_at END),
        lock_version = d.lock_version + 1, updated_at = now()
      FROM unnest($1::text[]) AS g (event_id)
      JOIN waybill.events e ON e.tenant_id = 'default' AND e.idempotency_key = 'postmark:' || g.event_id
      WHERE d.tenant_id = e.tenant_id AND d.id = e.delivery_id`,
      [given[3]]
    )
  }))
})
