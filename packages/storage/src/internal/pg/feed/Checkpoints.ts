/**
 * Keeps the checkpoints of the feed's consumers in PostgreSQL.
 */
import { Checkpoints, Cursor, Input, Tenant } from "@waybill/core"
import { DateTime, Effect, Option, Schema } from "effect"
import type { Database } from "../Database.ts"
import * as Parameters from "../Parameters.ts"
import type * as Places from "./Places.ts"

const decode = Schema.decodeUnknownEffect(
  Schema.Array(Schema.Struct({ consumer: Schema.String, cursor: Cursor.Cursor, savedAt: Schema.DateTimeUtcFromDate }))
)

/** Opens the checkpoints of a schema. */
export const make = ({ sql, statements, table }: Database, placeOf: Places.PlaceOf) => {
  const checkpoints = table("checkpoints")

  const load = Effect.fn("Checkpoints.load")(function*(consumer: string) {
    yield* Effect.fromResult(Input.consumer({ consumer }))
    const [found] = yield* statements(
      Tenant.all,
      sql<{ readonly cursor: string }>`SELECT cursor FROM ${checkpoints} WHERE name = ${consumer}`
    )
    return Option.map(Option.fromUndefinedOr(found), ({ cursor }) => Cursor.Cursor.make(cursor))
  })

  const save = Effect.fn("Checkpoints.save")(function*(consumer: string, cursor: Cursor.Cursor) {
    yield* Effect.fromResult(Input.consumer({ consumer }))
    yield* Effect.fromResult(Input.cursor(cursor))
    const now = yield* DateTime.now
    yield* statements(
      Tenant.all,
      sql`
      INSERT INTO ${checkpoints} (name, cursor, saved_at) VALUES (${consumer}, ${cursor}, ${Parameters.instant(now)})
      ON CONFLICT (name) DO UPDATE SET cursor = EXCLUDED.cursor, saved_at = EXCLUDED.saved_at
    `
    )
  })

  const list = Effect.flatMap(
    statements(
      Tenant.all,
      sql`SELECT name AS consumer, cursor, saved_at AS "savedAt" FROM ${checkpoints} ORDER BY name COLLATE "C"`
    ),
    (rows) => Effect.orDie(decode(rows))
  ).pipe(Effect.withSpan("Checkpoints.list"))

  const reset = Effect.fn("Checkpoints.reset")(function*(consumer: string, beginning: Checkpoints.Beginning) {
    yield* Effect.fromResult(Input.consumer({ consumer }))
    yield* Effect.fromResult(Input.beginning(beginning))
    const cursor = yield* placeOf(beginning)
    yield* save(consumer, cursor)
    return cursor
  })

  return Checkpoints.Checkpoints.of({ load, save, list, reset })
}
