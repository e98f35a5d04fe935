/** Signs whatever body it is given as each provider would, with the keys of the senders. */
import { assert } from "@effect/vitest"
import type { Provider } from "@waybill/core"
import { type Row, Ses, type Webhook } from "@waybill/webhooks"
import { type Sender, Senders, SesSender } from "@waybill/webhooks/testing"
import { type DateTime, Effect, Redacted } from "effect"
import { createHmac, generateKeyPairSync, randomBytes } from "node:crypto"

const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 })

const generated = await Effect.runPromise(Senders.generate)

const ses = Senders.make(Ses.row, new Map([["signature", SesSender.signer(rsa.privateKey)]]))

export const senders: ReadonlyArray<Sender.Sender> = generated.all.map((sender) =>
  sender.provider === ses.provider ? ses : sender
)

/** The rows that believe these senders, but for Amazon's certificates. */
export const rows: ReadonlyArray<Row.Row> = generated.rows

const signingKey = senders.find(({ provider }) => provider === "mailgun")?.secrets["mailgun"]?.[0] ??
  assert.fail("there is no sender of Mailgun")

export const certificates = SesSender.layerCertificates(rsa.publicKey)

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

export const textOf = (body: Uint8Array): string => new TextDecoder().decode(body)

const mailgunBlock = (timestamp: string) => {
  const token = randomBytes(25).toString("hex")
  const signature = createHmac("sha256", Redacted.value(signingKey)).update(timestamp).update(token).digest("hex")
  return { timestamp, token, signature }
}

/** Whether a provider signs; some only know a secret, whatever the body is. */
export const isSigned = (provider: Provider.Provider): boolean =>
  rows.some(({ name, schemes: [strongest] }) => name === provider && strongest.proof === "signature")

const signedInPart = new Set<string>(["mailgun", "ses", "scaleway"])

/** Whether a provider signs each byte of a body; some sign the fields of it that count. */
export const isSignedWhole = (provider: Provider.Provider): boolean => isSigned(provider) && !signedInPart.has(provider)

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
  const sender = senders.find((sender) => sender.provider === provider) ?? assert.fail(`nothing signs for ${provider}`)
  return sender.sign({ headers: { "content-type": "application/json" }, body }, sentAt)
}

/** The request by which Amazon SNS asks whether a subscription is wanted. */
export const subscription = (sentAt: DateTime.Utc): Webhook.Request =>
  SesSender.subscriptionConfirmation(rsa.privateKey, sentAt)
