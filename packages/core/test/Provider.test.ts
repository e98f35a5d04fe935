import { assert, describe, it } from "@effect/vitest"
import { Provider } from "@waybill/core"
import { Arbitrary, Option, Schema } from "effect"

const canonical = (provider: string, raw: string): string | undefined =>
  Option.getOrUndefined(Provider.canonicalMessageId(provider, raw))

const raw = Arbitrary.array(
  Arbitrary.schema(
    Schema.Literals([
      "a",
      "B",
      "<",
      ">",
      ".",
      " ",
      "\t",
      "@",
      "@x.amazonses.com",
      "filter",
      "recvd",
      ".filter",
      "0123456789"
    ])
  ),
  { maxLength: 6 }
).pipe(Arbitrary.map((pieces) => pieces.join("")))

const pieces = ["a", "<", ">", " ", ".", "@amazonses.com", "@ismtpd", "filter", "x".repeat(21)]

/** All texts of so many pieces. */
const texts = (length: number): ReadonlyArray<string> =>
  length === 0 ? [""] : texts(length - 1).flatMap((text) => pieces.map((piece) => text + piece))

describe("a canonical message id", () => {
  it("is its own canonical form, of whatever short text", () => {
    for (const text of [0, 1, 2, 3, 4, 5].flatMap(texts)) {
      for (const provider of ["postmark", "sendgrid", "ses", "mailgun"]) {
        const once = canonical(provider, text)
        if (once !== undefined && canonical(provider, once) !== once) assert.fail(JSON.stringify([provider, text]))
      }
    }
  })

  it("sheds every layer of white space, brackets and routing", () => {
    for (const text of ["<<x>>", " < <x>\n> "]) assert.strictEqual(canonical("postmark", text), "x")
    for (const text of ["<a>.filter", "<<a.filter0001>>", " <a>\n.recvd-1", "<<a>.filter>"]) {
      assert.strictEqual(canonical("sendgrid", text), "a")
    }
    assert.isUndefined(canonical("sendgrid", "<filter>.filter"))
    assert.strictEqual(canonical("postmark", "<".repeat(1_000_000) + "x" + ">".repeat(1_000_000)), "x")
  })

  it.prop(
    "is its own canonical form",
    [Arbitrary.schema(Schema.Literals(["postmark", "sendgrid", "mailgun", "ses", "resend"])), raw],
    ([provider, raw]) => {
      const once = canonical(provider, raw)
      if (once === undefined) return
      assert.match(once, /^[!-~]{1,512}$/)
      assert.strictEqual(canonical(provider, once), once)
    },
    { arbitrary: { runs: 1000 } }
  )

  it("is the same for the send call and for the webhook of a provider", () => {
    const spellings: ReadonlyArray<readonly [provider: string, sent: string, reported: string]> = [
      ["mailgun", "<20260301.1.AB@mg.example.com>", "20260301.1.AB@mg.example.com"],
      ["brevo", "<202603011200.1@smtp-relay.mailin.fr>", "<202603011200.1@smtp-relay.mailin.fr>"],
      ["postmark", "0a129aee-e1cd-480d-b08d-4f48548ff48d", " 0a129aee-e1cd-480d-b08d-4f48548ff48d\n"],
      ["sendgrid", "14c5d75ce93.dfd.64b469", "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0"],
      ["sendgrid", "fB-Vzp3oQZa1nUQcFbZ2kg", "fB-Vzp3oQZa1nUQcFbZ2kg.recvd-5f6d-x7-1"],
      ["sendgrid", "fB-Vzp3oQZa1nUQcFbZ2kg", "fB-Vzp3oQZa1nUQcFbZ2kg.canary-18-0"],
      ["sendgrid", "<fB-Vzp3oQZa1nUQcFbZ2kg@geopod-ismtpd-3-0>", "fB-Vzp3oQZa1nUQcFbZ2kg.recvd-5f6d-x7-1"],
      ["sendgrid", "<14c5d75ce93.dfd.64b469@ismtpd-555>", "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0"],
      ["postmark", "<0a129aee-e1cd-480d-b08d-4f48548ff48d@mtasv.net>", "0a129aee-e1cd-480d-b08d-4f48548ff48d"],
      ["resend", "<56761188-7520-42d8-8898-ff6fc54ce618@resend.dev>", "56761188-7520-42d8-8898-ff6fc54ce618"],
      ["mailersend", "<62e3be0a1b2c3d4e5f@mailersend.example>", "62e3be0a1b2c3d4e5f@mailersend.example"],
      ["ses", "0100018d-aa-000000", "0100018d-aa-000000"],
      ["ses", "<0100018d-aa-000000>", "0100018d-aa-000000"],
      ["ses", "<0100018d-aa-000000@eu-west-1.amazonses.com>", "0100018d-aa-000000"],
      ["ses", "0100018d-aa-000000@email.amazonses.com", "0100018d-aa-000000"],
      ["ses", " <0100018d-aa-000000@us-east-1.amazonses.com>\r\n", "0100018d-aa-000000"],
      ["mailjet", "12345678901234567", "12345678901234567"]
    ]
    for (const [provider, sent, reported] of spellings) {
      assert.isDefined(canonical(provider, sent))
      assert.strictEqual(canonical(provider, reported), canonical(provider, sent))
    }
  })

  it("keeps the host where the provider's own ids have one", () => {
    for (const provider of ["mailgun", "brevo", "smtp"]) {
      assert.notStrictEqual(canonical(provider, "<a@one.example>"), canonical(provider, "<a@two.example>"))
    }
    assert.strictEqual(canonical("postmark", "<m-1@mail.example.com>"), "m-1@mail.example.com")
    assert.strictEqual(canonical("ses", "@eu-west-1.amazonses.com"), "@eu-west-1.amazonses.com")
  })

  it("keeps the routing of other providers than SendGrid", () => {
    assert.strictEqual(canonical("postmark", "x.filter0001"), "x.filter0001")
    assert.strictEqual(canonical("sendgrid", "x.filter0001"), "x")
  })

  it("keeps the case, and brackets that enclose nothing or are not a pair", () => {
    assert.notStrictEqual(canonical("postmark", "aB"), canonical("postmark", "ab"))
    assert.strictEqual(canonical("postmark", "<>"), "<>")
    assert.strictEqual(canonical("postmark", "<a"), "<a")
  })

  it("is none where nothing usable is left", () => {
    for (const raw of ["", "  ", "a b", "\u00fc", "a\u0000b", "x".repeat(513)]) {
      assert.isUndefined(canonical("postmark", raw))
    }
    for (const raw of ["", "filter0093p1las1-12345-5A1B2C3D-1.0", " filter0001"]) {
      assert.isUndefined(canonical("sendgrid", raw))
    }
    assert.strictEqual(canonical("postmark", "x".repeat(512)), "x".repeat(512))
  })
})

describe("a provider", () => {
  it("is a lower-case name", () => {
    const isProvider = Schema.is(Provider.Provider)
    for (const name of ["postmark", "sendgrid", "unisender-go", "a", "my_smtp2"]) assert.isTrue(isProvider(name))
    for (const name of ["", "Postmark", "1and1", "a b", "a:b", "x".repeat(65)]) assert.isFalse(isProvider(name))
  })
})
