import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { createSign, generateKeyPairSync } from "node:crypto"
import * as Waybill from "./Waybill.ts"

const delivered = JSON.stringify({
  RecordType: "Delivery",
  MessageID: "883953f4-6105-42a2-a16a-77a8eac79483",
  Recipient: "reader@example.com",
  DeliveredAt: "2026-01-02T03:04:05.6789012Z"
})

const postmark = ["ingest", "--provider", "postmark"]

const authorization = (credentials: string) => ["--header", `Authorization: Basic ${btoa(credentials)}`]

const sendGrid = (now: string) => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
  const body = Buffer.from(
    "[{\"email\":\"reader@example.com\",\"event\":\"delivered\",\"timestamp\":1600112492,\"sg_event_id\":\"a\",\"sg_message_id\":\"LRzXl_NHStOGhQ4kofSm_A.filter-1\"},\r\n" +
      "{\"email\":\"reader@example.com\",\"event\":\"open\",\"timestamp\":1600112499,\"sg_event_id\":\"b\",\"sg_message_id\":\"LRzXl_NHStOGhQ4kofSm_A.filter-1\"}]\r\n"
  )
  return {
    body,
    key: publicKey.export({ format: "der", type: "spki" }).toString("base64"),
    args: [
      "ingest",
      "--provider",
      "sendgrid",
      "--received-at",
      "2020-09-14T19:41:42Z",
      "--header",
      `X-Twilio-Email-Event-Webhook-Signature: ${
        createSign("sha256").update(now).update(body).sign(privateKey, "base64")
      }`,
      "--header",
      `X-Twilio-Email-Event-Webhook-Timestamp: ${now}`
    ]
  }
}

describe("ingest", () => {
  it.live(
    "appends a webhook from a file once, as an orphan until its delivery is dispatched",
    () =>
      Effect.gen(function*() {
        const env = yield* Waybill.migrated
        const path = yield* Waybill.file(yield* Waybill.directory, "delivered.json", delivered)
        const unverified = [...postmark, "--unverified", path]

        const [first] = (yield* Waybill.json(Waybill.Ingested, unverified, env)).events
        assert.deepInclude(first, { type: "delivered", outcome: "appended", deliveryId: null, orphan: true })
        const [again] = (yield* Waybill.json(Waybill.Ingested, unverified, env)).events
        assert.deepStrictEqual(again, {
          id: first?.id ?? "",
          type: "delivered",
          outcome: "duplicate",
          deliveryId: null,
          orphan: true
        })

        const record = ["record", "--recipient", "Reader@example.com", "--mailable", "w", "--stream", "bulk"]
        const { id } = yield* Waybill.json(Waybill.Recorded, record, env)
        yield* Waybill.json(Waybill.Dispatched, [
          "dispatch",
          id,
          "--provider",
          "postmark",
          "--provider-message-id",
          "883953f4-6105-42a2-a16a-77a8eac79483"
        ], env)
        const [linked] = (yield* Waybill.json(Waybill.Ingested, unverified, env)).events
        assert.deepInclude(linked, { outcome: "duplicate", deliveryId: id, orphan: false })
      }),
    60_000
  )

  it.live(
    "takes a webhook from standard input whose credentials are among those that are active",
    () =>
      Effect.gen(function*() {
        const env = { ...(yield* Waybill.migrated), WAYBILL_POSTMARK_BASIC_AUTH: "old:secret, new:se:cret" }
        for (const [credentials, outcome] of [["old:secret", "appended"], ["new:se:cret", "duplicate"]] as const) {
          const { events } = yield* Waybill.json(
            Waybill.Ingested,
            [...postmark, ...authorization(credentials)],
            env,
            delivered
          )
          assert.deepStrictEqual(events.map((event) => event.outcome), [outcome])
        }
      }),
    60_000
  )

  it.live(
    "verifies with the secrets of the tenant default for one that has none, whatever its name",
    () =>
      Effect.gen(function*() {
        const env = { ...(yield* Waybill.migrated), WAYBILL_POSTMARK_BASIC_AUTH: "waybill:secret" }
        for (const tenantId of ["acme", "constructor", "__proto__"]) {
          const args = [...postmark, ...authorization("waybill:secret"), "--tenant-id", tenantId]
          const { events } = yield* Waybill.json(Waybill.Ingested, args, env, delivered)
          assert.deepStrictEqual(events.map(({ outcome }) => outcome), ["appended"])
        }
      }),
    60_000
  )

  it.live("verifies the bytes as they are, and gives every event of a batch", () =>
    Effect.gen(function*() {
      const { args, body, key } = sendGrid("1600112502")
      const env = { ...(yield* Waybill.migrated), WAYBILL_SENDGRID_PUBLIC_KEY: key }
      const { events } = yield* Waybill.json(Waybill.Ingested, args, env, body)
      assert.deepStrictEqual(events.map(({ type }) => type), ["delivered", "opened"])
    }), 60_000)

  it.live("keeps tenants apart", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      for (const tenantId of ["acme", "globex"]) {
        const args = [...postmark, "--unverified", "--tenant-id", tenantId]
        const { events } = yield* Waybill.json(Waybill.Ingested, args, env, delivered)
        assert.deepStrictEqual(events.map(({ outcome }) => outcome), ["appended"])
        const { orphans } = yield* Waybill.json(Waybill.Orphans, ["orphans", "--tenant-id", tenantId], env)
        assert.deepStrictEqual(orphans.map((orphan) => orphan.tenantId), [tenantId])
      }
    }), 60_000)

  it.live("shows its events in a table", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* Waybill.run([...postmark, "--unverified"], yield* Waybill.migrated, delivered)
      assert.strictEqual(code, 0)
      assert.match(stdout, /^EVENT +OUTCOME +DELIVERY +ID\ndelivered +appended +none yet +[0-9a-f-]{36}\n$/)
    }), 60_000)

  it.live("takes a signed body that says nothing of a message", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      const { events } = yield* Waybill.json(Waybill.Ingested, [...postmark, "--unverified"], env, "{\"test\":1}")
      assert.isEmpty(events)
    }), 60_000)
})
