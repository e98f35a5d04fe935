/**
 * Counts deliveries anew: compares how each counts by its events with how it was counted, and moves the sums by the difference.
 *
 * To count again what was counted changes nothing, so that events may be followed twice, by several at once, and in any order. Who
 * counts holds one lock until the end of the transaction, and nothing else that anybody waits for.
 */
import type { Ledger } from "@waybill/core"
import { Effect, Schema } from "effect"
import type { Database } from "../Database.ts"
import * as Parameters from "../Parameters.ts"
import * as Counted from "./Counted.ts"

const EmptiedRow = Schema.Struct({ emptied: Schema.String })

const decodeEmptied = Schema.decodeUnknownEffect(Schema.NonEmptyArray(EmptiedRow))

const counted = ["hour", "stream", "provider", "domain", "bits", "part"]

const of = (alias: string): string => counted.map((name) => `${alias}.${name}`).join(", ")

/** Opens the counting of a schema. */
export const make = ({ quoted, schema, sql }: Database) => {
  /** Lets one at a time count. A statement that follows sees all that was counted before. */
  const hold = sql`SELECT pg_advisory_xact_lock(hashtextextended(${`waybill figures of ${schema}`}, 0))::text`

  /**
   * Relations of a statement that count the deliveries of the relation `touched (tenant_id, delivery_id)` anew. The last is
   * `recounted`, the rows of `figures` that changed. Each delivery goes by indexes, however many there are.
   */
  const relations = `
    changed AS MATERIALIZED (
      SELECT t.tenant_id, t.delivery_id, ${
    of("n")
  }, c.hour AS old_hour, c.stream AS old_stream, c.provider AS old_provider,
        c.domain AS old_domain, c.bits AS old_bits, c.part AS old_part
      FROM touched t
      LEFT JOIN ${quoted("deliveries")} d ON d.tenant_id = t.tenant_id AND d.id = t.delivery_id
      LEFT JOIN ${quoted("contributions")} c ON c.tenant_id = t.tenant_id AND c.delivery_id = t.delivery_id
      CROSS JOIN LATERAL (
        SELECT coalesce(bit_or(${Counted.bits}), 0) AS bits, min(e.occurred_at) AS began_at,
          min(e.occurred_at) FILTER (WHERE e.type = 'dispatched') AS dispatched_at,
          min(e.occurred_at) FILTER (WHERE e.type = 'delivered') AS delivered_at,
          min(e.provider COLLATE "C") AS reporter
        FROM (
          SELECT coalesce(source.type, own.type) AS type, coalesce(source.occurred_at, own.occurred_at) AS occurred_at,
            CASE WHEN source.id IS NULL THEN own.provider ELSE source.provider END AS provider,
            CASE WHEN source.id IS NULL THEN own.bounce_class ELSE source.bounce_class END AS bounce_class,
            CASE WHEN source.id IS NULL THEN own.reject_reason ELSE source.reject_reason END AS reject_reason,
            ${Counted.machine("coalesce(source.normalized_payload, own.normalized_payload)")} AS machine
          FROM ${quoted("events")} own
          LEFT JOIN ${quoted("events")} source ON source.id = own.source_event_id AND source.tenant_id = own.tenant_id
          WHERE own.tenant_id = t.tenant_id AND own.delivery_id = t.delivery_id
        ) e
      ) f
      LEFT JOIN LATERAL (
        SELECT date_trunc('hour', coalesce(f.dispatched_at, f.began_at), 'UTC') AS hour, d.stream,
          coalesce(d.provider COLLATE "C", f.reporter, '') AS provider, coalesce(d.recipient_domain, '') AS domain,
          f.bits, coalesce(${Counted.partOf("f.delivered_at - f.dispatched_at")}, -1)::smallint AS part
        WHERE d.id IS NOT NULL AND f.bits <> 0
      ) n ON true
      WHERE (${of("n")}) IS DISTINCT FROM (${of("c")})
    ), written AS (
      INSERT INTO ${quoted("contributions")} (tenant_id, delivery_id, ${counted.join(", ")})
      SELECT tenant_id, delivery_id, ${counted.join(", ")} FROM changed WHERE hour IS NOT NULL
      ON CONFLICT (tenant_id, delivery_id) DO UPDATE
        SET (${counted.join(", ")}) = (${of("EXCLUDED")})
    ), removed AS (
      DELETE FROM ${quoted("contributions")} c USING changed
      WHERE changed.hour IS NULL AND c.tenant_id = changed.tenant_id AND c.delivery_id = changed.delivery_id
    ), moved AS MATERIALIZED (
      SELECT tenant_id, ${counted.join(", ")}, sum(n)::integer AS n
      FROM (
        SELECT tenant_id, ${counted.join(", ")}, 1 AS n FROM changed WHERE hour IS NOT NULL
        UNION ALL
        SELECT tenant_id, ${counted.map((name) => `old_${name}`).join(", ")}, -1 FROM changed WHERE old_hour IS NOT NULL
      ) difference
      GROUP BY tenant_id, ${counted.join(", ")} HAVING sum(n) <> 0
    ), recounted AS (
      INSERT INTO ${quoted("figures")} AS kept (${[...Counted.keys, "deliveries", ...Counted.columns].join(", ")})
      ${Counted.summed("moved")}
      ON CONFLICT (${Counted.keys.join(", ")}) DO UPDATE SET
        ${
    ["deliveries", ...Counted.columns].map((name) => `${name} = kept.${name} + EXCLUDED.${name}`).join(",\n        ")
  }
      RETURNING ${Counted.keys.join(", ")}, deliveries
    )`

  /** The keys of the sums that are of no delivery any longer, as JSON. */
  const emptied = `(SELECT coalesce(json_agg(row_to_json(r)), '[]')::text FROM recounted r WHERE r.deliveries = 0)`

  /** Takes away the sums of nothing. */
  const sweep = (keys: string) =>
    keys === "[]" ? Effect.void : Effect.asVoid(sql.unsafe(
      `DELETE FROM ${quoted("figures")} f
      USING json_populate_recordset(NULL::${quoted("figures")}, $1::text::json) gone
      WHERE ${Counted.keys.map((name) => `f.${name} = gone.${name}`).join(" AND ")} AND f.deliveries = 0`,
      [keys]
    ))

  const namedText = `
    WITH touched AS MATERIALIZED (
      SELECT DISTINCT tenant_id, delivery_id FROM ${
    Parameters.unnested(["text", "uuid"])
  } AS given (tenant_id, delivery_id)
    ), ${relations}
    SELECT ${emptied} AS emptied
  `

  /** Counts some deliveries anew, which may be gone, within a transaction of its caller that holds. */
  const recount = Effect.fnUntraced(function*(deliveries: ReadonlyArray<Ledger.DeliveryKey>) {
    if (deliveries.length === 0) return
    const rows = yield* sql.unsafe(namedText, [
      Parameters.texts(deliveries.map(({ tenantId }) => tenantId)),
      Parameters.uuids(deliveries.map(({ deliveryId }) => deliveryId))
    ])
    const [{ emptied }] = yield* Effect.orDie(decodeEmptied(rows))
    yield* sweep(emptied)
  })

  return { hold, relations, emptied, sweep, recount }
}

/** The counting of a schema. */
export type Recount = ReturnType<typeof make>
