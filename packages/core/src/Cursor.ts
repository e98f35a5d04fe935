/**
 * Marks a place in the feed of changes.
 *
 * A place is an epoch, a transaction and a position. An epoch begins where the ledger moves to another history of
 * transactions: after a restore, a promotion or a move. Every event of an epoch comes before all of the next. A ledger that
 * never moved is in epoch 0, whose places leave the epoch out.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

const message = "must be a cursor that the feed gave"

/** The largest integer, xid8 and bigint of PostgreSQL. */
const maxEpoch = 2_147_483_647n
const maxTransaction = 18_446_744_073_709_551_615n
const maxPosition = 9_223_372_036_854_775_807n

interface Place {
  readonly epoch: bigint
  readonly transaction: bigint
  readonly position: bigint
}

const split = (text: string): Place => {
  const [position, transaction, epoch] = text.split(".").map(BigInt).toReversed()
  return { epoch: epoch ?? 0n, transaction: transaction ?? 0n, position: position ?? 0n }
}

/**
 * A place in the feed: opaque, kept and given back as it is. It belongs to the ledger that gave it.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Cursor = Schema.String.check(
  Schema.isPattern(/^(?:[1-9][0-9]{0,9}\.)?[0-9]{1,20}\.[0-9]{1,20}$/, { message }).abort(),
  Schema.makeFilter((text: string) => {
    const { epoch, position, transaction } = split(text)
    return epoch <= maxEpoch && transaction <= maxTransaction && position <= maxPosition ? undefined : message
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
 * The place of an event, by its transaction and its position within all transactions, in an epoch, 0 by default. Position 0
 * comes before every event of the transaction.
 *
 * @category constructors
 * @since 0.1.0
 */
export const of = (transaction: bigint, position: bigint, epoch = 0): Cursor =>
  Cursor.make(epoch === 0 ? `${transaction}.${position}` : `${epoch}.${transaction}.${position}`)

/**
 * The transaction and the position of a place.
 *
 * @category getters
 * @since 0.1.0
 */
export const parts = (cursor: Cursor): readonly [transaction: bigint, position: bigint] => {
  const { position, transaction } = split(cursor)
  return [transaction, position]
}

/**
 * The epoch of a place.
 *
 * @category getters
 * @since 0.2.0
 */
export const epoch = (cursor: Cursor): number => Number(split(cursor).epoch)

/**
 * Orders the places of the feed.
 *
 * @category ordering
 * @since 0.2.0
 */
export const compare = (left: Cursor, right: Cursor): number => {
  const one = split(left)
  const other = split(right)
  const difference = one.epoch - other.epoch || one.transaction - other.transaction || one.position - other.position
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}
