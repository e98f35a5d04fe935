/** Appends events to the ledger, and reads them back with the links that tied them to deliveries. */
import { type Delivery, Event, type EventType, type Ledger, LedgerError } from "@waybill/core"
import { Effect, Schema } from "effect"
import * as Arr from "effect/Array"
import { SecureRandom } from "effect/crypto"
import type { Database } from "./Database.ts"
import * as Parameters from "./Parameters.ts"
import * as Rows from "./Rows.ts"

/** A fact of a delivery: one of its events, or an orphan that was linked to it. */
const FactRow = Schema.Struct({
  ofTenant: Schema.String,
  ofDelivery: Schema.String,
  id: Event.EventId,
  type: Rows.EventRow.fields.type,
  occurredAt: Rows.EventRow.fields.occurredAt,
  provider: Rows.EventRow.fields.provider,
  rejectReason: Rows.EventRow.fields.rejectReason,
  bounceClass: Rows.EventRow.fields.bounceClass,
  normalizedPayload: Rows.EventRow.fields.normalizedPayload
})

const decodeFacts = Schema.decodeUnknownEffect(Schema.Array(FactRow))

const decodeEvents = Schema.decodeUnknownEffect(Schema.Array(Rows.EventRow))

/** A row of `events`, and the delivery that a link gave to it. */
export const LinkedRow = Schema.Struct({
  ...Rows.EventRow.fields,
  linkedDeliveryId: Schema.OptionFromNullOr(Event.DeliveryId)
})

const decodeLinked = Schema.decodeUnknownEffect(Schema.Array(LinkedRow))

const byKey = (left: { readonly idempotencyKey: string }, right: { readonly idempotencyKey: string }): number =>
  left.idempotencyKey < right.idempotencyKey ? -1 : left.idempotencyKey > right.idempotencyKey ? 1 : 0

/** The recipient of events that name none. */
export const noRecipient = (): null => null

/** Opens the ledger's events of a schema. */
export const make = Effect.fnUntraced(function*({ quoted, sql, table }: Database) {
  const random = yield* SecureRandom.SecureRandom
  const events = table("events")
  const columns = sql.literal(Rows.eventColumns("e"))

  /** A fresh UUIDv7. */
  const newUuid = random.uuidV7()

  const newId = Effect.map(newUuid, (id) => Event.EventId.make(id))

  /** Draws ids that rise in their order: UUIDv7s whose last 32 bits count them above 16 random ones. */
  const newIds = Effect.fnUntraced(function*(count: number) {
    const ids: Array<Event.EventId> = []
    while (ids.length < count) {
      const first = yield* newUuid
      const [head, tail] = [first.slice(0, 28), first.slice(32)]
      const batch = Math.min(count - ids.length, 65_536)
      for (let index = 0; index < batch; index++) {
        ids.push(Event.EventId.make(`${head}${index.toString(16).padStart(4, "0")}${tail}`))
      }
    }
    return ids
  })

  const written = Rows.writtenEventColumns.join(", ")
  // An event that is stored gets no pseudonym again: its recipient may have been forgotten since.
  const insertText = `
    INSERT INTO ${quoted("events")} (${written}, recipient_pseudonym)
    SELECT ${written},
      CASE WHEN recipient IS NOT NULL AND (
        SELECT stored.id FROM ${quoted("events")} stored
        WHERE stored.tenant_id = given.tenant_id AND stored.idempotency_key = given.idempotency_key
      ) IS NULL THEN ${quoted("recipient_pseudonym")}(tenant_id, recipient) END
    FROM unnest(${Parameters.placeholders(1, Rows.writtenEventColumns.length + 1)}) AS given (${written}, recipient)
    ON CONFLICT (tenant_id, idempotency_key) DO NOTHING
    RETURNING id
  `

  /** Inserts what is not there yet, in the order of the keys, and returns the ids that were inserted. */
  const insert = (rows: ReadonlyArray<Event.Event>, recipientOf: (event: Event.Event) => string | null) => {
    if (rows.length === 0) return Effect.succeed(new Set<string>())
    const sorted = rows.toSorted(byKey)
    return Effect.map(
      sql.unsafe<{ readonly id: string }>(insertText, [
        ...Rows.eventParameters(sorted),
        Parameters.texts(sorted.map(recipientOf))
      ]),
      (inserted) => new Set(inserted.map((row) => row.id))
    )
  }

  /** Finds an event and the delivery that a link gave to it. */
  const find = Effect.fnUntraced(function*({ eventId, tenantId }: Ledger.EventKey) {
    const rows = yield* sql`
      SELECT ${columns}, link.delivery_id AS "linkedDeliveryId"
      FROM ${events} e LEFT JOIN ${events} link ON link.source_event_id = e.id
      WHERE e.tenant_id = ${tenantId} AND e.id = ${eventId}
    `
    const [found] = yield* Effect.orDie(decodeLinked(rows))
    if (found === undefined) return yield* new LedgerError.EventNotFound({ tenantId, eventId })
    const { linkedDeliveryId, ...event } = found
    return { event, linkedDeliveryId }
  })

  /** Finds the events of our own of a delivery, of some types. */
  const ownOf = Effect.fnUntraced(function*(
    { deliveryId, tenantId }: Ledger.DeliveryKey,
    types: ReadonlyArray<EventType.EventType>
  ) {
    const rows = yield* sql`
      SELECT ${columns} FROM ${events} e
      WHERE e.tenant_id = ${tenantId} AND e.delivery_id = ${deliveryId} AND e.provider IS NULL AND ${
      sql.in("type", types)
    }
    `
    return yield* Effect.orDie(decodeEvents(rows))
  })

  /** Finds what the ledger holds of each of some deliveries. */
  const factsOf = Effect.fnUntraced(function*(page: ReadonlyArray<Delivery.Delivery>) {
    if (page.length === 0) return () => []
    const rows = yield* sql`
      WITH given AS (
        SELECT * FROM unnest(
          ${Parameters.texts(page.map((delivery) => delivery.tenantId))},
          ${Parameters.uuids(page.map((delivery) => delivery.id))}
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
        e.occurred_at AS "occurredAt", e.provider, e.reject_reason AS "rejectReason", e.bounce_class AS "bounceClass",
        e.normalized_payload AS "normalizedPayload"
      FROM known JOIN ${events} e ON e.id = known.id
    `
    const facts = yield* Effect.orDie(decodeFacts(rows))
    const byDelivery = Arr.groupBy(facts, ({ ofDelivery, ofTenant }) => `${ofDelivery}:${ofTenant}`)
    return (delivery: Delivery.Delivery) => byDelivery[`${delivery.id}:${delivery.tenantId}`] ?? []
  })

  return { columns, newUuid, newId, newIds, insert, find, ownOf, factsOf }
})

/** The ledger's events of a schema. */
export type Events = Effect.Success<ReturnType<typeof make>>
