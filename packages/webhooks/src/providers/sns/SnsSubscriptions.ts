/**
 * Answers Amazon SNS when it asks whether a subscription is wanted: with nothing, unless the tenant has opted in.
 *
 * Only `https://sns.<region>.amazonaws.com` is ever asked, in the region of a topic that is on the tenant's list; no
 * redirect is followed and a request takes at most five seconds.
 *
 * @since 0.1.0
 */
import { Context, Effect, Layer, Option, Redacted, Schema } from "effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import type { Credentials, SecretsUnavailable } from "../../Credentials.ts"
import * as SnsEnvelope from "./SnsEnvelope.ts"

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
  /** Confirms a subscription if the tenant wants it, and returns whether it did. */
  readonly confirm: (
    confirmation: SnsEnvelope.Confirmation,
    /** The settings of the tenant, looked up where the address is one of Amazon's. */
    credentials: Effect.Effect<Option.Option<Credentials>, SecretsUnavailable>
  ) => Effect.Effect<boolean, SubscriptionNotConfirmed>
}>()("@waybill/webhooks/SnsSubscriptions") {}

/** Whether an address is one of Amazon SNS in the region of a topic. */
const isOfTopic = ({ subscribeUrl, topicArn }: SnsEnvelope.Confirmation): boolean => {
  if (!URL.canParse(subscribeUrl)) return false
  const { host, password, protocol, username } = new URL(subscribeUrl)
  return protocol === "https:" && Option.contains(SnsEnvelope.hostOf(topicArn), host) && username === "" &&
    password === ""
}

/** Whether a tenant has opted in, and the topic is on its list. */
const isWanted = ({ topicArn }: SnsEnvelope.Confirmation, credentials: Option.Option<Credentials>): boolean =>
  Option.exists(
    credentials,
    ({ secrets, switches }) =>
      switches.has(SnsEnvelope.confirmSubscriptions) &&
      secrets.some((topic) => Redacted.value(topic).trim() === topicArn)
  )

const make = Effect.gen(function*() {
  const client = HttpClient.filterStatusOk(yield* HttpClient.HttpClient)
  const confirm = Effect.fn("SnsSubscriptions.confirm")(
    function*(
      confirmation: SnsEnvelope.Confirmation,
      credentials: Effect.Effect<Option.Option<Credentials>, SecretsUnavailable>
    ) {
      if (!isOfTopic(confirmation) || !isWanted(confirmation, yield* credentials)) return false
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
export const layer: Layer.Layer<SnsSubscriptions, never, HttpClient.HttpClient> = Layer.effect(
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
