/** Reads the figures of a window: the sums that a query asks for, of the groups with most mail. */
import { Delivery, Figures, Mailbox, Provider, Tenant } from "@waybill/core"
import { DateTime, Effect, Option, Schema } from "effect"
import type { Database } from "../Database.ts"
import * as Parameters from "../Parameters.ts"
import * as Counted from "./Counted.ts"

/** A text of which the empty one stands for nothing. */
const optional = <A extends string, E>(schema: Schema.Codec<A, E>) => {
  const isIt = Schema.is(schema)
  return (text: string): Option.Option<A> => isIt(text) ? Option.some(text) : Option.none()
}

const providerOf = optional(Schema.toType(Provider.Provider))

const domainOf = optional(Schema.NonEmptyString)

/** Of what the database adds up each number need not be looked at: there are thousands. */
const Tally = Schema.declare((value): value is ReadonlyArray<number> => Array.isArray(value))

const SumRow = Schema.Struct({
  startsAt: Schema.DateTimeUtcFromDate,
  tenant: Schema.optionalKey(Tenant.TenantId),
  stream: Schema.optionalKey(Delivery.Stream),
  provider: Schema.String,
  mailbox: Mailbox.Mailbox,
  domain: Schema.optionalKey(Schema.String),
  tally: Tally
})

const decode = Schema.decodeUnknownEffect(Schema.Array(SumRow))

const decodeFollowed = Schema.decodeUnknownEffect(
  Schema.Array(Schema.Struct({ savedAt: Schema.DateTimeUtcFromDate }))
)

const columnOf = (dimension: Figures.Dimension): string => dimension === "tenant" ? "tenant_id" : dimension

/** The dimensions of which there are few values. */
const isFew = (dimension: Figures.Dimension): boolean => dimension !== "tenant" && dimension !== "domain"

/** Opens the figures of a schema. */
export const make = ({ inScope, sql, statements, table }: Database) => {
  const sumsOf = Effect.fnUntraced(function*({ by, from, grain, limit, scope, to }: Figures.Checked) {
    const cohort = by.includes("domain") ? "domain" : grain
    const figures = sql`
      ${table("figures")} f WHERE f.cohort = ${cohort} AND ${inScope(scope)}
        AND f.starts_at >= ${Parameters.instant(from)} AND f.starts_at < ${Parameters.instant(to)}
    `
    const named = by.map((dimension) => `f.${columnOf(dimension)}`).join(", ")
    // Where there may be more groups than are asked for: the first in the order of `Figures.tableOf`.
    const ordered = Figures.Dimension.literals.filter((each) => by.includes(each)).map((each) => `f.${columnOf(each)}`)
    const top = by.every(isFew) ? sql`` : sql`
      AND (${sql.literal(named)}) IN (
        SELECT ${sql.literal(named)} FROM ${figures} GROUP BY ${sql.literal(named)}
        ORDER BY sum(f.dispatched) DESC, ${sql.literal(ordered.join(", "))} LIMIT ${limit}
      )
    `
    const grouped = Array.from(new Set([...by, "provider" as const, "mailbox" as const]))
    const columns = grouped.map((dimension) => `f.${columnOf(dimension)}`)
    const selected = grouped.map((dimension, index) => `${columns[index]} AS "${dimension}"`)
    const rows = yield* sql`
      SELECT f.starts_at AS "startsAt", ${sql.literal(selected.join(", "))},
        ARRAY[${sql.literal(Counted.columns.map((name) => `sum(f.${name})`).join(", "))}]::float8[] AS tally
      FROM ${figures} ${top}
      GROUP BY f.starts_at, ${sql.literal(columns.join(", "))}
    `
    return yield* Effect.orDie(decode(rows))
  })

  return Effect.fn("Figures.read")(function*(query: Figures.Query) {
    const checked = yield* Figures.check(query)
    const now = yield* DateTime.now
    const sums = yield* statements(query.scope, sumsOf(checked))
    const followed = yield* Effect.flatMap(
      statements(
        query.scope,
        sql`SELECT saved_at AS "savedAt" FROM ${table("checkpoints")} WHERE name = ${Figures.consumer}`
      ),
      (rows) => Effect.orDie(decodeFollowed(rows))
    )
    const rows = sums.map(({ domain, mailbox, provider, startsAt, stream, tally, tenant }): Figures.Row => ({
      startsAt,
      group: {
        ...tenant !== undefined && { tenant },
        ...stream !== undefined && { stream },
        provider: providerOf(provider),
        mailbox,
        ...domain !== undefined && { domain: domainOf(domain) }
      },
      tally
    }))
    return Figures.tableOf(
      checked,
      rows,
      Option.map(Option.fromUndefinedOr(followed[0]), ({ savedAt }) => savedAt),
      now
    )
  })
}
