/**
 * Makes settings of a few kinds: each kind says how a text is read, what it must be and what may be shown of it.
 *
 * @since 0.2.0
 */
import type { Suppression } from "@waybill/core"
import * as Pruner from "@waybill/runtime/Pruner"
import * as Schedules from "@waybill/runtime/Schedules"
import * as Secrets from "@waybill/webhooks/Secrets"
import { ByteSize, Duration, type LogLevel, Option, Redacted, Result } from "effect"
import type { Setting } from "./Setting.ts"

/** The part of a setting that its kind cannot know. */
interface Definition {
  readonly name: string
  readonly about: string
  readonly fallback: string
}

/** How texts of one kind are read. */
type Parse<A> = (text: string) => Option.Option<A>

const hidden = (text: string): string => text === "" ? "" : "<redacted>"

/** A URL without its password and query, either of which may be a secret; nothing of a text that is not a URL with a host. */
const shownUrl = (text: string): string => {
  if (text === "memory:" || text.startsWith("pglite:")) return text
  if (!text.includes("://") || !URL.canParse(text)) return hidden(text)
  const url = new URL(text)
  if (url.host === "" || url.pathname.includes("@")) return hidden(text)
  const user = url.username === "" ? "" : `${url.username}${url.password === "" ? "" : ":<redacted>"}@`
  return `${url.protocol}//${user}${url.host}${url.pathname}`
}

/** Reads a whole number of at most nine digits. */
const parseWhole = (from: number, to: number): Parse<number> => (text) => {
  const number = /^\d{1,9}$/.test(text) ? Number(text) : -1
  return number >= from && number <= to ? Option.some(number) : Option.none()
}

const parseOneOf = <A extends string>(literals: ReadonlyArray<A>): Parse<A> => (text) =>
  Option.fromUndefinedOr(literals.find((literal) => literal === text.toLowerCase()))

/**
 * A setting of any kind, shown as it is.
 *
 * @category constructors
 * @since 0.2.0
 */
export const plain = <A>(definition: Omit<Setting<A>, "show">): Setting<A> => ({ ...definition, show: (text) => text })

/**
 * A setting of any kind that is never shown.
 *
 * @category constructors
 * @since 0.2.0
 */
export const secret = <A>(definition: Omit<Setting<A>, "show">): Setting<A> => ({ ...definition, show: hidden })

/**
 * A URL, shown without its password and query.
 *
 * @category constructors
 * @since 0.2.0
 */
export const url = <A>(definition: Omit<Setting<A>, "show">): Setting<A> => ({ ...definition, show: shownUrl })

/**
 * A text of a pattern.
 *
 * @category constructors
 * @since 0.2.0
 */
export const text = (
  { pattern, ...definition }: Definition & { readonly pattern: RegExp; readonly issue: string }
): Setting<string> => plain({ ...definition, parse: (text) => pattern.test(text) ? Option.some(text) : Option.none() })

/**
 * A setting that is absent by default.
 *
 * @category constructors
 * @since 0.2.0
 */
export const optional = <A>(setting: Setting<A>): Setting<Option.Option<A>> => ({
  ...setting,
  parse: (text) => text === "" ? Option.some(Option.none()) : Option.map(setting.parse(text), Option.some)
})

/**
 * A whole number between two others, both included.
 *
 * @category constructors
 * @since 0.2.0
 */
export const whole = (
  { from, to, ...definition }: Definition & { readonly from: number; readonly to: number }
): Setting<number> =>
  plain({ ...definition, issue: `must be a whole number from ${from} to ${to}`, parse: parseWhole(from, to) })

/**
 * A duration in whole minutes.
 *
 * @category constructors
 * @since 0.2.0
 */
export const minutes = (
  definition: Definition & { readonly from: number; readonly to: number }
): Setting<Duration.Duration> => {
  const setting = whole(definition)
  return { ...setting, parse: (text) => Option.map(setting.parse(text), Duration.minutes) }
}

/**
 * One of a few words, in whatever case.
 *
 * @category constructors
 * @since 0.2.0
 */
export const oneOf = <const A extends string>(
  { words, ...definition }: Definition & { readonly words: ReadonlyArray<A> }
): Setting<A> => plain({ ...definition, issue: `must be ${words.join(" or ")}`, parse: parseOneOf(words) })

/**
 * True or false, false by default.
 *
 * @category constructors
 * @since 0.2.0
 */
export const isTrue = (name: string, about: string): Setting<boolean> => {
  const setting = oneOf({ name, about, fallback: "false", words: ["true", "false"] })
  return { ...setting, parse: (text) => Option.map(setting.parse(text), (word) => word === "true") }
}

/**
 * A cron expression.
 *
 * @category constructors
 * @since 0.2.0
 */
export const cron = (name: string, about: string, fallback: string): Setting<string> =>
  plain({
    name,
    about,
    fallback,
    issue: "must be a cron expression such as */5 * * * *",
    parse: (text) => Option.map(Result.getSuccess(Schedules.parse(text)), () => text)
  })

/**
 * The name of a time zone.
 *
 * @category constructors
 * @since 0.2.0
 */
export const timeZone = (name: string, about: string, fallback: string): Setting<string> =>
  plain({
    name,
    about,
    fallback,
    issue: "must be a time zone such as UTC or Europe/Berlin",
    parse: (text) => Option.map(Result.getSuccess(Schedules.parse("* * * * *", text)), () => text)
  })

const levels: ReadonlyMap<string, LogLevel.LogLevel> = new Map<string, LogLevel.LogLevel>([
  ["debug", "Debug"],
  ["info", "Info"],
  ["warn", "Warn"],
  ["error", "Error"],
  ["none", "None"]
])

/**
 * The lowest level that is logged.
 *
 * @category constructors
 * @since 0.2.0
 */
export const logLevel = (name: string, about: string, fallback: string): Setting<LogLevel.LogLevel> =>
  plain({
    name,
    about,
    fallback,
    issue: "must be debug, info, warn, error or none",
    parse: (text) => Option.fromUndefinedOr(levels.get(text.toLowerCase()))
  })

/**
 * A size in bytes, up to a largest one.
 *
 * @category constructors
 * @since 0.2.0
 */
export const size = (
  { maxBytes, ...definition }: Definition & { readonly maxBytes: number }
): Setting<ByteSize.ByteSize> =>
  plain({
    ...definition,
    issue: `must be a size of at most ${maxBytes / 1_000_000} MB, such as ${definition.fallback}`,
    parse: (text) => Option.filter(ByteSize.fromString(text), ByteSize.isLessThanOrEqualTo(ByteSize.bytes(maxBytes)))
  })

const units: Readonly<Record<string, (amount: number) => Duration.Duration>> = {
  ms: Duration.millis,
  s: Duration.seconds,
  m: Duration.minutes,
  h: Duration.hours,
  d: Duration.days
}

/**
 * Reads a duration such as `500ms`, `60s`, `5m`, `2h` or `7d`.
 *
 * @category parsing
 * @since 0.2.0
 */
export const parseDuration: Parse<Duration.Duration> = (text) => {
  const [, amount, unit] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? []
  const make = unit === undefined ? undefined : units[unit]
  return make === undefined ? Option.none() : Option.some(make(Number(amount)))
}

/**
 * A duration such as `500ms`, `60s`, `5m`, `2h` or `7d`.
 *
 * @category constructors
 * @since 0.2.0
 */
export const duration = (name: string, about: string, fallback: string): Setting<Duration.Duration> =>
  plain({ name, about, fallback, issue: "must be a duration such as 60s, 0s or 5m", parse: parseDuration })

/**
 * A duration between two others, both included.
 *
 * @category constructors
 * @since 0.2.0
 */
export const durationWithin = (
  { from, range, to, ...definition }: Definition & {
    readonly from: Duration.Duration
    readonly to: Duration.Duration
    readonly range: string
  }
): Setting<Duration.Duration> =>
  plain({
    ...definition,
    issue: `must be a duration from ${range}`,
    parse: (text) => Option.filter(parseDuration(text), Duration.between({ minimum: from, maximum: to }))
  })

/** Reads a rule such as `5 in 3d for 30d`. */
const parseSoftness: Parse<Suppression.Softness> = (text) => {
  const [, count = "", over = "", lasts = ""] = /^(\S+) in (\S+) for (\S+)$/.exec(text) ?? []
  return Option.filter(
    Option.all({ count: parseWhole(1, 1000)(count), over: parseDuration(over), lasts: parseDuration(lasts) }),
    ({ lasts }) => Duration.isPositive(lasts)
  )
}

/**
 * How many soft bounces in a row suppress an address, over how long, and for how long.
 *
 * @category constructors
 * @since 0.2.0
 */
export const softness = (name: string, about: string, fallback: string): Setting<Suppression.Softness> =>
  plain({ name, about, fallback, issue: `must be a rule such as ${fallback}`, parse: parseSoftness })

const parseDays: Parse<Pruner.Days> = (text) =>
  text === "forever" ? Option.some(text) : parseWhole(1, Pruner.maxDays)(text)

/**
 * How long something is kept, in days.
 *
 * @category constructors
 * @since 0.2.0
 */
export const kept = (name: string, about: string, fallback: Pruner.Days): Setting<Pruner.Days> =>
  plain({
    name,
    about,
    fallback: String(fallback),
    issue: `must be a whole number of days from 1 to ${Pruner.maxDays}, or forever`,
    parse: parseDays
  })

/**
 * How long something is kept, in days, or that it is not kept at all.
 *
 * @category constructors
 * @since 0.2.0
 */
export const keptIfAtAll = (
  name: string,
  about: string,
  fallback: Pruner.Days | "none"
): Setting<Pruner.Days | "none"> =>
  plain<Pruner.Days | "none">({
    name,
    about,
    fallback: String(fallback),
    issue: `must be a whole number of days from 1 to ${Pruner.maxDays}, forever or none`,
    parse: (text) => text === "none" ? Option.some(text) : parseDays(text)
  })

/**
 * One secret or several, shown only where they are public.
 *
 * @category constructors
 * @since 0.2.0
 */
export const secrets = (
  name: string,
  about: string,
  isPublic: boolean
): Setting<ReadonlyArray<Redacted.Redacted>> => ({
  ...secret({
    name,
    about,
    fallback: "",
    issue: "must be one secret, or several separated by commas",
    parse: (text) => Option.some(Secrets.parse(text).map((part) => Redacted.make(part)))
  }),
  ...isPublic ? { show: (text: string) => Secrets.parse(text).join(",") } : {}
})
