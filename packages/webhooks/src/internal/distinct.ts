/**
 * Appends events of which several may have one key, because a provider gave one id to all of them.
 *
 * The first to come has the key. One that the provider names otherwise than the stored one gets a finer key of its own, made
 * of the key and the name. So whatever was stored under a key stays under it, and an event that comes again meets itself, in
 * whatever order and batch. One of the same name that says something else stays a conflict.
 */
import { type Event, EventName, type IdempotencyKey, Ledger, type Tenant } from "@waybill/core"
import { Effect } from "effect"
import * as Report from "./report.ts"

/** What became of some events, the keys of which may be finer than those that were given. */
export interface Appended {
  readonly events: ReadonlyArray<Event.NewEvent>
  readonly outcomes: ReadonlyArray<Ledger.Outcome>
}

const finerKey = (event: Event.NewEvent): IdempotencyKey.IdempotencyKey => {
  const { event: name, subtype } = EventName.of(event)
  return Report.digestKey(event.provider, JSON.stringify(["named", event.idempotencyKey, name, subtype]))
}

/** The events that have the key of another event, under their finer keys, each with its index. */
const apart = ({ events, outcomes }: Appended): ReadonlyMap<number, Event.NewEvent> =>
  new Map(
    outcomes.flatMap((outcome, index) => {
      const event = events[index]
      return event !== undefined && Ledger.isConflict(outcome) &&
          EventName.isApart(EventName.of(event), outcome.storedName)
        ? [[index, { ...event, idempotencyKey: finerKey(event) }] as const]
        : []
    })
  )

/** Appends events, and those that have the key of another event once more under finer keys. */
export const append = Effect.fnUntraced(function*(
  ledger: Ledger.Ledger["Service"],
  tenantId: Tenant.TenantId,
  events: ReadonlyArray<Event.NewEvent>
) {
  const first: Appended = { events, outcomes: yield* ledger.append(tenantId, events) }
  const finer = apart(first)
  if (finer.size === 0) return first
  const again = [...finer.keys()]
  const outcomes = yield* ledger.append(tenantId, [...finer.values()])
  const both: Appended = {
    events: events.map((event, index) => finer.get(index) ?? event),
    outcomes: first.outcomes.map((outcome, index) => outcomes[again.indexOf(index)] ?? outcome)
  }
  return both
})
