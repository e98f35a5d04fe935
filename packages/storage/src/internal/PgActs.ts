import {
  Correlation,
  Delivery,
  type Event,
  Input,
  type Ledger,
  LedgerError,
  type Recipient,
  Tenant,
  type Timestamp
} from "@waybill/core"
import { DateTime, Effect, Option, Schema } from "effect"
import * as PgRows from "../PgRows.ts"
import * as PgOrphans from "./PgOrphans.ts"
import { type PgSession } from "./PgSession.ts"

const at = PgRows.EventRow.fields.insertedAt

const StateRow = Schema.Struct({
  isQueued: Schema.Boolean,
  isDismissed: Schema.Boolean,
  otherTenant: Schema.Boolean,
  attempts: Schema.Int,
  nextAttemptAt: Schema.OptionFromNullOr(at),
  lastError: Schema.OptionFromNullOr(Schema.String)
})

const decodeState = Schema.decodeUnknownEffect(Schema.Array(StateRow))

const BacklogRow = Schema.Struct({
  tenantId: Tenant.TenantId,
  pending: Schema.Int,
  expired: Schema.Int,
  failed: Schema.Int,
  oldest: at
})

const decodeBacklog = Schema.decodeUnknownEffect(Schema.Array(BacklogRow))

/** Explains and moves single orphans by hand, counts the pending ones, and forgets recipients. */
export const make = (session: PgSession) => {
  const { deliveries, events, findDelivery, inScope, move, orphans, one, sql, table, transaction, writeLinks } = session
  const { decide, findStored } = PgOrphans.make(session)

  const recordAct = (
    act: "dismiss" | "retry" | "forget",
    tenantId: Tenant.TenantId,
    eventId: Event.EventId | null,
    counts: Ledger.Forgotten | null,
    now: Timestamp.Timestamp
  ) =>
    sql`
      INSERT INTO ${table("acts")} (tenant_id, act, event_id, deliveries, orphans, acted_at)
      VALUES (${tenantId}, ${act}, ${eventId}, ${counts?.deliveries ?? null}, ${counts?.orphans ?? null},
        ${PgRows.instant(now)})
    `

  const stateOf = Effect.fnUntraced(function*(event: Event.Event) {
    const rows = yield* sql`
      SELECT o.event_id IS NOT NULL AS "isQueued",
        EXISTS (SELECT FROM ${table("acts")} a WHERE a.event_id = e.id AND a.act = 'dismiss') AS "isDismissed",
        ${table("is_elsewhere")}(e) AS "otherTenant",
        coalesce(o.attempts, 0) AS attempts, o.next_attempt_at AS "nextAttemptAt", o.last_error AS "lastError"
      FROM ${events} e LEFT JOIN ${orphans} o ON o.event_id = e.id
      WHERE e.tenant_id = ${event.tenantId} AND e.id = ${event.id}
    `
    const [state] = yield* Effect.orDie(decodeState(rows))
    return state ?? (yield* new LedgerError.EventNotFound({ tenantId: event.tenantId, eventId: event.id }))
  })

  const explainPending = Effect.fnUntraced(function*(event: Event.Event) {
    const state = yield* stateOf(event)
    if (state.isDismissed) return { _tag: "Dismissed" } as const
    const correlation = Correlation.ofEvent(event)
    if (Option.isNone(correlation)) return { _tag: "Malformed" } as const
    const [decided] = yield* decide([event.id])
    const meeting = decided?.meeting ?? { _tag: "NoDelivery" as const }
    if (meeting._tag === "NoDelivery") {
      return { _tag: "NoDelivery", correlation: correlation.value, otherTenant: state.otherTenant } as const
    }
    if (meeting._tag !== "Met") return { _tag: meeting._tag, correlation: correlation.value } as const
    const { deliveryId } = meeting
    return Option.isSome(state.nextAttemptAt) && Option.isSome(state.lastError)
      ? {
        _tag: "SetAside",
        deliveryId,
        attempts: state.attempts,
        nextAttemptAt: state.nextAttemptAt.value,
        reason: state.lastError.value
      } as const
      : { _tag: "Linkable", deliveryId } as const
  })

  const explain = Effect.fn("Ledger.explain")((key: Ledger.EventKey) =>
    one(
      key.tenantId,
      Effect.gen(function*() {
        const { event, linkedDeliveryId } = yield* findStored(key)
        if (Option.isSome(event.deliveryId)) {
          return { _tag: "NotAnOrphan", deliveryId: event.deliveryId.value } as const
        }
        if (Option.isSome(linkedDeliveryId)) return { _tag: "Linked", deliveryId: linkedDeliveryId.value } as const
        return yield* explainPending(event)
      })
    )
  )

  /** Locks a pending orphan; false where the event is none. */
  const hold = Effect.fnUntraced(function*(key: Ledger.EventKey) {
    yield* findStored(key)
    const rows = yield* sql`
      SELECT 1 FROM ${orphans} WHERE tenant_id = ${key.tenantId} AND event_id = ${key.eventId} FOR UPDATE
    `
    return rows.length > 0
  })

  const linkTo = Effect.fn("Ledger.linkTo")(function*(command: Ledger.LinkTo) {
    yield* Effect.fromResult(Input.linkTo(command))
    const { deliveryId, expectedVersion, tenantId } = command
    const now = yield* DateTime.now
    return yield* transaction(
      tenantId,
      Effect.gen(function*() {
        const isPending = yield* hold(command)
        const found = yield* findDelivery(command, Option.isSome(expectedVersion))
        if (Option.isNone(found)) return yield* new LedgerError.DeliveryNotFound({ tenantId })
        if (Delivery.isStale(found.value, expectedVersion)) {
          const actualVersion = found.value.lockVersion
          return yield* new LedgerError.StaleDelivery({
            tenantId,
            deliveryId,
            expectedVersion: expectedVersion.value,
            actualVersion
          })
        }
        if (!isPending) return false
        const { event: orphan } = yield* findStored(command)
        const pairs = yield* writeLinks([{ orphan, deliveryId }], now)
        yield* move(pairs.map(({ orphan }) => ({ tenantId, deliveryId, eventId: orphan.id, at: now })))
        return pairs.length > 0
      })
    )
  })

  const dismiss = Effect.fn("Ledger.dismiss")(function*(key: Ledger.EventKey) {
    const now = yield* DateTime.now
    return yield* transaction(
      key.tenantId,
      Effect.gen(function*() {
        if (!(yield* hold(key))) return false
        yield* sql`DELETE FROM ${orphans} WHERE event_id = ${key.eventId}`
        yield* recordAct("dismiss", key.tenantId, key.eventId, null, now)
        return true
      })
    )
  })

  const retry = Effect.fn("Ledger.retry")(function*(key: Ledger.EventKey) {
    const now = yield* DateTime.now
    return yield* transaction(
      key.tenantId,
      Effect.gen(function*() {
        yield* findStored(key)
        const released = yield* sql`
          UPDATE ${orphans} SET next_attempt_at = NULL
          WHERE tenant_id = ${key.tenantId} AND event_id = ${key.eventId} AND next_attempt_at IS NOT NULL
          RETURNING event_id
        `
        if (released.length > 0) yield* recordAct("retry", key.tenantId, key.eventId, null, now)
        return released.length > 0
      })
    )
  })

  const backlog = Effect.fn("Ledger.backlog")(function*(query: {
    readonly scope: Tenant.Scope
    readonly horizon: Timestamp.Timestamp
  }) {
    const rows = yield* one(
      query.scope,
      sql`
        SELECT tenant_id AS "tenantId", count(*)::integer AS pending,
          (count(*) FILTER (WHERE inserted_at < ${PgRows.instant(query.horizon)}))::integer AS expired,
          (count(*) FILTER (WHERE last_error IS NOT NULL))::integer AS failed, min(inserted_at) AS oldest
        FROM ${orphans} WHERE ${inScope(query.scope)}
        GROUP BY tenant_id ORDER BY tenant_id
      `
    )
    return yield* Effect.orDie(decodeBacklog(rows))
  })

  const forget = Effect.fn("Ledger.forget")(function*(query: {
    readonly tenantId: Tenant.TenantId
    readonly recipient: Recipient.Recipient
  }) {
    const { recipient, tenantId } = query
    const now = yield* DateTime.now
    return yield* transaction(
      tenantId,
      Effect.gen(function*() {
        const digest = sql`(SELECT ${table("recipient_digest")}(${tenantId}, ${recipient}))`
        const erased = yield* sql`
          UPDATE ${deliveries} SET recipient = NULL, lock_version = lock_version + 1, updated_at = ${
          PgRows.instant(now)
        }
          WHERE tenant_id = ${tenantId} AND recipient_digest = ${digest} RETURNING id
        `
        const unnamed = yield* sql`
          UPDATE ${orphans} SET recipient_digest = '\\x', ready = false
          WHERE tenant_id = ${tenantId} AND recipient_digest = ${digest} RETURNING event_id
        `
        yield* sql`DELETE FROM ${table("recipients")} WHERE tenant_id = ${tenantId} AND digest = ${digest}`
        const forgotten = { deliveries: erased.length, orphans: unnamed.length }
        yield* recordAct("forget", tenantId, null, forgotten, now)
        return forgotten
      })
    )
  })

  return { explain, linkTo, dismiss, retry, backlog, forget }
}
