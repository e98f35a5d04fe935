/** Gives values to statements as parameters, many at once as arrays. */
import { PgTypes } from "@effect/sql-pg"
import { type DateTime, Duration, Result } from "effect"

/**
 * The names of so many parameters, from one of them on: `$1, $2`.
 *
 * @category parameters
 * @since 0.2.0
 */
export const placeholders = (from: number, count: number): string =>
  Array.from({ length: count }, (_, index) => `$${from + index}`).join(", ")

/**
 * The rows of array parameters, by their element types, the first of which is the parameter `from`, `$1` by default.
 *
 * The planner does not see how long the arrays are, so that it goes by an index whatever the tables hold today.
 *
 * @category parameters
 * @since 0.1.0
 */
export const unnested = (types: ReadonlyArray<string>, from = 1): string =>
  `unnest(${types.map((type, index) => `(SELECT $${from + index}::${type}[])`).join(", ")})`

const array = (oid: number) => (values: ReadonlyArray<unknown>): PgTypes.Parameter =>
  Result.getOrThrow(PgTypes.array(values, oid))

/**
 * A `text[]` parameter.
 *
 * @category parameters
 * @since 0.1.0
 */
export const texts: (values: ReadonlyArray<string | null>) => PgTypes.Parameter = array(PgTypes.OID.text)

/**
 * Durations as a `text[]` parameter, to be cast to `interval[]`.
 *
 * @category parameters
 * @since 0.2.0
 */
export const intervals = (durations: ReadonlyArray<Duration.Duration>): PgTypes.Parameter =>
  texts(durations.map((duration) => `${Duration.toMillis(duration)} milliseconds`))

/**
 * A `uuid[]` parameter.
 *
 * @category parameters
 * @since 0.1.0
 */
export const uuids: (values: ReadonlyArray<string | null>) => PgTypes.Parameter = array(PgTypes.OID.uuid)

/**
 * An `int4[]` parameter.
 *
 * @category parameters
 * @since 0.1.0
 */
export const integers: (values: ReadonlyArray<number>) => PgTypes.Parameter = array(PgTypes.OID.int4)

/**
 * A `bool[]` parameter.
 *
 * @category parameters
 * @since 0.1.0
 */
export const booleans: (values: ReadonlyArray<boolean>) => PgTypes.Parameter = array(PgTypes.OID.bool)

/**
 * A `bytea[]` parameter.
 *
 * @category parameters
 * @since 0.1.0
 */
export const bytes: (values: ReadonlyArray<Uint8Array>) => PgTypes.Parameter = array(PgTypes.OID.bytea)

/**
 * A `jsonb[]` parameter.
 *
 * @category parameters
 * @since 0.1.0
 */
export const bags: (values: ReadonlyArray<unknown>) => PgTypes.Parameter = array(PgTypes.OID.jsonb)

/**
 * Milliseconds since 1970 as a `timestamptz[]` parameter.
 *
 * @category parameters
 * @since 0.1.0
 */
export const instants: (values: ReadonlyArray<number | null>) => PgTypes.Parameter = array(PgTypes.OID.timestamptz)

/**
 * A `timestamptz` parameter.
 *
 * @category parameters
 * @since 0.1.0
 */
export const instant = (value: DateTime.Utc): PgTypes.Parameter => PgTypes.timestamptz(value.epochMilliseconds)
