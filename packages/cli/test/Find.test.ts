import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Waybill from "./Waybill.ts"

const Found = Schema.Struct({
  deliveries: Schema.Array(Schema.Struct({ id: Schema.String, status: Schema.String })),
  next: Schema.NullOr(Schema.String)
})

const History = Schema.Struct({
  suppressions: Schema.Array(Schema.Struct({ reason: Schema.String, eventId: Schema.NullOr(Schema.String) })),
  deliveries: Schema.Array(Schema.Struct({
    delivery: Schema.Struct({ id: Schema.String }),
    timeline: Schema.Array(Schema.Struct({ type: Schema.String }))
  })),
  next: Schema.NullOr(Schema.String)
})

const record = (recipient: string, env: Waybill.Env) =>
  Effect.map(
    Waybill.json(
      Waybill.Recorded,
      ["record", "--recipient", recipient, "--mailable", "welcome", "--stream", "bulk"],
      env
    ),
    ({ id }) => id
  )

const messageId = "883953f4-6105-42a2-a16a-77a8eac79483"

describe("finding deliveries", () => {
  it.live("what became of a message is found by whatever one has of it, page by page", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      const first = yield* record("reader@example.com", env)
      const second = yield* record("other@example.com", env)
      yield* Waybill.run(["dispatch", first, "--provider", "postmark", "--provider-message-id", messageId], env)
      const find = (...args: ReadonlyArray<string>) => Waybill.json(Found, ["find", ...args], env)
      const ids = (...args: ReadonlyArray<string>) =>
        Effect.map(find(...args), ({ deliveries }) => deliveries.map(({ id }) => id))

      assert.deepStrictEqual(yield* ids("--recipient", "READER@Example.COM"), [first])
      assert.deepStrictEqual(yield* ids("--message-id", `<${messageId}@mtasv.net>`), [first])
      assert.deepStrictEqual(yield* ids("--event", "dispatched"), [first])
      assert.deepStrictEqual(yield* ids("--stuck", "--older-than", "0s"), [second])
      assert.deepStrictEqual(yield* ids("--stuck"), [])
      assert.deepStrictEqual(yield* ids("--tenant-id", "acme"), [])
      const page = yield* find("--domain", "example.com", "--limit", "1")
      assert.deepStrictEqual(page.deliveries, [{ id: second, status: "queued" }])
      const rest = yield* find("--domain", "example.com", "--limit", "1", "--after", page.next ?? "")
      assert.deepStrictEqual(rest, { deliveries: [{ id: first, status: "dispatched" }], next: null })

      const history = yield* Waybill.json(History, ["history", "reader@example.com"], env)
      assert.deepStrictEqual(history, {
        suppressions: [],
        deliveries: [{ delivery: { id: first }, timeline: [{ type: "queued" }, { type: "dispatched" }] }],
        next: null
      })
      const suppress = ["suppressions", "add", "--recipient", "reader@example.com", "--reason", "manual"]
      assert.strictEqual((yield* Waybill.run(suppress, env)).code, 0)
      const suppressed = yield* Waybill.json(History, ["history", "READER@example.com"], env)
      assert.deepStrictEqual(suppressed.suppressions, [{ reason: "manual", eventId: null }])
      const told = yield* Waybill.run(["history", "reader@example.com"], env)
      assert.match(
        told.stdout,
        /^not mailed: manual since \S+, on all streams, by hand\n\n\S+ {2}welcome {2}dispatched /
      )

      const table = yield* Waybill.run(["find", "--limit", "1"], env)
      assert.match(table.stdout, /^RECORDED AT .*\n.* queued .*\n\nmore: the same command with --after \S+\n$/)
      const foreign = yield* Waybill.run(["find", "--status", "queued", "--after", page.next ?? ""], env)
      assert.strictEqual(foreign.code, 2)
      assert.strictEqual(
        foreign.stderr,
        "waybill: the cursor belongs to another query: give the same filters with it, or begin without it\n"
      )
    }), 240_000)
})
