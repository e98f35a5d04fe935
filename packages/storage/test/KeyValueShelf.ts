/** Keeps rows as JSON texts in a store of texts by keys, on shelves that list what stands there. */
import { Effect, Option, Schema } from "effect"
import * as Arr from "effect/Array"
import type { KeyValueStore } from "effect/persistence"

/** One text of several. */
export const keyOf = (...parts: ReadonlyArray<string>): string => JSON.stringify(parts)

/** A shelf of rows of one kind, which stand in places and are listed there in the order in which they came. */
export const shelfIn = (store: KeyValueStore.KeyValueStore) => <A, E>(kind: string, schema: Schema.Codec<A, E>) => {
  const text = Schema.fromJsonString(schema)
  const ids = Schema.fromJsonString(Schema.Array(Schema.String))
  const rowKey = (place: string, id: string) => keyOf("row", kind, place, id)
  const listKey = (place: string) => keyOf("list", kind, place)

  const list = Effect.fnUntraced(function*(place: string) {
    const listed = yield* store.get(listKey(place))
    return listed === undefined ? [] : yield* Schema.decodeEffect(ids)(listed)
  }, Effect.orDie)

  const get = Effect.fnUntraced(function*(place: string, id: string) {
    const row = yield* store.get(rowKey(place, id))
    return row === undefined ? Option.none<A>() : Option.some(yield* Schema.decodeEffect(text)(row))
  }, Effect.orDie)

  const all = Effect.fnUntraced(function*(place: string) {
    return Arr.getSomes(yield* Effect.forEach(yield* list(place), (id) => get(place, id)))
  })

  const relist = Effect.fnUntraced(function*(place: string, listed: ReadonlyArray<string>) {
    yield* store.set(listKey(place), yield* Schema.encodeEffect(ids)(listed))
  }, Effect.orDie)

  const put = Effect.fnUntraced(function*(place: string, id: string, row: A) {
    if (!(yield* Effect.orDie(store.has(rowKey(place, id))))) yield* relist(place, [...yield* list(place), id])
    yield* store.set(rowKey(place, id), yield* Schema.encodeEffect(text)(row))
  }, Effect.orDie)

  const remove = Effect.fnUntraced(function*(place: string, id: string) {
    yield* Effect.orDie(store.remove(rowKey(place, id)))
    yield* relist(place, (yield* list(place)).filter((other) => other !== id))
  })

  return { get, all, put, remove }
}
