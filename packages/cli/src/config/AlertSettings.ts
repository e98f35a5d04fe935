/**
 * Names the settings of alerts: the limits of each rule, what judges by them, and where what they tell is posted.
 *
 * @since 0.2.0
 */
import { AlertRule } from "@waybill/core"
import * as Attributes from "@waybill/core/Attributes"
import * as Alerts from "@waybill/runtime/Alerts"
import * as AlertPost from "@waybill/webhooks/outgoing/AlertPost"
import { type Config, Duration, Effect, Option, Schema } from "effect"
import * as Arr from "effect/Array"
import * as Kind from "./Kind.ts"
import * as Setting from "./Setting.ts"

/**
 * When it is judged whether something is wrong.
 *
 * @category settings
 * @since 0.2.0
 */
export const cron = Kind.cron("WAYBILL_ALERT_CRON", "when the rules of alerts are judged by", Alerts.defaultCron)

/**
 * Where what is told of alerts is posted.
 *
 * @category settings
 * @since 0.2.0
 */
export const url = Kind.optional(Kind.secret({
  name: "WAYBILL_ALERT_URL",
  about: "where alerts are posted, signed by Standard Webhooks; nowhere without it",
  fallback: "",
  issue: "must be an http or https URL",
  parse: AlertPost.parseUrl
}))

/**
 * The key that posted alerts are signed with.
 *
 * @category settings
 * @since 0.2.0
 */
export const secret = Kind.optional(Kind.secret({
  name: "WAYBILL_ALERT_SECRET",
  about: "the key that posted alerts are signed with, needed where they are posted",
  fallback: "",
  issue: "must be whsec_ and the base64 of 24 to 64 bytes",
  parse: AlertPost.parseSecret
}))

/**
 * Whether alerts may be posted to an address of a private network.
 *
 * @category settings
 * @since 0.2.0
 */
export const allowPrivate = Kind.isTrue(
  "WAYBILL_ALERT_PRIVATE",
  "whether alerts may be posted to an address of a private network"
)

const isName = Schema.is(Attributes.Name)

/**
 * The consumers of the feed that must keep up.
 *
 * @category settings
 * @since 0.2.0
 */
export const consumers: Setting.Setting<ReadonlyArray<string>> = Kind.plain({
  name: "WAYBILL_ALERT_CONSUMERS",
  about: "consumers of the feed that must keep up, with commas between",
  fallback: "",
  issue: "must be names of consumers, with commas between",
  parse: (text: string) => {
    const named = text.split(",").map((name) => name.trim()).filter((name) => name !== "")
    return named.every(isName) ? Option.some(named) : Option.none()
  }
})

const units = [["d", Duration.toDays], ["h", Duration.toHours], ["m", Duration.toMinutes]] as const

const durationText = (duration: Duration.Duration): string => {
  const [unit, count] = units.map(([unit, of]) => [unit, of(duration)] as const)
    .find(([, count]) => count >= 1 && Number.isInteger(count)) ?? ["s", Duration.toSeconds(duration)]
  return `${count}${unit}`
}

/** The text of the limits of a rule, as it is set. */
const limitsText = ({ least, line, measure, window }: AlertRule.Rule): string => {
  if (measure === "seconds") return durationText(Duration.seconds(line))
  if (measure === "count") return `${line} in ${durationText(window)}`
  return `${Number((line * 100).toPrecision(6))}% of ${least} in ${durationText(window)}`
}

/** The longest time that can be looked at: what is known of webhooks is kept for two days, figures for as long as the ledger. */
const longest = Duration.days(31)

const windowIn = (text: string): Option.Option<Duration.Duration> =>
  Option.filter(Kind.parseDuration(text), Duration.between({ minimum: Duration.minutes(5), maximum: longest }))

const parseLimits = (measure: AlertRule.Measure, text: string): Option.Option<AlertRule.Limits> => {
  if (measure === "seconds") {
    return Option.map(Kind.parseDuration(text), (line) => ({
      line: Duration.toSeconds(line),
      least: 0,
      window: Duration.zero
    }))
  }
  const [, share, number, least = "0", window = ""] =
    /^(?:(\d{1,2}(?:\.\d{1,6})?)% of|(\d{1,9}))(?: (\d{1,9}))? in (\w+)$/.exec(text) ?? []
  const isShare = share !== undefined && Number(least) > 0
  if (measure === "share" ? !isShare : number === undefined || least !== "0") return Option.none()
  return Option.map(windowIn(window), (window) => ({
    line: isShare ? Number(share) / 100 : Number(number),
    least: Number(least),
    window
  }))
}

const off = "off"

/** The setting of a rule: its limits, or that it is off. */
const ruleSetting = (rule: AlertRule.Rule): Setting.Setting<Option.Option<AlertRule.Rule>> => {
  const fallback = limitsText(rule)
  return Kind.plain({
    name: `WAYBILL_ALERT_${rule.name.toUpperCase()}`,
    about: `limits of the alert ${rule.name}, or off`,
    fallback,
    issue: `must be off or limits such as ${fallback}`,
    parse: (text: string) =>
      text === off
        ? Option.some(Option.none())
        : Option.map(parseLimits(rule.measure, text), (limits) => Option.some(Object.assign({}, rule, limits)))
  })
}

/**
 * The settings of the rules.
 *
 * @category settings
 * @since 0.2.0
 */
export const rules: ReadonlyArray<Setting.Setting<Option.Option<AlertRule.Rule>>> = AlertRule.Name.literals.map((
  name
) => ruleSetting(AlertRule.defaults[name]))

/**
 * Every setting of alerts.
 *
 * @category settings
 * @since 0.2.0
 */
export const all: ReadonlyArray<Setting.Setting<unknown>> = [cron, url, secret, allowPrivate, consumers, ...rules]

/**
 * The rules that are in force, with their limits.
 *
 * @category reading
 * @since 0.2.0
 */
export const inForce: Effect.Effect<ReadonlyArray<AlertRule.Rule>, Setting.BadSetting | Config.ConfigError> = Effect
  .map(
    Effect.forEach(rules, (rule) => Setting.read(rule)),
    Arr.getSomes
  )

/**
 * Where alerts are posted, if they are; without a secret it is refused.
 *
 * @category reading
 * @since 0.2.0
 */
export const target: Effect.Effect<Option.Option<AlertPost.Target>, Setting.BadSetting | Config.ConfigError> = Effect
  .gen(
    function*() {
      const given = yield* Setting.read(url)
      if (Option.isNone(given)) return Option.none()
      const key = yield* Setting.read(secret)
      if (Option.isNone(key)) {
        return yield* new Setting.BadSetting({ name: secret.name, issue: `must be set where ${url.name} is` })
      }
      return Option.some({ url: given.value, secret: key.value, allowPrivate: yield* Setting.read(allowPrivate) })
    }
  )
