/** Opens the embedded database of a directory when it is told to on its standard input, and says what came of it. */
import * as PgLite from "@waybill/storage/PgLite"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { argv, stdin, stdout } from "node:process"

const say = (line: string) => Effect.sync(() => stdout.write(`${line}\n`))

const told = Effect.callback<void>((resume) => {
  stdin.once("data", () => resume(Effect.void))
})

const own = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE TABLE IF NOT EXISTS opened (at timestamptz DEFAULT clock_timestamp())`
  yield* sql`INSERT INTO opened DEFAULT VALUES`
  yield* say("open")
  return yield* Effect.never
})

await Effect.runPromise(
  Effect.andThen(say("ready"), told).pipe(
    Effect.andThen(Effect.provide(own, PgLite.layer({ directory: argv[2] ?? "" }))),
    Effect.catch((error) => say(error._tag))
  )
)
stdin.destroy()
