import { assert, describe, it } from "@effect/vitest"
import { Details } from "@waybill/core"
import { Arbitrary, Option, Schema } from "effect"

/** The bytes of a JSON text as PostgreSQL writes it: a space after each colon and comma. */
const bytesOf = (details: Details.Details): number => {
  const text = JSON.stringify(details)
  const separators = JSON.stringify(details, (_, value: unknown) => typeof value === "string" ? "" : value)
    .replaceAll(/[^:,]/g, "").length
  const named = Object.keys({ ...details, ...details.metadata }).filter((name) => /[:,]/.test(name))
  return new TextEncoder().encode(text).length + separators - named.join("").replaceAll(/[^:,]/g, "").length
}

const text = Schema.Union([
  Schema.String,
  Schema.Literals(["", " ", "\u0000", "\ud800", "\u0001\u0002", "é".repeat(3000), "\"".repeat(5000), "💩".repeat(1500)])
])

const said: Arbitrary.Arbitrary<Details.Said> = Arbitrary.schema(Schema.Struct({
  response: Schema.optionalKey(text),
  description: Schema.optionalKey(text),
  url: Schema.optionalKey(text),
  server: Schema.optionalKey(text),
  ip: Schema.optionalKey(text),
  userAgent: Schema.optionalKey(text),
  client: Schema.optionalKey(text),
  location: Schema.optionalKey(text),
  list: Schema.optionalKey(text),
  otherRecipient: Schema.optionalKey(text),
  tags: Schema.optionalKey(Schema.Array(text)),
  metadata: Schema.optionalKey(Schema.Record(text, Schema.Json))
}))

const made = (given: Details.Said): Details.Details => Option.getOrElse(Details.make(given), () => ({}))

describe("details", () => {
  it.prop("are bounded and can be stored, whatever is said", [said], ([given]) => {
    const details = Details.make(given)
    if (Option.isNone(details)) return
    assert.isTrue(Schema.is(Details.Details)(details.value))
    assert.isAtMost(bytesOf(details.value), Details.maxBytes)
    assert.deepStrictEqual(JSON.parse(JSON.stringify(details.value)), details.value)
  }, { arbitrary: { runs: 300 } })

  it.prop("of details are the same", [said], ([given]) => {
    const details = made(given)
    const { cut, ...again } = made(details)
    const { cut: before, ...kept } = details
    assert.deepStrictEqual(again, kept)
    assert.isTrue(cut === undefined || before === true)
  }, { arbitrary: { runs: 300 } })

  it("keep what is said", () => {
    const given = {
      response: "550 5.1.1 no such user",
      description: "The server was unable to deliver your message",
      tags: ["welcome", "first"],
      metadata: { order: "17" }
    }
    assert.deepStrictEqual(Details.make(given), Option.some(given))
  })

  it("are none where nothing is said", () => {
    const nothing: ReadonlyArray<Details.Said> = [
      {},
      { response: "", url: undefined, ip: " " },
      { tags: [] },
      { tags: ["", " "] },
      { metadata: {} },
      { metadata: { "": 1, order: undefined } },
      { response: "\u0000" }
    ]
    for (const given of nothing) assert.deepStrictEqual(Details.make(given), Option.none())
  })

  it("say that something was cut, and leave room for the other fields", () => {
    const long = "x".repeat(100_000)
    const details = made({ response: long, description: long, ip: "192.0.2.1", tags: ["welcome"] })
    assert.strictEqual(details.response, "x".repeat(2048))
    assert.strictEqual(details.description, "x".repeat(1024))
    assert.strictEqual(details.ip, "192.0.2.1")
    assert.deepStrictEqual(details.tags, ["welcome"])
    assert.strictEqual(details.cut, true)
    assert.isUndefined(made({ response: "x".repeat(2048) }).cut)
  })

  it("leave out the tags and data that have no room", () => {
    const many = Array.from({ length: 1000 }, (_, index) => `tag-${index}`)
    const { cut, tags = [] } = made({ tags: many })
    assert.isTrue(cut)
    assert.isAbove(tags.length, 200)
    assert.deepStrictEqual(tags, many.slice(0, tags.length))
    const { metadata = {} } = made({ metadata: Object.fromEntries(many.map((name) => [name, name])) })
    assert.isAbove(Object.keys(metadata).length, 100)
  })

  it("are cut between letters", () => {
    assert.strictEqual(made({ ip: "💩".repeat(100) }).ip, "💩".repeat(16))
    assert.strictEqual(made({ ip: `x${"💩".repeat(100)}` }).ip, `x${"💩".repeat(15)}`)
  })

  it("hold data that is no text as its JSON", () => {
    const { metadata } = made({ metadata: { count: 3, list: [1, { a: null }], flag: true, none: null, empty: "" } })
    assert.deepStrictEqual(metadata, { count: "3", list: "[1,{\"a\":null}]", flag: "true", none: "null", empty: "" })
    let deep: Schema.Json = []
    for (let level = 0; level < 100_000; level++) deep = [deep]
    assert.deepStrictEqual(made({ metadata: { deep, order: 17 } }).metadata, { deep: "", order: "17" })
    assert.isUndefined(made({ metadata: JSON.parse("{\"__proto__\": 1}") }).metadata)
  })

  it("are refused where they are longer than the bound, or cannot be stored", () => {
    const bad: ReadonlyArray<unknown> = [
      { description: "x".repeat(4096) },
      { response: "" },
      { response: "\u0000" },
      { tags: ["\ud800"] },
      { metadata: { "\u0000": "x" } },
      { metadata: JSON.parse("{\"__proto__\": \"x\"}") },
      { cut: false }
    ]
    for (const details of bad) assert.isFalse(Schema.is(Details.Details)(details))
    assert.isTrue(Schema.is(Details.Details)({ description: "x".repeat(4000) }))
  })
})
