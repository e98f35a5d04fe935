/**
 * Models whom a tenant must not mail, and folds it from events and from acts by hand.
 *
 * The fold is of a set: any order and any repetition of the same facts give the same suppressions. A suppression is of an
 * address, of one stream of mail or of all, and of a reason; it holds where its latest cause is later than its latest lift.
 *
 * @since 0.2.0
 */
import { Context, DateTime, Duration, Option, Schema } from "effect"
import * as Block from "./Block.ts"
import * as Delivery from "./Delivery.ts"
import * as Event from "./Event.ts"
import * as EventType from "./EventType.ts"
import type * as JsonBag from "./JsonBag.ts"
import * as Recipient from "./Recipient.ts"
import * as Text from "./Text.ts"
import * as Timestamp from "./Timestamp.ts"

/**
 * Why an address must not be mailed; of several, the first of these is told.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Reason = EventType.SuppressionReason

/**
 * Why an address must not be mailed.
 *
 * @category models
 * @since 0.2.0
 */
export type Reason = EventType.SuppressionReason

const time = Schema.OptionFromNullOr(Timestamp.Timestamp)

/**
 * That an address must not be mailed, and why; its encoded form is JSON.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Suppression = Schema.Struct({
  /** The address: as it was asked for, in its canonical form in a listing; absent there once forgotten. */
  recipient: Schema.OptionFromNullOr(Recipient.Recipient),
  ...Block.Block.fields,
  /** When it ends on its own; absent where it does not. */
  until: time,
  /** The event that is its latest cause; absent where that was done by hand. */
  eventId: Schema.OptionFromNullOr(Event.EventId)
})

/**
 * That an address must not be mailed, and why.
 *
 * @category models
 * @since 0.2.0
 */
export type Suppression = typeof Suppression.Type

/**
 * What the fold gives: a suppression of an address that its caller knows.
 *
 * @category models
 * @since 0.2.0
 */
export type Held = Omit<Suppression, "recipient">

/**
 * A cause or a lift, of an event or of an act.
 *
 * @category models
 * @since 0.2.0
 */
export interface Fact {
  readonly reason: Reason
  /** The stream that it is about; absent where it is about all. */
  readonly stream: Option.Option<Delivery.Stream>
  readonly lifts: boolean
  readonly at: Timestamp.Timestamp
  /** Orders the facts of one instant. */
  readonly rank: number
  /** The event that it is, or that an act kept. */
  readonly eventId: Option.Option<Event.EventId>
  /** Whether it is an act; the soft bounce of an act is a cause by itself. */
  readonly isAct: boolean
}

/**
 * How many soft bounces in a row suppress an address, over how long at least, and for how long.
 *
 * @category models
 * @since 0.2.0
 */
export interface Softness {
  /** How many in a row. */
  readonly count: number
  /** How long after the first of them the last one is at least. */
  readonly over: Duration.Duration
  /** How long after the last of them the suppression ends. */
  readonly lasts: Duration.Duration
}

/**
 * The rule about soft bounces: five in a row over three days suppress for thirty, unless another is provided.
 *
 * Every process of one ledger is to have the same: what holds is decided where it is asked.
 *
 * @category references
 * @since 0.2.0
 */
export const SoftBounces: Context.Reference<Softness> = Context.Reference<Softness>("@waybill/core/SoftBounces", {
  defaultValue: () => ({ count: 5, over: Duration.days(3), lasts: Duration.days(30) })
})

/** The words by which providers refuse a message for its size or content. */
const ofContent = /large|size|content|attachment|virus/i

/** RFC 3463: too large for the mailbox, too large for the system, and what is wrong with the content. */
const statusOfContent = /^[245]\.(?:2\.3|3\.4|6\.\d+)$/

const isMatch = (pattern: RegExp, said: unknown): boolean => typeof said === "string" && pattern.test(said)

/** Whether an event says that the message was refused for its size or content, which says nothing of the address. */
const isOfContent = ({ event, status, subtype }: JsonBag.JsonBag): boolean =>
  isMatch(ofContent, subtype) || isMatch(ofContent, event) || isMatch(statusOfContent, status)

const effects = EventType.effects

/**
 * What an event does to the suppressions, by the table `EventType.effects`; a bounce of no class is undetermined.
 *
 * @category getters
 * @since 0.2.0
 */
export const effectOf = (
  { bounceClass, normalizedPayload, rejectReason, type }: Pick<
    Event.Event,
    "bounceClass" | "normalizedPayload" | "rejectReason" | "type"
  >
): EventType.Effect | undefined => {
  switch (type) {
    case "bounced":
      return isOfContent(normalizedPayload)
        ? undefined
        : effects.bounced[Option.getOrElse(bounceClass, () => "undetermined" as const)]
    case "rejected":
      return isOfContent(normalizedPayload)
        ? undefined
        : effects.rejected[Option.getOrElse(rejectReason, () => "other" as const)]
    case "complained":
    case "subscribed":
    case "unsubscribed":
      return effects[type]
    default:
      return undefined
  }
}

/**
 * The types that may do something to the suppressions.
 *
 * @category constants
 * @since 0.2.0
 */
export const causing: ReadonlyArray<EventType.EventType> = EventType.EventType.literals.filter((type) =>
  Object.keys(effects).includes(type)
)

/**
 * The stream that an unsubscription is from: never transactional mail, and bulk mail where it is not known.
 *
 * @category getters
 * @since 0.2.0
 */
export const unsubscribedFrom = (of: Option.Option<Delivery.Stream>): Option.Option<Delivery.Stream> =>
  Option.some(Option.getOrElse(of, () => "bulk" as const) === "operational" ? "operational" : "bulk")

/**
 * The fact that an event is about an address; `of` is the stream of its delivery, absent where it has none.
 *
 * @category constructors
 * @since 0.2.0
 */
export const factOf = (
  event: Pick<Event.Event, "id" | "type" | "occurredAt" | "bounceClass" | "rejectReason" | "normalizedPayload">,
  of: Option.Option<Delivery.Stream>
): Option.Option<Fact> => {
  const effect = effectOf(event)
  return effect === undefined ? Option.none() : Option.some({
    reason: effect.reason,
    stream: effect.isOfStream ? unsubscribedFrom(of) : Option.none(),
    lifts: effect.lifts,
    at: event.occurredAt,
    rank: EventType.impacts[event.type].rank,
    eventId: Option.some(event.id),
    isAct: false
  })
}

/**
 * Orders the facts of an address: by when they happened, then by their ranks.
 *
 * @category ordering
 * @since 0.2.0
 */
export const compare = (left: Fact, right: Fact): number =>
  left.at.epochMilliseconds - right.at.epochMilliseconds || left.rank - right.rank ||
  Text.compare(Option.getOrElse(left.eventId, () => ""), Option.getOrElse(right.eventId, () => ""))

/**
 * The latest of some facts.
 *
 * @category getters
 * @since 0.2.0
 */
export const latest = (facts: ReadonlyArray<Fact>): Fact | undefined =>
  facts.reduce<Fact | undefined>(
    (last, fact) => last === undefined || compare(fact, last) > 0 ? fact : last,
    undefined
  )

/** Something that may end a row of soft bounces. */
interface Break {
  readonly at: Timestamp.Timestamp
  readonly rank: number
}

/** The soft bounces that are causes: each at which so many are in a row, over so long. */
const qualified = (
  bounces: ReadonlyArray<Fact>,
  breaks: ReadonlyArray<Break>,
  softness: Softness
): ReadonlyArray<Fact> => {
  const over = Duration.toMillis(softness.over)
  const ends = breaks.toSorted((left, right) =>
    left.at.epochMilliseconds - right.at.epochMilliseconds || left.rank - right.rank
  )
  const found: Array<Fact> = []
  let row: Array<Fact> = []
  let next = 0
  let before: Fact | undefined
  for (const bounce of bounces.toSorted(compare)) {
    // Of one event that is told twice, the second is the first.
    if (before !== undefined && compare(before, bounce) === 0) continue
    before = bounce
    for (let end = ends[next]; end !== undefined; end = ends[++next]) {
      const { epochMilliseconds } = end.at
      if (epochMilliseconds > bounce.at.epochMilliseconds) break
      if (epochMilliseconds === bounce.at.epochMilliseconds && end.rank > bounce.rank) break
      row = []
    }
    row.push(bounce)
    const [first = bounce] = row
    const isOver = bounce.at.epochMilliseconds - first.at.epochMilliseconds >= over
    if (row.length >= softness.count && isOver) found.push(bounce)
  }
  return found
}

/** The later a fact, the higher; a cause and a lift of one instant have different ranks. */
const isLater = (left: Fact, right: Fact): boolean => compare(left, right) > 0

/**
 * The latest of the causes and of the lifts of a reason and scope.
 *
 * @category models
 * @since 0.2.0
 */
export interface Latest {
  readonly cause: Fact | undefined
  readonly lift: Fact | undefined
}

const resetRank = EventType.impacts.clicked.rank

/**
 * The latest cause and lift of each reason and scope, of soft bounces those that are causes by all facts; of the facts that are
 * asked for, or of all.
 *
 * @category folding
 * @since 0.2.0
 */
export const latestOf = (
  facts: ReadonlyArray<Fact>,
  resets: ReadonlyArray<Timestamp.Timestamp>,
  softness: Softness,
  isAsked: (fact: Fact) => boolean = () => true
): ReadonlyArray<Latest> =>
  Array.from(
    Map.groupBy(facts, (fact) => `${fact.reason} ${Option.getOrElse(fact.stream, () => "")}`).values(),
    (own) => {
      const lifts = own.filter((fact) => fact.lifts)
      const causes = own.filter((fact) => !fact.lifts)
      const soft = causes.filter(({ isAct, reason }) => reason === "soft_bounced" && !isAct)
      const others = causes.filter((fact) => !soft.includes(fact))
      const breaks = [...lifts, ...resets.map((at) => ({ at, rank: resetRank }))]
      return {
        cause: latest([...others, ...qualified(soft, breaks, softness)].filter(isAsked)),
        lift: latest(lifts.filter(isAsked))
      }
    }
  )

const reasons = Reason.literals

const streamOrder = (of: Option.Option<Delivery.Stream>): number =>
  Option.isNone(of) ? -1 : Delivery.Stream.literals.indexOf(of.value)

/**
 * Orders the suppressions of one address: by reason as `Reason` lists them, then those of all streams before those of one.
 *
 * @category ordering
 * @since 0.2.0
 */
export const order = (left: Pick<Held, "reason" | "stream">, right: Pick<Held, "reason" | "stream">): number =>
  reasons.indexOf(left.reason) - reasons.indexOf(right.reason) || streamOrder(left.stream) - streamOrder(right.stream)

/**
 * Tells whether two are of one reason and scope.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isAlike = (left: Pick<Held, "reason" | "stream">, right: Pick<Held, "reason" | "stream">): boolean =>
  order(left, right) === 0

/** What holds by some facts, whether it has ended by now or not. */
const heldBy = (
  facts: ReadonlyArray<Fact>,
  resets: ReadonlyArray<Timestamp.Timestamp>,
  softness: Softness
): ReadonlyArray<Held> =>
  latestOf(facts, resets, softness).flatMap(({ cause, lift }): ReadonlyArray<Held> =>
    cause === undefined || (lift !== undefined && !isLater(cause, lift)) ? [] : [{
      reason: cause.reason,
      stream: cause.stream,
      since: cause.at,
      until: cause.reason === "soft_bounced"
        ? Option.some(DateTime.addDuration(cause.at, softness.lasts))
        : Option.none(),
      eventId: cause.eventId
    }]
  ).toSorted(order)

const isOn = ({ until }: Pick<Held, "until">, now: Timestamp.Timestamp): boolean =>
  Option.isNone(until) || now.epochMilliseconds < until.value.epochMilliseconds

/**
 * The suppressions of one address that hold at an instant, by all its facts in any order: the fold.
 *
 * Soft bounces are a cause where `Softness.count` of them are in a row, the last of them `Softness.over` after the first or
 * later, with none of `resets` (when the address was delivered to, or opened or clicked) and no lift between them.
 *
 * @category folding
 * @since 0.2.0
 */
export const fold = (
  facts: ReadonlyArray<Fact>,
  resets: ReadonlyArray<Timestamp.Timestamp>,
  softness: Softness,
  now: Timestamp.Timestamp
): ReadonlyArray<Held> => heldBy(facts, resets, softness).filter((held) => isOn(held, now))

/**
 * Between when and when a fold has to know the resets of an address; none where they decide nothing.
 *
 * @category getters
 * @since 0.2.0
 */
export const asksForResets = (
  facts: ReadonlyArray<Fact>,
  softness: Softness
): Option.Option<{ readonly from: Timestamp.Timestamp; readonly to: Timestamp.Timestamp }> => {
  const soft = facts.filter(({ isAct, lifts, reason }) => reason === "soft_bounced" && !lifts && !isAct)
  const lifts = facts.filter(({ lifts, reason }) => reason === "soft_bounced" && lifts)
  const [first] = soft.toSorted(compare)
  const last = latest(qualified(soft, lifts, softness))
  return first === undefined || last === undefined ? Option.none() : Option.some({ from: first.at, to: last.at })
}

/**
 * Tells whether a suppression keeps mail of a stream from an address: one of all streams or of that one. Having unsubscribed
 * never keeps transactional mail from it.
 *
 * @category predicates
 * @since 0.2.0
 */
export const blocks = ({ reason, stream }: Pick<Held, "reason" | "stream">, of: Delivery.Stream): boolean =>
  (Option.isNone(stream) || stream.value === of) && !(reason === "unsubscribed" && of === "transactional")

/**
 * What keeps mail of a stream from an address, of the suppressions that hold: the first by `order`.
 *
 * @category decisions
 * @since 0.2.0
 */
export const blockOf = (held: ReadonlyArray<Held>, of: Delivery.Stream): Option.Option<Block.Block> => {
  const [first] = held.filter((each) => blocks(each, of)).toSorted(order)
  return first === undefined
    ? Option.none()
    : Option.some({ reason: first.reason, stream: first.stream, since: first.since })
}
