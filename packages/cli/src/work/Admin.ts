/**
 * Answers those who watch a process: `/healthz`, `/readyz` and `/metrics`, each by its exact path alone.
 *
 * Routers take several spellings of a path for one, and what guards `/metrics` before this process need not: `//metrics` must
 * not lead where `/metrics` is refused.
 *
 * @since 0.2.0
 */
import type { Ticks } from "@waybill/core"
import { Effect, type Layer, Option } from "effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import type * as EdgeSettings from "../config/EdgeSettings.ts"
import type * as Database from "../store/Database.ts"
import * as Readiness from "./Readiness.ts"

const health = Effect.succeed(HttpServerResponse.text("ok"))

const metrics = Effect.map(
  PrometheusMetrics.format(),
  (page) => HttpServerResponse.text(page, { contentType: "text/plain; version=0.0.4; charset=utf-8" })
)

const readiness = Effect.fnUntraced(function*(options: Readiness.Options) {
  const reason = yield* Readiness.reason(options)
  const warnings = yield* Readiness.warnings(options)
  return HttpServerResponse.jsonUnsafe({
    ready: Option.isNone(reason),
    ...Option.isSome(reason) && { reason: reason.value },
    ...warnings.length > 0 && { warnings }
  }, { status: Option.isNone(reason) ? 200 : 503 })
})

/** Leaves every spelling of a path but its own to nobody. */
const exactly = <E, R>(
  path: HttpRouter.PathInput,
  answer: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
) =>
  Effect.flatMap(
    HttpServerRequest.HttpServerRequest,
    ({ url }) => url.split("?", 1)[0] === path ? answer : Effect.succeed(HttpServerResponse.empty({ status: 404 }))
  )

/**
 * Adds the routes to the router.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer = (
  options: Readiness.Options,
  parts: ReadonlySet<EdgeSettings.Part>
): Layer.Layer<never, never, HttpRouter.HttpRouter | Database.Database | Ticks.Ticks> =>
  HttpRouter.use(Effect.fnUntraced(function*(router) {
    const kept = yield* Effect.context<Database.Database | Ticks.Ticks>()
    const answers = [
      ["probes", "/healthz", health],
      ["probes", "/readyz", Effect.provide(readiness(options), kept)],
      ["metrics", "/metrics", metrics]
    ] as const
    for (const [part, path, answer] of answers) {
      if (parts.has(part)) yield* router.add("GET", path, exactly(path, answer))
    }
  }))
