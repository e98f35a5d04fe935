/**
 * Folds a delivery's events into what is known of it.
 *
 * Projections form a join-semilattice: `merge` is associative, commutative and idempotent and `empty` is its identity, so
 * any order and any repetition of the same events give the same projection.
 *
 * @since 0.1.0
 */
import { type DateTime, Option, Schema } from "effect"
import * as DeliveryError from "./DeliveryError.ts"
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
  /** The error of the latest event that carries one; by type these are `deferred`, `bounced`, `rejected` and `failed`. */
  lastError: Schema.OptionFromNullOr(DeliveryError.DeliveryError),
  lastErrorType: Schema.OptionFromNullOr(EventType.LastEventType),
  lastErrorAt: time,
  lastErrorId: Schema.OptionFromNullOr(Event.EventId),
  /** Whether the last error is one of our own, which any error of a provider replaces. */
  lastErrorOwn: Schema.Boolean,
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
export type Fact = Pick<
  Event.Event,
  "id" | "type" | "occurredAt" | "provider" | "rejectReason" | "bounceClass" | "normalizedPayload"
>

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
  lastError: Option.none(),
  lastErrorType: Option.none(),
  lastErrorAt: Option.none(),
  lastErrorId: Option.none(),
  lastErrorOwn: true,
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

/** The place of an event in the order of which the last is the latest: a provider's above our own, then time, rank, id. */
interface Place {
  readonly own: boolean
  readonly at: Time
  readonly type: Option.Option<EventType.LastEventType>
  readonly id: Option.Option<Event.EventId>
}

/** Whether a place comes after another. */
const isLater = (self: Place, than: Place): boolean => {
  if (Option.isNone(self.at) || Option.isNone(self.type) || Option.isNone(self.id)) return false
  if (Option.isNone(than.at) || Option.isNone(than.type) || Option.isNone(than.id)) return true
  return isAfter(
    self.own,
    self.at.value.epochMilliseconds,
    EventType.impacts[self.type.value].rank,
    self.id.value,
    than.own,
    than.at.value.epochMilliseconds,
    EventType.impacts[than.type.value].rank,
    than.id.value
  )
}

const isAfter = (
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

const placeOfLast = (of: Projection): Place => ({
  own: of.lastEventOwn,
  at: of.lastEventAt,
  type: of.lastEventType,
  id: of.lastEventId
})

const placeOfError = (of: Projection): Place => ({
  own: of.lastErrorOwn,
  at: of.lastErrorAt,
  type: of.lastErrorType,
  id: of.lastErrorId
})

/**
 * The least projection that knows all that both know.
 *
 * @category combining
 * @since 0.1.0
 */
export const merge = (self: Projection, that: Projection): Projection => {
  const last = isLater(placeOfLast(that), placeOfLast(self)) ? that : self
  const error = isLater(placeOfError(that), placeOfError(self)) ? that : self
  return {
    status: higher(self.status, that.status),
    lastEventType: last.lastEventType,
    lastEventAt: last.lastEventAt,
    lastEventId: last.lastEventId,
    lastEventOwn: last.lastEventOwn,
    lastError: error.lastError,
    lastErrorType: error.lastErrorType,
    lastErrorAt: error.lastErrorAt,
    lastErrorId: error.lastErrorId,
    lastErrorOwn: error.lastErrorOwn,
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

/** The latest of some facts so far. */
interface Latest {
  readonly fact: Fact
  readonly type: EventType.LastEventType
  readonly rank: number
}

const isLaterFact = (fact: Fact, rank: number, than: Latest | undefined): boolean =>
  than === undefined || isAfter(
    Event.isOwn(fact),
    fact.occurredAt.epochMilliseconds,
    rank,
    fact.id,
    Event.isOwn(than.fact),
    than.fact.occurredAt.epochMilliseconds,
    than.rank,
    than.fact.id
  )

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
  let last: Latest | undefined
  let error: Latest | undefined
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
    if (isLaterFact(fact, impact.rank, last)) last = { fact, type: fact.type, rank: impact.rank }
    if (impact.error && isLaterFact(fact, impact.rank, error)) error = { fact, type: fact.type, rank: impact.rank }
  }
  // An iterator would allocate a result for every event.
  if (isArray(facts)) facts.forEach(add)
  else for (const fact of facts) add(fact)
  return {
    status,
    lastEventType: last === undefined ? Option.none() : Option.some(last.type),
    lastEventAt: last === undefined ? Option.none() : Option.some(last.fact.occurredAt),
    lastEventId: last === undefined ? Option.none() : Option.some(last.fact.id),
    lastEventOwn: last === undefined || Event.isOwn(last.fact),
    lastError: error === undefined ? Option.none() : Option.some(DeliveryError.ofEvent(error.fact)),
    lastErrorType: error === undefined ? Option.none() : Option.some(error.type),
    lastErrorAt: error === undefined ? Option.none() : Option.some(error.fact.occurredAt),
    lastErrorId: error === undefined ? Option.none() : Option.some(error.fact.id),
    lastErrorOwn: error === undefined || Event.isOwn(error.fact),
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

const isSameError = Option.makeEquivalence(DeliveryError.isSame)

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
  if (!isSameError(left.lastError, right.lastError)) found.push("lastError")
  if (Option.getOrNull(left.lastErrorType) !== Option.getOrNull(right.lastErrorType)) found.push("lastErrorType")
  if (!isSameTime(left.lastErrorAt, right.lastErrorAt)) found.push("lastErrorAt")
  if (Option.getOrNull(left.lastErrorId) !== Option.getOrNull(right.lastErrorId)) found.push("lastErrorId")
  if (left.lastErrorOwn !== right.lastErrorOwn) found.push("lastErrorOwn")
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
