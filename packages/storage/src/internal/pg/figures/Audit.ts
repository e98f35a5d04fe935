/** Compares how deliveries were counted with their events, and the sums with how the deliveries count, and repairs both. */
import { Audit, Cursor, type Delivery, type Drift, Event, Figure, Figures, Input, Tenant, Text } from "@waybill/core"
import { Effect, Option, Schema } from "effect"
import type { Statement } from "effect/sql"
import type { Database } from "../Database.ts"
import { decode as decodeDeliveries, type Deliveries } from "../Deliveries.ts"
import type { Events } from "../Events.ts"
import * as Parameters from "../Parameters.ts"
import * as Counted from "./Counted.ts"
import type { Recount } from "./Recount.ts"

const StoredRow = Schema.Struct({
  ...Figure.Contribution.fields,
  hour: Schema.DateTimeUtcFromDate
})

const decodeStored = Schema.decodeUnknownEffect(Schema.Array(StoredRow))

const KeyRow = Schema.Struct({ tenantId: Tenant.TenantId, deliveryId: Event.DeliveryId })

const decodeKeys = Schema.decodeUnknownEffect(Schema.Array(KeyRow))

const DayRow = Schema.Struct({ tenantId: Tenant.TenantId, day: Schema.String, isDrifted: Schema.Boolean })

const decodeDays = Schema.decodeUnknownEffect(Schema.Array(DayRow))

const keyOf = ({ deliveryId, tenantId }: typeof KeyRow.Type): string => `${deliveryId} ${tenantId}`

const ofDelivery = ({ id, tenantId }: Delivery.Delivery) => ({ tenantId, deliveryId: id })

/** Opens the audit of the figures of a schema. */
export const make = (
  { inScope, quoted, sql, table }: Database,
  events: Events,
  deliveries: Deliveries,
  { hold, recount }: Recount
) => {
  const given = (page: ReadonlyArray<Delivery.Delivery>) =>
    sql`
      unnest(${Parameters.texts(page.map(({ tenantId }) => tenantId))}, ${Parameters.uuids(page.map(({ id }) => id))})
        AS given (tenant_id, delivery_id)
    `

  const storedOf = Effect.fnUntraced(function*(page: ReadonlyArray<Delivery.Delivery>) {
    const rows = yield* sql`
      SELECT c.tenant_id AS "tenantId", c.delivery_id AS "deliveryId", c.hour, c.stream, nullif(c.provider, '') AS provider,
        nullif(c.domain, '') AS domain, c.bits, nullif(c.part, -1) AS part
      FROM ${given(page)} JOIN ${table("contributions")} c
        ON c.tenant_id = given.tenant_id AND c.delivery_id = given.delivery_id
    `
    const stored = yield* Effect.orDie(decodeStored(rows))
    return new Map(stored.map((contribution) => [keyOf(contribution), contribution]))
  })

  /** The deliveries of a page that are to be counted anew: by what is in the feed still, or by what changed beside it. */
  const aheadOf = Effect.fnUntraced(function*(page: ReadonlyArray<Delivery.Delivery>) {
    const [known] = yield* sql<{ readonly cursor: string }>`
      SELECT cursor FROM ${table("checkpoints")} WHERE name = ${Figures.consumer}
    `
    const after = known === undefined ? Cursor.start : Cursor.Cursor.make(known.cursor)
    const [transaction, position] = Cursor.parts(after)
    const rows = yield* sql`
      SELECT given.tenant_id AS "tenantId", given.delivery_id AS "deliveryId" FROM ${given(page)}
      WHERE EXISTS (
        SELECT FROM ${table("events")} e
        LEFT JOIN ${table("moved_events")} m ON m.tenant_id = e.tenant_id AND m.event_id = e.id
        WHERE e.tenant_id = given.tenant_id AND e.delivery_id = given.delivery_id
          AND (coalesce(m.epoch, e.epoch), coalesce(m.transaction_id, e.transaction_id), coalesce(m.position, e.position))
            > (${Cursor.epoch(after)}::integer, ${String(transaction)}::text::xid8, ${position}::bigint)
      ) OR EXISTS (
        SELECT FROM ${table("figures_due")} due
        WHERE due.tenant_id = given.tenant_id AND due.delivery_id = given.delivery_id
      )
    `
    return new Set((yield* Effect.orDie(decodeKeys(rows))).map(keyOf))
  })

  const contributions = Effect.fnUntraced(function*(query: Audit.Query, repair: boolean) {
    const after = Option.getOrUndefined(yield* Effect.fromResult(Input.place(query)))
    if (repair) yield* hold
    // The order of `Audit.deliveriesOf`.
    const page = yield* Effect.flatMap(
      sql`
        SELECT ${deliveries.columns} FROM ${table("deliveries")} d
        WHERE ${inScope(query.scope)}
          ${after === undefined ? sql`` : sql`AND (d.tenant_id, d.id) > (${after.tenantId}, ${after.id}::uuid)`}
        ORDER BY d.tenant_id, d.id LIMIT ${query.limit}
      `,
      (rows) => Effect.orDie(decodeDeliveries(rows))
    )
    const factsOf = yield* events.factsOf(page)
    const stored = yield* storedOf(page)
    const ahead = yield* aheadOf(page)
    const found = Audit.compareContributions(page.map((delivery) => ({
      delivery,
      facts: factsOf(delivery),
      stored: Option.fromUndefinedOr(stored.get(keyOf(ofDelivery(delivery)))),
      isFollowed: !ahead.has(keyOf(ofDelivery(delivery)))
    })))
    // The last page never ends, so that what is kept of a delivery that is gone is found too.
    const last = page.length < query.limit ? undefined : page.at(-1)
    const gone = yield* Effect.flatMap(
      sql`
        SELECT c.tenant_id AS "tenantId", c.delivery_id AS "deliveryId" FROM ${table("contributions")} c
        WHERE ${inScope(query.scope)}
          ${after === undefined ? sql`` : sql`AND (tenant_id, delivery_id) > (${after.tenantId}, ${after.id}::uuid)`}
          ${last === undefined ? sql`` : sql`AND (tenant_id, delivery_id) <= (${last.tenantId}, ${last.id}::uuid)`}
          AND (SELECT d.id FROM ${
        table("deliveries")
      } d WHERE d.tenant_id = c.tenant_id AND d.id = c.delivery_id) IS NULL
          AND (
            SELECT count(*) FROM ${table("figures_due")} due
            WHERE due.tenant_id = c.tenant_id AND due.delivery_id = c.delivery_id
          ) = 0
        ORDER BY tenant_id, delivery_id LIMIT ${query.limit}
      `,
      (rows) => Effect.orDie(decodeKeys(rows))
    )
    const drifts = [
      ...found,
      ...gone.map(({ deliveryId, tenantId }): Drift.Contribution => ({ _tag: "Contribution", tenantId, deliveryId }))
    ]
      .toSorted((left, right) =>
        Text.compare(left.tenantId, right.tenantId) || Text.compare(left.deliveryId, right.deliveryId)
      )
    if (repair) yield* recount(drifts)
    return { checked: page.length, drifts, next: Audit.nextOf(query, page) }
  })

  const start = "date_trunc('day', c.hour, 'UTC')"

  // What the sums of the days of `page` should be, and what they are.
  const comparedText = `
    expected AS MATERIALIZED (${
    Counted.summed(`(
      SELECT counted.* FROM page CROSS JOIN LATERAL (
        SELECT c.tenant_id, c.hour, c.stream, c.provider, c.domain, c.bits, c.part, count(*) AS n
        FROM ${quoted("contributions")} c
        WHERE c.tenant_id = page.tenant_id AND c.hour >= page.day AND c.hour < page.day + interval '1 day'
        GROUP BY c.tenant_id, c.hour, c.stream, c.provider, c.domain, c.bits, c.part
      ) counted
    )`)
  }), stored AS MATERIALIZED (
      SELECT ${[...Counted.keys, "deliveries", ...Counted.columns].map((name) => `f.${name}`).join(", ")}
      FROM page JOIN ${quoted("figures")} f
        ON f.tenant_id = page.tenant_id AND f.starts_at >= page.day AND f.starts_at < page.day + interval '1 day'
    )`

  const givenText = `
    WITH page AS MATERIALIZED (
      SELECT tenant_id, day::timestamptz AS day FROM ${Parameters.unnested(["text", "text"])} AS given (tenant_id, day)
    ), ${comparedText}`

  const removeText = `${givenText}
    DELETE FROM ${quoted("figures")} f USING (SELECT * FROM stored EXCEPT SELECT * FROM expected) extra
    WHERE ${Counted.keys.map((name) => `f.${name} = extra.${name}`).join(" AND ")}`

  const addText = `${givenText}
    INSERT INTO ${quoted("figures")} (${[...Counted.keys, "deliveries", ...Counted.columns].join(", ")})
    SELECT * FROM (SELECT * FROM expected EXCEPT SELECT * FROM stored) missing`

  const utc = (day: string): string => `${day}T00:00:00Z`

  /** The first day after a place of which there is anything, by the indexes of both tables: it skips from day to day. */
  const nextDay = (scope: Tenant.Scope, from: Statement.Fragment) =>
    sql`
      SELECT first.tenant_id, first.day FROM (
        (
          SELECT c.tenant_id, ${sql.literal(start)} AS day FROM ${table("contributions")} c
          WHERE ${inScope(scope)} AND (c.tenant_id, c.hour) >= ${from} ORDER BY c.tenant_id, c.hour LIMIT 1
        ) UNION ALL (
          SELECT f.tenant_id, date_trunc('day', f.starts_at, 'UTC') FROM ${table("figures")} f
          WHERE ${inScope(scope)} AND (f.tenant_id, f.starts_at) >= ${from} ORDER BY f.tenant_id, f.starts_at LIMIT 1
        )
      ) first ORDER BY first.tenant_id, first.day LIMIT 1
    `

  const sums = Effect.fnUntraced(function*(query: Audit.Query, repair: boolean) {
    const after = Option.getOrUndefined(yield* Effect.fromResult(Input.place(query)))
    if (repair) yield* hold
    const limit = Math.min(query.limit, Audit.maxDays)
    const from = after === undefined
      ? sql`('', '-infinity'::timestamptz)`
      : sql`(${after.tenantId}, ${utc(after.id)}::text::timestamptz + interval '1 day')`
    const rows = yield* sql`
      WITH RECURSIVE days (tenant_id, day, number) AS (
        SELECT first.*, 1 FROM (${nextDay(query.scope, from)}) first
        UNION ALL
        SELECT following.*, days.number + 1 FROM days CROSS JOIN LATERAL (
          ${nextDay(query.scope, sql`(days.tenant_id, days.day + interval '1 day')`)}
        ) following WHERE days.number < ${limit}
      ), page AS MATERIALIZED (SELECT tenant_id, day FROM days), ${sql.literal(comparedText)}, drifted AS (
        SELECT tenant_id, starts_at FROM (SELECT * FROM expected EXCEPT SELECT * FROM stored) missing
        UNION
        SELECT tenant_id, starts_at FROM (SELECT * FROM stored EXCEPT SELECT * FROM expected) extra
      )
      SELECT page.tenant_id AS "tenantId", to_char(page.day AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day, EXISTS (
        SELECT FROM drifted WHERE drifted.tenant_id = page.tenant_id AND drifted.starts_at >= page.day
          AND drifted.starts_at < page.day + interval '1 day'
      ) AS "isDrifted"
      FROM page ORDER BY page.tenant_id, page.day
    `
    const page = yield* Effect.orDie(decodeDays(rows))
    const drifted = page.filter(({ isDrifted }) => isDrifted)
    if (repair && drifted.length > 0) {
      const days = [
        Parameters.texts(drifted.map(({ tenantId }) => tenantId)),
        Parameters.texts(drifted.map(({ day }) => utc(day)))
      ]
      yield* sql.unsafe(removeText, days)
      yield* sql.unsafe(addText, days)
    }
    return {
      checked: page.length,
      drifts: drifted.map(({ day, tenantId }): Drift.Drift => ({ _tag: "Figures", tenantId, day })),
      next: Audit.nextOf(query, page.map(({ day, tenantId }) => ({ id: day, tenantId })))
    }
  })

  return { contributions, figures: sums }
}

/** The audit of the figures of a schema. */
export type FiguresAudit = ReturnType<typeof make>
