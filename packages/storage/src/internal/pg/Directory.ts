/**
 * Searches deliveries, newest first.
 *
 * A statement goes through one index, which gives the order, and looks at no more rows than the query may. What else the filter
 * asks for is compared with each, outside of the part that the limit bounds, so that the planner has no other way to go.
 */
import { Directory, type Event, Provider, Search } from "@waybill/core"
import { DateTime, Effect, Option } from "effect"
import type { Statement } from "effect/sql"
import type { Database } from "./Database.ts"
import { decode, type Deliveries } from "./Deliveries.ts"
import * as Parameters from "./Parameters.ts"

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

/** Opens the directory of a schema. */
export const make = ({ sql, statements, table }: Database, { columns }: Deliveries) => {
  const events = table("events")

  const all = (conditions: ReadonlyArray<Statement.Fragment>) =>
    conditions.length === 0 ? sql`true` : sql.and(conditions)

  const given = <A>(named: Option.Option<A>, condition: (value: A) => Statement.Fragment) =>
    Option.toArray(Option.map(named, condition))

  /** What bounds the rows of a table by when the delivery was recorded, and by the place where the page begins. */
  const bounds = ({ filter, place }: Directory.Checked, at: Statement.Fragment, id: Statement.Fragment) => [
    ...given(filter.recordedFrom, (from) => sql`${at} >= ${Parameters.instant(from)}`),
    ...given(filter.recordedTo, (to) => sql`${at} < ${Parameters.instant(to)}`),
    ...given(
      Option.map(place, textsOf),
      ([micros, after]) => sql`(${at}, ${id}) < (${micros}::text::timestamptz, ${after}::uuid)`
    )
  ]

  const isMessage = ({ filter }: Directory.Checked, raw: string) => {
    const forms = Provider.canonicalForms(raw, filter.provider)
    const messageIds = Array.from(new Set(forms.map(({ messageId }) => messageId)))
    const whose = forms.map(({ messageId, provider }) =>
      sql`(${
        Option.isSome(provider)
          ? sql`d.provider = ${provider.value}`
          : sql`d.provider IS NULL OR NOT ${sql.in("d.provider", Provider.spelling)}`
      }) AND d.provider_message_id = ${messageId}`
    )
    return sql`d.provider_message_id IS NOT NULL AND ${sql.in("d.provider_message_id", messageIds)} AND (${
      sql.or(whose)
    })`
  }

  /** The conditions on a delivery `d` by which a search may go, as `Search.isOn` of the core says them. */
  const onPath = (query: Directory.Checked, now: DateTime.Utc) => {
    const { filter, tenantId } = query
    return {
      deliveryId: given(filter.deliveryId, (id) => sql`d.id = ${id}`),
      idempotencyKey: given(filter.idempotencyKey, (key) => sql`d.idempotency_key = ${key}`),
      providerMessageId: given(filter.providerMessageId, (raw) => isMessage(query, raw)),
      recipient: given(
        filter.recipient,
        (recipient) => sql`d.recipient_digest = (SELECT ${table("recipient_digest")}(${tenantId}, ${recipient}))`
      ),
      stuckFor: given(
        filter.stuckFor,
        (stuckFor) => sql`d.unsent AND d.inserted_at <= ${Parameters.instant(Search.stuckBefore(stuckFor, now))}`
      ),
      recipientDomain: given(
        filter.recipientDomain,
        (domain) => sql`d.recipient_domain = ${Search.domainOf(domain)}`
      ),
      age: []
    }
  }

  /** Whether an event of a delivery `d`, or an orphan that was linked to it, is what a filter asks for. */
  const occurred = ({ event, happenedFrom, happenedTo }: Search.Filter) => {
    const isAsked = (alias: Statement.Fragment) =>
      all([
        ...given(event, (type) => sql`${alias}.type = ${type}`),
        ...given(happenedFrom, (from) => sql`${alias}.occurred_at >= ${Parameters.instant(from)}`),
        ...given(happenedTo, (to) => sql`${alias}.occurred_at < ${Parameters.instant(to)}`)
      ])
    return sql`EXISTS (
      SELECT FROM ${events} e WHERE e.tenant_id = d.tenant_id AND e.delivery_id = d.id AND (
        ${isAsked(sql`e`)} OR e.source_event_id IS NOT NULL AND EXISTS (
          SELECT FROM ${events} orphan
          WHERE orphan.id = e.source_event_id AND orphan.tenant_id = e.tenant_id AND ${isAsked(sql`orphan`)}
        )
      )
    )`
  }

  /** What a filter asks for beside the path: all that `Search.matches` of the core compares and the path does not hold already. */
  const residual = (query: Directory.Checked, now: DateTime.Utc): ReadonlyArray<Statement.Fragment> => {
    const { filter, path } = query
    const paths = onPath(query, now)
    const isMarked = path._tag === "mark" && Option.contains(filter.event, path.mark) &&
      Option.isNone(filter.happenedFrom) && Option.isNone(filter.happenedTo)
    return [
      ...Search.pathNames.filter((name) => name !== path._tag).flatMap((name) => paths[name]),
      ...given(filter.mailable, (mailable) => sql`d.mailable = ${mailable}`),
      ...given(filter.stream, (stream) => sql`d.stream = ${stream}`),
      // A message id is looked for by its provider already.
      ...path._tag === "providerMessageId" ? [] : given(filter.provider, (provider) => sql`d.provider = ${provider}`),
      ...given(filter.status, (status) => sql`d.status = ${status}`),
      ...given(filter.lastEventType, (type) => sql`d.last_event_type = ${type}`),
      ...Search.asksForEvent(filter) && !isMarked ? [occurred(filter)] : []
    ]
  }

  /** So many of the deliveries that a search goes through, newest first. */
  const candidates = (
    query: Directory.Checked,
    count: number,
    now: DateTime.Utc,
    selected: Statement.Fragment
  ) => {
    const { path, tenantId } = query
    if (path._tag !== "mark") {
      return sql`
        SELECT ${selected} FROM ${table("deliveries")} d
        WHERE ${
        all([
          sql`d.tenant_id = ${tenantId}`,
          ...onPath(query, now)[path._tag],
          ...bounds(query, sql`d.inserted_at`, sql`d.id`)
        ])
      }
        ORDER BY d.inserted_at DESC, d.id DESC LIMIT ${count}
      `
    }
    // Marks of one delivery stand side by side, and rarely more than one does.
    return sql`
      SELECT ${selected} FROM (
        SELECT DISTINCT ON (o.recorded_at, o.delivery_id) o.recorded_at, o.delivery_id
          FROM ${table("occurrences")} o
          WHERE ${
      all([
        sql`o.tenant_id = ${tenantId}`,
        sql`o.mark = ${path.mark}`,
        ...bounds(query, sql`o.recorded_at`, sql`o.delivery_id`)
      ])
    }
        ORDER BY o.recorded_at DESC, o.delivery_id DESC LIMIT ${count}
      ) marked
      JOIN ${table("deliveries")} d
        ON d.tenant_id = ${tenantId} AND d.id = marked.delivery_id AND d.inserted_at = marked.recorded_at
      ORDER BY marked.recorded_at DESC, marked.delivery_id DESC
    `
  }

  const found = sql`${columns}, extract(microseconds FROM d.inserted_at)::integer % 1000 AS rest`

  /** The statement for what a search looks at where nothing is left to compare: no more than its page shows. */
  const show = (query: Directory.Checked, now: DateTime.Utc) =>
    sql<FoundRow>`${candidates(query, Math.min(query.reach, query.limit + 1), now, found)}`

  /** The statement for what matches of all that a search looks at, and the last of that. */
  const compare = (query: Directory.Checked, now: DateTime.Utc, conditions: ReadonlyArray<Statement.Fragment>) =>
    sql<FoundRow>`
      SELECT ${found}, d."isMatch", d."isLast" FROM (
        SELECT d.*, coalesce(${all(conditions)}, false) AS "isMatch",
          row_number() OVER (ORDER BY d.inserted_at DESC, d.id DESC) = ${query.reach} AS "isLast"
        FROM (${candidates(query, query.reach, now, sql`d.*`)}) d
      ) d
      WHERE d."isMatch" OR d."isLast" ORDER BY d.inserted_at DESC, d.id DESC LIMIT ${query.limit + 1}
    `

  const search = Effect.fn("Directory.search")(function*(given: Directory.Query) {
    const query = yield* Directory.check(given)
    const now = yield* DateTime.now
    const conditions = residual(query, now)
    const statement = conditions.length === 0 ? show(query, now) : compare(query, now, conditions)
    const rows = yield* statements(query.tenantId, statement)
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
