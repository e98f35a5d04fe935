/** Signs whatever body it is given as each provider would, with the keys of the senders. */
import { assert } from "@effect/vitest"
import type { Provider } from "@waybill/core"
import type { Webhook } from "@waybill/webhooks"
import {
  MailgunSender,
  PostmarkSender,
  ResendSender,
  type Sender,
  SendGridSender,
  SesSender
} from "@waybill/webhooks/testing"
import { DateTime, Redacted } from "effect"
import { createHmac, createSign, generateKeyPairSync, randomBytes } from "node:crypto"

const basicAuth = `postmark:${randomBytes(18).toString("base64url")}`
const elliptic = generateKeyPairSync("ec", { namedCurve: "prime256v1" })
const svixKey = randomBytes(24)
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 })
const signingKey = randomBytes(16).toString("hex")

export const senders: ReadonlyArray<Sender.Sender> = [
  PostmarkSender.make(Redacted.make(basicAuth)),
  SendGridSender.make(elliptic),
  ResendSender.make(Redacted.make(`whsec_${svixKey.toString("base64")}`)),
  SesSender.make(rsa.privateKey),
  MailgunSender.make(Redacted.make(signingKey))
]

export const certificates = SesSender.layerCertificates(rsa.publicKey)

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

export const textOf = (body: Uint8Array): string => new TextDecoder().decode(body)

const envelope = (message: string, sentAt: DateTime.Utc): string => {
  const fields = [
    ["Message", message],
    ["MessageId", randomBytes(16).toString("hex")],
    ["Timestamp", DateTime.formatIso(sentAt)],
    ["TopicArn", SesSender.topicArn],
    ["Type", "Notification"]
  ]
  const signed = fields.map(([field, value]) => `${field}\n${value}\n`).join("")
  return JSON.stringify({
    ...Object.fromEntries(fields),
    SignatureVersion: "2",
    Signature: createSign("sha256").update(signed).sign(rsa.privateKey, "base64"),
    SigningCertURL: SesSender.certificateUrl
  })
}

const mailgunBlock = (timestamp: string) => {
  const token = randomBytes(25).toString("hex")
  const signature = createHmac("sha256", signingKey).update(timestamp).update(token).digest("hex")
  return { timestamp, token, signature }
}

/** A form as Mailgun's legacy webhooks post it, made of what comes before the signature. */
export const signForm = (fields: Uint8Array, sentAt: DateTime.Utc): Webhook.Request => ({
  headers: { "content-type": "application/x-www-form-urlencoded" },
  body: Buffer.concat([
    fields,
    bytes(`&${new URLSearchParams(mailgunBlock(String(Math.floor(sentAt.epochMilliseconds / 1000)))).toString()}`)
  ])
})

/**
 * A request that verifies. The body is what the provider's event is, without the envelope in which some put their
 * signature: for `ses` the text of the message, for `mailgun` the `event-data`.
 */
export const sign = (provider: Provider.Provider, body: Uint8Array, sentAt: DateTime.Utc): Webhook.Request => {
  const timestamp = String(Math.floor(sentAt.epochMilliseconds / 1000))
  switch (String(provider)) {
    case "postmark":
      return { headers: { authorization: `Basic ${Buffer.from(basicAuth).toString("base64")}` }, body }
    case "sendgrid":
      return {
        headers: {
          "x-twilio-email-event-webhook-signature": createSign("sha256").update(timestamp).update(body).sign(
            elliptic.privateKey,
            "base64"
          ),
          "x-twilio-email-event-webhook-timestamp": timestamp
        },
        body
      }
    case "resend": {
      const id = `msg_${randomBytes(12).toString("hex")}`
      const signature = createHmac("sha256", svixKey).update(`${id}.${timestamp}.`).update(body).digest("base64")
      return {
        headers: { "svix-id": id, "svix-timestamp": timestamp, "svix-signature": `v1,${signature}` },
        body
      }
    }
    case "ses":
      return { headers: { "content-type": "text/plain" }, body: bytes(envelope(textOf(body), sentAt)) }
    case "mailgun": {
      const block = JSON.stringify(mailgunBlock(timestamp))
      return {
        headers: { "content-type": "application/json" },
        body: Buffer.concat([bytes(`{"signature":${block},"event-data":`), body, bytes("}")])
      }
    }
    default:
      return assert.fail(`nothing signs for ${provider}`)
  }
}

/** The request by which Amazon SNS asks whether a subscription is wanted. */
export const subscription = (sentAt: DateTime.Utc): Webhook.Request =>
  SesSender.subscriptionConfirmation(rsa.privateKey, sentAt)
