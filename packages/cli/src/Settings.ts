/**
 * Names every setting, its default and what it must be, and reads it from the environment or else from a file.
 *
 * Each is a variable of the environment and, in camel case and without its prefix, a key of the configuration file:
 * `WAYBILL_DATABASE_URL` is `databaseUrl`. A failure names the setting and never its value.
 *
 * @since 0.1.0
 */
import { Inbox, Tenant } from "@waybill/core"
import * as Pruner from "@waybill/runtime/Pruner"
import * as Reconciler from "@waybill/runtime/Reconciler"
import * as Schedules from "@waybill/runtime/Schedules"
import * as Providers from "@waybill/webhooks/Providers"
import type * as Row from "@waybill/webhooks/Row"
import * as Secrets from "@waybill/webhooks/Secrets"
import {
  ByteSize,
  Config,
  ConfigProvider,
  Context,
  Effect,
  FileSystem,
  Layer,
  type LogLevel,
  Option,
  Predicate,
  Record,
  Redacted,
  Result,
  Schema
} from "effect"
import { hostname } from "node:os"
import { pid } from "node:process"
import * as Parameters from "./Parameters.ts"

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
 * The configuration file cannot be used; it names no value.
 *
 * @category errors
 * @since 0.1.0
 */
export class BadConfigFile extends Schema.TaggedError<BadConfigFile>("waybill/BadConfigFile")("BadConfigFile", {
  file: Schema.String,
  issue: Schema.String
}) {
  override get message(): string {
    return `the configuration file ${this.file} ${this.issue}`
  }
}

/**
 * Where the ledger is kept.
 *
 * @category models
 * @since 0.1.0
 */
export type Location =
  | { readonly _tag: "Memory" }
  | { readonly _tag: "Embedded"; readonly directory: string }
  | { readonly _tag: "Server"; readonly url: Redacted.Redacted }

/**
 * Reads a database URL; nothing where it is none.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parseUrl = (text: string): Option.Option<Location> => {
  if (text === "memory:") return Option.some({ _tag: "Memory" })
  if (text.startsWith("pglite:")) {
    const directory = text.slice("pglite:".length)
    return directory === "" ? Option.none() : Option.some({ _tag: "Embedded", directory })
  }
  const isServer = /^postgres(?:ql)?:\/\/[^/?#]/.test(text) && URL.canParse(text) && new URL(text).hostname !== ""
  return isServer ? Option.some({ _tag: "Server", url: Redacted.make(text) }) : Option.none()
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
  /** What it is where nothing is said; empty for none. */
  readonly fallback: string
  /** What it must be. */
  readonly issue: string
  readonly parse: (text: string) => Option.Option<A>
  /** What may be shown of it. */
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

const shown = (text: string): string => text

const hidden = (text: string): string => text === "" ? "" : "<redacted>"

/** A URL without its password and query, either of which may be a secret; nothing of what is no URL with a host. */
const shownUrl = (text: string): string => {
  if (text === "memory:" || text.startsWith("pglite:")) return text
  if (!text.includes("://") || !URL.canParse(text)) return hidden(text)
  const url = new URL(text)
  if (url.host === "" || url.pathname.includes("@")) return hidden(text)
  const user = url.username === "" ? "" : `${url.username}${url.password === "" ? "" : ":<redacted>"}@`
  return `${url.protocol}//${user}${url.host}${url.pathname}`
}

const whole = (from: number, to: number) => (text: string): Option.Option<number> => {
  const number = /^\d{1,9}$/.test(text) ? Number(text) : -1
  return number >= from && number <= to ? Option.some(number) : Option.none()
}

const oneOf = <A extends string>(...literals: ReadonlyArray<A>) => (text: string): Option.Option<A> =>
  Option.fromUndefinedOr(literals.find((literal) => literal === text.toLowerCase()))

const isTrue = (text: string): Option.Option<boolean> => Option.map(oneOf("true", "false")(text), (it) => it === "true")

const isText = (pattern: RegExp) => (text: string): Option.Option<string> =>
  pattern.test(text) ? Option.some(text) : Option.none()

const days = (text: string): Option.Option<Pruner.Days> =>
  text === "forever" ? Option.some(text) : whole(1, Pruner.maxDays)(text)

/** Nothing where nothing is said. */
const optional = <A>(parse: (text: string) => Option.Option<A>) => (text: string): Option.Option<Option.Option<A>> =>
  text === "" ? Option.some(Option.none()) : Option.map(parse(text), Option.some)

const define = <A>(setting: Omit<Setting<A>, "show"> & { readonly show?: Setting<A>["show"] }): Setting<A> => ({
  show: shown,
  ...setting
})

const cron = (name: string, about: string, fallback: string) =>
  define({
    name,
    about,
    fallback,
    issue: "must be a cron expression such as */5 * * * *",
    parse: (text) => Option.map(Result.getSuccess(Schedules.parse(text)), () => text)
  })

const duration = (name: string, about: string, fallback: string) =>
  define({ name, about, fallback, issue: "must be a duration such as 60s, 0s or 5m", parse: Parameters.parseDuration })

const kept = (name: string, about: string, fallback: Pruner.Days) =>
  define({
    name,
    about,
    fallback: String(fallback),
    issue: `must be a whole number of days from 1 to ${Pruner.maxDays}, or forever`,
    parse: days
  })

/** A list of the configuration file has its texts in lines, so that they may hold commas. */
const lines = (texts: ReadonlyArray<string>): string => texts.map((text) => `${text}\n`).join("")

const secretsOf = ({ about, isPublic = false, variable }: Row.SecretsSetting) =>
  define({
    name: variable,
    about,
    fallback: "",
    issue: "must be one secret, or several separated by commas",
    parse: (text) => Option.some(Secrets.parse(text).map((secret) => Redacted.make(secret))),
    show: isPublic ? (text) => Secrets.parse(text).join(",") : hidden
  })

const switchOf = ({ about, variable }: Row.SwitchSetting) =>
  define({ name: variable, about, fallback: "false", issue: "must be true or false", parse: isTrue })

/** What the exporter of OTLP reads itself. */
const otlpHeaders = define({
  name: "OTEL_EXPORTER_OTLP_HEADERS",
  about: "headers of those requests, name=value,…",
  fallback: "",
  issue: "must be text",
  parse: Option.some,
  show: hidden
})

/**
 * Where the ledger is kept.
 *
 * @category settings
 * @since 0.1.0
 */
export const databaseUrl = define({
  name: "WAYBILL_DATABASE_URL",
  about: "postgres://…, pglite:<directory> or memory:",
  fallback: "pglite:.waybill",
  issue: "must be postgres://user@host/database, pglite:<directory> or memory:",
  parse: parseUrl,
  show: shownUrl
})

/**
 * The schema in the database.
 *
 * @category settings
 * @since 0.1.0
 */
export const schemaName = define({
  name: "WAYBILL_SCHEMA",
  about: "the schema in that database",
  fallback: "waybill",
  issue: "must be 1 to 63 of a-z, 0-9 and _, not begin with a digit or pg_",
  parse: isText(/^(?!pg_)[a-z_][a-z0-9_]{0,62}$/)
})

/**
 * Whether transactions name their tenant to the database's policies.
 *
 * @category settings
 * @since 0.1.0
 */
export const rowLevelSecurity = define({
  name: "WAYBILL_ROW_LEVEL_SECURITY",
  about: "whether to name the tenant to the policies of row-level security",
  fallback: "false",
  issue: "must be true or false",
  parse: isTrue
})

/**
 * How many connections a pool has at most.
 *
 * @category settings
 * @since 0.1.0
 */
export const maxConnections = define({
  name: "WAYBILL_MAX_CONNECTIONS",
  about: "connections to a server at most",
  fallback: "10",
  issue: "must be a whole number from 1 to 1000",
  parse: whole(1, 1000)
})

/**
 * The address that `serve` listens on.
 *
 * @category settings
 * @since 0.1.0
 */
export const host = define({
  name: "WAYBILL_HOST",
  about: "address that serve listens on",
  fallback: "127.0.0.1",
  issue: "must be an address or a host name",
  parse: isText(/^[A-Za-z0-9.:_-]{1,255}$/)
})

/**
 * The port that `serve` listens on.
 *
 * @category settings
 * @since 0.1.0
 */
export const port = define({
  name: "WAYBILL_PORT",
  about: "port that serve listens on",
  fallback: "8025",
  issue: "must be a port from 0 to 65535",
  parse: whole(0, 65_535)
})

/**
 * The name of a node in the history of sweeps.
 *
 * @category settings
 * @since 0.1.0
 */
export const node = define({
  name: "WAYBILL_NODE",
  about: "name of this node in the history of sweeps",
  fallback: "",
  issue: "must be 1 to 128 letters, digits, spaces and _ . : -",
  parse: optional(isText(/^[A-Za-z0-9][A-Za-z0-9 _.:-]{0,127}$/))
})

/**
 * How logs are written.
 *
 * @category settings
 * @since 0.1.0
 */
export const logFormat = define({
  name: "WAYBILL_LOG_FORMAT",
  about: "how logs are written: text or json",
  fallback: "text",
  issue: "must be text or json",
  parse: oneOf("text", "json")
})

const levels: Readonly<Record<string, LogLevel.LogLevel>> = {
  debug: "Debug",
  info: "Info",
  warn: "Warn",
  error: "Error",
  none: "None"
}

/**
 * The least that `serve` logs.
 *
 * @category settings
 * @since 0.1.0
 */
export const logLevel = define({
  name: "WAYBILL_LOG_LEVEL",
  about: "least that serve logs: debug, info, warn, error or none",
  fallback: "info",
  issue: "must be debug, info, warn, error or none",
  parse: (text) => Option.fromUndefinedOr(levels[text.toLowerCase()])
})

/**
 * The time zone of all crons.
 *
 * @category settings
 * @since 0.1.0
 */
export const timeZone = define({
  name: "WAYBILL_TIME_ZONE",
  about: "time zone of the crons",
  fallback: Schedules.defaultTimeZone,
  issue: "must be a time zone such as UTC or Europe/Berlin",
  parse: (text) => Option.map(Result.getSuccess(Schedules.parse(Pruner.defaultCron, text)), () => text)
})

/**
 * When orphans are swept.
 *
 * @category settings
 * @since 0.1.0
 */
export const reconcileCron = cron("WAYBILL_RECONCILE_CRON", "when orphans are swept", Reconciler.defaultCron)

/**
 * How young an orphan a sweep leaves alone.
 *
 * @category settings
 * @since 0.1.0
 */
export const grace = duration("WAYBILL_GRACE", "how young an orphan a sweep leaves alone", "60s")

/**
 * How old an orphan a sweep leaves alone.
 *
 * @category settings
 * @since 0.1.0
 */
export const maxAgeMinutes = define({
  name: "WAYBILL_MAX_AGE_MINUTES",
  about: "how old an orphan a sweep leaves alone, in minutes",
  fallback: String(Reconciler.defaultMaxAgeMinutes),
  issue: `must be a whole number from 1 to ${Reconciler.maxMaxAgeMinutes}`,
  parse: whole(1, Reconciler.maxMaxAgeMinutes)
})

/**
 * How many orphans one transaction of a sweep claims.
 *
 * @category settings
 * @since 0.1.0
 */
export const batchSize = define({
  name: "WAYBILL_BATCH_SIZE",
  about: "orphans that one transaction of a sweep claims",
  fallback: String(Reconciler.defaultBatchSize),
  issue: "must be a whole number from 1 to 10000",
  parse: whole(1, 10_000)
})

/**
 * When the inbox is swept.
 *
 * @category settings
 * @since 0.1.0
 */
export const inboxCron = cron("WAYBILL_INBOX_CRON", "when webhooks that were left are taken up again", "* * * * *")

/**
 * When a webhook in processing counts as left behind.
 *
 * @category settings
 * @since 0.1.0
 */
export const inboxStalledAfter = duration(
  "WAYBILL_INBOX_STALLED_AFTER",
  "when a webhook in processing counts as left behind",
  "5m"
)

/**
 * When raw webhooks and old ticks are pruned.
 *
 * @category settings
 * @since 0.1.0
 */
export const pruneCron = cron("WAYBILL_PRUNE_CRON", "when raw webhooks and old sweeps are pruned", Pruner.defaultCron)

/**
 * For how many days webhooks are kept that are in the ledger.
 *
 * @category settings
 * @since 0.1.0
 */
export const keepSucceededDays = kept(
  "WAYBILL_KEEP_SUCCEEDED_DAYS",
  "days that raw webhooks are kept which are in the ledger, or forever",
  Pruner.defaultKeep.succeeded
)

/**
 * For how many days webhooks are kept that were given up.
 *
 * @category settings
 * @since 0.1.0
 */
export const keepDeadDays = kept(
  "WAYBILL_KEEP_DEAD_DAYS",
  "days that raw webhooks are kept which were given up, or forever",
  Pruner.defaultKeep.dead
)

/**
 * For how many days webhooks are kept that are to be tried again.
 *
 * @category settings
 * @since 0.1.0
 */
export const keepFailedDays = kept(
  "WAYBILL_KEEP_FAILED_DAYS",
  "days that raw webhooks are kept which are to be tried again, or forever",
  Pruner.defaultKeep.failed
)

/**
 * For how many days the history of sweeps is kept.
 *
 * @category settings
 * @since 0.1.0
 */
export const keepTicksDays = kept(
  "WAYBILL_KEEP_TICKS_DAYS",
  "days that the history of sweeps is kept, or forever",
  Pruner.defaultKeep.ticks
)

/**
 * The largest webhook that is taken.
 *
 * @category settings
 * @since 0.1.0
 */
export const maxBodySize = define({
  name: "WAYBILL_MAX_BODY_SIZE",
  about: `largest webhook that is taken, at most ${Inbox.maxBodyBytes / 1_000_000} MB`,
  fallback: "10 MB",
  issue: `must be a size of at most ${Inbox.maxBodyBytes / 1_000_000} MB, such as 10 MB`,
  parse: (text) =>
    Option.filter(ByteSize.fromString(text), ByteSize.isLessThanOrEqualTo(ByteSize.bytes(Inbox.maxBodyBytes)))
})

/**
 * How long a webhook may take to arrive.
 *
 * @category settings
 * @since 0.1.0
 */
export const bodyTimeout = duration("WAYBILL_BODY_TIMEOUT", "how long a webhook may take to arrive", "15s")

/**
 * What the webhooks of each provider are verified with, by the provider's name.
 *
 * @category settings
 * @since 0.1.0
 */
export const providerSecrets: Readonly<Record<string, Setting<ReadonlyArray<Redacted.Redacted>>>> = Object.fromEntries(
  Providers.all.map(({ name, secrets }) => [name, secretsOf(secrets)])
)

/**
 * What else the providers can be told, by the names that their rows give it.
 *
 * @category settings
 * @since 0.2.0
 */
export const providerSwitches: Readonly<Record<string, Setting<boolean>>> = Object.fromEntries(
  Providers.all.flatMap(({ switches = [] }) => switches).map((setting) => [setting.name, switchOf(setting)])
)

const ofProviders = [...Object.values(providerSecrets), ...Object.values(providerSwitches)]

/**
 * Where spans, metrics and logs are sent.
 *
 * @category settings
 * @since 0.1.0
 */
export const otlpEndpoint = define({
  name: "OTEL_EXPORTER_OTLP_ENDPOINT",
  about: "where spans, metrics and logs are sent by OTLP; nowhere without it",
  fallback: "",
  issue: "must be an http or https URL",
  parse: optional((text) => /^https?:\/\/[^/]/.test(text) && URL.canParse(text) ? Option.some(text) : Option.none()),
  show: shownUrl
})

/**
 * How spans, metrics and logs are encoded.
 *
 * @category settings
 * @since 0.1.0
 */
export const otlpProtocol = define({
  name: "OTEL_EXPORTER_OTLP_PROTOCOL",
  about: "http/protobuf or http/json",
  fallback: "http/protobuf",
  issue: "must be http/protobuf or http/json",
  parse: oneOf("http/protobuf", "http/json")
})

/**
 * Every setting, in the order in which they are shown.
 *
 * @category settings
 * @since 0.1.0
 */
export const all: ReadonlyArray<Setting<unknown>> = [
  databaseUrl,
  schemaName,
  rowLevelSecurity,
  maxConnections,
  host,
  port,
  node,
  logFormat,
  logLevel,
  timeZone,
  reconcileCron,
  grace,
  maxAgeMinutes,
  batchSize,
  inboxCron,
  inboxStalledAfter,
  pruneCron,
  keepSucceededDays,
  keepDeadDays,
  keepFailedDays,
  keepTicksDays,
  maxBodySize,
  bodyTimeout,
  ...ofProviders,
  otlpEndpoint,
  otlpHeaders,
  otlpProtocol
]

/**
 * What a configuration file says.
 *
 * @category models
 * @since 0.1.0
 */
export interface ConfigFile {
  readonly path: string
  /** By the names of the variables. */
  readonly values: Readonly<Record<string, string>>
  /** What the webhooks of further tenants are verified with, by the names of the variables. */
  readonly tenants: Readonly<Record<string, Readonly<Record<string, string>>>>
}

/**
 * The configuration file in use.
 *
 * @category models
 * @since 0.1.0
 */
export interface UsedFile extends ConfigFile {
  /** The variables that the environment does not have, so that the file decides. */
  readonly decides: ReadonlySet<string>
}

/**
 * The configuration file in use, if any.
 *
 * @category services
 * @since 0.1.0
 */
export const UsedFile = Context.Reference<Option.Option<UsedFile>>("waybill/Settings/UsedFile", {
  defaultValue: Option.none
})

type Names = ReadonlyMap<string, Setting<unknown>>

const named = (settings: ReadonlyArray<Setting<unknown>>): Names =>
  new Map(settings.map((setting) => [keyOf(setting.name), setting]))

const names = named(all)

const tenantNames = named(ofProviders)

const isList = Schema.is(Schema.Array(Schema.String))

const textOf = (value: unknown): Option.Option<string> => {
  if (typeof value === "string") return Option.some(value)
  if (typeof value === "number" || typeof value === "boolean") return Option.some(String(value))
  return isList(value) ? Option.some(lines(value)) : Option.none()
}

/** The values of an object by the names of their variables, or what is wrong with it. */
const valuesOf = (
  given: Readonly<Record<string, unknown>>,
  names: Names,
  within: string
): Result.Result<Readonly<Record<string, string>>, string> => {
  const values: Record<string, string> = {}
  for (const [key, value] of Object.entries(given)) {
    const setting = names.get(key)
    if (setting === undefined) return Result.fail(`has an unknown setting ${JSON.stringify(`${within}${key}`)}`)
    const text = textOf(value)
    if (Option.isNone(text)) return Result.fail(`has no text, number, boolean or list of texts in ${within}${key}`)
    values[setting.name] = text.value
  }
  return Result.succeed(values)
}

const parseTenants = (given: unknown): Result.Result<ConfigFile["tenants"], string> => {
  if (given === undefined) return Result.succeed({})
  if (!Predicate.isObject(given)) return Result.fail("must hold an object in tenants")
  const tenants: Record<string, Readonly<Record<string, string>>> = {}
  for (const [tenantId, value] of Object.entries(given)) {
    if (!Schema.is(Tenant.TenantId)(tenantId)) return Result.fail("has a key in tenants that is no tenant's id")
    if (!Predicate.isObject(value)) return Result.fail(`must hold an object in tenants.${tenantId}`)
    const values = valuesOf({ ...value }, tenantNames, `tenants.${tenantId}.`)
    if (Result.isFailure(values)) return Result.fail(values.failure)
    tenants[tenantId] = values.success
  }
  return Result.succeed(tenants)
}

/**
 * Reads what a configuration file says, or what is wrong with it.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parseFile = (path: string, text: string): Result.Result<ConfigFile, BadConfigFile> =>
  Schema.decodeUnknownResult(Schema.fromJsonString(Schema.Record(Schema.String, Schema.Json)))(text).pipe(
    Result.mapError(() => "must hold one JSON object"),
    Result.flatMap(({ tenants, ...values }) =>
      Result.all({ values: valuesOf(values, names, ""), tenants: parseTenants(tenants) })
    ),
    Result.mapBoth({
      onFailure: (issue) => new BadConfigFile({ file: path, issue }),
      onSuccess: (said) => ({ path, ...said })
    })
  )

const issues: Readonly<Record<string, string>> = {
  NotFound: "is not there",
  PermissionDenied: "may not be read"
}

const readFile = Effect.fnUntraced(function*(path: string) {
  const text = yield* FileSystem.FileSystem.use((files) => files.readFileString(path)).pipe(
    Effect.mapError(({ reason }) => new BadConfigFile({ file: path, issue: issues[reason._tag] ?? "cannot be read" }))
  )
  return yield* Effect.fromResult(parseFile(path, text))
})

const textIn = (name: string) => Config.option(Config.Redacted(name))

/**
 * Lets every setting be read from the environment, or else from a file: the one that is given, or that `WAYBILL_CONFIG`
 * names.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  given: Option.Option<string>
): Layer.Layer<never, BadConfigFile | Config.ConfigError, FileSystem.FileSystem> =>
  Layer.effectContext(Effect.gen(function*() {
    const environment = yield* ConfigProvider.ConfigProvider
    const path = Option.isSome(given) ? given : yield* Config.option(Config.String("WAYBILL_CONFIG"))
    if (Option.isNone(path)) return Context.empty()
    const file = yield* readFile(path.value)
    const absent = yield* Effect.filter(
      Object.keys(file.values),
      (name) => Effect.map(textIn(name).parse(environment), Option.isNone)
    )
    return Context.make(UsedFile, Option.some({ ...file, decides: new Set(absent) })).pipe(
      Context.add(
        ConfigProvider.ConfigProvider,
        ConfigProvider.orElse(environment, ConfigProvider.fromUnknown(file.values))
      )
    )
  }))

/**
 * What a setting is, as text, and who says so.
 *
 * @category models
 * @since 0.1.0
 */
export interface Given {
  readonly text: string
  readonly source: "environment" | "file" | "default"
}

/**
 * Gives what is said of a setting, unchecked.
 *
 * @category reading
 * @since 0.1.0
 */
export const given = Effect.fnUntraced(function*({ fallback, name }: Setting<unknown>) {
  const said = yield* textIn(name)
  if (Option.isNone(said)) return { text: fallback, source: "default" } satisfies Given
  const file = yield* UsedFile
  const source = Option.exists(file, ({ decides }) => decides.has(name)) ? "file" : "environment"
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
  const parsed = setting.parse(text)
  if (Option.isSome(parsed)) return parsed.value
  const name = source === "file" ? `${keyOf(setting.name)} in the configuration file` : setting.name
  return yield* new BadSetting({ name, issue: setting.issue })
})

/**
 * Gives what the command line says, or else reads the setting.
 *
 * @category reading
 * @since 0.1.0
 */
export const readUnless = <A>(
  given: Option.Option<A>,
  setting: Setting<A>
): Effect.Effect<A, BadSetting | Config.ConfigError> =>
  Option.isSome(given) ? Effect.succeed(given.value) : read(setting)

/**
 * What each tenant's webhooks are verified with, by its id and the provider's name.
 *
 * @category models
 * @since 0.1.0
 */
export type Credentials = Readonly<
  Record<string, {
    readonly secrets: Readonly<Record<string, ReadonlyArray<Redacted.Redacted>>>
    readonly switches: Readonly<Record<string, boolean>>
  }>
>

/** Reads from what the configuration file says of a tenant. */
const readOf = Effect.fnUntraced(function*<A>(
  setting: Setting<A>,
  tenantId: string,
  values: Readonly<Record<string, string>>
) {
  const parsed = setting.parse(values[setting.name] ?? setting.fallback)
  if (Option.isSome(parsed)) return parsed.value
  return yield* new BadSetting({
    name: `tenants.${tenantId}.${keyOf(setting.name)} in the configuration file`,
    issue: setting.issue
  })
})

const credentialsBy = <E>(readOne: <A>(setting: Setting<A>) => Effect.Effect<A, E>) =>
  Effect.all({
    secrets: Effect.all(Record.map(providerSecrets, readOne)),
    switches: Effect.all(Record.map(providerSwitches, readOne))
  })

/**
 * Reads what webhooks are verified with: the settings say it for the tenant `default`, the configuration file for others.
 *
 * @category reading
 * @since 0.1.0
 */
export const credentials: Effect.Effect<Credentials, BadSetting | Config.ConfigError> = Effect.gen(function*() {
  const file = yield* UsedFile
  const tenants = Option.match(file, { onNone: () => ({}), onSome: (used) => used.tenants })
  const others = yield* Effect.all(
    Record.map(tenants, (values, tenantId) => credentialsBy((setting) => readOf(setting, tenantId, values)))
  )
  return { [Tenant.defaultTenantId]: yield* credentialsBy(read), ...others }
})

/**
 * The name of this node in the history of sweeps: the host and the process where nothing is said.
 *
 * @category reading
 * @since 0.1.0
 */
export const nodeName: Effect.Effect<string, BadSetting | Config.ConfigError> = Effect.map(
  read(node),
  Option.getOrElse(() => `${hostname().replaceAll(/[^A-Za-z0-9_.-]/g, "").slice(0, 100) || "host"}:${pid}`)
)

/**
 * For how long raw webhooks and the history of sweeps are kept.
 *
 * @category reading
 * @since 0.1.0
 */
export const keep: Effect.Effect<Required<Pruner.Keep>, BadSetting | Config.ConfigError> = Effect.all({
  succeeded: read(keepSucceededDays),
  dead: read(keepDeadDays),
  failed: read(keepFailedDays),
  ticks: read(keepTicksDays)
})
