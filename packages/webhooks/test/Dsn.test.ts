/** Reads what mail servers report by mail: delivery status notifications and complaints. */
import { assert, describe, it } from "@effect/vitest"
import { Dsn, Row, Webhook } from "@waybill/webhooks"
import { DateTime, Effect, Option } from "effect"
import { bytes, only, receivedAt, summary } from "./Reading.ts"

const read = (mail: string) =>
  Effect.map(Row.read(Dsn.row, { headers: {}, body: bytes(mail), receivedAt }), Webhook.join)

const events = (mail: string) => Effect.map(read(mail), ({ events }) => events.map(summary))

const report = (
  type: string,
  lines: ReadonlyArray<string>,
  original: ReadonlyArray<string>,
  head = "<r-1@mx.example>"
) =>
  [
    "From: MAILER-DAEMON@mx.example",
    `Message-ID: ${head}`,
    "Date: Fri, 20 Nov 2026 10:30:00 +0100 (CET)",
    "MIME-Version: 1.0",
    `Content-Type: multipart/report; report-type=${type}; boundary="b1"`,
    "",
    "--b1",
    "Content-Type: text/plain",
    "",
    "It could not be delivered to ada@reader.example.",
    "--b1",
    `Content-Type: message/${type}`,
    "",
    ...lines,
    "",
    "--b1",
    "Content-Type: message/rfc822",
    "",
    ...original,
    "",
    "Hello",
    "--b1--",
    ""
  ].join("\r\n")

const original = [
  "Message-ID: <m-1@shop.example>",
  "From: shop@shop.example",
  "To: \"Ada, of course\" <ada@reader.example>, bob@reader.example",
  "Subject: Your receipt"
]

const recipient = (fields: Readonly<Record<string, string>>) => [
  "",
  ...Object.entries({ "Final-Recipient": "rfc822; ada@reader.example", Action: "failed", Status: "5.1.1", ...fields })
    .map(([name, value]) => `${name}: ${value}`)
]

const dsn = (...recipients: ReadonlyArray<ReadonlyArray<string>>) =>
  report("delivery-status", ["Reporting-MTA: dns; mx.example", ...recipients.flat()], original)

describe("Dsn", () => {
  it.effect("reads an event for each recipient, with its diagnostic among the details", () =>
    Effect.gen(function*() {
      const mail = dsn(
        recipient({
          "Original-Recipient": "rfc822;Ada@reader.example",
          "Diagnostic-Code": "smtp; 550 5.1.1\r\n  no such user",
          "Last-Attempt-Date": "Fri, 20 Nov 2026 10:29:58 +0100",
          "Remote-MTA": "dns; mx.reader.example"
        }),
        recipient({ "Final-Recipient": "rfc822;bob@reader.example", Action: "delayed", Status: "4.4.1" })
      )
      const { events } = yield* read(mail)
      assert.deepStrictEqual(events.map(summary), [
        {
          type: "bounced",
          at: "2026-11-20T09:29:58.000Z",
          message: "m-1@shop.example",
          to: "Ada@reader.example",
          certain: true,
          reason: "bounced",
          bounce: "hard",
          eventId: undefined,
          delivery: undefined,
          payload: { event: "failed", status: "5.1.1", smtpStatus: 550 }
        },
        {
          type: "deferred",
          at: "2026-11-20T09:30:00.000Z",
          message: "m-1@shop.example",
          to: "bob@reader.example",
          certain: true,
          reason: undefined,
          bounce: undefined,
          eventId: undefined,
          delivery: undefined,
          payload: { event: "delayed", status: "4.4.1" }
        }
      ])
      assert.deepStrictEqual(Option.getOrUndefined(events[0]?.details ?? Option.none()), {
        response: "550 5.1.1 no such user",
        server: "mx.reader.example"
      })
    }))

  it.effect("tells how a delivery failed by its status", () =>
    Effect.gen(function*() {
      const cases = [
        ["5.1.1", "hard bounced"],
        ["5.1.3", "hard invalid"],
        ["5.2.1", "hard bounced"],
        ["5.2.2", "soft bounced"],
        ["5.4.7", "soft timed_out"],
        ["4.4.7", "soft timed_out"],
        ["5.7.1", "undetermined blocked"],
        ["5.0.0", "undetermined bounced"],
        ["none", "undetermined bounced"]
      ]
      for (const [status = "", expected] of cases) {
        const { bounce, reason } = only(yield* events(dsn(recipient({ Status: status }))))
        assert.strictEqual(`${bounce} ${reason}`, expected, status)
      }
      const actions = ["delivered", "relayed", "expanded", "unheard"]
      const read = yield* Effect.forEach(actions, (Action) => events(dsn(recipient({ Action, Status: "2.0.0" }))))
      assert.deepStrictEqual(read.flat().map(({ type }) => type), ["delivered", "delivered", "delivered", "unknown"])
    }))

  it.effect("is not certain of an address that the message was not sent to", () =>
    Effect.gen(function*() {
      const forwarded = only(yield* events(dsn(recipient({ "Final-Recipient": "rfc822; ada@elsewhere.example" }))))
      assert.deepStrictEqual(
        [forwarded.to, forwarded.certain, forwarded.payload],
        ["ada@elsewhere.example", false, { event: "failed", status: "5.1.1", otherRecipient: true }]
      )
      const named = only(
        yield* events(dsn(recipient({
          "Original-Recipient": "rfc822;ada@reader.example",
          "Final-Recipient": "rfc822;ada@elsewhere.example"
        })))
      )
      assert.deepStrictEqual([named.to, named.certain], ["ada@reader.example", true])
    }))

  it.effect("finds our delivery id in the envelope id and in a header of the message", () =>
    Effect.gen(function*() {
      const id = "0190f3e2-0000-7000-8000-00000000002a"
      const envelope = report("delivery-status", [`Original-Envelope-Id: ${id}`, ...recipient({})], [
        "To: ada@reader.example"
      ])
      const header = report("delivery-status", ["Reporting-MTA: dns; mx.example", ...recipient({})], [
        ...original,
        `X-Waybill-Delivery-ID: ${id}`
      ])
      for (const mail of [envelope, header]) assert.strictEqual(only(yield* events(mail)).delivery, id)
    }))

  it.effect("gives the same events for the same mail, and others for another", () =>
    Effect.gen(function*() {
      const keys = (mail: string) =>
        Effect.map(read(mail), ({ events }) => events.map(({ idempotencyKey }) => idempotencyKey))
      const mail = dsn(recipient({}), recipient({ "Final-Recipient": "rfc822;bob@reader.example" }))
      const once = yield* keys(mail)
      assert.strictEqual(new Set(once).size, 2)
      assert.deepStrictEqual(yield* keys(mail), once)
      const later = yield* keys(mail.replace("r-1@mx", "r-2@mx"))
      assert.strictEqual(new Set([...once, ...later]).size, 4)
    }))

  it.effect("reads complaints", () =>
    Effect.gen(function*() {
      const complaint = (lines: ReadonlyArray<string>) => report("feedback-report", [...lines, "Version: 1"], original)
      const named = only(yield* events(complaint(["Feedback-Type: abuse", "Original-Rcpt-To: <ada@reader.example>"])))
      assert.deepStrictEqual(
        [named.type, named.to, named.certain, named.message, named.at],
        ["complained", "ada@reader.example", true, "m-1@shop.example", "2026-11-20T09:30:00.000Z"]
      )
      const silent = only(yield* events(complaint(["Feedback-Type: abuse", "User-Agent: Feedback/1.0"])))
      assert.deepStrictEqual([silent.type, silent.to, silent.certain], ["complained", "ada@reader.example", false])
      const types = yield* Effect.forEach(
        ["fraud", "virus", "opt-out", "not-spam", "other"],
        (kind) => events(complaint([`Feedback-Type: ${kind}`]))
      )
      assert.deepStrictEqual(types.flat().map(({ type }) => type), [
        "complained",
        "complained",
        "unsubscribed",
        "unknown",
        "unknown"
      ])
      assert.deepStrictEqual((yield* read(complaint(["Feedback-Type: auth-failure"]))).ignored, [
        { index: 0, kind: "auth-failure" }
      ])
    }))

  it.effect("ignores any other mail, and refuses one that is nested too deep", () =>
    Effect.gen(function*() {
      for (const mail of ["", "Subject: hello\r\n\r\nhello", "not a mail", "\u0000".repeat(100)]) {
        assert.deepStrictEqual(yield* read(mail), {
          events: [],
          undecodable: [],
          ignored: [{ index: 0, kind: "mail" }]
        })
      }
      const deep = Array.from(
        { length: 60 },
        (_, n) => `Content-Type: multipart/mixed; boundary=b${n}\r\n\r\n--b${n}\r\n`
      ).join("")
      const error = yield* Effect.flip(read(deep))
      assert.strictEqual(error.reason, "UnknownEnvelope")
    }))

  it.effect("reads the dates that mails have", () =>
    Effect.gen(function*() {
      const dates = [
        ["20 Nov 2026 09:30 GMT", "2026-11-20T09:30:00.000Z"],
        ["Fri, 20 Nov 26 04:30:00 EST", "2026-11-20T09:30:00.000Z"],
        ["Fri,  7 Nov 2026 9:05:01 -0000", "2026-11-07T09:05:01.000Z"],
        ["tomorrow", DateTime.formatIso(DateTime.makeUnsafe("2026-11-20T09:30:00Z"))]
      ]
      for (const [date = "", expected] of dates) {
        assert.strictEqual(only(yield* events(dsn(recipient({ "Last-Attempt-Date": date })))).at, expected, date)
      }
    }))
})
