import { Correlation, Event, type EventType, Input, Ledger, LedgerError, Tenant } from "@waybill/core"
import { Cause, DateTime, Effect, Exit, Option, Schema } from "effect"
import * as Arr from "effect/Array"
import { SqlError, type Statement } from "effect/sql"
import * as PgRows from "../PgRows.ts"
import * as PgProjection from "./PgProjection.ts"
import { decodeStored, type PgSession } from "./PgSession.ts"

/** The waits before an orphan that failed by itself is tried again; the last one repeats. */
const waits = ["1 minute", "5 minutes", "15 minutes", "1 hour", "6 hours", "24 hours"]

/** An orphan with one of the deliveries that have its key. */
const ClaimedRow = Schema.Struct({
  ...PgRows.EventRow.fields,
  candidateId: Schema.OptionFromNullOr(Event.DeliveryId),
  candidateRecipient: Schema.Literals(["same", "other", "unnamed"])
})

/** A pending orphan, with how it failed where it was set aside. */
const OrphanRow = Schema.Struct({
  ...PgRows.EventRow.fields,
  attempts: Schema.Int,
  lastError: Schema.OptionFromNullOr(Schema.String),
  nextAttemptAt: Schema.OptionFromNullOr(Schema.DateTimeUtcFromDate)
})

const decodeOrphans = Schema.decodeUnknownEffect(Schema.Array(OrphanRow))

/** What a batch of a sweep gives: how many orphans it claimed, and each that met a delivery, with it unless that is held. */
interface MetRow {
  readonly claimed: number
  readonly tenantId: Tenant.TenantId
  readonly deliveryId: Event.DeliveryId | null
  readonly eventId: Event.EventId | null
  readonly type: EventType.EventType
  readonly insertedAt: Date
}

const decodeClaimed = Schema.decodeUnknownEffect(Schema.Array(ClaimedRow))

const meetings = (rows: ReadonlyArray<typeof ClaimedRow.Type>) =>
  Object.values(Arr.groupBy(rows, ({ id }) => id)).map((group) => {
    const [{ candidateId: _, candidateRecipient: __, ...orphan }] = group
    const candidates = group.flatMap(({ candidateId, candidateRecipient }): ReadonlyArray<Correlation.Candidate> =>
      Option.isSome(candidateId) ? [{ deliveryId: candidateId.value, recipient: candidateRecipient }] : []
    )
    return { orphan, meeting: Correlation.decide(candidates) }
  })

/** The earliest instant that a query may name. */
const longAgo = DateTime.makeUnsafe(-62_135_596_800_000)

/** Finds and links pending orphans. */
export const make = (session: PgSession) => {
  const {
    deliveries,
    eventColumns,
    events,
    findDelivery,
    inScope,
    newEventId,
    one,
    orphans,
    publish,
    quoted,
    sql,
    table,
    transaction
  } = session

  const findOrphans = Effect.fn("Ledger.findOrphans")(function*(query: Ledger.OrphanQuery) {
    const limit = yield* Input.limit(query.limit)
    const from = Option.getOrElse(query.insertedFrom, () => longAgo)
    const rows = yield* one(
      query.scope,
      sql`
        SELECT ${eventColumns}, o.attempts, o.last_error AS "lastError", o.next_attempt_at AS "nextAttemptAt"
        FROM (
          SELECT event_id, inserted_at, attempts, last_error, next_attempt_at FROM ${orphans}
          WHERE ${inScope(query.scope)} AND inserted_at >= ${PgRows.instant(from)}
            ${sql.literal(query.failedOnly ? "AND last_error IS NOT NULL" : "")}
          ORDER BY inserted_at, event_id LIMIT ${limit}
        ) o JOIN ${events} e ON e.id = o.event_id
        ORDER BY o.inserted_at, o.event_id
      `
    )
    const found = yield* Effect.orDie(decodeOrphans(rows))
    return found.map(({ attempts, lastError, nextAttemptAt, ...event }): Ledger.Orphan => ({
      event,
      failure: Option.map(lastError, (reason) => ({ attempts, reason, nextAttemptAt }))
    }))
  })

  /** Decides, of some pending orphans, which delivery each meets. */
  const decide = Effect.fnUntraced(function*(ids: ReadonlyArray<string>) {
    const rows = yield* sql`
      SELECT ${eventColumns}, c.id AS "candidateId",
        CASE
          WHEN o.recipient_digest IS NULL THEN 'unnamed'
          WHEN o.recipient_digest = c.recipient_digest THEN 'same'
          ELSE 'other'
        END AS "candidateRecipient"
      FROM ${orphans} o
      JOIN ${events} e ON e.id = o.event_id
      LEFT JOIN LATERAL (
        SELECT d.id, d.recipient_digest FROM ${deliveries} d
        WHERE e.echoed_delivery_id IS NOT NULL AND d.tenant_id = e.tenant_id AND d.id = e.echoed_delivery_id
        UNION ALL
        SELECT d.id, d.recipient_digest FROM ${deliveries} d
        WHERE e.echoed_delivery_id IS NULL AND d.tenant_id = e.tenant_id AND d.provider = e.provider
          AND d.provider_message_id = e.provider_message_id
      ) c ON true
      WHERE o.event_id = ANY(${PgRows.uuids(ids)})
      ORDER BY o.inserted_at, o.event_id
    `
    return meetings(yield* Effect.orDie(decodeClaimed(rows)))
  })

  const findStored = Effect.fnUntraced(function*({ eventId, tenantId }: Ledger.EventKey) {
    const rows = yield* sql`
      SELECT ${eventColumns}, link.delivery_id AS "linkedDeliveryId"
      FROM ${events} e LEFT JOIN ${events} link ON link.source_event_id = e.id
      WHERE e.tenant_id = ${tenantId} AND e.id = ${eventId}
    `
    const [found] = yield* Effect.orDie(decodeStored(rows))
    if (found === undefined) return yield* new LedgerError.EventNotFound({ tenantId, eventId })
    const { linkedDeliveryId, ...event } = found
    return { event, linkedDeliveryId }
  })

  const attemptLink = Effect.fn("Ledger.attemptLink")(
    function*({ id, tenantId }: Pick<Event.Event, "tenantId" | "id">) {
      return yield* one(
        tenantId,
        Effect.gen(function*() {
          const { event, linkedDeliveryId } = yield* findStored({ tenantId, eventId: id })
          let deliveryId = Option.orElse(event.deliveryId, () => linkedDeliveryId)
          if (Option.isNone(deliveryId)) {
            if (Option.isNone(Correlation.ofEvent(event))) {
              return yield* new LedgerError.MalformedPayload({ tenantId, eventId: id })
            }
            const [decided] = yield* decide([id])
            if (decided?.meeting._tag === "Met") deliveryId = Option.some(decided.meeting.deliveryId)
          }
          const delivery = Option.isSome(deliveryId)
            ? yield* findDelivery({ tenantId, deliveryId: deliveryId.value }, false)
            : Option.none()
          if (Option.isNone(delivery)) return yield* new LedgerError.DeliveryNotFound({ tenantId })
          return { event, delivery: delivery.value }
        })
      )
    }
  )

  /** The pending orphans that a sweep is to take, each tenant's oldest first, locked; those that another one holds are left to it. */
  const due = <A extends object>(query: Ledger.LinkQuery, now: DateTime.Utc) => {
    const isDue = sql`
      ready AND inserted_at >= ${PgRows.instant(query.insertedFrom)} AND inserted_at <= ${
      PgRows.instant(query.insertedTo)
    }
        AND (next_attempt_at IS NULL OR next_attempt_at <= ${PgRows.instant(now)})
    `
    if (query.scope !== Tenant.all) {
      return sql<A>`
        SELECT event_id AS id, recipient_digest AS digest FROM ${orphans} WHERE ${isDue} AND tenant_id = ${query.scope}
        ORDER BY inserted_at, event_id LIMIT ${query.limit}
        FOR UPDATE SKIP LOCKED
      `
    }
    // Each tenant that has any gets an equal share, found by one step through the index a tenant.
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

  const sharesMessage = `e.echoed_delivery_id IS NULL AND d.provider = e.provider
          AND d.provider_message_id = e.provider_message_id`
  const isEchoed = "d.id = e.echoed_delivery_id"
  const isNamed = "(given.digest IS NULL OR d.recipient_digest = given.digest)"

  /** The row of the delivery that an orphan `e` may be about, where there is one alone that has a key. */
  const possible = (key: string) => `
        SELECT (array_agg(d.ctid))[1] AS place FROM ${quoted("deliveries")} d
        WHERE d.tenant_id = e.tenant_id AND ${key} AND ${isNamed}
        HAVING count(*) = 1`

  // A delivery is locked and looked at again before it is linked to, since it may have changed after the statement began. One
  // that another transaction holds is not waited for: its orphans rest. The queue is written by arrays and not by joins: where
  // it was vacuumed while it was empty, the planner takes it for empty still, and would read all of it for each orphan.
  const linkText = `
    met AS MATERIALIZED (
      SELECT e.id, e.tenant_id, e.type, e.occurred_at, e.inserted_at, e.provider, e.provider_event_id, e.bounce_class,
        held.delivery_id, given.ordinal - 1 AS ordinal
      FROM (SELECT array_agg(id) AS ids, array_agg(digest) AS digests FROM claimed) arrays
      CROSS JOIN LATERAL unnest(arrays.ids, arrays.digests) WITH ORDINALITY AS given (id, digest, ordinal)
      JOIN ${quoted("events")} e ON e.id = given.id
      CROSS JOIN LATERAL (
        ${possible(sharesMessage)}
        UNION ALL
        ${possible(isEchoed)}
      ) one
      LEFT JOIN LATERAL (
        SELECT d.id AS delivery_id FROM ${quoted("deliveries")} d
        WHERE d.ctid = one.place AND d.tenant_id = e.tenant_id AND (${sharesMessage} OR ${isEchoed}) AND ${isNamed}
        FOR NO KEY UPDATE SKIP LOCKED
      ) held ON true
      WHERE NOT EXISTS (SELECT FROM ${quoted("events")} link WHERE link.source_event_id = e.id)
    ), links AS (
      INSERT INTO ${quoted("events")} (id, tenant_id, delivery_id, type, occurred_at, inserted_at, metadata,
        source_event_id, idempotency_key)
      SELECT overlay(new.id PLACING lpad(to_hex(met.ordinal), 4, '0') FROM 29 FOR 4)::uuid, met.tenant_id,
        met.delivery_id, 'reconciled', new.at, new.at,
        jsonb_build_object('reconciled_from_event_id', met.id, 'reconciled_provider', met.provider,
          'reconciled_provider_event_id', met.provider_event_id),
        met.id, 'reconciled:' || met.id
      FROM met CROSS JOIN new
      WHERE met.delivery_id IS NOT NULL
      ORDER BY met.id
    ), gone AS (
      DELETE FROM ${quoted("orphans")} o
      WHERE o.event_id = ANY(ARRAY(SELECT met.id FROM met WHERE met.delivery_id IS NOT NULL))
    ), resting AS (
      UPDATE ${quoted("orphans")} o
      SET next_attempt_at = (SELECT new.at FROM new) + interval '${Ledger.heldRest} milliseconds'
      WHERE o.event_id = ANY(ARRAY(SELECT met.id FROM met WHERE met.delivery_id IS NULL))
    ), moved AS (
      ${
    PgProjection.moveText(
      quoted,
      "(SELECT met.*, new.at FROM met CROSS JOIN new WHERE met.delivery_id IS NOT NULL)"
    )
  }
    )
    SELECT counted.claimed, met.tenant_id AS "tenantId", met.delivery_id AS "deliveryId", met.id AS "eventId", met.type,
      met.inserted_at AS "insertedAt"
    FROM (SELECT count(*)::integer AS claimed FROM claimed) counted LEFT JOIN met ON true
    ORDER BY met.ordinal
  `

  /**
   * Links claimed orphans, each where one delivery alone may be meant, and moves the deliveries, by one statement; tells how
   * many met none.
   */
  const linkClaimed = Effect.fnUntraced(function*(claimed: Statement.Fragment, now: DateTime.Utc) {
    const rows = yield* sql<MetRow>`
      WITH claimed AS MATERIALIZED (${claimed}), new AS MATERIALIZED (
        SELECT ${yield* newEventId}::text AS id, ${PgRows.instant(now)}::timestamptz AS at
      ), ${sql.literal(linkText)}
    `
    const links: Array<Ledger.Link> = []
    let unmet = rows[0]?.claimed ?? 0
    let held = 0
    // By hand: a backlog has many rows, and what decoding them by a schema leaves behind makes the heap grow.
    for (const { deliveryId, eventId, insertedAt, tenantId, type } of rows) {
      if (eventId === null) continue
      unmet--
      if (deliveryId === null) held++
      else links.push({ tenantId, deliveryId, eventId, type, insertedAt: DateTime.fromDateUnsafe(insertedAt) })
    }
    yield* publish(() =>
      links.map(({ deliveryId, eventId, tenantId, type }) => ({
        tenantId,
        deliveryId,
        eventId,
        type,
        cause: "reconciled"
      }))
    )
    return { scanned: links.length + unmet, held, links, unmet }
  })

  /** Notes why an orphan failed and when it may be tried again. */
  const setAside = (id: string, reason: string, now: DateTime.Utc) =>
    sql`
      UPDATE ${orphans} SET
        attempts = attempts + 1,
        last_error = ${reason},
        next_attempt_at = ${PgRows.instant(now)} + (${
      PgRows.texts(waits)
    }::interval[])[least(attempts + 1, ${waits.length})]
      WHERE event_id = ${id}
    `

  /** Links one by one, each in a savepoint, so that one that fails by itself does not stop the rest. */
  const linkOneByOne = Effect.fnUntraced(function*(query: Ledger.LinkQuery, now: DateTime.Utc) {
    const claimed = yield* due<{ readonly id: string }>(query, now)
    const links: Array<Ledger.Link> = []
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

  const link = Effect.fn("Ledger.link")(function*(query: Ledger.LinkQuery) {
    yield* Input.limit(query.limit)
    const now = yield* DateTime.now
    const atOnce = Effect.map(linkClaimed(due(query, now), now), (linked) => ({ ...linked, failed: 0 }))
    const { unmet, ...linked } = yield* transaction(query.scope, atOnce).pipe(
      Effect.catchDefect(() => transaction(query.scope, linkOneByOne(query, now)))
    )
    // What was ready and met no delivery is so by a writer whose triggers did not run; it would be claimed for ever.
    if (unmet > 0) {
      const mend = sql`SELECT ${table("requeue")}(ARRAY(SELECT id FROM (${due(query, now)}) claimed))`
      yield* transaction(query.scope, mend)
    }
    return linked
  })

  return { findOrphans, attemptLink, link, decide, findStored }
}
