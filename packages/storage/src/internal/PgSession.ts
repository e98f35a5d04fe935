import { type Delivery, Event, Ledger, type Tenant, type Timestamp } from "@waybill/core"
import { Effect, Option, PubSub, Schema } from "effect"
import * as Arr from "effect/Array"
import { SecureRandom } from "effect/crypto"
import * as PgRows from "../PgRows.ts"
import * as PgProjection from "./PgProjection.ts"
import * as PgScope from "./PgScope.ts"

export const decodeDeliveries = Schema.decodeUnknownEffect(Schema.Array(PgRows.DeliveryRow))

/** A fact of a delivery: one of its events, or an orphan that was linked to it. */
const FactRow = Schema.Struct({
  ofTenant: Schema.String,
  ofDelivery: Schema.String,
  id: Event.EventId,
  type: PgRows.EventRow.fields.type,
  occurredAt: PgRows.EventRow.fields.occurredAt,
  provider: PgRows.EventRow.fields.provider,
  bounceClass: PgRows.EventRow.fields.bounceClass
})

const decodeFacts = Schema.decodeUnknownEffect(Schema.Array(FactRow))

export const StoredRow = Schema.Struct({
  ...PgRows.EventRow.fields,
  /** The delivery that a link gave to it. */
  linkedDeliveryId: Schema.OptionFromNullOr(Event.DeliveryId)
})

export const decodeStored = Schema.decodeUnknownEffect(Schema.Array(StoredRow))

const WaitingRow = Schema.Struct({ ...PgRows.EventRow.fields, isHeld: Schema.Boolean })

const decodeWaiting = Schema.decodeUnknownEffect(Schema.Array(WaitingRow))

/** A linkable orphan and the delivery it meets. */
export interface Pair {
  readonly orphan: Pick<Event.Event, "id" | "tenantId" | "type" | "insertedAt" | "provider" | "providerEventId">
  readonly deliveryId: Event.DeliveryId
}

export const placeholders = (from: number, count: number): string =>
  Array.from({ length: count }, (_, index) => `$${from + index}`).join(", ")

const byKey = (left: { readonly idempotencyKey: string }, right: { readonly idempotencyKey: string }): number =>
  left.idempotencyKey < right.idempotencyKey ? -1 : left.idempotencyKey > right.idempotencyKey ? 1 : 0

/** What the operations of the ledger share: its tables, its transactions and the writes that every one of them makes. */
export const make = Effect.fnUntraced(function*(options: PgScope.PgOptions) {
  const scope = yield* PgScope.make(options)
  const { quoted, sql, table } = scope
  const random = yield* SecureRandom.SecureRandom
  const pubsub = yield* PubSub.sliding<Ledger.DeliveryUpdate>(Ledger.updatesCapacity)

  const deliveries = table("deliveries")
  const events = table("events")
  const orphans = table("orphans")
  const deliveryColumns = sql.literal(PgRows.deliveryColumns("d"))
  const eventColumns = sql.literal(PgRows.eventColumns("e"))
  const ofEvents = PgRows.writtenEventColumns.join(", ")
  const ofProjection = PgRows.writtenProjectionColumns.join(", ")

  const newEventId = Effect.map(random.uuidV7(), (id) => Event.EventId.make(id))

  /** Gives ids that rise in their order: UUIDv7s whose last 32 bits count them above 16 random ones. */
  const newEventIds = Effect.fnUntraced(function*(count: number) {
    const ids: Array<Event.EventId> = []
    while (ids.length < count) {
      const first = yield* random.uuidV7()
      const [head, tail] = [first.slice(0, 28), first.slice(32)]
      const batch = Math.min(count - ids.length, 65_536)
      for (let index = 0; index < batch; index++) {
        ids.push(Event.EventId.make(`${head}${index.toString(16).padStart(4, "0")}${tail}`))
      }
    }
    return ids
  })

  let subscribers = 0

  const subscribe = Effect.andThen(
    Effect.acquireRelease(Effect.sync(() => subscribers++), () => Effect.sync(() => subscribers--)),
    PubSub.subscribe(pubsub)
  )

  /** Tells of updates after the commit, if anybody listens: what runs then stays in memory until all of the heap is collected. */
  const publish = (updates: () => ReadonlyArray<Ledger.DeliveryUpdate>) =>
    Effect.suspend(() =>
      subscribers === 0 ? Effect.void : sql.afterCommit(Effect.asVoid(PubSub.publishAll(pubsub, updates())))
    )

  /** Locks correlations, in the order of their keys. */
  const lockCorrelations = (tenantId: Tenant.TenantId, keys: ReadonlyArray<string>) =>
    sql`
      INSERT INTO ${table("correlations")} (tenant_id, key)
      SELECT DISTINCT ${tenantId}, key FROM unnest(${PgRows.texts(keys)}) AS given (key) ORDER BY key
      ON CONFLICT (tenant_id, key) DO UPDATE SET key = EXCLUDED.key
    `

  const eventCount = PgRows.writtenEventColumns.length
  // An event that is stored gets no pseudonym again: its recipient may have been forgotten since.
  const insertText = `
    INSERT INTO ${quoted("events")} (${ofEvents}, recipient_pseudonym)
    SELECT ${ofEvents},
      CASE WHEN recipient IS NOT NULL AND (
        SELECT stored.id FROM ${quoted("events")} stored
        WHERE stored.tenant_id = given.tenant_id AND stored.idempotency_key = given.idempotency_key
      ) IS NULL THEN ${quoted("recipient_pseudonym")}(tenant_id, recipient) END
    FROM unnest(${placeholders(1, eventCount + 1)}) AS given (${ofEvents}, recipient)
    ON CONFLICT (tenant_id, idempotency_key) DO NOTHING
    RETURNING id
  `

  /** Inserts what is not there yet, in the order of the keys, and gives the ids that were inserted. */
  const insertEvents = (rows: ReadonlyArray<Event.Event>, recipientOf: (event: Event.Event) => string | null) => {
    if (rows.length === 0) return Effect.succeed(new Set<string>())
    const sorted = rows.toSorted(byKey)
    return Effect.map(
      sql.unsafe<{ readonly id: string }>(insertText, [
        ...PgRows.eventParameters(sorted),
        PgRows.texts(sorted.map(recipientOf))
      ]),
      (inserted) => new Set(inserted.map((row) => row.id))
    )
  }

  const noRecipient = () => null

  const updateText = `
    UPDATE ${quoted("deliveries")} d
    SET ${PgRows.projectionAssignments("u")}, lock_version = d.lock_version + 1, updated_at = $3
    FROM unnest($1, $2, ${placeholders(4, PgRows.writtenProjectionColumns.length)})
      AS u (tenant_id, id, ${ofProjection})
    WHERE d.tenant_id = u.tenant_id AND d.id = u.id
  `

  /** Writes the projections of deliveries that this transaction has locked. */
  const updateProjections = (changed: ReadonlyArray<Delivery.Delivery>, now: Timestamp.Timestamp) =>
    changed.length === 0 ? Effect.void : Effect.asVoid(sql.unsafe(updateText, [
      PgRows.texts(changed.map((delivery) => delivery.tenantId)),
      PgRows.uuids(changed.map((delivery) => delivery.id)),
      PgRows.instant(now),
      ...PgRows.projectionParameters(changed)
    ]))

  const moveText = PgProjection.moveText(quoted, PgProjection.namedFacts(quoted))

  /** Moves deliveries by stored events that they may not know yet, each changed at the time it says. */
  const move = (
    facts: ReadonlyArray<Ledger.DeliveryKey & { readonly eventId: Event.EventId; readonly at: Timestamp.Timestamp }>
  ) =>
    facts.length === 0 ? Effect.void : Effect.asVoid(sql.unsafe(moveText, [
      PgRows.uuids(facts.map(({ eventId }) => eventId)),
      PgRows.texts(facts.map(({ tenantId }) => tenantId)),
      PgRows.uuids(facts.map(({ deliveryId }) => deliveryId)),
      PgRows.instants(facts.map(({ at }) => at.epochMilliseconds))
    ]))

  /** Writes the links of orphans that this transaction has locked, without their projections, and gives the new ones. */
  const writeLinks = Effect.fnUntraced(function*<P extends Pair>(pairs: ReadonlyArray<P>, now: Timestamp.Timestamp) {
    if (pairs.length === 0) return []
    const ids = yield* newEventIds(pairs.length)
    const links = pairs.flatMap(({ deliveryId, orphan }, index) => {
      const id = ids[index]
      return id === undefined
        ? []
        : [Event.reconciled(orphan, deliveryId, { id, tenantId: orphan.tenantId, insertedAt: now })]
    })
    const inserted = yield* insertEvents(links, noRecipient)
    const fresh = pairs.filter((_, index) => inserted.has(links[index]?.id ?? ""))
    yield* sql`
      DELETE FROM ${orphans} WHERE event_id = ANY(${PgRows.uuids(pairs.map(({ orphan }) => orphan.id))})
    `
    yield* publish(() =>
      fresh.map(({ deliveryId, orphan }) => ({
        tenantId: orphan.tenantId,
        deliveryId,
        eventId: orphan.id,
        type: orphan.type,
        cause: "reconciled"
      }))
    )
    return fresh
  })

  /** Locks the orphans of a key that a delivery makes linkable, all but those that a sweep holds, and tells which these are. */
  const takeWaiting = Effect.fnUntraced(
    function*(tenantId: Tenant.TenantId, key: string, deliveryId: Event.DeliveryId) {
      const matches = (orphan: string) =>
        sql.literal(
          `${orphan}.ready AND (${orphan}.recipient_digest IS NULL OR ${orphan}.recipient_digest = d.recipient_digest)`
        )
      const rows = yield* sql`
      SELECT ${eventColumns}, own.event_id IS NULL AS "isHeld"
      FROM ${orphans} o
      JOIN ${deliveries} d ON d.tenant_id = o.tenant_id AND d.id = ${deliveryId}
      JOIN ${events} e ON e.id = o.event_id
      LEFT JOIN LATERAL (
        SELECT locked.event_id FROM ${orphans} locked WHERE locked.event_id = o.event_id AND ${matches("locked")}
        FOR UPDATE SKIP LOCKED
      ) own ON true
      WHERE o.tenant_id = ${tenantId} AND o.correlation = ${key} AND ${matches("o")}
      ORDER BY o.event_id
    `
      return yield* Effect.orDie(decodeWaiting(rows))
    }
  )

  /**
   * The orphans of a key that a delivery makes linkable, locked. One that a sweep holds is waited for, since the sweep passes
   * by the delivery; half a second, since the sweep's process may be frozen and the orphan is then left to another sweep.
   */
  const waiting = Effect.fnUntraced(function*(tenantId: Tenant.TenantId, key: string, deliveryId: Event.DeliveryId) {
    let found = yield* takeWaiting(tenantId, key, deliveryId)
    for (let turn = 0; turn < 50 && found.some(({ isHeld }) => isHeld); turn++) {
      yield* sql`SELECT pg_sleep(0.01)`
      found = yield* takeWaiting(tenantId, key, deliveryId)
    }
    return found.filter(({ isHeld }) => !isHeld).map((orphan) => ({ orphan, deliveryId }))
  })

  /** Gives what the ledger holds of each of some deliveries. */
  const findFacts = Effect.fnUntraced(function*(page: ReadonlyArray<Delivery.Delivery>) {
    if (page.length === 0) return () => []
    const rows = yield* sql`
      WITH given AS (
        SELECT * FROM unnest(
          ${PgRows.texts(page.map((delivery) => delivery.tenantId))},
          ${PgRows.uuids(page.map((delivery) => delivery.id))}
        ) AS given (tenant_id, id)
      ), own AS (
        SELECT e.id, e.tenant_id, e.delivery_id, e.source_event_id
        FROM given JOIN ${events} e ON e.tenant_id = given.tenant_id AND e.delivery_id = given.id
      ), known AS (
        SELECT id, tenant_id, delivery_id FROM own WHERE source_event_id IS NULL
        UNION ALL
        SELECT source_event_id, tenant_id, delivery_id FROM own WHERE source_event_id IS NOT NULL
      )
      SELECT known.tenant_id AS "ofTenant", known.delivery_id::text AS "ofDelivery", e.id, e.type,
        e.occurred_at AS "occurredAt", e.provider, e.bounce_class AS "bounceClass"
      FROM known JOIN ${events} e ON e.id = known.id
    `
    const facts = yield* Effect.orDie(decodeFacts(rows))
    const byDelivery = Arr.groupBy(facts, ({ ofDelivery, ofTenant }) => `${ofDelivery}:${ofTenant}`)
    return (delivery: Delivery.Delivery) => byDelivery[`${delivery.id}:${delivery.tenantId}`] ?? []
  })

  const findDelivery = Effect.fnUntraced(function*(key: Ledger.DeliveryKey, lock: boolean) {
    const rows = yield* sql`
      SELECT ${deliveryColumns} FROM ${deliveries} d
      WHERE d.tenant_id = ${key.tenantId} AND d.id = ${key.deliveryId}
      ${sql.literal(lock ? "FOR NO KEY UPDATE" : "")}
    `
    const [found] = yield* Effect.orDie(decodeDeliveries(rows))
    return Option.fromUndefinedOr(found)
  })

  return {
    ...scope,
    random,
    subscribe,
    deliveries,
    events,
    orphans,
    deliveryColumns,
    eventColumns,
    newEventId,
    newEventIds,
    publish,
    lockCorrelations,
    insertEvents,
    noRecipient,
    updateProjections,
    move,
    writeLinks,
    waiting,
    findDelivery,
    findFacts
  }
})

export type PgSession = Effect.Success<ReturnType<typeof make>>
