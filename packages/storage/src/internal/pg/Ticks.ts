/**
 * Keeps the claimed ticks of the schedules in PostgreSQL.
 */
import { PgTypes } from "@effect/sql-pg"
import { Input, Tenant, Ticks, type Timestamp } from "@waybill/core"
import { DateTime, Effect, Option, Schema } from "effect"
import type { Database } from "./Database.ts"
import * as Parameters from "./Parameters.ts"
import * as Rows from "./Rows.ts"

const at = Schema.DateTimeUtcFromDate

const TickRow = Schema.Struct({ ...Ticks.Tick.fields, tick: at, beganAt: at, endedAt: Schema.OptionFromNullOr(at) })

const decodeTicks = Schema.decodeUnknownEffect(Schema.Array(TickRow))

/** Opens the ticks of a schema. */
export const make = ({ sql, statements, table }: Database) => {
  const sweeps = table("sweeps")
  const columns = sql.literal(Rows.columns(Ticks.Tick.fields)("s"))

  const claim = Effect.fn("Ticks.claim")(function*(key: Ticks.TickKey & Pick<Ticks.Tick, "node">) {
    yield* Effect.fromResult(Input.claim(key))
    const now = yield* DateTime.now
    const inserted = yield* statements(
      Tenant.all,
      sql`
      INSERT INTO ${sweeps} (schedule, tick, node, began_at)
      VALUES (${key.schedule}, ${Parameters.instant(key.tick)}, ${key.node}, ${Parameters.instant(now)})
      ON CONFLICT DO NOTHING RETURNING tick
    `
    )
    return inserted.length > 0
  })

  const finish = Effect.fn("Ticks.finish")(function*(
    key: Ticks.TickKey,
    result: { readonly counts: Ticks.Counts; readonly error: Option.Option<string> }
  ) {
    yield* Effect.fromResult(Input.finish({ ...key, ...result }))
    const now = yield* DateTime.now
    yield* statements(
      Tenant.all,
      sql`
      UPDATE ${sweeps} SET ended_at = ${Parameters.instant(now)}, counts = ${PgTypes.jsonb(result.counts)},
        error = ${Option.getOrNull(result.error)}
      WHERE schedule = ${key.schedule} AND tick = ${Parameters.instant(key.tick)}
    `
    )
  })

  const recent = Effect.fn("Ticks.recent")(function*(query: {
    readonly schedule: Option.Option<string>
    readonly limit: number
  }) {
    const limit = yield* Input.limit(query.limit)
    yield* Effect.fromResult(Input.recent(query))
    const rows = yield* statements(
      Tenant.all,
      sql`
      SELECT ${columns} FROM ${sweeps} s
      ${Option.isSome(query.schedule) ? sql`WHERE s.schedule = ${query.schedule.value}` : sql``}
      ORDER BY s.began_at DESC, s.schedule, s.tick DESC LIMIT ${limit}
    `
    )
    return yield* Effect.orDie(decodeTicks(rows))
  })

  const prune = Effect.fn("Ticks.prune")(function*(before: Timestamp.Timestamp) {
    const deleted = yield* statements(
      Tenant.all,
      sql`DELETE FROM ${sweeps} WHERE ended_at < ${Parameters.instant(before)} RETURNING 1`
    )
    return deleted.length
  })

  return Ticks.Ticks.of({ claim, finish, recent, prune })
}
