import { assert, describe, it } from "@effect/vitest"
import { Text } from "@waybill/core"
import { Arbitrary, Schema } from "effect"

describe("a text without addresses", () => {
  it.each([
    ["550 <ann@example.com> unknown", "550 <[hidden]> unknown"],
    ["to=ann%40example.com&x", "[hidden]"],
    ["\"ann b\"@example.com is gone", "[hidden] is gone"],
    ["see https://example.com/?u=ann, or www.example.com", "see [hidden], or [hidden]"],
    ["bounce+ann=example.com@elsewhere.example", "[hidden]"],
    ["ann&#64;example.com", "[hidden]"],
    ["the domain is not verified", "the domain is not verified"],
    [" \u0000 timed out ", "timed out"]
  ])("of %j is %j", (given, expected) => {
    assert.strictEqual(Text.withoutAddresses(given, 500), expected)
  })

  it("is cut, and stays well-formed", () => {
    assert.strictEqual(Text.withoutAddresses("x".repeat(600), 500), `${"x".repeat(499)}\u2026`)
    assert.isTrue(Text.isStorable(Text.withoutAddresses("\u{1f4ec}".repeat(600), 500)))
  })

  it.prop(
    "holds no @ and can be stored, whatever was given",
    [Arbitrary.schema(Schema.String), Arbitrary.schema(Schema.String)],
    ([left, right]) => {
      const text = Text.withoutAddresses(`${left}@${right}`, 100)
      assert.notInclude(text, "@")
      assert.isAtMost(text.length, 100)
      assert.isTrue(Text.isStorable(text))
    },
    { arbitrary: { runs: 300 } }
  )
})
