import { Correlation, Event, Input, type Ledger, LedgerError, Tenant } from "@waybill/core"
import { Cause, DateTime, Effect, Exit, Option, Schema } from "effect"
import * as Arr from "effect/Array"
import { SqlError } from "effect/sql"
import * as PgRows from "../PgRows.ts"
import { decodeEvents, decodeStored, type Pair, type PgSession } from "./PgSession.ts"

/** The waits before an orphan that failed by itself is tried again; the last one repeats. */
const waits = ["1 minute", "5 minutes", "15 minutes", "1 hour", "6 hours", "24 hours"]

/** An orphan with one of the deliveries that have its key. */
const ClaimedRow = Schema.Struct({
  ...PgRows.EventRow.fields,
  candidateId: Schema.OptionFromNullOr(Event.DeliveryId),
  candidateRecipient: Schema.Literals(["same", "other", "unnamed"])
})

/** An orphan with a delivery that it may be about. */
const PairRow = Schema.Struct({
  id: Event.EventId,
  tenantId: PgRows.EventRow.fields.tenantId,
  type: PgRows.EventRow.fields.type,
  insertedAt: PgRows.EventRow.fields.insertedAt,
  provider: PgRows.EventRow.fields.provider,
  providerEventId: PgRows.EventRow.fields.providerEventId,
  candidateId: Event.DeliveryId
})

const decodePairs = Schema.decodeUnknownEffect(Schema.Array(PairRow))

const decodeClaimed = Schema.decodeUnknownEffect(Schema.Array(ClaimedRow))

const meetings = (rows: ReadonlyArray<typeof ClaimedRow.Type>) =>
  Object.values(Arr.groupBy(rows, ({ id }) => id)).map((group) => {
    const [{ candidateId: _, candidateRecipient: __, ...orphan }] = group
    const candidates = group.flatMap(({ candidateId, candidateRecipient }): ReadonlyArray<Correlation.Candidate> =>
      Option.isSome(candidateId) ? [{ deliveryId: candidateId.value, recipient: candidateRecipient }] : []
    )
    return { orphan, meeting: Correlation.decide(candidates) }
  })

const nothing: Ledger.Linked = { scanned: 0, links: [], failed: 0 }

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
    orphans,
    move,
    one,
    quoted,
    sql,
    transaction,
    writeLinks
  } = session

  const findOrphans = Effect.fn("Ledger.findOrphans")(function*(query: Ledger.OrphanQuery) {
    const limit = yield* Input.limit(query.limit)
    const from = Option.getOrElse(query.insertedFrom, () => longAgo)
    const rows = yield* one(
      query.scope,
      sql`
        SELECT ${eventColumns}
        FROM (
          SELECT event_id, inserted_at FROM ${orphans}
          WHERE ${inScope(query.scope)} AND inserted_at >= ${PgRows.instant(from)}
            ${sql.literal(query.failedOnly ? "AND last_error IS NOT NULL" : "")}
          ORDER BY inserted_at, event_id LIMIT ${limit}
        ) o JOIN ${events} e ON e.id = o.event_id
        ORDER BY o.inserted_at, o.event_id
      `
    )
    return yield* Effect.orDie(decodeEvents(rows))
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

  const claim = Effect.fnUntraced(function*(query: Ledger.LinkQuery, now: DateTime.Utc) {
    const isDue = sql`
      ready AND inserted_at >= ${PgRows.instant(query.insertedFrom)} AND inserted_at <= ${
      PgRows.instant(query.insertedTo)
    }
        AND (next_attempt_at IS NULL OR next_attempt_at <= ${PgRows.instant(now)})
    `
    if (query.scope !== Tenant.all) {
      return yield* sql<{ readonly id: string }>`
        SELECT event_id AS id FROM ${orphans} WHERE ${isDue} AND tenant_id = ${query.scope}
        ORDER BY inserted_at, event_id LIMIT ${query.limit}
        FOR UPDATE SKIP LOCKED
      `
    }
    // Each tenant that has any gets an equal share, found by one step through the index a tenant.
    return yield* sql<{ readonly id: string }>`
      WITH RECURSIVE step AS (
        (SELECT tenant_id, 1 AS n FROM ${orphans} WHERE ${isDue} ORDER BY tenant_id LIMIT 1)
        UNION ALL
        SELECT next.tenant_id, step.n + 1 FROM step CROSS JOIN LATERAL (
          SELECT tenant_id FROM ${orphans} WHERE ${isDue} AND tenant_id > step.tenant_id ORDER BY tenant_id LIMIT 1
        ) next WHERE step.n < ${query.limit}
      )
      SELECT own.event_id AS id FROM step CROSS JOIN LATERAL (
        SELECT event_id FROM ${orphans} WHERE ${isDue} AND tenant_id = step.tenant_id
        ORDER BY inserted_at, event_id LIMIT ${query.limit} / (SELECT count(*) FROM step)
        FOR UPDATE SKIP LOCKED
      ) own
    `
  })

  const pairText = `
    SELECT e.id, e.tenant_id AS "tenantId", e.type, e.inserted_at AS "insertedAt", e.provider,
      e.provider_event_id AS "providerEventId", d.id AS "candidateId"
    FROM ${PgRows.unnested(["uuid"])} AS given (id)
    JOIN ${quoted("orphans")} o ON o.event_id = given.id
    JOIN ${quoted("events")} e ON e.id = given.id
    JOIN ${quoted("deliveries")} d ON d.tenant_id = e.tenant_id
      AND (o.recipient_digest IS NULL OR o.recipient_digest = d.recipient_digest)
  `
  const pairsText = `
    ${pairText} AND d.provider = e.provider AND d.provider_message_id = e.provider_message_id
    WHERE e.echoed_delivery_id IS NULL
    UNION ALL
    ${pairText} AND d.id = e.echoed_delivery_id
  `

  /** The deliveries of some claimed orphans, each where one alone may be meant. */
  const pair = Effect.fnUntraced(function*(ids: ReadonlyArray<string>) {
    const rows = yield* Effect.orDie(decodePairs(yield* sql.unsafe(pairsText, [PgRows.uuids(ids)])))
    const byId = Map.groupBy(rows, ({ id }) => id)
    return Array.from(byId.values())
      .flatMap((candidates): ReadonlyArray<Pair> => {
        const meeting = Correlation.decide(
          candidates.map(({ candidateId }) => ({ deliveryId: candidateId, recipient: "same" }))
        )
        const [orphan] = candidates
        return orphan !== undefined && meeting._tag === "Met" ? [{ orphan, deliveryId: meeting.deliveryId }] : []
      })
      .toSorted((left, right) =>
        left.orphan.insertedAt.epochMilliseconds - right.orphan.insertedAt.epochMilliseconds ||
        (left.orphan.id < right.orphan.id ? -1 : 1)
      )
  })

  const linkClaimed = Effect.fnUntraced(function*(ids: ReadonlyArray<string>, now: DateTime.Utc) {
    const pairs = yield* writeLinks(yield* pair(ids), now)
    yield* move(
      pairs.map(({ deliveryId, orphan }) => ({ tenantId: orphan.tenantId, deliveryId, eventId: orphan.id, at: now }))
    )
    return pairs.map(({ deliveryId, orphan }): Ledger.Link => ({
      tenantId: orphan.tenantId,
      deliveryId,
      eventId: orphan.id,
      type: orphan.type,
      insertedAt: orphan.insertedAt
    }))
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

  const linkAtOnce = (query: Ledger.LinkQuery, now: DateTime.Utc) =>
    Effect.gen(function*() {
      const claimed = yield* claim(query, now)
      if (claimed.length === 0) return nothing
      const links = yield* linkClaimed(claimed.map(({ id }) => id), now)
      return { scanned: claimed.length, links, failed: 0 }
    })

  /** Links one by one, each in a savepoint, so that one that fails by itself does not stop the rest. */
  const linkOneByOne = (query: Ledger.LinkQuery, now: DateTime.Utc) =>
    Effect.gen(function*() {
      const claimed = yield* claim(query, now)
      const links: Array<Ledger.Link> = []
      let failed = 0
      for (const { id } of claimed) {
        const exit = yield* Effect.exit(sql.withTransaction(linkClaimed([id], now)))
        if (Exit.isSuccess(exit)) links.push(...exit.value)
        else {
          const error = Cause.squash(exit.cause)
          if (Cause.hasInterrupts(exit.cause) || (SqlError.isSqlError(error) && error.isRetryable)) {
            return yield* Effect.failCause(exit.cause)
          }
          failed++
          yield* setAside(id, SqlError.isSqlError(error) ? error.reason._tag : "Undecodable", now)
        }
      }
      return { scanned: claimed.length, links, failed }
    })

  const link = Effect.fn("Ledger.link")(function*(query: Ledger.LinkQuery) {
    yield* Input.limit(query.limit)
    const now = yield* DateTime.now
    return yield* transaction(query.scope, linkAtOnce(query, now)).pipe(
      Effect.catchDefect(() => transaction(query.scope, linkOneByOne(query, now)))
    )
  })

  return { findOrphans, attemptLink, link, decide, findStored }
}
