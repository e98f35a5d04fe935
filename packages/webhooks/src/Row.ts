/**
 * Defines a provider's row: all that Waybill knows of the provider, and the only thing that the rest has to know.
 *
 * The row itself holds everything that needs no service: name, settings, statuses, the reading of a body. The rest may need
 * the network: it is built once, when the row is opened, and closes over what it needs. So nobody who verifies a request has
 * to know of Amazon's certificates.
 *
 * @since 0.2.0
 */
import type { Inbox, Provider } from "@waybill/core"
import { Effect, Option, type Result } from "effect"
import type * as Arr from "effect/Array"
import type * as HttpClient from "effect/http/HttpClient"
import type * as Credentials from "./Credentials.ts"
import type * as Scheme from "./Scheme.ts"
import type * as Sender from "./Sender.ts"
import * as Webhook from "./Webhook.ts"

/**
 * A setting of a provider's own that is on or off; off by default.
 *
 * @category models
 * @since 0.2.0
 */
export interface SwitchSetting {
  /** The name by which `Credentials` says that it is on; no two rows share one. */
  readonly name: string
  /** The environment variable. */
  readonly variable: string
  /** A few words on what it switches on. */
  readonly about: string
}

/**
 * Does what a provider asks for beside events, such as confirming a subscription. It runs at each try of a stored webhook,
 * before the events are appended. Where it fails, the events are appended all the same and the webhook is tried again.
 *
 * @category models
 * @since 0.2.0
 */
export type FollowUp = (
  webhook: Inbox.Webhook,
  /** The settings of the webhook's tenant, looked up when they are asked for. */
  credentials: Effect.Effect<Option.Option<Credentials.Credentials>, Credentials.SecretsUnavailable>
) => Effect.Effect<void, Webhook.FollowUpFailed>

/**
 * A verified request that only sets the webhooks up: it is about no mail by which its tenant could be told.
 *
 * @category models
 * @since 0.2.0
 */
export interface Setup {
  /** The JSON text that the provider has to be answered with; the outcome in one word by default. */
  readonly reply?: string
}

/**
 * A provider's row in the table of providers.
 *
 * @category models
 * @since 0.2.0
 */
export interface Row {
  readonly name: Provider.Provider
  /** The ways in which its requests are authenticated, strongest first. Each that has a secret has to hold. */
  readonly schemes: Arr.NonEmptyReadonlyArray<Scheme.Scheme>
  /** The provider's other settings; none by default. */
  readonly switches?: ReadonlyArray<SwitchSetting>
  /** The headers to keep beside the body; none of them is a secret. */
  readonly headers: ReadonlyArray<string>
  /** The status that makes the provider give up a request that was refused. */
  readonly refusal: 401 | 406
  /** The status that makes the provider send a request again later; some drop an event at any 5xx. */
  readonly unavailable: 503 | 429
  /**
   * The other methods by which the provider tries an address before it posts there, each with the headers of the answer 200.
   * Nothing is believed of such a request, and nothing is kept.
   */
  readonly probes?: Readonly<
    Record<string, (headers: Webhook.Request["headers"]) => Readonly<Record<string, string>>>
  >
  /**
   * Whether a POST only tries the address, before its secret can be known here. Anybody may send one, so that it is answered as
   * what is no mail, and nothing is kept of it.
   */
  readonly isGreeting?: (received: Webhook.Received) => boolean
  /** Tells a verified request that only sets the webhooks up; none does by default. */
  readonly setup?: (received: Webhook.Received) => Option.Option<Setup>
  /** Whether what a command gets through a pipe of its own machine is believed without a proof, since nobody signs it. */
  readonly isPiped?: true
  /**
   * Turns a body into what `normalize` reads, where that takes a library which is loaded when it is needed; what is kept is the
   * body as it came. Absent where `normalize` reads that.
   */
  readonly unpack?: (received: Webhook.Received) => Effect.Effect<Webhook.Received, Webhook.MalformedBody>
  /**
   * Reduces a body to events, piece by piece, each when it is asked for, so that a body of many items holds up nobody. The
   * same event gives the same idempotency key, however often and in whatever batch.
   */
  readonly normalize: (received: Webhook.Received) => Result.Result<Iterable<Webhook.Normalized>, Webhook.MalformedBody>
  /** Absent where the provider asks for nothing beside events; built once for each application. */
  readonly followUp?: Effect.Effect<FollowUp, never, HttpClient.HttpClient>
  /** Writes what the provider would post, for tests. */
  readonly composer: Sender.Composer
}

/**
 * A scheme that was opened.
 *
 * @category models
 * @since 0.2.0
 */
export interface OpenScheme extends Scheme.Scheme {
  readonly verify: Scheme.Verify
}

/**
 * A row that was opened.
 *
 * @category models
 * @since 0.2.0
 */
export interface OpenRow extends Omit<Row, "followUp" | "schemes"> {
  readonly schemes: Arr.NonEmptyReadonlyArray<OpenScheme>
  readonly followUp?: FollowUp
}

/**
 * Opens a row.
 *
 * @category constructors
 * @since 0.2.0
 */
export const open = Effect.fnUntraced(function*({ followUp, schemes, ...row }: Row) {
  const opened: OpenRow = {
    ...row,
    schemes: yield* Effect.forEach(
      schemes,
      (scheme) => Effect.map(scheme.open, (verify): OpenScheme => ({ ...scheme, verify }))
    ),
    ...followUp !== undefined && { followUp: yield* followUp }
  }
  return opened
})

/**
 * The key under which `Secrets` has the secrets of a scheme: the provider's name, with that of any further scheme.
 *
 * @category getters
 * @since 0.2.0
 */
export const keyOf = ({ name, schemes: [first] }: Pick<Row, "name" | "schemes">, scheme: Scheme.Scheme): string =>
  scheme.name === first.name ? name : `${name}.${scheme.name}`

/** The secrets of a scheme. */
const secretsOf = (
  { schemes: [first] }: Pick<Row, "schemes">,
  { name }: Scheme.Scheme,
  credentials: Credentials.Credentials
) => name === first.name ? credentials.secrets : credentials.furtherSecrets?.get(name) ?? []

/**
 * A scheme that is in use, with its secrets.
 *
 * @category models
 * @since 0.2.0
 */
export interface InUse<S extends Scheme.Scheme> {
  readonly scheme: S
  readonly secrets: Webhook.Attempt["secrets"]
}

/**
 * The schemes of a row that have secrets.
 *
 * @category getters
 * @since 0.2.0
 */
export const inUse = <S extends Scheme.Scheme>(
  row: { readonly schemes: Arr.NonEmptyReadonlyArray<S> },
  credentials: Credentials.Credentials
): ReadonlyArray<InUse<S>> =>
  row.schemes.flatMap((scheme) => {
    const secrets = secretsOf(row, scheme, credentials)
    return secrets.length === 0 ? [] : [{ scheme, secrets }]
  })

/**
 * Refuses a request by what its headers alone tell. Where the schemes are for several shapes, a body tells which is asked.
 *
 * @category verification
 * @since 0.2.0
 */
export const admit = (
  used: ReadonlyArray<InUse<Scheme.Scheme>>,
  head: Omit<Scheme.Head, "secrets">
): Effect.Effect<void, Webhook.VerificationError> =>
  Effect.forEach(
    used,
    ({ scheme: { admit, isFor }, secrets }) =>
      admit === undefined || (isFor !== undefined && used.length > 1) ? Effect.void : admit({ ...head, secrets }),
    { discard: true }
  )

/**
 * Verifies a request by every scheme in use that covers it; where none does, all are asked, to say why it is refused.
 *
 * @category verification
 * @since 0.2.0
 */
export const verify = Effect.fnUntraced(
  function*(used: ReadonlyArray<InUse<OpenScheme>>, received: Webhook.Received) {
    const covering = used.filter(({ scheme: { isFor } }) => isFor === undefined || isFor(received))
    const verified = yield* Effect.forEach(
      covering.length === 0 ? used : covering,
      ({ scheme, secrets }) => scheme.verify({ ...received, secrets })
    )
    return verified.find(({ token }) => Option.isSome(token)) ?? Webhook.verified()
  }
)

/**
 * How a tenant's requests of a provider are verified, and the stronger scheme that is not in use, if there is one.
 *
 * @category models
 * @since 0.2.0
 */
export interface Standing {
  readonly used: ReadonlyArray<Scheme.Scheme>
  readonly stronger: Option.Option<Scheme.Scheme>
}

/**
 * How a tenant's requests of a provider are verified.
 *
 * @category getters
 * @since 0.2.0
 */
export const standing = (row: Row, credentials: Credentials.Credentials): Standing => {
  const used = inUse(row, credentials).map(({ scheme }) => scheme)
  return {
    used,
    stronger: used.some(({ proof }) => proof === "signature")
      ? Option.none()
      : Option.fromUndefinedOr(row.schemes.find(({ proof }) => proof === "signature"))
  }
}

/**
 * Reduces a body, as it came, to events: unpacks it where the row says how, then normalizes it.
 *
 * @category normalization
 * @since 0.2.0
 */
export const read = (
  { normalize, unpack = Effect.succeed }: Pick<Row, "normalize" | "unpack">,
  received: Webhook.Received
): Effect.Effect<Iterable<Webhook.Normalized>, Webhook.MalformedBody> =>
  Effect.flatMap(unpack(received), (unpacked) => Effect.fromResult(normalize(unpacked)))
