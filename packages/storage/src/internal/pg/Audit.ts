/** Compares what is stored with what the ledger says, a page at a time, and repairs it. */
import { Audit, type Delivery, Drift, Event, Input, Tenant, Text } from "@waybill/core"
import { DateTime, Effect, Option, Schema } from "effect"
import * as Arr from "effect/Array"
import { SqlClient } from "effect/sql"
import type { Database } from "./Database.ts"
import { decode, type Deliveries } from "./Deliveries.ts"
import type { Events } from "./Events.ts"
import type { FiguresAudit } from "./figures/Audit.ts"
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

/** An event that is noted of a delivery, or should be: the row as text. */
const OccurrencesRow = Schema.Struct({
  tenantId: Tenant.TenantId,
  deliveryId: Event.DeliveryId,
  noted: Schema.String,
  isExpected: Schema.Boolean
})

const decodeOccurrences = Schema.decodeUnknownEffect(Schema.Array(OccurrencesRow))

const snapshot = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"

/** Opens the audit of a schema. */
export const make = (
  { inScope, sql, table, transaction }: Database,
  events: Events,
  deliveries: Deliveries,
  auditSuppressions: SuppressionsAudit,
  figures: FiguresAudit
) => {
  /**
   * Compares what is noted of the rare events of a page of deliveries with their events. A page begins after the last row of the
   * one before and the last page never ends, so that what is noted of a delivery that is gone is found too.
   */
  const auditOccurrences = Effect.fnUntraced(function*(
    query: Audit.Query,
    page: ReadonlyArray<Delivery.Delivery>,
    repair: boolean
  ) {
    const after = Option.getOrUndefined(yield* Effect.fromResult(Input.place(query)))
    const last = page.length < query.limit ? undefined : page.at(-1)
    const tenants = Parameters.texts(page.map(({ tenantId }) => tenantId))
    const ids = Parameters.uuids(page.map(({ id }) => id))
    // A delivery that came since the page was read is compared by the next audit.
    const rows = yield* sql`
      SELECT o.tenant_id AS "tenantId", o.delivery_id AS "deliveryId", o::text AS noted, true AS "isExpected"
      FROM ${table("occurrences_of")}(${tenants}, ${ids}) o
      UNION ALL
      SELECT o.tenant_id, o.delivery_id, o::text, false FROM ${table("occurrences")} o
      WHERE ${inScope(query.scope)}
        ${after === undefined ? sql`` : sql`AND (tenant_id, delivery_id) > (${after.tenantId}, ${after.id}::uuid)`}
        ${last === undefined ? sql`` : sql`AND (tenant_id, delivery_id) <= (${last.tenantId}, ${last.id}::uuid)`}
        AND (delivery_id = ANY(${ids}) OR NOT EXISTS (
          SELECT FROM ${table("deliveries")} d WHERE d.tenant_id = o.tenant_id AND d.id = o.delivery_id
        ))
    `
    const noted = yield* Effect.orDie(decodeOccurrences(rows))
    const textsOf = (isExpected: boolean) =>
      new Set(noted.filter((row) => row.isExpected === isExpected).map((row) => row.noted))
    const expected = textsOf(true)
    const stored = textsOf(false)
    const drifted = Array.from(
      new Map(
        noted
          .filter((row) => !(row.isExpected ? stored : expected).has(row.noted))
          .map(({ deliveryId, tenantId }) => [`${tenantId} ${deliveryId}`, { tenantId, deliveryId }])
      ),
      ([, row]) => row
    ).toSorted((left, right) =>
      Text.compare(left.tenantId, right.tenantId) || Text.compare(left.deliveryId, right.deliveryId)
    )
    if (repair && drifted.length > 0) {
      yield* sql`SELECT ${table("note_again")}(
        ${Parameters.texts(drifted.map(({ tenantId }) => tenantId))},
        ${Parameters.uuids(drifted.map(({ deliveryId }) => deliveryId))}
      )`
    }
    return drifted.map(({ deliveryId, tenantId }): Drift.Drift => ({ _tag: "Occurrences", tenantId, deliveryId }))
  })

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
    const misnoted = yield* auditOccurrences(query, page, repair)
    return { checked: page.length, drifts: [...drifts, ...misnoted], next: Audit.nextOf(query, page) }
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

  const parts = {
    deliveries: auditDeliveries,
    orphans: auditOrphans,
    suppressions: auditSuppressions,
    ...figures
  }

  const audit = (repair: boolean) =>
    Effect.fnUntraced(function*(query: Audit.Query) {
      yield* Input.limit(query.limit)
      const page = transaction(
        query.scope,
        parts[query.part](query, repair)
      )
      // One snapshot for all the reads of a comparison; a repair holds the rows it reads.
      return yield* repair ? page : Effect.provideService(page, SqlClient.BeginTransaction, snapshot)
    })

  return {
    verify: Effect.fn("Audit.verify")(audit(false)),
    rebuild: Effect.fn("Audit.rebuild")(audit(true))
  }
}
