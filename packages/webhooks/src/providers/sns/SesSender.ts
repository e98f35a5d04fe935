/**
 * Posts as Amazon SNS does for Amazon SES, signed with a key of our own; a layer gives its certificate in place of Amazon's.
 *
 * @since 0.1.0
 */
import { Provider } from "@waybill/core"
import { DateTime, Effect, Layer, Redacted } from "effect"
import { createSign, generateKeyPairSync, type KeyObject } from "node:crypto"
import { sha256Hex } from "../../internal/digest.ts"
import type * as Scheme from "../../Scheme.ts"
import type * as Webhook from "../../Webhook.ts"
import * as Sns from "./Sns.ts"
import * as SnsCertificates from "./SnsCertificates.ts"

/**
 * The topic from which it posts.
 *
 * @category constants
 * @since 0.1.0
 */
export const topicArn = "arn:aws:sns:eu-central-1:123456789012:waybill-test"

/**
 * Where its certificate is said to lie.
 *
 * @category constants
 * @since 0.1.0
 */
export const certificateUrl = SnsCertificates.CertificateUrl.make(
  "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-waybill.pem"
)

const uuid = (text: string): string => sha256Hex(text).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, "$1-$2-$3-$4-$5")

const sign = (privateKey: KeyObject, fields: ReadonlyArray<readonly [string, string]>): Webhook.Request => {
  const signature = createSign("sha256")
    .update(fields.map(([field, value]) => `${field}\n${value}\n`).join(""))
    .sign(privateKey, "base64")
  return {
    headers: { "content-type": "text/plain; charset=UTF-8" },
    body: new TextEncoder().encode(JSON.stringify({
      ...Object.fromEntries(fields),
      SignatureVersion: "2",
      Signature: signature,
      SigningCertURL: certificateUrl
    }))
  }
}

/**
 * Puts what is published into an envelope, signed with the private key of an RSA pair.
 *
 * @category constructors
 * @since 0.2.0
 */
export const signer = (privateKey: KeyObject): Scheme.Signer => ({
  secrets: [Redacted.make(topicArn)],
  sign: ({ body }, sentAt) =>
    sign(privateKey, [
      ["Message", new TextDecoder().decode(body)],
      ["MessageId", uuid(Buffer.from(body).toString("base64"))],
      ["Subject", "Amazon SES Email Event Notification"],
      ["Timestamp", DateTime.formatIso(sentAt)],
      ["TopicArn", topicArn],
      ["Type", "Notification"]
    ])
})

/**
 * The request that asks to confirm a subscription.
 *
 * @category constructors
 * @since 0.1.0
 */
export const subscriptionConfirmation = (privateKey: KeyObject, sentAt: DateTime.Utc): Webhook.Request =>
  sign(privateKey, [
    ["Message", `You have chosen to subscribe to the topic ${topicArn}.`],
    ["MessageId", uuid("subscription")],
    ["SubscribeURL", `https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=${topicArn}&Token=1`],
    ["Timestamp", DateTime.formatIso(sentAt)],
    ["Token", "1"],
    ["TopicArn", topicArn],
    ["Type", "SubscriptionConfirmation"]
  ])

/**
 * Provides the public key as the certificate at `certificateUrl`, valid at any time, and no other.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerCertificates = (publicKey: KeyObject): Layer.Layer<SnsCertificates.SnsCertificates> =>
  Layer.succeed(SnsCertificates.SnsCertificates, {
    get: (url) =>
      url === certificateUrl
        ? Effect.succeed({
          publicKey,
          notBefore: DateTime.makeUnsafe(0),
          notAfter: DateTime.makeUnsafe("9999-12-31T23:59:59.999Z")
        })
        : Effect.fail(new SnsCertificates.CertificateUnavailable({ url }))
  })

/**
 * A signer with a key made on the spot, and what believes its certificate.
 *
 * @category constructors
 * @since 0.2.0
 */
export const generate = Effect.gen(function*() {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 })
  const verify = yield* Effect.provide(Sns.verify(Provider.Provider.make("ses")), layerCertificates(publicKey))
  return { signer: signer(privateKey), verify }
})
