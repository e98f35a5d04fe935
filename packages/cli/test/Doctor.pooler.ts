/** What the command says of the pooler that is before its server. */
import { assert, describe, it } from "@effect/vitest"
import { Config, Effect, Schema } from "effect"
import * as Waybill from "./Waybill.ts"

const Document = Schema.Struct({
  checks: Schema.Array(Schema.Struct({ check: Schema.String, ok: Schema.Boolean, found: Schema.String }))
})

describe("doctor behind a pooler", () => {
  it.live("names it and its mode, and finds that it may write", () =>
    Effect.gen(function*() {
      const mode = yield* Config.Literals(["transaction", "session"], "WAYBILL_TEST_POOLER")
      const env = yield* Waybill.migrated
      // A mode that nobody named is taken for the one that works in both.
      for (const named of [{}, { WAYBILL_POOLER: mode }]) {
        const { stdout } = yield* Waybill.run(["doctor", "--json"], { ...env, ...named })
        const { checks } = yield* Effect.orDie(Schema.decodeEffect(Schema.fromJsonString(Document))(stdout))
        const of = (name: string) => checks.find(({ check }) => check === name)
        assert.include(of("pooler")?.found, `in ${"WAYBILL_POOLER" in named ? mode : "transaction"} mode`)
        assert.isTrue(of("writes")?.ok)
      }
    }))
})
