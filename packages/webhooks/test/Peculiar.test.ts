/** Tries what is peculiar to one provider: how it tries an address, how it writes times and numbers, how it signs. */
import { assert, describe, it } from "@effect/vitest"
import type { Inbox } from "@waybill/core"
import {
  Brevo,
  Lettermint,
  Loops,
  MailChannels,
  Mailjet,
  Mailtrap,
  Mandrill,
  Postal,
  type Row,
  Secrets,
  SparkPost,
  Unisender,
  UseSend
} from "@waybill/webhooks"
import { DateTime, Effect, Redacted, Result } from "effect"
import type { HttpServer } from "effect/http"
import { createHash, generateKeyPairSync } from "node:crypto"
import * as Edge from "./Edge.ts"
import { bytes, event, events, normalized, received, receivedAt } from "./Reading.ts"
import * as Schemes from "./Schemes.ts"
import * as Signing from "./Signing.ts"

const json = (value: unknown): string => JSON.stringify(value)

const live = (test: string, effect: Effect.Effect<void, unknown, HttpServer.HttpServer | Inbox.Inbox>) =>
  it.live(test, () => effect.pipe(Effect.provide(Edge.layer({ storage: Edge.memory }), { local: true })), 30_000)

/** What each posts to try an endpoint, signed as its events are. */
const trials: ReadonlyArray<readonly [row: Row.Row, body: unknown]> = [
  [SparkPost.row, [{ msys: {} }]],
  [MailChannels.row, [{ customer_handle: "waybilltest", event: "test", email: "test@mailchannels.com", timestamp: 1 }]],
  [Loops.row, { eventName: "testing.testEvent", eventTime: 1_795_000_000, webhookSchemaVersion: "1.0.0" }],
  [UseSend.row, { id: "call_1", type: "webhook.test", data: { test: true, webhookId: "wh_1" } }],
  [Lettermint.row, { id: "d1", event: "webhook.test", timestamp: "2026-11-18T10:00:00Z", data: {} }],
  [Mailtrap.row, { events: [] }],
  [Brevo.row, []]
]

describe("What only tries an endpoint", () => {
  live(
    "is answered 200 where it is signed, and makes no event",
    Effect.gen(function*() {
      const now = yield* DateTime.now
      for (const [{ name }, body] of trials) {
        const reply = yield* Edge.post(`/webhooks/${name}`, Signing.sign(name, bytes(json(body)), now))
        assert.deepStrictEqual([name, reply.status, reply.text], [name, 200, "not_mail"])
        const forged = yield* Edge.post(`/webhooks/${name}`, { headers: {}, body: bytes(json(body)) })
        assert.deepStrictEqual([forged.status, forged.text], [401, "refused"])
      }
    })
  )
})

describe("Brevo", () => {
  it("reads its times in milliseconds, in seconds and under a misspelt name", () => {
    const at = (fields: object) => event(Brevo.row, json({ event: "delivered", "message-id": "<m>", ...fields })).at
    const time = "2026-11-18T10:26:40.000Z"
    const seconds = DateTime.makeUnsafe(time).epochMilliseconds / 1000
    for (
      const fields of [
        { ts_epoch: seconds * 1000 },
        { ts_epoch: seconds },
        { ts_epoch: String(seconds) },
        { s_epoch: seconds * 1000 },
        { ts_event: seconds, ts: 1, date: "2020-10-09 00:00:00" }
      ]
    ) assert.strictEqual(at(fields), time)
    assert.strictEqual(at({ date: "2020-10-09 00:00:00" }), DateTime.formatIso(receivedAt))
  })

  it("reads one object as it reads an array", () => {
    const one = { event: "opened", email: "ada@reader.example", "message-id": "<m>", ts_epoch: 1_795_000_000_000 }
    assert.deepStrictEqual(events(Brevo.row, json(one)), events(Brevo.row, json([one])))
  })
})

describe("Mailjet", () => {
  it("keeps ids beyond 2^53 digit by digit, in whichever field", () => {
    const message = (fields: string) => event(Mailjet.row, `{"event":"sent","time":1498093527,${fields}}`).message
    assert.strictEqual(message("\"MessageID\":12345678901234567"), "12345678901234567")
    assert.strictEqual(message("\"mj_message_id\":\"12345678901234567\""), "12345678901234567")
  })
})

describe("SparkPost", () => {
  it("leaves out what repeats a first opening, pings and mail that came in", () => {
    const wrapped = [
      {},
      { track_event: { type: "initial_open" } },
      { track_event: { type: "amp_initial_open" } },
      { relay_message: { content: {} } }
    ].map((msys) => ({ msys }))
    assert.deepStrictEqual(normalized(SparkPost.row, received(json(wrapped))).ignored.map(({ kind }) => kind), [
      "ping",
      "initial_open",
      "amp_initial_open",
      "relay_message"
    ])
  })
})

describe("Mailtrap", () => {
  it("reads lines, of which one that is broken costs the others nothing", () => {
    const line = (n: number) => json({ event: "open", event_id: `e-${n}`, message_id: "m", timestamp: 1_795_000_000 })
    const whole = normalized(Mailtrap.row, received(`${line(1)}\r\n{"event":\n\n${line(2)}\n`))
    assert.deepStrictEqual([whole.events.length, whole.undecodable], [2, [{ index: 1, reason: "NotAnObject" }]])
    assert.deepStrictEqual(events(Mailtrap.row, line(1)), events(Mailtrap.row, json({ events: [JSON.parse(line(1))] })))
    assert.isTrue(Result.isFailure(Mailtrap.normalize(received("{\"event\":"))))
  })
})

describe("Mandrill", () => {
  const sender = Schemes.withSecret(Mandrill.row, Redacted.make("a key"))
  const verify = (request: Parameters<typeof Schemes.verify>[1]) => Effect.result(Schemes.verify(Mandrill.row, request))

  it.effect("signs the address as the public sees it", () =>
    Effect.gen(function*() {
      const url = "https://user:pass@hooks.example/webhooks/mandrill?a=b"
      const [request] = sender.send([Edge.report("sent", 1)], receivedAt, url)
      const attempt = (publicUrl: string, secret = "a key") =>
        verify({
          headers: {},
          body: bytes(""),
          ...request,
          publicUrl,
          receivedAt,
          secrets: ["old", secret].map((each) => Redacted.make(each))
        })
      assert.isTrue(Result.isSuccess(yield* attempt(url)))
      assert.isTrue(Result.isFailure(yield* attempt(url.replace("https", "http"))))
      assert.isTrue(Result.isFailure(yield* attempt(url, "another")))
    }))

  it("reads a form in parts as it reads one that is encoded", () => {
    const items = json([{ event: "send", _id: "m", ts: 1_461_095_246, msg: { email: "ada@reader.example" } }])
    const parts = `--b\r\nContent-Disposition: form-data; name="mandrill_events"\r\n\r\n${items}\r\n--b--\r\n`
    const encoded = new URLSearchParams({ mandrill_events: items }).toString()
    assert.deepStrictEqual(events(Mandrill.row, parts), events(Mandrill.row, encoded))
    assert.strictEqual(event(Mandrill.row, parts).at, "2016-04-19T19:47:26.000Z")
  })

  live(
    "may try the address, by HEAD and by a post without events, of which nothing is kept",
    Effect.gen(function*() {
      assert.strictEqual((yield* Edge.call("/webhooks/mandrill", { method: "HEAD" })).status, 200)
      const greeting = { headers: { "x-mandrill-signature": "x" }, body: bytes("mandrill_events=%5B%5D") }
      assert.strictEqual((yield* Edge.post("/webhooks/mandrill", greeting)).status, 200)
      const other = { ...greeting, body: bytes("mandrill_events=%5B%7B%7D%5D") }
      assert.strictEqual((yield* Edge.post("/webhooks/mandrill", other)).status, 401)
      assert.lengthOf(yield* Edge.webhooks(), 0)
    })
  )
})

describe("MailerSend", () => {
  live(
    "may try the address by a post that proves nothing else",
    Effect.gen(function*() {
      const post = (type: string) =>
        Edge.post("/webhooks/mailersend", { headers: { signature: "0".repeat(64) }, body: bytes(json({ type })) })
      assert.strictEqual((yield* post("webhook.test")).status, 200)
      assert.strictEqual((yield* post("activity.delivered")).status, 401)
      assert.lengthOf(yield* Edge.webhooks(), 0)
    })
  )
})

describe("Unisender", () => {
  const key = "api-key"

  const attempt = (row: Row.Row, body: string) =>
    Effect.result(
      Schemes.verify(row, { headers: {}, body: bytes(body), receivedAt, secrets: [Redacted.make(key)] })
    )

  it.effect("is signed over its own bytes, whatever letters and spaces they hold, and nothing behind them", () =>
    Effect.gen(function*() {
      const signed = (before: string, after: string) => {
        const auth = createHash("md5").update(`${before}${key}${after}`).digest("hex")
        return `${before}${auth}${after}`
      }
      const body = signed("{ \"name\":\"Привет\", \"auth\" : \"", "\", \"events_by_user\": []}\r\n")
      assert.isTrue(Result.isSuccess(yield* attempt(Unisender.row, body)))
      for (
        const other of [`${body} `, `${body}\u0080\u0000`, body.replace("[]", "[ ]"), body.replace("auth", "Auth")]
      ) {
        assert.isTrue(Result.isFailure(yield* attempt(Unisender.row, other)))
      }
    }))

  it("reads a time without a zone as UTC, and one event alone as in a batch", () => {
    const data = { job_id: "j", email: "ada@reader.example", status: "sent", event_time: "2026-11-18 19:27:17" }
    const alone = event(Unisender.row, json({ event_name: "transactional_email_status", ...data, auth: "x" }))
    assert.strictEqual(alone.at, "2026-11-18T19:27:17.000Z")
    const batch = { events_by_user: [{ events: [{ event_name: "transactional_email_status", event_data: data }] }] }
    assert.deepStrictEqual(event(Unisender.row, json(batch)), alone)
  })

  live(
    "may try the address by GET",
    Effect.gen(function*() {
      assert.strictEqual((yield* Edge.call("/webhooks/unisender", { method: "GET" })).status, 200)
      assert.strictEqual((yield* Edge.call("/webhooks/mailjet", { method: "GET" })).status, 405)
    })
  )
})

describe("Postal", () => {
  it.effect("is believed by the older signature alone, and by neither where one of both is wrong", () =>
    Effect.gen(function*() {
      const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 })
      const { privateKey: another } = generateKeyPairSync("rsa", { modulusLength: 2048 })
      const [sender, forger] = [privateKey, another].map((key) => Schemes.withKey(Postal.row, key))
      const [request, forged] = [sender, forger].map((each) => each?.send([Edge.report("delivered", 1)], receivedAt)[0])
      const secrets = sender === undefined ? [] : Schemes.secretsOf(sender)
      const { "x-postal-signature": older, "x-postal-signature-256": newer } = { ...request?.headers }
      const { "x-postal-signature": wrongOlder, "x-postal-signature-256": wrongNewer } = { ...forged?.headers }
      const isTaken = (headers: Readonly<Record<string, string | undefined>>) =>
        Effect.map(
          Effect.result(
            Schemes.verify(Postal.row, {
              headers: Object.fromEntries(
                Object.entries(headers).flatMap(([name, value]) => value === undefined ? [] : [[name, value]])
              ),
              body: request?.body ?? bytes(""),
              receivedAt,
              secrets
            })
          ),
          Result.isSuccess
        )
      const tried = [
        { "x-postal-signature": older },
        { "x-postal-signature-256": newer },
        { "x-postal-signature": older, "x-postal-signature-256": newer },
        { "x-postal-signature": wrongOlder, "x-postal-signature-256": newer },
        { "x-postal-signature": older, "x-postal-signature-256": wrongNewer },
        { "x-postal-signature-256": older },
        {}
      ]
      assert.deepStrictEqual(yield* Effect.forEach(tried, isTaken), [true, true, true, false, false, false, false])
    }))

  it("may have its key in PEM, or beside another", () => {
    const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 })
    const pem = publicKey.export({ format: "pem", type: "spki" }).toString()
    const base64 = publicKey.export({ format: "der", type: "spki" }).toString("base64")
    assert.deepStrictEqual(Secrets.parse(pem), [base64])
    assert.deepStrictEqual(Secrets.parse(`${base64},${base64}`), [base64, base64])
    assert.deepStrictEqual(Secrets.parse(pem.replaceAll("\n", "\\n")), [base64])
  })
})
