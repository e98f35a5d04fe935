/** Follows the feed, and counts anew the deliveries that its events are about; and those of which something changed beside it. */
import { Cursor, Event, Figures, Input, LedgerError, Tenant } from "@waybill/core"
import { DateTime, Effect, Schema } from "effect"
import type { Database } from "../Database.ts"
import * as Page from "../feed/Page.ts"
import * as Parameters from "../Parameters.ts"
import type { Recount } from "./Recount.ts"

const FollowedRow = Schema.Struct({
  fault: Schema.NullOr(Schema.Literals(["restored", "lost"])),
  events: Schema.Int,
  epoch: Schema.NullOr(Schema.Int),
  transactionId: Schema.NullOr(Schema.String),
  position: Schema.NullOr(Schema.BigInt),
  emptied: Schema.String
})

const decodeFollowed = Schema.decodeUnknownEffect(Schema.NonEmptyArray(FollowedRow))

const DueRow = Schema.Struct({ tenantId: Tenant.TenantId, deliveryId: Event.DeliveryId, id: Schema.String })

const decodeDue = Schema.decodeUnknownEffect(Schema.Array(DueRow))

/** Opens the following of a schema. */
export const make = (database: Database, { emptied, hold, recount, relations, sweep }: Recount) => {
  const { sql, table, transaction } = database
  const pageOf = Page.make(database)

  /** Counts anew what is due. */
  const settle = Effect.fnUntraced(function*(limit: number) {
    const rows = yield* sql`
      SELECT tenant_id AS "tenantId", delivery_id AS "deliveryId", id FROM ${table("figures_due")}
      ORDER BY tenant_id, delivery_id, id LIMIT ${limit}
    `
    const due = yield* Effect.orDie(decodeDue(rows))
    if (due.length === 0) return
    yield* recount(due)
    yield* sql`
      DELETE FROM ${table("figures_due")} d USING unnest(
        ${Parameters.texts(due.map(({ tenantId }) => tenantId))}, ${
      Parameters.uuids(due.map(({ deliveryId }) => deliveryId))
    }, ${Parameters.uuids(due.map(({ id }) => id))}
      ) AS settled (tenant_id, delivery_id, id)
      WHERE d.tenant_id = settled.tenant_id AND d.delivery_id = settled.delivery_id AND d.id = settled.id
    `
  })

  const step = Effect.fnUntraced(function*(limit: number) {
    yield* hold
    yield* settle(limit)
    const now = yield* DateTime.now
    const [known] = yield* sql<{ readonly cursor: string }>`
      SELECT cursor FROM ${table("checkpoints")} WHERE name = ${Figures.consumer}
    `
    const after = known === undefined ? Cursor.start : Cursor.Cursor.make(known.cursor)
    const { current, page } = pageOf({ scope: Tenant.all, after, limit }, sql.literal("e.tenant_id, e.delivery_id"))
    // By arrays, so that the planner goes by indexes whatever it thinks of the page.
    const rows = yield* sql`
      WITH current AS MATERIALIZED (${current}), page AS MATERIALIZED (
        SELECT page.* FROM current CROSS JOIN LATERAL (${page}) page WHERE current.fault IS NULL
      ), given AS MATERIALIZED (
        SELECT DISTINCT tenant_id, delivery_id FROM page WHERE delivery_id IS NOT NULL
      ), touched AS MATERIALIZED (
        SELECT * FROM unnest(
          (SELECT array_agg(tenant_id ORDER BY tenant_id, delivery_id) FROM given),
          (SELECT array_agg(delivery_id ORDER BY tenant_id, delivery_id) FROM given)
        ) AS t (tenant_id, delivery_id)
      ), ${sql.literal(relations)}
      SELECT current.fault, (SELECT count(*)::integer FROM page) AS events, last.epoch, last."transactionId", last.position,
        ${sql.literal(emptied)} AS emptied
      FROM current LEFT JOIN (
        SELECT epoch, "transactionId", position FROM page ORDER BY epoch DESC, "transaction" DESC, position DESC LIMIT 1
      ) last ON true
    `
    const [{ emptied: gone, epoch, events, fault, position, transactionId }] = yield* Effect.orDie(decodeFollowed(rows))
    if (fault !== null) return yield* new LedgerError.CursorAhead({ reason: fault })
    yield* sweep(gone)
    const cursor = epoch === null || transactionId === null || position === null
      ? after
      : Cursor.of(BigInt(transactionId), position, epoch)
    yield* sql`
      INSERT INTO ${table("checkpoints")} (name, cursor, saved_at)
      VALUES (${Figures.consumer}, ${cursor}, ${Parameters.instant(now)})
      ON CONFLICT (name) DO UPDATE SET cursor = EXCLUDED.cursor, saved_at = EXCLUDED.saved_at
    `
    return { events, isCurrent: events < limit }
  })

  return Effect.fn("Figures.follow")(function*(query: { readonly limit: number }) {
    const limit = yield* Input.limit(query.limit)
    return yield* transaction(Tenant.all, step(limit))
  })
}
