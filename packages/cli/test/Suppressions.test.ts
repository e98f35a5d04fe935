import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { existsSync } from "node:fs"
import * as Waybill from "./Waybill.ts"

const Suppression = Schema.Struct({
  recipient: Schema.NullOr(Schema.String),
  stream: Schema.NullOr(Schema.String),
  reason: Schema.String,
  since: Schema.String,
  until: Schema.NullOr(Schema.String),
  eventId: Schema.NullOr(Schema.String)
})

const Checked = Schema.Struct({ suppressions: Schema.Array(Suppression) })

const Listed = Schema.Struct({ suppressions: Schema.Array(Suppression), next: Schema.NullOr(Schema.String) })

const Added = Schema.Struct({ outcome: Schema.String })

const Lifted = Schema.Struct({
  lifted: Schema.Array(
    Schema.Struct({ reason: Schema.String, stream: Schema.NullOr(Schema.String), since: Schema.String })
  )
})

const History = Schema.Struct({
  history: Schema.Array(Schema.Struct({
    at: Schema.String,
    lifts: Schema.Boolean,
    reason: Schema.String,
    stream: Schema.NullOr(Schema.String),
    eventId: Schema.NullOr(Schema.String),
    act: Schema.NullOr(Schema.Struct({
      kind: Schema.String,
      actedAt: Schema.String,
      actor: Schema.NullOr(Schema.String),
      because: Schema.NullOr(Schema.String)
    }))
  }))
})

const Imported = Schema.Struct({
  dryRun: Schema.Boolean,
  applied: Schema.Boolean,
  good: Schema.Int,
  added: Schema.Int,
  held: Schema.Int,
  lapsed: Schema.Int,
  badRows: Schema.Int,
  bad: Schema.Array(Schema.Struct({ line: Schema.Int, issue: Schema.String }))
})

const complaint = JSON.stringify({
  RecordType: "SpamComplaint",
  ID: 42,
  MessageID: "11111111-2222-4333-8444-555555555555",
  Email: "Ann@Example.com",
  BouncedAt: "2026-11-20T10:00:00Z",
  Type: "SpamComplaint"
})

const ann = "--recipient=ann@example.com"

describe("suppressions", () => {
  it.live(
    "a complaint is found, lifted only with a reason, and its history proves who lifted it",
    () =>
      Effect.gen(function*() {
        const env = yield* Waybill.migrated
        const wb = <A, I>(schema: Schema.Codec<A, I>, ...args: ReadonlyArray<string>) => Waybill.json(schema, args, env)
        yield* Waybill.run(["ingest", "--provider=postmark", "--unverified"], env, complaint)
        const { id } = yield* wb(Waybill.Recorded, "record", ann, "--mailable=welcome", "--stream=transactional")
        const message = "--provider-message-id=11111111-2222-4333-8444-555555555555"
        yield* Waybill.run(["dispatch", id, "--provider=postmark", message], env)
        const { suppressions: [found, ...others] } = yield* wb(
          Checked,
          "suppressions",
          "check",
          "--recipient=ANN@example.com",
          "--stream=bulk"
        )
        assert.lengthOf(others, 0)
        assert.deepInclude(found, { recipient: "ANN@example.com", reason: "complained", stream: null, until: null })
        assert.isNotNull(found?.eventId)

        const lift = ["suppressions", "lift", ann, "--reason=complained"]
        const silent = yield* Waybill.run(lift, env)
        assert.deepStrictEqual([silent.code, silent.stdout], [1, ""])
        assert.match(silent.stderr, /^waybill: a complaint is lifted only by saying why[^\n]*\n$/)
        const { lifted } = yield* wb(Lifted, ...lift, "--because=asked by phone", "--actor=support 7")
        assert.deepStrictEqual(lifted.map(({ reason, stream }) => [reason, stream]), [["complained", null]])
        const again = yield* Waybill.run([...lift, "--because=again"], env)
        assert.strictEqual(again.code, 1)
        assert.match(again.stderr, /^waybill: nothing of tenant default is suppressed [^\n]+\n$/)

        const { history } = yield* wb(History, "suppressions", "history", ann)
        assert.deepStrictEqual(history.map(({ act, lifts, reason }) => [reason, lifts, act?.actor, act?.because]), [
          ["complained", true, "support 7", "asked by phone"],
          ["complained", false, undefined, undefined]
        ])
        assert.strictEqual(history[1]?.eventId, found?.eventId)
        assert.lengthOf((yield* wb(Checked, "suppressions", "check", ann)).suppressions, 0)
      }),
    120_000
  )

  it.live(
    "what is added is listed page by page, exported and imported again to the same list",
    () =>
      Effect.gen(function*() {
        const [env, other] = [yield* Waybill.migrated, yield* Waybill.migrated]
        const wb = <A, I>(schema: Schema.Codec<A, I>, ...args: ReadonlyArray<string>) => Waybill.json(schema, args, env)
        assert.deepStrictEqual(yield* wb(Added, "suppressions", "add", ann), { outcome: "added" })
        assert.deepStrictEqual(yield* wb(Added, "suppressions", "add", ann), { outcome: "held" })
        yield* wb(
          Added,
          "suppressions",
          "add",
          "--recipient==1+1@example.com",
          "--reason=unsubscribed",
          "--stream=bulk"
        )
        const all = yield* wb(Listed, "suppressions", "list")
        assert.sameMembers(all.suppressions.map(({ recipient }) => recipient), ["ann@example.com", "=1+1@example.com"])
        const first = yield* wb(Listed, "suppressions", "list", "--limit=1")
        const second = yield* wb(Listed, "suppressions", "list", "--limit=1", `--after=${first.next}`)
        assert.deepStrictEqual([...first.suppressions, ...second.suppressions], all.suppressions)
        assert.isNull(second.next)
        const bulk = yield* wb(Listed, "suppressions", "list", "--reason=unsubscribed", "--stream=bulk")
        assert.lengthOf(bulk.suppressions, 1)
        const foreign = yield* Waybill.run(["suppressions", "list", "--reason=manual", `--after=${first.next}`], env)
        assert.strictEqual(foreign.code, 2)

        const directory = yield* Waybill.directory
        for (const format of ["csv", "ndjson"]) {
          const { stdout } = yield* Waybill.run(["suppressions", "export", `--format=${format}`], env)
          const file = yield* Waybill.file(directory, `list.${format}`, stdout)
          const counts = yield* Waybill.json(Imported, ["suppressions", "import", file], other)
          assert.deepInclude(counts, format === "csv" ? { added: 2, held: 0 } : { added: 0, held: 2 })
          // The order is that of digests, under a secret that each database has for itself.
          const { suppressions } = yield* Waybill.json(Listed, ["suppressions", "list"], other)
          assert.sameDeepMembers([...suppressions], [...all.suppressions])
        }
        const { stdout } = yield* Waybill.run(["suppressions", "export"], env)
        assert.match(stdout, /^'=1\+1@example.com,unsubscribed,bulk,/m)
      }),
    240_000
  )

  it.live(
    "an import with bad rows names them all and writes nothing, unless they are left out",
    () =>
      Effect.gen(function*() {
        const env = yield* Waybill.migrated
        const directory = yield* Waybill.directory
        const file = yield* Waybill.file(
          directory,
          "list.csv",
          "email,reason,created_at\nann@example.com,HardBounce,2026-01-01\nnobody,bounced,\nbob@example.com,what,\n"
        )
        const refused = yield* Waybill.run(["suppressions", "import", file, "--json"], env)
        assert.strictEqual(refused.code, 2)
        const lines = refused.stderr.trimEnd().split("\n")
        assert.deepStrictEqual(lines.map((line) => line.slice(0, 16)), [
          "waybill: line 3:",
          "waybill: line 4:",
          "waybill: 2 bad r"
        ])
        const document = yield* Schema.decodeEffect(Schema.fromJsonString(Imported))(refused.stdout)
        assert.deepInclude(document, { applied: false, good: 1, added: 0, badRows: 2 })
        assert.deepStrictEqual(document.bad.map(({ line }) => line), [3, 4])
        const dry = yield* Waybill.run(["suppressions", "import", file, "--dry-run", "--skip-bad"], env)
        assert.deepStrictEqual([dry.code, dry.stdout], [
          0,
          "1 good rows, 2 bad ones; nothing was written\n" +
          "1 would be suppressed, 0 are already, 0 were lifted later or have ended\n"
        ])
        assert.lengthOf((yield* Waybill.json(Listed, ["suppressions", "list"], env)).suppressions, 0)
        for (const [added, held] of [[1, 0], [0, 1]] as const) {
          const { stdout } = yield* Waybill.run(["suppressions", "import", file, "--skip-bad", "--json"], env)
          const counts = yield* Schema.decodeEffect(Schema.fromJsonString(Imported))(stdout)
          assert.deepInclude(counts, { applied: true, added, held, badRows: 2 })
        }
        const [listed] = (yield* Waybill.json(Listed, ["suppressions", "list"], env)).suppressions
        assert.deepInclude(listed, {
          recipient: "ann@example.com",
          reason: "bounced",
          since: "2026-01-01T00:00:00.000Z"
        })
      }),
    120_000
  )

  it.live("wrong input is one line and exit 2, and opens nothing", () =>
    Effect.gen(function*() {
      const directory = yield* Waybill.directory
      const env = { WAYBILL_DATABASE_URL: `pglite:${directory}/none` }
      for (
        const args of [
          ["check", "--recipient=nobody"],
          ["check"],
          ["list", "--reason=rude"],
          ["add", ann, "--because=ann@example.com said so"],
          ["lift", ann],
          ["list", "--since=yesterday"]
        ]
      ) {
        const { code, stderr, stdout } = yield* Waybill.run(["suppressions", ...args], env)
        assert.deepStrictEqual([code, stdout], [2, ""], args.join(" "))
        assert.match(stderr, /^waybill suppressions [^\n]+\n$/)
        assert.notInclude(stderr, "ann@example.com")
      }
      assert.isFalse(existsSync(`${directory}/none`))
    }), 120_000)
})
