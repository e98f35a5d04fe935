import { assert, describe, it } from "@effect/vitest"
import { Recipient } from "@waybill/core"
import { PgLite, PgMigrations, PgServer } from "@waybill/storage"
import { Arbitrary, Effect, Layer, Schema } from "effect"
import { Migrator, SqlClient } from "effect/sql"
import * as migration0001 from "../src/internal/migrations/migration0001.ts"
import * as migration0002 from "../src/internal/migrations/migration0002.ts"
import * as Parameters from "../src/internal/pg/Parameters.ts"
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

/** The schema as it was before recipients had a canonical form. */
const before = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const all = (statements: ReadonlyArray<string>) =>
    Effect.forEach(statements, (statement) => sql.unsafe(statement), { discard: true })
  yield* sql`CREATE SCHEMA waybill`
  yield* Migrator.make({})({
    table: "waybill.migrations",
    loader: Migrator.fromRecord({
      "0001_create_ledger": all(migration0001.statements("waybill")),
      "0002_create_inbox_and_sweeps": all(migration0002.statements("waybill"))
    })
  })
})

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
            FROM unnest(${Parameters.texts(addresses)}) AS given (address) OFFSET 0
          ) once
        `
        assert.lengthOf(rows, addresses.length)
        for (const { address, again, form } of rows) {
          const ours = Recipient.canonical(address)
          if (form !== ours || again !== ours) assert.fail(JSON.stringify({ address, ours, form, again }))
        }
      }).pipe(Effect.provide(layer)), 60_000)

    it.live("brings what is stored to the form, and what waits for it is linkable", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* before
        const deliveries = [
          ["jo@b\u00fccher.example", "ses", "0102-a@eu-west-1.amazonses.com"],
          ["J\u00d6@example.com.", "ses", "0102-b"],
          ["jo\u0308@example.com", "ses", "0102-b"],
          ["Ann@Example.com", "mailgun", "x@mg.example.com"]
        ]
        for (const [recipient, provider, messageId] of deliveries) {
          yield* sql`
            INSERT INTO waybill.deliveries (tenant_id, mailable, stream, recipient, provider, provider_message_id)
            VALUES ('t', 'welcome', 'bulk', ${recipient}, ${provider}, ${messageId})
          `
        }
        const orphans = [
          ["jo@xn--bcher-kva.example", "0102-a"],
          ["jo@b\u00fccher.example", "0102-a"],
          ["jo\u0308@example.com", "0102-b"],
          ["jo@example.com", "0102-b"]
        ]
        for (const [recipient, messageId] of orphans) {
          yield* sql`
            WITH added AS (
              INSERT INTO waybill.events (id, tenant_id, type, occurred_at, inserted_at, provider, provider_message_id,
                recipient_pseudonym, needs_reconciliation, idempotency_key)
              VALUES (gen_random_uuid(), 't', 'opened', now(), now(), 'ses', ${messageId},
                waybill.recipient_pseudonym('t', ${recipient}), true, ${`${recipient} ${messageId}`})
              RETURNING id, inserted_at
            )
            INSERT INTO waybill.orphans (event_id, tenant_id, correlation, recipient_digest, inserted_at)
            SELECT id, 't', ${`message:ses:${messageId}`}, waybill.recipient_digest('t', ${recipient}), inserted_at FROM added
          `
        }
        yield* PgMigrations.migrate()
        const rows = yield* sql`
          SELECT recipient_domain AS domain, provider_message_id AS message,
            recipient_digest = waybill.recipient_digest('t', recipient) AS "isCanonical"
          FROM waybill.deliveries ORDER BY inserted_at
        `
        assert.deepStrictEqual(rows, [
          { domain: "xn--bcher-kva.example", message: "0102-a", isCanonical: true },
          { domain: "example.com", message: "0102-b", isCanonical: true },
          // Another delivery of its message is to the same recipient.
          { domain: "example.com", message: "0102-b", isCanonical: false },
          { domain: "example.com", message: "x@mg.example.com", isCanonical: true }
        ])
        const waiting = yield* sql`
          SELECT o.ready FROM waybill.orphans o JOIN waybill.events e ON e.id = o.event_id ORDER BY e.position
        `
        assert.deepStrictEqual(waiting, [{ ready: true }, { ready: true }, { ready: true }, { ready: false }])
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
suite("PGlite", PgLite.layer({ empty: true }))
