/**
 * Makes a sender of every provider, with keys made on the spot.
 *
 * @since 0.1.0
 */
import { Effect, type Layer, Redacted } from "effect"
import { generateKeyPairSync, randomBytes } from "node:crypto"
import type { SnsCertificates } from "../SnsCertificates.ts"
import * as MailgunSender from "./MailgunSender.ts"
import * as PostmarkSender from "./PostmarkSender.ts"
import * as ResendSender from "./ResendSender.ts"
import type { Sender } from "./Sender.ts"
import * as SendGridSender from "./SendGridSender.ts"
import * as SesSender from "./SesSender.ts"

/**
 * A sender of every provider.
 *
 * @category models
 * @since 0.1.0
 */
export interface Senders {
  readonly all: ReadonlyArray<Sender>
  /** Gives the certificate of the SES sender. */
  readonly certificates: Layer.Layer<SnsCertificates>
}

/**
 * Makes the keys and the senders that use them.
 *
 * @category constructors
 * @since 0.1.0
 */
export const generate: Effect.Effect<Senders> = Effect.sync(() => {
  const elliptic = generateKeyPairSync("ec", { namedCurve: "prime256v1" })
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 })
  return {
    all: [
      PostmarkSender.make(Redacted.make(`postmark:${randomBytes(18).toString("base64url")}`)),
      SendGridSender.make(elliptic),
      ResendSender.make(Redacted.make(`whsec_${randomBytes(24).toString("base64")}`)),
      SesSender.make(rsa.privateKey),
      MailgunSender.make(Redacted.make(randomBytes(16).toString("hex")))
    ],
    certificates: SesSender.layerCertificates(rsa.publicKey)
  }
})
