import { assert, describe, it } from "@effect/vitest"
import { AlertRule, Inbox, Provider, Tenant } from "@waybill/core"
import { PgServer, PgStorage } from "@waybill/storage"
import { ConfigProvider, Duration, Effect, Layer, Option, Redacted, Result, Schema } from "effect"
import { SecureRandom } from "effect/crypto"
import { createServer } from "node:http"
import * as AlertSettings from "../src/config/AlertSettings.ts"
import * as Serving from "./Serving.ts"
import * as Waybill from "./Waybill.ts"

const Alert = Schema.Struct({
  id: Schema.String,
  tenantId: Schema.NullOr(Schema.String),
  rule: Schema.String,
  subject: Schema.Record(Schema.String, Schema.String),
  state: Schema.String,
  isMuted: Schema.Boolean,
  summary: Schema.String,
  advice: Schema.String
})

const Listed = Schema.Struct({
  alerts: Schema.Array(Alert),
  mutes: Schema.Array(Schema.Struct({ rule: Schema.String, tenantId: Schema.NullOr(Schema.String) }))
})

const Shown = Schema.Struct({
  ...Alert.fields,
  source: Schema.String,
  notices: Schema.Array(Schema.Struct({ kind: Schema.String, isMuted: Schema.Boolean, summary: Schema.String }))
})

const Status = Schema.Struct({ alerts: Schema.Array(Schema.Struct({ rule: Schema.String, summary: Schema.String })) })

const Muted = Schema.Struct({ rule: Schema.String, tenantId: Schema.NullOr(Schema.String), until: Schema.String })

const secret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`

const receiver = Effect.gen(function*() {
  const got: Array<string> = []
  const server = createServer((request, response) => {
    let body = ""
    request.setEncoding("utf8").on("data", (text: string) => (body += text))
    request.on("end", () => {
      got.push(body)
      response.end()
    })
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  )
  const address = server.address()
  return { got, url: `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}/hook` }
})

/** Gives a webhook up. */
const giveUp = (env: Waybill.Env) =>
  Effect.gen(function*() {
    const inbox = yield* Inbox.Inbox
    const tenantId = Tenant.TenantId.make("acme")
    const provider = Provider.Provider.make("postmark")
    const webhook = { tenantId, provider, headers: {}, body: new Uint8Array(), token: Option.none() }
    const { id } = yield* inbox.store(webhook)
    yield* inbox.finish({ tenantId, id }, { _tag: "Dead", reason: "not understood" })
  }).pipe(
    Effect.provide(
      PgStorage.layer({ schema: env.WAYBILL_SCHEMA }).pipe(
        Layer.provide(PgServer.layer(Redacted.make(env.WAYBILL_DATABASE_URL))),
        Layer.provide(SecureRandom.layerWebCrypto)
      )
    )
  )

describe("alerts by hand", () => {
  it.live(
    "are opened by serve, posted, shown by status and metrics, and muted, while it stays ready",
    () =>
      Effect.gen(function*() {
        const env = yield* Waybill.migrated
        const { got, url } = yield* receiver
        yield* giveUp(env)
        const alerts = {
          WAYBILL_ALERT_URL: url,
          WAYBILL_ALERT_SECRET: secret,
          WAYBILL_ALERT_PRIVATE: "true",
          WAYBILL_ALERT_CRON: "* * * * * *"
        }
        const serving = yield* Serving.start({ ...env, ...alerts })
        yield* Serving.eventually(Effect.sync(() => assert.lengthOf(got, 1)))
        assert.include(got[0], "\"type\":\"alert.opened\"")
        assert.include(got[0], "webhooks that were given up: 1, above 0")
        const ready = yield* serving.get("/readyz")
        assert.strictEqual(ready.status, 200)
        yield* serving.stop("SIGTERM")

        const { alerts: [alert], mutes } = yield* Waybill.json(Listed, ["alerts", "list"], env)
        assert(alert !== undefined)
        assert.deepStrictEqual([alert.rule, alert.tenantId, alert.state, mutes], ["dead_webhooks", "acme", "open", []])
        assert.deepStrictEqual(alert.subject, { provider: "postmark" })
        const shown = yield* Waybill.json(Shown, ["alerts", "show", alert.id], env)
        assert.deepStrictEqual(shown.notices.map(({ kind }) => kind), ["opened"])
        assert.include((yield* Waybill.run(["alerts", "show", alert.id], env)).stdout, "waybill webhooks replay --dead")
        const status = yield* Waybill.json(Status, ["status"], env)
        assert.deepStrictEqual(status.alerts.map(({ rule }) => rule), ["dead_webhooks"])
        assert.include((yield* Waybill.run(["status"], env)).stdout, alert.summary)
        assert.deepStrictEqual(
          (yield* Waybill.json(Listed, ["alerts", "list", "--tenant-id", "other"], env)).alerts,
          []
        )

        yield* Waybill.json(Muted, ["alerts", "mute", "dead_webhooks", "--for", "7d", "--actor", "ann"], env)
        const muted = yield* Waybill.json(Listed, ["alerts", "list", "--all"], env)
        assert.deepStrictEqual(muted.alerts.map(({ isMuted }) => isMuted), [true])
        assert.deepStrictEqual(muted.mutes, [{ rule: "dead_webhooks", tenantId: null }])
        yield* Waybill.json(Muted, ["alerts", "mute", "dead_webhooks", "--off"], env)
        assert.deepStrictEqual((yield* Waybill.json(Listed, ["alerts", "list"], env)).mutes, [])

        const again = yield* Serving.start({ ...env, WAYBILL_ALERT_CRON: "0 0 1 1 *" })
        yield* Serving.eventually(Effect.gen(function*() {
          const series = Serving.series((yield* again.get("/metrics")).text)
          assert.strictEqual(series.get("waybill_alerts_open{rule=\"dead_webhooks\"}"), 1)
          assert.strictEqual(series.get("waybill_alerts_open{rule=\"complaints\"}"), 0)
          assert.strictEqual(series.get("waybill_feed_lag_seconds{consumer=\"waybill figures\"}"), 0)
        }))
      }),
    90_000
  )

  it.live("are posted by way of trial, or say why not", () =>
    Effect.gen(function*() {
      const { got, url } = yield* receiver
      const env = { WAYBILL_ALERT_URL: url, WAYBILL_ALERT_SECRET: secret }
      const refused = yield* Waybill.run(["alerts", "test"], env)
      assert.strictEqual(refused.code, 1)
      assert.include(refused.stderr, "WAYBILL_ALERT_PRIVATE=true")
      assert.notInclude(refused.stderr, "127.0.0.1")
      assert.lengthOf(got, 0)
      const posted = Schema.Struct({ posted: Schema.Boolean })
      assert.isTrue((yield* Waybill.json(posted, ["alerts", "test"], { ...env, WAYBILL_ALERT_PRIVATE: "true" })).posted)
      assert.include(got[0], "\"type\":\"alert.test\"")
      for (
        const [wrong, named] of [
          [{}, "WAYBILL_ALERT_URL"],
          [{ WAYBILL_ALERT_URL: url }, "WAYBILL_ALERT_SECRET"],
          [{ ...env, WAYBILL_ALERT_SECRET: "hunter2" }, "WAYBILL_ALERT_SECRET"]
        ] as const
      ) {
        const { code, stderr } = yield* Waybill.run(["alerts", "test"], wrong)
        assert.strictEqual(code, 1)
        assert.include(stderr, named)
        assert.notInclude(stderr, "hunter2")
      }
    }), 60_000)

  it.effect("have rules that are set, or are off, and limits that are checked", () =>
    Effect.gen(function*() {
      const read = (env: Readonly<Record<string, string>>) =>
        Effect.map(
          AlertSettings.inForce.pipe(
            Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown(env))),
            Effect.result
          ),
          (result) => Result.isSuccess(result) ? result.success : result.failure.message
        )
      const byDefault = yield* read({})
      assert.deepStrictEqual(byDefault, Object.values(AlertRule.defaults))
      const given = yield* read({
        WAYBILL_ALERT_COMPLAINTS: "0.3% of 500 in 3d",
        WAYBILL_ALERT_SILENT_STREAM: "off",
        WAYBILL_ALERT_ORPHANS: "1000 in 2h",
        WAYBILL_ALERT_FEED_LAG: "5m"
      })
      assert(typeof given !== "string")
      const of = (name: AlertRule.Name) => given.find((rule) => rule.name === name)
      assert.deepInclude(of("complaints"), { line: 0.003, least: 500, window: Duration.days(3) })
      assert.isUndefined(of("silent_stream"))
      assert.deepInclude(of("orphans"), { line: 1000, window: Duration.hours(2) })
      assert.deepInclude(of("feed_lag"), { line: 300 })
      for (
        const [name, text] of [
          ["WAYBILL_ALERT_COMPLAINTS", "0.3%"],
          ["WAYBILL_ALERT_COMPLAINTS", "3 in 1d"],
          ["WAYBILL_ALERT_COMPLAINTS", "0.3% of 0 in 7d"],
          ["WAYBILL_ALERT_ORPHANS", "5% of 100 in 1d"],
          ["WAYBILL_ALERT_ORPHANS", "5 in 1s"],
          ["WAYBILL_ALERT_NO_SWEEP", "never"]
        ] as const
      ) {
        const issue = yield* read({ [name]: text })
        assert.match(typeof issue === "string" ? issue : "", new RegExp(`${name} must be off or limits such as `))
      }
    }), 60_000)

  it.live("are refused in one line where something is wrong", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      const missing = yield* Waybill.run(["alerts", "show", "01890a5d-ac96-774b-bcce-b302099a8057"], env)
      assert.deepStrictEqual([missing.code, missing.stderr.trim()], [
        1,
        "waybill: there is no alert 01890a5d-ac96-774b-bcce-b302099a8057"
      ])
      for (
        const args of [["mute", "nothing"], ["mute", "orphans", "--for", "x"]]
      ) {
        assert.strictEqual((yield* Waybill.run(["alerts", ...args], env)).code, 2, args.join(" "))
      }
      assert.match((yield* Waybill.run(["alerts", "list"], env)).stdout, /^no alert is open\n$/)
    }), 60_000)
})
