/**
 * Makes the port of tokens of what an adapter keeps: the secret is made, digested and compared here, the same for all.
 */
import { type Tenant, Tokens } from "@waybill/core"
import { DateTime, Effect, Option, Redacted } from "effect"
import { SecureRandom } from "effect/crypto"
import { createHash } from "node:crypto"

/** What an adapter keeps of the tokens. */
export interface Kept<E> {
  readonly insert: (row: Tokens.Row) => Effect.Effect<void, E>
  readonly find: (key: Tokens.TokenKey) => Effect.Effect<Option.Option<Tokens.Row>, E>
  /** The tokens that a scope reaches, in their order. */
  readonly list: (reach: Tenant.Scope) => Effect.Effect<ReadonlyArray<Tokens.Token>, E>
  /** What `Tokens.revoke` makes of a token that a scope reaches; none where there is none. */
  readonly revoke: (
    reach: Tenant.Scope,
    id: Tokens.TokenId,
    now: DateTime.Utc
  ) => Effect.Effect<Option.Option<Tokens.Token>, E>
  /** Notes the day on which a token was used. */
  readonly note: (key: Tokens.TokenKey, day: string) => Effect.Effect<void, E>
}

const digestOf = (text: string): Uint8Array => createHash("sha256").update(text).digest()

/** The tokens of what an adapter keeps. */
export const over = Effect.fnUntraced(function*<E>(kept: Kept<E>) {
  const random = yield* SecureRandom.SecureRandom

  const create = Effect.fn("Tokens.create")(function*(given: Tokens.NewToken) {
    const now = yield* DateTime.now
    yield* Effect.fromResult(Tokens.check(given, now))
    const token = Tokens.fromNew(given, Tokens.TokenId.make(yield* random.uuidV7()), now)
    const text = Tokens.textOf(token, yield* random.randomBytes(Tokens.secretBytes))
    yield* kept.insert({ token, digest: digestOf(text) })
    return { token, text: Redacted.make(text) }
  })

  const admit = Effect.fn("Tokens.admit")(function*(given: Redacted.Redacted) {
    const text = Redacted.value(given)
    const key = Tokens.keyOf(text)
    if (Option.isNone(key)) return Option.none()
    const row = yield* kept.find(key.value)
    const now = yield* DateTime.now
    const admitted = Option.flatMap(row, (found) => Tokens.admit(found, digestOf(text), now))
    const day = Tokens.dayOf(now)
    if (Option.exists(admitted, ({ lastUsedOn }) => !Option.contains(lastUsedOn, day))) yield* kept.note(key.value, day)
    return Option.map(admitted, (token) => Object.assign({}, token, { lastUsedOn: Option.some(day) }))
  })

  const list = Effect.fn("Tokens.list")(function*(reach: Tenant.Scope) {
    return yield* kept.list(reach)
  })

  const revoke = Effect.fn("Tokens.revoke")(function*(reach: Tenant.Scope, id: Tokens.TokenId) {
    const revoked = yield* kept.revoke(reach, id, yield* DateTime.now)
    return Option.isSome(revoked) ? revoked.value : yield* new Tokens.TokenNotFound({ tokenId: id })
  })

  return { create, admit, list, revoke }
})
