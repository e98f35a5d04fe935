import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Waybill from "./Waybill.ts"

const Played = Schema.Struct({
  steps: Schema.Array(Schema.String),
  orphansBefore: Schema.Int,
  linked: Schema.Int,
  delivery: Schema.Record(Schema.String, Schema.Json)
})

describe("demo", () => {
  it.live(
    "links the webhook that came before its delivery, and a replay changes nothing",
    () =>
      Effect.gen(function*() {
        const played = yield* Waybill.json(Played, ["demo"], {})
        assert.strictEqual(played.orphansBefore, 2)
        assert.strictEqual(played.linked, 2)
        assert.strictEqual(played.delivery["lastEventType"], "delivered")
        assert.strictEqual(played.delivery["terminal"], true)
        assert.include(played.steps.at(-1), "2 duplicates, 0 changes")
      }),
    60_000
  )
})
