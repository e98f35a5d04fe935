/**
 * Counts what the ports do, around them, so that no adapter knows of it, and says so in spans.
 *
 * A call inside a transaction of the caller's own is counted when it returns, also where that transaction fails later.
 *
 * @since 0.1.0
 */
import { type Event, type EventType, Ledger, Orphans, type Provider } from "@waybill/core"
import * as Attributes from "@waybill/core/Attributes"
import { DateTime, Effect, Layer, type Metric, Option } from "effect"
import { secondsAt } from "./internal/age.ts"
import * as Metrics from "./Metrics.ts"

interface Kind {
  readonly provider: Provider.Provider
  readonly event_type: EventType.EventType
}

type Counted = "appended" | "duplicate" | "conflict" | "orphaned"

const counters = {
  appended: Metrics.eventsAppended,
  duplicate: Metrics.eventsDuplicate,
  conflict: Metrics.eventsConflicting,
  orphaned: Metrics.eventsOrphaned
} satisfies Record<Counted, Metric.Counter<number>>

const countedAs = (outcome: Ledger.Outcome): ReadonlyArray<Counted> => {
  if (Ledger.isConflict(outcome)) return ["conflict"]
  if (outcome._tag === "Duplicate") return ["duplicate"]
  return Option.isNone(outcome.deliveryId) ? ["appended", "orphaned"] : ["appended"]
}

/** One entry for each counter and kind of event, so that a batch updates each once. */
const tally = (
  events: ReadonlyArray<Event.NewEvent>,
  outcomes: ReadonlyArray<Ledger.Outcome>
): ReadonlyArray<{ readonly name: Counted; readonly kind: Kind; readonly count: number }> => {
  const found = new Map<string, { readonly name: Counted; readonly kind: Kind; readonly count: number }>()
  for (const [index, outcome] of outcomes.entries()) {
    const event = events[index]
    if (event === undefined) continue
    const kind = { provider: event.provider, event_type: event.type }
    for (const name of countedAs(outcome)) {
      const key = `${name} ${kind.provider} ${kind.event_type}`
      found.set(key, { name, kind, count: (found.get(key)?.count ?? 0) + 1 })
    }
  }
  return Array.from(found.values())
}

const sumOf = (tallied: ReturnType<typeof tally>, name: Counted): number =>
  tallied.reduce((sum, each) => each.name === name ? sum + each.count : sum, 0)

const linkedNow = (count: number) => count > 0 ? Metrics.update(Metrics.orphansLinked, count) : Effect.void

/**
 * A ledger that counts what the one it wraps does, and says so in its spans.
 *
 * @category constructors
 * @since 0.1.0
 */
export const wrap = (inner: Ledger.Ledger["Service"]): Ledger.Ledger["Service"] => {
  const record: typeof inner.record = Effect.fn("Telemetry.record")(function*(delivery) {
    const recorded = yield* inner.record(delivery)
    yield* linkedNow(recorded.linked)
    yield* Attributes.annotateSpan({ tenant_id: delivery.tenantId, linked: recorded.linked })
    return recorded
  })

  const dispatch: typeof inner.dispatch = Effect.fn("Telemetry.dispatch")(function*(command) {
    const dispatched = yield* inner.dispatch(command)
    yield* linkedNow(dispatched.linked)
    yield* Attributes.annotateSpan({
      tenant_id: command.tenantId,
      provider: command.provider,
      linked: dispatched.linked
    })
    return dispatched
  })

  const append: typeof inner.append = Effect.fn("Telemetry.append")(function*(tenantId, events) {
    const outcomes = yield* inner.append(tenantId, events)
    const tallied = tally(events, outcomes)
    yield* Effect.forEach(tallied, ({ count, kind, name }) => Metrics.update(counters[name], count, kind), {
      discard: true
    })
    yield* Attributes.annotateSpan({
      tenant_id: tenantId,
      appended: sumOf(tallied, "appended"),
      duplicate: sumOf(tallied, "duplicate"),
      conflict: sumOf(tallied, "conflict"),
      orphaned: sumOf(tallied, "orphaned")
    })
    return outcomes
  })

  return Ledger.Ledger.of({ ...inner, record, dispatch, append })
}

/**
 * Orphans that count what those they wrap do, and say so in their spans.
 *
 * @category constructors
 * @since 0.2.0
 */
export const wrapOrphans = (inner: Orphans.Orphans["Service"]): Orphans.Orphans["Service"] => {
  const link: typeof inner.link = Effect.fn("Telemetry.link")(function*(query) {
    const linked = yield* inner.link(query)
    const now = yield* DateTime.now
    for (const { insertedAt, type } of linked.links) {
      yield* Metrics.update(Metrics.orphansLinked, 1, { event_type: type })
      yield* Metrics.update(Metrics.timeToLink, secondsAt(now, insertedAt))
    }
    yield* Attributes.annotateSpan({ scanned: linked.scanned, linked: linked.links.length, failed: linked.failed })
    return linked
  })

  const linkTo: typeof inner.linkTo = Effect.fn("Telemetry.linkTo")(function*(key) {
    const isLinked = yield* inner.linkTo(key)
    yield* linkedNow(isLinked ? 1 : 0)
    yield* Attributes.annotateSpan({ tenant_id: key.tenantId, linked: isLinked ? 1 : 0 })
    return isLinked
  })

  return Orphans.Orphans.of({ ...inner, link, linkTo })
}

/**
 * Puts the counting around a ledger and its orphans.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<
  Ledger.Ledger | Orphans.Orphans,
  never,
  Ledger.Ledger | Orphans.Orphans
> = Layer.merge(
  Layer.effect(Ledger.Ledger, Effect.map(Ledger.Ledger, wrap)),
  Layer.effect(Orphans.Orphans, Effect.map(Orphans.Orphans, wrapOrphans))
)
