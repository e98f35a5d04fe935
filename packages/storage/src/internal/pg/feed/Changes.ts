/** Reads the feed of changes: what follows a place, or why nothing can. */
import { Cursor, Input, type Ledger, LedgerError, type Tenant } from "@waybill/core"
import { Effect, Schema } from "effect"
import type { Database } from "../Database.ts"
import type { Events } from "../Events.ts"
import * as Rows from "../Rows.ts"
import * as Page from "./Page.ts"

const ChangeRow = Schema.Struct({
  ...Rows.EventRow.fields,
  epoch: Schema.Int,
  transactionId: Schema.String,
  position: Schema.BigInt
})

const decodeChanges = Schema.decodeUnknownEffect(Schema.Array(ChangeRow))

const decodeFault = Schema.decodeUnknownEffect(
  Schema.NonEmptyArray(Schema.Struct({ fault: Schema.NullOr(Schema.Literals(["restored", "lost"])) }))
)

/** Opens the feed of a schema. */
export const make = (database: Database, events: Events) => {
  const { sql, statements } = database
  const pageOf = Page.make(database)
  const selected = sql.literal(Object.keys(ChangeRow.fields).map((name) => `page."${name}"`).join(", "))

  const changes = Effect.fn("Ledger.changes")(function*(query: {
    readonly scope: Tenant.Scope
    readonly after: Cursor.Cursor
    readonly limit: number
  }) {
    const limit = yield* Input.limit(query.limit)
    const after = yield* Effect.fromResult(Input.cursor(query.after))
    const { current, page } = pageOf({ scope: query.scope, after, limit }, events.columns)
    const rows = yield* statements(
      query.scope,
      sql`
      WITH current AS MATERIALIZED (${current})
      SELECT current.fault, ${selected} FROM current LEFT JOIN LATERAL (${page}) page ON current.fault IS NULL
      ORDER BY page.epoch, page."transaction", page.position
    `
    )
    const [{ fault: reason }] = yield* Effect.orDie(decodeFault(rows))
    if (reason !== null) return yield* new LedgerError.CursorAhead({ reason })
    const found = yield* Effect.orDie(decodeChanges(rows.filter(({ position }) => position !== null)))
    return found.map(({ epoch, position, transactionId, ...event }): Ledger.Change => ({
      cursor: Cursor.of(BigInt(transactionId), position, epoch),
      event
    }))
  })

  return { changes }
}
