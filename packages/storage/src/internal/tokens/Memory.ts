/** Keeps tokens in memory. */
import { type Tenant, Tokens } from "@waybill/core"
import { type DateTime, Effect, Option } from "effect"
import * as Kept from "./Kept.ts"

/** Makes an empty store of tokens. */
export const make = Effect.suspend(() => {
  const rows = new Map<Tokens.TokenId, Tokens.Row>()

  const get = ({ id, scope }: Tokens.TokenKey) =>
    Option.filter(Option.fromUndefinedOr(rows.get(id)), ({ token }) => token.scope === scope)

  const put = (row: Tokens.Row): void => {
    rows.set(row.token.id, row)
  }

  return Effect.map(
    Kept.over({
      insert: (row) => Effect.sync(() => put(row)),
      find: (key) => Effect.sync(() => get(key)),
      list: (reach: Tenant.Scope) =>
        Effect.sync(() =>
          Array.from(rows.values(), ({ token }) => token).filter((token) => Tokens.isReached(reach, token))
            .toSorted(Tokens.compare)
        ),
      revoke: (reach: Tenant.Scope, id: Tokens.TokenId, now: DateTime.Utc) =>
        Effect.sync(() =>
          Option.map(
            Option.filter(Option.fromUndefinedOr(rows.get(id)), ({ token }) => Tokens.isReached(reach, token)),
            ({ digest, token }) => {
              const revoked = Tokens.revoke(token, now)
              put({ token: revoked, digest })
              return revoked
            }
          )
        ),
      note: (key, day) =>
        Effect.sync(() => {
          for (const { digest, token } of Option.toArray(get(key))) {
            put({ token: { ...token, lastUsedOn: Option.some(day) }, digest })
          }
        })
    }),
    Tokens.Tokens.of
  )
})
