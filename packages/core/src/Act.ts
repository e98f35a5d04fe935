/**
 * Models what is done by hand to the suppressions of an address, and decides what each addition and lift means.
 *
 * @since 0.2.0
 */
import { DateTime, Option, Schema } from "effect"
import * as Delivery from "./Delivery.ts"
import * as Event from "./Event.ts"
import * as EventType from "./EventType.ts"
import * as Suppression from "./Suppression.ts"
import * as Text from "./Text.ts"
import * as Timestamp from "./Timestamp.ts"

/**
 * Says what is wrong with a text that is kept with an act, where it names an address.
 *
 * @category validation
 * @since 0.2.0
 */
export const namesNoAddress = (text: string): string | undefined =>
  text.includes("@") ? "must not name an address" : undefined

/**
 * Who did something by hand, and why: bounded text that names no address.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Because = Text.bounded(1000).check(Schema.makeFilter(namesNoAddress))

/**
 * What was done by hand to the suppressions of one address; its encoded form is JSON.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Act = Schema.Struct({
  /** `keep`: what had been known of an address when it was forgotten. */
  kind: Schema.Literals(["add", "lift", "keep"]),
  reason: Suppression.Reason,
  /** The stream that it is about; absent where it is about all. */
  stream: Schema.OptionFromNullOr(Delivery.Stream),
  lifts: Schema.Boolean,
  /** When it takes effect: a lift not before what it lifts, an addition not before what had lifted it. */
  at: Timestamp.Timestamp,
  /** When it was done, by our clock. */
  actedAt: Timestamp.Timestamp,
  /** Who did it; absent for what was kept. */
  actor: Schema.OptionFromNullOr(Because),
  because: Schema.OptionFromNullOr(Because),
  /** The event that was kept. */
  eventId: Schema.OptionFromNullOr(Event.EventId)
})

/**
 * What was done by hand to the suppressions of one address.
 *
 * @category models
 * @since 0.2.0
 */
export type Act = typeof Act.Type

/** A lift by hand comes after all else of its instant; what was kept comes where its event did. */
const rankOf = ({ kind, lifts }: Pick<Act, "kind" | "lifts">): number => {
  if (kind === "keep") return EventType.impacts[lifts ? "subscribed" : "complained"].rank
  return kind === "lift" ? 99 : 98
}

/**
 * The fact that an act is.
 *
 * @category constructors
 * @since 0.2.0
 */
export const factOf = (act: Act): Suppression.Fact => ({
  reason: act.reason,
  stream: act.stream,
  lifts: act.lifts,
  at: act.at,
  rank: rankOf(act),
  eventId: act.eventId,
  isAct: true
})

/**
 * What is kept of the events of an address when it is forgotten: the latest cause and the latest lift of each reason and scope,
 * as acts. What was done by hand stays as it is, and ends a row of soft bounces here as it does in the fold.
 *
 * @category decisions
 * @since 0.2.0
 */
export const kept = (
  facts: ReadonlyArray<Suppression.Fact>,
  resets: ReadonlyArray<Timestamp.Timestamp>,
  softness: Suppression.Softness,
  actedAt: Timestamp.Timestamp
): ReadonlyArray<Act> =>
  Suppression.latestOf(facts, resets, softness, ({ isAct }) => !isAct)
    .flatMap(({ cause, lift }) => [cause, lift].filter((fact) => fact !== undefined))
    .toSorted((left, right) => Suppression.order(left, right) || Suppression.compare(left, right))
    .map(({ at, eventId, lifts, reason, stream }) => ({
      kind: "keep",
      reason,
      stream,
      lifts,
      at,
      actedAt,
      actor: Option.none(),
      because: Option.none(),
      eventId
    }))

/**
 * Where an addition or a lift by hand stands: an unsubscription from transactional mail is one from bulk mail.
 *
 * @category getters
 * @since 0.2.0
 */
export const scopeOf = (
  { reason, stream }: Pick<Suppression.Held, "reason" | "stream">
): Option.Option<Delivery.Stream> =>
  reason === "unsubscribed" && Option.isSome(stream) ? Suppression.unsubscribedFrom(stream) : stream

/** The latest lift of a reason and scope. */
const liftedAt = (
  facts: ReadonlyArray<Suppression.Fact>,
  { reason, stream }: Pick<Suppression.Held, "reason" | "stream">
): Option.Option<Timestamp.Timestamp> =>
  Option.map(
    Option.fromUndefinedOr(
      Suppression.latest(facts.filter((fact) => fact.lifts && Suppression.isAlike(fact, { reason, stream })))
    ),
    ({ at }) => at
  )

/**
 * What an addition did: it holds now; or one that is as late held already; or it says nothing of today, since it was lifted
 * later or has ended. Only the first is written.
 *
 * @category models
 * @since 0.2.0
 */
export type Addition =
  | { readonly _tag: "Added"; readonly act: Act }
  | { readonly _tag: "Held" }
  | { readonly _tag: "Lapsed" }

/**
 * Decides what an addition by hand means for an address, by what is known of it. Without a time of its own it happens now, and
 * after what had lifted it.
 *
 * @category decisions
 * @since 0.2.0
 */
export const add = (
  given: {
    readonly reason: Suppression.Reason
    readonly stream: Option.Option<Delivery.Stream>
    readonly since: Option.Option<Timestamp.Timestamp>
    readonly actor: string
    readonly because: Option.Option<string>
  },
  known: { readonly facts: ReadonlyArray<Suppression.Fact>; readonly resets: ReadonlyArray<Timestamp.Timestamp> },
  softness: Suppression.Softness,
  now: Timestamp.Timestamp
): Addition => {
  const { actor, because, reason } = given
  const stream = scopeOf(given)
  const isSame = (held: Suppression.Held): boolean => Suppression.isAlike(held, { reason, stream })
  const lifted = liftedAt(known.facts, { reason, stream })
  const afterLift = Option.match(lifted, {
    onNone: () => now,
    onSome: (at) => at.epochMilliseconds < now.epochMilliseconds ? now : DateTime.add(at, { milliseconds: 1 })
  })
  const at = Option.getOrElse(given.since, () => afterLift)
  const held = Suppression.fold(known.facts, known.resets, softness, now).find(isSame)
  if (held !== undefined && (Option.isNone(given.since) || held.since.epochMilliseconds >= at.epochMilliseconds)) {
    return { _tag: "Held" }
  }
  const act: Act = {
    kind: "add",
    reason,
    stream,
    lifts: false,
    at,
    actedAt: now,
    actor: Option.some(actor),
    because,
    eventId: Option.none()
  }
  const after = Suppression.fold([...known.facts, factOf(act)], known.resets, softness, now).find(isSame)
  return after === undefined ? { _tag: "Lapsed" } : { _tag: "Added", act }
}

/**
 * The acts that lift what holds of an address for a reason, on one stream or wherever it holds; none where nothing does. Each
 * takes effect now, and not before what it lifts.
 *
 * @category decisions
 * @since 0.2.0
 */
export const lift = (
  given: {
    readonly reason: Suppression.Reason
    readonly stream: Option.Option<Delivery.Stream>
    readonly actor: string
    readonly because: Option.Option<string>
  },
  known: { readonly facts: ReadonlyArray<Suppression.Fact>; readonly resets: ReadonlyArray<Timestamp.Timestamp> },
  softness: Suppression.Softness,
  now: Timestamp.Timestamp
): { readonly lifted: ReadonlyArray<Suppression.Held>; readonly acts: ReadonlyArray<Act> } => {
  const { actor, because, reason } = given
  const stream = scopeOf(given)
  const lifted = Suppression.fold(known.facts, known.resets, softness, now).filter((held) =>
    held.reason === reason && (Option.isNone(stream) || Suppression.isAlike(held, { reason, stream }))
  )
  const acts = lifted.map(({ since, stream }): Act => ({
    kind: "lift",
    reason,
    stream,
    lifts: true,
    at: since.epochMilliseconds > now.epochMilliseconds ? since : now,
    actedAt: now,
    actor: Option.some(actor),
    because,
    eventId: Option.none()
  }))
  return { lifted, acts }
}
