/** Fills databases in bulk with the rows that the ledger's own calls would have left. */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import * as Server from "./Server.ts"

interface Numbers {
  /** Rows are numbered from here, so that a later fill goes on. */
  readonly from: number
  readonly count: number
}

const statements = (texts: ReadonlyArray<string>) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => Effect.forEach(texts, (text) => sql.unsafe(text), { discard: true }))

/** The age of what is filled: past the grace, inside the horizon. */
const past = "now() - interval '10 minutes'"

/** Without the triggers of other tables than `events`; what they would have written is written by hand. */
const quickly = "SET LOCAL session_replication_role = replica"

const orphans = (prefix: string, { count, from }: Numbers, isReady: boolean): ReadonlyArray<string> => [
  `CREATE TEMPORARY TABLE given ON COMMIT DROP AS
    SELECT n, uuidv7() AS id, gen_random_uuid() AS pseudonym, '${prefix}' || n AS message,
      '${prefix}' || n || '@example.com' AS recipient,
      waybill.recipient_digest('default', '${prefix}' || n || '@example.com') AS digest
    FROM generate_series(${from}, ${from + count - 1}) n`,
  `INSERT INTO waybill.recipients (tenant_id, pseudonym, digest) SELECT 'default', pseudonym, digest FROM given`,
  `INSERT INTO waybill.correlations (tenant_id, key) SELECT 'default', 'message:postmark:' || message FROM given`,
  `INSERT INTO waybill.events (id, tenant_id, type, occurred_at, inserted_at, provider, provider_message_id,
      provider_event_id, recipient_pseudonym, normalized_payload, needs_reconciliation, idempotency_key)
    SELECT id, 'default', 'delivered', ${past} - interval '3 seconds', date_trunc('milliseconds', ${past}), 'postmark',
      message, 'e-' || n, pseudonym, '{"Tag": "welcome", "MessageStream": "outbound"}', true, 'postmark:${prefix}e-' || n
    FROM given ORDER BY n`,
  `INSERT INTO waybill.orphans (event_id, tenant_id, correlation, recipient_digest, inserted_at, ready)
    SELECT id, 'default', 'message:postmark:' || message, digest, date_trunc('milliseconds', ${past}), ${isReady}
    FROM given ORDER BY n`
]

/** Deliveries as another program writes them: a plain INSERT, whose triggers find the orphans that wait. */
const imported = (prefix: string, { count, from }: Numbers): string =>
  `INSERT INTO waybill.deliveries (id, tenant_id, mailable, stream, recipient, provider, provider_message_id)
    SELECT uuidv7(), 'default', 'welcome', 'transactional', '${prefix}' || n || '@example.com', 'postmark', '${prefix}' || n
    FROM generate_series(${from}, ${from + count - 1}) n`

/** Orphans that a sweep will link: another program has written their deliveries since. */
export const linkable = (numbers: Numbers) =>
  Server.patiently(statements([...orphans("m-", numbers, false), imported("m-", numbers)]))

/** The same orphans and deliveries, as the triggers leave them. */
export const linkableQuickly = (numbers: Numbers) =>
  Server.patiently(statements([
    quickly,
    ...orphans("m-", numbers, true),
    `INSERT INTO waybill.deliveries (id, tenant_id, mailable, stream, recipient, recipient_domain, recipient_digest,
        provider, provider_message_id)
      SELECT uuidv7(), 'default', 'welcome', 'transactional', recipient, 'example.com', digest, 'postmark', message
      FROM given ORDER BY n`
  ]))

/** Orphans whose delivery never comes. */
export const junk = (numbers: Numbers) => Server.patiently(statements([quickly, ...orphans("junk-", numbers, false)]))

/** Deliveries that were dispatched, without their triggers, and the two events of each of ours. */
export const dispatched = (prefix: string, { count, from }: Numbers) =>
  Server.patiently(statements([
    quickly,
    `CREATE TEMPORARY TABLE given ON COMMIT DROP AS
      SELECT n, uuidv7() AS id, uuidv7() AS queued, uuidv7() AS dispatched,
        date_trunc('milliseconds', ${past}) AS at,
        '${prefix}' || n AS message, '${prefix}' || n || '@example.com' AS recipient
      FROM generate_series(${from}, ${from + count - 1}) n`,
    `INSERT INTO waybill.correlations (tenant_id, key)
      SELECT 'default', 'delivery:' || id FROM given UNION ALL SELECT 'default', 'message:postmark:' || message FROM given`,
    `INSERT INTO waybill.deliveries (id, tenant_id, mailable, stream, recipient, recipient_domain, recipient_digest,
        provider, provider_message_id, status, last_event_type, last_event_at, last_event_id, dispatched_at,
        lock_version, inserted_at, updated_at)
      SELECT id, 'default', 'welcome', 'transactional', recipient, 'example.com',
        waybill.recipient_digest('default', recipient), 'postmark', message, 'dispatched', 'dispatched', at, dispatched,
        at, 2, at, at
      FROM given ORDER BY n`,
    `INSERT INTO waybill.events (id, tenant_id, delivery_id, type, occurred_at, inserted_at, idempotency_key)
      SELECT queued, 'default', id, 'queued', at, at, 'queued:' || id FROM given ORDER BY n`,
    `INSERT INTO waybill.events (id, tenant_id, delivery_id, type, occurred_at, inserted_at, idempotency_key)
      SELECT dispatched, 'default', id, 'dispatched', at, at, 'dispatched:' || id FROM given ORDER BY n`
  ]))

/** Events of other deliveries, four of each, that lie between a sweep and what it looks for. */
export const others = ({ count, from }: Numbers) =>
  Server.patiently(statements([
    quickly,
    `CREATE TEMPORARY TABLE given ON COMMIT DROP AS
      SELECT n, uuidv7() AS id, 'other-' || n AS message, 'other-' || n || '@example.com' AS recipient,
        sha256(('other-' || n)::bytea) AS digest
      FROM generate_series(${from}, ${from + count / 4 - 1}) n`,
    `INSERT INTO waybill.deliveries (id, tenant_id, mailable, stream, recipient, recipient_domain, recipient_digest,
        provider, provider_message_id, status)
      SELECT id, 'default', 'welcome', 'transactional', recipient, 'example.com', digest, 'postmark', message, 'sent'
      FROM given ORDER BY n`,
    `INSERT INTO waybill.events (id, tenant_id, delivery_id, type, occurred_at, inserted_at, provider, provider_message_id,
        provider_event_id, normalized_payload, idempotency_key)
      SELECT uuidv7(), 'default', id, types.type, ${past}, ${past}, 'postmark', message, message || types.type,
        '{"Tag": "welcome", "MessageStream": "outbound"}', 'postmark:' || message || types.type
      FROM given CROSS JOIN (VALUES ('sent'), ('delivered'), ('opened'), ('clicked')) AS types (type) ORDER BY n`
  ]))

const indexes = `SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition
  FROM pg_index WHERE indrelid = ANY(ARRAY['waybill.events', 'waybill.deliveries', 'waybill.orphans',
    'waybill.correlations', 'waybill.recipients', 'waybill.occurrences']::regclass[])
    AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = indexrelid)`

/** Fills without the indexes that are no constraint, and builds them at the end. */
export const inBulk = <A, E, R>(fill: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const dropped = yield* sql.unsafe<{ readonly name: string; readonly definition: string }>(indexes)
    for (const { name } of dropped) yield* sql.unsafe(`DROP INDEX ${name}`)
    yield* fill
    yield* Server.patiently(Effect.forEach(dropped, ({ definition }) => sql.unsafe(definition), { discard: true }))
  })

/**
 * Leaves the tables as autovacuum would, and the server with nothing left to write. Autovacuum leaves a table alone that was
 * never written to; one that is vacuumed while it is empty is planned as one that stays so, until the next vacuum.
 */
export const settle = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`SET statement_timeout = 0`
  yield* sql`VACUUM (ANALYZE) waybill.events, waybill.deliveries, waybill.orphans, waybill.correlations, waybill.recipients`
  yield* sql`CHECKPOINT`
  yield* sql`SET statement_timeout = '30s'`
})
