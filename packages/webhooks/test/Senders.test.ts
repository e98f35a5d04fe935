import { assert, describe, it } from "@effect/vitest"
import { Event, type EventType, Input } from "@waybill/core"
import { Providers, Row, Webhook } from "@waybill/webhooks"
import { type Sender, Senders } from "@waybill/webhooks/testing"
import { DateTime, Effect, Exit, Option, Result, Schema } from "effect"
import { FetchHttpClient } from "effect/http"
import * as Forging from "./Forging.ts"
import { bytes, only, receivedAt, summary } from "./Reading.ts"
import * as Schemes from "./Schemes.ts"

const senders = await Effect.runPromise(Senders.generate)

/** The rows that believe these senders. */
const rows = await Effect.runPromise(
  Effect.forEach(senders.rows, (row) => Row.open(row)).pipe(Effect.provide(FetchHttpClient.layer))
)

const cases = senders.all.map((sender) => ({
  name: sender.provider,
  sender,
  provider: rows.find(({ name }) => name === sender.provider) ?? assert.fail(`there is no row ${sender.provider}`)
}))

const deliveryId = "0190f3e2-0000-7000-8000-00000000002a"

const report = (type: EventType.ReportedType, n: number): Sender.Report => ({
  type,
  messageId: `message-${n}`,
  recipient: `reader-${n}@reader.example`,
  at: DateTime.add(receivedAt, { seconds: -n }),
  eventId: `event-${n}`,
  deliveryId
})

const text = (request: Webhook.Request): string => new TextDecoder().decode(request.body)

const exit = (provider: Row.OpenRow, request: Webhook.Request, sender: Sender.Sender) =>
  Effect.exit(provider.schemes[0].verify({ ...request, secrets: Schemes.secretsOf(sender), receivedAt }))

/** All that a body says. */
const whole = (provider: Pick<Row.Row, "normalize" | "unpack">, received: Webhook.Received) =>
  Effect.result(Effect.map(Row.read(provider, received), Webhook.join))

/** The events of some requests. */
const eventsOf = (
  provider: Pick<Row.Row, "normalize" | "unpack">,
  requests: ReadonlyArray<Webhook.Request>,
  at = receivedAt
) =>
  Effect.map(
    Effect.forEach(requests, (request) => Row.read(provider, { ...request, receivedAt: at })),
    (pieces) => pieces.flatMap((each) => Webhook.join(each).events)
  )

const eventsField = "mandrill_events"

/** The JSON that a request has in it, and a body that normalizing reads with another one in its place. */
const contentOf = Effect.fnUntraced(function*(provider: Row.OpenRow, request: Webhook.Request) {
  const { unpack = Effect.succeed } = provider
  const inner = text(yield* unpack({ ...request, receivedAt }))
  const form = provider.name === "mandrill" ? new URLSearchParams(inner) : undefined
  const value: unknown = JSON.parse(form?.get(eventsField) ?? inner)
  const write = (value: unknown) => {
    const json = JSON.stringify(value)
    return bytes(form === undefined ? json : new URLSearchParams({ [eventsField]: json }).toString())
  }
  return { value, write }
})

/** The providers that do not say how hard a bounce is. */
const classless = new Set(["customerio"])

/** A whole number for a property to choose with. */
const choice = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 31 - 1 }))

/** Numbers that follow from a seed. */
const numbers = (seed: number) => {
  let state = seed
  return (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

const isText = (value: unknown): value is string => typeof value === "string"

const isRecord = Schema.is(Schema.Record(Schema.String, Schema.Unknown))

/** Ids are stored as they are. */
const ids = new Set([
  "ID",
  "eventId",
  "x-transaction-id",
  "request_id",
  "email_id",
  "smtp_id",
  "MessageID",
  "sg_event_id",
  "sg_message_id",
  "smtp-id",
  "email_id",
  "id",
  "message-id",
  "messageId",
  "feedbackId",
  "_id",
  "event_id",
  "message_id",
  "transmission_id",
  "uuid",
  "job_id",
  "delivery_id",
  "original-envelope-id"
])

/** Every value that differs from a JSON value by one text in it. */
const replaced = (value: unknown, by: string): ReadonlyArray<unknown> => {
  if (isText(value)) {
    if (!value.startsWith("{")) return [by]
    return replaced(JSON.parse(value), by).map((inner) => JSON.stringify(inner))
  }
  if (Array.isArray(value)) {
    return value.flatMap((item, index) => replaced(item, by).map((other) => value.with(index, other)))
  }
  if (!isRecord(value)) return []
  return Object.entries(value).flatMap(([key, inner]) =>
    ids.has(key) ? [] : replaced(inner, by).map((other) => Object.assign({}, value, { [key]: other }))
  )
}

const encode = Schema.encodeSync(Schema.fromJsonString(Schema.toCodecJson(Event.NewEvent)))

/** The half of an event that is kept for good, without the recipient, of whom a digest is kept. */
const inLedger = (event: Event.NewEvent): string =>
  encode({ ...event, recipient: Option.none(), details: Option.none() })

const odd: ReadonlyArray<unknown> = [
  null,
  true,
  0,
  -1.5,
  1e308,
  "",
  " ",
  "\u0000",
  "\ud800",
  "x".repeat(2000),
  "Ada <ada@reader.example>",
  "a@b, c@d",
  "<>",
  "99999-99-99T99:99:99Z",
  "-0001-01-01T00:00:00Z",
  [],
  {},
  [[]],
  { __proto__: null, toString: 7 },
  ["x", null, { a: [1] }]
]

/** A JSON value with one of its parts made odd. */
const odder = (value: unknown, next: (below: number) => number): unknown => {
  if (next(6) === 0) return odd[next(odd.length)]
  if (Array.isArray(value) && value.length > 0) {
    const index = next(value.length)
    return value.with(index, odder(value[index], next))
  }
  if (isRecord(value)) {
    const keys = Object.keys(value)
    const key = keys[next(keys.length)] ?? "type"
    if (next(10) === 0) return { ...value, [odd.filter(isText)[next(5)] ?? "x"]: value[key] }
    return { ...value, [key]: odder(value[key], next) }
  }
  if (isText(value) && value.startsWith("{")) return JSON.stringify(odder(JSON.parse(value), next))
  return odd[next(odd.length)]
}

const parsed: (text: string) => Option.Option<unknown> = Option.liftThrowable((text) => JSON.parse(text))

const mutated = (request: Webhook.Request, next: (below: number) => number): Webhook.Request => {
  const names = Object.keys(request.headers)
  const name = names[next(names.length)] ?? ""
  const { [name]: _, ...without } = request.headers
  const headers = [request.headers, without, { ...without, [name]: odd.filter(isText)[next(7)] ?? "" }][next(3)] ?? {}
  switch (next(4)) {
    case 0: {
      const value = parsed(text(request))
      return { headers, body: bytes(Option.isSome(value) ? JSON.stringify(odder(value.value, next)) : "{") }
    }
    case 1:
      return { headers, body: request.body.slice(next(request.body.length), next(request.body.length) + 1) }
    case 2: {
      const body = request.body.slice()
      for (let changes = next(8); changes >= 0; changes--) body[next(body.length)] = next(256)
      return { headers, body }
    }
    default: {
      const body = text(request)
      const at = next(body.length)
      return { headers, body: bytes(`${body.slice(0, at)}${JSON.stringify(odd[next(odd.length)])}${body.slice(at)}`) }
    }
  }
}

it("there is a sender of every provider, and no other", () => {
  assert.deepStrictEqual(senders.all.map(({ provider }) => provider), Providers.all.map(({ name }) => name))
  assert.deepStrictEqual(senders.rows.map(({ name }) => name), senders.all.map(({ provider }) => provider))
})

describe.each(cases)("$name", ({ provider, sender }) => {
  it.effect("accepts what the sender signs and reads what it reports", () =>
    Effect.gen(function*() {
      for (const [n, type] of sender.types.entries()) {
        const request = only(sender.send([report(type, n)], receivedAt))
        assert.isTrue(Exit.isSuccess(yield* exit(provider, request, sender)))
        const event = only(yield* eventsOf(provider, [request]))
        const { at, delivery, message, to, type: read } = summary(event)
        assert.deepStrictEqual({ at, delivery, message, to, read }, {
          at: DateTime.formatIso(report(type, n).at),
          delivery: provider.composer.echoes === false ? undefined : deliveryId,
          message: `message-${n}`,
          to: `reader-${n}@reader.example`,
          read: type
        })
        const bounceClass = classless.has(provider.name) ? "undetermined" : "hard"
        if (type === "bounced") assert.strictEqual(Option.getOrUndefined(event.bounceClass), bounceClass)
      }
    }))

  it.effect("reads a word that no receiver knows as unknown", () =>
    Effect.gen(function*() {
      const events = yield* eventsOf(provider, sender.send([report("suppressed", 1)], receivedAt))
      assert.deepStrictEqual(events.map(({ type }) => type), ["unknown"])
    }))

  it.effect.prop(
    "refuses a request of which one covered bit was changed",
    [choice, choice],
    ([index, n]) =>
      Effect.gen(function*() {
        const request = only(sender.send([report("delivered", 1)], receivedAt))
        for (const forged of Forging.forge(provider, request, index, n % 7)) {
          const refused = yield* exit(provider, forged, sender)
          assert.isTrue(Exit.isFailure(refused))
        }
      }),
    { arbitrary: { runs: 200 } }
  )

  it.effect.prop(
    "gives one key to one event, however often and in whatever order and batch it comes, and to no other",
    [Schema.Array(choice).check(Schema.isMaxLength(8))],
    ([chosen]) =>
      Effect.gen(function*() {
        const reports = [...new Set(chosen)].map((n) =>
          report(sender.types[n % sender.types.length] ?? "delivered", n % 1_000_000)
        )
        const distinct = [...new Map(reports.map((each) => [each.eventId, each])).values()]
        const keysOf = (requests: ReadonlyArray<Webhook.Request>) =>
          Effect.map(
            eventsOf(provider, requests),
            (events) => events.map(({ idempotencyKey }) => idempotencyKey)
          )
        const once = yield* keysOf(sender.send(distinct, receivedAt))
        const later = DateTime.add(receivedAt, { hours: 2 })
        const again = yield* keysOf(distinct.toReversed().flatMap((each) => sender.send([each], later)))
        assert.deepStrictEqual(again.toReversed(), once)
        assert.strictEqual(new Set(once).size, distinct.length)
      })
  )

  it.effect("says the same of an event at every attempt", () =>
    Effect.gen(function*() {
      for (const type of sender.types) {
        const read = (sentAt: DateTime.Utc) => eventsOf(provider, sender.send([report(type, 1)], sentAt), sentAt)
        assert.deepStrictEqual(yield* read(DateTime.add(receivedAt, { hours: 2 })), yield* read(receivedAt))
      }
    }))

  it.effect("keeps no address, subject, text or link in the ledger", () =>
    Effect.gen(function*() {
      for (const type of sender.types) {
        for (const event of yield* eventsOf(provider, sender.send([report(type, 1)], receivedAt))) {
          const stored = inLedger(event)
          for (const secret of ["reader", "shop", "receipt", "mailbox", "http", "192.0.2"]) {
            assert.notInclude(stored, secret)
          }
        }
      }
    }))

  it.effect("keeps no address in the ledger that stands in any other field", () =>
    Effect.gen(function*() {
      for (const type of sender.types) {
        for (const request of sender.send([report(type, 1)], receivedAt)) {
          const { value, write } = yield* contentOf(provider, request)
          for (const other of replaced(value, "Leak <leak@secret.example>")) {
            const result = provider.normalize({ headers: {}, body: write(other), receivedAt })
            if (Result.isFailure(result)) continue
            const { events, ignored } = Webhook.join(result.success)
            for (const event of events) assert.notInclude(inLedger(event), "leak")
            assert.notInclude(JSON.stringify(ignored), "leak")
          }
        }
      }
    }))

  it.effect.prop("never throws and gives nothing that cannot be stored", [choice], ([seed]) =>
    Effect.gen(function*() {
      const next = numbers(seed)
      const type = sender.types[next(sender.types.length)] ?? "delivered"
      for (const good of sender.send([report(type, 1), report("delivered", 2)], receivedAt)) {
        const request = mutated(good, next)
        const verified = yield* exit(provider, request, sender)
        assert.isFalse(Exit.hasDies(verified))
        const result = yield* whole(provider, { ...request, receivedAt })
        if (Result.isFailure(result)) continue
        for (const event of result.success.events) assert.isTrue(Result.isSuccess(Input.event(event)))
      }
    }), { arbitrary: { runs: 3000 }, timeout: 60_000 })

  it.effect("survives bodies that are large or deep", () =>
    Effect.gen(function*() {
      const deep = (n: number) => `${`{"a":[`.repeat(n)}${"]}".repeat(n)}`
      const bodies = [
        "",
        "[".repeat(200_000),
        deep(100_000),
        `[{"event":"open","more":${deep(100_000)}}]`,
        `{"RecordType":"Open","type":"email.opened","Type":"Notification","more":${deep(100_000)}}`,
        `{"event-data":{"event":"opened","more":${deep(100_000)}}}`,
        JSON.stringify({ Type: "Notification", Message: `{"eventType":"Open","more":${deep(50_000)}}` }),
        `"1234567890123456${"\\\"".repeat(200_000)}`,
        `{"event-data":{"event":"rejected","message":{"headers":{"to":"${",".repeat(500_000)}"}}}}`,
        `--\r\n${"a=".repeat(200_000)}`
      ]
      for (const body of bodies) {
        const result = yield* whole(provider, { headers: {}, body: bytes(body), receivedAt })
        assert.isTrue(Result.isSuccess(result) || Result.isFailure(result))
      }
    }), 60_000)
})
