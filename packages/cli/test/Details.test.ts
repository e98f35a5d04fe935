import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Waybill from "./Waybill.ts"

const messageId = "883953f4-6105-42a2-a16a-77a8eac79483"

const bounce = JSON.stringify({
  RecordType: "Bounce",
  Type: "HardBounce",
  ID: 42,
  MessageID: messageId,
  Email: "reader@example.com",
  BouncedAt: "2026-01-02T03:04:05Z",
  Description: "unable to deliver\u001b[2J\nyour message",
  Details: "smtp;550 5.1.1 no such user",
  Tag: "welcome",
  Metadata: { order: "17" }
})

const said = {
  response: "smtp;550 5.1.1 no such user",
  description: "unable to deliver\u001b[2J\nyour message",
  tags: ["welcome"],
  metadata: { order: "17" }
}

const Pruned = Schema.Struct({
  dryRun: Schema.Boolean,
  webhooks: Schema.Int,
  details: Schema.Int,
  sweeps: Schema.NullOr(Schema.Int)
})

const ingest = ["ingest", "--provider", "postmark", "--unverified"]

/** A delivery that is dispatched. */
const dispatched = Effect.fnUntraced(function*(env: Waybill.Env) {
  const record = ["record", "--recipient", "reader@example.com", "--mailable", "welcome", "--stream", "transactional"]
  const { id } = yield* Waybill.json(Waybill.Recorded, record, env)
  const dispatch = ["dispatch", id, "--provider", "postmark", "--provider-message-id", messageId]
  yield* Waybill.json(Waybill.Dispatched, dispatch, env)
  return id
})

/** The details of the bounce of a delivery. */
const shown = Effect.fnUntraced(function*(env: Waybill.Env, id: string) {
  const { timeline } = yield* Waybill.json(Waybill.Shown, ["show", id], env)
  assert.isNull(timeline.find(({ type }) => type === "queued")?.details)
  return timeline.find(({ type }) => type === "bounced")?.details
})

describe("details", () => {
  it.live(
    "are shown with their event, pruned, brought in by the webhook again, and forgotten with the recipient",
    () =>
      Effect.gen(function*() {
        const env = yield* Waybill.migrated
        const id = yield* dispatched(env)
        const events = yield* Waybill.json(Waybill.Ingested, ingest, env, bounce)
        assert.strictEqual(events.events[0]?.outcome, "appended")
        assert.deepStrictEqual(yield* shown(env, id), said)

        const { stdout } = yield* Waybill.run(["show", id], env)
        assert.match(
          stdout,
          /\n\ndetails of bounced at 2026-01-02T03:04:05.000Z\n {2}response +smtp;550 5.1.1 no such user\n/
        )
        assert.match(
          stdout,
          /\n {2}description +unable to deliver \[2J your message\n {2}tags +welcome\n {2}metadata.order +17\n/
        )

        const none = { ...env, WAYBILL_KEEP_DETAILS_DAYS: "none" }
        assert.strictEqual((yield* Waybill.json(Pruned, ["prune", "--dry-run"], none)).details, 1)
        assert.strictEqual((yield* Waybill.json(Pruned, ["prune"], env)).details, 0)
        assert.strictEqual((yield* Waybill.json(Pruned, ["prune"], none)).details, 1)
        assert.isNull(yield* shown(env, id))

        yield* Waybill.json(Waybill.Ingested, ingest, none, bounce)
        assert.isNull(yield* shown(env, id))
        const again = yield* Waybill.json(Waybill.Ingested, ingest, env, bounce)
        assert.strictEqual(again.events[0]?.outcome, "duplicate")
        assert.deepStrictEqual(yield* shown(env, id), said)

        const forget = yield* Waybill.run(["forget", "--recipient", "reader@example.com"], env)
        assert.strictEqual(forget.code, 0, forget.stderr)
        assert.isNull(yield* shown(env, id))
      }),
    120_000
  )

  it.live("are kept as long as a setting says that means something", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      const { code, stderr } = yield* Waybill.run(["prune"], { ...env, WAYBILL_KEEP_DETAILS_DAYS: "never" })
      assert.strictEqual(code, 1)
      assert.match(stderr, /WAYBILL_KEEP_DETAILS_DAYS.*must be a whole number of days from 1 to 36500, forever or none/)
    }), 60_000)
})
