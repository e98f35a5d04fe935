/** Compares what is stored with what the ledger says, a page at a time, and repairs it. */
import { Audit, Drift, Event, Input } from "@waybill/core"
import { DateTime, Effect, Option, Schema } from "effect"
import * as Arr from "effect/Array"
import { SqlClient } from "effect/sql"
import type { Database } from "./Database.ts"
import { decode, type Deliveries } from "./Deliveries.ts"
import type { Events } from "./Events.ts"
import * as Parameters from "./Parameters.ts"
import * as Rows from "./Rows.ts"
import type { SuppressionsAudit } from "./suppressions/Audit.ts"

const OrphanRow = Schema.Struct({
  tenantId: Rows.EventRow.fields.tenantId,
  eventId: Event.EventId,
  isPending: Schema.Boolean,
  isQueued: Schema.Boolean,
  isReady: Schema.Boolean,
  isLinkable: Schema.Boolean
})

const decodeOrphans = Schema.decodeUnknownEffect(Schema.Array(OrphanRow))

const snapshot = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"

/** Opens the audit of a schema. */
export const make = (
  { inScope, sql, table, transaction }: Database,
  events: Events,
  deliveries: Deliveries,
  auditSuppressions: SuppressionsAudit
) => {
  const auditDeliveries = Effect.fnUntraced(function*(query: Audit.Query, repair: boolean) {
    const after = Option.getOrUndefined(yield* Effect.fromResult(Input.place(query)))
    const now = yield* DateTime.now
    // The order of `Audit.deliveriesOf`.
    const rows = yield* sql`
      SELECT ${deliveries.columns} FROM ${table("deliveries")} d
      WHERE ${inScope(query.scope)}
        ${after === undefined ? sql`` : sql`AND (d.tenant_id, d.id) > (${after.tenantId}, ${after.id}::uuid)`}
      ORDER BY d.tenant_id, d.id LIMIT ${query.limit}
      ${sql.literal(repair ? "FOR NO KEY UPDATE" : "")}
    `
    const page = yield* Effect.orDie(decode(rows))
    const factsOf = yield* events.factsOf(page)
    const compared = page.map((delivery) => ({ delivery, facts: factsOf(delivery) }))
    const { drifts, repaired } = Audit.compareDeliveries(compared, now)
    if (repair) yield* deliveries.update(repaired, now)
    return { checked: page.length, drifts, next: Audit.nextOf(query, page) }
  })

  const auditOrphans = Effect.fnUntraced(function*(query: Audit.Query, repair: boolean) {
    const after = Option.getOrUndefined(yield* Effect.fromResult(Input.place(query)))
    // The order of `Audit.orphansOf`; `isPending` is `Orphan.isPending`.
    const isAfter = (id: string) => after === undefined ? sql`` : sql`AND ${sql(id)} > ${after.id}::uuid`
    const rows = yield* sql`
      WITH page AS (
        (
          SELECT id, tenant_id FROM ${table("events")}
          WHERE needs_reconciliation AND ${inScope(query.scope)} ${isAfter("id")} ORDER BY id LIMIT ${query.limit}
        ) UNION (
          SELECT event_id, tenant_id FROM ${table("orphans")}
          WHERE ${inScope(query.scope)} ${isAfter("event_id")} ORDER BY event_id LIMIT ${query.limit}
        )
        ORDER BY id LIMIT ${query.limit}
      )
      SELECT page.tenant_id AS "tenantId", page.id AS "eventId",
        e.id IS NOT NULL AND e.needs_reconciliation
          AND NOT EXISTS (SELECT FROM ${table("events")} link WHERE link.source_event_id = page.id)
          AND NOT EXISTS (SELECT FROM ${
      table("acts")
    } a WHERE a.event_id = page.id AND a.act = 'dismiss') AS "isPending",
        o.event_id IS NOT NULL AS "isQueued",
        coalesce(o.ready, false) AS "isReady",
        coalesce(${table("is_linkable")}(e, o.recipient_digest), false) AS "isLinkable"
      FROM page
      LEFT JOIN ${table("events")} e ON e.id = page.id
      LEFT JOIN ${table("orphans")} o ON o.event_id = page.id
      ORDER BY page.id
    `
    const page = yield* Effect.orDie(decodeOrphans(rows))
    const drifts = Arr.getSomes(page.map(Drift.ofOrphan))
    if (repair && drifts.length > 0) {
      const ids = Parameters.uuids(drifts.flatMap((drift) => "eventId" in drift ? [drift.eventId] : []))
      yield* sql`SELECT ${table("requeue")}(${ids})`
    }
    const rowsOfPage = page.map(({ eventId, tenantId }) => ({ id: eventId, tenantId }))
    return { checked: page.length, drifts, next: Audit.nextOf(query, rowsOfPage) }
  })

  const audit = (repair: boolean) =>
    Effect.fnUntraced(function*(query: Audit.Query) {
      yield* Input.limit(query.limit)
      const page = transaction(
        query.scope,
        query.part === "suppressions"
          ? auditSuppressions(query, repair)
          : query.part === "deliveries"
          ? auditDeliveries(query, repair)
          : auditOrphans(query, repair)
      )
      // One snapshot for all the reads of a comparison; a repair holds the rows it reads.
      return yield* repair ? page : Effect.provideService(page, SqlClient.BeginTransaction, snapshot)
    })

  return {
    verify: Effect.fn("Audit.verify")(audit(false)),
    rebuild: Effect.fn("Audit.rebuild")(audit(true))
  }
}
