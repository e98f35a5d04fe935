/**
 * Defines a scheme: one way in which a provider's requests are authenticated, with the setting of its secrets.
 *
 * @since 0.2.0
 */
import type { DateTime, Effect, Option, Redacted } from "effect"
import type * as HttpClient from "effect/http/HttpClient"
import type { KeyObject } from "node:crypto"
import type * as Webhook from "./Webhook.ts"

/**
 * The setting that holds the secrets of a scheme.
 *
 * @category models
 * @since 0.2.0
 */
export interface SecretsSetting {
  /** The environment variable; it may hold several, separated by commas. */
  readonly variable: string
  /** A few words on what a secret is. */
  readonly about: string
  /** Whether it may be shown: it tells senders apart and proves nothing. */
  readonly isPublic?: boolean
}

/**
 * Decides whether the provider sent a request; malformed input is refused and never throws.
 *
 * @category models
 * @since 0.2.0
 */
export type Verify = (
  attempt: Webhook.Attempt
) => Effect.Effect<Webhook.Verified, Webhook.VerificationError | Webhook.VerificationUnavailable>

/**
 * The part of a request that is known before its body is read, and the secrets to judge it by.
 *
 * @category models
 * @since 0.2.0
 */
export type Head = Pick<Webhook.Attempt, "headers" | "publicUrl" | "secrets">

/**
 * Refuses a request by what its headers alone tell, before its body is read; what it lets pass is still to be verified.
 *
 * @category models
 * @since 0.2.0
 */
export type Admit = (head: Head) => Effect.Effect<void, Webhook.VerificationError>

/**
 * Signs requests with a key.
 *
 * @category models
 * @since 0.2.0
 */
export interface Signer {
  /** The secrets that the receiver has to know. */
  readonly secrets: ReadonlyArray<Redacted.Redacted>
  /** Signs a request, whatever its body is. */
  readonly sign: (request: Webhook.Request, sentAt: DateTime.Utc) => Webhook.Request
}

/**
 * The means by which a request is signed: a secret that its receiver has too, a private key whose public half the receiver
 * has, or nothing that anybody but the provider has.
 *
 * @category models
 * @since 0.2.0
 */
export type Signing =
  | {
    readonly _tag: "Secret"
    /** Makes a secret of the form that the provider gives. */
    readonly generate: () => Redacted.Redacted
    /** Signs with the secret. */
    readonly make: (secret: Redacted.Redacted) => Signer
  }
  | {
    readonly _tag: "PrivateKey"
    /** Makes a private key of the right kind. */
    readonly generate: () => KeyObject
    /** None where the key is of another kind. */
    readonly make: (privateKey: KeyObject) => Option.Option<Signer>
    /** The fault of a key of another kind. */
    readonly issue: string
  }
  | {
    readonly _tag: "Nothing"
    /** A signer with a key made on the spot, and what believes it in place of the provider's. */
    readonly generate: Effect.Effect<{ readonly signer: Signer; readonly verify: Verify }>
    readonly issue: string
  }

/**
 * One way in which a provider's requests are authenticated.
 *
 * @category models
 * @since 0.2.0
 */
export interface Scheme {
  /** Its name among the schemes of its provider, such as `signature` or `basicAuth`. */
  readonly name: string
  readonly secrets: SecretsSetting
  /** What proves the sender: a signature made for the request, or a secret that every request carries. */
  readonly proof: "signature" | "secret"
  /** Whether it covers a request, where a provider's requests come in several shapes; it covers all by default. */
  readonly isFor?: (request: Webhook.Request) => boolean
  /** Absent where the headers tell nothing, because the signature is in the body. */
  readonly admit?: Admit
  /** Builds what verifies, once for each application; it may need the network. */
  readonly open: Effect.Effect<Verify, never, HttpClient.HttpClient>
  /** The means by which a request is signed for tests. */
  readonly signing: Signing
}
