import { assert, describe, it } from "@effect/vitest"
import { Recipient } from "@waybill/core"
import { Arbitrary, Schema } from "effect"

const isRecipient = Schema.is(Recipient.Recipient)

const recipient = Arbitrary.array(Arbitrary.schema(Schema.Literals(["a", "A", "z", "Z", "\u0130", "\u00c4", "1"])), {
  minLength: 1,
  maxLength: 6
}).pipe(Arbitrary.map((letters) => Recipient.Recipient.make(`${letters.join("")}@Example.com`)))

describe("a recipient", () => {
  it("is a bare address", () => {
    const good = ["ann@example.com", "a@b", "\"odd name\"@example.com", "a@b@example.com", "\u00fc@\u00fc.example"]
    for (const text of good) assert.isTrue(isRecipient(text), text)
    const bad = [
      "",
      "ann",
      "@example.com",
      "ann@",
      "ann@exa mple.com",
      "Ann <ann@example.com>",
      "ann@example.com\n",
      "a\u0000@example.com",
      "\ud800@example.com",
      `${"x".repeat(320)}@b`
    ]
    for (const text of bad) assert.isFalse(isRecipient(text), text)
    assert.isTrue(isRecipient(`${"x".repeat(318)}@b`))
  })

  it("is compared without the case of A to Z alone", () => {
    const make = (text: string) => Recipient.Recipient.make(text)
    assert.isTrue(Recipient.isSame(make("Ann@Example.COM"), make("aNN@exAMPLE.com")))
    assert.isFalse(Recipient.isSame(make("ann@example.com"), make("anne@example.com")))
    assert.isFalse(Recipient.isSame(make("\u00c4@example.com"), make("\u00e4@example.com")))
    assert.isFalse(Recipient.isSame(make("\u0130@example.com"), make("i@example.com")))
  })

  it.prop("is compared by its folded form, which keeps its length", [recipient, recipient], ([left, right]) => {
    assert.strictEqual(Recipient.isSame(left, right), Recipient.folded(left) === Recipient.folded(right))
    assert.strictEqual(Recipient.folded(Recipient.folded(left)), Recipient.folded(left))
    assert.strictEqual(Recipient.folded(left).length, left.length)
  }, { arbitrary: { runs: 200 } })

  it("has the domain after its last @, in lower case", () => {
    assert.strictEqual(Recipient.domain(Recipient.Recipient.make("a@b@Mail.Example.COM")), "mail.example.com")
  })
})
