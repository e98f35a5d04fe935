import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Waybill from "./Waybill.ts"

const Figures = Schema.Struct({
  grain: Schema.String,
  followedAt: Schema.String,
  figures: Schema.Array(Schema.Struct({
    stream: Schema.optionalKey(Schema.String),
    mailbox: Schema.optionalKey(Schema.String),
    dispatched: Schema.Int,
    delivered: Schema.Int,
    hardBounced: Schema.Int,
    complaintsReported: Schema.Boolean,
    complaintRate: Schema.NullOr(Schema.Finite),
    ripe: Schema.Boolean
  }))
})

/** Two deliveries, one of them delivered and one bounced. */
const sent = Effect.gen(function*() {
  const env = yield* Waybill.migrated
  for (const [index, recipient] of ["a1@gmail.com", "a2@yahoo.com"].entries()) {
    const record = ["record", "--recipient", recipient, "--mailable", "m", "--stream", "bulk"]
    const { id } = yield* Waybill.json(Waybill.Recorded, record, env)
    yield* Waybill.run(["dispatch", id, "--provider", "postmark", "--provider-message-id", `m-${index + 1}`], env)
  }
  const ingest = (body: object) =>
    Waybill.run(["ingest", "--provider", "postmark", "--unverified"], env, JSON.stringify(body))
  const at = new globalThis.Date().toISOString()
  yield* ingest({ RecordType: "Delivery", MessageID: "m-1", Recipient: "a1@gmail.com", DeliveredAt: at })
  yield* ingest({
    RecordType: "Bounce",
    ID: 7,
    Type: "HardBounce",
    MessageID: "m-2",
    Email: "a2@yahoo.com",
    BouncedAt: at
  })
  return env
})

describe("figures", () => {
  it.live(
    "tell what became of what was sent, as of now, as JSON, a table and comma-separated values",
    () =>
      Effect.gen(function*() {
        const env = yield* sent
        const { figures, grain } = yield* Waybill.json(Figures, ["figures", "--since", "1d"], env)
        assert.strictEqual(grain, "hour")
        assert.deepStrictEqual(
          figures.map(({ delivered, dispatched, hardBounced, ripe, stream }) => [
            stream,
            dispatched,
            delivered,
            hardBounced,
            ripe
          ]),
          [["bulk", 2, 1, 1, false]]
        )
        const by = yield* Waybill.json(Figures, ["figures", "--by", "mailbox"], env)
        assert.deepStrictEqual(
          by.figures.map((
            { complaintRate, complaintsReported, mailbox }
          ) => [mailbox, complaintsReported, complaintRate]),
          [["gmail", false, null], ["yahoo", true, null]]
        )
        const table = yield* Waybill.run(["figures", "--by", "stream,mailbox"], env)
        assert.match(table.stdout, /^STREAM {2}MAILBOX {2}DISPATCHED {2}DELIVERED/)
        assert.match(table.stdout, /^bulk +gmail +1\* +100.0% +0.0% .*not reported.*\u2588/m)
        assert.include(table.stdout, "* not ripe")
        const csv = (yield* Waybill.run(["figures", "--by", "domain", "--csv"], env)).stdout.trim().split("\n")
        assert.match(csv[0] ?? "", /^domain,dispatched,silent,delivered,hardBounced,/)
        assert.deepStrictEqual(csv.slice(1).map((line) => line.split(",").slice(0, 4)), [
          ["gmail.com", "1", "0", "1"],
          ["yahoo.com", "1", "0", "0"]
        ])
        assert.deepStrictEqual(
          (yield* Waybill.json(Figures, ["figures", "--tenant-id", "acme"], env)).figures,
          []
        )
      }),
    60_000
  )

  it.live("are refused by what mail does not have, and in two forms at once", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      for (
        const [args, says] of [
          [["--by", "recipient"], "must be any of tenant, stream, provider, mailbox, domain"],
          [["--since", "yesterday"], "must be a duration"],
          [["--since", "500d"], "from: must be at most 400 days before to"],
          [["--csv", "--json"], "--csv, --json: give one of them"]
        ] as const
      ) {
        const { code, stderr } = yield* Waybill.run(["figures", ...args], env)
        assert.strictEqual(code, 2)
        assert.include(stderr, says)
      }
    }), 60_000)
})
