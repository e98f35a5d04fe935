/**
 * Appends by one statement where every event names a message of exactly one delivery: the fast path, which most appends take.
 *
 * It takes no lock of a correlation, since what it appends is bound: an orphan is never made here.
 */
import type { Event, Tenant } from "@waybill/core"
import { Effect, Option } from "effect"
import type { Database } from "../Database.ts"
import * as Meeting from "../Meeting.ts"
import * as Parameters from "../Parameters.ts"
import * as Projections from "../Projections.ts"
import type { Call, Report } from "./Report.ts"

/** How long a run that other callers wait for waits for a lock. */
export const patience = "100ms"

/** The columns of an event that is bound as it is inserted, and their types, in the order of `parametersOf`. */
const columns = {
  id: "uuid",
  type: "text",
  occurred_at: "timestamptz",
  inserted_at: "timestamptz",
  provider: "text",
  provider_message_id: "text",
  provider_event_id: "text",
  reject_reason: "text",
  bounce_class: "text",
  normalized_payload: "jsonb",
  metadata: "jsonb",
  trace_id: "text",
  idempotency_key: "text"
}

const parametersOf = (reports: ReadonlyArray<Report>) => [
  Parameters.uuids(reports.map(({ event }) => event.id)),
  Parameters.texts(reports.map(({ event }) => event.type)),
  Parameters.instants(reports.map(({ event }) => event.occurredAt.epochMilliseconds)),
  Parameters.instants(reports.map(({ event }) => event.insertedAt.epochMilliseconds)),
  Parameters.texts(reports.map(({ event }) => Option.getOrNull(event.provider))),
  Parameters.texts(reports.map(({ event }) => Option.getOrNull(event.providerMessageId))),
  Parameters.texts(reports.map(({ event }) => Option.getOrNull(event.providerEventId))),
  Parameters.texts(reports.map(({ event }) => Option.getOrNull(event.rejectReason))),
  Parameters.texts(reports.map(({ event }) => Option.getOrNull(event.bounceClass))),
  Parameters.bags(reports.map(({ event }) => event.normalizedPayload)),
  Parameters.bags(reports.map(({ event }) => event.metadata)),
  Parameters.texts(reports.map(({ event }) => Option.getOrNull(event.traceId))),
  Parameters.texts(reports.map(({ event }) => event.idempotencyKey)),
  Parameters.texts(reports.map(({ recipient }) => recipient))
]

const hasDetails = ({ details }: Report): boolean => Option.isSome(details)

/** Whether some calls may take the fast path: each event names a message, and no two calls the same one. */
export const isSimple = (calls: ReadonlyArray<Call>): boolean => {
  const seen = new Set<string>()
  return calls.every((reports) => {
    const own = new Set<string>()
    for (const { correlation, event } of reports) {
      if (Option.isNone(correlation) || Option.isSome(event.echoedDeliveryId) || seen.has(correlation.value)) {
        return false
      }
      own.add(correlation.value)
    }
    for (const key of own) seen.add(key)
    return true
  })
}

/** Opens the fast path of a schema. */
export const make = ({ quoted, sql }: Database) => {
  const names = Object.keys(columns).join(", ")
  const keptText = `, kept AS (
      INSERT INTO ${quoted("event_details")} (tenant_id, event_id, inserted_at, details)
      SELECT met.tenant_id, met.id, met.inserted_at, met.details FROM met
      WHERE met.details IS NOT NULL
        AND CASE WHEN met.id IN (SELECT id FROM inserted) THEN true ELSE false END
        AND CASE WHEN met.delivery_id IN (SELECT id FROM moved WHERE NOT forgotten) THEN true ELSE false END
    )`
  // $1 is the tenant, $2 how many reports there are, $3 how long to wait for a lock or NULL; the columns follow.
  //
  // `patience` is joined first, so that its setting holds before any row is locked, without a statement of its own.
  // `counted` is `Report.meet` for all at once: each report met one delivery alone, or nothing is inserted at all.
  // `kept` is `Report.keep` for all that was inserted, where a report brings details. It goes by the deliveries as they are once
  // they are held: who forgets a recipient meanwhile has either erased it before, or waits, and then finds the details. Within
  // the CASE what was inserted is hashed once; joined, it would be read for each report again, since the planner takes it for a
  // row or two.
  const textWith = (withDetails: boolean) => `
    WITH patience AS MATERIALIZED (
      SELECT set_config('lock_timeout', coalesce($3, current_setting('lock_timeout')), true)
    ), met AS MATERIALIZED (
      SELECT given.*, d.tenant_id, d.id AS delivery_id
      FROM patience
      CROSS JOIN ${Parameters.unnested([...Object.values(columns), "text", ...withDetails ? ["jsonb"] : []], 4)}
        AS given (${names}, recipient${withDetails ? ", details" : ""})
      JOIN ${quoted("deliveries")} d ON d.tenant_id = $1
        AND d.provider = given.provider AND d.provider_message_id = given.provider_message_id
        AND ${Meeting.isTo(quoted, "given.recipient")}
    ), counted AS (
      SELECT count(*) AS rows, count(DISTINCT id) AS events FROM met
    ), inserted AS (
      INSERT INTO ${quoted("events")} (tenant_id, delivery_id, ${names})
      SELECT tenant_id, delivery_id, ${names} FROM met
      WHERE (SELECT rows = $2 AND events = rows FROM counted)
      ORDER BY idempotency_key COLLATE "C"
      ON CONFLICT (tenant_id, idempotency_key) DO NOTHING
      RETURNING tenant_id, delivery_id, inserted_at AS at, ${Projections.factColumns.join(", ")}
    ), moved AS (
      ${Projections.moveText(quoted, "inserted", withDetails)}
      ${withDetails ? "RETURNING d.id, d.recipient IS NULL AS forgotten" : ""}
    )${withDetails ? keptText : ""}
    SELECT id, delivery_id AS "deliveryId" FROM inserted
  `

  const text = textWith(false)
  const detailedText = textWith(true)

  /** Inserts all of some events, keeps their details, moves their deliveries and returns what was new; inserts none where one is not bound. */
  const insert = Effect.fnUntraced(function*(
    tenantId: Tenant.TenantId,
    reports: ReadonlyArray<Report>,
    hurried: boolean
  ) {
    const isDetailed = reports.some(hasDetails)
    const rows = yield* sql.unsafe<{ readonly id: Event.EventId; readonly deliveryId: Event.DeliveryId }>(
      isDetailed ? detailedText : text,
      [
        tenantId,
        reports.length,
        hurried ? patience : null,
        ...parametersOf(reports),
        ...isDetailed ? [Parameters.bags(reports.map(({ details }) => Option.getOrNull(details)))] : []
      ]
    )
    return new Map(rows.map(({ deliveryId, id }) => [id, Option.some(deliveryId)]))
  })

  return { insert }
}
