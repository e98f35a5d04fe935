import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import manifest from "../package.json" with { type: "json" }

const built = fileURLToPath(new URL("../bin/waybill.js", import.meta.url))

describe("the command as it is built", () => {
  it.live("plays the demo, and knows its version", () =>
    Effect.gen(function*() {
      const run = (...args: ReadonlyArray<string>) =>
        Effect.promise(() => promisify(execFile)(process.execPath, [built, ...args]))
      assert.include((yield* run("--version")).stdout, manifest.version)
      assert.include((yield* run("demo")).stdout, "2 duplicates, 0 changes")
    }), 60_000)
})
