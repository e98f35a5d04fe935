/**
 * Posts as Amazon SNS does for Amazon SES, signed with a key of our own; a layer gives its certificate in place of Amazon's.
 *
 * @since 0.1.0
 */
import type { EventType } from "@waybill/core"
import { DateTime, Effect, Layer, Redacted } from "effect"
import { createSign, generateKeyPairSync, type KeyObject } from "node:crypto"
import { sha256Hex } from "../internal/digest.ts"
import * as Ses from "../providers/Ses.ts"
import * as Sns from "../providers/sns/Sns.ts"
import * as SnsCertificates from "../providers/sns/SnsCertificates.ts"
import * as SnsSubscriptions from "../providers/sns/SnsSubscriptions.ts"
import type * as Webhook from "../Webhook.ts"
import * as Sender from "./Sender.ts"

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

type Part = (report: Sender.Report) => readonly [eventType: string, part: Readonly<Record<string, unknown>>]

const at = (report: Sender.Report): string => DateTime.formatIso(report.at)

const parts: ReadonlyMap<EventType.ReportedType, Part> = new Map<EventType.ReportedType, Part>([
  ["sent", () => ["Send", { send: {} }]],
  ["delivered", (report) => ["Delivery", { delivery: { timestamp: at(report), recipients: [report.recipient] } }]],
  ["deferred", (report) => ["DeliveryDelay", {
    deliveryDelay: {
      timestamp: at(report),
      delayType: "MailboxFull",
      delayedRecipients: [{ emailAddress: report.recipient, status: "4.2.2" }]
    }
  }]],
  ["bounced", (report) => ["Bounce", {
    bounce: {
      timestamp: at(report),
      feedbackId: report.eventId,
      bounceType: report.bounceClass === "soft" ? "Transient" : "Permanent",
      bounceSubType: "General",
      bouncedRecipients: [{ emailAddress: report.recipient, status: report.bounceClass === "soft" ? "4.2.2" : "5.1.1" }]
    }
  }]],
  ["rejected", () => ["Reject", { reject: { reason: "Bad content" } }]],
  ["failed", () => ["Rendering Failure", { failure: { templateName: "receipt", errorMessage: "missing attribute" } }]],
  ["opened", (report) => ["Open", { open: { timestamp: at(report), ipAddress: "192.0.2.7" } }]],
  ["clicked", (report) => ["Click", {
    click: { timestamp: at(report), ipAddress: "192.0.2.7", link: "https://shop.example/orders" }
  }]],
  ["complained", (report) => ["Complaint", {
    complaint: {
      timestamp: at(report),
      feedbackId: report.eventId,
      complaintFeedbackType: "abuse",
      complainedRecipients: [{ emailAddress: report.recipient }]
    }
  }]],
  ["unsubscribed", (report) => ["Subscription", {
    subscription: { timestamp: at(report), newTopicPreferences: { unsubscribeAll: true } }
  }]],
  ["subscribed", (report) => ["Subscription", {
    subscription: { timestamp: at(report), newTopicPreferences: { unsubscribeAll: false } }
  }]]
])

const unheard: Part = () => ["Unheard", {}]

const uuid = (text: string): string => sha256Hex(text).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, "$1-$2-$3-$4-$5")

const message = (report: Sender.Report): string => {
  const [eventType, part] = (parts.get(report.type) ?? unheard)(report)
  return JSON.stringify({
    eventType,
    mail: {
      timestamp: at(report),
      messageId: report.messageId,
      source: "shop@shop.example",
      destination: [report.recipient],
      commonHeaders: { subject: "Your receipt" },
      tags: report.deliveryId === undefined ? {} : { waybill_delivery_id: [report.deliveryId] }
    },
    ...part
  })
}

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

const notification = (privateKey: KeyObject, report: Sender.Report, sentAt: DateTime.Utc): Webhook.Request =>
  sign(privateKey, [
    ["Message", message(report)],
    ["MessageId", uuid(report.eventId)],
    ["Subject", "Amazon SES Email Event Notification"],
    ["Timestamp", DateTime.formatIso(sentAt)],
    ["TopicArn", topicArn],
    ["Type", "Notification"]
  ])

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
 * Posts one request for each report, signed with the private key of an RSA pair.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (privateKey: KeyObject): Sender.Sender => ({
  provider: Ses.row.name,
  secrets: [Redacted.make(topicArn)],
  types: Sender.typesOf(parts),
  send: (reports, sentAt) => reports.map((report) => notification(privateKey, report, sentAt))
})

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
 * How senders of Amazon SES are made.
 *
 * @category constructors
 * @since 0.2.0
 */
export const kind: Sender.Kind = {
  provider: Ses.row.name,
  signing: { _tag: "Nothing", issue: "an endpoint believes the certificates of Amazon alone" },
  generate: () => {
    const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 })
    const sns = Layer.merge(layerCertificates(publicKey), SnsSubscriptions.layer)
    return { sender: make(privateKey), row: { ...Ses.row, open: Effect.provide(Sns.open(Ses.row.name), sns) } }
  }
}
