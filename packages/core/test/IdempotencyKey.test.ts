import { assert, describe, it } from "@effect/vitest"
import { IdempotencyKey } from "@waybill/core"
import { Arbitrary, Option, Schema } from "effect"

/** Texts of the characters that a bad escape confuses. */
const part = Arbitrary.array(
  Arbitrary.schema(Schema.Literals(["a", ":", "%", " ", "0", "\u0000", "\ud83d", "\udca9", "\u00fc"])),
  {
    maxLength: 4
  }
).pipe(Arbitrary.map((characters) => characters.join("")))

const parts = Arbitrary.all({ first: part, others: Arbitrary.array(part, { maxLength: 3 }) }).pipe(
  Arbitrary.map(({ first, others }): readonly [string, ...ReadonlyArray<string>] => [first, ...others])
)

const runs = { arbitrary: { runs: 500 } }

describe("a key of parts", () => {
  it.prop("differs where the parts differ", [parts, parts], ([left, right]) => {
    const keys = [IdempotencyKey.fromParts(left), IdempotencyKey.fromParts(right)] as const
    if (Option.isNone(keys[0]) || Option.isNone(keys[1])) return
    assert.strictEqual(keys[0].value === keys[1].value, JSON.stringify(left) === JSON.stringify(right))
  }, runs)

  it.prop("is printable and bounded, or is none", [
    Arbitrary.array(Arbitrary.schema(Schema.String), { minLength: 1, maxLength: 4 })
  ], ([texts]) => {
    const [first = "", ...others] = texts
    const key = IdempotencyKey.fromParts([first, ...others])
    if (Option.isSome(key)) assert.match(key.value, /^[!-~]{1,512}$/)
  }, runs)

  it("is nothing cut off: parts that do not fit give none", () => {
    assert.isTrue(Option.isSome(IdempotencyKey.fromParts(["x".repeat(512)])))
    assert.isTrue(Option.isNone(IdempotencyKey.fromParts(["x".repeat(513)])))
    assert.isTrue(Option.isNone(IdempotencyKey.fromParts(["x".repeat(256), "y".repeat(256)])))
    assert.isTrue(Option.isNone(IdempotencyKey.fromParts(["\u00fc".repeat(103)])))
    assert.isTrue(Option.isNone(IdempotencyKey.fromParts([""])))
    assert.deepStrictEqual(IdempotencyKey.fromParts(["", ""]), Option.some(IdempotencyKey.IdempotencyKey.make(":")))
  })

  it("spells what is printable as it is", () => {
    assert.deepStrictEqual(
      IdempotencyKey.fromParts(["postmark", "a/b=c", "50%", "x:y"]),
      Option.some(IdempotencyKey.IdempotencyKey.make("postmark:a/b=c:50%0025:x%003ay"))
    )
  })
})

describe("a chosen key", () => {
  const isChosen = Schema.is(IdempotencyKey.Chosen)

  it("is none that the ledger writes itself", () => {
    for (const type of ["queued", "dispatched", "reconciled"] as const) {
      assert.isFalse(isChosen(IdempotencyKey.ofOwn(type, "subject")))
    }
    assert.isTrue(isChosen("queued"))
    assert.isTrue(isChosen("postmark:queued:1"))
    assert.isFalse(isChosen("with space"))
    assert.isFalse(isChosen(""))
  })
})
