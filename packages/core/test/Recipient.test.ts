import { assert, describe, it } from "@effect/vitest"
import { Recipient } from "@waybill/core"
import { Arbitrary, Schema } from "effect"
import { domainToASCII } from "node:url"

const isRecipient = Schema.is(Recipient.Recipient)

const make = (text: string) => Recipient.Recipient.make(text)

const piece = Arbitrary.schema(
  Schema.Literals([
    "a",
    "A",
    "z",
    "Z",
    "1",
    "-",
    ".",
    "@",
    "xn--",
    "İ",
    "Ä",
    "ä",
    "Ä",
    "ß",
    "ẞ",
    "Σ",
    "ς",
    "K",
    "Å",
    "Ａ",
    "。",
    "­",
    "H̱",
    "ẖ",
    "😀",
    "日",
    "א"
  ])
)

const recipient = Arbitrary.all([
  Arbitrary.array(piece, { minLength: 1, maxLength: 6 }),
  Arbitrary.array(piece, { minLength: 1, maxLength: 6 })
]).pipe(
  Arbitrary.map(([local, domain]) => `${local.join("")}@${domain.filter((each) => each !== "@").join("")}x`),
  Arbitrary.map(make)
)

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

  it("is one in all its spellings", () => {
    const same = [
      ["Ann@Example.COM", "aNN@exAMPLE.com", "ann@example.com.", "ann@example\u3002com", "ann@\uff25xample.com"],
      ["jo@b\u00fccher.example", "JO@B\u00dcCHER.example", "jo@xn--bcher-kva.example", "jo@XN--BCHER-KVA.EXAMPLE."],
      ["jo@b\u00fccher.example", "jo@bu\u0308cher.example.", "jo@BU\u0308CHER.example", "jo@b\u00fc\u00adcher.example"],
      ["\u00c4@example.com", "\u00e4@example.com", "a\u0308@example.com", "A\u0308@EXAMPLE.com."],
      [
        "\u0393\u0399\u03a9\u03a3@example.gr",
        "\u03b3\u03b9\u03c9\u03c2@example.gr",
        "\u03b3\u03b9\u03c9\u03c3@example.gr"
      ],
      ["H\u0331@example.com", "\u1e96@example.com"],
      ["jo@stra\u00dfe.example", "jo@STRA\u1e9eE.example", "jo@xn--strae-oqa.example"],
      ["jo@\u65e5\u672c\u8a9e.jp", "jo@xn--wgv71a119e.jp"],
      ["jo@\u0645\u062b\u0627\u0644.example", "jo@xn--mgbh0fb.example"]
    ]
    for (const spellings of same) {
      for (const left of spellings) {
        for (const right of spellings) assert.isTrue(Recipient.isSame(make(left), make(right)), `${left} ${right}`)
      }
    }
    const others = [
      ["ann@example.com", "anne@example.com"],
      ["\u0130@example.com", "i@example.com"],
      ["jo@stra\u00dfe.example", "jo@strasse.example"],
      ["jo@b\u00fccher.example", "jo@bucher.example"],
      ["jo.@example.com", "jo@example.com"]
    ]
    for (const [left = "", right = ""] of others) assert.isFalse(Recipient.isSame(make(left), make(right)), left)
  })

  it.prop("is compared by its canonical form, which is its own", [recipient, recipient], ([left, right]) => {
    assert.strictEqual(Recipient.isSame(left, right), Recipient.canonical(left) === Recipient.canonical(right))
    assert.strictEqual(Recipient.canonical(Recipient.canonical(left)), Recipient.canonical(left))
    for (const spelling of Recipient.spellings(left)) {
      assert.strictEqual(Recipient.canonical(spelling), Recipient.canonical(left), spelling)
    }
  }, { arbitrary: { runs: 2000 } })

  it("has the form of a plain address in lower case, and no other spelling", () => {
    assert.strictEqual(Recipient.canonical("Ann.O'Neill+1@Example.COM"), "ann.o'neill+1@example.com")
    assert.deepStrictEqual(Recipient.spellings("Ann@Example.COM"), ["ann@example.com"])
  })

  it("has the domain after its last @, in lower case and ASCII", () => {
    assert.strictEqual(Recipient.domain(make("a@b@Mail.Example.COM")), "mail.example.com")
    assert.strictEqual(Recipient.domain(make("a@B\u00dccher.Example.")), "xn--bcher-kva.example")
  })

  it("has the ASCII domain that UTS #46 gives, of the letters of all scripts but a few", () => {
    const letters = /^[\p{Lu}\p{Ll}\p{Lo}]$/u
    // Cherokee, fillers, the iota subscript, and variants of one letter: no registry takes them.
    const others =
      /^[\p{Script=Cherokee}\u115f\u1160\u3164\uffa0\u03f2\u1c80-\u1c88\u{16d40}-\u{16d7f}\u{1d6d3}\u{1d70d}\u{1d747}\u{1d781}\u{1d7bb}]$/u
    let compared = 0
    for (let code = 0xc0; code < 0x20000; code++) {
      const letter = String.fromCodePoint(code)
      if (!letters.test(letter) || others.test(letter) || letter.normalize("NFD").includes("\u0345")) continue
      for (const label of [`ab${letter}`, `${letter}${letter}x-y${letter}`]) {
        const theirs = domainToASCII(`${label}.example`)
        if (theirs === "") continue
        if (Recipient.domain(make(`a@${label}.example`)) !== theirs) assert.fail(label)
        compared++
      }
    }
    assert.isAbove(compared, 40_000)
  })
})
