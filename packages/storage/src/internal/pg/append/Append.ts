/**
 * Appends the events of one call, or of several that were made at once: the fast path first, the slow one where that inserts
 * nothing, and an outcome for each event.
 */
import { DeliveryUpdate, type Event, Ledger, type LedgerError, type Tenant, type Timestamp } from "@waybill/core"
import { Effect, Fiber } from "effect"
import * as Arr from "effect/Array"
import * as PgError from "../../../PgError.ts"
import * as Coalescer from "../../Coalescer.ts"
import type { Database } from "../Database.ts"
import type { Deliveries } from "../Deliveries.ts"
import type { Details, Told } from "../Details.ts"
import type { Events } from "../Events.ts"
import type { Meeting } from "../Meeting.ts"
import type { Suppressions } from "../suppressions/Store.ts"
import type { Updates } from "../Updates.ts"
import * as Fast from "./Fast.ts"
import { type Call, factsOf, type Inserted, ofNew, type Report, type Stored, subjectOf } from "./Report.ts"
import * as Slow from "./Slow.ts"

const isHeldUp = (error: LedgerError.LedgerError): boolean =>
  error._tag === "LedgerUnavailable" && error.reason === "timeout"

/** Opens the append of a schema. */
export const make = Effect.fnUntraced(function*(
  database: Database,
  events: Events,
  deliveries: Deliveries,
  meeting: Meeting,
  details: Details,
  { publish }: Updates,
  suppressions: Suppressions
) {
  const { isJoined, sql, statements, transaction } = database
  const fast = Fast.make(database)
  const slow = Slow.make(database, events, deliveries, meeting, suppressions)

  /** Tells of the inserted events. */
  const announce = (calls: ReadonlyArray<Call>, inserted: Inserted) =>
    publish(() =>
      factsOf(calls, inserted).flat().map(({ deliveryId, event }) => DeliveryUpdate.ofEvent(event, deliveryId))
    )

  /** Decides the outcomes of every call, and keeps the details that are not yet kept: of duplicates, or of all. */
  const settle = Effect.fnUntraced(function*(
    tenantId: Tenant.TenantId,
    calls: ReadonlyArray<Call>,
    inserted: Inserted,
    keeping: "duplicates" | "all"
  ) {
    const again = calls.flat().filter(({ event }) => !inserted.has(event.id))
    const stored = again.length === 0 ? new Map<string, Stored>() : yield* slow.findStored(tenantId, again)
    const lost = again.find((report) => !stored.has(subjectOf(report)))
    if (lost !== undefined) return yield* Effect.die(new Error("an event is neither inserted nor stored"))
    const told: Array<Told> = []
    const outcomes = calls.map((call) =>
      call.flatMap((report): ReadonlyArray<Ledger.Outcome> => {
        const { event } = report
        const deliveryId = inserted.get(event.id)
        if (deliveryId !== undefined) {
          if (keeping === "all") told.push({ eventId: event.id, report })
          return [{ _tag: "Appended", eventId: event.id, deliveryId }]
        }
        const known = stored.get(subjectOf(report))
        if (known === undefined) return []
        const outcome = Ledger.repeated(event, known)
        if (!Ledger.isConflict(outcome)) told.push({ eventId: outcome.eventId, report })
        return [outcome]
      })
    )
    yield* details.keep(tenantId, told)
    return outcomes
  })

  /**
   * Goes on in a fiber of its own where its caller is interrupted, so that what is stored is told too; within a caller's
   * transaction it is the caller's to undo.
   */
  const undivided = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.flatMap(
      isJoined,
      (joined) => joined ? effect : Effect.flatMap(Effect.forkDetach(effect, { startImmediately: true }), Fiber.join)
    )

  const run = Effect.fnUntraced(function*(tenantId: Tenant.TenantId, calls: ReadonlyArray<Call>, hurried: boolean) {
    const firsts = new Map<string, Report>()
    for (const call of calls) {
      for (const report of call) {
        if (!firsts.has(report.event.idempotencyKey)) firsts.set(report.event.idempotencyKey, report)
      }
    }
    const reports = Array.from(firsts.values())
    const bound = Fast.isSimple(calls)
      ? yield* undivided(statements(
        tenantId,
        Effect.tap(fast.insert(tenantId, reports, hurried), (inserted) => announce(calls, inserted))
      ))
      : undefined
    if (bound !== undefined && bound.size > 0) {
      return yield* statements(tenantId, settle(tenantId, calls, bound, "duplicates"))
    }
    return yield* transaction(
      tenantId,
      Effect.gen(function*() {
        if (hurried) yield* sql`SELECT set_config('lock_timeout', ${Fast.patience}, true)`
        const inserted = yield* slow.insert(tenantId, reports, calls)
        yield* announce(calls, inserted)
        return yield* settle(tenantId, calls, inserted, "all")
      })
    )
  })

  const coalesced = yield* Coalescer.make({ run, isHeldUp, isLost: PgError.isLost, weigh: (call: Call) => call.length })

  /** Appends checked events; together with other calls that are made at once, but never within a caller's transaction. */
  return Effect.fnUntraced(function*(
    tenantId: Tenant.TenantId,
    given: ReadonlyArray<Event.NewEvent>,
    now: Timestamp.Timestamp
  ) {
    const ids = yield* events.newIds(given.length)
    const call = Arr.zipWith(ids, given, (id, input) => ofNew(input, id, tenantId, now))
    if (!(yield* isJoined)) return yield* coalesced(tenantId, call)
    return (yield* run(tenantId, [call], false)).flat()
  })
})
