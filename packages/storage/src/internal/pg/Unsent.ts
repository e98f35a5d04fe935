/**
 * Claims unsent deliveries, from the queue that the triggers of `deliveries` keep: a row for each delivery that
 * `Handover.isUnsent` tells.
 */
import { Input, Tenant, type Unsent as CoreUnsent } from "@waybill/core"
import { Effect, Option, Schema } from "effect"
import type { Database } from "./Database.ts"
import type { Deliveries } from "./Deliveries.ts"
import * as Parameters from "./Parameters.ts"
import * as Rows from "./Rows.ts"

const ClaimedRow = Schema.Struct({ ...Rows.DeliveryRow.fields, attempt: Schema.Int })

const decodeClaimed = Schema.decodeUnknownEffect(Schema.Array(ClaimedRow))

const PlaceRow = Schema.Struct({ attempts: Schema.Int, dueAt: Schema.DateTimeUtcFromDate })

const decodePlaces = Schema.decodeUnknownEffect(Schema.Array(PlaceRow))

/** Opens the queue of the unsent deliveries of a schema. */
export const make = ({ sql, table, transaction }: Database, { columns }: Pick<Deliveries, "columns">) => {
  const unsent = table("unsent")

  /** Which places `Unsent.select` takes, locked; those that another claim holds are left to it. */
  const due = ({ dueTo, limit, scope }: CoreUnsent.Claim) => {
    const isDue = sql`due_at <= ${Parameters.instant(dueTo)}`
    if (scope !== Tenant.all) {
      return sql`
        SELECT tenant_id, delivery_id, due_at FROM ${unsent} WHERE tenant_id = ${scope} AND ${isDue}
        ORDER BY due_at, delivery_id LIMIT ${limit}
        FOR UPDATE SKIP LOCKED
      `
    }
    const next = sql`ORDER BY u.due_at, u.delivery_id`
    // One step through the index for each tenant that has any, and one that asks for its oldest. What is left of the shares goes
    // on behind the share of one tenant after the other, so that nothing is locked that is not taken. The outer limit takes
    // nothing away: it tells the planner that few are due, so that each is updated by its key.
    return sql`
      WITH RECURSIVE step AS (
        (SELECT tenant_id FROM ${unsent} ORDER BY tenant_id LIMIT 1)
        UNION ALL
        SELECT next.tenant_id FROM step CROSS JOIN LATERAL (
          SELECT tenant_id FROM ${unsent} WHERE tenant_id > step.tenant_id ORDER BY tenant_id LIMIT 1
        ) next
      ), served AS MATERIALIZED (
        SELECT step.tenant_id, row_number() OVER (ORDER BY oldest.due_at, oldest.delivery_id, step.tenant_id) AS place
        FROM step CROSS JOIN LATERAL (
          SELECT u.due_at, u.delivery_id FROM ${unsent} u WHERE u.tenant_id = step.tenant_id AND ${isDue} ${next} LIMIT 1
        ) oldest
        ORDER BY place LIMIT ${limit}
      ), shared AS MATERIALIZED (
        SELECT served.place, own.* FROM served CROSS JOIN LATERAL (
          SELECT u.tenant_id, u.delivery_id, u.due_at FROM ${unsent} u
          WHERE u.tenant_id = served.tenant_id AND ${isDue} ${next} LIMIT ${limit} / (SELECT count(*) FROM served)
          FOR UPDATE SKIP LOCKED
        ) own
      ), last AS MATERIALIZED (
        SELECT DISTINCT ON (place) * FROM shared ORDER BY place, due_at DESC, delivery_id DESC
      ), rest AS MATERIALIZED (
        SELECT own.* FROM last CROSS JOIN LATERAL (
          SELECT u.tenant_id, u.delivery_id, u.due_at FROM ${unsent} u
          WHERE u.tenant_id = last.tenant_id AND ${isDue} AND (u.due_at, u.delivery_id) > (last.due_at, last.delivery_id)
          ${next} LIMIT ${limit}
          FOR UPDATE SKIP LOCKED
        ) own
        LIMIT ${limit} - (SELECT count(*) FROM shared)
      )
      SELECT tenant_id, delivery_id, due_at FROM shared UNION ALL SELECT * FROM rest
      LIMIT ${limit}
    `
  }

  const claim = Effect.fn("Unsent.claim")(function*(query: CoreUnsent.Claim) {
    yield* Input.unsent(query)
    const rows = yield* transaction(
      query.scope,
      sql`
        WITH due AS MATERIALIZED (${due(query)}), taken AS (
          UPDATE ${unsent} u SET attempts = u.attempts + 1, due_at = ${Parameters.instant(query.until)}
          FROM due WHERE u.tenant_id = due.tenant_id AND u.delivery_id = due.delivery_id
          RETURNING u.tenant_id, u.delivery_id, u.attempts, due.due_at
        )
        SELECT ${columns}, taken.attempts AS attempt
        FROM taken JOIN ${table("deliveries")} d ON d.tenant_id = taken.tenant_id AND d.id = taken.delivery_id
        ORDER BY taken.due_at, taken.delivery_id, taken.tenant_id
      `
    )
    return (yield* Effect.orDie(decodeClaimed(rows))).map(({ attempt, ...delivery }): CoreUnsent.Claimed => ({
      delivery,
      attempt
    }))
  })

  /** Finds and locks the place of a delivery. */
  const place = Effect.fnUntraced(function*({ deliveryId, tenantId }: Pick<CoreUnsent.Row, "deliveryId" | "tenantId">) {
    const [found] = yield* Effect.orDie(decodePlaces(
      yield* sql`
        SELECT attempts, due_at AS "dueAt" FROM ${unsent}
        WHERE tenant_id = ${tenantId} AND delivery_id = ${deliveryId}
        FOR UPDATE
      `
    ))
    return Option.map(Option.fromUndefinedOr(found), (row): CoreUnsent.Row => ({ tenantId, deliveryId, ...row }))
  })

  /** Writes the place of a delivery, if it is unsent still. */
  const put = ({ attempts, deliveryId, dueAt, tenantId }: CoreUnsent.Row) =>
    sql`
      UPDATE ${unsent} SET attempts = ${attempts}, due_at = ${Parameters.instant(dueAt)}
      WHERE tenant_id = ${tenantId} AND delivery_id = ${deliveryId}
    `

  return { claim, place, put }
}

/** The queue of the unsent deliveries of a schema. */
export type Unsent = ReturnType<typeof make>
