/** Reads pending orphans: lists them, looks up and explains one, counts those of each tenant. */
import {
  type Event,
  Input,
  type Ledger,
  LedgerError,
  Orphan,
  type Orphans,
  Place,
  Tenant,
  type Timestamp
} from "@waybill/core"
import { DateTime, Effect, Option, Schema } from "effect"
import type { Database } from "../Database.ts"
import type { Deliveries } from "../Deliveries.ts"
import type { Events } from "../Events.ts"
import type { Meeting } from "../Meeting.ts"
import * as Parameters from "../Parameters.ts"
import * as Rows from "../Rows.ts"

const at = Rows.EventRow.fields.insertedAt

/** What the queue keeps of an orphan that failed on its own. */
const failureFields = {
  attempts: Schema.Int,
  lastError: Schema.OptionFromNullOr(Schema.String),
  nextAttemptAt: Schema.OptionFromNullOr(at)
}

const OrphanRow = Schema.Struct({ ...Rows.EventRow.fields, ...failureFields })

const decodeOrphans = Schema.decodeUnknownEffect(Schema.Array(OrphanRow))

const StateRow = Schema.Struct({ ...failureFields, isDismissed: Schema.Boolean, otherTenant: Schema.Boolean })

const decodeState = Schema.decodeUnknownEffect(Schema.Array(StateRow))

const BacklogRow = Schema.Struct({
  tenantId: Tenant.TenantId,
  pending: Schema.Int,
  expired: Schema.Int,
  failed: Schema.Int,
  oldest: at
})

const decodeBacklog = Schema.decodeUnknownEffect(Schema.Array(BacklogRow))

const failureOf = (
  { attempts, lastError, nextAttemptAt }: Pick<typeof OrphanRow.Type, keyof typeof failureFields>
): Option.Option<Orphan.Failure> => Option.map(lastError, (reason) => ({ attempts, reason, nextAttemptAt }))

/** The earliest instant that a query may name. */
const longAgo = DateTime.makeUnsafe(-62_135_596_800_000)

/** Opens the reads of the queue of pending orphans. */
export const make = (
  { inScope, sql, statements, table }: Database,
  events: Events,
  deliveries: Deliveries,
  meeting: Meeting
) => {
  const orphans = table("orphans")

  const afterPlace = (place: Place.Place) => {
    const { id, instant } = Place.parts(place)
    return sql`AND (inserted_at, event_id) > (${Parameters.instant(instant)}, ${id}::uuid)`
  }

  const find = Effect.fn("Orphans.find")(function*(query: Orphans.Query) {
    const limit = yield* Input.limit(query.limit)
    const from = Option.getOrElse(query.insertedFrom, () => longAgo)
    // What `Orphans.select` says.
    const rows = yield* statements(
      query.scope,
      sql`
        SELECT ${events.columns}, o.attempts, o.last_error AS "lastError", o.next_attempt_at AS "nextAttemptAt"
        FROM (
          SELECT event_id, inserted_at, attempts, last_error, next_attempt_at FROM ${orphans}
          WHERE ${inScope(query.scope)} AND inserted_at >= ${Parameters.instant(from)}
            ${query.after === undefined ? sql`` : afterPlace(query.after)}
            ${sql.literal(query.failedOnly ? "AND last_error IS NOT NULL" : "")}
          ORDER BY inserted_at, event_id LIMIT ${limit}
        ) o JOIN ${table("events")} e ON e.id = o.event_id
        ORDER BY o.inserted_at, o.event_id
      `
    )
    const found = yield* Effect.orDie(decodeOrphans(rows))
    return found.map(({ attempts, lastError, nextAttemptAt, ...event }): Orphan.Orphan => ({
      event,
      failure: failureOf({ attempts, lastError, nextAttemptAt })
    }))
  })

  const deliveryOf = Effect.fnUntraced(function*(key: Ledger.EventKey) {
    const { tenantId } = key
    const { event, linkedDeliveryId } = yield* events.find(key)
    const met = yield* meeting.ofOrphan(event.id)
    const deliveryId = yield* Effect.fromResult(Orphan.locate(event, linkedDeliveryId, met))
    const delivery = yield* deliveries.find({ tenantId, deliveryId }, false)
    return Option.isSome(delivery)
      ? { event, delivery: delivery.value }
      : yield* new LedgerError.DeliveryNotFound({ tenantId })
  })

  const attemptLink = Effect.fn("Orphans.attemptLink")(({ id, tenantId }: Pick<Event.Event, "tenantId" | "id">) =>
    statements(tenantId, deliveryOf({ tenantId, eventId: id }))
  )

  const explained = Effect.fnUntraced(function*(key: Ledger.EventKey) {
    const { event, linkedDeliveryId } = yield* events.find(key)
    const rows = yield* sql`
      SELECT EXISTS (SELECT FROM ${table("acts")} a WHERE a.event_id = e.id AND a.act = 'dismiss') AS "isDismissed",
        ${table("is_elsewhere")}(e) AS "otherTenant",
        coalesce(o.attempts, 0) AS attempts, o.next_attempt_at AS "nextAttemptAt", o.last_error AS "lastError"
      FROM ${table("events")} e LEFT JOIN ${orphans} o ON o.event_id = e.id
      WHERE e.tenant_id = ${key.tenantId} AND e.id = ${key.eventId}
    `
    const [state] = yield* Effect.orDie(decodeState(rows))
    if (state === undefined) return yield* new LedgerError.EventNotFound(key)
    return Orphan.explain({
      event,
      linkedTo: linkedDeliveryId,
      isDismissed: state.isDismissed,
      meeting: yield* meeting.ofOrphan(event.id),
      otherTenant: state.otherTenant,
      failure: failureOf(state)
    })
  })

  const explain = Effect.fn("Orphans.explain")((key: Ledger.EventKey) => statements(key.tenantId, explained(key)))

  const backlog = Effect.fn("Orphans.backlog")(function*(query: {
    readonly scope: Tenant.Scope
    readonly horizon: Timestamp.Timestamp
  }) {
    // What `Orphans.count` says.
    const rows = yield* statements(
      query.scope,
      sql`
        SELECT tenant_id AS "tenantId", count(*)::integer AS pending,
          (count(*) FILTER (WHERE inserted_at < ${Parameters.instant(query.horizon)}))::integer AS expired,
          (count(*) FILTER (WHERE last_error IS NOT NULL))::integer AS failed, min(inserted_at) AS oldest
        FROM ${orphans} WHERE ${inScope(query.scope)}
        GROUP BY tenant_id ORDER BY tenant_id
      `
    )
    return yield* Effect.orDie(decodeBacklog(rows))
  })

  return { find, attemptLink, explain, backlog }
}
