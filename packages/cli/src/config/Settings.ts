/**
 * Names every setting, its default and what it must be.
 *
 * A new setting is a definition here and a place in `all`, which the configuration file and `waybill config` go by.
 *
 * @since 0.1.0
 */
import * as Health from "@waybill/runtime/Health"
import * as Pruner from "@waybill/runtime/Pruner"
import * as Reconciler from "@waybill/runtime/Reconciler"
import * as Schedules from "@waybill/runtime/Schedules"
import { type Config, Effect, Option } from "effect"
import { hostname } from "node:os"
import { pid } from "node:process"
import * as AlertSettings from "./AlertSettings.ts"
import * as EdgeSettings from "./EdgeSettings.ts"
import * as Kind from "./Kind.ts"
import * as Location from "./Location.ts"
import * as ProviderSettings from "./ProviderSettings.ts"
import * as Setting from "./Setting.ts"

/**
 * Where the ledger is kept.
 *
 * @category settings
 * @since 0.1.0
 */
export const databaseUrl = Kind.url({
  name: "WAYBILL_DATABASE_URL",
  about: "postgres://…, pglite:<directory> or memory:",
  fallback: "pglite:.waybill",
  issue: "must be postgres://user@host/database, pglite:<directory> or memory:",
  parse: Location.parse
})

/**
 * The schema in the database.
 *
 * @category settings
 * @since 0.1.0
 */
export const schemaName = Kind.text({
  name: "WAYBILL_SCHEMA",
  about: "the schema in that database",
  fallback: "waybill",
  issue: "must be 1 to 63 of a-z, 0-9 and _, not begin with a digit or pg_",
  pattern: /^(?!pg_)[a-z_][a-z0-9_]{0,62}$/
})

/**
 * Whether transactions name their tenant to the database's policies.
 *
 * @category settings
 * @since 0.1.0
 */
export const rowLevelSecurity = Kind.isTrue(
  "WAYBILL_ROW_LEVEL_SECURITY",
  "whether to name the tenant to the policies of row-level security"
)

/**
 * The most connections that a pool has.
 *
 * @category settings
 * @since 0.1.0
 */
export const maxConnections = Kind.whole({
  name: "WAYBILL_MAX_CONNECTIONS",
  about: "connections to a server at most",
  fallback: "10",
  from: 1,
  to: 1000
})

/**
 * The pooler between this process and the server; found out by default.
 *
 * @category settings
 * @since 0.2.0
 */
export const pooler = Kind.optional(Kind.oneOf({
  name: "WAYBILL_POOLER",
  about: "pooler before a server: transaction, session, none; else found out",
  fallback: "",
  words: ["transaction", "session", "none"]
}))

/**
 * The name of a node in the history of sweeps.
 *
 * @category settings
 * @since 0.1.0
 */
export const node = Kind.optional(Kind.text({
  name: "WAYBILL_NODE",
  about: "name of this node in the history of sweeps",
  fallback: "",
  issue: "must be 1 to 128 letters, digits, spaces and _ . : -",
  pattern: /^[A-Za-z0-9][A-Za-z0-9 _.:-]{0,127}$/
}))

/**
 * The form of the logs.
 *
 * @category settings
 * @since 0.1.0
 */
export const logFormat = Kind.oneOf({
  name: "WAYBILL_LOG_FORMAT",
  about: "how logs are written: text or json",
  fallback: "text",
  words: ["text", "json"]
})

/**
 * The lowest level that `serve` logs.
 *
 * @category settings
 * @since 0.1.0
 */
export const logLevel = Kind.logLevel(
  "WAYBILL_LOG_LEVEL",
  "least that serve logs: debug, info, warn, error or none",
  "info"
)

/**
 * The time zone of all crons.
 *
 * @category settings
 * @since 0.1.0
 */
export const timeZone = Kind.timeZone("WAYBILL_TIME_ZONE", "time zone of the crons", Schedules.defaultTimeZone)

/**
 * When orphans are swept.
 *
 * @category settings
 * @since 0.1.0
 */
export const reconcileCron = Kind.cron("WAYBILL_RECONCILE_CRON", "when orphans are swept", Reconciler.defaultCron)

/**
 * The grace: a sweep leaves younger orphans alone.
 *
 * @category settings
 * @since 0.1.0
 */
export const grace = Kind.duration("WAYBILL_GRACE", "how young an orphan a sweep leaves alone", "60s")

/**
 * The horizon: a sweep leaves older orphans alone.
 *
 * @category settings
 * @since 0.1.0
 */
export const maxAge = Kind.minutes({
  name: "WAYBILL_MAX_AGE_MINUTES",
  about: "how old an orphan a sweep leaves alone, in minutes",
  fallback: String(Reconciler.defaultMaxAgeMinutes),
  from: 1,
  to: Reconciler.maxMaxAgeMinutes
})

/**
 * The most orphans that one transaction of a sweep claims.
 *
 * @category settings
 * @since 0.1.0
 */
export const batchSize = Kind.whole({
  name: "WAYBILL_BATCH_SIZE",
  about: "orphans that one transaction of a sweep claims",
  fallback: String(Reconciler.defaultBatchSize),
  from: 1,
  to: 10_000
})

/**
 * When the inbox is swept.
 *
 * @category settings
 * @since 0.1.0
 */
export const inboxCron = Kind.cron(
  "WAYBILL_INBOX_CRON",
  "when webhooks that were left are taken up again",
  "* * * * *"
)

/**
 * When a webhook in processing counts as left behind.
 *
 * @category settings
 * @since 0.1.0
 */
export const inboxStalledAfter = Kind.duration(
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
export const pruneCron = Kind.cron(
  "WAYBILL_PRUNE_CRON",
  "when raw webhooks and old sweeps are pruned",
  Pruner.defaultCron
)

/**
 * When the figures follow the feed.
 *
 * @category settings
 * @since 0.2.0
 */
export const figuresCron = Kind.cron(
  "WAYBILL_FIGURES_CRON",
  "when deliveries are counted for the figures",
  Health.defaultCron
)

/**
 * How long processed webhooks are kept.
 *
 * @category settings
 * @since 0.1.0
 */
export const keepSucceededDays = Kind.kept(
  "WAYBILL_KEEP_SUCCEEDED_DAYS",
  "how many days processed webhooks are kept, or forever",
  Pruner.defaultKeep.succeeded
)

/**
 * How long webhooks that were given up are kept.
 *
 * @category settings
 * @since 0.1.0
 */
export const keepDeadDays = Kind.kept(
  "WAYBILL_KEEP_DEAD_DAYS",
  "how many days webhooks that were given up are kept, or forever",
  Pruner.defaultKeep.dead
)

/**
 * How long webhooks that are to be tried again are kept.
 *
 * @category settings
 * @since 0.1.0
 */
export const keepFailedDays = Kind.kept(
  "WAYBILL_KEEP_FAILED_DAYS",
  "how many days webhooks that are to be tried again are kept, or forever",
  Pruner.defaultKeep.failed
)

/**
 * How long the details of events are kept, if they are.
 *
 * @category settings
 * @since 0.2.0
 */
export const keepDetailsDays = Kind.keptIfAtAll(
  "WAYBILL_KEEP_DETAILS_DAYS",
  "how many days the details of events are kept, or forever, or none to keep none",
  Pruner.defaultKeep.details
)

/**
 * How long the history of sweeps is kept.
 *
 * @category settings
 * @since 0.1.0
 */
export const keepTicksDays = Kind.kept(
  "WAYBILL_KEEP_TICKS_DAYS",
  "how many days the history of sweeps is kept, or forever",
  Pruner.defaultKeep.ticks
)

/**
 * The rule about soft bounces.
 *
 * @category settings
 * @since 0.2.0
 */
export const softBounces = Kind.softness(
  "WAYBILL_SOFT_BOUNCES",
  "how many soft bounces in a row suppress an address, over how long at least, and for how long",
  "5 in 3d for 30d"
)

/**
 * Where spans, metrics and logs are sent.
 *
 * @category settings
 * @since 0.1.0
 */
export const otlpEndpoint = Kind.optional(Kind.url({
  name: "OTEL_EXPORTER_OTLP_ENDPOINT",
  about: "where spans, metrics and logs are sent by OTLP; nowhere without it",
  fallback: "",
  issue: "must be an http or https URL",
  parse: (text) => /^https?:\/\/[^/]/.test(text) && URL.canParse(text) ? Option.some(text) : Option.none()
}))

/** The exporter of OTLP reads it itself. */
const otlpHeaders = Kind.secret({
  name: "OTEL_EXPORTER_OTLP_HEADERS",
  about: "headers of those requests, name=value,…",
  fallback: "",
  issue: "must be text",
  parse: Option.some
})

/**
 * The encoding of spans, metrics and logs.
 *
 * @category settings
 * @since 0.1.0
 */
export const otlpProtocol = Kind.oneOf({
  name: "OTEL_EXPORTER_OTLP_PROTOCOL",
  about: "http/protobuf or http/json",
  fallback: "http/protobuf",
  words: ["http/protobuf", "http/json"]
})

/**
 * Every setting, in the order in which they are shown.
 *
 * @category settings
 * @since 0.1.0
 */
export const all: ReadonlyArray<Setting.Setting<unknown>> = [
  databaseUrl,
  schemaName,
  rowLevelSecurity,
  maxConnections,
  pooler,
  EdgeSettings.host,
  EdgeSettings.port,
  EdgeSettings.adminHost,
  EdgeSettings.adminPort,
  EdgeSettings.keepAlive,
  EdgeSettings.served,
  node,
  logFormat,
  logLevel,
  timeZone,
  reconcileCron,
  grace,
  maxAge,
  batchSize,
  inboxCron,
  inboxStalledAfter,
  pruneCron,
  figuresCron,
  keepSucceededDays,
  keepDeadDays,
  keepFailedDays,
  keepDetailsDays,
  keepTicksDays,
  softBounces,
  EdgeSettings.maxBodySize,
  EdgeSettings.bodyTimeout,
  EdgeSettings.maxBodiesInFlight,
  EdgeSettings.publicUrl,
  EdgeSettings.trustProxy,
  EdgeSettings.unsubscribeKeys,
  ...ProviderSettings.all,
  ...AlertSettings.all,
  otlpEndpoint,
  otlpHeaders,
  otlpProtocol
]

/**
 * The name of this node in the history of sweeps: the host and the process by default.
 *
 * @category reading
 * @since 0.1.0
 */
export const nodeName: Effect.Effect<string, Setting.BadSetting | Config.ConfigError> = Effect.map(
  Setting.read(node),
  Option.getOrElse(() => `${hostname().replaceAll(/[^A-Za-z0-9_.-]/g, "").slice(0, 100) || "host"}:${pid}`)
)

/**
 * How long raw webhooks, details and the history of sweeps are kept.
 *
 * @category reading
 * @since 0.1.0
 */
export const keep: Effect.Effect<Required<Pruner.Keep>, Setting.BadSetting | Config.ConfigError> = Effect.all({
  succeeded: Setting.read(keepSucceededDays),
  dead: Setting.read(keepDeadDays),
  failed: Setting.read(keepFailedDays),
  details: Setting.read(keepDetailsDays),
  ticks: Setting.read(keepTicksDays)
})
