/**
 * Marks a place in the feed of changes.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

const message = "must be a cursor that the feed gave"

/** The largest xid8 and the largest bigint of PostgreSQL. */
const maxTransaction = 18_446_744_073_709_551_615n
const maxPosition = 9_223_372_036_854_775_807n

const split = (text: string): readonly [transaction: bigint, position: bigint] => {
  const dot = text.indexOf(".")
  return [BigInt(text.slice(0, dot)), BigInt(text.slice(dot + 1))]
}

/**
 * A place in the feed: opaque, kept and given back as it is. It belongs to the ledger that gave it.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Cursor = Schema.String.check(
  Schema.isPattern(/^[0-9]{1,20}\.[0-9]{1,20}$/, { message }).abort(),
  Schema.makeFilter((text: string) => {
    const [transaction, position] = split(text)
    return transaction <= maxTransaction && position <= maxPosition ? undefined : message
  })
).pipe(Schema.brand("Cursor"))

/**
 * A place in the feed.
 *
 * @category models
 * @since 0.1.0
 */
export type Cursor = typeof Cursor.Type

/**
 * The place before the first event.
 *
 * @category constants
 * @since 0.1.0
 */
export const start: Cursor = Cursor.make("0.0")

/**
 * The place of an event, by its transaction and its position within all transactions.
 *
 * @category constructors
 * @since 0.1.0
 */
export const of = (transaction: bigint, position: bigint): Cursor => Cursor.make(`${transaction}.${position}`)

/**
 * The transaction and the position of a place.
 *
 * @category getters
 * @since 0.1.0
 */
export const parts = (cursor: Cursor): readonly [transaction: bigint, position: bigint] => split(cursor)

/**
 * Orders the places of the feed.
 *
 * @category ordering
 * @since 0.2.0
 */
export const compare = (left: Cursor, right: Cursor): number => {
  const [leftTransaction, leftPosition] = split(left)
  const [rightTransaction, rightPosition] = split(right)
  const difference = leftTransaction === rightTransaction
    ? leftPosition - rightPosition
    : leftTransaction - rightTransaction
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}
