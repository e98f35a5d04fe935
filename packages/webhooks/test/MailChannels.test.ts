/** Reads and verifies what MailChannels posts. */
import { assert, describe, it } from "@effect/vitest"
import { MailChannels, MailChannelsKeys } from "@waybill/webhooks"
import { DateTime, Effect, Layer, Redacted, Result } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { createHash, generateKeyPairSync, sign } from "node:crypto"
import { bytes, event, events, keys, received, receivedAt } from "./Reading.ts"

const report = (name: string, change: object = {}) => ({
  email: "shop@shop.example",
  customer_handle: "shop",
  timestamp: 1772619967,
  event: name,
  request_id: "r1",
  recipients: ["ada@reader.example"],
  ...change
})

describe("MailChannels", () => {
  it.for(
    [
      ["processed", "queued", undefined, undefined],
      ["delivered", "delivered", undefined, undefined],
      ["open", "opened", undefined, undefined],
      ["click", "clicked", undefined, undefined],
      ["hard-bounced", "bounced", "bounced", "hard"],
      ["soft-bounced", "bounced", "bounced", "soft"],
      ["dropped", "rejected", "other", undefined],
      ["complained", "complained", undefined, undefined],
      ["unsubscribed", "unsubscribed", undefined, undefined],
      ["unheard", "unknown", undefined, undefined]
    ] as const
  )("reads %s", ([raw, type, reason, bounce]) => {
    const read = event(MailChannels.row, JSON.stringify([report(raw)]))
    assert.deepStrictEqual(
      [read.type, read.reason, read.bounce, read.message, read.to, read.certain, read.at, read.eventId],
      [type, reason, bounce, "r1", "ada@reader.example", true, "2026-03-04T10:26:07.000Z", undefined]
    )
  })

  it("reads our delivery id from the campaign", () => {
    const id = "0190f3e2-0000-7000-8000-00000000002a"
    const of = (campaign_id: string) =>
      event(MailChannels.row, JSON.stringify([report("open", { campaign_id })])).delivery
    assert.deepStrictEqual([`waybill:${id}`, "receipts"].map(of), [id, undefined])
  })

  it("ignores a test, and is not certain of one of several recipients", () => {
    assert.deepStrictEqual(events(MailChannels.row, JSON.stringify([report("test")])), [])
    const several = report("open", { recipients: ["ada@reader.example", "bob@reader.example"] })
    assert.isFalse(event(MailChannels.row, JSON.stringify([several])).certain)
  })

  it("gives events that differ in a detail a key each, and one event one", () => {
    const all = [
      report("open"),
      report("open", { ip: "192.0.2.7" }),
      report("click", { url: "https://shop.example/a" }),
      report("click", { url: "https://shop.example/b" }),
      report("open", { timestamp: 1772619968 }),
      report("open", { recipients: ["bob@reader.example"] }),
      report("open")
    ]
    assert.strictEqual(new Set(keys(MailChannels.row, received(JSON.stringify(all)))).size, all.length - 1)
  })
})

describe("The signature of MailChannels", () => {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519")
  const der = publicKey.export({ format: "der", type: "spki" }).toString("base64")
  const created = String(Math.floor(receivedAt.epochMilliseconds / 1000))

  const signed = (body: Uint8Array, { at = created, keyId = "k1", alg = "ed25519" } = {}) => {
    const digest = `sha-256=:${createHash("sha256").update(body).digest("base64")}:`
    const params = `("content-digest");created=${at};alg="${alg}";keyid="${keyId}"`
    const base = bytes(`"content-digest": ${digest}\n"@signature-params": ${params}`)
    return {
      "content-digest": digest,
      "signature-input": `sig_${at}=${params}`,
      signature: `sig_${at}=:${sign(null, base, privateKey).toString("base64")}:`
    }
  }

  const good = bytes(JSON.stringify([report("delivered")]))

  const client = (asked: Array<string>, status = 200) =>
    Layer.succeed(
      HttpClient.HttpClient,
      HttpClient.make((request, url) => {
        asked.push(url.href)
        const found = url.searchParams.get("id") === "k1" ? status : 404
        return Effect.succeed(
          HttpClientResponse.fromWeb(request, new Response(JSON.stringify({ id: "k1", key: der }), { status: found }))
        )
      })
    )

  interface Change {
    readonly accounts?: ReadonlyArray<string>
    readonly asked?: Array<string>
    readonly body?: Uint8Array
    readonly status?: number
  }

  const reason = Effect.fnUntraced(function*(
    headers: Readonly<Record<string, string>>,
    { accounts = ["shop"], asked = [], body = good, status = 200 }: Change = {}
  ) {
    const keyOf = yield* Effect.provide(MailChannelsKeys.make(MailChannels.row.name), client(asked, status))
    const result = yield* Effect.result(
      MailChannels.verify(keyOf)({ headers, body, receivedAt, secrets: accounts.map((each) => Redacted.make(each)) })
    )
    if (Result.isSuccess(result)) return "accepted"
    return result.failure._tag === "VerificationError" ? result.failure.reason : "unavailable"
  })

  it.effect("is over the digest of the body, by a key that MailChannels publishes", () =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      assert.strictEqual(yield* reason(signed(good), { asked }), "accepted")
      assert.deepStrictEqual(asked, ["https://api.mailchannels.net/tx/v1/webhook/public-key?id=k1"])
      assert.strictEqual(yield* reason({ ...signed(good) }, { body: bytes("[]") }), "BadSignature")
      assert.strictEqual(yield* reason(signed(good, { keyId: "k2" })), "BadSignature")
      assert.strictEqual(yield* reason(signed(good), { status: 500 }), "unavailable")
      assert.strictEqual(yield* reason(signed(good, { alg: "rsa-pss-sha512" })), "MalformedSignature")
      assert.strictEqual(yield* reason({ ...signed(good), "signature-input": "x" }), "MalformedSignature")
      assert.strictEqual(yield* reason({}), "MissingHeader")
    }))

  it.effect("is for five minutes, and of an account on the list", () =>
    Effect.gen(function*() {
      for (const minutes of [-6, 6]) {
        const at = DateTime.add(receivedAt, { minutes })
        const headers = signed(good, { at: String(Math.floor(at.epochMilliseconds / 1000)) })
        assert.strictEqual(yield* reason(headers), "TimestampOutOfTolerance")
      }
      assert.strictEqual(yield* reason(signed(good), { accounts: ["other"] }), "UntrustedTopic")
      const mixed = bytes(JSON.stringify([report("open"), report("open", { customer_handle: "other" })]))
      assert.strictEqual(yield* reason(signed(mixed), { body: mixed }), "UntrustedTopic")
    }))
})
