/** Reads what Scaleway publishes, and believes the certificates alone that its authority issued. */
import { assert, describe, it } from "@effect/vitest"
import { Scaleway, ScalewayCertificates, SnsSignature } from "@waybill/webhooks"
import { Senders } from "@waybill/webhooks/testing"
import { DateTime, Effect, Layer, Option, Redacted, Result } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { createSign } from "node:crypto"
import { readFileSync } from "node:fs"
import { bytes, event, events, key, only, receivedAt } from "./Reading.ts"
import * as Schemes from "./Schemes.ts"

const pem = (name: string): string => readFileSync(new URL(`certificates/${name}.pem`, import.meta.url), "utf8")

const envelope = (message: unknown, change: object = {}) =>
  JSON.stringify({
    Type: "Notification",
    MessageId: "n1",
    TopicArn: "arn:scw:sns:fr-par:project-1:mail",
    Timestamp: "2026-03-04T10:26:09.000Z",
    Message: JSON.stringify(message),
    ...change
  })

const report = (type: string, change: object = {}) => ({
  id: "e1",
  type,
  created_at: "2026-03-04T10:26:07.123456Z",
  email_id: "m1",
  email_to: "ada@reader.example",
  email_response_code: 550,
  email_response_message: "5.1.1 mailbox not found",
  email_try_count: 2,
  ...change
})

describe("Scaleway", () => {
  it.for(
    [
      ["email_queued", "queued", undefined, undefined],
      ["email_delivered", "delivered", undefined, undefined],
      ["email_deferred", "deferred", undefined, undefined],
      ["email_dropped", "bounced", "bounced", "hard"],
      ["email_mailbox_not_found", "bounced", "invalid", "hard"],
      ["email_spam", "bounced", "spam", "undetermined"],
      ["email_blocklisted", "rejected", "bounced", undefined],
      ["email_unheard", "unknown", undefined, undefined]
    ] as const
  )("reads %s", ([raw, type, reason, bounce]) => {
    const read = event(Scaleway.row, envelope(report(raw)))
    assert.deepStrictEqual(
      [read.type, read.reason, read.bounce, read.message, read.to, read.certain, read.at, read.eventId],
      [type, reason, bounce, "m1", "ada@reader.example", true, "2026-03-04T10:26:07.123Z", "e1"]
    )
    assert.strictEqual(key(Scaleway.row, envelope(report(raw))), "webhook:scaleway:id:e1")
  })

  it("reads our delivery id from the headers of the message", () => {
    const id = "0190f3e2-0000-7000-8000-00000000002a"
    const email_headers = [{ key: "Subject", value: "x" }, { key: "x-waybill-delivery-id", value: id }]
    assert.strictEqual(event(Scaleway.row, envelope(report("email_delivered", { email_headers }))).delivery, id)
  })

  it("reads a blocklisted message without an id, and ignores what is about no mail", () => {
    const read = event(Scaleway.row, envelope(report("email_blocklisted", { email_id: undefined })))
    assert.deepStrictEqual([read.type, read.message], ["rejected", undefined])
    assert.deepStrictEqual(events(Scaleway.row, envelope({ type: "blocklist_created" })), [])
    assert.deepStrictEqual(events(Scaleway.row, envelope("", { Type: "SubscriptionConfirmation" })), [])
  })
})

describe("The certificates of Scaleway", () => {
  it("are believed where the authority issued them", () => {
    const found = ScalewayCertificates.fromPem(pem("leaf"), `${pem("other")}${pem("authority")}`, receivedAt)
    assert.isTrue(Option.isSome(found))
    assert.isTrue(Option.isNone(ScalewayCertificates.fromPem(pem("leaf"), pem("other"), receivedAt)))
    assert.isTrue(Option.isNone(ScalewayCertificates.fromPem(pem("leaf"), pem("leaf"), receivedAt)))
    assert.isTrue(Option.isNone(ScalewayCertificates.fromPem("no pem", pem("authority"), receivedAt)))
    const late = DateTime.makeUnsafe("2200-01-01T00:00:00Z")
    assert.isTrue(Option.isNone(ScalewayCertificates.fromPem(pem("leaf"), pem("authority"), late)))
  })

  const files = (chain: string) => {
    const asked: Array<string> = []
    const client = Layer.succeed(
      HttpClient.HttpClient,
      HttpClient.make((request, url) => {
        asked.push(url.href)
        const text = url.pathname.endsWith("sns-trust-chain.pem") ? chain : pem("leaf")
        return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(text)))
      })
    )
    return { asked, client }
  }

  const topic = "arn:scw:sns:nl-ams:project-1:mail"

  const request = (SigningCertURL = "https://messaging.s3.fr-par.scw.cloud/nl-ams/sns/1.pem") => {
    const fields = [
      ["Message", JSON.stringify(report("email_delivered"))],
      ["MessageId", "n1"],
      ["Timestamp", "2026-03-04T10:26:09.000Z"],
      ["TopicArn", topic],
      ["Type", "Notification"]
    ]
    const text = fields.map(([name, value]) => `${name}\n${value}\n`).join("")
    const Signature = createSign("sha256").update(text).sign(pem("leaf-key"), "base64")
    return bytes(JSON.stringify({ ...Object.fromEntries(fields), Signature, SignatureVersion: "2", SigningCertURL }))
  }

  const reason = Effect.fnUntraced(function*(chain: string, body = request(), secret = topic) {
    const { asked, client } = files(chain)
    const verify = Scaleway.verify(
      yield* Effect.provide(ScalewayCertificates.make(Scaleway.row.name), client),
      SnsSignature
    )
    const attempt = verify({
      headers: {},
      body,
      receivedAt: DateTime.makeUnsafe("2027-01-01T00:00:00Z"),
      secrets: [Redacted.make(secret)]
    })
    const result = yield* Effect.result(attempt)
    return {
      asked,
      reason: Result.isSuccess(result)
        ? "accepted"
        : result.failure._tag === "VerificationError"
        ? result.failure.reason
        : "unavailable"
    }
  })

  it.effect("are checked against the chain of the topic's region", () =>
    Effect.gen(function*() {
      const good = yield* reason(pem("authority"))
      assert.deepStrictEqual(good, {
        reason: "accepted",
        asked: [
          "https://messaging.s3.fr-par.scw.cloud/nl-ams/sns/sns-trust-chain.pem",
          "https://messaging.s3.fr-par.scw.cloud/nl-ams/sns/1.pem"
        ]
      })
      assert.strictEqual((yield* reason(pem("other"))).reason, "BadSignature")
      assert.strictEqual(
        (yield* reason(pem("authority"), request(), "arn:scw:sns:nl-ams:project-1:other")).reason,
        "UntrustedTopic"
      )
      for (
        const url of [
          "https://elsewhere.example/1.pem",
          "http://messaging.s3.fr-par.scw.cloud/1.pem",
          "https://messaging.s3.fr-par.scw.cloud/../1.pem",
          "https://messaging.s3.fr-par.scw.cloud.elsewhere.example/1.pem"
        ]
      ) {
        assert.deepStrictEqual(yield* reason(pem("authority"), request(url)), {
          reason: "MalformedSignature",
          asked: []
        })
      }
    }))

  it.effect("prove who asks for a subscription, over each field that it has", () =>
    Effect.gen(function*() {
      const fields = {
        Message: "You have chosen to subscribe to the topic",
        MessageId: "n1",
        SubscribeURL: "https://sns.mnq.fr-par.scaleway.com/?Action=ConfirmSubscription",
        Timestamp: "2026-03-04T10:26:09.000Z",
        Token: "t1",
        TopicArn: topic,
        Type: "SubscriptionConfirmation"
      }
      const text = Object.entries(fields).map(([name, value]) => `${name}\n${value}\n`).join("")
      const signed = {
        ...fields,
        Signature: createSign("sha256").update(text).sign(pem("leaf-key"), "base64"),
        SignatureVersion: "2",
        SigningCertURL: "https://messaging.s3.fr-par.scw.cloud/nl-ams/sns/1.pem"
      }
      const judged = (change: object) =>
        Effect.map(reason(pem("authority"), bytes(JSON.stringify({ ...signed, ...change }))), ({ reason }) => reason)
      assert.strictEqual(yield* judged({}), "accepted")
      for (const name of Object.keys(fields)) {
        assert.notStrictEqual(yield* judged({ [name]: "x" }), "accepted")
      }
    }))

  it.effect("are replaced in tests", () =>
    Effect.gen(function*() {
      const { row, sender } = yield* Senders.generateOf(Scaleway.row)
      const sent = only(
        sender.send(
          [{ type: "delivered", messageId: "m", recipient: "a@b.example", at: receivedAt, eventId: "e" }],
          receivedAt
        )
      )
      yield* Schemes.verify(row, { ...sent, receivedAt, secrets: Schemes.secretsOf(sender) })
    }))
})
