/**
 * Decides what a delivery counts for: in which cohort, and as what. Figures are sums of that, and what is said of them.
 *
 * A delivery counts for the hour in which it was dispatched, whenever something is heard of it: a complaint of today about mail of
 * last week is one of last week. What it counts for is folded from its events, in any order and with any repetition.
 *
 * @since 0.2.0
 */
import { DateTime, Duration, Option, Schema } from "effect"
import * as Delivery from "./Delivery.ts"
import * as Event from "./Event.ts"
import type * as EventType from "./EventType.ts"
import * as Provider from "./Provider.ts"
import * as Tenant from "./Tenant.ts"
import * as Timestamp from "./Timestamp.ts"

/**
 * The part of an event by which its delivery counts.
 *
 * @category models
 * @since 0.2.0
 */
export type Fact = Pick<
  Event.Event,
  "type" | "occurredAt" | "provider" | "rejectReason" | "bounceClass" | "normalizedPayload"
>

/**
 * What can be true of a delivery, in the order of their bits: where a bit stands is stored, so that it never moves.
 *
 * @category constants
 * @since 0.2.0
 */
export const marks = [
  "dispatched",
  "heard",
  "delivered",
  "hardBounced",
  "softBounced",
  "deferred",
  "rejected",
  "complained",
  "unsubscribed",
  "opened",
  "openedByMachine",
  "clicked",
  "suppressed",
  "failed",
  ...Event.RejectReason.literals.map((reason) => `rejected:${reason}` as const)
] as const

/**
 * Something that can be true of a delivery.
 *
 * @category models
 * @since 0.2.0
 */
export type Mark = typeof marks[number]

/**
 * The bit of a mark.
 *
 * @category getters
 * @since 0.2.0
 */
export const bitOf = (mark: Mark): number => 1 << marks.indexOf(mark)

/** What the provider says of who opened or clicked: the name of a machine, where it was one. */
const isMachine = ({ normalizedPayload }: Pick<Fact, "normalizedPayload">): boolean =>
  typeof normalizedPayload["machine"] === "string"

/**
 * The part of a fact on which its marks depend: few values, so that a store can hold a table of all.
 *
 * @category models
 * @since 0.2.0
 */
export interface Kind {
  readonly type: EventType.EventType
  /** Whether Waybill wrote it itself. */
  readonly isOwn: boolean
  readonly isSoft: boolean
  readonly isMachine: boolean
  readonly rejectReason: Option.Option<Event.RejectReason>
}

const kindOf = (fact: Fact): Kind => ({
  type: fact.type,
  isOwn: Event.isOwn(fact),
  isSoft: Option.contains(fact.bounceClass, "soft"),
  isMachine: isMachine(fact),
  rejectReason: fact.rejectReason
})

const none = (): ReadonlyArray<Mark> => []

const always = (mark: Mark) => (): ReadonlyArray<Mark> => [mark]

/** The marks that an event of each type sets. */
const ofType: Readonly<Record<EventType.EventType, (kind: Kind) => ReadonlyArray<Mark>>> = {
  dispatched: always("dispatched"),
  delivered: always("delivered"),
  complained: always("complained"),
  unsubscribed: always("unsubscribed"),
  suppressed: always("suppressed"),
  failed: always("failed"),
  bounced: ({ isSoft }) => [isSoft ? "softBounced" : "hardBounced"],
  // Our own is of an attempt to hand it to a provider.
  deferred: ({ isOwn }) => isOwn ? [] : ["deferred"],
  rejected: ({ rejectReason }) => ["rejected", `rejected:${Option.getOrElse(rejectReason, () => "other" as const)}`],
  opened: ({ isMachine }) => [isMachine ? "openedByMachine" : "opened"],
  clicked: ({ isMachine }) => isMachine ? [] : ["clicked"],
  queued: none,
  sent: none,
  autoresponded: none,
  subscribed: none,
  unknown: none,
  reconciled: none
}

/**
 * The marks that an event of a kind sets, as bits. A provider that says anything of a delivery has it, so that it was dispatched.
 *
 * @category decisions
 * @since 0.2.0
 */
export const bitsOf = (kind: Kind): number =>
  [...ofType[kind.type](kind), ...kind.isOwn ? [] : ["dispatched" as const, "heard" as const]]
    .reduce((bits, mark) => bits | bitOf(mark), 0)

/**
 * The least times to delivered of all but the first part of the histogram, in milliseconds.
 *
 * @category constants
 * @since 0.2.0
 */
export const bounds: ReadonlyArray<number> = [
  ...[1, 2, 5, 10, 20, 30].map((count) => Duration.seconds(count)),
  ...[1, 2, 5, 10, 30].map((count) => Duration.minutes(count)),
  ...[1, 3, 6, 12, 24].map((count) => Duration.hours(count))
].map(Duration.toMillis)

/**
 * How a delivery counts; its encoded form is JSON.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Contribution = Schema.Struct({
  tenantId: Tenant.TenantId,
  deliveryId: Event.DeliveryId,
  /** The beginning of the hour of its cohort. */
  hour: Timestamp.Timestamp,
  stream: Delivery.Stream,
  provider: Schema.OptionFromNullOr(Provider.Provider),
  /** The domain of its recipient; absent once that is forgotten. */
  domain: Schema.OptionFromNullOr(Schema.String),
  /** What is true of it, as bits of `marks`. */
  bits: Schema.Int,
  /** The part of the histogram that it was delivered in. */
  part: Schema.OptionFromNullOr(Schema.Int)
})

/**
 * How a delivery counts.
 *
 * @category models
 * @since 0.2.0
 */
export type Contribution = typeof Contribution.Type

const hourMillis = Duration.toMillis(Duration.hours(1))

const earliest = (facts: ReadonlyArray<Fact>): number =>
  facts.reduce((first, { occurredAt }) => Math.min(first, occurredAt.epochMilliseconds), Infinity)

const ofOne = (type: EventType.EventType) => (facts: ReadonlyArray<Fact>) => facts.filter((fact) => fact.type === type)

const dispatches = ofOne("dispatched")

const deliveries = ofOne("delivered")

/** The first of the providers that reported, by their names. */
const reporter = (facts: ReadonlyArray<Fact>): Option.Option<Provider.Provider> =>
  Option.fromUndefinedOr(facts.flatMap(({ provider }) => Option.toArray(provider)).toSorted()[0])

/**
 * How a delivery counts by its events; nothing where it was neither dispatched, given up nor suppressed.
 *
 * Its cohort is that of its dispatch, or of its first event where we did not dispatch it. A clock that is behind may say that it
 * was delivered before it was dispatched: then it took no time.
 *
 * @category folding
 * @since 0.2.0
 */
export const contributionOf = (
  delivery: Pick<Delivery.Delivery, "id" | "tenantId" | "stream" | "provider" | "recipientDomain">,
  all: ReadonlyArray<Fact>
): Option.Option<Contribution> => {
  const facts = all.filter(({ type }) => type !== "reconciled")
  const bits = facts.reduce((known, fact) => known | bitsOf(kindOf(fact)), 0)
  if (bits === 0) return Option.none()
  const dispatched = earliest(dispatches(facts))
  const delivered = earliest(deliveries(facts))
  const begins = Number.isFinite(dispatched) ? dispatched : earliest(facts)
  const took = delivered - dispatched
  return Option.some({
    tenantId: delivery.tenantId,
    deliveryId: delivery.id,
    hour: DateTime.makeUnsafe(Math.floor(begins / hourMillis) * hourMillis),
    stream: delivery.stream,
    provider: Option.orElse(delivery.provider, () => reporter(facts)),
    domain: delivery.recipientDomain,
    bits,
    part: Number.isFinite(took) ? Option.some(bounds.filter((bound) => bound <= took).length) : Option.none()
  })
}

/**
 * Tells whether two deliveries, or one at two times, count alike.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isSame: (left: Contribution, right: Contribution) => boolean = Schema.toEquivalence(Contribution)

/**
 * What is counted, in the order of a tally: the deliveries of which something is true, those that were dispatched and of which
 * nothing was heard, and those that were delivered within each part of the histogram.
 *
 * @category constants
 * @since 0.2.0
 */
export const tallied: ReadonlyArray<string> = [
  ...marks.filter((mark) => mark !== "heard"),
  "silent",
  ...Array.from({ length: bounds.length + 1 }, (_, part) => `within:${part}`)
]

/**
 * How many deliveries of a cohort there are of each of `tallied`.
 *
 * @category models
 * @since 0.2.0
 */
export type Tally = ReadonlyArray<number>

const [dispatchedBit, heardBit] = [bitOf("dispatched"), bitOf("heard")]

const isSilent = (bits: number): boolean => (bits & dispatchedBit) !== 0 && (bits & heardBit) === 0

/**
 * The tally of one delivery.
 *
 * @category getters
 * @since 0.2.0
 */
export const tallyOf = ({ bits, part }: Pick<Contribution, "bits" | "part">): Tally => [
  ...marks.filter((mark) => mark !== "heard").map((mark) => (bits & bitOf(mark)) === 0 ? 0 : 1),
  isSilent(bits) ? 1 : 0,
  ...Array.from({ length: bounds.length + 1 }, (_, index) => Option.contains(part, index) ? 1 : 0)
]

/**
 * The tally of nothing.
 *
 * @category constants
 * @since 0.2.0
 */
export const noTally: Tally = tallied.map(() => 0)

/**
 * The sum of two tallies.
 *
 * @category folding
 * @since 0.2.0
 */
export const plus = (left: Tally, right: Tally): Tally => left.map((count, index) => count + (right[index] ?? 0))

/**
 * How many deliveries of a cohort came to what: each counts once for whatever happened to it, however often it did.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Counts = Schema.Struct({
  /** Handed to a provider. */
  dispatched: Schema.Int,
  /** Dispatched, and nothing was heard of it since. */
  silent: Schema.Int,
  delivered: Schema.Int,
  /** Bounced for good, which is every bounce that is not soft. */
  hardBounced: Schema.Int,
  softBounced: Schema.Int,
  /** Delayed by the mailbox, as the provider says. */
  deferred: Schema.Int,
  /** Not sent by the provider. */
  rejected: Schema.Int,
  /** `rejected` by the reason. */
  rejectedFor: Schema.Record(Event.RejectReason, Schema.Int),
  complained: Schema.Int,
  unsubscribed: Schema.Int,
  /** Opened by a person. */
  opened: Schema.Int,
  /** Opened by a machine that fetches pictures for people. */
  openedByMachine: Schema.Int,
  /** Clicked by a person. */
  clicked: Schema.Int,
  suppressed: Schema.Int,
  /** Given up, by us or by the provider. */
  failed: Schema.Int,
  /** The histogram of the times from dispatch to delivered: how many within each part that `bounds` divides. */
  deliveredWithin: Schema.Array(Schema.Int)
})

/**
 * How many deliveries of a cohort came to what.
 *
 * @category models
 * @since 0.2.0
 */
export type Counts = typeof Counts.Type

const places = new Map(tallied.map((name, place) => [name, place]))

/**
 * The counts of a tally, by their names.
 *
 * @category getters
 * @since 0.2.0
 */
export const countsOf = (tally: Tally): Counts => {
  const of = (name: Exclude<Mark, "heard"> | "silent" | `within:${number}`): number =>
    tally[places.get(name) ?? -1] ?? 0
  return {
    dispatched: of("dispatched"),
    silent: of("silent"),
    delivered: of("delivered"),
    hardBounced: of("hardBounced"),
    softBounced: of("softBounced"),
    deferred: of("deferred"),
    rejected: of("rejected"),
    rejectedFor: {
      invalid: of("rejected:invalid"),
      bounced: of("rejected:bounced"),
      timed_out: of("rejected:timed_out"),
      blocked: of("rejected:blocked"),
      spam: of("rejected:spam"),
      unsubscribed: of("rejected:unsubscribed"),
      other: of("rejected:other")
    },
    complained: of("complained"),
    unsubscribed: of("unsubscribed"),
    opened: of("opened"),
    openedByMachine: of("openedByMachine"),
    clicked: of("clicked"),
    suppressed: of("suppressed"),
    failed: of("failed"),
    deliveredWithin: Array.from({ length: bounds.length + 1 }, (_, part) => of(`within:${part}`))
  }
}

/**
 * The time within which a share of the deliveries of a histogram were delivered, even within each part; none where none was.
 * What took longer than the last bound counts as that.
 *
 * @category getters
 * @since 0.2.0
 */
export const percentile = (histogram: ReadonlyArray<number>, share: number): Option.Option<Duration.Duration> => {
  const total = histogram.reduce((sum, count) => sum + count, 0)
  if (total === 0) return Option.none()
  let below = 0
  for (const [part, count] of histogram.entries()) {
    if (count > 0 && below + count >= total * share) {
      const from = bounds[part - 1] ?? 0
      const to = bounds[part] ?? from
      return Option.some(Duration.millis(Math.round(from + (to - from) * Math.max(0, total * share - below) / count)))
    }
    below += count
  }
  return Option.some(Duration.millis(bounds.at(-1) ?? 0))
}

/**
 * A part of a whole; none where the whole is nothing.
 *
 * @category getters
 * @since 0.2.0
 */
export const rate = (part: number, whole: number): Option.Option<number> =>
  whole === 0 ? Option.none() : Option.some(part / whole)
