/**
 * Generates the SQL that moves projections from the core's table `EventType.impacts`, so that the database folds as
 * `Projection.evolve` does. The contract suites hold the two together.
 */
import { DeliveryError, EventType } from "@waybill/core"
import type { Database } from "./Database.ts"
import * as Parameters from "./Parameters.ts"
import * as Rows from "./Rows.ts"

const listed = (values: ReadonlyArray<string>): string => values.map((value) => `'${value}'`).join(", ")

/** The condition on an event `e` that its impact, read off the core's table, is of some kind. */
const has = (matches: (impact: EventType.Impact) => boolean): string => {
  const isHard = matches(EventType.impact("bounced", false))
  const isSoft = matches(EventType.impact("bounced", true))
  const types = EventType.EventType.literals.filter((type) =>
    type === "bounced" ? isHard && isSoft : matches(EventType.impact(type, false))
  )
  return [
    ...types.length === 0 ? [] : [`e.type IN (${listed(types)})`],
    ...isHard === isSoft
      ? []
      : [`e.type = 'bounced' AND e.bounce_class IS ${isHard ? "" : "NOT "}DISTINCT FROM 'soft'`]
  ].join(" OR ") || "false"
}

/** The rank of the type in a column. */
const rank = (column: string): string => {
  const whens = EventType.EventType.literals.map((type) => `WHEN '${type}' THEN ${EventType.impacts[type].rank}`)
  return `CASE ${column} ${whens.join(" ")} END`
}

/** The columns of an event that its delivery's projection depends on: `Projection.Fact`. */
export const factColumns = [
  "id",
  "type",
  "occurred_at",
  "provider",
  "reject_reason",
  "bounce_class",
  "normalized_payload"
] as const

const statuses = EventType.Status.literals

/** The height of the status in a column. */
const height = (column: string): string =>
  `CASE ${column} ${statuses.map((status, index) => `WHEN '${status}' THEN ${index + 1}`).join(" ")} END`

const times = EventType.firstTimes.map((name) => ({ name, column: Rows.snakeCase(name) }))

/** An event is the last one by this order: a provider's above our own, then time, rank, id. */
const lastFirst = `(e.provider IS NULL), e.occurred_at DESC, ${rank("e.type")} DESC, e.id DESC`

const isError = has(({ error }) => error)

/** The error of an event `e`: `DeliveryError.ofEvent`. */
const errorOf = `jsonb_build_object('rejectReason', e.reject_reason, 'bounceClass', e.bounce_class, ${
  Object.entries(DeliveryError.payloadKeys).map(([name, { key, type }]) => {
    const value = `e.normalized_payload->'${key}'`
    return `'${name}', CASE jsonb_typeof(${value}) WHEN '${type}' THEN ${value} END`
  }).join(", ")
})`

/** What some events `e` of one delivery are together. */
const folded = [
  `max(CASE ${
    statuses.map((status, index) => `WHEN ${has((impact) => impact.status === status)} THEN ${index + 1}`).join(" ")
  } END) AS height`,
  `bool_or(${has(({ terminal }) => terminal)}) AS terminal`,
  ...times.map(({ column, name }) =>
    `min(e.occurred_at) FILTER (WHERE ${has(({ firstTime }) => firstTime === name)}) AS ${column}`
  ),
  `(array_agg(e.id ORDER BY ${lastFirst}))[1] AS last_event_id`,
  `(array_agg(e.type ORDER BY ${lastFirst}))[1] AS last_event_type`,
  `coalesce(max(e.occurred_at) FILTER (WHERE e.provider IS NOT NULL), max(e.occurred_at)) AS last_event_at`,
  `bool_and(e.provider IS NULL) AS last_event_own`,
  `(array_agg(${errorOf} ORDER BY ${lastFirst}) FILTER (WHERE ${isError}))[1] AS last_error`,
  `(array_agg(e.id ORDER BY ${lastFirst}) FILTER (WHERE ${isError}))[1] AS last_error_id`,
  `(array_agg(e.type ORDER BY ${lastFirst}) FILTER (WHERE ${isError}))[1] AS last_error_type`,
  `coalesce(max(e.occurred_at) FILTER (WHERE e.provider IS NOT NULL AND (${isError})),
        max(e.occurred_at) FILTER (WHERE ${isError})) AS last_error_at`,
  `coalesce(bool_and(e.provider IS NULL) FILTER (WHERE ${isError}), true) AS last_error_own`
].join(",\n      ")

/** Whether the latest of the events `f` comes after the latest that the delivery `d` knows, of events or of errors. */
const isLaterOf = (last: "last_event" | "last_error"): string =>
  `(d.${last}_id IS NULL OR d.${last}_own AND NOT f.${last}_own
    OR d.${last}_own = f.${last}_own AND (f.${last}_at > d.${last}_at OR f.${last}_at = d.${last}_at
      AND (${rank(`f.${last}_type`)}, f.${last}_id) > (${rank(`d.${last}_type`)}, d.${last}_id)))`

const isLater = isLaterOf("last_event")

const isLaterError = `(f.last_error_id IS NOT NULL AND ${isLaterOf("last_error")})`

/** The assignments of columns that are those of the events `f` under a condition, and else stay. */
const taken = (columns: ReadonlyArray<string>, condition: string): string =>
  columns.map((column) => `${column} = CASE WHEN ${condition} THEN f.${column} ELSE d.${column} END`).join(",\n    ")

const isMoved = [
  isLater,
  isLaterError,
  `f.height > ${height("d.status")}`,
  "f.terminal AND NOT d.terminal",
  ...times.map(({ column }) => `f.${column} < coalesce(d.${column}, 'infinity')`)
].join("\n    OR ")

/** Assignments that leave a row as it is where its delivery is held alone, since it knows the events already. */
const movedOnly = `lock_version = d.lock_version + CASE WHEN ${isMoved} THEN 1 ELSE 0 END,
    updated_at = CASE WHEN ${isMoved} THEN f.at ELSE d.updated_at END`

/**
 * Joins some events with the projections of their deliveries, by the core's table, and leaves alone the deliveries that know
 * them all already; or writes these too as they are, so that all are held until the end. It locks deliveries in the order of
 * their keys.
 *
 * The events are a relation with the columns `tenant_id, delivery_id`, those of `factColumns`, and `at`, when the
 * delivery is changed.
 */
export const moveText = (quoted: Database["quoted"], facts: string, holdsAll = false): string => `
  UPDATE ${quoted("deliveries")} d SET
    status = (ARRAY[${listed(statuses)}])[greatest(f.height, ${height("d.status")})],
    terminal = d.terminal OR f.terminal,
    ${taken(["last_event_id", "last_event_type", "last_event_at", "last_event_own"], isLater)},
    ${taken(["last_error", "last_error_id", "last_error_type", "last_error_at", "last_error_own"], isLaterError)},
    ${times.map(({ column }) => `${column} = least(d.${column}, f.${column})`).join(",\n    ")},
    ${holdsAll ? movedOnly : "lock_version = d.lock_version + 1, updated_at = f.at"}
  FROM (
    SELECT e.tenant_id, e.delivery_id, max(e.at) AS at,
      ${folded}
    FROM ${facts} e
    WHERE e.type <> 'reconciled'
    GROUP BY e.tenant_id, e.delivery_id
    ORDER BY e.tenant_id, e.delivery_id
  ) f
  WHERE d.tenant_id = f.tenant_id AND d.id = f.delivery_id ${holdsAll ? "" : `AND (${isMoved})`}
`

/** The facts that arrays name: event ids, tenants, delivery ids, and when each event's delivery is changed. */
export const namedFacts = (quoted: Database["quoted"]): string =>
  `(
  SELECT given.tenant_id, given.delivery_id, given.at, ${factColumns.map((column) => `stored.${column}`).join(", ")}
  FROM ${Parameters.unnested(["uuid", "text", "uuid", "timestamptz"])} AS given (event_id, tenant_id, delivery_id, at)
  JOIN ${quoted("events")} stored ON stored.id = given.event_id
)`
