/** Keeps tokens in PostgreSQL, each by its tenant, `*` for all, and its id. */
import { PgTypes } from "@effect/sql-pg"
import { Tokens } from "@waybill/core"
import { Effect, Option, Schema } from "effect"
import type { Database } from "../pg/Database.ts"
import * as Parameters from "../pg/Parameters.ts"
import * as Kept from "./Kept.ts"

const at = Schema.DateTimeUtcFromDate

const TokenRow = Schema.Struct({
  ...Tokens.Token.fields,
  createdAt: at,
  expiresAt: Schema.OptionFromNullOr(at),
  revokedAt: Schema.OptionFromNullOr(at),
  digest: Schema.Uint8Array
})

const decode = Schema.decodeUnknownEffect(Schema.Array(TokenRow))

const columns = `
  t.id, t.tenant_id AS "scope", t.name, t.role, t.created_at AS "createdAt", t.expires_at AS "expiresAt",
  t.revoked_at AS "revokedAt", to_char(t.last_used_on, 'YYYY-MM-DD') AS "lastUsedOn", t.digest
`

/** Opens the tokens of a schema. */
export const make = ({ inScope, sql, statements, table }: Database) => {
  const tokens = table("tokens")
  const selected = sql.literal(columns)

  const read = (rows: ReadonlyArray<unknown>) =>
    Effect.map(
      Effect.orDie(decode(rows)),
      (found) => found.map(({ digest, ...token }): Tokens.Row => ({ token, digest }))
    )

  return Effect.map(
    Kept.over({
      insert: ({ digest, token }) =>
        Effect.asVoid(statements(
          token.scope,
          sql`
          INSERT INTO ${tokens} (tenant_id, id, name, role, digest, created_at, expires_at)
          VALUES (${token.scope}, ${token.id}, ${token.name}, ${token.role}, ${PgTypes.bytea(digest)},
            ${Parameters.instant(token.createdAt)},
            ${Option.getOrNull(Option.map(token.expiresAt, Parameters.instant))})
        `
        )),
      find: ({ id, scope }) =>
        statements(scope, sql`SELECT ${selected} FROM ${tokens} t WHERE t.tenant_id = ${scope} AND t.id = ${id}`).pipe(
          Effect.flatMap(read),
          Effect.map(([row]) => Option.fromUndefinedOr(row))
        ),
      list: (reach) =>
        statements(
          reach,
          sql`SELECT ${selected} FROM ${tokens} t WHERE ${inScope(reach)} ORDER BY t.created_at, t.id`
        ).pipe(
          Effect.flatMap(read),
          Effect.map((rows) => rows.map(({ token }) => token))
        ),
      revoke: (reach, id, now) =>
        statements(
          reach,
          sql`
          UPDATE ${tokens} t SET revoked_at = coalesce(t.revoked_at, ${Parameters.instant(now)})
          WHERE ${inScope(reach)} AND t.id = ${id} RETURNING ${selected}
        `
        ).pipe(
          Effect.flatMap(read),
          Effect.map(([row]) => Option.map(Option.fromUndefinedOr(row), ({ token }) => token))
        ),
      note: ({ id, scope }, day) =>
        Effect.asVoid(statements(
          scope,
          sql`
          UPDATE ${tokens} SET last_used_on = ${day}::date
          WHERE tenant_id = ${scope} AND id = ${id} AND last_used_on IS DISTINCT FROM ${day}::date
        `
        ))
    }),
    Tokens.Tokens.of
  )
}
