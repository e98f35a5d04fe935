/**
 * Searches deliveries, newest first.
 *
 * A statement goes through one index, which gives the order, and looks at no more rows than the query may. What else the filter
 * asks for is compared with each, outside of the part that the limit bounds, so that the planner has no other way to go.
 */
import { Directory, type Event, Provider, Search } from "@waybill/core"
import { DateTime, Effect, Option } from "effect"
import type { Database } from "./Database.ts"
import { decode } from "./Deliveries.ts"
import * as Parameters from "./Parameters.ts"
import * as Rows from "./Rows.ts"

/** What is looked at beside a delivery's own columns, which are decoded only of what a page shows. */
interface FoundRow {
  readonly id: Event.DeliveryId
  readonly insertedAt: Date
  /** The microseconds by which it was recorded after the millisecond that a delivery tells. */
  readonly rest: number
  readonly isMatch?: boolean
  readonly isLast?: boolean
}

const placeOf = ({ id, insertedAt, rest }: FoundRow): Directory.Place => ({
  id,
  micros: BigInt(insertedAt.getTime()) * 1000n + BigInt(rest)
})

/** A place in a listing as texts of a `timestamptz`, which has microseconds, and a `uuid`. */
const textsOf = ({ id, micros }: Directory.Place): readonly [at: string, id: string] => {
  const rest = ((micros % 1000n) + 1000n) % 1000n
  const millis = DateTime.formatIso(DateTime.makeUnsafe(Number((micros - rest) / 1000n)))
  return [`${millis.slice(0, -1)}${String(rest).padStart(3, "0")}Z`, id]
}

/** Gives a value to a statement, and the name of its parameter. */
type Bind = (value: unknown) => string

const given = <A>(named: Option.Option<A>, condition: (value: A) => string): ReadonlyArray<string> =>
  Option.isSome(named) ? [condition(named.value)] : []

const every = (conditions: ReadonlyArray<string>): string => conditions.length === 0 ? "true" : conditions.join(" AND ")

/** What bounds the rows of a table by when the delivery was recorded, and by the place where the page begins. */
const bounds = ({ filter, place }: Directory.Checked, at: string, id: string, bind: Bind) => [
  ...given(filter.recordedFrom, (from) => `${at} >= ${bind(Parameters.instant(from))}`),
  ...given(filter.recordedTo, (to) => `${at} < ${bind(Parameters.instant(to))}`),
  ...given(place, (after) => {
    const [micros, last] = textsOf(after)
    return `(${at}, ${id}) < (${bind(micros)}::text::timestamptz, ${bind(last)}::uuid)`
  })
]

const isMessage = (filter: Search.Filter, raw: string, bind: Bind): string => {
  const [form, ...others] = Provider.canonicalForms(raw, filter.provider)
  const isOf = ({ provider }: Provider.CanonicalForm) =>
    Option.isSome(provider)
      ? `d.provider = ${bind(provider.value)}`
      : `(d.provider IS NULL OR d.provider NOT IN (${Provider.spelling.map(bind).join(", ")}))`
  if (form === undefined) return "false"
  if (others.length === 0) return `d.provider_message_id = ${bind(form.messageId)} AND ${isOf(form)}`
  // The index takes the ids, whoever's they are.
  const byId = Map.groupBy([form, ...others], ({ messageId }) => messageId)
  const named = Array.from(byId, ([messageId, forms]) => ({ forms, messageId: bind(messageId) }))
  const whose = named.map(({ forms, messageId }) =>
    `d.provider_message_id = ${messageId} AND (${forms.map(isOf).join(" OR ")})`
  )
  return `d.provider_message_id IN (${named.map(({ messageId }) => messageId).join(", ")}) AND (${whose.join(" OR ")})`
}

/** Opens the directory of a schema. */
export const make = ({ quoted, sql, statements }: Database) => {
  // The tenant is the first parameter of every statement.
  const isTo = (recipient: string) => `d.recipient_digest = (SELECT ${quoted("recipient_digest")}($1, ${recipient}))`

  /** The conditions on a delivery `d` by which a search may go, as `Search.isOn` of the core says them. */
  const onPath = (
    name: Exclude<Search.Path["_tag"], "mark">,
    { filter }: Directory.Checked,
    now: DateTime.Utc,
    bind: Bind
  ): ReadonlyArray<string> => {
    switch (name) {
      case "age":
        return []
      case "deliveryId":
        return given(filter.deliveryId, (id) => `d.id = ${bind(id)}`)
      case "idempotencyKey":
        return given(filter.idempotencyKey, (key) => `d.idempotency_key = ${bind(key)}`)
      case "providerMessageId":
        return given(filter.providerMessageId, (raw) => isMessage(filter, raw, bind))
      case "recipient":
        return given(filter.recipient, (recipient) => isTo(bind(recipient)))
      case "recipientDomain":
        return given(filter.recipientDomain, (domain) => `d.recipient_domain = ${bind(Search.domainOf(domain))}`)
    }
    return given(
      filter.stuckFor,
      (stuckFor) => `d.unsent AND d.inserted_at <= ${bind(Parameters.instant(Search.stuckBefore(stuckFor, now)))}`
    )
  }

  /** Whether an event of a delivery `d`, or an orphan that was linked to it, is what a filter asks for. */
  const occurred = ({ event, happenedFrom, happenedTo }: Search.Filter, bind: Bind): string => {
    const isAsked = (alias: string) =>
      every([
        ...given(event, (type) => `${alias}.type = ${bind(type)}`),
        ...given(happenedFrom, (from) => `${alias}.occurred_at >= ${bind(Parameters.instant(from))}`),
        ...given(happenedTo, (to) => `${alias}.occurred_at < ${bind(Parameters.instant(to))}`)
      ])
    return `EXISTS (
      SELECT FROM ${quoted("events")} e WHERE e.tenant_id = d.tenant_id AND e.delivery_id = d.id AND (
        ${isAsked("e")} OR e.source_event_id IS NOT NULL AND EXISTS (
          SELECT FROM ${quoted("events")} orphan
          WHERE orphan.id = e.source_event_id AND orphan.tenant_id = e.tenant_id AND ${isAsked("orphan")}
        )
      )
    )`
  }

  /** What a filter asks for beside the path: all that `Search.matches` of the core compares and the path does not hold already. */
  const residual = (query: Directory.Checked, now: DateTime.Utc, bind: Bind): ReadonlyArray<string> => {
    const { filter, path } = query
    const isMarked = path._tag === "mark" && Option.contains(filter.event, path.mark) &&
      Option.isNone(filter.happenedFrom) && Option.isNone(filter.happenedTo)
    return [
      ...Search.pathNames.flatMap((name) => name === path._tag ? [] : onPath(name, query, now, bind)),
      ...given(filter.mailable, (mailable) => `d.mailable = ${bind(mailable)}`),
      ...given(filter.stream, (stream) => `d.stream = ${bind(stream)}`),
      // A message id is looked for by its provider already.
      ...path._tag === "providerMessageId" ? [] : given(filter.provider, (name) => `d.provider = ${bind(name)}`),
      ...given(filter.status, (status) => `d.status = ${bind(status)}`),
      ...given(filter.lastEventType, (type) => `d.last_event_type = ${bind(type)}`),
      ...Search.asksForEvent(filter) && !isMarked ? [occurred(filter, bind)] : []
    ]
  }

  /**
   * So many of the deliveries that a search goes through, newest first.
   *
   * A limit stands in the text: of one that it does not see the planner takes a tenth of the table for the answer, and plans
   * each call anew.
   */
  const candidates = (
    query: Directory.Checked,
    count: number,
    now: DateTime.Utc,
    selected: string,
    bind: Bind
  ): string => {
    const { path } = query
    if (path._tag !== "mark") {
      return `SELECT ${selected} FROM ${quoted("deliveries")} d
        WHERE ${
        every([
          "d.tenant_id = $1",
          ...onPath(path._tag, query, now, bind),
          ...bounds(query, "d.inserted_at", "d.id", bind)
        ])
      }
        ORDER BY d.inserted_at DESC, d.id DESC LIMIT ${count}`
    }
    // Marks of one delivery stand side by side, and rarely more than one does.
    return `SELECT ${selected} FROM (
        SELECT DISTINCT ON (o.recorded_at, o.delivery_id) o.recorded_at, o.delivery_id
          FROM ${quoted("occurrences")} o
          WHERE ${
      every([
        "o.tenant_id = $1",
        `o.mark = ${bind(path.mark)}`,
        ...bounds(query, "o.recorded_at", "o.delivery_id", bind)
      ])
    }
        ORDER BY o.recorded_at DESC, o.delivery_id DESC LIMIT ${count}
      ) marked
      JOIN ${
      quoted("deliveries")
    } d ON d.tenant_id = $1 AND d.id = marked.delivery_id AND d.inserted_at = marked.recorded_at
      ORDER BY marked.recorded_at DESC, marked.delivery_id DESC`
  }

  const found = `${Rows.deliveryColumns("d")}, date_part('microseconds', d.inserted_at)::integer % 1000 AS rest`

  /** The statement for what a search looks at where nothing is left to compare: no more than its page shows. */
  const show = (query: Directory.Checked, now: DateTime.Utc, bind: Bind): string =>
    candidates(query, Math.min(query.reach, query.limit + 1), now, found, bind)

  /** The statement for what matches of all that a search looks at, and the last of that. */
  const compare = (
    query: Directory.Checked,
    now: DateTime.Utc,
    conditions: ReadonlyArray<string>,
    bind: Bind
  ): string => `
    SELECT ${found}, d."isMatch", d."isLast" FROM (
      SELECT d.*, coalesce(${every(conditions)}, false) AS "isMatch",
        row_number() OVER (ORDER BY d.inserted_at DESC, d.id DESC) = ${query.reach} AS "isLast"
      FROM (${candidates(query, query.reach, now, "d.*", bind)}) d
    ) d
    WHERE d."isMatch" OR d."isLast" ORDER BY d.inserted_at DESC, d.id DESC LIMIT ${query.limit + 1}
  `

  const search = Effect.fn("Directory.search")(function*(given: Directory.Query) {
    const query = yield* Directory.check(given)
    const now = yield* DateTime.now
    const parameters: Array<unknown> = [query.tenantId]
    const bind: Bind = (value) => `$${parameters.push(value)}`
    const conditions = residual(query, now, bind)
    const text = conditions.length === 0 ? show(query, now, bind) : compare(query, now, conditions, bind)
    const rows = yield* statements(query.tenantId, sql.unsafe<FoundRow>(text, parameters))
    const page = Directory.pageOf(
      query,
      rows.map((row, index) => ({
        found: row,
        place: placeOf(row),
        isMatch: row.isMatch ?? true,
        isLast: row.isLast ?? index + 1 === query.reach
      }))
    )
    return { deliveries: yield* Effect.orDie(decode(page.found)), next: page.next }
  })

  return Directory.Directory.of({ search })
}
