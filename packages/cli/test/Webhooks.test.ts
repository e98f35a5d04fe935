import { assert, describe, it } from "@effect/vitest"
import { Inbox, Provider, Tenant } from "@waybill/core"
import { PgInbox, PgLedger, PgServer } from "@waybill/storage"
import { Mailgun } from "@waybill/webhooks"
import { Senders } from "@waybill/webhooks/testing"
import { DateTime, Effect, Layer, Option, Redacted, Schema } from "effect"
import { SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"
import { generateKeyPairSync } from "node:crypto"
import * as Serving from "./Serving.ts"
import * as Waybill from "./Waybill.ts"

const inbox = ({ WAYBILL_DATABASE_URL, WAYBILL_SCHEMA }: Waybill.Env) =>
  PgInbox.layer({ schema: WAYBILL_SCHEMA }).pipe(
    Layer.provideMerge(PgLedger.layer({ schema: WAYBILL_SCHEMA })),
    Layer.provideMerge(PgServer.layer(Redacted.make(WAYBILL_DATABASE_URL), { maxConnections: 2 })),
    Layer.provide(SecureRandom.layerWebCrypto)
  )

const Listed = Schema.Struct({
  webhooks: Schema.Array(Schema.Struct({
    id: Schema.String,
    tenantId: Schema.String,
    provider: Schema.String,
    status: Schema.String,
    attempts: Schema.Int,
    lastError: Schema.NullOr(Schema.String)
  }))
})

const Shown = Schema.Struct({ body: Schema.String, encoding: Schema.String, status: Schema.String })

const Replayed = Schema.Struct({
  replayed: Schema.Array(Schema.Struct({
    id: Schema.String,
    status: Schema.String,
    appended: Schema.Int,
    duplicates: Schema.Int,
    reason: Schema.NullOr(Schema.String)
  }))
})

const Pruned = Schema.Struct({
  dryRun: Schema.Boolean,
  webhooks: Schema.Int,
  details: Schema.Int,
  sweeps: Schema.NullOr(Schema.Int)
})

const Sent = Schema.Struct({
  provider: Schema.String,
  messageId: Schema.String,
  status: Schema.Int,
  answer: Schema.String
})

const Unknown = Schema.Struct({
  webhooks: Schema.Int,
  complete: Schema.Boolean,
  kinds: Schema.Array(Schema.Struct({ provider: Schema.String, name: Schema.String, count: Schema.Int }))
})

const delivered = (messageId: string) =>
  JSON.stringify({ RecordType: "Delivery", MessageID: messageId, Recipient: "reader@example.com" })

const bounceMail = [
  "From: MAILER-DAEMON@mx.example",
  "Message-ID: <r-1@mx.example>",
  "Date: Fri, 20 Nov 2026 10:30:00 +0100",
  "MIME-Version: 1.0",
  "Content-Type: multipart/report; report-type=delivery-status; boundary=\"b1\"",
  "",
  "--b1",
  "Content-Type: message/delivery-status",
  "",
  "Reporting-MTA: dns; mx.example",
  "",
  "Final-Recipient: rfc822; ada@reader.example",
  "Action: failed",
  "Status: 5.1.1",
  "",
  "--b1",
  "Content-Type: message/rfc822",
  "",
  "Message-ID: <m-1@shop.example>",
  "",
  "Hello",
  "--b1--",
  ""
].join("\r\n")

const list = (env: Waybill.Env, ...flags: ReadonlyArray<string>) =>
  Effect.map(Waybill.json(Listed, ["webhooks", "list", ...flags], env), ({ webhooks }) => webhooks)

const postmark = ["ingest", "--provider", "postmark"]

const authorized = ["--header", `authorization: Basic ${btoa("user:pass")}`]

/** Stores a webhook that was given up. */
const storeDead = (env: Waybill.Env, tenantId: string, body: string) =>
  Effect.gen(function*() {
    const inbox = yield* Inbox.Inbox
    const { id } = yield* inbox.store({
      tenantId: Tenant.TenantId.make(tenantId),
      provider: Provider.Provider.make("postmark"),
      headers: {},
      body: new TextEncoder().encode(body),
      token: Option.none()
    })
    yield* inbox.finish({ tenantId: Tenant.TenantId.make(tenantId), id }, { _tag: "Dead", reason: "no mapping" })
    return id
  }).pipe(Effect.provide(inbox(env)))

describe("ingest", () => {
  it.live("keeps what it takes raw, and shows it as it came", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      const body = `  ${delivered("m-1")}\r\n`
      yield* Waybill.json(Waybill.Ingested, [...postmark, "--unverified"], env, body)
      const [webhook] = yield* list(env)
      assert.deepInclude(webhook, { tenantId: "default", provider: "postmark", status: "succeeded", attempts: 1 })
      const shown = yield* Waybill.json(Shown, ["webhooks", "show", webhook?.id ?? ""], env)
      assert.deepStrictEqual(shown, { body, encoding: "text", status: "succeeded" })

      const { code, stderr } = yield* Waybill.run(["webhooks", "show", webhook?.id ?? "", "--tenant-id", "acme"], env)
      assert.strictEqual(code, 1)
      assert.match(stderr, /^waybill: there is no webhook [0-9a-f-]{36}\n$/)
    }), 60_000)

  it.live("keeps what was verified and cannot be read, but not what was not verified", () =>
    Effect.gen(function*() {
      const env = { ...yield* Waybill.migrated, WAYBILL_POSTMARK_BASIC_AUTH: "user:pass" }
      const body = new Uint8Array([0xff, 0x00])
      const refused = yield* Waybill.run([...postmark, "--unverified"], env, body)
      assert.strictEqual(refused.stderr, "waybill: postmark webhook cannot be read: NotJson\n")
      assert.isEmpty(yield* list(env))

      const kept = yield* Waybill.run([...postmark, ...authorized], env, body)
      assert.strictEqual(kept.code, 1)
      assert.strictEqual(kept.stderr, "waybill: postmark webhook cannot be read: NotJson\n")
      const [webhook, ...others] = yield* list(env, "--status", "failed")
      assert.isEmpty(others)
      assert.include(webhook?.lastError, "NotJson")
      const shown = yield* Waybill.json(Shown, ["webhooks", "show", webhook?.id ?? ""], env)
      assert.deepInclude(shown, { body: "/wA=", encoding: "base64" })

      const replay = yield* Waybill.run(["webhooks", "replay", webhook?.id ?? "", "--json"], env)
      assert.strictEqual(replay.code, 1)
      assert.match(replay.stderr, /^waybill: 1 of them are still not in the ledger/)
      assert.include(replay.stdout, "\"status\":\"failed\"")
    }), 60_000)

  it.live("takes a token of Mailgun once, and the same webhook as often as it comes", () =>
    Effect.gen(function*() {
      const env = { ...yield* Waybill.migrated, WAYBILL_MAILGUN_SIGNING_KEY: "ke-y" }
      const now = yield* DateTime.now
      const [request] = Option.getOrThrow(Senders.withSecret(Mailgun.row, Redacted.make("ke-y"))).send([{
        type: "delivered",
        messageId: "m-1@mg.example",
        recipient: "reader@example.com",
        at: now,
        eventId: "e-1"
      }], now)
      const body = new TextDecoder().decode(request?.body ?? new Uint8Array())
      const mailgun = ["ingest", "--provider", "mailgun"]
      const [first] = (yield* Waybill.json(Waybill.Ingested, mailgun, env, body)).events
      assert.deepInclude(first, { type: "delivered", outcome: "appended", orphan: true })
      const [again] = (yield* Waybill.json(Waybill.Ingested, mailgun, env, body)).events
      assert.deepInclude(again, { id: first?.id ?? "", type: "delivered", outcome: "duplicate" })
      assert.lengthOf(yield* list(env), 1)

      const forged = yield* Waybill.run(mailgun, env, body.replace("delivered", "complained"))
      assert.strictEqual(forged.code, 1)
      assert.strictEqual(forged.stderr, "waybill: the token was used before, over another body\n")
    }), 60_000)
})

describe("webhooks replay", () => {
  it.live("brings in what was given up, once, and changes nothing that is there", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      const known = yield* storeDead(env, "default", delivered("m-1"))
      const of = yield* storeDead(env, "acme", delivered("m-2"))
      const junk = yield* storeDead(env, "acme", "junk")
      assert.sameMembers((yield* list(env, "--dead")).map(({ id }) => id), [known, of, junk])

      const { replayed: [first] } = yield* Waybill.json(Replayed, ["webhooks", "replay", known], env)
      assert.deepInclude(first, { id: known, status: "succeeded", appended: 1, duplicates: 0 })
      const { replayed: [second] } = yield* Waybill.json(Replayed, ["webhooks", "replay", known], env)
      assert.deepInclude(second, { status: "succeeded", appended: 0, duplicates: 1 })

      const { code, stdout } = yield* Waybill.run(["webhooks", "replay", "--dead", "--json"], env)
      assert.strictEqual(code, 1)
      const { replayed } = yield* Schema.decodeEffect(Schema.fromJsonString(Replayed))(stdout)
      assert.sameDeepMembers(replayed.map(({ appended, id, status }) => [id, status, appended]), [
        [of, "succeeded", 1],
        [junk, "failed", 0]
      ])
      assert.deepStrictEqual(
        yield* Waybill.json(Replayed, ["webhooks", "replay", "--dead"], env),
        { replayed: [] }
      )
      const { orphans } = yield* Waybill.json(Waybill.Orphans, ["orphans"], env)
      assert.sameMembers(orphans.map(({ providerMessageId }) => providerMessageId), ["m-1", "m-2"])
    }), 90_000)
})

describe("prune", () => {
  it.live(
    "deletes what was kept for as long as the settings say, and counts it first where asked",
    () =>
      Effect.gen(function*() {
        const env = yield* Waybill.migrated
        yield* Waybill.json(Waybill.Ingested, [...postmark, "--unverified"], env, delivered("m-1"))
        yield* storeDead(env, "default", "junk")
        yield* SqlClient.SqlClient.use((sql) =>
          sql`UPDATE ${sql(`${env.WAYBILL_SCHEMA}.webhooks`)} SET processed_at = processed_at - interval '15 days'`
        ).pipe(Effect.provide(inbox(env)))

        const dry = ["prune", "--dry-run"]
        assert.deepStrictEqual(yield* Waybill.json(Pruned, dry, env), {
          dryRun: true,
          webhooks: 1,
          details: 0,
          sweeps: null
        })
        const shorter = { ...env, WAYBILL_KEEP_DEAD_DAYS: "15", WAYBILL_KEEP_SUCCEEDED_DAYS: "forever" }
        assert.strictEqual((yield* Waybill.json(Pruned, dry, shorter)).webhooks, 1)
        assert.deepStrictEqual(yield* Waybill.json(Pruned, ["prune"], env), {
          dryRun: false,
          webhooks: 1,
          details: 0,
          sweeps: 0
        })
        assert.deepStrictEqual((yield* list(env)).map(({ status }) => status), ["dead"])
        assert.lengthOf((yield* Waybill.json(Waybill.Orphans, ["orphans"], env)).orphans, 1)
      }),
    60_000
  )
})

describe("send-test", () => {
  it.live("posts what a server with the same settings takes", () =>
    Effect.gen(function*() {
      const path = yield* Waybill.directory
      const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
      const key = yield* Waybill.file(path, "key.pem", privateKey.export({ type: "pkcs8", format: "pem" }))
      const env = {
        ...yield* Waybill.migrated,
        WAYBILL_POSTMARK_BASIC_AUTH: "user:pass,old:pass",
        WAYBILL_RESEND_SECRET: `whsec_${Buffer.from("a secret of 24 bytes ....").toString("base64")}`,
        WAYBILL_MAILGUN_SIGNING_KEY: "ke-y",
        WAYBILL_SENDGRID_PUBLIC_KEY: publicKey.export({ type: "spki", format: "der" }).toString("base64")
      }
      const serving = yield* Serving.start(env)
      const args = (provider: string) => [
        "send-test",
        "--provider",
        provider,
        "--type",
        "bounced",
        "--url",
        `${serving.url}/webhooks/${provider}`
      ]
      for (const provider of ["postmark", "resend", "mailgun"]) {
        assert.deepInclude(yield* Waybill.json(Sent, args(provider), env), { provider, status: 200, answer: "orphan" })
      }
      const asked = ["--private-key", key, "--message-id", "m-1", "--recipient", "ada@example.com"]
      assert.deepInclude(yield* Waybill.json(Sent, [...args("sendgrid"), ...asked], env), {
        status: 200,
        messageId: "m-1"
      })
      const { orphans } = yield* Waybill.json(Waybill.Orphans, ["orphans"], env)
      assert.sameMembers(orphans.map(({ provider }) => provider), ["postmark", "resend", "mailgun", "sendgrid"])
      assert.deepStrictEqual([...new Set(orphans.map(({ type }) => type))], ["bounced"])

      const refused = yield* Waybill.run(args("postmark"), { ...env, WAYBILL_POSTMARK_BASIC_AUTH: "user:wrong" })
      assert.strictEqual(refused.code, 1)
      assert.strictEqual(refused.stderr, "waybill: the endpoint answered 401\n")
    }), 120_000)

  it.live("count the kinds of events that are not understood, by provider and name", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      const ingest = (provider: string, body: unknown) =>
        Waybill.run(["ingest", "--provider", provider, "--unverified"], env, JSON.stringify(body))
      const loops = (eventName: string, eventTime: number) =>
        ingest("loops", { eventName, eventTime, contactIdentity: { email: "a@b.example" }, email: { id: "m" } })
      yield* loops("email.reacted", 1_772_619_967)
      yield* loops("email.reacted", 1_772_619_968)
      yield* loops("email.delivered", 1_772_619_969)
      yield* ingest("sendgrid", [{ event: "wave", email: "a@b.example", timestamp: 1_772_619_967 }])
      const { complete, kinds, webhooks } = yield* Waybill.json(Unknown, ["webhooks", "unknown"], env)
      assert.deepStrictEqual([webhooks, complete], [4, true])
      assert.deepStrictEqual(kinds.map(({ count, name, provider }) => [provider, name, count]), [
        ["loops", "email.reacted", 2],
        ["sendgrid", "wave", 1]
      ])
      const some = yield* Waybill.json(Unknown, ["webhooks", "unknown", "--limit", "1"], env)
      assert.deepStrictEqual([some.webhooks, some.complete], [1, false])
      yield* Waybill.run(["ingest", "--provider", "dsn"], env, bounceMail)
      const withMail = yield* Waybill.json(Unknown, ["webhooks", "unknown"], env)
      assert.deepStrictEqual([withMail.webhooks, withMail.kinds], [5, kinds])
    }), 90_000)
})
