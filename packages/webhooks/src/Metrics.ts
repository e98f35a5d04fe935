/**
 * Defines the metrics of the edge: how each webhook ended, how long it took, and what was not understood.
 *
 * @since 0.2.0
 */
import * as Attributes from "@waybill/core/Attributes"
import type * as Provider from "@waybill/core/Provider"
import { Duration, Effect, Metric } from "effect"

/**
 * How a request that brings a webhook ends: its events are taken, they were there already, it is stored and not understood, or
 * it does not come in.
 *
 * @category constants
 * @since 0.2.0
 */
export const outcomes = ["accepted", "duplicate", "undecodable", "refused"] as const

/**
 * How a request that brings a webhook ends.
 *
 * @category models
 * @since 0.2.0
 */
export type Outcome = typeof outcomes[number]

/**
 * Webhooks that were answered, by provider and outcome.
 *
 * @category metrics
 * @since 0.2.0
 */
export const webhooks = Metric.counter("waybill_webhooks_total", {
  description: "Webhooks that were answered, by outcome",
  incremental: true
})

/**
 * How long a webhook took from its arrival to its answer, by provider.
 *
 * @category metrics
 * @since 0.2.0
 */
export const webhookDuration = Metric.histogram("waybill_webhook_duration_seconds", {
  description: "Seconds from the arrival of a webhook to its answer",
  boundaries: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
})

/**
 * Webhooks that did not come in, by provider and reason.
 *
 * @category metrics
 * @since 0.2.0
 */
export const webhooksRefused = Metric.counter("waybill_webhooks_refused_total", {
  description: "Webhooks that were not taken in, by reason",
  incremental: true
})

/**
 * Webhooks that were stored and not understood, as a whole or in part, by provider and reason; a later try is not counted.
 *
 * @category metrics
 * @since 0.2.0
 */
export const webhooksUndecodable = Metric.counter("waybill_webhooks_undecodable_total", {
  description: "Webhooks that were stored and not understood, by reason",
  incremental: true
})

/**
 * Updates a metric under the provider and the reason.
 *
 * @category updating
 * @since 0.2.0
 */
export const update = <Input, State>(
  metric: Metric.Metric<Input, State>,
  input: Input,
  by: Pick<Attributes.Attributes, "provider" | "reason">
): Effect.Effect<void> => Metric.update(Metric.withAttributes(metric, Attributes.labels(by)), input)

const endedAs = (provider: Provider.Provider, outcome: Outcome) =>
  Metric.withAttributes(webhooks, { provider, outcome })

/**
 * Counts how a webhook ended, and how long it took.
 *
 * @category updating
 * @since 0.2.0
 */
export const ended = (provider: Provider.Provider, outcome: Outcome, took: Duration.Duration): Effect.Effect<void> =>
  Effect.andThen(
    Metric.update(endedAs(provider, outcome), 1),
    update(webhookDuration, Duration.toSeconds(took), { provider })
  )

/**
 * Registers the metrics of some providers, so that they are exported with 0 before anything is counted; a duration appears with
 * its first webhook.
 *
 * @category registering
 * @since 0.2.0
 */
export const register = (
  providers: ReadonlyArray<Provider.Provider>,
  reasons: {
    readonly refused: ReadonlyArray<Attributes.Reason>
    readonly undecodable: ReadonlyArray<Attributes.Reason>
  }
): Effect.Effect<void> =>
  Effect.forEach(
    providers.flatMap((provider) => [
      ...outcomes.map((outcome) => endedAs(provider, outcome)),
      ...reasons.refused.map((reason) =>
        Metric.withAttributes(webhooksRefused, Attributes.labels({ provider, reason }))
      ),
      ...reasons.undecodable.map((reason) =>
        Metric.withAttributes(webhooksUndecodable, Attributes.labels({ provider, reason }))
      )
    ]),
    (metric) => Metric.value(metric),
    { discard: true }
  )
