/**
 * Links the orphans whose delivery exists, a batch per transaction: claimed, linked and projected by one statement.
 *
 * It passes by what others hold: an orphan that another sweep or a dispatch has locked is left to it, and one whose delivery
 * another transaction has locked rests for `Orphan.heldRest`.
 */
import { DeliveryUpdate, type Event, type EventType, Input, Orphan, type Orphans, Retry, Tenant } from "@waybill/core"
import { Cause, DateTime, Duration, Effect, Exit } from "effect"
import { SqlError, type Statement } from "effect/sql"
import type { Database } from "../Database.ts"
import type { Events } from "../Events.ts"
import * as Meeting from "../Meeting.ts"
import * as Parameters from "../Parameters.ts"
import * as Projections from "../Projections.ts"
import type { Updates } from "../Updates.ts"

/** What a batch of a sweep finds: how many orphans it claimed, and each that met a delivery, with it unless that is held. */
interface MetRow {
  readonly claimed: number
  readonly tenantId: Tenant.TenantId
  readonly deliveryId: Event.DeliveryId | null
  readonly eventId: Event.EventId | null
  readonly type: EventType.EventType
  readonly insertedAt: Date
}

/** Opens the sweep of a schema. */
export const make = ({ quoted, sql, table, transaction }: Database, { newId }: Events, { publish }: Updates) => {
  const orphans = table("orphans")

  /**
   * The pending orphans that a sweep is to take, each tenant's oldest first, locked; those that another one holds are left to
   * it. Which these are is what `Commit.link` says.
   */
  const due = <A extends object>(query: Orphans.LinkQuery, now: DateTime.Utc) => {
    const isDue = sql`
      ready AND inserted_at >= ${Parameters.instant(query.insertedFrom)} AND inserted_at <= ${
      Parameters.instant(query.insertedTo)
    }
        AND (next_attempt_at IS NULL OR next_attempt_at <= ${Parameters.instant(now)})
    `
    if (query.scope !== Tenant.all) {
      return sql<A>`
        SELECT event_id AS id, recipient_digest AS digest FROM ${orphans} WHERE ${isDue} AND tenant_id = ${query.scope}
        ORDER BY inserted_at, event_id LIMIT ${query.limit}
        FOR UPDATE SKIP LOCKED
      `
    }
    // Each tenant that has any gets an equal share, found by one step through the index per tenant.
    return sql<A>`
      WITH RECURSIVE step AS (
        (SELECT tenant_id, 1 AS n FROM ${orphans} WHERE ${isDue} ORDER BY tenant_id LIMIT 1)
        UNION ALL
        SELECT next.tenant_id, step.n + 1 FROM step CROSS JOIN LATERAL (
          SELECT tenant_id FROM ${orphans} WHERE ${isDue} AND tenant_id > step.tenant_id ORDER BY tenant_id LIMIT 1
        ) next WHERE step.n < ${query.limit}
      )
      SELECT own.event_id AS id, own.recipient_digest AS digest FROM step CROSS JOIN LATERAL (
        SELECT event_id, recipient_digest FROM ${orphans} WHERE ${isDue} AND tenant_id = step.tenant_id
        ORDER BY inserted_at, event_id LIMIT ${query.limit} / (SELECT count(*) FROM step)
        FOR UPDATE SKIP LOCKED
      ) own
    `
  }

  const isNamed = Meeting.isNamedBy("given.digest")

  /**
   * The row of the delivery that an orphan `e` may be about, where one alone has a key: `Correlation.decide` for many at once.
   *
   * It is told by its place in the table (`ctid`), so that counting and naming it take one look through the index, and so that it
   * is found again at once to be locked. The place is good for this statement alone; where the row has moved since, none is found.
   */
  const possible = (key: string) => `
        SELECT (array_agg(d.ctid))[1] AS place FROM ${quoted("deliveries")} d
        WHERE d.tenant_id = e.tenant_id AND ${key} AND ${isNamed}
        HAVING count(*) = 1`

  // A delivery is locked and looked at again before it is linked to, since it may have changed after the statement began. One
  // that another transaction holds is not waited for: its orphans rest. The queue is written by arrays and not by joins: where
  // it was vacuumed while it was empty, the planner takes it for empty still, and would read all of it for each orphan.
  //
  // The ids of the links are those of `Events.newIds`: one UUIDv7, in which four hexadecimal digits count the links. A batch has at
  // most `Input.maxLimit` of them, which four digits can count.
  const linkText = `
    met AS MATERIALIZED (
      SELECT ${
    Projections.factColumns.map((column) => `e.${column}`).join(", ")
  }, e.tenant_id, e.inserted_at, e.provider_event_id,
        held.delivery_id, given.ordinal - 1 AS ordinal
      FROM (SELECT array_agg(id) AS ids, array_agg(digest) AS digests FROM claimed) arrays
      CROSS JOIN LATERAL unnest(arrays.ids, arrays.digests) WITH ORDINALITY AS given (id, digest, ordinal)
      JOIN ${quoted("events")} e ON e.id = given.id
      CROSS JOIN LATERAL (
        ${possible(Meeting.sharesMessage)}
        UNION ALL
        ${possible(Meeting.isEchoed)}
      ) one
      LEFT JOIN LATERAL (
        SELECT d.id AS delivery_id FROM ${quoted("deliveries")} d
        WHERE d.ctid = one.place AND d.tenant_id = e.tenant_id AND (${Meeting.sharesMessage} OR ${Meeting.isEchoed}) AND ${isNamed}
        FOR NO KEY UPDATE SKIP LOCKED
      ) held ON true
      WHERE NOT EXISTS (SELECT FROM ${quoted("events")} link WHERE link.source_event_id = e.id)
    ), links AS (
      INSERT INTO ${quoted("events")} (id, tenant_id, delivery_id, type, occurred_at, inserted_at, metadata,
        source_event_id, idempotency_key)
      SELECT overlay(new.id PLACING lpad(to_hex(met.ordinal), 4, '0') FROM 29 FOR 4)::uuid, met.tenant_id,
        met.delivery_id, 'reconciled', new.at, new.at,
        jsonb_build_object('reconciled_from_event_id', met.id, 'reconciled_type', met.type,
          'reconciled_provider', met.provider, 'reconciled_provider_event_id', met.provider_event_id),
        met.id, 'reconciled:' || met.id
      FROM met CROSS JOIN new
      WHERE met.delivery_id IS NOT NULL
      ORDER BY met.id
    ), gone AS (
      DELETE FROM ${quoted("orphans")} o
      WHERE o.event_id = ANY(ARRAY(SELECT met.id FROM met WHERE met.delivery_id IS NOT NULL))
    ), resting AS (
      UPDATE ${quoted("orphans")} o
      SET next_attempt_at = (SELECT new.at FROM new) + interval '${Duration.toMillis(Orphan.heldRest)} milliseconds'
      WHERE o.event_id = ANY(ARRAY(SELECT met.id FROM met WHERE met.delivery_id IS NULL))
    ), moved AS (
      ${
    Projections.moveText(
      quoted,
      "(SELECT met.*, new.at FROM met CROSS JOIN new WHERE met.delivery_id IS NOT NULL)"
    )
  }
    )
    SELECT counted.claimed, met.tenant_id AS "tenantId", met.delivery_id AS "deliveryId", met.id AS "eventId", met.type,
      met.inserted_at AS "insertedAt"
    FROM (SELECT count(*)::integer AS claimed FROM claimed) counted LEFT JOIN met ON true
    ORDER BY met.tenant_id, met.inserted_at, met.id
  `

  /**
   * Links claimed orphans, each where one delivery alone may be meant, and moves the deliveries, by one statement; tells how
   * many met none.
   */
  const linkClaimed = Effect.fnUntraced(function*(claimed: Statement.Fragment, now: DateTime.Utc) {
    const rows = yield* sql<MetRow>`
      WITH claimed AS MATERIALIZED (${claimed}), new AS MATERIALIZED (
        SELECT ${yield* newId}::text AS id, ${Parameters.instant(now)}::timestamptz AS at
      ), ${sql.literal(linkText)}
    `
    const links: Array<Orphan.Link> = []
    let unmet = rows[0]?.claimed ?? 0
    let held = 0
    // By hand: a backlog has many rows, and what decoding them by a schema leaves behind makes the heap grow.
    for (const { deliveryId, eventId, insertedAt, tenantId, type } of rows) {
      if (eventId === null) continue
      unmet--
      if (deliveryId === null) held++
      else links.push({ tenantId, deliveryId, eventId, type, insertedAt: DateTime.fromDateUnsafe(insertedAt) })
    }
    yield* publish(() => links.map(DeliveryUpdate.ofLink))
    return { scanned: links.length + unmet, held, links, unmet }
  })

  /** Notes why an orphan failed and when it may be tried again: after `Retry.waitAfter` of the attempts that its row counts. */
  const setAside = (id: string, reason: string, now: DateTime.Utc) =>
    sql`
      UPDATE ${orphans} SET
        attempts = attempts + 1,
        last_error = ${reason},
        next_attempt_at = ${Parameters.instant(now)} + (${
      Parameters.intervals(Retry.waits)
    }::interval[])[least(attempts + 1, ${Retry.waits.length})]
      WHERE event_id = ${id}
    `

  /** Links one by one, each in a savepoint, so that one that fails on its own does not stop the rest. */
  const linkOneByOne = Effect.fnUntraced(function*(query: Orphans.LinkQuery, now: DateTime.Utc) {
    const claimed = yield* due<{ readonly id: string }>(query, now)
    const links: Array<Orphan.Link> = []
    let failed = 0
    let held = 0
    let unmet = 0
    for (const { id } of claimed) {
      const own = sql`SELECT event_id AS id, recipient_digest AS digest FROM ${orphans} WHERE event_id = ${id}`
      const exit = yield* Effect.exit(sql.withTransaction(linkClaimed(own, now)))
      if (Exit.isSuccess(exit)) {
        links.push(...exit.value.links)
        held += exit.value.held
        unmet += exit.value.unmet
      } else {
        const error = Cause.squash(exit.cause)
        if (Cause.hasInterrupts(exit.cause) || (SqlError.isSqlError(error) && error.isRetryable)) {
          return yield* Effect.failCause(exit.cause)
        }
        failed++
        yield* setAside(id, SqlError.isSqlError(error) ? error.reason._tag : "Undecodable", now)
      }
    }
    return { scanned: claimed.length - held, held, links, failed, unmet }
  })

  const link = Effect.fn("Orphans.link")(function*(query: Orphans.LinkQuery) {
    yield* Input.limit(query.limit)
    const now = yield* DateTime.now
    const atOnce = Effect.map(linkClaimed(due(query, now), now), (linked) => ({ ...linked, failed: 0 }))
    const { unmet, ...linked } = yield* transaction(query.scope, atOnce).pipe(
      Effect.catchDefect(() => transaction(query.scope, linkOneByOne(query, now)))
    )
    // An orphan marked ready that meets no delivery was left so by a writer whose triggers did not run. It would be claimed for ever.
    if (unmet > 0) {
      const mend = sql`SELECT ${table("requeue")}(ARRAY(SELECT id FROM (${due(query, now)}) claimed))`
      yield* transaction(query.scope, mend)
    }
    return linked
  })

  return { link }
}
