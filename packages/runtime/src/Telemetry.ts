/**
 * Counts what a ledger does, around its port, so that no adapter knows of it.
 *
 * Metrics are Effect's own and are exported where an exporter is configured. Their attributes are those of `Attributes`. What a
 * call inside a transaction of the caller's own did is counted when the call returns, also where that transaction fails later.
 *
 * @since 0.1.0
 */
import { type Event, type EventType, Ledger, Orphans, type Provider, Tenant } from "@waybill/core"
import * as Attributes from "@waybill/core/Attributes"
import { DateTime, Duration, Effect, Exit, Layer, Metric, Option, Schedule, Tracer } from "effect"
import { reasonOf } from "./internal/reason.ts"

const counter = (name: string, description: string) => Metric.counter(name, { description, incremental: true })

/**
 * Provider events that were appended.
 *
 * @category metrics
 * @since 0.1.0
 */
export const eventsAppended = counter("waybill_events_appended", "Provider events appended")

/**
 * Provider events that were in the ledger already.
 *
 * @category metrics
 * @since 0.1.0
 */
export const eventsDuplicate = counter("waybill_events_duplicate", "Provider events that were there already")

/**
 * Provider events that said something else than the stored one of their key.
 *
 * @category metrics
 * @since 0.1.0
 */
export const eventsConflicting = counter("waybill_events_conflicting", "Provider events refused for their key")

/**
 * Appended events that had no delivery yet.
 *
 * @category metrics
 * @since 0.1.0
 */
export const eventsOrphaned = counter("waybill_events_orphaned", "Appended events without a delivery")

/**
 * Orphans that were linked, whoever linked them.
 *
 * @category metrics
 * @since 0.1.0
 */
export const orphansLinked = counter("waybill_orphans_linked", "Orphans linked to their delivery")

/**
 * How long orphans waited that a sweep linked.
 *
 * @category metrics
 * @since 0.1.0
 */
export const timeToLink = Metric.histogram("waybill_time_to_link_seconds", {
  description: "Seconds from the append of an orphan to its link by a sweep",
  boundaries: [1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 21_600, 86_400, 604_800]
})

/**
 * Orphans that wait now, of all tenants.
 *
 * @category metrics
 * @since 0.1.0
 */
export const orphansPending = Metric.gauge("waybill_orphans_pending", { description: "Orphans that wait now" })

/**
 * How long the oldest waiting orphan has waited; 0 where none waits.
 *
 * @category metrics
 * @since 0.1.0
 */
export const oldestOrphanAge = Metric.gauge("waybill_orphans_oldest_age_seconds", {
  description: "Age of the oldest orphan that waits"
})

/**
 * Orphans that wait beyond the horizon, so that no sweep looks at them.
 *
 * @category metrics
 * @since 0.1.0
 */
export const orphansExpired = Metric.gauge("waybill_orphans_expired", { description: "Orphans past the horizon" })

/**
 * How long each run of a schedule took.
 *
 * @category metrics
 * @since 0.1.0
 */
export const sweepDuration = Metric.histogram("waybill_sweep_duration_seconds", {
  description: "Seconds that a run of a schedule took",
  boundaries: [0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600]
})

/**
 * Runs of a schedule that failed.
 *
 * @category metrics
 * @since 0.1.0
 */
export const sweepsFailed = counter("waybill_sweeps_failed", "Runs of a schedule that failed")

/**
 * How long ago the oldest event was appended that a consumer of the feed has not handled; 0 where it has handled all.
 *
 * @category metrics
 * @since 0.1.0
 */
export const feedLag = Metric.gauge("waybill_feed_lag_seconds", {
  description: "Age of the oldest event that a consumer of the feed has not handled"
})

/**
 * Raw webhooks that were deleted after their time.
 *
 * @category metrics
 * @since 0.1.0
 */
export const webhooksPruned = counter("waybill_webhooks_pruned", "Raw webhooks deleted after their time")

/**
 * Updates a metric under attributes of the allow-list.
 *
 * @category updating
 * @since 0.1.0
 */
export const update = <Input, State>(
  metric: Metric.Metric<Input, State>,
  input: Input,
  attributes: Parameters<typeof Attributes.labels>[0] = {}
): Effect.Effect<void> => Metric.update(Metric.withAttributes(metric, Attributes.labels(attributes)), input)

const secondsSince = (now: DateTime.Utc, then: DateTime.Utc): number =>
  Math.max(0, Duration.toSeconds(DateTime.distance(then, now)))

interface Kind {
  readonly provider: Provider.Provider
  readonly event_type: EventType.EventType
}

type Counted = "appended" | "duplicate" | "conflict" | "orphaned"

const counters = {
  appended: eventsAppended,
  duplicate: eventsDuplicate,
  conflict: eventsConflicting,
  orphaned: eventsOrphaned
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

const linkedNow = (count: number) => count > 0 ? update(orphansLinked, count) : Effect.void

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
    yield* Effect.forEach(tallied, ({ count, kind, name }) => update(counters[name], count, kind), { discard: true })
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
      yield* update(orphansLinked, 1, { event_type: type })
      yield* update(timeToLink, secondsSince(now, insertedAt))
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

/**
 * Measures the waiting orphans of all tenants: how many, how old, how many past a horizon. It costs what is pending, so a
 * sweep does not do it.
 *
 * @category measuring
 * @since 0.1.0
 */
export const measureBacklog = Effect.fn("Telemetry.measureBacklog")(function*(horizon: Duration.Input = "7 days") {
  const orphans = yield* Orphans.Orphans
  const now = yield* DateTime.now
  const backlog = yield* orphans.backlog({
    scope: Tenant.all,
    horizon: DateTime.subtractDuration(now, horizon)
  })
  yield* update(orphansPending, backlog.reduce((sum, { pending }) => sum + pending, 0))
  yield* update(orphansExpired, backlog.reduce((sum, { expired }) => sum + expired, 0))
  yield* update(oldestOrphanAge, Math.max(0, ...backlog.map(({ oldest }) => secondsSince(now, oldest))))
  return backlog
})

/**
 * Measures the waiting orphans again and again, every minute where nothing is said; a failure is logged and the next time
 * tried again.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerBacklog = (
  options: { readonly every?: Duration.Input; readonly horizon?: Duration.Input } = {}
): Layer.Layer<never, never, Orphans.Orphans> =>
  Layer.effectDiscard(
    measureBacklog(options.horizon).pipe(
      Effect.catchCause((cause: Parameters<typeof reasonOf>[0]) =>
        Effect.logWarning("backlog not measured").pipe(Effect.annotateLogs({ reason: reasonOf(cause) }))
      ),
      Effect.repeat(Schedule.spaced(options.every ?? "1 minute")),
      Effect.forkScoped
    )
  )

/** A span that tells of a failure no more than a log may. */
const guardSpan = (span: Tracer.Span): Tracer.Span => ({
  _tag: "Span",
  name: span.name,
  spanId: span.spanId,
  traceId: span.traceId,
  parent: span.parent,
  annotations: span.annotations,
  links: span.links,
  sampled: span.sampled,
  kind: span.kind,
  get status() {
    return span.status
  },
  get attributes() {
    return span.attributes
  },
  end: (endTime, exit) => span.end(endTime, Exit.isFailure(exit) ? guardExit(exit) : Exit.void),
  attribute: (key, value) => span.attribute(key, value),
  event: (name, startTime, attributes) => span.event(name, startTime, attributes),
  addLinks: (links) => span.addLinks(links)
})

const guardExit = (exit: Exit.Failure<unknown, unknown>): Exit.Exit<unknown, unknown> =>
  Exit.hasInterrupts(exit) ? exit : Exit.fail(reasonOf(exit.cause))

/**
 * A tracer whose spans tell of a failure no more than a log may: what a database or a handler says may hold an address.
 *
 * @category constructors
 * @since 0.1.0
 */
export const guard = (tracer: Tracer.Tracer): Tracer.Tracer =>
  Tracer.make({
    span: (options) => guardSpan(tracer.span(options)),
    context: tracer.context
  })

/**
 * Puts the guard around the tracer in hand; give it what the exporter's layer provides.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerGuard: Layer.Layer<never> = Layer.effect(Tracer.Tracer, Effect.map(Tracer.Tracer, guard))
