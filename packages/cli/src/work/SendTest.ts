/**
 * Builds a provider's signed request and posts it.
 *
 * @since 0.1.0
 */
import { type EventType, type Recipient, type Tenant } from "@waybill/core"
import * as Testing from "@waybill/webhooks/testing"
import type * as Webhook from "@waybill/webhooks/Webhook"
import { DateTime, Effect, FileSystem, Option, Schema } from "effect"
import { SecureRandom } from "effect/crypto"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import { createPrivateKey, createPublicKey } from "node:crypto"
import * as Ingest from "./Ingest.ts"

/**
 * A webhook cannot be built as it is asked for.
 *
 * @category errors
 * @since 0.1.0
 */
export class CannotSign extends Schema.TaggedError<CannotSign>("waybill/CannotSign")("CannotSign", {
  provider: Schema.String,
  issue: Schema.String
}) {
  override get message(): string {
    return `cannot send as ${this.provider}: ${this.issue}`
  }
}

/**
 * The endpoint did not answer.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotAnswered extends Schema.TaggedError<NotAnswered>("waybill/NotAnswered")("NotAnswered", {
  host: Schema.String
}) {
  override get message(): string {
    return `${this.host} does not answer`
  }
}

/**
 * What to send and where.
 *
 * @category models
 * @since 0.1.0
 */
export interface Asked {
  readonly provider: string
  readonly type: EventType.ReportedType
  readonly url: string
  readonly messageId: Option.Option<string>
  readonly recipient: Recipient.Recipient
  /** The file of the key that SendGrid's webhooks are signed with. */
  readonly privateKey: Option.Option<string>
  /** Whose secrets to use. */
  readonly tenantId: Tenant.TenantId
}

const signedByKey = Effect.fnUntraced(function*(file: Option.Option<string>) {
  const fail = (issue: string) => new CannotSign({ provider: "sendgrid", issue })
  if (Option.isNone(file)) {
    return yield* fail("a verification key does not sign; give a key of your own by --private-key")
  }
  const pem = yield* FileSystem.FileSystem.use((files) => files.readFileString(file.value)).pipe(
    Effect.mapError(() => fail("the file of --private-key cannot be read"))
  )
  const keys = yield* Effect.try({
    try: () => {
      const privateKey = createPrivateKey(pem)
      return { privateKey, publicKey: createPublicKey(privateKey) }
    },
    catch: () => fail("the file of --private-key holds no private key in PEM")
  })
  return keys.privateKey.asymmetricKeyType === "ec"
    ? Testing.SendGridSender.make(keys)
    : yield* fail("the key of --private-key is not of an elliptic curve")
})

const senderOf = Effect.fnUntraced(function*(provider: Webhook.Provider, { privateKey, tenantId }: Asked) {
  if (provider.name === "sendgrid") return yield* signedByKey(privateKey)
  if (provider.name === "ses") {
    return yield* new CannotSign({ provider: "ses", issue: "an endpoint believes the certificates of Amazon alone" })
  }
  const { secrets: [secret] } = yield* Ingest.secretsOf(provider, tenantId)
  const senders: Readonly<Record<string, typeof Testing.PostmarkSender.make>> = {
    postmark: Testing.PostmarkSender.make,
    resend: Testing.ResendSender.make,
    mailgun: Testing.MailgunSender.make
  }
  const make = senders[provider.name]
  return make === undefined
    ? yield* new CannotSign({ provider: provider.name, issue: "it has no sender" })
    : make(secret)
})

/**
 * Sends one report and gives what was answered.
 *
 * @category sending
 * @since 0.1.0
 */
export const send = Effect.fn("SendTest.send")(function*(asked: Asked) {
  const provider = yield* Ingest.providerOf(asked.provider)
  const sender = yield* senderOf(provider, asked)
  if (!sender.types.includes(asked.type)) {
    return yield* new CannotSign({
      provider: provider.name,
      issue: `it reports no ${asked.type}, but ${sender.types.join(", ")}`
    })
  }
  const random = yield* SecureRandom.SecureRandom
  const now = yield* DateTime.now
  const messageId = Option.isSome(asked.messageId) ? asked.messageId.value : `waybill-test-${yield* random.uuidV4()}`
  const [request] = sender.send([{
    type: asked.type,
    messageId,
    recipient: asked.recipient,
    at: now,
    eventId: yield* random.uuidV4()
  }], now)
  if (request === undefined) return yield* new CannotSign({ provider: provider.name, issue: "it has nothing to send" })
  const { answer, status } = yield* post(asked.url, request)
  return { messageId, status, answer }
}, Effect.provide([FetchHttpClient.layer, SecureRandom.layerWebCrypto]))

const post = Effect.fnUntraced(function*(url: string, { body, headers }: Webhook.Request) {
  const client = yield* HttpClient.HttpClient
  return yield* client.execute(
    HttpClientRequest.post(url).pipe(
      HttpClientRequest.bodyUint8Array(body, headers["content-type"]),
      HttpClientRequest.setHeaders(headers)
    )
  ).pipe(
    Effect.flatMap((response) =>
      Effect.map(response.text, (text) => ({ status: response.status, answer: text.slice(0, 200) }))
    ),
    Effect.timeout("30 seconds"),
    Effect.mapError(() => new NotAnswered({ host: new URL(url).host }))
  )
})
