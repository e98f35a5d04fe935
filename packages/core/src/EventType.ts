/**
 * Defines the closed set of event types and, in two tables side by side, what each does to its delivery and to the suppressions.
 *
 * The fourteen types of a provider are Anymail's (https://anymail.dev/en/stable/sending/tracking/); `dispatched`,
 * `suppressed` and `reconciled` are Waybill's own.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

/**
 * The type of an event, a past-tense fact.
 *
 * @category schemas
 * @since 0.1.0
 */
export const EventType = Schema.Literals([
  "queued",
  "sent",
  "rejected",
  "failed",
  "bounced",
  "deferred",
  "delivered",
  "autoresponded",
  "opened",
  "clicked",
  "complained",
  "unsubscribed",
  "subscribed",
  "unknown",
  "dispatched",
  "suppressed",
  "reconciled"
])

/**
 * The type of an event.
 *
 * @category models
 * @since 0.1.0
 */
export type EventType = typeof EventType.Type

/**
 * A type that can be the last event of a delivery: all but `reconciled`.
 *
 * @category schemas
 * @since 0.1.0
 */
export const LastEventType = Schema.Literals(EventType.literals.filter((type) => type !== "reconciled"))

/**
 * A type that can be the last event of a delivery.
 *
 * @category models
 * @since 0.1.0
 */
export type LastEventType = typeof LastEventType.Type

/**
 * A type that a provider may report: all but the two that only Waybill writes, `dispatched` and `reconciled`.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ReportedType = Schema.Literals(
  EventType.literals.filter((type) => type !== "reconciled" && type !== "dispatched")
)

/**
 * A type that a provider may report.
 *
 * @category models
 * @since 0.1.0
 */
export type ReportedType = typeof ReportedType.Type

/**
 * How far a delivery has come, in the order in which it can only rise.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Status = Schema.Literals(["queued", "dispatched", "sent", "failed", "suppressed"])

/**
 * How far a delivery has come.
 *
 * @category models
 * @since 0.1.0
 */
export type Status = typeof Status.Type

/**
 * The columns of a delivery that hold the earliest time of something.
 *
 * @category constants
 * @since 0.1.0
 */
export const firstTimes = [
  "dispatchedAt",
  "deliveredAt",
  "bouncedAt",
  "complainedAt",
  "suppressedAt",
  "failedAt",
  "openedAt",
  "clickedAt",
  "unsubscribedAt"
] as const

/**
 * A column of a delivery that holds the earliest time of something.
 *
 * @category models
 * @since 0.1.0
 */
export type FirstTime = typeof firstTimes[number]

/**
 * What an event of one type does to its delivery.
 *
 * @category models
 * @since 0.1.0
 */
export interface Impact {
  /** Orders events of the same instant, in the order of a life; -1 comes before all others. */
  readonly rank: number
  /** Which earliest time it sets. */
  readonly firstTime: FirstTime | undefined
  /** Whether it latches `terminal`. */
  readonly terminal: boolean
  /** The status that the delivery has at least. */
  readonly status: Status
  /** Whether it carries an error, which is the delivery's last one where no later event carries another. */
  readonly error: boolean
}

/**
 * What an event of each type does to its delivery.
 *
 * @category constants
 * @since 0.1.0
 */
export const impacts: Readonly<Record<EventType, Impact>> = {
  unknown: { rank: -1, firstTime: undefined, terminal: false, status: "queued", error: false },
  reconciled: { rank: -1, firstTime: undefined, terminal: false, status: "queued", error: false },
  queued: { rank: 0, firstTime: undefined, terminal: false, status: "queued", error: false },
  dispatched: { rank: 1, firstTime: "dispatchedAt", terminal: false, status: "dispatched", error: false },
  sent: { rank: 2, firstTime: undefined, terminal: false, status: "sent", error: false },
  deferred: { rank: 3, firstTime: undefined, terminal: false, status: "queued", error: true },
  delivered: { rank: 4, firstTime: "deliveredAt", terminal: true, status: "sent", error: false },
  opened: { rank: 5, firstTime: "openedAt", terminal: false, status: "sent", error: false },
  clicked: { rank: 6, firstTime: "clickedAt", terminal: false, status: "sent", error: false },
  autoresponded: { rank: 7, firstTime: undefined, terminal: false, status: "sent", error: false },
  subscribed: { rank: 8, firstTime: undefined, terminal: false, status: "sent", error: false },
  unsubscribed: { rank: 9, firstTime: "unsubscribedAt", terminal: false, status: "sent", error: false },
  bounced: { rank: 10, firstTime: "bouncedAt", terminal: true, status: "failed", error: true },
  rejected: { rank: 11, firstTime: "failedAt", terminal: true, status: "failed", error: true },
  failed: { rank: 12, firstTime: "failedAt", terminal: true, status: "failed", error: true },
  complained: { rank: 13, firstTime: "complainedAt", terminal: true, status: "sent", error: false },
  suppressed: { rank: 14, firstTime: "suppressedAt", terminal: true, status: "suppressed", error: false }
}

const softBounce: Impact = { ...impacts.bounced, terminal: false, status: "queued" }

/**
 * What an event does to its delivery; a soft bounce neither latches `terminal` nor raises the status.
 *
 * @category getters
 * @since 0.1.0
 */
export const impact = (type: EventType, isSoft: boolean): Impact =>
  isSoft && type === "bounced" ? softBounce : impacts[type]

/**
 * Why an address must not be mailed.
 *
 * @category schemas
 * @since 0.2.0
 */
export const SuppressionReason = Schema.Literals([
  "complained",
  "bounced",
  "invalid",
  "unsubscribed",
  "manual",
  "soft_bounced"
])

/**
 * Why an address must not be mailed.
 *
 * @category models
 * @since 0.2.0
 */
export type SuppressionReason = typeof SuppressionReason.Type

/**
 * What an event does to the suppressions of the address that it is about.
 *
 * @category models
 * @since 0.2.0
 */
export interface Effect {
  /** The reason that it is a cause of, or that it lifts. */
  readonly reason: SuppressionReason
  /** Whether it is about one stream of mail, not about all. */
  readonly isOfStream: boolean
  /** Whether it lifts the suppression; else it is a cause. */
  readonly lifts: boolean
}

const causes = (reason: SuppressionReason): Effect => ({ reason, isOfStream: reason === "unsubscribed", lifts: false })

/**
 * What the events of each type do to the suppressions, of a bounce by its class, of a rejection by its reason; a type that is not
 * here does nothing.
 *
 * A soft bounce is a cause only as one of several in a row: `Suppression.fold`. A refusal of size or content does nothing:
 * `Suppression.effectOf`.
 *
 * @category constants
 * @since 0.2.0
 */
export const effects = {
  bounced: { hard: causes("bounced"), soft: causes("soft_bounced"), undetermined: causes("soft_bounced") },
  rejected: {
    invalid: causes("invalid"),
    bounced: causes("bounced"),
    spam: causes("complained"),
    unsubscribed: causes("unsubscribed"),
    timed_out: undefined,
    blocked: undefined,
    other: undefined
  },
  complained: causes("complained"),
  unsubscribed: causes("unsubscribed"),
  subscribed: { ...causes("unsubscribed"), lifts: true }
} as const satisfies Readonly<Partial<Record<EventType, unknown>>>

/**
 * The types after which soft bounces are not in a row any longer.
 *
 * @category constants
 * @since 0.2.0
 */
export const resets: ReadonlyArray<EventType> = ["delivered", "opened", "clicked"]
