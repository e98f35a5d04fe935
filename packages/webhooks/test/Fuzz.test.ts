import { assert, describe, it } from "@effect/vitest"
import type { Provider } from "@waybill/core"
import { Inbox, Tenant } from "@waybill/core"
import { SnsCertificates, type Webhook } from "@waybill/webhooks"
import { SesSender } from "@waybill/webhooks/testing"
import { DateTime, Effect, Layer, Option } from "effect"
import { randomInt } from "node:crypto"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as Edge from "./Edge.ts"
import * as Signing from "./Signing.ts"

/** How many requests a provider gets; a run of 20,000 takes some minutes. */
const runs = Number(process.env["WAYBILL_FUZZ_RUNS"] ?? 500)

const seed = Number(process.env["WAYBILL_FUZZ_SEED"] ?? randomInt(2 ** 31))

/** Requests that one server gets before it is replaced, so that what it keeps is bounded. */
const perServer = 500

const concurrency = 8

const hangMillis = 20_000

/** Whole numbers below a bound, the same for the same seed (mulberry32). */
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

const odd: readonly [string, ...ReadonlyArray<string>] = [
  "null",
  "true",
  "0",
  "-0",
  "-1.5",
  "1e309",
  "4323372036854775807",
  "99999999999999999999999999",
  "\"\"",
  "\" \"",
  "\"\\u0000\"",
  "\"\\ud800\"",
  "\"99999-99-99T99:99:99Z\"",
  "\"0000-00-00T00:00:00Z\"",
  "\"<a@b.example>, \\\"c, d\\\" <e@f.example>\"",
  "[]",
  "{}",
  "[[[]]]",
  "{\"__proto__\":{\"x\":1},\"constructor\":7,\"toString\":null}",
  ",",
  "\"",
  "\\",
  "\r\n",
  "\u0000",
  "\ufeff",
  "é",
  "[".repeat(5000),
  `${"{\"a\":".repeat(2000)}1${"}".repeat(2000)}`,
  `"${"x".repeat(70_000)}"`,
  `"${"\\\"".repeat(3000)}"`
]

/** Where the values of a JSON text begin and end, as far as that can be told without reading it. */
const values = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null/g

const withOddValue = (next: Next, text: string): string => {
  const found = [...text.matchAll(values)]
  const match = found[next(found.length + 1)]
  if (match === undefined) return `${text}${pick(next, odd)}`
  return `${text.slice(0, match.index)}${pick(next, odd)}${text.slice(match.index + match[0].length)}`
}

const mutate = (next: Next, body: Uint8Array): Uint8Array => {
  if (body.length === 0) return Signing.bytes(pick(next, odd))
  switch (next(7)) {
    case 0:
      return body
    case 1: {
      const changed = body.slice()
      for (let left = next(16); left >= 0; left--) changed[next(changed.length)] = next(256)
      return changed
    }
    case 2:
      return body.slice(0, next(body.length))
    case 3:
      return Buffer.concat([body.subarray(0, next(body.length)), body.subarray(next(body.length))])
    case 4: {
      let text = Signing.textOf(body)
      for (let left = next(4); left >= 0; left--) text = withOddValue(next, text)
      return Signing.bytes(text)
    }
    case 5: {
      const at = next(body.length)
      return Buffer.concat([body.subarray(0, at), Signing.bytes(pick(next, odd)), body.subarray(at)])
    }
    default:
      return Uint8Array.from({ length: next(2000) }, () => next(256))
  }
}

/** A value that a header may have. */
const headerValue = (next: Next, value: string): string => {
  switch (next(4)) {
    case 0:
      return ""
    case 1:
      return value.slice(0, next(value.length + 1))
    case 2:
      return `${value} ${value}`
    default: {
      const at = next(value.length + 1)
      return `${value.slice(0, at)}${String.fromCharCode(pick(next, [0x20, 0x2c, 0x3d, 0x7e, 0xa1, 0xff]))}${
        value.slice(at + 1)
      }`
    }
  }
}

const mutateHeaders = (next: Next, headers: Webhook.Request["headers"]): Webhook.Request["headers"] => {
  const names = Object.keys(headers)
  const name = names[next(names.length + 2)]
  if (name === undefined) return headers
  const { [name]: value = "", ...others } = headers
  return next(3) === 0 ? others : { ...others, [name]: headerValue(next, value) }
}

/** What a provider signs, without the envelope in which it puts the signature. */
const content = (provider: Provider.Provider, { body }: Webhook.Request): Uint8Array => {
  const text = Signing.textOf(body)
  if (provider === "ses" || provider === "scaleway") return Signing.bytes(JSON.parse(text).Message)
  return provider === "mailgun" ? Signing.bytes(JSON.stringify(JSON.parse(text)["event-data"])) : body
}

const generate = (next: Next, provider: Provider.Provider, index: number, now: DateTime.Utc): Webhook.Request => {
  const { send, types } = Edge.sender(provider)
  const reports = Array.from(
    { length: 1 + next(3) },
    (_, item) => Edge.report(types[next(types.length)] ?? "delivered", index * 3 + item)
  )
  const request = send(reports, now)[0] ?? assert.fail("there is no request")
  if (provider === "mailgun" && next(4) === 0) {
    const event = pick(next, ["delivered", "bounced", "dropped", "opened", "unheard"])
    const fields = `event=${event}&recipient=reader-${index}@reader.example&Message-Id=%3Cmessage-${index}%3E&code=550`
    return Signing.signForm(mutate(next, Signing.bytes(fields)), now)
  }
  return next(2) === 0
    ? Signing.sign(provider, mutate(next, content(provider, request)), now)
    : { headers: mutateHeaders(next, request.headers), body: mutate(next, request.body) }
}

const collect = () => {
  setFlagsFromString("--expose-gc")
  runInNewContext("gc")()
  return Math.round(process.memoryUsage().heapUsed / 2 ** 20)
}

const hex = (body: Uint8Array): string => Buffer.from(body).toString("base64")

/** Which certificate a request names is its own word; here each is there, so that a good signature is what counts. */
const certificates = Layer.effect(
  SnsCertificates.SnsCertificates,
  Effect.map(
    SnsCertificates.SnsCertificates,
    ({ get }) => SnsCertificates.SnsCertificates.of({ get: () => get(SesSender.certificateUrl) })
  )
).pipe(Layer.provide(Signing.certificates))

interface Tally {
  readonly statuses: Record<string, number>
  readonly accepted: Set<string>
}

const shoot = Effect.fnUntraced(function*(provider: Provider.Provider, request: Webhook.Request, tally: Tally) {
  const at = yield* Edge.port
  const init = {
    method: "POST",
    headers: request.headers,
    body: new Uint8Array(request.body),
    signal: AbortSignal.timeout(hangMillis)
  }
  const { status, text } = yield* Effect.promise(async () => {
    const response = await fetch(`http://127.0.0.1:${at}/webhooks/${provider}`, init)
    return { status: response.status, text: await response.text() }
  })
  assert.isBelow(status, 500, `${text} to ${JSON.stringify({ headers: request.headers, body: hex(request.body) })}`)
  const kind = `${status} ${text}`
  tally.statuses[kind] = (tally.statuses[kind] ?? 0) + 1
  if (status === 200) tally.accepted.add(hex(request.body))
})

/** All bodies that the inbox has; none was too much for the ledger. */
const kept = Effect.gen(function*() {
  const inbox = yield* Inbox.Inbox
  const listed = yield* inbox.list({ scope: Tenant.all, status: Option.none(), limit: 10_000 })
  for (const { lastError } of listed) {
    assert.notMatch(Option.getOrElse(lastError, () => ""), /died|cannot be stored|not available/)
  }
  const found = yield* Effect.forEach(listed, ({ id }) => inbox.get(Tenant.all, id))
  return found.map((webhook) => hex(Option.getOrThrow(webhook).body))
})

const storages = [["memory", Edge.memory, runs], ["PostgreSQL", Edge.postgres, Math.ceil(runs / 5)]] as const

for (const [storage, layer, runs] of storages) {
  describe(`Generated and mutated webhooks to ${storage} (WAYBILL_FUZZ_SEED=${seed}, ${runs} a provider)`, () => {
    for (const { provider } of Signing.senders) {
      it.live(`of ${provider} never hang, never get a 5xx, and what is accepted is kept`, () =>
        Effect.gen(function*() {
          const next = numbers(seed)
          const heaps: Array<number> = []
          const statuses: Record<string, number> = {}
          for (let done = 0; done < runs; done += perServer) {
            const count = Math.min(perServer, runs - done)
            yield* Effect.gen(function*() {
              const tally: Tally = { statuses, accepted: new Set() }
              const now = yield* DateTime.now
              const requests = Array.from({ length: count }, (_, index) => generate(next, provider, done + index, now))
              yield* Effect.forEach(requests, (request) => shoot(provider, request, tally), {
                concurrency,
                discard: true
              })
              const bodies = yield* kept
              assert.sameMembers([...new Set(bodies)], [...tally.accepted])
            }).pipe(Effect.provide(Edge.layer({ storage: layer, certificates }), { local: true }))
            heaps.push(collect())
          }
          const figures = Object.entries(statuses).map(([kind, count]) => `${kind}: ${count}`).join(", ")
          yield* Effect.sync(() =>
            process.stdout.write(
              `${storage}: ${provider} ${figures}; heap in MB ${heaps[1] ?? heaps[0]} … ${heaps.at(-1)}\n`
            )
          )
          assert.isBelow((heaps.at(-1) ?? 0) - (heaps[1] ?? 0), heaps.length > 2 ? 32 : Infinity)
          assert.isDefined(Object.keys(statuses).find((kind) => kind.startsWith("200 ")))
          assert.isDefined(Object.keys(statuses).find((kind) => kind.endsWith("refused")))
        }), 60_000 + runs * 100)
    }
  })
}
