/**
 * Serves one installation: runs its schedules, takes webhooks in, and answers those who watch it.
 *
 * Stopped, it takes no more requests, lets those in hand and the batch of a sweep in hand end, and begins nothing else. What
 * takes too long is broken off, which the database undoes.
 *
 * @since 0.1.0
 */
import type * as ApiServer from "@waybill/api/ApiServer"
import * as Closing from "@waybill/api/Closing"
import { LedgerError } from "@waybill/core"
import * as Answers from "@waybill/runtime/Answers"
import type * as Backlog from "@waybill/runtime/Backlog"
import * as Pruner from "@waybill/runtime/Pruner"
import * as Reconciler from "@waybill/runtime/Reconciler"
import * as Schedules from "@waybill/runtime/Schedules"
import * as SpanGuard from "@waybill/runtime/SpanGuard"
import * as Telemetry from "@waybill/runtime/Telemetry"
import * as UnsubscribeRoutes from "@waybill/webhooks/UnsubscribeRoutes"
import * as WebhookRoutes from "@waybill/webhooks/WebhookRoutes"
import { ConfigProvider, DateTime, Duration, Effect, Fiber, Layer, Option, Ref } from "effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Otlp from "effect/observability/Otlp"
import * as OtlpSerialization from "effect/observability/OtlpSerialization"
import * as EdgeSettings from "../config/EdgeSettings.ts"
import * as Setting from "../config/Setting.ts"
import * as Settings from "../config/Settings.ts"
import * as Database from "../store/Database.ts"
import * as Store from "../store/Store.ts"
import * as Admin from "./Admin.ts"
import * as Edge from "./Edge.ts"
import * as Jobs from "./Jobs.ts"
import * as Listener from "./Listener.ts"

/**
 * How long stopping may take in all, before what is left is given up. Ten seconds are promised: the rest is for a busy machine.
 *
 * @category constants
 * @since 0.1.0
 */
export const stopsWithin: Duration.Duration = Duration.seconds(7)

/**
 * Where to listen, and how.
 *
 * @category models
 * @since 0.2.0
 */
export interface Options extends Listener.Address {
  /** Where probes and metrics are served, if not beside the webhooks. */
  readonly admin: Option.Option<Listener.Address>
  /** How long an idle connection is kept open. */
  readonly keepAlive: Duration.Duration
}

/** Exports spans, metrics and logs if an endpoint is configured. */
const exporter = Layer.unwrap(Effect.gen(function*() {
  const endpoint = yield* Setting.read(Settings.otlpEndpoint)
  if (Option.isNone(endpoint)) return Layer.empty
  const protocol = yield* Setting.read(Settings.otlpProtocol)
  return SpanGuard.layer.pipe(
    Layer.provideMerge(Otlp.layerFromConfig({ resource: { serviceName: "waybill" } })),
    Layer.provide(protocol === "http/json" ? OtlpSerialization.layerJson : OtlpSerialization.layerProtobuf),
    Layer.provide(FetchHttpClient.layer),
    Layer.provide(ConfigProvider.layerAdd(ConfigProvider.fromUnknown({
      OTEL_TRACES_EXPORTER: "otlp",
      OTEL_METRICS_EXPORTER: "otlp",
      OTEL_LOGS_EXPORTER: "otlp"
    })))
  )
}))

/** A server that is not migrated is left alone. */
const migrated = Layer.effectDiscard(Effect.gen(function*() {
  const database = yield* Database.Database
  if ((yield* database.pending).length > 0) yield* new LedgerError.SchemaNotMigrated({ schema: database.schema })
}))

/** The HTTP API, whose modules are loaded where it is served alone. */
const api = Effect.fnUntraced(function*(limits: ApiServer.Options) {
  const Api = yield* Effect.promise(() => import("./Api.ts"))
  const { kind } = yield* Database.Database
  // What is in memory is this process's alone, so that no command could give it a token.
  return { layer: Api.layer(limits), tellWithoutToken: kind === "Memory" ? Effect.void : Api.tellWithoutToken }
})

/** Where the HTTP API is not served. */
const noApi = Effect.succeed({ layer: Layer.empty, tellWithoutToken: Effect.void })

/** The console, whose modules are loaded where it is served alone. */
const console = Effect.fnUntraced(function*(host: string) {
  const Console = yield* Effect.promise(() => import("./Console.ts"))
  const closing = yield* Closing.Closing
  const publicUrl = yield* Setting.read(EdgeSettings.publicUrl)
  return yield* Console.make({
    host,
    closing: closing.awaited,
    isPublicOverTls: Option.exists(publicUrl, (url) => url.startsWith("https://")),
    trustProxy: yield* Setting.read(EdgeSettings.trustProxy)
  })
})

/** Where the console is not served. */
const noConsole = Effect.succeed({ layer: Layer.empty, tell: (_url: string) => Effect.void })

/** What requests are answered by, once it is known what the jobs have seen. */
const answers = Effect.fnUntraced(function*(
  startedAt: DateTime.Utc,
  { lastBatchAt, unfinished }: Jobs.Seen,
  host: string
) {
  const cron = yield* Effect.fromResult(
    Schedules.parse(yield* Setting.read(Settings.reconcileCron), yield* Setting.read(Settings.timeZone))
  )
  const parts = yield* Setting.read(EdgeSettings.served)
  const maxBodySize = yield* Setting.read(EdgeSettings.maxBodySize)
  const bodyTimeout = yield* Setting.read(EdgeSettings.bodyTimeout)
  const maxBodiesInFlight = yield* Setting.read(EdgeSettings.maxBodiesInFlight)
  return {
    admin: Admin.layer({
      cron,
      node: yield* Settings.nodeName,
      startedAt,
      lastBatchAt: Ref.get(lastBatchAt),
      unfinished: Ref.get(unfinished)
    }, parts),
    console: yield* parts.has("console") ? console(host) : noConsole,
    api: yield* parts.has("api") ? api({ maxBodySize, bodyTimeout, maxBodiesInFlight }) : noApi,
    webhooks: !parts.has("webhooks") ? Layer.empty : Layer.merge(
      WebhookRoutes.layer({
        maxBodySize,
        bodyTimeout,
        maxBodiesInFlight,
        publicUrl: Option.getOrUndefined(yield* Setting.read(EdgeSettings.publicUrl)),
        trustProxy: yield* Setting.read(EdgeSettings.trustProxy),
        onAnswered: (yield* Answers.Answers).note
      }),
      Option.match(yield* Setting.read(EdgeSettings.unsubscribeKeys), {
        onNone: () => Layer.empty,
        onSome: UnsubscribeRoutes.layer
      })
    )
  }
})

const options = {
  disableLogger: true,
  disableListenLog: true,
  routerConfig: { maxParamLength: 1024, ignoreTrailingSlash: false, ignoreDuplicateSlashes: false, caseSensitive: true }
} as const

const urlOf = Effect.map(HttpServer.HttpServer, ({ address }) => HttpServer.formatAddress(address))

const tellReady = Effect.fnUntraced(function*(admin: Ref.Ref<Option.Option<string>>) {
  const { kind } = yield* Database.Database
  const adminUrl = yield* Ref.get(admin)
  yield* Effect.logInfo("ready").pipe(
    Effect.annotateLogs({
      url: yield* urlOf,
      ...Option.isSome(adminUrl) && { admin: adminUrl.value },
      database: kind.toLowerCase(),
      node: yield* Settings.nodeName
    })
  )
})

/** Lets what streams end first when the process stops, so that the server need not wait for it. */
const closesFirst = Layer.effectDiscard(
  Effect.flatMap(Closing.Closing, ({ close }) => Effect.addFinalizer(() => close))
)

/** The schedules and the HTTP servers, none of which waits for another to stop. */
const working = ({ admin, host, keepAlive }: Options) =>
  Layer.unwrap(Effect.gen(function*() {
    const startedAt = yield* DateTime.now
    const seen = {
      lastBatchAt: yield* Ref.make(startedAt),
      unfinished: yield* Ref.make(Option.none<Backlog.Unfinished>())
    }
    const adminUrl = yield* Ref.make(Option.none<string>())
    const answer = yield* answers(startedAt, seen, host)
    const open = Layer.mergeAll(answer.webhooks, answer.api.layer, answer.console.layer)
    const served = Option.match(admin, {
      onNone: () => HttpRouter.serve(Layer.merge(open, answer.admin), options),
      onSome: (address) =>
        Layer.merge(
          HttpRouter.serve(open, options),
          Layer.merge(
            HttpRouter.serve(answer.admin, options),
            Layer.effectDiscard(Effect.flatMap(urlOf, (url) => Ref.set(adminUrl, Option.some(url))))
          ).pipe(Layer.provide(Listener.layer(address, keepAlive)))
        )
    })
    return Layer.provide(
      Layer.merge(
        Layer.effectDiscard(Effect.gen(function*() {
          yield* tellReady(adminUrl)
          yield* answer.api.tellWithoutToken
          yield* answer.console.tell(yield* urlOf)
        })),
        closesFirst
      ),
      Layer.merge(Layer.unwrap(Jobs.scheduled(seen)), served)
    )
  })).pipe(Layer.provide(Closing.layer))

/**
 * Everything that is served, listening at an address.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  given: Options
): Layer.Layer<never, Database.OpenError | Schedules.InvalidCron | LedgerError.InvalidInput | Listener.CannotListen> =>
  working(given).pipe(
    Layer.provide(Edge.layer),
    Layer.provide(Layer.mergeAll(Reconciler.layer, Pruner.layer, Answers.layer())),
    Layer.provide(Telemetry.layer),
    Layer.provide(Listener.layer(given, given.keepAlive)),
    Layer.provide(migrated),
    Layer.provide(Store.layer),
    Layer.provide([Jobs.metrics, SpanGuard.layerNoHttp]),
    Layer.provide(exporter)
  )

/**
 * Serves until it is interrupted.
 *
 * @category running
 * @since 0.1.0
 */
export const run = Effect.fnUntraced(function*(options: Options) {
  const serving = yield* Effect.forkDetach(Layer.launch(layer(options)))
  const stop = Effect.gen(function*() {
    yield* Effect.logInfo("stopping")
    const stopped = yield* Effect.timeoutOption(Fiber.interrupt(serving), stopsWithin)
    yield* Option.isSome(stopped) ? Effect.logInfo("stopped") : Effect.logWarning("stopped before all was done")
  })
  return yield* Effect.onInterrupt(Fiber.join(serving), () => stop)
})
