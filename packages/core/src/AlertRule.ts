/**
 * States as data when something is wrong with the mail or with what takes its reports.
 *
 * @since 0.2.0
 */
import { Duration, Option, Schema } from "effect"
import * as Delivery from "./Delivery.ts"
import * as Figure from "./Figure.ts"
import type * as Figures from "./Figures.ts"
import * as Mailbox from "./Mailbox.ts"
import * as Provider from "./Provider.ts"
import * as Text from "./Text.ts"

/**
 * The name of a rule.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Name = Schema.Literals([
  "complaints",
  "hard_bounces",
  "blocked",
  "deferrals",
  "slow",
  "silent_provider",
  "silent_stream",
  "refused_webhooks",
  "dead_webhooks",
  "orphans",
  "feed_lag",
  "no_sweep"
])

/**
 * The name of a rule.
 *
 * @category models
 * @since 0.2.0
 */
export type Name = typeof Name.Type

/**
 * What an alert is about, beside its tenant: of each rule the same fields.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Subject = Schema.Struct({
  stream: Schema.optionalKey(Delivery.Stream),
  provider: Schema.optionalKey(Provider.Provider),
  mailbox: Schema.optionalKey(Mailbox.Mailbox),
  domain: Schema.optionalKey(Text.bounded(255)),
  consumer: Schema.optionalKey(Text.bounded(255)),
  schedule: Schema.optionalKey(Text.bounded(255))
})

/**
 * What an alert is about, beside its tenant.
 *
 * @category models
 * @since 0.2.0
 */
export type Subject = typeof Subject.Type

/**
 * The text of a subject, such as `provider=postmark`: two that are equal have the same.
 *
 * @category getters
 * @since 0.2.0
 */
export const textOf = (subject: Subject): string =>
  Object.entries(subject).toSorted(([left], [right]) => left < right ? -1 : 1).map(([name, value]) =>
    `${name}=${value}`
  )
    .join(" ")

/**
 * How a rule measures: a share of a whole, a number, or a time in seconds.
 *
 * @category models
 * @since 0.2.0
 */
export type Measure = "share" | "count" | "seconds"

/**
 * The part of a rule that an operator may set.
 *
 * @category models
 * @since 0.2.0
 */
export interface Limits {
  /** What the measure must be above: a share from 0 to 1, a number, or seconds. */
  readonly line: number
  /** How large the whole of a share must be for it to be judged at all. */
  readonly least: number
  /** The time that is looked at: what was dispatched or has happened within it. */
  readonly window: Duration.Duration
}

/**
 * When something is wrong.
 *
 * @category models
 * @since 0.2.0
 */
export interface Rule extends Limits {
  readonly name: Name
  readonly measure: Measure
  /** What is measured: the end of a sentence that begins with the share, or else the name of the number. */
  readonly says: string
  /** What to do about it. */
  readonly advice: string
  /** Where the line comes from. */
  readonly source: string
}

const ours = "measured against nothing: our own choice"

/**
 * Every rule by its name, with the limits that it has by default.
 *
 * Sources: https://support.google.com/a/answer/81126 and https://senders.yahooinc.com/best-practices/ (complaints below 0.1 %,
 * never 0.3 %), https://docs.aws.amazon.com/ses/latest/dg/reputationdashboardmessages.html (review at 5 % bounces and 0.1 %
 * complaints).
 *
 * @category constants
 * @since 0.2.0
 */
export const defaults: Readonly<Record<Name, Rule>> = {
  complaints: {
    name: "complaints",
    measure: "share",
    line: 0.001,
    least: 200,
    window: Duration.days(7),
    says: "of the delivered mail was complained about",
    advice: "Stop what is sent to those who did not ask for it, and see that unsubscribing is easy.",
    source: "https://support.google.com/a/answer/81126"
  },
  hard_bounces: {
    name: "hard_bounces",
    measure: "share",
    line: 0.05,
    least: 100,
    window: Duration.days(1),
    says: "of the dispatched mail bounced for good",
    advice: "Stop the list that was mailed last: where it comes from, its addresses are not good.",
    source: "https://docs.aws.amazon.com/ses/latest/dg/reputationdashboardmessages.html"
  },
  blocked: {
    name: "blocked",
    measure: "share",
    line: 0.25,
    least: 30,
    window: Duration.hours(6),
    says: "of the mail to the domain bounced",
    advice:
      "See what it answers: waybill find --domain DOMAIN --event bounced. Check SPF, DKIM, DMARC and block lists.",
    source: ours
  },
  deferrals: {
    name: "deferrals",
    measure: "share",
    line: 0.25,
    least: 100,
    window: Duration.hours(6),
    says: "of the dispatched mail was deferred by its mailboxes",
    advice: "Send more slowly to them, and check SPF, DKIM, DMARC and block lists.",
    source: ours
  },
  slow: {
    name: "slow",
    measure: "share",
    line: 0.05,
    least: 100,
    window: Duration.hours(6),
    says: "of the delivered mail took more than half an hour",
    advice: "See whether the provider has an incident, or one mailbox delays the mail: waybill figures --by mailbox.",
    source: ours
  },
  silent_provider: {
    name: "silent_provider",
    measure: "share",
    line: 0.5,
    least: 20,
    window: Duration.hours(6),
    says: "of the mail dispatched by the provider was never heard of",
    advice:
      "See that its webhooks are switched on and reach serve: waybill send-test, and the provider's own log of them.",
    source: ours
  },
  silent_stream: {
    name: "silent_stream",
    measure: "share",
    line: 0.5,
    least: 20,
    window: Duration.hours(6),
    says: "of the mail dispatched on the stream was never heard of",
    advice: "See that the account or server of that stream has webhooks: waybill send-test.",
    source: ours
  },
  refused_webhooks: {
    name: "refused_webhooks",
    measure: "share",
    line: 0.5,
    least: 10,
    window: Duration.minutes(30),
    says: "of the webhooks were refused for their signature",
    advice: "Compare the secret of the settings with the provider's. If it is the same, somebody guesses.",
    source: ours
  },
  dead_webhooks: {
    name: "dead_webhooks",
    measure: "count",
    line: 0,
    least: 0,
    window: Duration.days(1),
    says: "webhooks that were given up",
    advice: "See waybill webhooks list --dead, mend the cause, and process them by waybill webhooks replay --dead.",
    source: ours
  },
  orphans: {
    name: "orphans",
    measure: "count",
    line: 100,
    least: 0,
    window: Duration.hours(1),
    says: "events that have found no delivery for so long",
    advice: "Mail is sent that is not recorded, or deliveries do not learn their message ids: see waybill orphans.",
    source: ours
  },
  feed_lag: {
    name: "feed_lag",
    measure: "seconds",
    line: 900,
    least: 0,
    window: Duration.zero,
    says: "time that the consumer is behind the feed",
    advice: "See its log: it is stopped, too slow, or fails at one event.",
    source: ours
  },
  no_sweep: {
    name: "no_sweep",
    measure: "seconds",
    line: 1800,
    least: 0,
    window: Duration.zero,
    says: "time since a sweep succeeded",
    advice: "See waybill status for why sweeps fail, and that a process of waybill serve runs.",
    source: ours
  }
}

/**
 * What a figure gives to a rule: a part, and the whole that it is of.
 *
 * @category models
 * @since 0.2.0
 */
export interface Share {
  readonly part: number
  readonly of: number
}

/**
 * The names of the rules that read the figures.
 *
 * @category models
 * @since 0.2.0
 */
export type ReadName = Extract<
  Name,
  "complaints" | "hard_bounces" | "blocked" | "deferrals" | "slow" | "silent_provider" | "silent_stream"
>

/**
 * How a rule reads the figures: by what it counts apart, how old the youngest mail is that it judges, and the share.
 *
 * @category models
 * @since 0.2.0
 */
export interface Reading {
  readonly by: ReadonlyArray<Exclude<Figures.Dimension, "tenant">>
  readonly delay: Duration.Duration
  /** The part of a whole that is judged; none where nothing is reported of it. */
  readonly share: (figures: Pick<Figures.GroupFigures, "counts" | "complaints">) => Option.Option<Share>
}

const slowFrom = Figure.bounds.indexOf(Duration.toMillis(Duration.minutes(30)))

const silent: Pick<Reading, "delay" | "share"> = {
  delay: Duration.hours(1),
  share: ({ counts }) => Option.some({ part: counts.silent, of: counts.dispatched })
}

/**
 * How the rules about the mail itself read the figures; the others are about webhooks and schedules.
 *
 * Mail that was dispatched a moment ago is silent anyhow, so that it is not judged for an hour.
 *
 * @category constants
 * @since 0.2.0
 */
export const readings: Readonly<Record<ReadName, Reading>> = {
  complaints: {
    by: ["stream"],
    delay: Duration.zero,
    share: ({ complaints }) =>
      Option.map(complaints, ({ complained, delivered }) => ({ part: complained, of: Math.max(complained, delivered) }))
  },
  hard_bounces: {
    by: ["stream"],
    delay: Duration.zero,
    share: ({ counts }) => Option.some({ part: counts.hardBounced, of: counts.dispatched })
  },
  blocked: {
    by: ["domain"],
    delay: Duration.zero,
    share: ({ counts }) =>
      Option.some({ part: Math.min(counts.hardBounced + counts.softBounced, counts.dispatched), of: counts.dispatched })
  },
  deferrals: {
    by: ["mailbox"],
    delay: Duration.zero,
    share: ({ counts }) => Option.some({ part: counts.deferred, of: counts.dispatched })
  },
  slow: {
    by: ["provider"],
    delay: Duration.zero,
    share: ({ counts: { deliveredWithin } }) => {
      const sum = (counts: ReadonlyArray<number>) => counts.reduce((sum, count) => sum + count, 0)
      return Option.some({ part: sum(deliveredWithin.slice(slowFrom + 1)), of: sum(deliveredWithin) })
    }
  },
  silent_provider: { by: ["provider"], ...silent },
  silent_stream: { by: ["stream"], ...silent }
}

/**
 * The subject of a group of figures; none where it has no provider or domain by which it could be told apart.
 *
 * @category getters
 * @since 0.2.0
 */
export const subjectOf = ({ domain, mailbox, provider, stream }: Figures.Group): Option.Option<Subject> => {
  if ((domain !== undefined && Option.isNone(domain)) || (provider !== undefined && Option.isNone(provider))) {
    return Option.none()
  }
  return Option.some({
    ...stream !== undefined && { stream },
    ...mailbox !== undefined && { mailbox },
    ...provider !== undefined && Option.isSome(provider) && { provider: provider.value },
    ...domain !== undefined && Option.isSome(domain) && { domain: domain.value }
  })
}
