/** Moves what is signed across every boundary of a scheme: no request but the signed one is accepted. */
import { assert, describe, it } from "@effect/vitest"
import { Mailgun, Postmark, Resend, SendGrid, Ses, SnsSignature, type Webhook } from "@waybill/webhooks"
import { SesSender } from "@waybill/webhooks/testing"
import { Arbitrary, Effect, Option, Redacted, Result, Schema } from "effect"
import { createHmac, createSign, generateKeyPairSync, randomBytes } from "node:crypto"
import * as Edge from "./Edge.ts"
import { bytes, only, receivedAt } from "./Reading.ts"
import * as Schemes from "./Schemes.ts"
import * as Signing from "./Signing.ts"

const report = {
  type: "delivered",
  messageId: "m-1",
  recipient: "ada@reader.example",
  at: receivedAt,
  eventId: "one"
} as const

const characters = (text: string) =>
  Arbitrary.array(Arbitrary.schema(Schema.Literals(text.split(""))), { minLength: 1, maxLength: 60 }).pipe(
    Arbitrary.map((all) => all.join(""))
  )

const hexadecimal = characters("0123456789abcdef")

const digits = characters("0123456789")

/** Every way to cut a text in two, each part possibly empty. */
const cuts = (text: string): ReadonlyArray<readonly [string, string]> =>
  Array.from({ length: text.length + 1 }, (_, at) => [text.slice(0, at), text.slice(at)])

describe("what is signed", () => {
  const key = randomBytes(16).toString("hex")

  const mailgun = (timestamp: unknown, token: string, signed: string) => {
    const signature = createHmac("sha256", key).update(signed).digest("hex")
    const body = JSON.stringify({ signature: { timestamp, token, signature }, "event-data": { event: "delivered" } })
    const form = new URLSearchParams({ event: "delivered", timestamp: String(timestamp), token, signature }).toString()
    const attempt = (text: string) =>
      Effect.result(Mailgun.verify({ headers: {}, body: bytes(text), receivedAt, secrets: [Redacted.make(key)] }))
    return Effect.all([attempt(body), attempt(form)])
  }

  it.effect.prop(
    "by Mailgun is one time and one token, wherever it is cut",
    [digits, hexadecimal],
    ([more, token]) =>
      Effect.gen(function*() {
        for (const own of [token, more, `${more}${token}`]) {
          const signed = `1772619970${own}`
          for (const [timestamp, rest] of cuts(signed)) {
            for (const time of [timestamp, ...timestamp === "" ? [] : [Number(timestamp)]]) {
              const results = yield* mailgun(time, rest, signed)
              for (const result of results) {
                const isOwn = String(time) === "1772619970" && rest === own
                assert.strictEqual(Result.isSuccess(result), isOwn, `${time} ${rest}`)
                if (Result.isSuccess(result)) assert.deepStrictEqual(result.success.token, Option.some(own))
              }
            }
          }
        }
      }),
    { arbitrary: { runs: 25 } }
  )

  it.effect("by Mailgun is refused with a time of any other form before the signature is looked at", () =>
    Effect.gen(function*() {
      for (
        const timestamp of ["", "177261997", "17726199700", "01772619970", "+772619970", "1772619970 ", "1772619970\n"]
      ) {
        const [json] = yield* mailgun(timestamp, "a".repeat(50), `${timestamp}${"a".repeat(50)}`)
        assert.strictEqual(Result.isFailure(json) && json.failure.reason, "MalformedSignature", timestamp)
      }
    }))

  const sendGrid = Schemes.withKey(SendGrid.row, generateKeyPairSync("ec", { namedCurve: "prime256v1" }).privateKey)

  it.effect("by SendGrid is one time and one body, wherever it is cut", () =>
    Effect.gen(function*() {
      const request = only(sendGrid.send([report], receivedAt))
      const header = "x-twilio-email-event-webhook-timestamp"
      const timestamp = request.headers[header] ?? assert.fail("there is no time")
      const signed = `${timestamp}${new TextDecoder().decode(request.body)}`
      for (const [time, body] of cuts(signed)) {
        const result = yield* Effect.result(
          SendGrid.verify({
            headers: { ...request.headers, [header]: time },
            body: bytes(body),
            receivedAt,
            secrets: Schemes.secretsOf(sendGrid)
          })
        )
        assert.strictEqual(Result.isSuccess(result), time === timestamp, time)
      }
    }))

  const svixSecret = Redacted.make(`whsec_${Buffer.alloc(24, 7).toString("base64")}`)

  it.effect.prop(
    "by Svix is one id, one time and one body, wherever it is cut",
    [characters("ab.0"), characters("ab.01")],
    ([id, tail]) =>
      Effect.gen(function*() {
        const timestamp = String(Math.floor(receivedAt.epochMilliseconds / 1000))
        const signed = `${id}.${timestamp}.${timestamp}.${tail}`
        const signature = createHmac("sha256", Buffer.alloc(24, 7)).update(signed).digest("base64")
        const dots = [...signed.matchAll(/\./g)].map(({ index }) => index)
        const accepted: Array<string> = []
        for (const first of dots) {
          for (const second of dots.filter((second) => second > first)) {
            const request: Webhook.Request = {
              headers: {
                "svix-id": signed.slice(0, first),
                "svix-timestamp": signed.slice(first + 1, second),
                "svix-signature": `v1,${signature}`
              },
              body: bytes(signed.slice(second + 1))
            }
            const result = yield* Effect.result(
              Schemes.verify(Resend.row, { ...request, receivedAt, secrets: [svixSecret] })
            )
            if (Result.isSuccess(result)) accepted.push(`${first} ${second}`)
          }
        }
        assert.isAtMost(accepted.length, 1)
        if (!id.includes(".")) assert.deepStrictEqual(accepted, [`${dots[0]} ${dots[1]}`])
      }),
    { arbitrary: { runs: 50 } }
  )

  it.effect("by Svix has a time in its one form", () =>
    Effect.gen(function*() {
      const request = only(Schemes.withSecret(Resend.row, svixSecret).send([report], receivedAt))
      for (const timestamp of ["0", "177261997", "17726199700", "01772619970"]) {
        const headers = { ...request.headers, "svix-timestamp": timestamp }
        const result = yield* Effect.result(
          Schemes.verify(Resend.row, { ...request, headers, receivedAt, secrets: [svixSecret] })
        )
        assert.strictEqual(Result.isFailure(result) && result.failure.reason, "MalformedSignature")
      }
    }))

  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 })

  const fields = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"] as const

  /** Every envelope that could have been signed as some lines, as far as the order of its fields goes. */
  const readings = (
    lines: ReadonlyArray<string>,
    names: ReadonlyArray<string>
  ): ReadonlyArray<Readonly<Record<string, string>>> => {
    const [name, ...others] = names
    if (name === undefined) return lines.length === 0 ? [{}] : []
    const without = name === "Subject" ? readings(lines, others) : []
    if (lines[0] !== name) return without
    const ends = Array.from({ length: lines.length - 1 }, (_, index) => index + 2)
    const within = ends.flatMap((end) =>
      readings(lines.slice(end), others).map((rest) =>
        Object.assign({}, rest, { [name]: lines.slice(1, end).join("\n") })
      )
    )
    return [...without, ...within]
  }

  const line = Arbitrary.schema(Schema.Literals([...fields, "x", ""]))

  it.layer(SesSender.layerCertificates(rsa.publicKey))("by Amazon SNS", (it) => {
    it.effect.prop(
      "is one envelope, whatever lines a message has",
      [Arbitrary.array(line, { minLength: 1, maxLength: 9 }), Arbitrary.schema(Schema.Boolean)],
      ([message, hasSubject]) =>
        Effect.gen(function*() {
          const own: Readonly<Record<string, string>> = {
            Message: message.join("\n"),
            MessageId: "Subject",
            ...hasSubject && { Subject: "MessageId" },
            Timestamp: "Type",
            TopicArn: SesSender.topicArn,
            Type: "Notification"
          }
          const signed = fields.flatMap((field) => own[field] === undefined ? [] : [field, own[field]]).join("\n")
          const envelope = {
            SignatureVersion: "2",
            Signature: createSign("sha256").update(`${signed}\n`).sign(rsa.privateKey, "base64"),
            SigningCertURL: SesSender.certificateUrl
          }
          const accepted: Array<unknown> = []
          for (const reading of readings(signed.split("\n"), fields)) {
            const result = yield* Effect.result(
              SnsSignature.verify(Ses.row.name, {
                headers: {},
                body: bytes(JSON.stringify({ ...envelope, ...reading })),
                receivedAt,
                secrets: [Redacted.make(SesSender.topicArn)]
              })
            )
            if (Result.isSuccess(result)) accepted.push(reading)
          }
          assert.deepStrictEqual(accepted, [own])
        }),
      { arbitrary: { runs: 50 } }
    )
  })

  it.effect.prop(
    "by basic authentication is the whole of one text",
    [characters("a:0"), characters("a:0")],
    (parts) =>
      Effect.gen(function*() {
        const [user, password] = parts
        const secret = `a${user.replaceAll(":", "")}:${password}`
        const request = only(Schemes.withSecret(Postmark.row, Redacted.make(secret)).send([report], receivedAt))
        for (const given of [`${user}:${password}`, `${secret}:`, `:${secret}`, secret.replaceAll(":", ""), secret]) {
          const authorization = `Basic ${Buffer.from(given).toString("base64")}`
          const result = yield* Effect.result(
            Schemes.verify(Postmark.row, {
              ...request,
              headers: { authorization },
              receivedAt,
              secrets: [Redacted.make(secret)]
            })
          )
          assert.strictEqual(Result.isSuccess(result), given === secret, given)
        }
      }),
    { arbitrary: { runs: 50 } }
  )

  it.effect("by the senders is taken as it is", () =>
    Effect.gen(function*() {
      const sender = Schemes.withSecret(Mailgun.row, Redacted.make(key))
      const request = only(sender.send([report], receivedAt))
      yield* Mailgun.verify({ ...request, receivedAt, secrets: Schemes.secretsOf(sender) })
    }))
})

describe("what crosses from a header into the body, or back", () => {
  const rows = Edge.rows(Signing.certificates)

  for (const sender of Signing.senders.filter(({ provider }) => Signing.isSigned(provider))) {
    it.effect(`is refused by ${sender.provider}`, () =>
      Effect.gen(function*() {
        const row = rows.find(({ name }) => name === sender.provider) ?? assert.fail("there is no row")
        const secrets = sender.secrets[sender.provider] ?? assert.fail("there is no secret")
        const attempt = (request: Webhook.Request) =>
          Effect.result(Schemes.verify(row, { ...request, receivedAt, secrets }))
        const request = only(sender.send([report], receivedAt))
        assert.isTrue(Result.isSuccess(yield* attempt(request)))
        const body = Signing.textOf(request.body)
        for (const [name, value] of Object.entries(request.headers)) {
          for (const count of [1, 2, 3]) {
            const left = value.slice(0, -count)
            const shorter = { headers: { ...request.headers, [name]: left }, body: bytes(value.slice(-count) + body) }
            const longer = { ...request.headers, [name]: value + body.slice(0, count) }
            for (const moved of [shorter, { headers: longer, body: bytes(body.slice(count)) }]) {
              assert.isTrue(Result.isFailure(yield* attempt(moved)), `${name} ${count}`)
            }
          }
        }
      }))
  }
})
