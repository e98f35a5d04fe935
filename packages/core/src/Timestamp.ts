/**
 * Bounds the instants that every adapter stores exactly: whole milliseconds of the years 1 to 9999.
 *
 * @since 0.1.0
 */
import { type DateTime, Schema } from "effect"

/** Milliseconds of 0001-01-01T00:00:00.000Z and of 9999-12-31T23:59:59.999Z. */
const earliest = -62_135_596_800_000
const latest = 253_402_300_799_999

/**
 * An instant in UTC with a precision of one millisecond, in the years 1 to 9999; its JSON form is ISO 8601.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Timestamp = Schema.DateTimeUtcFromString.check(
  Schema.makeFilter(({ epochMilliseconds }: DateTime.Utc) =>
    Number.isInteger(epochMilliseconds) && epochMilliseconds >= earliest && epochMilliseconds <= latest
      ? undefined
      : "must be a whole millisecond of the years 1 to 9999"
  )
)

/**
 * An instant in UTC.
 *
 * @category models
 * @since 0.1.0
 */
export type Timestamp = typeof Timestamp.Type

const dayAhead = 24 * 60 * 60 * 1000

/**
 * Tells whether a time that somebody else gave is more than a day after ours: more than clocks and time zones differ.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isAhead = (at: Timestamp, now: Timestamp): boolean =>
  at.epochMilliseconds > now.epochMilliseconds + dayAhead
