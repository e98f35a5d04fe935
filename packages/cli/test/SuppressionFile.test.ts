import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Delivery, Recipient, Suppression, Tenant } from "@waybill/core"
import { MemoryStorage } from "@waybill/storage"
import { DateTime, Effect, FileSystem, Layer, Option, Result, Schema, Stream } from "effect"
import { SecureRandom } from "effect/crypto"
import { TestClock } from "effect/testing"
import * as SuppressionFile from "../src/work/suppressions/SuppressionFile.ts"
import * as SuppressionImport from "../src/work/suppressions/SuppressionImport.ts"
import * as Waybill from "./Waybill.ts"

const formats = ["csv", "ndjson"] as const

const letters = Schema.String.check(Schema.isPattern(/^[-a-z0-9=+'"@, ;#!$%&*/?^_`{|}~.]{1,20}$/))

const Given = Schema.Struct({
  local: letters,
  reason: Suppression.Reason,
  stream: Schema.NullOr(Delivery.Stream),
  second: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2_000_000_000 }))
})

const suppressionOf = ({ local, reason, second, stream }: typeof Given.Type): Suppression.Suppression => ({
  recipient: Option.some(Recipient.Recipient.make(`${local.trim() || "x"}@reader.example`)),
  reason,
  stream: Option.fromNullOr(stream),
  since: DateTime.makeUnsafe(second * 1000),
  until: Option.none(),
  eventId: Option.none()
})

/** 9999-12-30T00:00:00Z, so that no row of a test is of the future unless it says so. */
const endOfYears = 253_402_128_000_000

/** The rows of a text as a file, read as the command does. */
const read = Effect.fnUntraced(function*(
  text: string | Uint8Array,
  format: SuppressionFile.Format = "csv",
  reason: Option.Option<Suppression.Reason> = Option.none()
) {
  const file = yield* Waybill.file(yield* Waybill.directory, `list.${format}`, text)
  yield* TestClock.setTime(endOfYears)
  return yield* Stream.runCollect(SuppressionFile.rows({ file, format, reason }))
}, Effect.scoped)

const additions = (rows: ReadonlyArray<SuppressionFile.Row>) =>
  rows.map(({ parsed }) => Result.getOrElse(parsed, (issue) => assert.fail(issue)))

/** Lines and what is wrong with them, or the row in short. */
const told = (rows: ReadonlyArray<SuppressionFile.Row>) =>
  rows.map(({ line, parsed }) =>
    Result.match(parsed, {
      onFailure: (issue) => `${line} ${issue.slice(0, issue.indexOf(":") + 1 || undefined)}`,
      onSuccess: ({ reason, recipient, since, stream }) =>
        [
          line,
          recipient,
          reason,
          Option.getOrElse(stream, () => "all"),
          Option.getOrElse(Option.map(since, DateTime.formatIso), () => "now")
        ].join(" ")
    })
  )

const issueOf = <A, R>(effect: Effect.Effect<A, SuppressionFile.UnusableImport, R>) =>
  Effect.map(Effect.flip(effect), ({ issue }) => issue)

describe("A file of suppressions", () => {
  for (const format of formats) {
    it.effect.prop(
      `reads from ${format} what was written, whatever the addresses begin with`,
      [Schema.Array(Given)],
      ([given]) =>
        Effect.gen(function*() {
          const suppressions = given.map(suppressionOf)
          const text = yield* Stream.mkString(SuppressionFile.encode(Stream.fromIterable(suppressions), format))
          const rows = yield* read(text, format)
          assert.deepStrictEqual(
            additions(rows).map(({ reason, recipient, since, stream }) => ({
              recipient,
              reason,
              stream,
              since: Option.getOrThrow(since)
            })),
            suppressions.map(({ reason, recipient, since, stream }) => ({
              recipient: Option.getOrThrow(recipient),
              reason,
              stream,
              since
            }))
          )
        }).pipe(Effect.provide(NodeServices.layer)),
      { arbitrary: { runs: 60 } }
    )
  }

  it.effect("has no cell that a spreadsheet takes for a formula", () =>
    Effect.gen(function*() {
      const of = (local: string) => suppressionOf({ local, reason: "manual", stream: null, second: 0 })
      const text = yield* Stream.mkString(
        SuppressionFile.encode(Stream.fromIterable(["=1+1", "+1", "-1", "@a", "'x", "ann"].map(of)), "csv")
      )
      const cells = text.split("\n").map((line) => line.replace(/^"/, "").slice(0, 2))
      assert.deepStrictEqual(cells, ["re", "'=", "'+", "'-", "'@", "''", "an", ""])
    }))

  it.effect("leaves out whose address is forgotten", () =>
    Effect.gen(function*() {
      const forgotten = {
        ...suppressionOf({ local: "a", reason: "manual", stream: null, second: 0 }),
        recipient: Option.none()
      }
      const text = yield* Stream.mkString(SuppressionFile.encode(Stream.succeed(forgotten), "csv"))
      assert.strictEqual(text, "recipient,reason,stream,since\n")
    }))

  it.effect("may be a list of a provider", () =>
    Effect.gen(function*() {
      const postmark =
        "EmailAddress,SuppressionReason,Origin,CreatedAt\r\nann@reader.example,HardBounce,Recipient,2019-12-10T08:58:33-05:00\r\n" +
        "bob@reader.example,SpamComplaint,Recipient,2019-12-10T08:58:33Z\r\n" +
        "cy@reader.example,ManualSuppression,Customer,2019-12-10\r\n"
      assert.deepStrictEqual(told(yield* read(postmark)), [
        "2 ann@reader.example bounced all 2019-12-10T13:58:33.000Z",
        "3 bob@reader.example complained all 2019-12-10T08:58:33.000Z",
        "4 cy@reader.example manual all 2019-12-10T00:00:00.000Z"
      ])
      const sendGrid =
        "status,reason,email,created\n5.1.1,\"550 5.1.1 no\nsuch user\",ann@reader.example,1443651125\n" +
        "5.1.1,550,bob@reader.example,1443651126\n"
      assert.deepStrictEqual(told(yield* read(sendGrid, "csv", Option.some("bounced"))), [
        "2 ann@reader.example bounced all 2015-09-30T22:12:05.000Z",
        "4 bob@reader.example bounced all 2015-09-30T22:12:06.000Z"
      ])
      const mailgun =
        "address,code,error,created_at\nann@reader.example,550,No such mailbox,\"Fri, 21 Oct 2011 11:02:55 UTC\"\n"
      assert.deepStrictEqual(told(yield* read(mailgun, "csv", Option.some("bounced"))), [
        "2 ann@reader.example bounced all 2011-10-21T11:02:55.000Z"
      ])
      const ndjson =
        "{\"email\":\"ann@reader.example\",\"reason\":\"unsubscribe\",\"stream\":\"bulk\",\"created\":1443651125,\"ip\":[1]}\r\n"
      assert.deepStrictEqual(told(yield* read(ndjson, "ndjson")), [
        "1 ann@reader.example unsubscribed bulk 2015-09-30T22:12:05.000Z"
      ])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("names each bad row by its line, and no value", () =>
    Effect.gen(function*() {
      const csv = "\ufeffrecipient;x,reason,stream,since\n"
      assert.include(yield* issueOf(read(csv)), "no column recipient")
      const rows = yield* read(
        "\ufeffEmail,Reason,Stream,Since\n\nann@reader.example,bounced,,\nnobody,bounced,,\n\"ann@reader.example\",\"so\nit goes\",,\n" +
          "ann@reader.example,bounced,news,\nann@reader.example,bounced,,yesterday\nann@reader.example,,,\n" +
          "ann@reader.example,bounced,,,more\nann@reader.example,bounced,,2020-02-30\nann@reader.example,bounced\n" +
          "ann@reader.example,bounced,,9999-12-31T23:00:00Z"
      )
      assert.deepStrictEqual(told(rows), [
        "3 ann@reader.example bounced all now",
        "4 recipient:",
        "5 reason:",
        "7 stream:",
        "8 since:",
        "9 reason:",
        "10 it has more cells than the first line",
        "11 since:",
        "12 ann@reader.example bounced all now",
        "13 since:"
      ])
      const ndjson = yield* read("{}\n\n[1]\nnot json\n{\"email\":[1]}\n{\"email\":null}", "ndjson")
      assert.deepStrictEqual(told(ndjson), [
        "1 recipient:",
        "3 it is not a JSON object",
        "4 it is not a JSON object",
        "5 recipient:",
        "6 recipient:"
      ])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("is refused as a whole where it cannot be read on", () =>
    Effect.gen(function*() {
      assert.include(yield* issueOf(read("email\nann@reader.example\n")), "--reason")
      assert.include(yield* issueOf(read("email,reason\n\"ann\"x,bounced\n")), "line 2: it is not CSV")
      assert.include(yield* issueOf(read(`email,reason\n${"a".repeat(70_000)}`)), "line 2: a row is longer")
      assert.include(yield* issueOf(read("a".repeat(200_000), "ndjson")), "line 1: a row is longer")
      const file = { file: "/nowhere/list.csv", format: "csv", reason: Option.none() } as const
      assert.strictEqual(yield* issueOf(Stream.runDrain(SuppressionFile.rows(file))), "no such file")
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("of a million rows is read in little memory", () =>
    Effect.gen(function*() {
      const rows = Array.from({ length: 1_000_000 }, (_, n) => `reader-${n}@reader.example,bounced\n`).join("")
      const file = yield* Waybill.file(yield* Waybill.directory, "list.csv", `email,reason\n${rows}`)
      globalThis.gc?.()
      const before = process.memoryUsage().heapUsed
      let [count, most] = [0, 0]
      yield* Stream.runForEach(SuppressionFile.rows({ file, format: "csv", reason: Option.none() }), () =>
        Effect.sync(() => {
          if (++count % 50_000 === 0) {
            most = Math.max(most, process.memoryUsage().heapUsed - before)
          }
        }))
      assert.strictEqual(count, 1_000_000)
      assert.isBelow(most, 150_000_000)
    }).pipe(Effect.provide(NodeServices.layer), Effect.scoped), 120_000)
})

describe("an import", () => {
  it.effect("fails where its file changed between its two readings", () =>
    Effect.gen(function*() {
      const text = (names: ReadonlyArray<string>) =>
        ["recipient", ...names.map((name) => `${name}@reader.example`), ""].join("\n")
      const file = yield* Waybill.file(yield* Waybill.directory, "list.csv", text(["ann", "bob"]))
      const files = yield* FileSystem.FileSystem
      let readings = 0
      const changing = FileSystem.FileSystem.of({
        ...files,
        stream: (path, options) =>
          ++readings === 1 ? files.stream(path, options) : Stream.make(new TextEncoder().encode(text(["ann"])))
      })
      const failure = yield* SuppressionImport.run({
        file,
        format: "csv",
        reason: Option.some("unsubscribed"),
        dryRun: false,
        skipBad: false,
        because: Option.none(),
        actor: "test",
        tenantId: Tenant.defaultTenantId
      }).pipe(Effect.provideService(FileSystem.FileSystem, changing), Effect.flip)
      assert.match(failure.message, /: it changed while it was read; import it again$/)
    }).pipe(
      Effect.provide(MemoryStorage.layer.pipe(Layer.provide(SecureRandom.layerWebCrypto))),
      Effect.provide(NodeServices.layer)
    ))
})
