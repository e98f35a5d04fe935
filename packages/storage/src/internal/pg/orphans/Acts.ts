/** Does what is asked by hand, and records it: links, dismisses or releases an orphan, forgets a recipient. */
import {
  Event,
  Handover,
  Input,
  type Ledger,
  LedgerError,
  type Orphans,
  type Recipient,
  type Tenant,
  type Timestamp
} from "@waybill/core"
import { DateTime, Effect, Option } from "effect"
import type { Database } from "../Database.ts"
import type { Deliveries } from "../Deliveries.ts"
import type { Details } from "../Details.ts"
import type { Events } from "../Events.ts"
import type { Recount } from "../figures/Recount.ts"
import type { Meeting } from "../Meeting.ts"
import * as Parameters from "../Parameters.ts"
import type { Suppressions } from "../suppressions/Store.ts"
import type { Links } from "./Links.ts"

/** Opens the acts of a schema. */
export const make = (
  { sql, table, transaction }: Database,
  events: Events,
  deliveries: Deliveries,
  links: Links,
  details: Details,
  meeting: Meeting,
  suppressions: Suppressions,
  figures: Recount
) => {
  const orphans = table("orphans")

  const recordAct = (
    act: "dismiss" | "retry" | "forget",
    tenantId: Tenant.TenantId,
    eventId: Event.EventId | null,
    counts: Ledger.Forgotten | null,
    now: Timestamp.Timestamp,
    actor: string | null = null
  ) =>
    sql`
      INSERT INTO ${table("acts")} (tenant_id, act, event_id, deliveries, orphans, acted_at, actor)
      VALUES (${tenantId}, ${act}, ${eventId}, ${counts?.deliveries ?? null}, ${counts?.orphans ?? null},
        ${Parameters.instant(now)}, ${actor})
    `

  /** Locks a pending orphan; false where the event is none. */
  const hold = Effect.fnUntraced(function*(key: Ledger.EventKey) {
    const rows = yield* sql`
      SELECT 1 FROM ${orphans} WHERE tenant_id = ${key.tenantId} AND event_id = ${key.eventId} FOR UPDATE
    `
    return rows.length > 0
  })

  const linkTo = Effect.fn("Orphans.linkTo")(function*(command: Orphans.LinkTo) {
    yield* Effect.fromResult(Input.linkTo(command))
    const { deliveryId, expectedVersion, tenantId } = command
    const now = yield* DateTime.now
    return yield* transaction(
      tenantId,
      Effect.gen(function*() {
        // What `Commit.linkTo` decides, with the delivery and then the orphan held, as who forgets its recipient holds them.
        const { event: orphan } = yield* events.find(command)
        const found = yield* deliveries.find(command, true)
        if (Option.isNone(found)) return yield* new LedgerError.DeliveryNotFound({ tenantId })
        yield* Effect.fromResult(Handover.checkVersion(found.value, expectedVersion))
        if (!(yield* hold(command))) return false
        const pairs = yield* links.write([{ orphan, deliveryId }], now)
        yield* deliveries.move(pairs.map(({ orphan }) => ({ tenantId, deliveryId, eventId: orphan.id, at: now })))
        return pairs.length > 0
      })
    )
  })

  const dismiss = Effect.fn("Orphans.dismiss")(function*(key: Orphans.ByHand) {
    const now = yield* DateTime.now
    return yield* transaction(
      key.tenantId,
      Effect.gen(function*() {
        yield* events.find(key)
        if (!(yield* hold(key))) return false
        yield* sql`DELETE FROM ${orphans} WHERE event_id = ${key.eventId}`
        yield* recordAct("dismiss", key.tenantId, key.eventId, null, now, key.actor ?? null)
        return true
      })
    )
  })

  const retry = Effect.fn("Orphans.retry")(function*(key: Orphans.ByHand) {
    const now = yield* DateTime.now
    return yield* transaction(
      key.tenantId,
      Effect.gen(function*() {
        yield* events.find(key)
        const released = yield* sql`
          UPDATE ${orphans} SET next_attempt_at = NULL
          WHERE tenant_id = ${key.tenantId} AND event_id = ${key.eventId} AND next_attempt_at IS NOT NULL
          RETURNING event_id
        `
        if (released.length > 0) yield* recordAct("retry", key.tenantId, key.eventId, null, now, key.actor ?? null)
        return released.length > 0
      })
    )
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
        // What `Commit.forget` says: `Delivery.forget` of the deliveries, `Report.forget` of the orphans that named it.
        const digest = sql`(SELECT ${table("recipient_digest")}(${tenantId}, ${recipient}))`
        // In the order of an append: correlations, the lock that `recipient_pseudonym` and `hold_bound_address` share, deliveries.
        yield* meeting.lockOf(tenantId, recipient)
        yield* sql`SELECT ${table("hold_address")}(${tenantId}, ${recipient})::text`
        yield* sql`
          SELECT 1 FROM ${table("deliveries")} WHERE tenant_id = ${tenantId} AND recipient_digest = ${digest}
          ORDER BY id FOR NO KEY UPDATE
        `
        yield* suppressions.keep(query)
        const erased = yield* sql<{ readonly id: string }>`
          UPDATE ${table("deliveries")} SET recipient = NULL, lock_version = lock_version + 1, updated_at = ${
          Parameters.instant(now)
        }
          WHERE tenant_id = ${tenantId} AND recipient_digest = ${digest} RETURNING id
        `
        const unnamed = yield* sql`
          UPDATE ${orphans} SET recipient_digest = '\\x', ready = false
          WHERE tenant_id = ${tenantId} AND recipient_digest = ${digest} RETURNING event_id
        `
        yield* sql`DELETE FROM ${table("recipients")} WHERE tenant_id = ${tenantId} AND digest = ${digest}`
        // After the ties are gone: who keeps details of an orphan that names the recipient holds one of them.
        yield* details.erase(tenantId, recipient, erased.map(({ id }) => id))
        const forgotten = { deliveries: erased.length, orphans: unnamed.length }
        yield* recordAct("forget", tenantId, null, forgotten, now)
        // The domain goes from the figures too. Last, since whoever follows the feed waits for it.
        if (erased.length > 0) {
          yield* figures.hold
          yield* figures.recount(erased.map(({ id }) => ({ tenantId, deliveryId: Event.DeliveryId.make(id) })))
        }
        return forgotten
      })
    )
  })

  return { linkTo, dismiss, retry, forget }
}
