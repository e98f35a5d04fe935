/**
 * Keeps addresses and bodies out of the spans: a span tells of a failure no more than a log may.
 *
 * @since 0.2.0
 */
import { Effect, Exit, Layer, Tracer } from "effect"
import { reasonOf } from "./internal/reason.ts"

/** A span that tells of a failure no more than a log may. */
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
  attribute: (key, value) => span.attribute(key, value),
  event: (name, startTime, attributes) => span.event(name, startTime, attributes),
  addLinks: (links) => span.addLinks(links)
})

const guardExit = (exit: Exit.Failure<unknown, unknown>): Exit.Exit<unknown, unknown> =>
  Exit.hasInterrupts(exit) ? exit : Exit.fail(reasonOf(exit.cause))

/**
 * A tracer whose spans tell of a failure no more than a log may: what a database or a handler says may hold an address.
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
