/**
 * The last released program on the schema of today: what it sent to the database is sent again, byte by byte, and must have the
 * same answers.
 *
 * A recording proves that its statements still run and do the same to as many rows. It proves nothing of statements that are
 * not in it, and nothing of the values that they return.
 */
import { assert, describe, it } from "@effect/vitest"
import { PGlite } from "@electric-sql/pglite"
import * as PgLite from "@waybill/storage/PgLite"
import * as PgMigrations from "@waybill/storage/PgMigrations"
import { Effect, Schema } from "effect"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Answers from "./released/Answers.ts"

const decode = Schema.decodeEffect(Schema.fromJsonString(Schema.Array(Schema.Struct({
  step: Schema.String,
  sent: Schema.String,
  answers: Schema.Array(Schema.String)
}))))

const recorded = (release: string) =>
  Effect.promise(() => readFile(new URL(`released/${release}.json`, import.meta.url), "utf8")).pipe(
    Effect.flatMap(decode)
  )

/** A database in a directory, migrated by the program of today. */
const migrated = Effect.gen(function*() {
  const directory = yield* Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "waybill-released-"))),
    (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
  )
  yield* Effect.provide(PgMigrations.migrate(), PgLite.layer({ directory }))
  return yield* Effect.acquireRelease(
    Effect.promise(() => PGlite.create(join(directory, "data"))),
    (database) => Effect.promise(() => database.close())
  )
})

describe("the released program 0.1.0", () => {
  it.live("works on the schema of today as on its own", () =>
    Effect.gen(function*() {
      const steps = yield* recorded("0.1.0")
      const database = yield* migrated
      for (const { answers, sent, step } of steps) {
        const bytes = Buffer.from(sent, "base64")
        const found = yield* Effect.sync(() => Answers.read(database.execProtocolRawSync(bytes)))
        // There are more migrations now.
        if (bytes.includes("SELECT migration_id")) assert.match(found.join(), /^SELECT \d+$/)
        else assert.deepStrictEqual(found, answers, step)
      }
      assert.isAbove(steps.length, 50)
    }), 120_000)
})
