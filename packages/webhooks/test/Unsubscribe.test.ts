import { assert, describe, it } from "@effect/vitest"
import { Event, Tenant } from "@waybill/core"
import { Unsubscribe } from "@waybill/webhooks"
import { Effect, Option, Redacted, Result, Schema } from "effect"

const secret = (letter: string): Redacted.Redacted => Redacted.make(letter.repeat(32))

const key = (id: string, letter: string = id): Unsubscribe.Key => ({ id, secret: secret(letter) })

const keys = (...given: ReadonlyArray<Unsubscribe.Key>): Unsubscribe.Keys => Result.getOrThrow(Unsubscribe.keys(given))

const delivery = {
  tenantId: Tenant.defaultTenantId,
  deliveryId: Event.DeliveryId.make("01890a5d-ac96-774b-bcce-b302099a8057")
}

const reasonOf = (given: Result.Result<Unsubscribe.Keys, Unsubscribe.UnusableKeys>) =>
  Result.match(given, { onSuccess: () => "usable", onFailure: ({ place, reason }) => `${reason} ${place}` })

const within = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const Named = Schema.Struct({
  letters: Schema.Array(within(33, 126)).check(Schema.isMinLength(1), Schema.isMaxLength(255)),
  bytes: Schema.Array(within(0, 255)).check(Schema.isMinLength(16), Schema.isMaxLength(16))
})

const named = ({ bytes, letters }: typeof Named.Type) => {
  const hex = Buffer.from(bytes).toString("hex")
  const tenantId = String.fromCharCode(...letters)
  return {
    tenantId: Tenant.TenantId.make(tenantId === "*" ? "star" : tenantId),
    deliveryId: Event.DeliveryId.make(
      [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-")
    )
  }
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

const Change = Schema.Struct({
  at: within(0, 1000),
  to: within(0, alphabet.length - 1),
  kind: Schema.Literals(["replace", "insert", "delete", "cut", "swap"])
})

const altered = (token: string, { at, kind, to }: typeof Change.Type): string => {
  const place = at % token.length
  const [before, after, letter] = [token.slice(0, place), token.slice(place), alphabet.charAt(to)]
  switch (kind) {
    case "replace":
      return before + letter + after.slice(1)
    case "insert":
      return before + letter + after
    case "delete":
      return before + after.slice(1)
    case "cut":
      return before
    default:
      return before + after.charAt(1) + after.charAt(0) + after.slice(2)
  }
}

describe("Unsubscribe", () => {
  it.effect.prop(
    "reads from a token the delivery that it was made for, of any tenant",
    [Named],
    ([given]) =>
      Effect.sync(() => {
        const delivery = named(given)
        const signing = keys(key("a"), key("b"))
        const token = Unsubscribe.token(signing, delivery)
        assert.match(token, /^[A-Za-z0-9._-]+$/)
        assert.deepStrictEqual(Unsubscribe.read(signing, token), Option.some(delivery))
      })
  )

  it.effect.prop("refuses any token that was altered", [Named, Change], ([given, change]) =>
    Effect.sync(() => {
      const delivery = named(given)
      const signing = keys(key("a"), key("b"))
      const token = Unsubscribe.token(signing, delivery)
      const other = altered(token, change)
      if (other !== token) assert.isTrue(Option.isNone(Unsubscribe.read(signing, other)), other)
    }), { arbitrary: { runs: 2000 } })

  it("refuses every single letter in the place of another", () => {
    const signing = keys(key("a"))
    const token = Unsubscribe.token(signing, delivery)
    for (let at = 0; at < token.length; at++) {
      for (let to = 0; to < alphabet.length; to++) {
        const other = altered(token, { at, to, kind: "replace" })
        assert.strictEqual(Option.isSome(Unsubscribe.read(signing, other)), other === token)
      }
    }
  })

  it("signs with the first key, and takes what any of the keys signed", () => {
    const before = keys(key("a"))
    const during = keys(key("b"), key("a"))
    const after = keys(key("b"))
    const old = Unsubscribe.token(before, delivery)
    const fresh = Unsubscribe.token(during, delivery)
    assert.isTrue(fresh.startsWith("b."))
    assert.deepStrictEqual(Unsubscribe.read(during, old), Option.some(delivery))
    assert.deepStrictEqual(Unsubscribe.read(after, fresh), Option.some(delivery))
    assert.isTrue(Option.isNone(Unsubscribe.read(after, old)))
    assert.isTrue(Option.isNone(Unsubscribe.read(before, fresh)))
  })

  it("tells keys of one secret apart by their ids", () => {
    const token = Unsubscribe.token(keys(key("a", "x")), delivery)
    assert.isTrue(Option.isNone(Unsubscribe.read(keys(key("b", "x")), token.replace(/^a/, "b"))))
  })

  it("says what is wrong with keys, by their places, and no secret", () => {
    assert.strictEqual(reasonOf(Unsubscribe.keys([])), "NoKey 0")
    assert.strictEqual(reasonOf(Unsubscribe.keys([key("a"), key("b.c")])), "MalformedId 2")
    assert.strictEqual(
      reasonOf(Unsubscribe.keys([key("a"), { id: "b", secret: Redacted.make("y".repeat(31)) }])),
      "ShortSecret 2"
    )
    assert.strictEqual(reasonOf(Unsubscribe.keys([key("a"), key("a", "b")])), "RepeatedId 2")
    assert.strictEqual(reasonOf(Unsubscribe.parseKeys("")), "NoKey 0")
    assert.strictEqual(reasonOf(Unsubscribe.parseKeys("z".repeat(64))), "MalformedId 1")
    const parsed = Result.getOrThrow(
      Unsubscribe.parseKeys(` 2026-b:${"b".repeat(32)}, 2026-a:${"a".repeat(16)}:${"a".repeat(16)}`)
    )
    assert.deepStrictEqual([...parsed.byId.keys()], ["2026-b", "2026-a"])
    const failed = Result.getOrThrow(Result.flip(Unsubscribe.parseKeys("a:hush-hush")))
    assert.strictEqual(failed.message, "the secret of key 1 must have at least 32 bytes")
  })

  it("counts the bytes of a secret, not its letters", () => {
    assert.strictEqual(reasonOf(Unsubscribe.keys([{ id: "a", secret: Redacted.make("é".repeat(16)) }])), "usable")
  })

  it("puts both headers into a message, without an address in them", () => {
    const signing = { keys: keys(key("a")), publicUrl: "https://mail.example.com/waybill/" }
    const headers = Result.getOrThrow(Unsubscribe.headers(signing, delivery))
    const token = Unsubscribe.token(signing.keys, delivery)
    assert.deepStrictEqual(headers, {
      "List-Unsubscribe": `<https://mail.example.com/waybill/unsubscribe/${token}>`,
      "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"
    })
    assert.isBelow(token.length, 100)
  })

  it("lets links begin with https, or with this machine alone", () => {
    const parsed = (text: string) => Result.getOrElse(Unsubscribe.parseUrl(text), () => "refused")
    assert.strictEqual(parsed("https://mail.example.com"), "https://mail.example.com")
    assert.strictEqual(parsed("https://MAIL.example.com:8443/a//"), "https://mail.example.com:8443/a")
    assert.strictEqual(parsed("http://127.0.0.1:8025"), "http://127.0.0.1:8025")
    assert.strictEqual(parsed("https://bücher.example"), "https://xn--bcher-kva.example")
    for (
      const wrong of [
        "",
        "mail.example.com",
        "http://mail.example.com",
        "http://127.0.0.1.example.com",
        "https://ann:secret@mail.example.com",
        "https://mail.example.com/?a=1",
        "https://mail.example.com/#a",
        "https:///x",
        "javascript://mail.example.com",
        `https://mail.example.com/${"a".repeat(500)}`
      ]
    ) assert.strictEqual(parsed(wrong), "refused", wrong)
  })
})
