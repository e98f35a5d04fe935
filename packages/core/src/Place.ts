/**
 * Marks a place in a list that is read page by page in the order of instants and ids, so that rows which come or go between two
 * pages neither hide nor repeat others.
 *
 * @since 0.2.0
 */
import { DateTime, Schema } from "effect"
import * as Text from "./Text.ts"
import * as Timestamp from "./Timestamp.ts"

const form = /^(-?[0-9]{1,15})\.([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$/

const isTimestamp = Schema.is(Timestamp.Timestamp)

const split = (text: string) => {
  const [, milliseconds = "0", id = ""] = form.exec(text) ?? []
  return { instant: DateTime.makeUnsafe(Number(milliseconds)), id }
}

/**
 * A place in a list: opaque, given back as it is for the page that follows it.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Place = Schema.String.check(
  Schema.makeFilter((text: string) =>
    form.test(text) && isTimestamp(split(text).instant) ? undefined : "must be the next of a page"
  )
).pipe(Schema.brand("Place"))

/**
 * A place in a list.
 *
 * @category models
 * @since 0.2.0
 */
export type Place = typeof Place.Type

/**
 * The place of a row, by its instant and its id.
 *
 * @category constructors
 * @since 0.2.0
 */
export const of = (instant: Timestamp.Timestamp, id: string): Place => Place.make(`${instant.epochMilliseconds}.${id}`)

/**
 * The instant and the id of a place.
 *
 * @category getters
 * @since 0.2.0
 */
export const parts: (place: Place) => { readonly instant: Timestamp.Timestamp; readonly id: string } = split

/**
 * Orders places: the earlier first, then by id.
 *
 * @category ordering
 * @since 0.2.0
 */
export const compare = (left: Place, right: Place): number => {
  const [one, other] = [split(left), split(right)]
  return one.instant.epochMilliseconds - other.instant.epochMilliseconds || Text.compare(one.id, other.id)
}
