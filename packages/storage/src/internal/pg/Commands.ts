/** Records deliveries and notes their dispatch, each with the event of its own and the orphans that waited for it. */
import { PgTypes } from "@effect/sql-pg"
import {
  Block,
  Commit,
  Correlation,
  Delivery,
  DeliveryUpdate,
  Event,
  type EventType,
  Handover,
  IdempotencyKey,
  Input,
  type JsonBag,
  type Ledger,
  LedgerError,
  OwnEvent,
  OwnHalf,
  SuppressionStore
} from "@waybill/core"
import { DateTime, Effect, Option } from "effect"
import type { Database } from "./Database.ts"
import * as Deliveries from "./Deliveries.ts"
import * as Events from "./Events.ts"
import type { Meeting } from "./Meeting.ts"
import type { Links } from "./orphans/Links.ts"
import * as Parameters from "./Parameters.ts"
import type { Suppressions } from "./suppressions/Store.ts"
import type { Unsent } from "./Unsent.ts"
import type { Updates } from "./Updates.ts"

/** Opens the commands of a schema. */
export const make = (
  { sql, table, transaction }: Database,
  events: Events.Events,
  deliveries: Deliveries.Deliveries,
  meeting: Meeting,
  links: Links,
  unsent: Unsent,
  { publish }: Updates,
  { softness, store }: Suppressions
) => {
  /** What a delivery that was recorded before was suppressed by, as its own event tells. */
  const suppressedBy = Effect.fnUntraced(function*({ id, suppressedAt, tenantId }: Delivery.Delivery) {
    if (Option.isNone(suppressedAt)) return Option.none()
    const rows = yield* sql<{ readonly metadata: JsonBag.JsonBag }>`
      SELECT metadata FROM ${table("events")}
      WHERE tenant_id = ${tenantId} AND idempotency_key = ${IdempotencyKey.ofOwn("suppressed", id)}
    `
    return Option.flatMap(Option.fromUndefinedOr(rows[0]), Block.ofMetadata)
  })

  const record = Effect.fn("Ledger.record")(function*(given: Delivery.NewDelivery) {
    const input = yield* Effect.fromResult(Input.delivery(given))
    const now = yield* DateTime.now
    const newId = Option.isSome(input.id) ? input.id.value : Event.DeliveryId.make(yield* events.newUuid)
    const entry = { id: newId, eventIds: [yield* events.newId, yield* events.newId] as const, at: now }
    const { queued } = Block.ownOf(input, Option.none(), entry)
    const fresh = Delivery.fromNew(input, newId, queued)

    return yield* transaction(
      input.tenantId,
      Effect.gen(function*() {
        const inserted = yield* sql<{ readonly isKnown: boolean }>`
        INSERT INTO ${table("deliveries")} AS d (
          id, tenant_id, mailable, stream, recipient, metadata, idempotency_key, inserted_at, updated_at,
          last_event_type, last_event_at, last_event_id
        ) VALUES (
          ${fresh.id}, ${fresh.tenantId}, ${fresh.mailable}, ${fresh.stream}, ${input.recipient},
          ${PgTypes.jsonb(fresh.metadata)}, ${Option.getOrNull(fresh.idempotencyKey)}, ${Parameters.instant(now)},
          ${Parameters.instant(now)}, 'queued', ${Parameters.instant(now)}, ${queued.id}
        )
        ON CONFLICT DO NOTHING
        RETURNING EXISTS (SELECT FROM ${table("suppressions")} s
          WHERE s.tenant_id = d.tenant_id AND s.recipient_digest = d.recipient_digest) AS "isKnown"
      `
        if (inserted.length === 0) {
          // The delivery of the key before that of the id, as `OwnHalf.record` asks.
          const rows = yield* sql`
          SELECT ${deliveries.columns} FROM ${table("deliveries")} d
          WHERE d.tenant_id = ${input.tenantId}
            AND (d.id = ${newId} OR d.idempotency_key = ${Option.getOrNull(input.idempotencyKey)})
          ORDER BY d.idempotency_key IS NOT DISTINCT FROM ${Option.getOrNull(input.idempotencyKey)}::text DESC
        `
          const [stored] = yield* Effect.orDie(Deliveries.decode(rows))
          if (stored === undefined) return yield* Effect.die(new Error("a conflicting delivery is not there"))
          const delivery = yield* Effect.fromResult(Delivery.checkRecord(stored, input))
          return { delivery, created: false, linked: 0, suppressedBy: yield* suppressedBy(delivery) }
        }
        // As a rule nothing is known that says anything of the recipient.
        const block = inserted.some(({ isKnown }) => isKnown)
          ? yield* SuppressionStore.blockOf(input, store, softness, now)
          : Option.none()
        const decided = Block.ownOf(input, block, entry)
        const ids = yield* events.insert(decided.own, Events.noRecipient)
        const isNew = decided.own.every(({ id }) => ids.has(id))
        yield* publish(() =>
          decided.own.filter(({ id }) => ids.has(id)).map((event) => DeliveryUpdate.ofEvent(event, newId))
        )
        const pairs = yield* links.write(
          yield* meeting.waiting(input.tenantId, Correlation.ofDelivery(newId), newId),
          now
        )
        // A delivery that was recorded before and deleted by another writer has its events still.
        const delivery = isNew
          ? Delivery.evolve(fresh, [...decided.own, ...pairs.map(({ orphan }) => orphan)], now)
          : Delivery.refold(fresh, (yield* events.factsOf([fresh]))(fresh), now)
        if (delivery !== fresh) yield* deliveries.update([delivery], now)
        return { delivery, created: true, linked: pairs.length, suppressedBy: decided.suppressedBy }
      })
    )
  })

  const dispatch = Effect.fn("Ledger.dispatch")(function*(given: Delivery.Dispatch) {
    const input = yield* Effect.fromResult(Input.dispatch(given))
    const messageId = yield* Effect.fromResult(Input.messageId(input))
    const { deliveryId, provider, tenantId } = input
    const key = Correlation.ofMessage(provider, messageId)
    const now = yield* DateTime.now
    const event = OwnEvent.dispatched(deliveryId, {
      id: yield* events.newId,
      tenantId,
      insertedAt: now,
      occurredAt: now
    })

    return yield* transaction(
      tenantId,
      Effect.gen(function*() {
        yield* meeting.lock(tenantId, [key])
        const found = yield* deliveries.find({ tenantId, deliveryId }, true)
        if (Option.isNone(found)) return yield* new LedgerError.DeliveryNotFound({ tenantId })
        const stored = found.value
        const decision = yield* Effect.fromResult(Handover.decideDispatch(stored, input, messageId))
        if (decision === "AlreadyDispatched") return { delivery: stored, linked: 0 }
        // Fires the trigger `deliveries_changed`, which says which orphans of the key are ready: what `waiting` stands on.
        // A unique index refuses what `Delivery.isTaken` says.
        yield* sql`
          UPDATE ${table("deliveries")} SET provider = ${provider}, provider_message_id = ${messageId}
          WHERE tenant_id = ${tenantId} AND id = ${deliveryId}
        `.pipe(
          Effect.catchTag("SqlError", (error) =>
            Effect.fail(
              error.reason._tag === "UniqueViolation"
                ? Handover.refuseDispatch(stored, "taken")
                : error
            ))
        )
        const isNew = (yield* events.insert([event], Events.noRecipient)).has(event.id)
        if (isNew) yield* publish(() => [DeliveryUpdate.ofEvent(event, deliveryId)])
        const pairs = yield* links.write(yield* meeting.waiting(tenantId, key, deliveryId), now)
        // A delivery that was dispatched before and whose message id another writer took away has its events still.
        const facts = isNew ? [event, ...pairs.map(({ orphan }) => orphan)] : (yield* events.factsOf([stored]))(stored)
        const delivery = Handover.dispatched(stored, { provider, messageId }, facts, now)
        yield* deliveries.update([delivery], now)
        return { delivery, linked: pairs.length }
      })
    )
  })

  /** Locks a delivery and finds its events of our own, of some types. */
  const lockWithOwn = Effect.fnUntraced(function*(
    key: Ledger.DeliveryKey,
    types: ReadonlyArray<EventType.EventType>
  ) {
    const stored = yield* deliveries.find(key, true)
    return { stored, own: Option.isSome(stored) ? yield* events.ownOf(key, types) : [] }
  })

  /** Writes what was decided of one delivery that is locked. */
  const write = Effect.fnUntraced(function*<A>({ answer, commit }: Commit.Decided<A>) {
    const { at, deliveries: changed = [], reports = [], unsent: places = [] } = commit
    yield* events.insert(reports.map(({ event }) => event), Events.noRecipient)
    yield* deliveries.update(changed, at)
    for (const place of places) yield* unsent.put(place)
    yield* publish(() => Commit.updatesOf(commit))
    return answer
  })

  const fail = Effect.fn("Ledger.fail")(function*(given: Delivery.Fail) {
    const input = yield* Effect.fromResult(Input.fail(given))
    const entry = { eventId: yield* events.newId, at: yield* DateTime.now }
    return yield* transaction(
      input.tenantId,
      Effect.gen(function*() {
        const { own, stored } = yield* lockWithOwn(input, ["deferred", "failed"])
        const known = { stored, failures: own, place: yield* unsent.place(input) }
        return yield* write(yield* Effect.fromResult(OwnHalf.fail(input, known, entry)))
      })
    )
  })

  const suppress = Effect.fn("Ledger.suppress")(function*(given: Delivery.Suppress) {
    const input = yield* Effect.fromResult(Input.suppress(given))
    const entry = { eventId: yield* events.newId, at: yield* DateTime.now }
    return yield* transaction(
      input.tenantId,
      Effect.gen(function*() {
        const { own, stored } = yield* lockWithOwn(input, ["suppressed"])
        const known = { stored, isNoted: own.length > 0 }
        return yield* write(yield* Effect.fromResult(OwnHalf.suppress(input, known, entry)))
      })
    )
  })

  return { record, dispatch, fail, suppress }
}
