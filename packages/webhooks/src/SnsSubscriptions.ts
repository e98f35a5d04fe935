/**
 * Answers Amazon SNS when it asks whether a subscription is wanted: with nothing, unless the tenant has opted in.
 *
 * Only `https://sns.<region>.amazonaws.com` is ever asked, in the region of a topic that is on the tenant's list; no
 * redirect is followed and a request takes at most five seconds.
 *
 * @since 0.1.0
 */
import { Provider, type Tenant } from "@waybill/core"
import { Context, Effect, Layer, Option, Redacted, Schema } from "effect"
import { FetchHttpClient, HttpClient } from "effect/http"
import { Secrets } from "./Secrets.ts"
import type * as Webhook from "./Webhook.ts"

/**
 * A subscription that is wanted could not be confirmed; a later attempt may succeed.
 *
 * @category errors
 * @since 0.1.0
 */
export class SubscriptionNotConfirmed
  extends Schema.TaggedError<SubscriptionNotConfirmed>("@waybill/webhooks/SubscriptionNotConfirmed")(
    "SubscriptionNotConfirmed",
    { cause: Schema.Defect() }
  )
{
  override get message(): string {
    return "the subscription could not be confirmed"
  }
}

/**
 * The subscriptions that Amazon SNS offers.
 *
 * @category services
 * @since 0.1.0
 */
export class SnsSubscriptions extends Context.Service<SnsSubscriptions, {
  /** Confirms a subscription if the tenant wants it, and gives whether it did. */
  readonly confirm: (
    tenantId: Tenant.TenantId,
    confirmation: Webhook.Confirmation
  ) => Effect.Effect<boolean, SubscriptionNotConfirmed>
}>()("@waybill/webhooks/SnsSubscriptions") {}

const ses = Provider.Provider.make("ses")

const arn = /^arn:(aws|aws-cn|aws-us-gov):sns:([a-z0-9-]{3,}):\d+:[A-Za-z0-9_.-]+$/

/** Whether an address is one of Amazon SNS in the region of a topic. */
const isOfTopic = ({ subscribeUrl, topicArn }: Webhook.Confirmation): boolean => {
  const [, partition, region] = arn.exec(topicArn) ?? []
  if (region === undefined || !URL.canParse(subscribeUrl)) return false
  const url = new URL(subscribeUrl)
  const host = `sns.${region}.amazonaws.com${partition === "aws-cn" ? ".cn" : ""}`
  return url.protocol === "https:" && url.host === host && url.username === "" && url.password === ""
}

const make = Effect.gen(function*() {
  const secrets = yield* Secrets
  const client = HttpClient.filterStatusOk(yield* HttpClient.HttpClient)

  const isWanted = Effect.fnUntraced(function*(tenantId: Tenant.TenantId, confirmation: Webhook.Confirmation) {
    const found = yield* secrets.lookup(tenantId, ses)
    return Option.exists(
      found,
      ({ confirmSubscriptions, secrets }) =>
        confirmSubscriptions && secrets.some((topic) => Redacted.value(topic).trim() === confirmation.topicArn)
    )
  })

  const confirm = Effect.fn("SnsSubscriptions.confirm")(
    function*(tenantId: Tenant.TenantId, confirmation: Webhook.Confirmation) {
      if (!isOfTopic(confirmation) || !(yield* isWanted(tenantId, confirmation))) return false
      yield* client.get(confirmation.subscribeUrl)
      yield* Effect.logInfo("subscription of Amazon SNS confirmed")
      return true
    },
    Effect.provideService(FetchHttpClient.RequestInit, { redirect: "error" }),
    Effect.timeout("5 seconds"),
    Effect.interruptible,
    Effect.mapError((cause) => new SubscriptionNotConfirmed({ cause }))
  )

  return SnsSubscriptions.of({ confirm })
})

/**
 * Confirms the subscriptions of tenants that have opted in.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<SnsSubscriptions, never, HttpClient.HttpClient | Secrets> = Layer.effect(
  SnsSubscriptions,
  make
)

/**
 * Confirms none.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerNone: Layer.Layer<SnsSubscriptions> = Layer.succeed(SnsSubscriptions, {
  confirm: () => Effect.succeed(false)
})
