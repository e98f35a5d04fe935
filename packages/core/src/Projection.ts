/**
 * Folds a delivery's events into what is known of it.
 *
 * Projections form a join-semilattice: `merge` is associative, commutative and idempotent and `empty` is its identity, so
 * any order and any repetition of the same events give the same projection.
 *
 * @since 0.1.0
 */
import { type DateTime, Option, Schema } from "effect"
import * as Event from "./Event.ts"
import * as EventType from "./EventType.ts"
import * as Timestamp from "./Timestamp.ts"

const time = Schema.OptionFromNullOr(Timestamp.Timestamp)

/**
 * The fields of a projection, which are columns of its delivery.
 *
 * @category schemas
 * @since 0.1.0
 */
export const fields = {
  status: EventType.Status,
  lastEventType: Schema.OptionFromNullOr(EventType.LastEventType),
  lastEventAt: time,
  lastEventId: Schema.OptionFromNullOr(Event.EventId),
  /** Whether the last event is one of our own, which any event of a provider replaces. */
  lastEventOwn: Schema.Boolean,
  terminal: Schema.Boolean,
  dispatchedAt: time,
  deliveredAt: time,
  bouncedAt: time,
  complainedAt: time,
  suppressedAt: time,
  failedAt: time,
  openedAt: time,
  clickedAt: time,
  unsubscribedAt: time
}

/**
 * What is known of a delivery from its events.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Projection = Schema.Struct(fields)

/**
 * What is known of a delivery from its events.
 *
 * @category models
 * @since 0.1.0
 */
export type Projection = typeof Projection.Type

/**
 * The part of an event that a projection depends on.
 *
 * @category models
 * @since 0.1.0
 */
export type Fact = Pick<Event.Event, "id" | "type" | "occurredAt" | "provider" | "bounceClass">

/**
 * The projection of no event.
 *
 * @category constants
 * @since 0.1.0
 */
export const empty: Projection = {
  status: "queued",
  lastEventType: Option.none(),
  lastEventAt: Option.none(),
  lastEventId: Option.none(),
  lastEventOwn: true,
  terminal: false,
  dispatchedAt: Option.none(),
  deliveredAt: Option.none(),
  bouncedAt: Option.none(),
  complainedAt: Option.none(),
  suppressedAt: Option.none(),
  failedAt: Option.none(),
  openedAt: Option.none(),
  clickedAt: Option.none(),
  unsubscribedAt: Option.none()
}

const heights: Readonly<Record<EventType.Status, number>> = {
  queued: 0,
  dispatched: 1,
  sent: 2,
  failed: 3,
  suppressed: 4
}

const higher = (left: EventType.Status, right: EventType.Status): EventType.Status =>
  heights[right] > heights[left] ? right : left

type Time = Option.Option<DateTime.Utc>

const earlier = (left: Time, right: Time): Time => {
  if (Option.isNone(right)) return left
  if (Option.isNone(left)) return right
  return right.value.epochMilliseconds < left.value.epochMilliseconds ? right : left
}

/** Whether the last event (own, at, rank, id) comes after another: a provider's above our own, then time, rank, id. */
const isLater = (
  own: boolean,
  at: number,
  rank: number,
  id: Event.EventId,
  thanOwn: boolean,
  thanAt: number,
  thanRank: number,
  thanId: Event.EventId
): boolean => {
  if (own !== thanOwn) return thanOwn
  if (at !== thanAt) return at > thanAt
  return rank === thanRank ? id > thanId : rank > thanRank
}

const hasLaterLast = (self: Projection, than: Projection): boolean => {
  if (Option.isNone(self.lastEventAt) || Option.isNone(self.lastEventType) || Option.isNone(self.lastEventId)) {
    return false
  }
  if (Option.isNone(than.lastEventAt) || Option.isNone(than.lastEventType) || Option.isNone(than.lastEventId)) {
    return true
  }
  return isLater(
    self.lastEventOwn,
    self.lastEventAt.value.epochMilliseconds,
    EventType.impacts[self.lastEventType.value].rank,
    self.lastEventId.value,
    than.lastEventOwn,
    than.lastEventAt.value.epochMilliseconds,
    EventType.impacts[than.lastEventType.value].rank,
    than.lastEventId.value
  )
}

/**
 * The least projection that knows all that both know.
 *
 * @category combining
 * @since 0.1.0
 */
export const merge = (self: Projection, that: Projection): Projection => {
  const last = hasLaterLast(that, self) ? that : self
  return {
    status: higher(self.status, that.status),
    lastEventType: last.lastEventType,
    lastEventAt: last.lastEventAt,
    lastEventId: last.lastEventId,
    lastEventOwn: last.lastEventOwn,
    terminal: self.terminal || that.terminal,
    dispatchedAt: earlier(self.dispatchedAt, that.dispatchedAt),
    deliveredAt: earlier(self.deliveredAt, that.deliveredAt),
    bouncedAt: earlier(self.bouncedAt, that.bouncedAt),
    complainedAt: earlier(self.complainedAt, that.complainedAt),
    suppressedAt: earlier(self.suppressedAt, that.suppressedAt),
    failedAt: earlier(self.failedAt, that.failedAt),
    openedAt: earlier(self.openedAt, that.openedAt),
    clickedAt: earlier(self.clickedAt, that.clickedAt),
    unsubscribedAt: earlier(self.unsubscribedAt, that.unsubscribedAt)
  }
}

const isArray: (facts: Iterable<Fact>) => facts is ReadonlyArray<Fact> = Array.isArray

/**
 * The projection of many events, in any order, in one pass and constant space.
 *
 * @category folding
 * @since 0.1.0
 */
export const fold = (facts: Iterable<Fact>): Projection => {
  let status: EventType.Status = "queued"
  let terminal = false
  let last: Fact | undefined
  let lastType: EventType.LastEventType = "unknown"
  let lastRank = 0
  const times: Partial<Record<EventType.FirstTime, DateTime.Utc>> = {}
  const add = (fact: Fact): void => {
    if (fact.type === "reconciled") return
    const impact = EventType.impact(fact.type, isSoft(fact))
    status = higher(status, impact.status)
    terminal = terminal || impact.terminal
    if (impact.firstTime !== undefined) {
      const known = times[impact.firstTime]
      if (known === undefined || fact.occurredAt.epochMilliseconds < known.epochMilliseconds) {
        times[impact.firstTime] = fact.occurredAt
      }
    }
    if (
      last === undefined || isLater(
        Event.isOwn(fact),
        fact.occurredAt.epochMilliseconds,
        impact.rank,
        fact.id,
        Event.isOwn(last),
        last.occurredAt.epochMilliseconds,
        lastRank,
        last.id
      )
    ) {
      last = fact
      lastType = fact.type
      lastRank = impact.rank
    }
  }
  // An iterator would allocate a result for every event.
  if (isArray(facts)) facts.forEach(add)
  else for (const fact of facts) add(fact)
  return {
    status,
    lastEventType: last === undefined ? Option.none() : Option.some(lastType),
    lastEventAt: last === undefined ? Option.none() : Option.some(last.occurredAt),
    lastEventId: last === undefined ? Option.none() : Option.some(last.id),
    lastEventOwn: last === undefined || Event.isOwn(last),
    terminal,
    dispatchedAt: Option.fromUndefinedOr(times.dispatchedAt),
    deliveredAt: Option.fromUndefinedOr(times.deliveredAt),
    bouncedAt: Option.fromUndefinedOr(times.bouncedAt),
    complainedAt: Option.fromUndefinedOr(times.complainedAt),
    suppressedAt: Option.fromUndefinedOr(times.suppressedAt),
    failedAt: Option.fromUndefinedOr(times.failedAt),
    openedAt: Option.fromUndefinedOr(times.openedAt),
    clickedAt: Option.fromUndefinedOr(times.clickedAt),
    unsubscribedAt: Option.fromUndefinedOr(times.unsubscribedAt)
  }
}

const isSoft = (fact: Fact): boolean => Option.isSome(fact.bounceClass) && fact.bounceClass.value === "soft"

/**
 * The projection of one event; `reconciled` gives `empty`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const ofEvent = (fact: Fact): Projection => fold([fact])

/**
 * The projection after some more events.
 *
 * @category folding
 * @since 0.1.0
 */
export const evolve = (self: Projection, facts: Iterable<Fact>): Projection => merge(self, fold(facts))

const isSameTime = (left: Time, right: Time): boolean =>
  Option.isNone(left)
    ? Option.isNone(right)
    : Option.isSome(right) && left.value.epochMilliseconds === right.value.epochMilliseconds

/**
 * The names of the fields in which two projections differ, in the order of `fields`.
 *
 * @category predicates
 * @since 0.1.0
 */
export const differences = (left: Projection, right: Projection): ReadonlyArray<keyof Projection> => {
  const found: Array<keyof Projection> = []
  if (left.status !== right.status) found.push("status")
  if (Option.getOrNull(left.lastEventType) !== Option.getOrNull(right.lastEventType)) found.push("lastEventType")
  if (!isSameTime(left.lastEventAt, right.lastEventAt)) found.push("lastEventAt")
  if (Option.getOrNull(left.lastEventId) !== Option.getOrNull(right.lastEventId)) found.push("lastEventId")
  if (left.lastEventOwn !== right.lastEventOwn) found.push("lastEventOwn")
  if (left.terminal !== right.terminal) found.push("terminal")
  for (const name of EventType.firstTimes) {
    if (!isSameTime(left[name], right[name])) found.push(name)
  }
  return found
}

/**
 * Tells whether two projections know the same.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isSame = (left: Projection, right: Projection): boolean => differences(left, right).length === 0
