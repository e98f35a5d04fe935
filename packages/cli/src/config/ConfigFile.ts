/**
 * Reads the configuration file: one JSON object with settings by their keys, and in `tenants` the secrets of further tenants.
 *
 * A file that says anything which nothing reads is refused. A failure names no value.
 *
 * @since 0.2.0
 */
import { Tenant } from "@waybill/core"
import * as Secrets from "@waybill/webhooks/Secrets"
import { Config, ConfigProvider, Context, Effect, FileSystem, Layer, Option, Predicate, Result, Schema } from "effect"
import * as ProviderSettings from "./ProviderSettings.ts"
import * as Setting from "./Setting.ts"
import * as Settings from "./Settings.ts"

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

/** Texts by the names of the variables. */
type Values = Readonly<Record<string, string>>

/**
 * The content of a configuration file.
 *
 * @category models
 * @since 0.1.0
 */
export interface ConfigFile {
  readonly path: string
  /** The settings, by the names of the variables. */
  readonly values: Values
  /** The provider settings of further tenants, by the tenants' ids and the names of the variables. */
  readonly tenants: ReadonlyMap<string, Values>
}

/**
 * The configuration file in use, if any.
 *
 * @category services
 * @since 0.1.0
 */
export const InUse = Context.Reference<Option.Option<ConfigFile>>("waybill/ConfigFile/InUse", {
  defaultValue: Option.none
})

type Names = ReadonlyMap<string, Setting.Setting<unknown>>

const named = (settings: ReadonlyArray<Setting.Setting<unknown>>): Names =>
  new Map(settings.map((setting) => [Setting.keyOf(setting.name), setting]))

const names = named(Settings.all)

const tenantNames = named(ProviderSettings.all)

const isList = Schema.is(Schema.Array(Schema.String))

const textOf = (value: unknown): Option.Option<string> => {
  if (typeof value === "string") return Option.some(value)
  if (typeof value === "number" || typeof value === "boolean") return Option.some(String(value))
  return isList(value) ? Option.some(Secrets.list(value)) : Option.none()
}

/** The values of an object by the names of their variables, or what is wrong with it. */
const valuesOf = (
  given: Readonly<Record<string, unknown>>,
  names: Names,
  within: string
): Result.Result<Values, string> => {
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
  // A map, since a tenant may be called as what every object has: __proto__, constructor.
  const tenants = new Map<string, Values>()
  if (given === undefined) return Result.succeed(tenants)
  if (!Predicate.isObject(given)) return Result.fail("must hold an object in tenants")
  for (const [tenantId, value] of Object.entries(given)) {
    if (!Schema.is(Tenant.TenantId)(tenantId)) return Result.fail("has a key in tenants that is no tenant's id")
    if (tenantId === Tenant.defaultTenantId) {
      return Result.fail(`must not name ${tenantId} in tenants: its settings are those of the file itself`)
    }
    if (!Predicate.isObject(value)) return Result.fail(`must hold an object in tenants.${tenantId}`)
    const values = valuesOf({ ...value }, tenantNames, `tenants.${tenantId}.`)
    if (Result.isFailure(values)) return Result.fail(values.failure)
    tenants.set(tenantId, values.success)
  }
  return Result.succeed(tenants)
}

/**
 * Reads the text of a configuration file, or says what is wrong with it.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parse = (path: string, text: string): Result.Result<ConfigFile, BadConfigFile> =>
  Schema.decodeUnknownResult(Schema.fromJsonString(Schema.Record(Schema.String, Schema.Json)))(text).pipe(
    Result.mapError(() => "must hold one JSON object"),
    Result.flatMap(({ tenants, ...values }) =>
      Result.all({ values: valuesOf(values, names, ""), tenants: parseTenants(tenants) })
    ),
    Result.mapBoth({
      onFailure: (issue) => new BadConfigFile({ file: path, issue }),
      onSuccess: (content) => ({ path, ...content })
    })
  )

const issues: Readonly<Record<string, string>> = {
  NotFound: "is not there",
  PermissionDenied: "may not be read"
}

const read = Effect.fnUntraced(function*(path: string) {
  const text = yield* FileSystem.FileSystem.use((files) => files.readFileString(path)).pipe(
    Effect.mapError(({ reason }) => new BadConfigFile({ file: path, issue: issues[reason._tag] ?? "cannot be read" }))
  )
  return yield* Effect.fromResult(parse(path, text))
})

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
    const file = yield* read(path.value)
    const absent = yield* Effect.filter(
      Object.keys(file.values),
      (name) => Effect.map(Setting.textIn(name).parse(environment), Option.isNone)
    )
    return Context.make(InUse, Option.some(file)).pipe(
      Context.add(Setting.FromFile, new Set(absent)),
      Context.add(
        ConfigProvider.ConfigProvider,
        ConfigProvider.orElse(environment, ConfigProvider.fromUnknown(file.values))
      )
    )
  }))
