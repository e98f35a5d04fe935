/**
 * Judges whether a topic of Amazon SNS may report: the ARNs of those that may are the secrets.
 *
 * @since 0.2.0
 */
import type { Provider } from "@waybill/core"
import { Effect, Option, Redacted } from "effect"
import * as Signature from "../../internal/signature.ts"
import type * as Scheme from "../../Scheme.ts"
import type * as Webhook from "../../Webhook.ts"
import * as SnsEnvelope from "./SnsEnvelope.ts"

/**
 * Refuses a topic that is not on the list; where the list is empty or names what is no topic, the fault is ours.
 *
 * @category verification
 * @since 0.2.0
 */
export const judge = (
  provider: Provider.Provider,
  secrets: Webhook.Attempt["secrets"],
  topicArn: string
): Effect.Effect<void, Webhook.VerificationError> => {
  const topics = secrets.map((secret) => Redacted.value(secret).trim())
  if (topics.includes(topicArn)) return Effect.void
  const isOurs = topics.length === 0 || !topics.every((topic) => Option.isSome(SnsEnvelope.hostOf(topic)))
  return Effect.fail(Signature.refusal(provider)(isOurs ? "MisconfiguredSecret" : "UntrustedTopic"))
}

/**
 * Refuses a request whose header names a topic that is not on the list, before the body is read.
 *
 * @category verification
 * @since 0.2.0
 */
export const admit = (provider: Provider.Provider): Scheme.Admit => ({ headers, secrets }) => {
  const topicArn = headers["x-amz-sns-topic-arn"]
  return topicArn === undefined ? Effect.void : judge(provider, secrets, topicArn)
}
