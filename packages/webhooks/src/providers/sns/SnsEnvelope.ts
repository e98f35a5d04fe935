/**
 * Reads the envelope in which Amazon SNS publishes, and the confirmation that it may ask of a subscriber.
 *
 * @since 0.2.0
 */
import { Option, Schema } from "effect"
import * as Json from "../../internal/json.ts"

/**
 * The envelope that a JSON value is; none where it is no object.
 *
 * @category constructors
 * @since 0.2.0
 */
export const decode = Json.decoder(() =>
  Schema.Struct({
    Type: Json.text,
    MessageId: Json.text,
    TopicArn: Json.text,
    Subject: Json.text,
    Message: Json.text,
    Timestamp: Json.text,
    SubscribeURL: Json.text,
    Token: Json.text,
    SignatureVersion: Json.text,
    Signature: Json.text,
    SigningCertURL: Json.text
  })
)

/**
 * An envelope of Amazon SNS; a field that is absent or no text is undefined.
 *
 * @category models
 * @since 0.2.0
 */
export type SnsEnvelope = Json.Decoded<typeof decode>

/**
 * The envelope in a body.
 *
 * @category constructors
 * @since 0.2.0
 */
export const read = (body: Uint8Array): Option.Option<SnsEnvelope> =>
  Option.flatMap(Json.parse(Json.decodeText(body)), decode)

const arn = /^arn:(aws|aws-cn|aws-us-gov):sns:([a-z0-9-]{3,}):\d+:[A-Za-z0-9_.-]+$/

/**
 * The host of Amazon SNS in the region of a topic; none where the text is no topic's ARN.
 *
 * @category getters
 * @since 0.2.0
 */
export const hostOf = (topicArn: string): Option.Option<string> => {
  const parts = arn.exec(topicArn)
  if (parts === null) return Option.none()
  const [, partition, region = ""] = parts
  return Option.some(`sns.${region}.amazonaws.com${partition === "aws-cn" ? ".cn" : ""}`)
}

/**
 * Whether an address lies on the host of a topic, as it is written.
 *
 * @category getters
 * @since 0.2.0
 */
export const isAt = (topicArn: string, url: string, path = "/"): boolean =>
  Option.exists(hostOf(topicArn), (host) => url.startsWith(`https://${host}${path}`))

/**
 * The name of the switch that lets subscriptions to listed topics be confirmed.
 *
 * @category constants
 * @since 0.2.0
 */
export const confirmSubscriptions = "confirmSubscriptions"

/**
 * Amazon SNS asks whether a subscription is wanted: it is confirmed by a GET of the address.
 *
 * @category models
 * @since 0.2.0
 */
export interface Confirmation {
  readonly topicArn: string
  readonly subscribeUrl: string
}

/**
 * The subscription that an envelope asks to confirm; none where it asks for nothing, or for an address outside the topic's
 * own region.
 *
 * @category getters
 * @since 0.2.0
 */
export const confirmation = (envelope: SnsEnvelope): Option.Option<Confirmation> => {
  const { SubscribeURL: subscribeUrl = "", TopicArn: topicArn = "", Type: type } = envelope
  return type === "SubscriptionConfirmation" && isAt(topicArn, subscribeUrl, "/?")
    ? Option.some({ topicArn, subscribeUrl })
    : Option.none()
}
