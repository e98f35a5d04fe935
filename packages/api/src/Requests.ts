/**
 * Counts the requests of the HTTP API by endpoint and class of status, and by nothing that a request says.
 *
 * @since 0.2.0
 */
import { Effect, Metric } from "effect"
import * as HttpApi from "effect/http-api/HttpApi"
import { Api } from "./Api.ts"

/**
 * Requests that were answered, by endpoint, such as `deliveries.record`, and class of status: `2xx`, `4xx` or `5xx`.
 *
 * @category metrics
 * @since 0.2.0
 */
export const requests: Metric.Counter<number> = Metric.counter("waybill_api_requests", {
  description: "Requests of the HTTP API that were answered",
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
 * Counts a request.
 *
 * @category counting
 * @since 0.2.0
 */
export const count = (endpoint: string, status: number): Effect.Effect<void> =>
  Metric.update(of(endpoint, `${Math.floor(status / 100)}xx`), 1)

/**
 * Registers the count of every endpoint, so that it is exported with 0 before anything is counted.
 *
 * @category registering
 * @since 0.2.0
 */
export const register: Effect.Effect<void> = Effect.forEach(
  endpoints.flatMap((endpoint) => ["2xx", "4xx", "5xx"].map((status) => of(endpoint, status))),
  (metric) => Metric.value(metric),
  { discard: true }
)
