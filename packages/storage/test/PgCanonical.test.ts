import { assert, describe, it } from "@effect/vitest"
import { Recipient } from "@waybill/core"
import { PgLite, PgMigrations, PgRows, PgServer } from "@waybill/storage"
import { Arbitrary, Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import * as TestDatabase from "./TestDatabase.ts"

const bare = Layer.unwrap(Effect.map(TestDatabase.fresh, (url) => PgServer.layer(url)))

/** Added to Unicode after the oldest server that is supported, so that it may not know their normal forms. */
const recent: ReadonlyArray<readonly [from: number, to: number]> = [
  [0xa7f1, 0xa7f1],
  [0x105c0, 0x105ff],
  [0x11380, 0x113ff],
  [0x16100, 0x1613f],
  [0x16d40, 0x16d7f],
  [0x1ccd0, 0x1ccff],
  [0x1e030, 0x1e06f]
]

const isRecent = (code: number): boolean => recent.some(([from, to]) => code >= from && code <= to)

/** Every character that case or normalization changes, and some of all the rest. */
const characters = Array.from({ length: 0x110000 - 0x80 }, (_, index) => index + 0x80)
  .filter((code) => (code < 0xd800 || code > 0xdfff) && !isRecent(code))
  .filter((code) => {
    const text = String.fromCodePoint(code)
    return code % 997 === 0 ||
      [text.toLowerCase(), text.normalize("NFC"), text.normalize("NFKC")].some((of) => of !== text)
  })
  .map((code) => String.fromCodePoint(code))

const piece = Arbitrary.schema(
  Schema.Literals([
    "a",
    "Z",
    "1",
    "-",
    ".",
    "@",
    " ",
    "xn--",
    "İ",
    "Ä",
    "Ä",
    "̣",
    "ß",
    "ẞ",
    "Σ",
    "ς",
    "K",
    "Ａ",
    "＠",
    "。",
    "．",
    "­",
    "️",
    "H̱",
    "℀",
    "😀",
    "日本",
    "א",
    "م",
    "가",
    "가",
    "􏿿"
  ])
)

const address = Arbitrary.map(
  Arbitrary.all([Arbitrary.array(piece, { maxLength: 8 }), Arbitrary.array(piece, { maxLength: 12 })]),
  ([local, domain]) => `${local.join("")}@${domain.join("")}`
)

const suite = (name: string, layer: Layer.Layer<SqlClient.SqlClient, unknown>) =>
  describe(`canonical_recipient (${name})`, () => {
    it.live("gives the form that the core gives, which is its own", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* PgMigrations.migrate()
        const addresses = [
          "",
          "Ann@Example.COM",
          "ann@example.com.",
          ...characters.map((character) => `H${character}a@x${character}Y.${character}.example`),
          ...yield* Arbitrary.sampleEffect(address, { count: 2000 })
        ]
        const rows = yield* sql<{ readonly address: string; readonly form: string; readonly again: string }>`
          SELECT address, form, waybill.canonical_recipient(form) AS again
          FROM (
            SELECT address, waybill.canonical_recipient(address) AS form
            FROM unnest(${PgRows.texts(addresses)}) AS given (address) OFFSET 0
          ) once
        `
        assert.lengthOf(rows, addresses.length)
        for (const { address, again, form } of rows) {
          const ours = Recipient.canonical(address)
          if (form !== ours || again !== ours) assert.fail(JSON.stringify({ address, ours, form, again }))
        }
      }).pipe(Effect.provide(layer)), 60_000)

    it.live("costs a plain address no more than its lower case: it is inlined", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* PgMigrations.migrate()
        const plan = yield* sql`
          EXPLAIN (VERBOSE, COSTS OFF) SELECT waybill.canonical_recipient(d.recipient) FROM waybill.deliveries d
        `
        assert.include(JSON.stringify(plan), "THEN lower(")
      }).pipe(Effect.provide(layer)), 60_000)
  })

suite("PostgreSQL", bare)
suite("PGlite", PgLite.layer())
