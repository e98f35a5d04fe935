/**
 * The sweep as a chain of SQL statements in one transaction: note the orphans and their deliveries, insert the links, update
 * the rows, empty the queue. Nothing is decided outside of the database; every orphan is taken for a `delivered` event.
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"

export const sweep = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const isLater = sql.literal("(d.last_event_own OR d.last_event_at IS NULL OR d.last_event_at < f.occurred_at)")
  return yield* sql.withTransaction(Effect.gen(function*() {
    yield* sql`SET LOCAL statement_timeout = 0`
    yield* sql`
      CREATE TEMPORARY TABLE met ON COMMIT DROP AS
      SELECT e.id, e.tenant_id, e.type, e.provider, e.provider_event_id, e.occurred_at, d.id AS delivery_id
      FROM waybill.orphans o JOIN waybill.events e ON e.id = o.event_id
      JOIN waybill.deliveries d ON d.tenant_id = e.tenant_id AND d.provider = e.provider
        AND d.provider_message_id = e.provider_message_id
        AND (o.recipient_digest IS NULL OR d.recipient_digest = o.recipient_digest)
      WHERE o.ready AND o.inserted_at >= now() - interval '7 days' AND o.inserted_at <= now() - interval '60 seconds'
    `
    yield* sql`ANALYZE met`
    const [linked] = yield* sql<{ readonly count: number }>`
      WITH links AS (
        INSERT INTO waybill.events (id, tenant_id, delivery_id, type, occurred_at, inserted_at, metadata, source_event_id,
          idempotency_key)
        SELECT uuidv7(), tenant_id, delivery_id, 'reconciled', now(), now(),
          jsonb_build_object('reconciled_from_event_id', id, 'reconciled_type', type, 'reconciled_provider', provider,
            'reconciled_provider_event_id', provider_event_id),
          id, 'reconciled:' || id
        FROM met
        ON CONFLICT (tenant_id, idempotency_key) DO NOTHING
        RETURNING 1
      )
      SELECT count(*)::integer AS count FROM links
    `
    yield* sql`
      UPDATE waybill.deliveries d SET
        status = CASE WHEN d.status IN ('failed', 'suppressed') THEN d.status ELSE 'sent' END,
        terminal = true,
        last_event_type = CASE WHEN ${isLater} THEN 'delivered' ELSE d.last_event_type END,
        last_event_at = CASE WHEN ${isLater} THEN f.occurred_at ELSE d.last_event_at END,
        last_event_id = CASE WHEN ${isLater} THEN f.id ELSE d.last_event_id END,
        last_event_own = false,
        delivered_at = least(d.delivered_at, f.delivered_at),
        lock_version = d.lock_version + 1,
        updated_at = now()
      FROM (
        SELECT DISTINCT ON (tenant_id, delivery_id) tenant_id, delivery_id, id, occurred_at,
          min(occurred_at) OVER (PARTITION BY tenant_id, delivery_id) AS delivered_at
        FROM met ORDER BY tenant_id, delivery_id, occurred_at DESC, id DESC
      ) f
      WHERE d.tenant_id = f.tenant_id AND d.id = f.delivery_id
    `
    yield* sql`DELETE FROM waybill.orphans o USING met WHERE o.event_id = met.id`
    return linked?.count ?? 0
  }))
})
