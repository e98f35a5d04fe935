/**
 * Keeps addresses, bodies and secrets out of the spans: a span tells of a failure no more than a log may, and of a request neither
 * its path and query nor its headers.
 *
 * @since 0.2.0
 */
import { Cause, Effect, Exit, Layer, Tracer } from "effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import { reasonOf } from "./internal/reason.ts"

/** Attributes that name what a request holds: a webhook's token, an unsubscribe link, the address that is searched for. */
const isTelling = (key: string): boolean =>
  /^url\.(?:full|path|query|fragment|original)$|^http\.(?:url|target)$|^http\.(?:request|response)\.header\./.test(key)

/** A span that tells of a failure no more than a log may, and nothing of what a request holds. */
const guardSpan = (span: Tracer.Span): Tracer.Span => ({
  _tag: "Span",
  name: span.name,
  spanId: span.spanId,
  traceId: span.traceId,
  parent: span.parent,
  annotations: span.annotations,
  links: span.links,
  sampled: span.sampled,
  kind: span.kind,
  get status() {
    return span.status
  },
  get attributes() {
    return span.attributes
  },
  end: (endTime, exit) => span.end(endTime, Exit.isFailure(exit) ? guardExit(exit) : Exit.void),
  attribute: (key, value) => isTelling(key) ? undefined : span.attribute(key, value),
  event: (name, startTime, attributes) => span.event(name, startTime, attributes),
  addLinks: (links) => span.addLinks(links)
})

const guardExit = (exit: Exit.Failure<unknown, unknown>): Exit.Exit<unknown, unknown> =>
  Cause.hasInterruptsOnly(exit.cause) ? exit : Exit.fail(reasonOf(exit.cause))

/**
 * A tracer whose spans tell of a failure no more than a log may: what a database or a handler says may hold an address. What the
 * spans of HTTP say of the path, the query and the headers of a request is left out.
 *
 * @category constructors
 * @since 0.1.0
 */
export const guard = (tracer: Tracer.Tracer): Tracer.Tracer =>
  Tracer.make({
    span: (options) => guardSpan(tracer.span(options)),
    context: tracer.context
  })

/**
 * Puts the guard around the tracer in hand; give it what the exporter's layer provides.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never> = Layer.effect(Tracer.Tracer, Effect.map(Tracer.Tracer, guard))

/**
 * Lets no request be traced, neither one that is served nor one that is made. Give it to whatever serves the routes where the
 * spans go to an exporter without the guard: a path may hold an unsubscribe link, a query a webhook's token.
 *
 * @category layers
 * @since 0.2.0
 */
export const layerNoHttp: Layer.Layer<never> = Layer.merge(
  Layer.succeed(HttpMiddleware.TracerDisabledWhen, () => true),
  Layer.succeed(HttpClient.TracerDisabledWhen, () => true)
)
