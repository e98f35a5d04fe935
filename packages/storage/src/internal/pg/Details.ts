/** Keeps what providers say of events in words, beside the ledger: brought in by appends, pruned by age, erased on request. */
import { type Event, Input, type Ledger, type Recipient, Tenant } from "@waybill/core"
import { Effect, Option } from "effect"
import type { Report } from "./append/Report.ts"
import type { Database } from "./Database.ts"
import * as Parameters from "./Parameters.ts"

/** A stored event, and a report that says what it says. */
export interface Told {
  readonly eventId: Event.EventId
  readonly report: Report
}

/** Opens the details of a schema. */
export const make = ({ quoted, sql, statements, table }: Database) => {
  const details = table("event_details")

  // $1 is the tenant. In the order of the ids, so that two appends of the same events do not wait for each other.
  //
  // Forgetting meets it on the deliveries, and on the tie of a pseudonym where an event has met none: what is forgotten before
  // is seen here, and who forgets after waits, and then finds the details.
  const keepText = `
    WITH found AS MATERIALIZED (
      SELECT e.id, e.tenant_id, e.delivery_id IS NULL AS is_orphan, e.recipient_pseudonym AS pseudonym,
        coalesce(e.delivery_id, link.delivery_id) AS delivery_id, given.inserted_at, given.recipient, given.details
      FROM ${Parameters.unnested(["uuid", "timestamptz", "text", "jsonb"], 2)}
        AS given (event_id, inserted_at, recipient, details)
      JOIN ${quoted("events")} e ON e.tenant_id = $1 AND e.id = given.event_id
      LEFT JOIN ${quoted("events")} link ON link.source_event_id = e.id
      WHERE NOT EXISTS (
        SELECT FROM ${quoted("event_details")} kept WHERE kept.tenant_id = $1 AND kept.event_id = given.event_id
      )
    ), held AS MATERIALIZED (
      SELECT d.id FROM ${quoted("deliveries")} d
      WHERE d.tenant_id = $1 AND d.id = ANY(ARRAY(SELECT delivery_id FROM found)) AND d.recipient IS NOT NULL
      ORDER BY d.id FOR NO KEY UPDATE
    )
    INSERT INTO ${quoted("event_details")} (tenant_id, event_id, inserted_at, recipient_digest, details)
    SELECT tenant_id, id, inserted_at,
      CASE WHEN is_orphan AND recipient IS NOT NULL THEN ${quoted("recipient_digest")}(tenant_id, recipient) END,
      details
    FROM found
    WHERE CASE WHEN delivery_id IS NULL THEN true ELSE delivery_id IN (SELECT id FROM held) END
      AND CASE WHEN pseudonym IS NULL THEN true ELSE ${quoted("hold_recipient")}(tenant_id, pseudonym) END
    ORDER BY id
    ON CONFLICT (tenant_id, event_id) DO NOTHING
  `

  /** Keeps the details that reports bring of stored events that have none: what `Report.keep` says, for many at once. */
  const keep = (tenantId: Tenant.TenantId, told: ReadonlyArray<Told>) => {
    const firsts = new Map<Event.EventId, Report>()
    for (const { eventId, report } of told) {
      if (Option.isSome(report.details) && !firsts.has(eventId)) firsts.set(eventId, report)
    }
    const reports = Array.from(firsts.values())
    return reports.length === 0 ? Effect.void : Effect.asVoid(sql.unsafe(keepText, [
      tenantId,
      Parameters.uuids(Array.from(firsts.keys())),
      Parameters.instants(reports.map(({ event }) => event.insertedAt.epochMilliseconds)),
      Parameters.texts(reports.map(({ address }) => address)),
      Parameters.bags(reports.map(({ details }) => Option.getOrNull(details)))
    ]))
  }

  /** Erases the details of the events of some deliveries, and of the events that name their recipient: `Commit.forget`. */
  const erase = Effect.fnUntraced(function*(
    tenantId: Tenant.TenantId,
    recipient: Recipient.Recipient,
    deliveryIds: ReadonlyArray<string>
  ) {
    if (deliveryIds.length > 0) {
      yield* sql`
        DELETE FROM ${details} WHERE tenant_id = ${tenantId} AND event_id = ANY(ARRAY(
          WITH own AS (
            SELECT id, source_event_id FROM ${table("events")}
            WHERE tenant_id = ${tenantId} AND delivery_id = ANY(${Parameters.uuids(deliveryIds)})
          )
          SELECT id FROM own UNION ALL SELECT source_event_id FROM own WHERE source_event_id IS NOT NULL
        ))
      `
    }
    yield* sql`
      DELETE FROM ${details} WHERE tenant_id = ${tenantId}
        AND recipient_digest = (SELECT ${table("recipient_digest")}(${tenantId}, ${recipient}))
    `
  })

  const prune = Effect.fn("Ledger.pruneDetails")(function*(query: Ledger.PruneDetails) {
    const limit = yield* Input.limit(query.limit)
    const old = sql`inserted_at < ${Parameters.instant(query.before)}`
    // What `Commit.pruneDetails` says. By their places, which are good for one statement: each is found through the index of
    // ages alone.
    const [counted] = yield* statements(
      Tenant.all,
      query.dryRun
        ? sql<{ readonly count: number }>`SELECT count(*)::integer AS count FROM ${details} WHERE ${old}`
        : sql<{ readonly count: number }>`
          WITH deleted AS (
            DELETE FROM ${details} WHERE ctid = ANY(ARRAY(
              SELECT ctid FROM ${details} WHERE ${old} ORDER BY inserted_at LIMIT ${limit} FOR UPDATE SKIP LOCKED
            )) RETURNING 1
          )
          SELECT count(*)::integer AS count FROM deleted
        `
    )
    return counted?.count ?? 0
  })

  return { keep, erase, prune }
}

/** The details of a schema. */
export type Details = ReturnType<typeof make>
