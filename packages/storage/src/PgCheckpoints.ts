/**
 * Keeps the checkpoints of the feed's consumers in PostgreSQL.
 *
 * @since 0.1.0
 */
import { Checkpoints, Cursor, Input, type LedgerError, Tenant } from "@waybill/core"
import { DateTime, Effect, Layer, Option } from "effect"
import { type SqlClient } from "effect/sql"
import * as Scope from "./internal/pg/Scope.ts"
import * as PgMigrations from "./PgMigrations.ts"
import * as PgRows from "./PgRows.ts"

const make = Effect.fnUntraced(function*(options: Scope.PgOptions) {
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
      INSERT INTO ${checkpoints} (name, cursor, saved_at) VALUES (${consumer}, ${cursor}, ${PgRows.instant(now)})
      ON CONFLICT (name) DO UPDATE SET cursor = EXCLUDED.cursor, saved_at = EXCLUDED.saved_at
    `
    )
  })

  return Checkpoints.Checkpoints.of({ load, save })
})

/**
 * The checkpoints in the schema of a migrated database, `waybill` by default.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: { readonly schema?: string; readonly rowLevelSecurity?: boolean } = {}
): Layer.Layer<Checkpoints.Checkpoints, LedgerError.LedgerError, SqlClient.SqlClient> =>
  Layer.effect(
    Checkpoints.Checkpoints,
    make({
      schema: options.schema ?? PgMigrations.defaultSchema,
      rowLevelSecurity: options.rowLevelSecurity ?? false
    })
  )
