/** Keeps alerts as one text in a store of texts by keys: a toy beside `KeyValueLedger`, and like it without any rule of its own. */
import { AlertBook, Alerts } from "@waybill/core"
import { Effect, Layer, Option, Schema, Semaphore } from "effect"
import { SecureRandom } from "effect/crypto"
import { KeyValueStore } from "effect/persistence"
import * as Kept from "../src/internal/alerts/Kept.ts"
import { shelfIn } from "./KeyValueShelf.ts"

const make = Effect.gen(function*() {
  const shelf = shelfIn(yield* KeyValueStore.KeyValueStore)("alerts", Schema.toCodecJson(AlertBook.AlertBook))
  const lock = yield* Semaphore.make(1)
  const current = Effect.map(shelf.get("", "book"), Option.getOrElse(() => AlertBook.empty))
  const read = <A>(f: (book: AlertBook.AlertBook) => A) => Effect.map(current, f)
  const modify = <A>(f: (book: AlertBook.AlertBook) => AlertBook.Changed<A>) =>
    lock.withPermit(Effect.gen(function*() {
      const [result, book] = f(yield* current)
      yield* shelf.put("", "book", book)
      return result
    }))
  const change = (f: (book: AlertBook.AlertBook) => AlertBook.AlertBook) => modify((book) => [undefined, f(book)])
  return Alerts.Alerts.of(
    yield* Kept.over({
      settle: (verdict, ids, now) => modify((book) => AlertBook.settle(book, verdict, ids, now)),
      list: (query) => read((book) => AlertBook.list(book, query)),
      history: (scope, id) => read((book) => AlertBook.history(book, scope, id)),
      notices: (query) => read((book) => AlertBook.notices(book, query)),
      mute: (mute) => change((book) => AlertBook.mute(book, mute)),
      mutes: (scope, now) => read((book) => AlertBook.mutes(book, scope, now)),
      claim: (query, now) => modify((book) => AlertBook.claim(book, query, now)),
      posted: (key, again) => change((book) => AlertBook.posted(book, key, again)),
      noteAnswered: (answered, now) => change((book) => AlertBook.noteAnswered(book, answered, now)),
      answered: (within, now) => read((book) => AlertBook.answered(book, within, now))
    })
  )
})

/** No alerts, on an empty store of texts in memory. */
export const layer = Layer.effect(Alerts.Alerts, make).pipe(
  Layer.provide(KeyValueStore.layerMemory),
  Layer.provide(SecureRandom.layerWebCrypto)
)
