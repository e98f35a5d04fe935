/**
 * Counts the requests of the HTTP API by endpoint and class of status, and how long they take, and nothing that a request says.
 *
 * @since 0.2.0
 */
import { Duration, Effect, Metric } from "effect"
import * as HttpApi from "effect/http-api/HttpApi"
import { Api } from "./Api.ts"

/**
 * Requests that were answered, by endpoint, such as `deliveries.record`, and class of status: `2xx`, `4xx` or `5xx`.
 *
 * @category metrics
 * @since 0.2.0
 */
export const requests: Metric.Counter<number> = Metric.counter("waybill_api_requests_total", {
  description: "Requests of the HTTP API that were answered",
  incremental: true
})

/**
 * How long a request took from its arrival to its answer, by endpoint; it appears with the first request.
 *
 * @category metrics
 * @since 0.2.0
 */
export const requestDuration: Metric.Histogram<number> = Metric.histogram("waybill_api_request_duration_seconds", {
  description: "Seconds from the arrival of a request of the HTTP API to its answer",
  boundaries: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
})

/**
 * Streams of the feed that ended by a failure, and not by their reader, their token or a stop.
 *
 * @category metrics
 * @since 0.2.0
 */
export const streamsFailed: Metric.Counter<number> = Metric.counter("waybill_api_streams_failed_total", {
  description: "Streams of the feed that ended by a failure",
  incremental: true
})

const of = (endpoint: string, status: string) => Metric.withAttributes(requests, { endpoint, status })

/**
 * The endpoints of the contract, by the names that they are counted by.
 *
 * @category constants
 * @since 0.2.0
 */
export const endpoints: ReadonlyArray<string> = (() => {
  const names: Array<string> = []
  HttpApi.reflect(Api, {
    onGroup: () => {},
    onEndpoint: ({ endpoint, group }) => names.push(`${group.identifier}.${endpoint.identifier}`)
  })
  return names
})()

/**
 * Counts a request, and how long it took.
 *
 * @category counting
 * @since 0.2.0
 */
export const count = (endpoint: string, status: number, took: Duration.Duration): Effect.Effect<void> =>
  Effect.andThen(
    Metric.update(of(endpoint, `${Math.floor(status / 100)}xx`), 1),
    Metric.update(Metric.withAttributes(requestDuration, { endpoint }), Duration.toSeconds(took))
  )

/**
 * Registers the counts of every endpoint and of the streams, so that it is exported with 0 before anything is counted.
 *
 * @category registering
 * @since 0.2.0
 */
export const register: Effect.Effect<void> = Effect.forEach(
  [streamsFailed, ...endpoints.flatMap((endpoint) => ["2xx", "4xx", "5xx"].map((status) => of(endpoint, status)))],
  (metric) => Metric.value(metric),
  { discard: true }
)
