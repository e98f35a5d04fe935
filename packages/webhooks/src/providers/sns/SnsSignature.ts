/**
 * Verifies the envelopes of Amazon SNS with Amazon's certificates.
 *
 * @since 0.2.0
 */
import type { Provider } from "@waybill/core"
import { type DateTime, Effect, Option } from "effect"
import { createVerify, type KeyObject } from "node:crypto"
import * as Signature from "../../internal/signature.ts"
import * as Webhook from "../../Webhook.ts"
import { CertificateUrl, SnsCertificates } from "./SnsCertificates.ts"
import * as SnsEnvelope from "./SnsEnvelope.ts"
import * as SnsTopic from "./SnsTopic.ts"

const signedFields: ReadonlyMap<string, ReadonlyArray<keyof SnsEnvelope.SnsEnvelope>> = new Map<
  string,
  ReadonlyArray<keyof SnsEnvelope.SnsEnvelope>
>(
  [
    ["Notification", ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]],
    ["SubscriptionConfirmation", ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]],
    ["UnsubscribeConfirmation", ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]]
  ]
)

/**
 * The text that is signed; none where a field is missing or, but for the message, holds a line break: fields joined by line breaks
 * could then be read in more than one way.
 *
 * @category verification
 * @since 0.2.0
 */
export const stringToSign = (envelope: SnsEnvelope.SnsEnvelope): Option.Option<string> => {
  const lines: Array<string> = []
  for (const field of signedFields.get(envelope.Type ?? "") ?? []) {
    const value = envelope[field]
    if (value === undefined && field === "Subject") continue
    if (value === undefined || (field !== "Message" && value.includes("\n"))) return Option.none()
    lines.push(`${field}\n${value}\n`)
  }
  return lines.length === 0 ? Option.none() : Option.some(lines.join(""))
}

/**
 * The digests of the versions of a signature.
 *
 * @category verification
 * @since 0.2.0
 */
export const digests: ReadonlyMap<string, string> = new Map([["1", "sha1"], ["2", "sha256"]])

/**
 * Whether a text was signed with the private half of a key; none where that cannot be told.
 *
 * @category verification
 * @since 0.2.0
 */
export const isSignedBy = Option.liftThrowable((digest: string, key: KeyObject, text: string, signature: Uint8Array) =>
  createVerify(digest).update(text).verify(key, signature)
)

const isBetween = (at: DateTime.Utc, from: DateTime.Utc, to: DateTime.Utc): boolean =>
  at.epochMilliseconds >= from.epochMilliseconds && at.epochMilliseconds <= to.epochMilliseconds

/**
 * Checks that the topic is among the secrets, and the signature with Amazon's certificate, which must lie on the host of
 * the topic's region and be valid at the time of receipt.
 *
 * Amazon documents no tolerance for the time of a message, so it is not judged.
 *
 * @category verification
 * @since 0.2.0
 */
export const verify = Effect.fnUntraced(
  function*(provider: Provider.Provider, { body, receivedAt, secrets }: Webhook.Attempt) {
    const refuse = Signature.refusal(provider)
    const read = SnsEnvelope.read(body)
    if (Option.isNone(read)) return yield* refuse("MalformedSignature")
    const envelope = read.value
    if (
      envelope.Signature === undefined || envelope.SigningCertURL === undefined || envelope.TopicArn === undefined
    ) {
      return yield* refuse("MissingHeader")
    }
    const { TopicArn: topicArn } = envelope
    yield* SnsTopic.judge(provider, secrets, topicArn)
    const text = stringToSign(envelope)
    const digest = digests.get(envelope.SignatureVersion ?? "")
    const signature = Signature.fromBase64(envelope.Signature)
    const url = Option.filter(
      CertificateUrl.makeOption(envelope.SigningCertURL),
      (url) => SnsEnvelope.isAt(topicArn, url)
    )
    if (Option.isNone(text) || digest === undefined || Option.isNone(signature) || Option.isNone(url)) {
      return yield* refuse("MalformedSignature")
    }
    const certificates = yield* SnsCertificates
    const { notAfter, notBefore, publicKey } = yield* certificates.get(url.value)
    const isGood = isBetween(receivedAt, notBefore, notAfter) &&
      Option.getOrElse(isSignedBy(digest, publicKey, text.value, signature.value), () => false)
    if (!isGood) return yield* refuse("BadSignature")
    return Webhook.verified()
  }
)
