/**
 * Compares in constant time, reads public keys, and judges a request against all active secrets.
 */
import type { Provider } from "@waybill/core"
import { type DateTime, Effect, Option, Redacted } from "effect"
import { createHash, createPublicKey, type KeyObject, timingSafeEqual } from "node:crypto"
import * as Webhook from "../Webhook.ts"

const sha256 = (bytes: Uint8Array | string): Uint8Array => createHash("sha256").update(bytes).digest()

/** Digests have one length, so that neither the place of a difference nor the length shows in the time taken. */
export const isEqual = (left: Uint8Array | string, right: Uint8Array | string): boolean =>
  timingSafeEqual(sha256(left), sha256(right))

/** The bytes of base64 in its one canonical spelling; none where it is anything else. */
export const fromBase64 = (text: string): Option.Option<Uint8Array> => {
  const bytes = Buffer.from(text, "base64")
  return bytes.length > 0 && bytes.toString("base64") === text ? Option.some(bytes) : Option.none()
}

const fromDer: (der: Uint8Array) => Option.Option<KeyObject> = Option.liftThrowable((der) =>
  createPublicKey({ key: Buffer.from(der), format: "der", type: "spki" })
)

/** What may stand around and in the base64 of a key: the armour of PEM and line breaks, some of them spelt out. */
const around = /-----[A-Z ]+-----|\\[rn]|\s/g

/** The public key in a text, as providers show it: base64 in one line, or PEM; none where it is of another kind. */
export const publicKey = (text: string, kind: "ec" | "rsa"): Option.Option<KeyObject> =>
  Option.filter(
    Option.flatMap(fromBase64(text.replace(around, "")), fromDer),
    (key) => key.asymmetricKeyType === kind
  )

/**
 * Whether a text is a time as providers sign it: whole seconds since 1970 in ten digits, which last until 2286.
 *
 * One length keeps it apart from what is signed right behind it: a digit that is moved across is noticed.
 */
export const isUnixTime = (text: string): boolean => /^\d{10}$/.test(text)

/** A time as providers sign it. */
export const unixTime = (at: DateTime.Utc): string => String(Math.floor(at.epochMilliseconds / 1000)).padStart(10, "0")

/** Refuses requests of a provider. */
export const refusal =
  (provider: Provider.Provider) => (reason: Webhook.VerificationReason): Webhook.VerificationError =>
    new Webhook.VerificationError({ provider, reason })

const lineBreaks = /^[\r\n]+|[\r\n]+$/g

/**
 * Tries every secret, without the line breaks around it; `check` returns none for one that cannot be used.
 *
 * Where nothing fits and a secret is missing or unusable, the fault is ours and not the sender's.
 */
export const judge = (
  provider: Provider.Provider,
  secrets: ReadonlyArray<Redacted.Redacted>,
  check: (secret: string) => Option.Option<boolean>
): Effect.Effect<void, Webhook.VerificationError> => {
  const verdicts = secrets.map((secret) => check(Redacted.value(secret).replace(lineBreaks, "")))
  if (verdicts.some((verdict) => Option.isSome(verdict) && verdict.value)) return Effect.void
  const isOurs = verdicts.length === 0 || verdicts.some(Option.isNone)
  return Effect.fail(refusal(provider)(isOurs ? "MisconfiguredSecret" : "BadSignature"))
}
