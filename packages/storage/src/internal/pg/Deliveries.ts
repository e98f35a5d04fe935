/** Reads deliveries and writes their projections. */
import type { Delivery, Event, Ledger, Timestamp } from "@waybill/core"
import { Effect, Option, Schema } from "effect"
import type { Database } from "./Database.ts"
import * as Parameters from "./Parameters.ts"
import * as Projections from "./Projections.ts"
import * as Rows from "./Rows.ts"

/** Decodes rows of `deliveries`. */
export const decode = Schema.decodeUnknownEffect(Schema.Array(Rows.DeliveryRow))

/** A stored event that a delivery may not know yet, and when the delivery changes by it. */
export interface Fact extends Ledger.DeliveryKey {
  readonly eventId: Event.EventId
  readonly at: Timestamp.Timestamp
}

/** Opens the deliveries of a schema. */
export const make = ({ quoted, sql, table }: Database) => {
  const deliveries = table("deliveries")
  const columns = sql.literal(Rows.deliveryColumns("d"))

  /** Finds a delivery; locked, no other transaction changes it meanwhile. */
  const find = Effect.fnUntraced(function*(key: Ledger.DeliveryKey, lock: boolean) {
    const rows = yield* sql`
      SELECT ${columns} FROM ${deliveries} d
      WHERE d.tenant_id = ${key.tenantId} AND d.id = ${key.deliveryId}
      ${sql.literal(lock ? "FOR NO KEY UPDATE" : "")}
    `
    const [found] = yield* Effect.orDie(decode(rows))
    return Option.fromUndefinedOr(found)
  })

  const ofProjection = Rows.writtenProjectionColumns.join(", ")
  const updateText = `
    UPDATE ${quoted("deliveries")} d
    SET ${Rows.projectionAssignments("u")}, lock_version = d.lock_version + 1, updated_at = $3
    FROM unnest($1, $2, ${Parameters.placeholders(4, Rows.writtenProjectionColumns.length)})
      AS u (tenant_id, id, ${ofProjection})
    WHERE d.tenant_id = u.tenant_id AND d.id = u.id
  `

  /** Writes the projections of deliveries that this transaction has locked. */
  const update = (changed: ReadonlyArray<Delivery.Delivery>, now: Timestamp.Timestamp) =>
    changed.length === 0 ? Effect.void : Effect.asVoid(sql.unsafe(updateText, [
      Parameters.texts(changed.map((delivery) => delivery.tenantId)),
      Parameters.uuids(changed.map((delivery) => delivery.id)),
      Parameters.instant(now),
      ...Rows.projectionParameters(changed)
    ]))

  const facts = Projections.namedFacts(quoted)
  const moveText = Projections.moveText(quoted, facts)
  const moveAndHoldText = Projections.moveText(quoted, facts, true)

  /** Moves deliveries by stored events that they may not know yet; it may hold those too that it does not move. */
  const move = (facts: ReadonlyArray<Fact>, holdsAll = false) =>
    facts.length === 0 ? Effect.void : Effect.asVoid(sql.unsafe(holdsAll ? moveAndHoldText : moveText, [
      Parameters.uuids(facts.map(({ eventId }) => eventId)),
      Parameters.texts(facts.map(({ tenantId }) => tenantId)),
      Parameters.uuids(facts.map(({ deliveryId }) => deliveryId)),
      Parameters.instants(facts.map(({ at }) => at.epochMilliseconds))
    ]))

  return { columns, find, update, move }
}

/** The deliveries of a schema. */
export type Deliveries = ReturnType<typeof make>
