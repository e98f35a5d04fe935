/**
 * Brings events and deliveries together on the row of their correlation.
 *
 * The race between them is closed by its lock, which these take: `Slow.bind` before it looks again and stores an orphan, `Commands.dispatch`
 * before the delivery gets its message id, `Ledger.forget` before its deliveries lose their recipient, and the trigger's function
 * `meet` for other writers.
 *
 * Which delivery an event is about is decided by `Correlation.decide`. Where a statement has to decide for many at once, it
 * states the same rule by the conditions of this module; `meet` and `is_linkable` of the migrations state it too.
 */
import { Correlation, Event, type Recipient, type Tenant } from "@waybill/core"
import { Effect, Option, Schema } from "effect"
import * as Arr from "effect/Array"
import type { Database } from "./Database.ts"
import type { Events } from "./Events.ts"
import * as Parameters from "./Parameters.ts"
import * as Rows from "./Rows.ts"

/** That a delivery `d` has the message id of an event `e`, which echoed no delivery id; see `Correlation.ofEvent`. */
export const sharesMessage = "e.echoed_delivery_id IS NULL AND d.provider = e.provider " +
  "AND d.provider_message_id = e.provider_message_id"

/** That a delivery `d` is the one whose id an event `e` echoed; see `Correlation.ofEvent`. */
export const isEchoed = "d.id = e.echoed_delivery_id"

/** That a delivery `d` is to the recipient of a digest, or that there is no digest; see `Correlation.Candidate`. */
export const isNamedBy = (digest: string): string => `(${digest} IS NULL OR d.recipient_digest = ${digest})`

/** That a delivery `d` is to a recipient, given by its canonical address, or that none is given. */
export const isTo = (quoted: Database["quoted"], recipient: string): string =>
  `(${recipient} IS NULL OR ${quoted("canonical_recipient")}(d.recipient) = ${recipient})`

/** An orphan that a delivery makes linkable, and whether a sweep holds it. */
const WaitingRow = Schema.Struct({ ...Rows.EventRow.fields, isHeld: Schema.Boolean })

const decodeWaiting = Schema.decodeUnknownEffect(Schema.Array(WaitingRow))

/** An orphan with one of the deliveries that have its key. */
const CandidateRow = Schema.Struct({
  ...Rows.EventRow.fields,
  candidateId: Schema.OptionFromNullOr(Event.DeliveryId),
  candidateRecipient: Schema.Literals(["same", "other", "unnamed"])
})

const decodeCandidates = Schema.decodeUnknownEffect(Schema.Array(CandidateRow))

/** How often a dispatch looks again for an orphan that a sweep holds, ten milliseconds apart. */
const turns = 50

/** Opens the correlations of a schema. */
export const make = ({ sql, table }: Database, { columns }: Events) => {
  const deliveries = table("deliveries")
  const events = table("events")
  const orphans = table("orphans")

  /** Locks correlations, in the order of their keys: who writes an event or a delivery of a key holds it until the end. */
  const lock = (tenantId: Tenant.TenantId, keys: ReadonlyArray<Correlation.Key>) =>
    sql`
      INSERT INTO ${table("correlations")} (tenant_id, key)
      SELECT DISTINCT ${tenantId}, key COLLATE "C" AS key FROM unnest(${
      Parameters.texts(keys)
    }) AS given (key) ORDER BY key
      ON CONFLICT (tenant_id, key) DO UPDATE SET key = EXCLUDED.key
    `

  /** Locks the correlations of all deliveries to a recipient, in the same order, before they change: their trigger locks them. */
  const lockOf = (tenantId: Tenant.TenantId, recipient: Recipient.Recipient) =>
    sql`
      INSERT INTO ${table("correlations")} (tenant_id, key)
      SELECT DISTINCT ${tenantId}, own.key COLLATE "C" AS key
      FROM ${deliveries} d CROSS JOIN LATERAL (VALUES
        ('delivery:' || d.id), ('message:' || d.provider || ':' || d.provider_message_id)
      ) own (key)
      WHERE d.tenant_id = ${tenantId}
        AND d.recipient_digest = (SELECT ${
      table("recipient_digest")
    }(${tenantId}, ${recipient})) AND own.key IS NOT NULL
      ORDER BY key
      ON CONFLICT (tenant_id, key) DO UPDATE SET key = EXCLUDED.key
    `

  /**
   * Locks the orphans of a key that a delivery makes linkable, all but those that a sweep holds, and tells which these are:
   * `Report.waitingFor`, by the queue's `ready`.
   */
  const takeWaiting = Effect.fnUntraced(
    function*(tenantId: Tenant.TenantId, key: Correlation.Key, deliveryId: Event.DeliveryId) {
      const matches = (orphan: string) => sql.literal(`${orphan}.ready AND ${isNamedBy(`${orphan}.recipient_digest`)}`)
      // The orphan is locked in a lateral join of its own: SKIP LOCKED on the whole join would hide the held ones.
      const rows = yield* sql`
      SELECT ${columns}, own.event_id IS NULL AS "isHeld"
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
   * Locks the orphans of a key that a delivery makes linkable. One that a sweep holds is waited for, since the sweep passes
   * by the delivery; half a second, since the sweep's process may be frozen and the orphan is then left to another sweep.
   */
  const waiting = Effect.fnUntraced(
    function*(tenantId: Tenant.TenantId, key: Correlation.Key, deliveryId: Event.DeliveryId) {
      let found = yield* takeWaiting(tenantId, key, deliveryId)
      for (let turn = 0; turn < turns && found.some(({ isHeld }) => isHeld); turn++) {
        yield* sql`SELECT pg_sleep(0.01)`
        found = yield* takeWaiting(tenantId, key, deliveryId)
      }
      return found.filter(({ isHeld }) => !isHeld).map((orphan) => ({ orphan, deliveryId }))
    }
  )

  /** Decides which delivery a pending orphan meets now; none where it is not pending. */
  const ofOrphan = Effect.fnUntraced(function*(eventId: Event.EventId) {
    const rows = yield* sql`
      SELECT ${columns}, c.id AS "candidateId",
        CASE
          WHEN o.recipient_digest IS NULL THEN 'unnamed'
          WHEN o.recipient_digest = c.recipient_digest THEN 'same'
          ELSE 'other'
        END AS "candidateRecipient"
      FROM ${orphans} o
      JOIN ${events} e ON e.id = o.event_id
      LEFT JOIN LATERAL (
        SELECT d.id, d.recipient_digest FROM ${deliveries} d
        WHERE d.tenant_id = e.tenant_id AND ${sql.literal(isEchoed)}
        UNION ALL
        SELECT d.id, d.recipient_digest FROM ${deliveries} d
        WHERE d.tenant_id = e.tenant_id AND ${sql.literal(sharesMessage)}
      ) c ON true
      WHERE o.event_id = ${eventId}
    `
    const candidates = (yield* Effect.orDie(decodeCandidates(rows))).map(({ candidateId, candidateRecipient }) =>
      Option.map(candidateId, (deliveryId): Correlation.Candidate => ({ deliveryId, recipient: candidateRecipient }))
    )
    return Correlation.decide(Arr.getSomes(candidates))
  })

  return { lock, lockOf, waiting, ofOrphan }
}

/** The correlations of a schema. */
export type Meeting = ReturnType<typeof make>
