/**
 * Judges what was counted by the rules of alerts, and says it in a sentence.
 *
 * A share is judged by the lower end of Wilson's interval, so that three bounces of ten say nothing and three hundred of a
 * thousand do. An alert that is open stays open for as long as the share itself is above the line.
 *
 * @since 0.2.0
 */
import { Duration, Schema } from "effect"
import * as AlertRule from "./AlertRule.ts"
import * as Tenant from "./Tenant.ts"

/** How many standard deviations the interval reaches: one of two hundred is outside on each side by chance. */
const deviations = 2.576

/**
 * The lower end of Wilson's interval of a share: what it is at least, as sure as a few hundred guesses can be.
 *
 * @category getters
 * @since 0.2.0
 */
export const atLeast = ({ of, part }: AlertRule.Share): number => {
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
  rule: AlertRule.Name,
  subject: AlertRule.Subject,
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
  { least, line, name }: Pick<AlertRule.Rule, "name" | "line" | "least">,
  about: About,
  share: AlertRule.Share
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
export const judgeNumber = (
  { line, name }: Pick<AlertRule.Rule, "name" | "line">,
  about: About,
  value: number
): Judgement => ({
  ...about,
  rule: name,
  level: value > line ? "over" : "under",
  value,
  of: 0,
  line
})

const percent = (share: number): string => `${Number((share * 100).toPrecision(3))} %`

const shown = (measure: AlertRule.Measure, value: number): string =>
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
  const { measure, says } = AlertRule.defaults[rule]
  const about = AlertRule.textOf(subject) === "" ? "" : `${AlertRule.textOf(subject)}: `
  const above = `above ${shown(measure, line)}`
  return measure === "share"
    ? `${about}${shown(measure, value)} ${says} (${Math.round(value * of)} of ${of}), ${above}`
    : `${about}${says}: ${shown(measure, value)}, ${above}`
}
