/** The OpenAPI document and the page to read. */
import { assert, it, layer } from "@effect/vitest"
import { ApiServer } from "@waybill/api"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import * as Served from "./Served.ts"

const validator = fileURLToPath(
  new URL("../../../node_modules/@seriousme/openapi-schema-validator/bin/validate-api-cli.js", import.meta.url)
)

it.live("the document is valid OpenAPI 3.1", () =>
  Effect.promise(async () => {
    const directory = await mkdtemp(join(tmpdir(), "waybill-api-"))
    try {
      const file = join(directory, "openapi.json")
      await writeFile(file, JSON.stringify(ApiServer.document()))
      const { stdout } = await promisify(execFile)(process.execPath, [validator, file]).catch((error) => error)
      assert.isTrue(JSON.parse(stdout).valid, stdout)
    } finally {
      await rm(directory, { recursive: true })
    }
  }))

layer(Served.served(Served.memory), { excludeTestServices: true })("what is served beside the contract", (it) => {
  it.effect("the document, as it is", () =>
    Effect.gen(function*() {
      const { body, status } = yield* Served.send("GET", "/api/openapi.json")
      assert.strictEqual(status, 200)
      assert.match(body.openapi, /^3\.1\./)
      assert.deepStrictEqual(body, JSON.parse(JSON.stringify(ApiServer.document())))
    }))

  it.effect("a page that loads nothing from elsewhere and runs nothing", () =>
    Effect.gen(function*() {
      const { headers, status, text, type } = yield* Served.send("GET", "/api/reference")
      assert.strictEqual(status, 200)
      assert.match(type ?? "", /^text\/html/)
      assert.match(headers.get("content-security-policy") ?? "", /default-src 'none'; style-src 'self'/)
      assert.notMatch(text, /<script|style=|https?:\/\//)
      for (const [path] of Object.entries(ApiServer.document().paths)) assert.include(text, path)
      const css = yield* Served.send("GET", "/api/reference.css")
      assert.match(css.type ?? "", /^text\/css/)
    }))
})
