/** Keeps in memory whom a tenant must not mail: nothing but what the events and the acts of its book say. */
import { SuppressionBook, SuppressionStore } from "@waybill/core"
import { DateTime, Effect, Option } from "effect"
import * as Book from "./Book.ts"
import type { Store } from "./Store.ts"

/** What is known in a store of the addresses that it holds. */
export const reads = ({ bookOf, keyOf }: Pick<Store, "bookOf" | "keyOf">) =>
  SuppressionBook.reads((tenantId) => Effect.sync(() => Book.suppressionsIn(bookOf(tenantId))), keyOf)

/** Makes the suppressions of a store. */
export const make = (store: Store) => {
  const { commit, softness, turn } = store
  const adapter: SuppressionStore.Store = {
    ...reads(store),
    atomic: (_, effect) => turn(effect),
    write: Effect.fnUntraced(function*(tenantId, acts) {
      yield* commit({
        at: yield* DateTime.now,
        acts: acts.map(({ act, key }) => ({ tenantId, key, act })),
        named: acts.map(({ key, recipient }) => ({ tenantId, key, recipient: Option.some(recipient) }))
      })
    })
  }
  return SuppressionStore.make(adapter, softness)
}
