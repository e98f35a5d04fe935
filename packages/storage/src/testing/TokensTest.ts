/**
 * Declares the contract of the `Tokens` port as a test suite that every adapter runs.
 *
 * @since 0.2.0
 */
import { assert } from "@effect/vitest"
import { Tenant, Tokens } from "@waybill/core"
import { DateTime, Effect, type Layer, Option, Redacted, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as Given from "./Given.ts"
import * as Contract from "./internal/contract.ts"

const newToken = (scope: Tenant.Scope, fields: Partial<Tokens.NewToken> = {}): Tokens.NewToken => ({
  scope,
  name: "web",
  role: "send",
  expiresAt: Option.none(),
  ...fields
})

const create = (scope: Tenant.Scope, fields: Partial<Tokens.NewToken> = {}) =>
  Tokens.Tokens.use((tokens) => tokens.create(newToken(scope, fields)))

const admit = (text: string) => Tokens.Tokens.use((tokens) => tokens.admit(Redacted.make(text)))

const encode = Schema.encodeSync(Schema.Array(Tokens.Token))

const same = (actual: ReadonlyArray<Tokens.Token>, expected: ReadonlyArray<Tokens.Token>): void =>
  assert.deepStrictEqual(encode(actual), encode(expected))

const day = "2026-03-01"

const used = (token: Tokens.Token, on = day): Tokens.Token => ({ ...token, lastUsedOn: Option.some(on) })

const admitting = ({ example }: Contract.Contract<Tokens.Tokens>): void => {
  example(
    "a token is admitted by its text, and says what it was created as",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      for (const scope of [tenantId, Tenant.all]) {
        for (const role of Tokens.Role.literals) {
          const expiresAt = Option.some(Given.afterNoon(60))
          const { text, token } = yield* create(scope, { role, name: "wéb \u{1f4a9} '; --", expiresAt })
          same([token], [{
            id: token.id,
            scope,
            name: "wéb \u{1f4a9} '; --",
            role,
            createdAt: Given.noon,
            expiresAt,
            revokedAt: Option.none(),
            lastUsedOn: Option.none()
          }])
          same(Option.toArray(yield* admit(Redacted.value(text))), [used(token)])
        }
      }
    })
  )

  example(
    "two tokens have two texts, which a header takes as they are",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const texts = (yield* Effect.replicateEffect(create(tenantId), 20)).map(({ text }) => Redacted.value(text))
      assert.strictEqual(new Set(texts).size, 20)
      for (const text of texts) assert.match(text, /^waybill_[\w.-]+$/)
    })
  )

  example(
    "a text that differs from a token's anywhere is not admitted",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const { text: redacted } = yield* create(tenantId)
      const { text: other } = yield* create(tenantId)
      const text = Redacted.value(redacted)
      const secret = text.slice(-43)
      const changed = Array.from(
        text,
        (letter, index) => text.slice(0, index) + (letter === "a" ? "b" : "a") + text.slice(index + 1)
      )
      const texts = [
        "",
        " ",
        "waybill_",
        "a\u0000b",
        "\ud800",
        text.slice(0, -1),
        `${text}A`,
        ` ${text}`,
        `${text}\n`,
        text.toUpperCase(),
        secret,
        text.replace(secret, Redacted.value(other).slice(-43)),
        text.replace(/_[\w-]+\./, "_Kg."),
        "x".repeat(100_000),
        ...changed
      ]
      for (const each of texts) assert.deepStrictEqual(yield* admit(each), Option.none(), each.slice(0, 200))
      assert.isTrue(Option.isSome(yield* admit(text)))
    })
  )

  example(
    "a token ends at its time",
    Effect.gen(function*() {
      const { text } = yield* create(yield* Given.tenant, { expiresAt: Option.some(Given.afterNoon(1)) })
      yield* TestClock.adjust("999 millis")
      assert.isTrue(Option.isSome(yield* admit(Redacted.value(text))))
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* admit(Redacted.value(text)), Option.none())
    })
  )

  example(
    "the day of the last use is kept, in UTC",
    Effect.gen(function*() {
      const tokens = yield* Tokens.Tokens
      const tenantId = yield* Given.tenant
      const { text, token } = yield* create(tenantId)
      same(yield* tokens.list(tenantId), [token])
      yield* admit(Redacted.value(text).replace(/.$/, (last) => last === "A" ? "B" : "A"))
      same(yield* tokens.list(tenantId), [token])
      yield* Effect.replicateEffect(admit(Redacted.value(text)), 8, { concurrency: "unbounded" })
      same(yield* tokens.list(tenantId), [used(token)])
      yield* TestClock.setTime(DateTime.makeUnsafe("2026-03-02T00:00:00.000Z").epochMilliseconds)
      same(Option.toArray(yield* admit(Redacted.value(text))), [used(token, "2026-03-02")])
      same(yield* tokens.list(tenantId), [used(token, "2026-03-02")])
    })
  )
}

const ending = ({ example }: Contract.Contract<Tokens.Tokens>): void => {
  example(
    "a revoked token is out at once and for good",
    Effect.gen(function*() {
      const tokens = yield* Tokens.Tokens
      const tenantId = yield* Given.tenant
      const { text, token } = yield* create(tenantId)
      const { text: other } = yield* create(tenantId)
      yield* TestClock.adjust("1 seconds")
      const revoked = yield* tokens.revoke(tenantId, token.id)
      same([revoked], [{ ...token, revokedAt: Option.some(Given.afterNoon(1)) }])
      assert.deepStrictEqual(yield* admit(Redacted.value(text)), Option.none())
      assert.isTrue(Option.isSome(yield* admit(Redacted.value(other))))
      yield* TestClock.adjust("1 seconds")
      same([yield* tokens.revoke(tenantId, token.id)], [revoked])
    })
  )

  example(
    "a tenant's tokens are listed and revoked by its scope and by that of all, and by no other's",
    Effect.gen(function*() {
      const tokens = yield* Tokens.Tokens
      const [one, other] = [yield* Given.tenant, yield* Given.tenant]
      const first = (yield* create(one)).token
      yield* TestClock.adjust("1 seconds")
      const second = (yield* create(one, { name: "second" })).token
      const foreign = (yield* create(other)).token
      const ofAll = (yield* create(Tenant.all)).token
      same(yield* tokens.list(one), [first, second])
      same(yield* tokens.list(other), [foreign])
      const known = [first, second, foreign, ofAll]
      const found = yield* tokens.list(Tenant.all)
      const own = found.filter(({ id }) => known.some((token) => token.id === id))
      same(own, known.toSorted(Tokens.compare))
      for (const [reach, { id }] of [[other, first], [one, foreign], [one, ofAll], [Given.nobody, first]] as const) {
        const error = yield* Contract.refused(tokens.revoke(reach, id), "TokenNotFound")
        assert.strictEqual(error.tokenId, id)
      }
      same(yield* tokens.list(one), [first, second])
      for (const { id } of [foreign, ofAll]) yield* tokens.revoke(Tenant.all, id)
    })
  )
}

const refusing = ({ example }: Contract.Contract<Tokens.Tokens>): void =>
  example(
    "a name that cannot be kept exactly and an end that is past are refused",
    Effect.gen(function*() {
      const tokens = yield* Tokens.Tokens
      const tenantId = yield* Given.tenant
      for (const name of ["", "a\u0000b", "\ud800", "x".repeat(256), "ann@example.com"]) {
        assert.match(
          (yield* Contract.refused(create(tenantId, { name }), "InvalidInput")).message,
          /^invalid token: name: /
        )
      }
      for (const seconds of [0, -1]) {
        const ended = create(tenantId, { expiresAt: Option.some(Given.afterNoon(seconds)) })
        assert.match((yield* Contract.refused(ended, "InvalidInput")).message, /^invalid token: expiresAt: /)
      }
      assert.deepStrictEqual(yield* tokens.list(tenantId), [])
    })
  )

/**
 * Declares what holds for all tokens.
 *
 * @category suites
 * @since 0.2.0
 */
export const suite = <E>(name: string, tokens: Layer.Layer<Tokens.Tokens, E>): void =>
  Contract.declare(name, tokens, (contract) => {
    admitting(contract)
    ending(contract)
    refusing(contract)
  })
