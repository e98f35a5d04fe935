/** The HTTP API as `serve` has it, and the examples of its document, run as they stand there. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { execFile } from "node:child_process"
import { readFile } from "node:fs/promises"
import { promisify } from "node:util"
import * as Serving from "./Serving.ts"
import * as Waybill from "./Waybill.ts"

const Created = Schema.Struct({ id: Schema.String, token: Schema.String })

const create = (env: Readonly<Record<string, string>>, role: string) =>
  Waybill.json(Created, ["tokens", "create", "--name", "test", "--role", role], env)

const run = (program: string, args: ReadonlyArray<string>, env: Readonly<Record<string, string>>) =>
  Effect.promise(() =>
    promisify(execFile)(program, args, { env: { PATH: process.env["PATH"] ?? "", ...env } })
      .then(({ stdout }) => stdout, (error) => assert.fail(`${error}\n${error.stdout}\n${error.stderr}`))
  )

const request = (url: string, token: string, init: RequestInit = {}) =>
  Effect.promise((signal) =>
    fetch(url, {
      signal,
      ...init,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" }
    })
  )

describe("the HTTP API of serve", () => {
  it.live("says that nobody has a token, and lets in who gets one", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      const serving = yield* Serving.start(env)
      yield* Serving.eventually(Effect.sync(() => assert.include(serving.stderr(), "run waybill tokens create")))
      assert.strictEqual((yield* serving.get("/api/deliveries")).status, 401)
      const { id, token } = yield* create(env, "read")
      const path = `${serving.url}/api/deliveries`
      assert.strictEqual((yield* request(path, token)).status, 200)
      yield* Waybill.run(["tokens", "revoke", id], env)
      assert.strictEqual((yield* request(path, token)).status, 401)
      assert.notInclude(serving.stderr(), token)
    }), 60_000)

  it.live("does what its document shows, in a shell and in Python", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      const { token: TOKEN } = yield* create(env, "operate")
      const serving = yield* Serving.start({ ...env, WAYBILL_LOG_LEVEL: "debug" })
      const document = yield* Effect.promise(() => readFile(new URL("../../../docs/api.md", import.meta.url), "utf8"))
      const shown = [...document.matchAll(/^```(sh|python)\n(.*?)^```/gms)]
        .map(([, language = "", code = ""]) => ({ language, code }))
        .filter(({ code }) => !/^(?:WAYBILL_|waybill )/.test(code))
      assert.lengthOf(shown, 4)
      const variables = { WAYBILL: serving.url, TOKEN }
      for (const { code, language } of shown) {
        const output = language === "sh"
          ? yield* run("bash", ["-euo", "pipefail", "-c", code], variables)
          : yield* run("python3", ["-c", code], variables)
        assert.notInclude(output, "problem")
        assert.match(output, language === "sh" ? /"id":|^id: /m : /^dispatched\n$/)
      }
      assert.notInclude(serving.stderr(), TOKEN)
      assert.notInclude(serving.stderr(), "example.com")
      assert.include(serving.stderr(), "deliveries.record")
    }), 60_000)

  it.live("stops at once though streams are open", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      const { token } = yield* create(env, "read")
      const serving = yield* Serving.start(env)
      const response = yield* request(`${serving.url}/api/feed/stream`, token)
      assert.strictEqual(response.headers.get("content-type"), "text/event-stream")
      const { code, millis } = yield* serving.stop("SIGTERM")
      assert.strictEqual(code, 0)
      assert.isBelow(millis, 3500)
    }), 60_000)

  it.live("is switched off, as each other part is", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      const paths = ["/webhooks/postmark", "/api/deliveries", "/healthz", "/readyz", "/metrics"]
      const found = Effect.fnUntraced(function*(parts: string) {
        const serving = yield* Serving.start({ ...env, WAYBILL_SERVE: parts })
        const replies = yield* Effect.forEach(paths, serving.get)
        return replies.map(({ status, text }) => status === 404 && text !== "not_found" ? 0 : 1)
      })
      assert.deepStrictEqual(yield* Effect.scoped(found("webhooks")), [1, 0, 0, 0, 0])
      assert.deepStrictEqual(yield* Effect.scoped(found("api, probes")), [0, 1, 1, 1, 0])
      assert.deepStrictEqual(yield* Effect.scoped(found("metrics")), [0, 0, 0, 0, 1])
      const wrong = yield* Waybill.run(["serve"], { ...env, WAYBILL_SERVE: "webhooks,junk" })
      assert.deepStrictEqual([wrong.code, wrong.stdout], [1, ""])
      assert.match(wrong.stderr, /^waybill: WAYBILL_SERVE must be some of webhooks, api, console, probes, metrics/)
    }), 90_000)
})
