import { assert, describe, it } from "@effect/vitest"
import { Inbox } from "@waybill/core"
import { Option, Schema } from "effect"
import { erase } from "../src/internal/erase.ts"

const encoder = new TextEncoder()

const decoder = new TextDecoder()

const ann = "ann@example.com"

/** What is left of a text; none where it names nobody. */
const left = (text: string, address: string = ann): string | undefined =>
  Option.getOrUndefined(Option.map(erase(encoder.encode(text), address), (body) => decoder.decode(body)))

/** A text with the stand-in for each `*`. */
const marked = (text: string): string => text.replaceAll("*", Inbox.standIn)

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, "0")

const percented = (character: string): string =>
  [...encoder.encode(character)].map((byte) => `%${hex(byte, 2)}`).join("")

const unitsOf = (character: string): string =>
  Array.from({ length: character.length }, (_, index) => `\\u${hex(character.charCodeAt(index), 4)}`).join("")

/** Whole numbers below a bound that follow from a seed (mulberry32). */
const numbers = (seed: number) => {
  let state = seed >>> 0
  return (below: number): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

type Next = ReturnType<typeof numbers>

const pick = <A>(next: Next, items: readonly [A, ...ReadonlyArray<A>]): A => items[next(items.length)] ?? items[0]

/** A text as one of JSON, each character plain or escaped, without the quotes. */
const inJson = (next: Next, text: string): string =>
  Array.from(text, (character) => {
    const plain = JSON.stringify(character).slice(1, -1)
    const escape = next(2) === 0 ? unitsOf(character) : unitsOf(character).toUpperCase().replaceAll("\\U", "\\u")
    return pick(next, [plain, plain, plain, character === "/" ? "\\/" : escape])
  }).join("")

/** A text in a form, its spaces pluses or not. */
const inForm = (next: Next, text: string): string =>
  next(2) === 0
    ? new URLSearchParams({ x: text }).toString().slice(2)
    : Array.from(text, (character) => {
      if (/[A-Za-z0-9]/.test(character) && next(4) > 0) return character
      return next(2) === 0 ? percented(character) : percented(character).toUpperCase()
    }).join("")

/** A text as it stands where other texts are in it, and how to read it again. */
interface Spelling {
  readonly name: string
  readonly write: (next: Next, text: string) => string
  readonly read: (text: string) => string
}

const isText = Schema.is(Schema.String)

const parse = (text: string): string => {
  const value: unknown = JSON.parse(`"${text}"`)
  return isText(value) ? value : assert.fail("it is no text")
}

const plain: Spelling = { name: "plain", write: (_, text) => text, read: (text) => text }

const json: Spelling = { name: "JSON", write: inJson, read: parse }

const form: Spelling = {
  name: "a form",
  write: inForm,
  read: (text) => new URLSearchParams(`x=${text}`).get("x") ?? assert.fail("there is no field")
}

const within = (outer: Spelling, inner: Spelling): Spelling => ({
  name: `${inner.name} in ${outer.name}`,
  write: (next, text) => outer.write(next, inner.write(next, text)),
  read: (text) => inner.read(outer.read(text))
})

const spellings: ReadonlyArray<Spelling> = [
  plain,
  json,
  form,
  within(json, json),
  within(form, json),
  within(json, form),
  within(json, within(json, json)),
  within(form, form)
]

const locals: readonly [string, ...ReadonlyArray<string>] = [
  "ann",
  "Ann.Lee",
  "a",
  "o'ann",
  "ann+news",
  "ann_lee-7",
  "!#$&*/=?^`{|}~",
  "jürgen",
  "アン",
  "🐈cat",
  "\"ann lee\"",
  "nnn",
  "u0041",
  "40"
]

const domains: readonly [string, ...ReadonlyArray<string>] = [
  "example.com",
  "EXAMPLE.com",
  "mail.example.co.uk",
  "bücher.example",
  "x"
]

/** What may stand around an address in a text. */
const around: readonly [string, ...ReadonlyArray<string>] = [
  "",
  " ",
  "<",
  ">",
  ",",
  ";",
  ": ",
  "\n",
  "(",
  ")",
  "“",
  "請",
  "550-",
  "=",
  "* ",
  "\t"
]

const after: readonly [string, ...ReadonlyArray<string>] = [
  "",
  " ",
  ">",
  ",",
  ". ",
  ".\n",
  "...",
  "- ",
  "_",
  "\n",
  "”",
  "請",
  ")"
]

/** What makes a longer address of one. */
const before: readonly [string, ...ReadonlyArray<string>] = [
  "jo",
  "jo.",
  "jo-",
  "jo_",
  "jo+",
  "o'",
  "7",
  "é",
  "jo.-",
  "Ж"
]

const behind: readonly [string, ...ReadonlyArray<string>] = [".au", "s", "-two.example", "7", "é.example"]

const anycase = (next: Next, text: string): string =>
  Array.from(text, (character) => /[a-z]/i.test(character) && next(3) === 0 ? swapped(character) : character).join("")

const swapped = (letter: string): string =>
  letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase()

const choice = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 31 - 1 }))

describe("erase", () => {
  it.for(spellings)(
    "finds every mention of an address in $name, and leaves the rest as it reads",
    ({ read, write }) => {
      for (let seed = 0; seed < 500; seed++) {
        const next = numbers(seed)
        const address = `${pick(next, locals)}@${pick(next, domains)}`
        const [begin, end] = [pick(next, around), pick(next, after)]
        const text = (first: string, second: string) => `${begin}${first}${end}, then ${second} again`
        const body = write(next, text(anycase(next, address), anycase(next, address)))
        const erased = left(body, address)
        assert.strictEqual(
          erased === undefined ? "untouched" : read(erased),
          text(Inbox.standIn, Inbox.standIn),
          `${seed}: ${body}`
        )
        assert.isUndefined(left(erased ?? "", address))
      }
    }
  )

  it.for(spellings)("leaves what is a longer address in $name", ({ write }) => {
    for (let seed = 0; seed < 500; seed++) {
      const next = numbers(seed)
      const address = `${pick(next, ["ann", "ann.lee", "a", "ann+news"])}@${pick(next, domains)}`
      const longer = next(2) === 0 ? `${pick(next, before)}${address}` : `${address}${pick(next, behind)}`
      const body = write(next, `<${anycase(next, longer)}>, ${anycase(next, longer)}`)
      assert.isUndefined(left(body, address), `${seed}: ${body}`)
    }
  })

  it.for(
    [
      ["{\"to\":\"ann\\u002Bnews@example.com\"}", "ann+news@example.com", "{\"to\":\"*\"}"],
      ["{\"to\":\"j\\u00fcrgen@example.com\"}", "jürgen@example.com", "{\"to\":\"*\"}"],
      ["{\"to\":\"o\\u0027ann@example.com\"}", "o'ann@example.com", "{\"to\":\"*\"}"],
      ["{\"to\":\"a\\/b@example.com\"}", "a/b@example.com", "{\"to\":\"*\"}"],
      [
        "{\"Message\":\"{\\\"to\\\":\\\"ann\\\\u0040example.com\\\"}\"}",
        ann,
        "{\"Message\":\"{\\\"to\\\":\\\"*\\\"}\"}"
      ],
      ["recipient=o%27ann%21%7E%40example.com&x=1", "o'ann!~@example.com", "recipient=*&x=1"],
      ["recipient=\"ann+lee\"%40example.com", "\"ann lee\"@example.com", "recipient=*"],
      ["https://shop.example/?next=%2Fa%3Fto%3Dann%2540example.com", ann, "https://shop.example/?next=%2Fa%3Fto%3D*"],
      ["550-ann@example.com 550 5.1.1 ann@example.com", ann, "550-* 550 5.1.1 *"],
      ["_ann@example.com_ -ann@example.com 'ann@example.com' b'ann@example.com'", ann, "_*_ -* '*' b'*'"],
      ["said+ann%40example.com+is+unknown", ann, "said+*+is+unknown"],
      ["jo/ann@example.com, jo=ann@example.com&x", ann, "jo/*, jo=*&x"],
      ["bounce+1-ann=example.com@mg.shop.example", ann, "bounce+1-*@mg.shop.example"],
      ["bounce%2B1-ANN%3Dexample.com%40mg.shop.example", ann, "bounce%2B1-*%40mg.shop.example"],
      ["a\\nann@example.com\\n", ann, "a\\n*\\n"],
      ["%3cann@example.com%3e", ann, "%3c*%3e"],
      ["\\u003cann@example.com\\u003e", ann, "\\u003c*\\u003e"]
    ] as const
  )("erases from %s the address %s", ([text, address, expected]) => {
    assert.strictEqual(left(text, address), marked(expected))
  })

  it.for(
    [
      [
        "joann@example.com, jo.ann@example.com, o'ann@example.com, jo+ann@example.com, jo%2Bann%40example.com, jo%2Bann@example.com",
        ann
      ],
      ["ann@example.com.au, ann@example.community, ann@example.com-x.example, ann@example.com.Then", ann],
      ["joann=example.com@mg.shop.example, ?ann=example.com&x=1", ann],
      ["\\nann@example.com, a\\\\nann@example.com", "nann@example.com"],
      ["%3Caleb@example.com", "caleb@example.com"],
      ["\\u00e9bob@example.com", "9bob@example.com"],
      ["1550-ann@example.com, 950-ann@example.com", ann],
      ["ann at example.com, ann@example.co, ann@xexample.com, @example.com", ann]
    ] as const
  )("finds in %s no address %s", ([text, address]) => {
    assert.isUndefined(left(text, address))
  })

  it.prop("leaves a body in which nothing is named, and ends on any bytes", [choice], ([seed]) => {
    const next = numbers(seed)
    const pieces = [
      "\\",
      "\\u",
      "\\u00",
      "%",
      "%2",
      "%25",
      "%40",
      "@",
      "\\\\",
      "\ud83d",
      "\\ud83d",
      "\\udcaf",
      "ann",
      "=",
      "é"
    ]
    const body = encoder.encode(Array.from({ length: next(40) }, () => pieces[next(pieces.length)] ?? "").join(""))
    assert.isTrue(Option.isNone(erase(body, "bob@example.com")))
    assert.isTrue(Option.isNone(erase(Uint8Array.from({ length: next(200) }, () => next(256)), "bob@example.com")))
  }, { arbitrary: { runs: 2000 } })

  it("takes a time that grows with the body alone", () => {
    for (const piece of ["\\", "%25", "\\u0061", "ann@example.com", ".", "+", "550-", "é", "a%40"]) {
      const body = encoder.encode(piece.repeat(Math.floor(2_000_000 / piece.length)))
      const began = performance.now()
      erase(body, ann)
      assert.isBelow(performance.now() - began, 10_000, piece)
    }
  })
})
