/**
 * States as data when something is wrong with the mail or with what takes its reports, and judges what was counted by it.
 *
 * A share is judged by the lower end of Wilson's interval, so that three bounces of ten say nothing and three hundred of a
 * thousand do. An alert that is open stays open for as long as the share itself is above the line.
 *
 * @since 0.2.0
 */
import { Duration, Option, Schema } from "effect"
import * as Delivery from "./Delivery.ts"
import * as Figure from "./Figure.ts"
import type * as Figures from "./Figures.ts"
import * as Mailbox from "./Mailbox.ts"
import * as Provider from "./Provider.ts"
import * as Tenant from "./Tenant.ts"
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

/** How many standard deviations the interval reaches: one of two hundred is outside on each side by chance. */
const deviations = 2.576

/**
 * The lower end of Wilson's interval of a share: what it is at least, as sure as a few hundred guesses can be.
 *
 * @category getters
 * @since 0.2.0
 */
export const atLeast = ({ of, part }: Share): number => {
  if (of <= 0) return 0
  const share = part / of
  const square = deviations * deviations
  const middle = share + square / (2 * of)
  const spread = deviations * Math.sqrt((share * (1 - share) + square / (4 * of)) / of)
  return Math.max(0, (middle - spread) / (1 + square / of))
}

/**
 * How something stands to its rule: surely over the line, above it without being sure, or not above it.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Level = Schema.Literals(["over", "above", "under"])

/**
 * How something stands to its rule.
 *
 * @category models
 * @since 0.2.0
 */
export type Level = typeof Level.Type

/**
 * What a rule says of one subject.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Judgement = Schema.Struct({
  /** The tenant, or all where it is about the whole installation. */
  tenantId: Schema.Union([Schema.Literal(Tenant.all), Tenant.TenantId]),
  rule: Name,
  subject: Subject,
  level: Level,
  /** What was measured: a share from 0 to 1, a number, or seconds. */
  value: Schema.Finite,
  /** The whole of a share; else 0. */
  of: Schema.Finite,
  line: Schema.Finite
})

/**
 * What a rule says of one subject.
 *
 * @category models
 * @since 0.2.0
 */
export type Judgement = typeof Judgement.Type

/**
 * How often something must have happened for its share to be sure: Wilson's interval is too narrow for what is rare, and by chance
 * two of a few hundred complain somewhere in any month.
 *
 * @category constants
 * @since 0.2.0
 */
export const fewest = 3

/** Whose measure it is, and of what. */
type About = Pick<Judgement, "tenantId" | "subject">

/**
 * Judges a share.
 *
 * @category decisions
 * @since 0.2.0
 */
export const judgeShare = (
  { least, line, name }: Pick<Rule, "name" | "line" | "least">,
  about: About,
  share: Share
): Judgement => {
  const value = share.of <= 0 ? 0 : share.part / share.of
  const isAbove = share.of >= least && value > line
  const isSure = share.part >= fewest && atLeast(share) > line
  const level = isAbove ? isSure ? "over" : "above" : "under"
  return { ...about, rule: name, level, value, of: share.of, line }
}

/**
 * Judges a number or a time.
 *
 * @category decisions
 * @since 0.2.0
 */
export const judgeNumber = ({ line, name }: Pick<Rule, "name" | "line">, about: About, value: number): Judgement => ({
  ...about,
  rule: name,
  level: value > line ? "over" : "under",
  value,
  of: 0,
  line
})

const percent = (share: number): string => `${Number((share * 100).toPrecision(3))} %`

const shown = (measure: Measure, value: number): string =>
  measure === "share"
    ? percent(value)
    : measure === "count"
    ? String(value)
    : Duration.format(Duration.seconds(Math.floor(value)))

/**
 * Says what was measured in a sentence, with the subject and without the tenant.
 *
 * @category getters
 * @since 0.2.0
 */
export const sentence = (
  { line, of, rule, subject, value }: Pick<Judgement, "rule" | "subject" | "value" | "of" | "line">
): string => {
  const { measure, says } = defaults[rule]
  const about = textOf(subject) === "" ? "" : `${textOf(subject)}: `
  const above = `above ${shown(measure, line)}`
  return measure === "share"
    ? `${about}${shown(measure, value)} ${says} (${Math.round(value * of)} of ${of}), ${above}`
    : `${about}${says}: ${shown(measure, value)}, ${above}`
}
