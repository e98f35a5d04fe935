/**
 * Generates the SQL that moves projections from the core's table `EventType.impacts`, so that the database folds as
 * `Projection.evolve` does. The contract suites hold the two together.
 */
import { EventType } from "@waybill/core"
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

const statuses = EventType.Status.literals

/** The height of the status in a column. */
const height = (column: string): string =>
  `CASE ${column} ${statuses.map((status, index) => `WHEN '${status}' THEN ${index + 1}`).join(" ")} END`

const times = EventType.firstTimes.map((name) => ({ name, column: Rows.snakeCase(name) }))

/** An event is the last one by this order: a provider's above our own, then time, rank, id. */
const lastFirst = `(e.provider IS NULL), e.occurred_at DESC, ${rank("e.type")} DESC, e.id DESC`

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
  `bool_and(e.provider IS NULL) AS last_event_own`
].join(",\n      ")

/** Whether the last of the events `f` comes after the last event that the delivery `d` knows. */
const isLater = `(d.last_event_id IS NULL OR d.last_event_own AND NOT f.last_event_own
    OR d.last_event_own = f.last_event_own AND (f.last_event_at > d.last_event_at OR f.last_event_at = d.last_event_at
      AND (${rank("f.last_event_type")}, f.last_event_id) > (${rank("d.last_event_type")}, d.last_event_id)))`

const isMoved = [
  isLater,
  `f.height > ${height("d.status")}`,
  "f.terminal AND NOT d.terminal",
  ...times.map(({ column }) => `f.${column} < coalesce(d.${column}, 'infinity')`)
].join("\n    OR ")

/**
 * Joins some events with the projections of their deliveries, by the core's table, and leaves alone the deliveries that know
 * them all already. It locks deliveries in the order of their keys.
 *
 * The events are a relation with the columns `tenant_id, delivery_id, id, type, occurred_at, provider, bounce_class` and `at`,
 * when the delivery is changed.
 */
export const moveText = (quoted: Database["quoted"], facts: string): string => `
  UPDATE ${quoted("deliveries")} d SET
    status = (ARRAY[${listed(statuses)}])[greatest(f.height, ${height("d.status")})],
    terminal = d.terminal OR f.terminal,
    ${
  ["last_event_id", "last_event_type", "last_event_at", "last_event_own"]
    .map((column) => `${column} = CASE WHEN ${isLater} THEN f.${column} ELSE d.${column} END`).join(",\n    ")
},
    ${times.map(({ column }) => `${column} = least(d.${column}, f.${column})`).join(",\n    ")},
    lock_version = d.lock_version + 1,
    updated_at = f.at
  FROM (
    SELECT e.tenant_id, e.delivery_id, max(e.at) AS at,
      ${folded}
    FROM ${facts} e
    WHERE e.type <> 'reconciled'
    GROUP BY e.tenant_id, e.delivery_id
    ORDER BY e.tenant_id, e.delivery_id
  ) f
  WHERE d.tenant_id = f.tenant_id AND d.id = f.delivery_id AND (${isMoved})
`

/** The facts that arrays name: event ids, tenants, delivery ids, and when each event's delivery is changed. */
export const namedFacts = (quoted: Database["quoted"]): string =>
  `(
  SELECT given.tenant_id, given.delivery_id, given.at, stored.id, stored.type, stored.occurred_at, stored.provider,
    stored.bounce_class
  FROM ${Parameters.unnested(["uuid", "text", "uuid", "timestamptz"])} AS given (event_id, tenant_id, delivery_id, at)
  JOIN ${quoted("events")} stored ON stored.id = given.event_id
)`
