/** Claims unsent deliveries in memory. */
import { Input, Unsent } from "@waybill/core"
import { Effect } from "effect"
import * as Book from "./Book.ts"
import type { Store } from "./Store.ts"

/** Makes the queue of the unsent deliveries of a store. */
export const make = ({ bookOf, booksIn, turn }: Store) => {
  const claim = Effect.fn("Unsent.claim")(function*(query: Unsent.Claim) {
    yield* Input.unsent(query)
    const waiting = booksIn(query.scope).flatMap(([, book]) => Array.from(book.unsent.values()))
    const rows = Unsent.select(waiting, query).map((row) => Unsent.claimed(row, query))
    for (const row of rows) Book.putUnsent(bookOf(row.tenantId), row)
    return Unsent.claimsOf(rows, ({ deliveryId, tenantId }) => Book.find(bookOf(tenantId), deliveryId))
  }, turn)

  return { claim }
}
