/**
 * Keeps the checkpoints of the feed's consumers in PostgreSQL.
 */
import { Checkpoints, Cursor, Input, Tenant } from "@waybill/core"
import { DateTime, Effect, Option } from "effect"
import * as Rows from "./Rows.ts"
import * as Scope from "./Scope.ts"

/** Opens the checkpoints of a schema. */
export const make = Effect.fnUntraced(function*(options: Scope.PgOptions) {
  const { sql, statements, table } = yield* Scope.make(options)
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
      INSERT INTO ${checkpoints} (name, cursor, saved_at) VALUES (${consumer}, ${cursor}, ${Rows.instant(now)})
      ON CONFLICT (name) DO UPDATE SET cursor = EXCLUDED.cursor, saved_at = EXCLUDED.saved_at
    `
    )
  })

  return Checkpoints.Checkpoints.of({ load, save })
})
