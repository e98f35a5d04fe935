/** Compares what is kept of suppressions with what the ledger and the acts say, an address at a time, and repairs it. */
import { Audit, type Drift, Input, Suppression, Tenant } from "@waybill/core"
import { Effect, Option, Schema } from "effect"
import type { Database } from "../Database.ts"
import * as Parameters from "../Parameters.ts"

const PageRow = Schema.Struct({
  tenantId: Tenant.TenantId,
  key: Schema.String,
  isTold: Schema.Boolean,
  isDrifted: Schema.Boolean
})

const decode = Schema.decodeUnknownEffect(Schema.Array(PageRow))

const types = Suppression.causing.map((type) => `'${type}'`).join(", ")

const columns = "tenant_id, recipient_digest, id, reason, stream, lifts, happened_at, rank, event_id, by_hand"

/** Opens the audit of the suppressions of a schema. */
export const make = ({ inScope, quoted, sql, table }: Database) => {
  // What should be kept of the addresses of `page`, and what is.
  const comparedText = `
    told AS (
      SELECT coalesce(own.source_event_id, own.id) AS id FROM page
      JOIN ${quoted("deliveries")} d ON d.tenant_id = page.tenant_id AND d.recipient_digest = page.digest
      JOIN ${quoted("events")} own ON own.tenant_id = d.tenant_id AND own.delivery_id = d.id
        AND (own.type IN (${types}) OR own.source_event_id IS NOT NULL)
      UNION
      SELECT e.id FROM page
      JOIN ${quoted("recipients")} r ON r.tenant_id = page.tenant_id AND r.digest = page.digest
      JOIN ${quoted("events")} e ON e.tenant_id = r.tenant_id AND e.recipient_pseudonym = r.pseudonym
    ), expected AS MATERIALIZED (
      SELECT f.* FROM ${quoted("suppressions_of")}(ARRAY(SELECT id FROM told)) f
      JOIN page ON page.tenant_id = f.tenant_id AND page.digest = f.recipient_digest
      UNION ALL
      SELECT a.tenant_id, a.recipient_digest, a.fact_id, a.reason, a.stream, a.lifts, a.happened_at, a.rank, a.event_id, true
      FROM page JOIN ${quoted("acts")} a ON a.tenant_id = page.tenant_id AND a.recipient_digest = page.digest
    ), stored AS MATERIALIZED (
      SELECT s.* FROM page
      JOIN ${quoted("suppressions")} s ON s.tenant_id = page.tenant_id AND s.recipient_digest = page.digest
    )`

  // $1 are tenants, $2 digests.
  const givenText = `
    WITH page AS MATERIALIZED (
      SELECT tenant_id, decode(key, 'hex') AS digest
      FROM ${Parameters.unnested(["text", "text"])} AS given (tenant_id, key)
    ), ${comparedText}`

  const addText = `${givenText}
    INSERT INTO ${quoted("suppressions")} AS kept (${columns})
    SELECT ${columns} FROM (SELECT * FROM expected EXCEPT SELECT * FROM stored) missing
    ON CONFLICT (tenant_id, recipient_digest, id) DO UPDATE SET (reason, stream, lifts, happened_at, rank, event_id, by_hand)
      = (EXCLUDED.reason, EXCLUDED.stream, EXCLUDED.lifts, EXCLUDED.happened_at, EXCLUDED.rank, EXCLUDED.event_id,
        EXCLUDED.by_hand)`

  const removeText = `${givenText}
    DELETE FROM ${quoted("suppressions")} s USING page
    WHERE s.tenant_id = page.tenant_id AND s.recipient_digest = page.digest AND NOT EXISTS (
      SELECT FROM expected x WHERE x.tenant_id = s.tenant_id AND x.recipient_digest = s.recipient_digest AND x.id = s.id
    )`

  /** Compares one page of addresses, within a transaction of its caller. */
  return Effect.fnUntraced(function*(query: Audit.Query, repair: boolean) {
    const after = Option.getOrUndefined(yield* Effect.fromResult(Input.place(query)))
    const digests = (name: "deliveries" | "recipients" | "suppressions" | "acts", column: string) =>
      sql`
        (SELECT DISTINCT tenant_id, ${sql(column)} AS digest FROM ${table(name)}
        WHERE ${inScope(query.scope)} AND ${sql(column)} IS NOT NULL ${
        after === undefined
          ? sql``
          : sql`AND (tenant_id, ${sql(column)}) > (${after.tenantId}, decode(${after.id}, 'hex'))`
      }
        ORDER BY tenant_id, ${sql(column)} LIMIT ${query.limit})
      `
    // The order of `Audit.deliveriesOf`.
    const rows = yield* sql`
      WITH page AS MATERIALIZED (
        SELECT tenant_id, digest FROM (
          ${digests("deliveries", "recipient_digest")} UNION ${digests("recipients", "digest")}
          UNION ${digests("suppressions", "recipient_digest")} UNION ${digests("acts", "recipient_digest")}
        ) known ORDER BY tenant_id, digest LIMIT ${query.limit}
      ), ${sql.literal(comparedText)}, drifted AS (
        SELECT tenant_id, recipient_digest FROM (SELECT * FROM expected EXCEPT SELECT * FROM stored) missing
        UNION
        SELECT tenant_id, recipient_digest FROM (SELECT * FROM stored EXCEPT SELECT * FROM expected) extra
      )
      SELECT page.tenant_id AS "tenantId", encode(page.digest, 'hex') AS key,
        told_of.tenant_id IS NOT NULL AS "isTold", drifted.tenant_id IS NOT NULL AS "isDrifted"
      FROM page
      LEFT JOIN (
        SELECT tenant_id, recipient_digest FROM expected UNION SELECT tenant_id, recipient_digest FROM stored
      ) told_of ON told_of.tenant_id = page.tenant_id AND told_of.recipient_digest = page.digest
      LEFT JOIN drifted ON drifted.tenant_id = page.tenant_id AND drifted.recipient_digest = page.digest
      ORDER BY page.tenant_id, page.digest
    `
    const page = yield* Effect.orDie(decode(rows))
    const drifts = page.filter(({ isDrifted }) => isDrifted).map(({ key, tenantId }): Drift.Drift => ({
      _tag: "Suppressions",
      tenantId,
      key
    }))
    if (repair && drifts.length > 0) {
      const drifted = page.filter(({ isDrifted }) => isDrifted)
      const given = [
        Parameters.texts(drifted.map(({ tenantId }) => tenantId)),
        Parameters.texts(drifted.map(({ key }) => key))
      ]
      yield* sql.unsafe(addText, given)
      yield* sql.unsafe(removeText, given)
    }
    const next = Audit.nextOf(query, page.map(({ key, tenantId }) => ({ id: key, tenantId })))
    return { checked: page.filter(({ isTold }) => isTold).length, drifts, next }
  })
}

/** The audit of the suppressions of a schema. */
export type SuppressionsAudit = ReturnType<typeof make>
