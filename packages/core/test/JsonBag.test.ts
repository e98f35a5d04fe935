import { assert, describe, it } from "@effect/vitest"
import { JsonBag, Text } from "@waybill/core"
import { Arbitrary, Schema } from "effect"

const nested = (depth: number): unknown => {
  let bag: unknown = {}
  for (let level = 1; level < depth; level++) bag = level % 2 === 0 ? { deeper: bag } : { deeper: [], other: bag }
  return bag
}

describe("a bag", () => {
  it.prop("is the same after a round trip through JSON text", [Arbitrary.schema(Schema.Json)], ([json]) => {
    const bag = { json }
    if (!JsonBag.isJsonBag(bag)) return
    assert.deepStrictEqual(JSON.parse(JSON.stringify(bag)), bag)
  }, { arbitrary: { runs: 300 } })

  it("is a plain JSON object", () => {
    class Odd {
      readonly a = 1
    }
    const good: ReadonlyArray<unknown> = [{}, { a: null }, { "": [1, "x", true, { b: [] }] }, Object.create(null)]
    for (const bag of good) assert.isTrue(JsonBag.isJsonBag(bag))
    const bad: ReadonlyArray<unknown> = [
      null,
      undefined,
      [],
      "x",
      1,
      new Odd(),
      new Map(),
      { at: new Date(0) },
      { f: () => 1 },
      { u: undefined },
      { n: 1n },
      { s: Symbol("s") },
      { list: [undefined] },
      { list: Object.assign([], { length: 2 }) }
    ]
    for (const bag of bad) assert.isFalse(JsonBag.isJsonBag(bag))
  })

  it("holds nothing that a store changes", () => {
    const bad: ReadonlyArray<unknown> = [
      { a: NaN },
      { a: Infinity },
      { a: -0 },
      { a: "\u0000" },
      { "\u0000": 1 },
      { a: "\ud800" },
      { "\udc00": 1 },
      JSON.parse("{\"__proto__\": 1}"),
      JSON.parse("{\"a\": [{\"__proto__\": {}}]}")
    ]
    for (const bag of bad) assert.isFalse(JsonBag.isJsonBag(bag))
    assert.isTrue(JsonBag.isJsonBag({ constructor: 1, prototype: 2, a: "\u0001\ud83d\udca9", b: 5e-324 }))
  })

  it("is bounded in depth and length", () => {
    assert.isTrue(JsonBag.isJsonBag(nested(JsonBag.maxDepth)))
    assert.isFalse(JsonBag.isJsonBag(nested(JsonBag.maxDepth + 1)))
    assert.isFalse(JsonBag.isJsonBag(nested(100_000)))
    const ofLength = (length: number) => ({ a: "x".repeat(length - "{\"a\":\"\"}".length) })
    assert.isTrue(JsonBag.isJsonBag(ofLength(JsonBag.maxLength)))
    assert.isFalse(JsonBag.isJsonBag(ofLength(JsonBag.maxLength + 1)))
    assert.isFalse(JsonBag.isJsonBag({ a: "\n".repeat(JsonBag.maxLength / 2) }))
  })

  it("that holds itself is refused", () => {
    const bag: { [key: string]: unknown } = {}
    bag["self"] = bag
    assert.isFalse(JsonBag.isJsonBag(bag))
  })
})

describe("text", () => {
  it("is bounded, well formed and without NUL", () => {
    const isShort = Schema.is(Text.bounded(3))
    for (const text of ["a", "abc", "\u00fc", "\ud83d\udca9", "\n"]) assert.isTrue(isShort(text))
    for (const text of ["", "abcd", "\ud83d", "a\u0000"]) assert.isFalse(isShort(text))
  })
})
