/** Keeps tokens in a store of texts by keys: a toy beside `KeyValueLedger`, and like it without any rule of its own. */
import { type Tenant, Tokens } from "@waybill/core"
import { Effect, Layer, Option, Schema } from "effect"
import { SecureRandom } from "effect/crypto"
import { KeyValueStore } from "effect/persistence"
import * as Kept from "../src/internal/tokens/Kept.ts"
import { shelfIn } from "./KeyValueShelf.ts"

const Row = Schema.toCodecJson(Schema.Struct({ token: Schema.toType(Tokens.Token), digest: Schema.Uint8Array }))

const make = Effect.gen(function*() {
  const shelf = shelfIn(yield* KeyValueStore.KeyValueStore)
  const rows = shelf("token", Row)

  const put = (row: Tokens.Row) => rows.put("", row.token.id, row)

  const find = ({ id, scope }: Tokens.TokenKey) =>
    Effect.map(rows.get("", id), Option.filter(({ token }) => token.scope === scope))

  const reached = (reach: Tenant.Scope) =>
    Effect.map(rows.all(""), (all) => all.filter(({ token }) => Tokens.isReached(reach, token)))

  const tokens = yield* Kept.over({
    insert: put,
    find,
    list: (reach) => Effect.map(reached(reach), (all) => all.map(({ token }) => token).toSorted(Tokens.compare)),
    revoke: Effect.fnUntraced(function*(reach, id, now) {
      const row = (yield* reached(reach)).find(({ token }) => token.id === id)
      if (row === undefined) return Option.none()
      const token = Tokens.revoke(row.token, now)
      yield* put({ ...row, token })
      return Option.some(token)
    }),
    note: Effect.fnUntraced(function*(key, day) {
      for (const row of Option.toArray(yield* find(key))) {
        yield* put({ ...row, token: { ...row.token, lastUsedOn: Option.some(day) } })
      }
    })
  })
  return Tokens.Tokens.of(tokens)
})

/** No tokens, on an empty store of texts in memory. */
export const layer = Layer.effect(Tokens.Tokens, make).pipe(
  Layer.provide(KeyValueStore.layerMemory),
  Layer.provide(SecureRandom.layerWebCrypto)
)
