/** What people are shown of the words of others. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestConsole } from "effect/testing"
import * as Output from "../src/terminal/Output.ts"

const hostile = "a\u001b]0;owned\u0007\u202eb\r\nc\rd\te"

describe("text for people", () => {
  it.effect("writes what moves a terminal as its code, and keeps lines and tabs", () =>
    Effect.gen(function*() {
      yield* Output.write(false, {}, () => hostile)
      assert.deepStrictEqual(yield* TestConsole.logLines, ["a\\u{1b}]0;owned\\u{7}\\u{202e}b\nc\\u{d}d\te"])
    }))

  it.effect("leaves a document as it is, in which JSON has escaped it", () =>
    Effect.gen(function*() {
      yield* Output.write(true, { hostile }, () => "")
      const [line] = yield* TestConsole.logLines
      assert.deepStrictEqual(JSON.parse(String(line)), { hostile })
    }))

  it("keeps a cell on its line", () => {
    assert.strictEqual(Output.table(["word"], [["x\n\u001b[2Jy"]], ""), "WORD\nx [2Jy")
    assert.strictEqual(Output.fields([["word", "x\r\ny"]]), "word  x y")
  })
})
