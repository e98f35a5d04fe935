/**
 * Keeps the ledger in PostgreSQL: an event and the projection it moves are written in one transaction, or not at all.
 *
 * Two writers that race meet on the row of their correlation: an append that finds no delivery holds the row while it
 * stores the orphan, and a delivery that gets its message id holds it while it looks for orphans, so that whichever commits
 * second links. An append takes its locks in one order: correlations, idempotency keys, deliveries, each sorted. A dispatch
 * and a record lock their one delivery before the keys of its own events, which no append writes. A deadlock or a
 * serialization failure is retried, a bounded number of times.
 *
 * Called inside a transaction of the same client, every operation joins it and disappears with its rollback.
 *
 * @since 0.1.0
 */
import { PgTypes } from "@effect/sql-pg"
import {
  Correlation,
  Cursor,
  Delivery,
  Event,
  Input,
  Ledger,
  LedgerError,
  Projection,
  type Tenant
} from "@waybill/core"
import { DateTime, Effect, Layer, Option, Schema } from "effect"
import { type SecureRandom } from "effect/crypto"
import { type SqlClient } from "effect/sql"
import * as PgActs from "./internal/PgActs.ts"
import * as PgAppend from "./internal/PgAppend.ts"
import * as PgAudit from "./internal/PgAudit.ts"
import * as PgOrphans from "./internal/PgOrphans.ts"
import type * as PgScope from "./internal/PgScope.ts"
import { decodeDeliveries } from "./internal/PgSession.ts"
import * as PgSession from "./internal/PgSession.ts"
import * as PgMigrations from "./PgMigrations.ts"
import * as PgRows from "./PgRows.ts"

const ChangeRow = Schema.Struct({ ...PgRows.EventRow.fields, transactionId: Schema.String, position: Schema.BigInt })

const decodeChanges = Schema.decodeUnknownEffect(Schema.Array(ChangeRow))

const TimelineRow = Schema.Struct({
  ...PgRows.EventRow.fields,
  linkedBy: Schema.OptionFromNullOr(Event.EventId)
})

const decodeTimeline = Schema.decodeUnknownEffect(Schema.Array(TimelineRow))

const update = (event: Event.Event, deliveryId: Event.DeliveryId): Ledger.DeliveryUpdate => ({
  tenantId: event.tenantId,
  deliveryId,
  eventId: event.id,
  type: event.type,
  cause: "append"
})

const make = Effect.fnUntraced(function*(options: PgScope.PgOptions) {
  const session = yield* PgSession.make(options)
  const {
    deliveries,
    deliveryColumns,
    eventColumns,
    events,
    findDelivery,
    findFacts,
    inScope,
    insertEvents,
    lockCorrelations,
    newEventId,
    noRecipient,
    publish,
    random,
    one,
    sql,
    subscribe,
    transaction,
    updateProjections,
    waiting,
    writeLinks
  } = session

  const record = Effect.fn("Ledger.record")(function*(given: Delivery.NewDelivery) {
    const input = yield* Effect.fromResult(Input.delivery(given))
    const now = yield* DateTime.now
    const newId = Option.isSome(input.id) ? input.id.value : Event.DeliveryId.make(yield* random.uuidV7())
    const queued = Event.queued(newId, { id: yield* newEventId, tenantId: input.tenantId, insertedAt: now })
    const fresh = Delivery.fromNew(input, newId, queued)

    return yield* transaction(
      input.tenantId,
      Effect.gen(function*() {
        const inserted = yield* sql`
        INSERT INTO ${deliveries} (
          id, tenant_id, mailable, stream, recipient, metadata, idempotency_key, inserted_at, updated_at,
          last_event_type, last_event_at, last_event_id
        ) VALUES (
          ${fresh.id}, ${fresh.tenantId}, ${fresh.mailable}, ${fresh.stream}, ${input.recipient},
          ${PgTypes.jsonb(fresh.metadata)}, ${Option.getOrNull(fresh.idempotencyKey)}, ${PgRows.instant(now)},
          ${PgRows.instant(now)}, 'queued', ${PgRows.instant(now)}, ${queued.id}
        )
        ON CONFLICT DO NOTHING
        RETURNING id
      `
        if (inserted.length === 0) {
          const rows = yield* sql`
          SELECT ${deliveryColumns} FROM ${deliveries} d
          WHERE d.tenant_id = ${input.tenantId}
            AND (d.id = ${newId} OR d.idempotency_key = ${Option.getOrNull(input.idempotencyKey)})
          ORDER BY d.idempotency_key IS NOT DISTINCT FROM ${Option.getOrNull(input.idempotencyKey)}::text DESC
        `
          const [stored] = yield* Effect.orDie(decodeDeliveries(rows))
          if (stored === undefined) return yield* Effect.die(new Error("a conflicting delivery is not there"))
          return Delivery.isSameRecord(stored, input)
            ? { delivery: stored, created: false, linked: 0 }
            : yield* new LedgerError.DeliveryConflict({ tenantId: input.tenantId, storedDeliveryId: stored.id })
        }
        const isNew = (yield* insertEvents([queued], noRecipient)).has(queued.id)
        if (isNew) yield* publish(() => [update(queued, newId)])
        const pairs = yield* writeLinks(yield* waiting(input.tenantId, Correlation.ofDelivery(newId), newId), now)
        // A delivery that was recorded before and deleted by another writer has its events still.
        const delivery = isNew
          ? Delivery.evolve(fresh, pairs.map(({ orphan }) => orphan), now)
          : {
            ...fresh,
            ...Projection.fold((yield* findFacts([fresh]))(fresh)),
            lockVersion: fresh.lockVersion + 1,
            updatedAt: now
          }
        if (delivery !== fresh) yield* updateProjections([delivery], now)
        return { delivery, created: true, linked: pairs.length }
      })
    )
  })

  const dispatch = Effect.fn("Ledger.dispatch")(function*(given: Delivery.Dispatch) {
    const input = yield* Effect.fromResult(Input.dispatch(given))
    const messageId = yield* Effect.fromResult(Input.messageId(input))
    const { deliveryId, provider, tenantId } = input
    const key = Correlation.ofMessage(provider, messageId)
    const now = yield* DateTime.now
    const event = Event.dispatched(deliveryId, { id: yield* newEventId, tenantId, insertedAt: now, occurredAt: now })

    return yield* transaction(
      tenantId,
      Effect.gen(function*() {
        yield* lockCorrelations(tenantId, [key])
        const found = yield* findDelivery({ tenantId, deliveryId }, true)
        if (Option.isNone(found)) return yield* new LedgerError.DeliveryNotFound({ tenantId })
        const stored = found.value
        const decision = Delivery.decideDispatch(stored, input, messageId)
        if (decision._tag === "AlreadyDispatched") return { delivery: stored, linked: 0 }
        if (decision._tag === "Stale") {
          const { actualVersion, expectedVersion } = decision
          return yield* new LedgerError.StaleDelivery({ tenantId, deliveryId, expectedVersion, actualVersion })
        }
        if (decision._tag === "OtherMessage") {
          return yield* new LedgerError.DispatchConflict({ tenantId, deliveryId, reason: "other-message" })
        }
        yield* sql`
          UPDATE ${deliveries} SET provider = ${provider}, provider_message_id = ${messageId}
          WHERE tenant_id = ${tenantId} AND id = ${deliveryId}
        `.pipe(
          Effect.catchTag("SqlError", (error) =>
            Effect.fail(
              error.reason._tag === "UniqueViolation"
                ? new LedgerError.DispatchConflict({ tenantId, deliveryId, reason: "taken" })
                : error
            ))
        )
        const isNew = (yield* insertEvents([event], noRecipient)).has(event.id)
        if (isNew) yield* publish(() => [update(event, deliveryId)])
        const pairs = yield* writeLinks(yield* waiting(tenantId, key, deliveryId), now)
        // A delivery that was dispatched before and whose message id another writer took away has its events still.
        const facts = isNew ? [event, ...pairs.map(({ orphan }) => orphan)] : (yield* findFacts([stored]))(stored)
        const delivery = Delivery.dispatched(stored, { provider, messageId }, facts, now)
        yield* updateProjections([delivery], now)
        return { delivery, linked: pairs.length }
      })
    )
  })

  const write = yield* PgAppend.make(session)

  const append = Effect.fn("Ledger.append")(function*(
    tenantId: Tenant.TenantId,
    given: ReadonlyArray<Event.NewEvent>
  ) {
    yield* Input.events(tenantId, given)
    if (given.length === 0) return []
    const now = yield* DateTime.now
    return yield* write(tenantId, given, now)
  })

  const delivery = Effect.fn("Ledger.delivery")((key: Ledger.DeliveryKey) =>
    one(key.tenantId, findDelivery(key, false))
  )

  const list = Effect.fn("Ledger.deliveries")(function*(query: {
    readonly tenantId: Tenant.TenantId
    readonly after: Option.Option<Event.DeliveryId>
    readonly limit: number
  }) {
    const limit = yield* Input.limit(query.limit)
    const rows = yield* one(
      query.tenantId,
      sql`
      SELECT ${deliveryColumns} FROM ${deliveries} d
      WHERE d.tenant_id = ${query.tenantId}
        ${Option.isSome(query.after) ? sql`AND d.id > ${query.after.value}` : sql``}
      ORDER BY d.id LIMIT ${limit}
    `
    )
    return yield* Effect.orDie(decodeDeliveries(rows))
  })

  const timeline = Effect.fn("Ledger.timeline")(function*({ deliveryId, tenantId }: Ledger.DeliveryKey) {
    const rows = yield* one(
      tenantId,
      sql`
      WITH own AS (
        SELECT id, source_event_id FROM ${events} WHERE tenant_id = ${tenantId} AND delivery_id = ${deliveryId}
      )
      SELECT ${eventColumns}, known."linkedBy"
      FROM (
        SELECT id, NULL::uuid AS "linkedBy" FROM own
        UNION ALL
        SELECT source_event_id, id FROM own WHERE source_event_id IS NOT NULL
      ) known JOIN ${events} e ON e.id = known.id
    `
    )
    return (yield* Effect.orDie(decodeTimeline(rows)))
      .map(({ linkedBy, ...event }): Ledger.TimelineEntry => ({ event, linkedBy }))
      .toSorted((left, right) => Event.compare(left.event, right.event))
  })

  const changes = Effect.fn("Ledger.changes")(function*(query: {
    readonly scope: Tenant.Scope
    readonly after: Cursor.Cursor
    readonly limit: number
  }) {
    const limit = yield* Input.limit(query.limit)
    const after = yield* Effect.fromResult(Input.cursor(query.after))
    const [transactionId, position] = Cursor.parts(after)
    const rows = yield* one(
      query.scope,
      sql`
      SELECT ${eventColumns}, e.transaction_id::text AS "transactionId", e.position
      FROM ${events} e
      WHERE (e.transaction_id, e.position) > (${String(transactionId)}::text::xid8, ${position})
        AND e.transaction_id < pg_snapshot_xmin(pg_current_snapshot()) AND ${inScope(query.scope)}
      ORDER BY e.transaction_id, e.position LIMIT ${limit}
    `
    )
    return (yield* Effect.orDie(decodeChanges(rows))).map(({ position, transactionId, ...event }): Ledger.Change => ({
      cursor: Cursor.of(BigInt(transactionId), position),
      event
    }))
  })

  const missing = yield* PgMigrations.pending(options.schema)
  if (missing.length > 0) return yield* new LedgerError.SchemaNotMigrated({ schema: options.schema })

  return Ledger.Ledger.of({
    record,
    dispatch,
    append,
    ...PgOrphans.make(session),
    delivery,
    deliveries: list,
    timeline,
    changes,
    ...PgAudit.make(session),
    ...PgActs.make(session),
    updates: subscribe
  })
})

/**
 * The ledger in the schema of a migrated database, `waybill` unless another is named.
 *
 * With `rowLevelSecurity` every transaction says which tenant it is for (`waybill.tenant_id`), as the policies of
 * `PgMigrations.enableRowLevelSecurity` ask.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: { readonly schema?: string; readonly rowLevelSecurity?: boolean } = {}
): Layer.Layer<Ledger.Ledger, LedgerError.LedgerError, SqlClient.SqlClient | SecureRandom.SecureRandom> =>
  Layer.effect(
    Ledger.Ledger,
    make({
      schema: options.schema ?? PgMigrations.defaultSchema,
      rowLevelSecurity: options.rowLevelSecurity ?? false
    })
  )
