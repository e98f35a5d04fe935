/**
 * Generates the SQL that counts deliveries from the core's tables, so that the database counts as `Figure.contributionOf` and
 * `Figure.tallyOf` do. The contract suites hold the two together.
 */
import { Event, EventType, Figure, Mailbox } from "@waybill/core"
import { Duration, Option } from "effect"
import * as Rows from "../Rows.ts"

/** What an event `e` may be, one condition at a time; the first of each pair is where it is not met. */
const aspects = [
  { when: "e.provider IS NULL", of: (isOwn: boolean) => ({ isOwn }) },
  { when: "e.bounce_class IS NOT DISTINCT FROM 'soft'", of: (isSoft: boolean) => ({ isSoft }) },
  { when: "e.machine", of: (isMachine: boolean) => ({ isMachine }) },
  ...Event.RejectReason.literals.map((reason) => ({
    when: `e.reject_reason IS NOT DISTINCT FROM '${reason}'`,
    of: (isIt: boolean) => isIt ? { rejectReason: Option.some(reason) } : {}
  }))
]

/** The bits of a kind of event, asking only for what makes a difference. */
const bitsFrom = (kind: Figure.Kind, left: ReadonlyArray<typeof aspects[number]>): string => {
  const [aspect, ...rest] = left
  if (aspect === undefined) return String(Figure.bitsOf(kind))
  const met = bitsFrom({ ...kind, ...aspect.of(true) }, rest)
  const unmet = bitsFrom({ ...kind, ...aspect.of(false) }, rest)
  return met === unmet ? met : `CASE WHEN ${aspect.when} THEN ${met} ELSE ${unmet} END`
}

/** The bits of an event `e`: `Figure.bitsOf`. */
export const bits = `CASE e.type ${
  EventType.EventType.literals.map((type) => {
    const kind = { type, isOwn: false, isSoft: false, isMachine: false, rejectReason: Option.none() }
    return `WHEN '${type}' THEN ${bitsFrom(kind, aspects)}`
  }).join("\n      ")
} END`

/** Whether the payload of an event names a machine. */
export const machine = (payload: string): string => `coalesce(jsonb_typeof(${payload} -> 'machine') = 'string', false)`

/** Who keeps the mailboxes of a domain: `Mailbox.ofDomain`. */
export const mailboxOf = (domain: string): string =>
  `CASE ${
    Mailbox.families.map((family) => `WHEN ${domain} ~ '${Mailbox.patternOf(family)}' THEN '${family.mailbox}'`).join(
      " "
    )
  } ELSE 'other' END`

/** The part of the histogram that a time from dispatch to delivered belongs to. */
export const partOf = (took: string): string =>
  `width_bucket(${took}, ARRAY[${
    Figure.bounds.map((bound) => `'${Duration.toSeconds(Duration.millis(bound))} seconds'`).join(", ")
  }]::interval[])`

/** The columns of the tally, in its order. */
export const columns: ReadonlyArray<string> = Figure.tallied.map((name) => Rows.snakeCase(name).replace(":", "_"))

const bit = (mark: Figure.Mark): number => Figure.marks.indexOf(mark)

const isMark = (name: string): name is Figure.Mark => Figure.marks.some((mark) => mark === name)

/** What each of the tally adds up of rows `m` that stand for `n` deliveries each. */
const sums: ReadonlyArray<string> = Figure.tallied.map((name) => {
  if (isMark(name)) return `sum(m.n * ((m.bits >> ${bit(name)}) & 1))`
  if (name === "silent") return `sum(m.n * ((m.bits >> ${bit("dispatched")}) & 1 & ~(m.bits >> ${bit("heard")})))`
  return `coalesce(sum(m.n) FILTER (WHERE m.part = ${name.slice("within:".length)}), 0)`
})

/** What tells the rows of `figures` apart. */
export const keys = ["tenant_id", "cohort", "starts_at", "stream", "provider", "mailbox", "domain"]

/**
 * The rows of `figures` that a relation adds up to, whose rows stand for `n` deliveries that count alike.
 */
export const summed = (moved: string): string => `
  SELECT m.tenant_id, c.cohort, c.starts_at, m.stream, m.provider, m.mailbox, c.domain, sum(m.n)::integer AS deliveries,
    ${sums.map((sum, index) => `(${sum})::integer AS ${columns[index]}`).join(",\n    ")}
  FROM (SELECT moved.*, ${mailboxOf("moved.domain")} AS mailbox FROM ${moved} moved) m
  CROSS JOIN LATERAL (VALUES
    ('hour', m.hour, ''),
    ('day', date_trunc('day', m.hour, 'UTC'), ''),
    ('domain', date_trunc('day', m.hour, 'UTC'), m.domain)
  ) AS c (cohort, starts_at, domain)
  GROUP BY m.tenant_id, c.cohort, c.starts_at, m.stream, m.provider, m.mailbox, c.domain
`
