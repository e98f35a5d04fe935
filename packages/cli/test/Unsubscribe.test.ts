import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Serving from "./Serving.ts"
import * as Waybill from "./Waybill.ts"

const id = "01890a5d-ac96-774b-bcce-b302099a8057"

const keys = `b:${"b".repeat(32)},a:${"a".repeat(32)}`

const Printed = Schema.Struct({ headers: Schema.Record(Schema.String, Schema.String) })

const Doctor = Schema.Struct({
  checks: Schema.Array(
    Schema.Struct({ check: Schema.String, ok: Schema.Boolean, found: Schema.String, advice: Schema.String })
  )
})

const line = Effect.fnUntraced(function*(env: Readonly<Record<string, string>>) {
  const { code, stdout } = yield* Waybill.run(["doctor", "--json"], { WAYBILL_DATABASE_URL: "memory:", ...env })
  const { checks } = yield* Schema.decodeEffect(Schema.fromJsonString(Doctor))(stdout)
  return { code, ...checks.find(({ check }) => check === "unsubscribe") }
})

describe("unsubscribe", () => {
  it.live("headers lead to the link that serve answers, on a server", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      const serving = yield* Serving.start({ ...env, WAYBILL_UNSUBSCRIBE_KEYS: keys })
      const { id } = yield* Waybill.json(Waybill.Recorded, [
        "record",
        "--recipient=ann@example.com",
        "--mailable=news",
        "--stream=bulk"
      ], env)
      const { headers } = yield* Waybill.json(Printed, ["unsubscribe", "headers", id], {
        WAYBILL_UNSUBSCRIBE_KEYS: keys,
        WAYBILL_PUBLIC_URL: serving.url
      })
      const link = (headers["List-Unsubscribe"] ?? "").slice(1, -1)
      const page = yield* Serving.get(link)
      assert.deepStrictEqual([page.status, page.type], [200, "text/html; charset=utf-8"])
      for (let times = 0; times < 2; times++) {
        const reply = yield* Effect.promise(() =>
          fetch(link, { method: "POST", body: new URLSearchParams(headers["List-Unsubscribe-Post"]) })
        )
        assert.strictEqual(reply.status, 200)
      }
      const { timeline } = yield* Waybill.json(Waybill.Shown, ["show", id], env)
      assert.deepStrictEqual(timeline.map(({ type }) => type), ["queued", "unsubscribed"])
      assert.strictEqual((yield* serving.get(`/unsubscribe/${link.slice(-20)}`)).status, 404)
      const metrics = yield* serving.get("/metrics")
      assert.match(metrics.text, /waybill_webhooks_refused_total\{.*provider="waybill".*reason="BadToken".*\} 1\b/)
      assert.notInclude(serving.stderr(), "ann@example.com")
    }), 60_000)

  it.live("headers ask for the settings that they need, and name no secret", () =>
    Effect.gen(function*() {
      const failed = (env: Readonly<Record<string, string>>) => Waybill.run(["unsubscribe", "headers", id], env)
      const none = yield* failed({})
      assert.deepStrictEqual([none.code, none.stdout], [1, ""])
      assert.match(none.stderr, /^waybill: WAYBILL_UNSUBSCRIBE_KEYS is not set: [^\n]+\n$/)
      const noUrl = yield* failed({ WAYBILL_UNSUBSCRIBE_KEYS: keys })
      assert.match(noUrl.stderr, /^waybill: WAYBILL_PUBLIC_URL is not set: [^\n]+\n$/)
      const short = yield* failed({ WAYBILL_UNSUBSCRIBE_KEYS: "a:hush-hush", WAYBILL_PUBLIC_URL: "https://a.example" })
      assert.match(short.stderr, /^waybill: WAYBILL_UNSUBSCRIBE_KEYS must be id:secret, [^\n]+\n$/)
      assert.notInclude(short.stderr, "hush")
      const plain = yield* failed({ WAYBILL_UNSUBSCRIBE_KEYS: keys, WAYBILL_PUBLIC_URL: "http://a.example" })
      assert.match(plain.stderr, /^waybill: WAYBILL_PUBLIC_URL must be an https URL[^\n]+\n$/)
      const wrong = yield* Waybill.run(["unsubscribe", "headers", "x"], { WAYBILL_UNSUBSCRIBE_KEYS: keys })
      assert.strictEqual(wrong.code, 2)
    }), 60_000)

  it.live("is a line of doctor", () =>
    Effect.gen(function*() {
      assert.deepInclude(yield* line({}), { code: 0, ok: true, advice: "" })
      assert.include((yield* line({ WAYBILL_UNSUBSCRIBE_KEYS: keys })).advice, "WAYBILL_PUBLIC_URL")
      const good = yield* line({ WAYBILL_UNSUBSCRIBE_KEYS: keys, WAYBILL_PUBLIC_URL: "https://a.example" })
      assert.deepInclude(good, { ok: true, advice: "", found: "links are signed with the key b, and 1 more is good" })
      assert.deepInclude(yield* line({ WAYBILL_SES_CONFIRM_SUBSCRIPTIONS: "perhaps" }), { code: 1, ok: true })
      const bad = yield* line({ WAYBILL_UNSUBSCRIBE_KEYS: "a:short" })
      assert.deepInclude(bad, { code: 1, ok: false })
    }), 60_000)
})
