/**
 * Defines the port that keeps the tokens by which programs and people use the HTTP API, as digests alone.
 *
 * A token is bound to one tenant or to all, and has a role. Its text is shown once, when it is created: the text names the
 * scope and the id, so that it is looked up by its key, and what is kept cannot give its secret back.
 *
 * @since 0.2.0
 */
import { Context, DateTime, type Effect, Option, type Redacted, Result, Schema } from "effect"
import * as Act from "./Act.ts"
import * as Input from "./Input.ts"
import { invalid, type InvalidInput, type LedgerError } from "./LedgerError.ts"
import * as Tenant from "./Tenant.ts"
import * as Text from "./Text.ts"
import * as Timestamp from "./Timestamp.ts"

/**
 * A token's id, a UUIDv7.
 *
 * @category schemas
 * @since 0.2.0
 */
export const TokenId = Schema.String.check(
  Schema.isPattern(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/, {
    message: "must be a UUID in lower case"
  })
).pipe(Schema.brand("TokenId"))

/**
 * A token's id.
 *
 * @category models
 * @since 0.2.0
 */
export type TokenId = typeof TokenId.Type

/**
 * What a token may do: `send` is for an application that sends, `read` looks at everything and changes nothing, `operate` may
 * do all.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Role = Schema.Literals(["send", "read", "operate"])

/**
 * What a token may do.
 *
 * @category models
 * @since 0.2.0
 */
export type Role = typeof Role.Type

/** A day in UTC, such as `2026-03-01`. */
const Day = Schema.String.check(Schema.isPattern(/^[0-9]{4}-[0-9]{2}-[0-9]{2}$/))

const Scope = Schema.Union([Schema.Literal(Tenant.all), Tenant.TenantId])

/**
 * What is known of a token; its encoded form is JSON.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Token = Schema.Struct({
  id: TokenId,
  /** The tenant it reaches, or `*` for all. */
  scope: Scope,
  /** What its owner calls it. */
  name: Text.bounded(255),
  role: Role,
  createdAt: Timestamp.Timestamp,
  /** When it ends; absent where it does not. */
  expiresAt: Schema.OptionFromNullOr(Timestamp.Timestamp),
  /** When it was revoked; absent where it was not. */
  revokedAt: Schema.OptionFromNullOr(Timestamp.Timestamp),
  /** The day in UTC on which it was last used; absent where it never was. */
  lastUsedOn: Schema.OptionFromNullOr(Day)
})

/**
 * What is known of a token.
 *
 * @category models
 * @since 0.2.0
 */
export type Token = typeof Token.Type

/**
 * A token to be created.
 *
 * @category models
 * @since 0.2.0
 */
export type NewToken = Pick<Token, "scope" | "name" | "role" | "expiresAt">

/**
 * A token and its text, which is given this once.
 *
 * @category models
 * @since 0.2.0
 */
export interface Created {
  readonly token: Token
  readonly text: Redacted.Redacted
}

/**
 * A token as a store keeps it.
 *
 * @category models
 * @since 0.2.0
 */
export interface Row {
  readonly token: Token
  /** The SHA-256 of the token's text. */
  readonly digest: Uint8Array
}

/**
 * Names one token.
 *
 * @category models
 * @since 0.2.0
 */
export type TokenKey = Pick<Token, "scope" | "id">

/** What is done by hand with a token is recorded with its name, so that a new one names no address. */
const NewName = Text.bounded(255).check(Schema.makeFilter(Act.namesNoAddress))

const validate = Input.check(
  "token",
  Schema.Struct({ scope: Scope, name: NewName, role: Role, expiresAt: Token.fields.expiresAt })
)

/**
 * Checks a token that is to be created at an instant.
 *
 * @category validation
 * @since 0.2.0
 */
export const check = (token: NewToken, now: Timestamp.Timestamp): Result.Result<NewToken, InvalidInput> => {
  const checked = validate(token)
  if (Result.isFailure(checked)) return Result.fail(checked.failure)
  return Option.exists(token.expiresAt, (at) => at.epochMilliseconds <= now.epochMilliseconds)
    ? Result.fail(invalid("token", "expiresAt: must be in the future"))
    : Result.succeed(token)
}

/**
 * The token that is created.
 *
 * @category constructors
 * @since 0.2.0
 */
export const fromNew = ({ expiresAt, name, role, scope }: NewToken, id: TokenId, now: Timestamp.Timestamp): Token => ({
  id,
  scope,
  name,
  role,
  createdAt: now,
  expiresAt,
  revokedAt: Option.none(),
  lastUsedOn: Option.none()
})

/**
 * How many random bytes a token's secret has.
 *
 * @category constants
 * @since 0.2.0
 */
export const secretBytes = 32

const toBase64Url = Schema.encodeSync(Schema.StringFromBase64Url)

const fromBase64Url = Schema.decodeUnknownOption(Schema.StringFromBase64Url)

const secretToText = Schema.encodeSync(Schema.Uint8ArrayFromBase64Url)

const form = /^waybill_([\w-]+)\.([0-9a-f-]{36})\.[\w-]{43}$/

const isScope = Schema.is(Scope)

/**
 * The text of a token: its scope, its id and its secret, of characters that a header takes.
 *
 * @category constructors
 * @since 0.2.0
 */
export const textOf = ({ id, scope }: TokenKey, secret: Uint8Array): string =>
  `waybill_${toBase64Url(scope)}.${id}.${secretToText(secret)}`

/**
 * The token that a text names, which need not be there; none where it is no text of a token.
 *
 * @category getters
 * @since 0.2.0
 */
export const keyOf = (text: string): Option.Option<TokenKey> => {
  const [, encoded, id] = form.exec(text) ?? []
  return fromBase64Url(encoded).pipe(
    Option.filter(isScope),
    Option.flatMap((scope) => Option.map(TokenId.makeOption(id ?? ""), (id) => ({ scope, id })))
  )
}

/** Tells whether two digests are equal, in a time that does not depend on where they differ. */
const isSameDigest = (left: Uint8Array, right: Uint8Array): boolean => {
  let difference = left.length ^ right.length
  for (const [index, byte] of left.entries()) difference |= byte ^ (right[index] ?? 0)
  return difference === 0
}

/**
 * Tells whether a token is in force at an instant: it was not revoked and has not ended.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isInForce = (
  { expiresAt, revokedAt }: Pick<Token, "expiresAt" | "revokedAt">,
  now: Timestamp.Timestamp
): boolean =>
  Option.isNone(revokedAt) && !Option.exists(expiresAt, (at) => at.epochMilliseconds <= now.epochMilliseconds)

/**
 * Decides whether a text with this digest is the text of a stored token that is in force.
 *
 * @category decisions
 * @since 0.2.0
 */
export const admit = ({ digest, token }: Row, presented: Uint8Array, now: Timestamp.Timestamp): Option.Option<Token> =>
  isSameDigest(digest, presented) && isInForce(token, now) ? Option.some(token) : Option.none()

/**
 * A token after it was revoked: the first time counts.
 *
 * @category folding
 * @since 0.2.0
 */
export const revoke = (token: Token, now: Timestamp.Timestamp): Token => ({
  ...token,
  revokedAt: Option.orElse(token.revokedAt, () => Option.some(now))
})

/**
 * The day on which a token that is used now was last used.
 *
 * @category getters
 * @since 0.2.0
 */
export const dayOf = (now: Timestamp.Timestamp): string => DateTime.formatIsoDateUtc(now)

/**
 * Orders tokens: the one that was created first, then by id.
 *
 * @category ordering
 * @since 0.2.0
 */
export const compare = (left: Token, right: Token): number =>
  left.createdAt.epochMilliseconds - right.createdAt.epochMilliseconds || Text.compare(left.id, right.id)

/**
 * Tells whether a maintenance call of a scope reaches a token: one of all tenants is reached by the scope of all alone.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isReached = (reach: Tenant.Scope, { scope }: Pick<Token, "scope">): boolean =>
  reach === Tenant.all || reach === scope

/**
 * There is no such token.
 *
 * @category errors
 * @since 0.2.0
 */
export class TokenNotFound extends Schema.TaggedError<TokenNotFound>("@waybill/core/TokenNotFound")("TokenNotFound", {
  tokenId: TokenId
}) {
  override get message(): string {
    return `there is no token ${this.tokenId}`
  }
}

/**
 * The tokens of one installation.
 *
 * @category services
 * @since 0.2.0
 */
export class Tokens extends Context.Service<Tokens, {
  /** Creates a token. Its text is returned this once, and not kept. */
  readonly create: (token: NewToken) => Effect.Effect<Created, InvalidInput | LedgerError>

  /**
   * Returns the token of a text, if it is in force, and notes the day of its use. The secret is compared by its digest, in a
   * time that tells nothing of it.
   */
  readonly admit: (text: Redacted.Redacted) => Effect.Effect<Option.Option<Token>, LedgerError>

  /** Returns the tokens that a scope reaches, also those that ended, the one that was created first first. */
  readonly list: (reach: Tenant.Scope) => Effect.Effect<ReadonlyArray<Token>, LedgerError>

  /** Ends a token that a scope reaches, from now on and for good; again it changes nothing. */
  readonly revoke: (reach: Tenant.Scope, id: TokenId) => Effect.Effect<Token, TokenNotFound | LedgerError>
}>()("@waybill/core/Tokens") {}
