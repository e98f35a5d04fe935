/**
 * Builds a provider's signed request and posts it.
 *
 * @since 0.1.0
 */
import { type EventType, type Recipient, type Tenant } from "@waybill/core"
import * as Row from "@waybill/webhooks/Row"
import type * as Scheme from "@waybill/webhooks/Scheme"
import * as Secrets from "@waybill/webhooks/Secrets"
import * as Senders from "@waybill/webhooks/testing/Senders"
import type * as Webhook from "@waybill/webhooks/Webhook"
import { DateTime, Effect, FileSystem, Option, Schema } from "effect"
import { SecureRandom } from "effect/crypto"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import { createPrivateKey } from "node:crypto"
import * as Edge from "./Edge.ts"
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
 * A report to send, and where to.
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
  /** The file of the key to sign with, where the endpoint has its public half only. */
  readonly privateKey: Option.Option<string>
  /** Whose secrets to use. */
  readonly tenantId: Tenant.TenantId
}

const readKey = (file: string, fail: (issue: string) => CannotSign) =>
  FileSystem.FileSystem.use((files) => files.readFileString(file)).pipe(
    Effect.mapError(() => fail("the file of --private-key cannot be read")),
    Effect.flatMap((pem) =>
      Effect.try({
        try: () => createPrivateKey(pem),
        catch: () => fail("the file of --private-key holds no private key in PEM")
      })
    )
  )

/** A signer for each scheme that the endpoint asks for, but for those that nobody but the provider can sign for. */
const signersOf = Effect.fnUntraced(function*(row: Row.Row, { privateKey, tenantId }: Asked) {
  const fail = (issue: string) => new CannotSign({ provider: row.name, issue })
  const [{ signing: first }] = row.schemes
  if (first._tag === "Nothing" && row.schemes.length === 1) return yield* fail(first.issue)
  const secrets = yield* Secrets.Secrets
  const found = yield* secrets.lookup(yield* Ingest.ownerOf(row, tenantId), row.name)
  const used = Option.match(found, { onNone: () => [], onSome: (credentials) => Row.inUse(row, credentials) })
  // A key that signs needs no setting here: the endpoint has its public half.
  const asked = used.length === 0 && first._tag === "PrivateKey" ? [{ scheme: row.schemes[0], secrets: [] }] : used
  const signers = new Map<string, Scheme.Signer>()
  for (const { scheme: { name, signing }, secrets: [secret] } of asked) {
    if (signing._tag === "Secret" && secret !== undefined) signers.set(name, signing.make(secret))
    if (signing._tag === "PrivateKey") {
      if (Option.isNone(privateKey)) {
        return yield* fail("a verification key does not sign; give a key of your own by --private-key")
      }
      const signer = signing.make(yield* readKey(privateKey.value, fail))
      if (Option.isNone(signer)) return yield* fail(`the key of --private-key ${signing.issue}`)
      signers.set(name, signer.value)
    }
  }
  if (signers.size === 0) return yield* first._tag === "Nothing" ? fail(first.issue) : Ingest.noSecret(row)
  return signers
})

const senderOf = (row: Row.Row, asked: Asked) =>
  Effect.map(Effect.provide(signersOf(row, asked), Edge.secrets), (signers) => Senders.make(row, signers))

/**
 * Sends one report and returns what was answered.
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
  const [request] = sender.send(
    [{
      type: asked.type,
      messageId,
      recipient: asked.recipient,
      at: now,
      eventId: yield* random.uuidV4()
    }],
    now,
    asked.url
  )
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
