/** Keeps alerts in memory. */
import { AlertBook, Alerts } from "@waybill/core"
import { Effect, Ref } from "effect"
import * as Kept from "./Kept.ts"

/** Makes an empty store of alerts. */
export const make = Effect.gen(function*() {
  const book = yield* Ref.make(AlertBook.empty)
  const read = <A>(f: (book: AlertBook.AlertBook) => A) => Effect.map(Ref.get(book), f)
  const change = (f: (book: AlertBook.AlertBook) => AlertBook.AlertBook) => Ref.update(book, f)
  return Alerts.Alerts.of(
    yield* Kept.over({
      settle: (verdict, ids, now) => Ref.modify(book, (book) => AlertBook.settle(book, verdict, ids, now)),
      list: (query) => read((book) => AlertBook.list(book, query)),
      history: (scope, id) => read((book) => AlertBook.history(book, scope, id)),
      notices: (query) => read((book) => AlertBook.notices(book, query)),
      mute: (mute) => change((book) => AlertBook.mute(book, mute)),
      mutes: (scope, now) => read((book) => AlertBook.mutes(book, scope, now)),
      claim: (query, now) => Ref.modify(book, (book) => AlertBook.claim(book, query, now)),
      posted: (key, again) => change((book) => AlertBook.posted(book, key, again)),
      noteAnswered: (answered, now) => change((book) => AlertBook.noteAnswered(book, answered, now)),
      answered: (within, now) => read((book) => AlertBook.answered(book, within, now))
    })
  )
})
