/** Claims webhooks in hand: those that wait, fairly by tenant and provider, or by their ids. */
import { Inbox, type InboxQuery, Input, type Tenant } from "@waybill/core"
import { DateTime, Effect, type Schema } from "effect"
import { dueAt, isWaiting } from "../../migrations/migration0015.ts"
import type { Database } from "../Database.ts"
import * as Parameters from "../Parameters.ts"
import * as Rows from "../Rows.ts"

/** Opens the claims of a schema. */
export const make = (
  { inScope, sql, statements, table }: Database,
  decode: (rows: unknown) => Effect.Effect<ReadonlyArray<Inbox.Webhook>, Schema.SchemaError>
) => {
  const webhooks = table("webhooks")
  const columns = sql.literal(Rows.columns(Inbox.Webhook.fields)("w"))
  const due = sql.literal(dueAt)
  const waiting = sql.literal(isWaiting)

  /** The rows of a choice that may be claimed at once, by the bytes of their bodies: `fitting` of `InboxRow`. */
  const fitting = sql`
    SELECT id, place FROM (
      SELECT c.id, c.place, c.place = 1 AS is_first,
        sum(octet_length(w.body)) OVER (ORDER BY c.place) AS bytes
      FROM chosen c JOIN ${webhooks} w ON w.id = c.id
    ) measured
    WHERE is_first OR bytes <= ${Inbox.maxClaimedBytes}
  `

  const claim = Effect.fn("Inbox.claim")(function*(query: InboxQuery.ClaimQuery) {
    const limit = yield* Input.limit(query.limit)
    const time = yield* DateTime.now
    const now = Parameters.instant(time)
    const stalled = Parameters.instant(DateTime.subtractDuration(time, query.stalledFor))
    const scope = inScope(query.scope)
    // What `InboxRow.claim` says. Each tenant and provider with something that waits is found by one look into the index.
    const rows = yield* statements(
      query.scope,
      sql`
      WITH RECURSIVE kinds AS (
        (
          SELECT tenant_id, provider, ${due} AS due FROM ${webhooks} w WHERE ${waiting} AND ${scope}
          ORDER BY tenant_id, provider, ${due}, id LIMIT 1
        )
        UNION ALL
        SELECT following.* FROM kinds k CROSS JOIN LATERAL (
          SELECT tenant_id, provider, ${due} AS due FROM ${webhooks} w
          WHERE ${waiting} AND ${scope} AND (tenant_id, provider) > (k.tenant_id, k.provider)
          ORDER BY tenant_id, provider, ${due}, id LIMIT 1
        ) following
      ), shares AS (
        SELECT ceil(${limit}::numeric / greatest(count(*), 1))::bigint AS share FROM kinds WHERE due <= ${now}
      ), fair AS MATERIALIZED (
        SELECT found.id, found.due FROM kinds k CROSS JOIN LATERAL (
          SELECT id, ${due} AS due FROM ${webhooks} w
          WHERE ${waiting} AND tenant_id = k.tenant_id AND provider = k.provider AND ${due} <= ${now}
          ORDER BY ${due}, id LIMIT (SELECT share FROM shares)
          FOR UPDATE SKIP LOCKED
        ) found
        WHERE k.due <= ${now}
      ), chosen AS (
        SELECT id, row_number() OVER (ORDER BY due, id) AS place FROM fair ORDER BY due, id LIMIT ${limit}
      ), stalled AS MATERIALIZED (
        SELECT id FROM ${webhooks} w
        WHERE status = 'processing' AND ${scope} AND claimed_at < ${stalled} AND NOT EXISTS (SELECT FROM fair)
        ORDER BY claimed_at, id LIMIT 1
        FOR UPDATE SKIP LOCKED
      ), claimed AS (
        UPDATE ${webhooks} w SET status = 'processing', attempts = attempts + 1, claimed_at = ${now}, next_attempt_at = NULL
        WHERE w.id = ANY (ARRAY(SELECT id FROM (${fitting}) fitting UNION ALL SELECT id FROM stalled))
        RETURNING ${columns}
      )
      SELECT * FROM claimed ORDER BY "receivedAt", id
    `
    )
    return yield* Effect.orDie(decode(rows))
  })

  const reclaim = Effect.fn("Inbox.reclaim")(function*(scope: Tenant.Scope, ids: ReadonlyArray<Inbox.WebhookId>) {
    if (ids.length === 0) return []
    const now = Parameters.instant(yield* DateTime.now)
    // What `InboxRow.reclaim` says.
    const rows = yield* statements(
      scope,
      sql`
      WITH given AS (
        SELECT id, place FROM unnest((SELECT ${Parameters.uuids(ids)}::uuid[])) WITH ORDINALITY AS given (id, place)
      ), found AS MATERIALIZED (
        SELECT w.id, given.place FROM given JOIN ${webhooks} w ON w.id = given.id WHERE ${inScope(scope)}
        ORDER BY given.place FOR UPDATE OF w
      ), chosen AS (
        SELECT id, row_number() OVER (ORDER BY place) AS place FROM found
      ), fitting AS (
        ${fitting}
      ), claimed AS (
        UPDATE ${webhooks} w SET status = 'processing', attempts = 1, claimed_at = ${now}, next_attempt_at = NULL
        WHERE w.id = ANY (ARRAY(SELECT id FROM fitting))
        RETURNING ${columns}
      )
      SELECT claimed.* FROM claimed JOIN fitting USING (id) ORDER BY fitting.place
    `
    )
    return yield* Effect.orDie(decode(rows))
  })

  return { claim, reclaim }
}
