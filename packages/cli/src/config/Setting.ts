/**
 * Defines what a setting is, and reads it: from the environment, or else from the configuration file, or else its default.
 *
 * A setting is a variable of the environment and, in camel case and without its prefix, a key of the configuration file:
 * `WAYBILL_DATABASE_URL` is `databaseUrl`. A failure names the setting and never its value.
 *
 * The values come through Effect's `Config`, but a `Config` is a parser alone. It cannot be listed, it does not tell where a
 * value came from, and its errors quote the value. `waybill config` shows every setting, its source and what may be shown of
 * it, and a wrong secret must not reach a terminal or a log. So a `Setting` keeps the name, the default, the parser, the words
 * of its failure and the redaction together, and `Config` only fetches the text.
 *
 * @since 0.2.0
 */
import { Config, Context, Effect, Option, Redacted, Schema } from "effect"

/**
 * A setting is missing or is not what it should be; it names no value.
 *
 * @category errors
 * @since 0.1.0
 */
export class BadSetting extends Schema.TaggedError<BadSetting>("waybill/BadSetting")("BadSetting", {
  name: Schema.String,
  issue: Schema.String
}) {
  override get message(): string {
    return `${this.name} ${this.issue}`
  }
}

/**
 * One setting.
 *
 * @category models
 * @since 0.1.0
 */
export interface Setting<A> {
  /** The variable of the environment. */
  readonly name: string
  readonly about: string
  /** Its text by default; empty for none. */
  readonly fallback: string
  /** The words of its failure: what it must be. */
  readonly issue: string
  readonly parse: (text: string) => Option.Option<A>
  /** The part of its text that may be shown. */
  readonly show: (text: string) => string
}

/**
 * The key of a setting in the configuration file.
 *
 * @category getters
 * @since 0.1.0
 */
export const keyOf = (name: string): string =>
  name.replace(/^(?:WAYBILL|OTEL_EXPORTER)_/, "").toLowerCase().replace(
    /_([a-z])/g,
    (_, letter: string) => letter.toUpperCase()
  )

/**
 * The variables whose values the configuration file decides, because the environment does not have them.
 *
 * @category services
 * @since 0.2.0
 */
export const FromFile = Context.Reference<ReadonlySet<string>>("waybill/Setting/FromFile", {
  defaultValue: () => new Set()
})

/**
 * The text of a setting and where it comes from.
 *
 * @category models
 * @since 0.1.0
 */
export interface Given {
  readonly text: string
  readonly source: "environment" | "file" | "default"
}

/**
 * The text of a variable, unless it is not set.
 *
 * @category reading
 * @since 0.2.0
 */
export const textIn = (name: string): Config.Config<Option.Option<Redacted.Redacted>> =>
  Config.option(Config.Redacted(name))

/**
 * Returns the text of a setting, unchecked, and where it comes from.
 *
 * @category reading
 * @since 0.1.0
 */
export const given = Effect.fnUntraced(function*({ fallback, name }: Setting<unknown>) {
  const said = yield* textIn(name)
  if (Option.isNone(said)) return { text: fallback, source: "default" } satisfies Given
  const source = (yield* FromFile).has(name) ? "file" : "environment"
  return { text: Redacted.value(said.value), source } satisfies Given
})

/**
 * Reads a setting.
 *
 * @category reading
 * @since 0.1.0
 */
export const read = Effect.fnUntraced(function*<A>(
  setting: Setting<A>
): Effect.fn.Return<A, BadSetting | Config.ConfigError> {
  const { source, text } = yield* given(setting)
  return yield* parsed(setting, text, source === "file" ? inFile(keyOf(setting.name)) : setting.name)
})

/**
 * Reads a setting from some values of the configuration file, by the names of the variables.
 *
 * @category reading
 * @since 0.2.0
 */
export const readIn = <A>(
  setting: Setting<A>,
  values: Readonly<Record<string, string>>,
  within: string
): Effect.Effect<A, BadSetting> =>
  parsed(setting, values[setting.name] ?? setting.fallback, inFile(`${within}${keyOf(setting.name)}`))

const inFile = (key: string): string => `${key} in the configuration file`

const parsed = <A>(setting: Setting<A>, text: string, name: string): Effect.Effect<A, BadSetting> =>
  Effect.mapError(Effect.fromOption(setting.parse(text)), () => new BadSetting({ name, issue: setting.issue }))

/**
 * Returns the value of the command line, or else reads the setting.
 *
 * @category reading
 * @since 0.1.0
 */
export const readUnless = <A>(
  given: Option.Option<A>,
  setting: Setting<A>
): Effect.Effect<A, BadSetting | Config.ConfigError> =>
  Option.isSome(given) ? Effect.succeed(given.value) : read(setting)
