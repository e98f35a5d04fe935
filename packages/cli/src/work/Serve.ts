/**
 * Serves one installation: runs its schedules, takes webhooks in, and answers those who watch it.
 *
 * Stopped, it takes no more requests, lets those in hand and the batch of a sweep in hand end, and begins nothing else. What
 * takes too long is broken off, which the database undoes.
 *
 * @since 0.1.0
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { LedgerError, type Ticks } from "@waybill/core"
import * as Pruner from "@waybill/runtime/Pruner"
import * as Reconciler from "@waybill/runtime/Reconciler"
import * as Schedules from "@waybill/runtime/Schedules"
import * as SpanGuard from "@waybill/runtime/SpanGuard"
import * as Telemetry from "@waybill/runtime/Telemetry"
import * as WebhookRoutes from "@waybill/webhooks/WebhookRoutes"
import { ConfigProvider, DateTime, Duration, Effect, Fiber, Layer, Option, Predicate, Ref, Schema } from "effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Otlp from "effect/observability/Otlp"
import * as OtlpSerialization from "effect/observability/OtlpSerialization"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import { createServer } from "node:http"
import * as Setting from "../config/Setting.ts"
import * as Settings from "../config/Settings.ts"
import * as Database from "../store/Database.ts"
import * as Store from "../store/Store.ts"
import * as Edge from "./Edge.ts"
import * as Jobs from "./Jobs.ts"
import * as Readiness from "./Readiness.ts"

/**
 * The server cannot listen.
 *
 * @category errors
 * @since 0.1.0
 */
export class CannotListen extends Schema.TaggedError<CannotListen>("waybill/CannotListen")("CannotListen", {
  host: Schema.String,
  port: Schema.Int,
  code: Schema.String
}) {
  override get message(): string {
    const issues: Readonly<Record<string, string>> = {
      EADDRINUSE: "the port is in use",
      EACCES: "permission denied",
      EADDRNOTAVAIL: "this machine does not have that address",
      ENOTFOUND: "there is no such host"
    }
    return `cannot listen on ${this.host} port ${this.port}: ${issues[this.code] ?? this.code}`
  }
}

/**
 * How long requests in hand are waited for when the server stops.
 *
 * @category constants
 * @since 0.1.0
 */
export const gracefulWithin: Duration.Duration = Duration.seconds(4)

/**
 * How long stopping may take in all.
 *
 * @category constants
 * @since 0.1.0
 */
export const stopsWithin: Duration.Duration = Duration.seconds(9)

/**
 * Where to listen.
 *
 * @category models
 * @since 0.1.0
 */
export interface Address {
  readonly host: string
  readonly port: number
}

const codeOf = (cause: unknown): string =>
  Predicate.hasProperty(cause, "code") && typeof cause.code === "string" ? cause.code : "unknown reason"

/** Connections that are still open when the graceful time is over are cut, so that the server can close. */
const httpServer = ({ host, port }: Address) =>
  Layer.unwrap(Effect.sync(() => {
    const server = createServer()
    const cutting = Layer.effectDiscard(Effect.addFinalizer(() => Effect.sync(() => server.closeAllConnections())))
    return cutting.pipe(
      Layer.provideMerge(NodeHttpServer.layer(() => server, { host, port, gracefulShutdownTimeout: gracefulWithin })),
      Layer.catch(({ cause }) =>
        Layer.effectContext(Effect.fail(new CannotListen({ host, port, code: codeOf(cause) })))
      )
    )
  }))

const probes = (options: Readiness.Options) =>
  HttpRouter.use(Effect.fnUntraced(function*(router) {
    const kept = yield* Effect.context<Database.Database | Ticks.Ticks>()
    const ready = Effect.map(
      Effect.provide(Readiness.reason(options), kept),
      Option.match({
        onNone: () => HttpServerResponse.jsonUnsafe({ ready: true }),
        onSome: (reason) => HttpServerResponse.jsonUnsafe({ ready: false, reason }, { status: 503 })
      })
    )
    yield* router.add("GET", "/healthz", HttpServerResponse.text("ok"))
    yield* router.add("GET", "/readyz", ready)
  }))

/** The tracers of HTTP would tell addresses of requests, and with them tokens. */
const noHttpSpans = Layer.merge(
  Layer.succeed(HttpMiddleware.TracerDisabledWhen, () => true),
  Layer.succeed(HttpClient.TracerDisabledWhen, () => true)
)

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

const routes = Effect.fnUntraced(function*(startedAt: DateTime.Utc, lastBatchAt: Ref.Ref<DateTime.Utc>) {
  const node = yield* Settings.nodeName
  const cron = yield* Effect.fromResult(
    Schedules.parse(yield* Setting.read(Settings.reconcileCron), yield* Setting.read(Settings.timeZone))
  )
  const edge = WebhookRoutes.layer({
    maxBodySize: yield* Setting.read(Settings.maxBodySize),
    bodyTimeout: yield* Setting.read(Settings.bodyTimeout)
  })
  return Layer.mergeAll(
    edge,
    probes({ cron, node, startedAt, lastBatchAt: Ref.get(lastBatchAt) }),
    PrometheusMetrics.layerHttp()
  )
})

const tellReady = Layer.effectDiscard(Effect.gen(function*() {
  const { address } = yield* HttpServer.HttpServer
  const { kind } = yield* Database.Database
  yield* Effect.logInfo("ready").pipe(
    Effect.annotateLogs({
      url: HttpServer.formatAddress(address),
      database: kind.toLowerCase(),
      node: yield* Settings.nodeName
    })
  )
}))

/** The schedules and the HTTP server, neither of which waits for the other to stop. */
const working = Layer.unwrap(Effect.gen(function*() {
  const startedAt = yield* DateTime.now
  const lastBatchAt = yield* Ref.make(startedAt)
  return Layer.merge(
    Layer.unwrap(Jobs.scheduled(lastBatchAt)),
    HttpRouter.serve(Layer.unwrap(routes(startedAt, lastBatchAt)), {
      disableLogger: true,
      disableListenLog: true,
      routerConfig: { maxParamLength: 1024 }
    })
  )
}))

/**
 * Everything that is served, listening at an address.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  address: Address
): Layer.Layer<never, Database.OpenError | Schedules.InvalidCron | LedgerError.InvalidInput | CannotListen> =>
  tellReady.pipe(
    Layer.provide(working),
    Layer.provide(Edge.layer),
    Layer.provide(Layer.merge(Reconciler.layer, Pruner.layer)),
    Layer.provide(Telemetry.layer),
    Layer.provide(httpServer(address)),
    Layer.provide(migrated),
    Layer.provide(Store.layer),
    Layer.provide([Jobs.metrics, noHttpSpans]),
    Layer.provide(exporter)
  )

/**
 * Serves until it is interrupted.
 *
 * @category running
 * @since 0.1.0
 */
export const run = Effect.fnUntraced(function*(address: Address) {
  const serving = yield* Effect.forkDetach(Layer.launch(layer(address)))
  const stop = Effect.gen(function*() {
    yield* Effect.logInfo("stopping")
    const stopped = yield* Effect.timeoutOption(Fiber.interrupt(serving), stopsWithin)
    yield* Option.isSome(stopped) ? Effect.logInfo("stopped") : Effect.logWarning("stopped before all was done")
  })
  return yield* Effect.onInterrupt(Fiber.join(serving), () => stop)
})
