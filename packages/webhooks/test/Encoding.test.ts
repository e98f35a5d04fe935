import { assert, describe, it } from "@effect/vitest"
import { Inbox, Tenant } from "@waybill/core"
import type { Webhook } from "@waybill/webhooks"
import { Arbitrary, DateTime, Effect, type Layer, Option, Result, Schema } from "effect"
import { randomInt } from "node:crypto"
import { brotliCompressSync, constants, deflateRawSync, deflateSync, gzipSync } from "node:zlib"
import * as Encoding from "../src/internal/encoding.ts"
import * as Edge from "./Edge.ts"
import * as Signing from "./Signing.ts"

const brotli = (body: Uint8Array): Uint8Array =>
  brotliCompressSync(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } })

const encoders = [
  ["gzip", gzipSync],
  ["x-gzip", gzipSync],
  ["GZip", gzipSync],
  ["br", brotli],
  ["deflate", deflateSync],
  ["deflate", deflateRawSync],
  ["identity", (body: Uint8Array) => body]
] as const

const limit = 1_000_000

const tooLarge: Encoding.Admit<"TooLarge"> = (_, total) => total > limit ? Option.some("TooLarge") : Option.none()

const decode = (header: string, body: Uint8Array) => {
  const codings = Encoding.codings(header)
  return Option.isNone(codings)
    ? assert.fail(`${header} is not understood`)
    : Effect.result(Encoding.decode(body, codings.value, tooLarge))
}

const reasonOf = (result: Result.Result<Uint8Array, "TooLarge" | Encoding.MalformedEncoding>): string =>
  Result.isSuccess(result) ? "decoded" : result.failure === "TooLarge" ? "TooLarge" : result.failure._tag

const below = (bound: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: bound - 1 })))

const anyBytes = Arbitrary.array(below(256), { maxLength: 3000 }).pipe(Arbitrary.map((all) => Uint8Array.from(all)))

const chosen = (index: number) => encoders[index] ?? encoders[0]

describe("a content coding", () => {
  it.effect.prop(
    "is undone, in whatever order several were applied",
    [anyBytes, Arbitrary.array(below(encoders.length), { maxLength: 3 })],
    ([body, indices]) =>
      Effect.gen(function*() {
        const applied = indices.map(chosen)
        const coded = applied.reduce<Uint8Array>((bytes, [, encode]) => encode(bytes), body)
        const decoded = yield* decode(applied.map(([name]) => name).join(", "), coded)
        assert.deepStrictEqual(Result.isSuccess(decoded) && [...decoded.success], [...body])
      }),
    { arbitrary: { runs: 100 } }
  )

  it.effect.prop(
    "is malformed where the body ends too early, wherever that is",
    [anyBytes, below(encoders.length - 1), below(10_000)],
    ([body, index, cut]) =>
      Effect.gen(function*() {
        const [name, encode] = chosen(index)
        const coded = encode(body)
        const result = yield* decode(name, coded.subarray(0, cut % coded.length))
        assert.strictEqual(reasonOf(result), "MalformedEncoding")
      }),
    { arbitrary: { runs: 200 } }
  )

  it.effect.prop(
    "of any bytes at all is decoded or malformed, and ends",
    [anyBytes, Arbitrary.array(below(encoders.length), { maxLength: 3 })],
    ([body, indices]) =>
      Effect.gen(function*() {
        const result = yield* decode(indices.map((index) => chosen(index)[0]).join(","), body)
        assert.include(["decoded", "MalformedEncoding"], reasonOf(result))
      }),
    { arbitrary: { runs: 300 } }
  )

  it.effect("that swells a body is given up while it swells", () =>
    Effect.gen(function*() {
      const bomb = new Uint8Array(200_000_000)
      for (const [name, encode] of [["gzip", gzipSync], ["br", brotli], ["deflate", deflateSync]] as const) {
        const coded = encode(bomb)
        assert.isBelow(coded.length, bomb.length / 900)
        let seen = 0
        const codings = Option.getOrThrow(Encoding.codings(name))
        const result = yield* Effect.result(Encoding.decode(coded, codings, (length, total) => {
          seen = total
          return tooLarge(length, total)
        }))
        assert.strictEqual(reasonOf(result), "TooLarge")
        assert.isAtMost(seen, limit + 65_536)
      }
      const layered = gzipSync(gzipSync(bomb))
      assert.strictEqual(reasonOf(yield* decode("gzip, gzip", layered)), "TooLarge")
    }))

  it("is understood by its name alone, in whatever case, and at most three times", () => {
    assert.deepStrictEqual(Encoding.codings(undefined), Option.some([]))
    assert.deepStrictEqual(Encoding.codings(" identity ,, "), Option.some([]))
    assert.deepStrictEqual(Encoding.codings("GZIP, br"), Option.some(["br", "gzip"]))
    for (
      const header of ["zstd", "compress", "gzip;q=1", "gzip br", "chunked", "*", "gzip,gzip,gzip,gzip", "__proto__"]
    ) {
      assert.isTrue(Option.isNone(Encoding.codings(header)), header)
    }
  })
})

const stored = Effect.gen(function*() {
  const inbox = yield* Inbox.Inbox
  const listed = yield* inbox.list({ scope: Tenant.all, status: Option.none(), limit: 1000 })
  const found = yield* Effect.forEach(listed, ({ id }) => inbox.get(Tenant.all, id))
  return found.map((webhook) => Signing.textOf(Option.getOrThrow(webhook).body))
})

const coded = (request: Webhook.Request, name: string, encode: (body: Uint8Array) => Uint8Array): Webhook.Request => ({
  headers: { ...request.headers, "content-encoding": name },
  body: encode(request.body)
})

describe("a coded body over HTTP", () => {
  const layer = Edge.layer({ storage: Edge.memory, routes: { maxBodySize: limit } })

  const live = (name: string, body: Effect.Effect<unknown, unknown, Layer.Success<typeof layer>>) =>
    it.live(name, () => Effect.provide(body, layer, { local: true }), 60_000)

  live(
    "is verified, stored and read as what it was before, of every provider and in every coding",
    Effect.gen(function*() {
      const sent: Array<string> = []
      let n = 0
      for (const { provider } of Signing.senders) {
        for (const [name, encode] of encoders) {
          for (const request of yield* Edge.signed(provider, Edge.report("delivered", n++))) {
            const reply = yield* Edge.post(`/webhooks/${provider}`, coded(request, name, encode))
            assert.deepStrictEqual([reply.status, reply.text], [200, "orphan"], `${provider} ${name}`)
            sent.push(Signing.textOf(request.body))
          }
        }
      }
      assert.sameMembers(yield* stored, sent)
      assert.lengthOf(yield* Edge.orphans(), n)
    })
  )

  live(
    "is refused where the coded bytes were signed and not what they decode to",
    Effect.gen(function*() {
      const now = yield* DateTime.now
      for (const name of ["sendgrid", "resend"]) {
        const { provider } = Edge.sender(name)
        const body = gzipSync("[]")
        const signed = Signing.sign(provider, body, now)
        const reply = yield* Edge.post(`/webhooks/${name}`, coded(signed, "gzip", (body) => body))
        assert.deepStrictEqual([reply.status, reply.text], [401, "refused"])
      }
      assert.deepStrictEqual(yield* stored, [])
    })
  )

  live(
    "is answered 413 where it swells beyond the limit, 400 where it is malformed and 415 in a coding that is not known",
    Effect.gen(function*() {
      const bomb = Signing.bytes("[".concat(" ".repeat(50_000_000), "]"))
      const swelling = ([["gzip", gzipSync], ["br", brotli], ["deflate", deflateRawSync]] as const).map(
        ([name, encode]) => [name, encode(bomb), encode(Signing.bytes("[]"))] as const
      )
      for (const { provider } of Signing.senders) {
        const now = yield* DateTime.now
        const post = (name: string, body: Uint8Array) => {
          const { headers } = Signing.sign(provider, Signing.bytes("[]"), now)
          return Edge.post(`/webhooks/${provider}`, { headers: { ...headers, "content-encoding": name }, body })
        }
        for (const [name, large, whole] of swelling) {
          const swollen = yield* post(name, large)
          assert.deepStrictEqual([swollen.status, swollen.text], [413, "too_large"])
          const broken = yield* post(name, whole.subarray(0, whole.length - 1))
          assert.deepStrictEqual([broken.status, broken.text], [400, "malformed_encoding"])
        }
        for (const name of ["zstd", "compress", "gzip, aes128gcm", "gzip,gzip,gzip,gzip"]) {
          const unknown = yield* post(name, gzipSync("[]"))
          assert.deepStrictEqual([unknown.status, unknown.text], [415, "unsupported_encoding"])
          assert.strictEqual(unknown.headers.get("accept-encoding"), "gzip, br, deflate")
        }
      }
      assert.deepStrictEqual(yield* stored, [])
    })
  )

  live(
    "of any bytes in any coding never hangs and never gets a 5xx, and what is accepted is kept as it was before",
    Effect.gen(function*() {
      const accepted: Array<string> = []
      let state = randomInt(2 ** 31)
      const seed = state
      const next = (below: number) => (state = (state * 48_271 + 11) % 2_147_483_647) % below
      const spoilt = (body: Uint8Array): Uint8Array => {
        const changed = Uint8Array.from(body)
        for (let left = next(3); left > 0; left--) changed[next(changed.length)] = next(256)
        return next(4) === 0 ? changed.subarray(0, next(changed.length)) : changed
      }
      for (let n = 0; n < 400; n++) {
        const { provider } = Signing.senders[n % Signing.senders.length] ?? assert.fail("there are no senders")
        const [request = assert.fail("there is no request")] = yield* Edge.signed(provider, Edge.report("delivered", n))
        const [name, encode] = chosen(next(encoders.length))
        const sentAs = next(5) === 0 ? chosen(next(encoders.length))[0] : name
        const coding = sentAs === name && next(10) === 0 ? `${name}, zstd` : sentAs
        const { status, text } = yield* Edge.post(
          `/webhooks/${provider}`,
          coded(request, coding, (body) => spoilt(encode(body)))
        )
        assert.include([200, 400, 401, 406, 413, 415], status, `${text}, seed ${seed}, ${n}`)
        if (status === 200 && Signing.isSignedWhole(provider)) {
          accepted.push(Signing.textOf(request.body))
        }
      }
      assert.includeMembers(yield* stored, accepted)
      assert.isNotEmpty(accepted)
    })
  )

  live(
    "counts as large as what it decodes to",
    Effect.gen(function*() {
      const now = yield* DateTime.now
      const { provider } = Edge.sender("postmark")
      const post = (length: number) =>
        Edge.post(
          "/webhooks/postmark",
          coded(Signing.sign(provider, Signing.bytes(" ".repeat(length)), now), "gzip", gzipSync)
        )
      assert.strictEqual((yield* post(limit)).status, 200)
      assert.strictEqual((yield* post(limit + 1)).status, 413)
    })
  )
})
