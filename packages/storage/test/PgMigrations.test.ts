import { assert, describe, it } from "@effect/vitest"
import { LedgerError, Provider } from "@waybill/core"
import { PgError, PgLedger, PgLite, PgMigrations, PgServer, PgStorage } from "@waybill/storage"
import { Arbitrary, Effect, Layer, Option, Schema } from "effect"
import { SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"
import * as Parameters from "../src/internal/pg/Parameters.ts"
import * as TestDatabase from "./TestDatabase.ts"

const bare = Layer.unwrap(Effect.map(TestDatabase.fresh, (url) => PgServer.layer(url)))

const pieces = ["a", "<", ">", " ", ".", "@amazonses.com", "@ismtpd", "filter", "x".repeat(21)]

/** All texts of so many pieces. */
const texts = (length: number): ReadonlyArray<string> =>
  length === 0 ? [""] : texts(length - 1).flatMap((text) => pieces.map((piece) => text + piece))

const suite = (name: string, layer: Layer.Layer<SqlClient.SqlClient, unknown>) =>
  describe(`PgMigrations (${name})`, () => {
    it.live("creates the schema once", () =>
      Effect.gen(function*() {
        assert.isAbove((yield* PgMigrations.pending()).length, 0)
        const applied = yield* PgMigrations.migrate()
        assert.deepStrictEqual(yield* PgMigrations.pending(), [])
        assert.include(applied, "0001_create_ledger")
        assert.deepStrictEqual(yield* PgMigrations.migrate(), [])
      }).pipe(Effect.provide(layer)))

    it.live("applies each migration once where several migrate at the same time", () =>
      Effect.gen(function*() {
        const applied = yield* Effect.all(Array.from({ length: 4 }, () => PgMigrations.migrate("busy")), {
          concurrency: "unbounded"
        })
        assert.strictEqual(applied.filter((names) => names.length > 0).length, 1)
      }).pipe(Effect.provide(layer)))

    it.live("keeps to a schema whose name needs quotes", () =>
      Effect.gen(function*() {
        yield* PgMigrations.migrate("Mail \"ledger\"")
        assert.deepStrictEqual(yield* PgMigrations.pending("Mail \"ledger\""), [])
        assert.isAbove((yield* PgMigrations.pending("waybill")).length, 0)
        yield* Layer.build(PgLedger.layer({ schema: "Mail \"ledger\"" }))
      }).pipe(Effect.provide(Layer.mergeAll(layer, SecureRandom.layerWebCrypto))))

    it.live("does not build a ledger on a schema that is not migrated", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Layer.build(PgLedger.layer({ schema: "nowhere" })))
        assert.strictEqual(error._tag, "SchemaNotMigrated")
      }).pipe(Effect.provide(Layer.mergeAll(layer, SecureRandom.layerWebCrypto))))

    it.live("writes to a schema of a newer program where that lets it, and else to none", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* PgMigrations.migrate("newer")
        const known = Math.max(...(yield* sql<{ readonly id: number }>`SELECT migration_id AS id FROM newer.migrations`)
          .map(({ id }) => id))
        const storage = Layer.build(PgStorage.layer({ schema: "newer" }))
        yield* sql`
          INSERT INTO newer.migrations (migration_id, name, compatible_since) VALUES (${known + 1}, 'later', ${known})
        `
        assert.deepInclude(yield* PgMigrations.state("newer"), { pending: [], tooNew: undefined })
        assert.deepStrictEqual((yield* PgMigrations.state("newer")).newer, [
          `${String(known + 1).padStart(4, "0")}_later`
        ])
        yield* storage
        yield* sql`INSERT INTO newer.migrations (migration_id, name) VALUES (${known + 2}, 'latest')`
        const tooNew = new LedgerError.SchemaTooNew({ schema: "newer", known, needed: known + 2 })
        assert.deepStrictEqual(yield* Effect.flip(PgMigrations.pending("newer")), tooNew)
        assert.deepStrictEqual(yield* Effect.flip(PgMigrations.migrate("newer")), tooNew)
        assert.deepStrictEqual(yield* Effect.flip(storage), tooNew)
        assert.deepStrictEqual(yield* Effect.flip(Layer.build(PgStorage.layer({ schema: "newer" }))), tooNew)
      }).pipe(Effect.provide(Layer.mergeAll(layer, SecureRandom.layerWebCrypto))))

    it.live("says of each migration how old a program may be", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* PgMigrations.migrate()
        const rows = yield* sql<{ readonly id: number; readonly since: number | null }>`
          SELECT migration_id AS id, compatible_since AS since FROM waybill.migrations
        `
        assert.isAbove(rows.length, 2)
        for (const { id, since } of rows) assert.isTrue(since !== null && since > 0 && since <= id)
      }).pipe(Effect.provide(layer)))

    it.live("refuses UPDATE, DELETE and TRUNCATE of events, typed", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* PgMigrations.migrate()
        for (
          const [operation, statement] of [
            ["UPDATE", sql`UPDATE waybill.events SET type = 'bounced'`],
            ["DELETE", sql`DELETE FROM waybill.events`],
            ["TRUNCATE", sql`TRUNCATE waybill.events CASCADE`]
          ] as const
        ) {
          const error = yield* Effect.flip(statement)
          assert.strictEqual(PgError.sqlState(error), "45A01")
          const typed = PgError.fromSqlError("waybill")(error)
          assert.strictEqual(typed._tag, "LedgerImmutable")
          assert.include(typed.message, operation)
        }
        // The role that replication uses skips ordinary triggers.
        yield* sql.withTransaction(Effect.gen(function*() {
          yield* sql`SET LOCAL session_replication_role = replica`
          const error = yield* Effect.flip(sql`DELETE FROM waybill.events`)
          assert.strictEqual(PgError.sqlState(error), "45A01")
          return yield* Effect.fail("roll back" as const)
        })).pipe(Effect.ignore)
      }).pipe(Effect.provide(layer)))

    it.live("canonicalises every short text as the core does", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* PgMigrations.migrate()
        const raws = [0, 1, 2, 3, 4].flatMap(texts)
        for (const provider of ["mailgun", "sendgrid", "ses"]) {
          const rows = yield* sql<{ readonly raw: string; readonly id: string | null; readonly again: string | null }>`
            SELECT raw, id, waybill.canonical_message_id(${provider}, id) AS again
            FROM (
              SELECT raw, waybill.canonical_message_id(${provider}, raw) AS id
              FROM unnest(${Parameters.texts(raws)}) AS given (raw)
            ) once
          `
          assert.lengthOf(rows, raws.length)
          for (const { again, id, raw } of rows) {
            const ours = Option.getOrNull(Provider.canonicalMessageId(provider, raw))
            const theirs = Option.getOrNull(
              Option.flatMap(Option.fromNullOr(id), (id) => Provider.MessageId.makeOption(id))
            )
            if (ours !== theirs || id !== again) assert.fail(JSON.stringify({ provider, raw, ours, id, again }))
          }
        }
      }).pipe(Effect.provide(layer)), 30_000)

    it.live("canonicalises message ids as the core does", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* PgMigrations.migrate()
        const piece = Arbitrary.schema(Schema.Literals([
          "a",
          "A1-_",
          ".",
          "filter",
          "recvd",
          ".filter",
          ".recvd-",
          "<",
          ">",
          "@",
          "@eu-west-1.amazonses.com",
          "@geopod-ismtpd-3-0",
          "0a129aee-e1cd-480d-b08d-4f48548ff48d@mtasv.net",
          " ",
          "\t",
          "\n",
          "14c5d75ce93.dfd.64b469",
          "é"
        ]))
        const samples = yield* Arbitrary.sampleEffect(
          Arbitrary.all([
            Arbitrary.schema(Schema.Literals(["sendgrid", "mailgun", "postmark", "ses", "resend"])),
            Arbitrary.map(Arbitrary.array(piece, { maxLength: 6 }), (pieces) => pieces.join(""))
          ]),
          { count: 400 }
        )
        for (const [provider, raw] of samples) {
          const [row] = yield* sql<{ readonly id: string | null }>`
            SELECT waybill.canonical_message_id(${provider}, ${raw}) AS id
          `
          const ours = Provider.canonicalMessageId(provider, raw)
          const theirs = Option.flatMap(Option.fromNullishOr(row?.id), (id) => Provider.MessageId.makeOption(id))
          assert.deepStrictEqual(theirs, ours, JSON.stringify([provider, raw]))
        }
      }).pipe(Effect.provide(layer)), 30_000)
  })

suite("PostgreSQL", bare)
suite("PGlite", PgLite.layer({ empty: true }))
