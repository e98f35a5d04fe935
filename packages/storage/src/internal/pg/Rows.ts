/**
 * Maps the rows of the ledger's tables to the models of the core and back to parameters.
 *
 * @since 0.1.0
 */
import { PgTypes } from "@effect/sql-pg"
import { Delivery, Event, EventType, type Projection } from "@waybill/core"
import { type DateTime, Duration, Option, Result, Schema } from "effect"

const at = Schema.DateTimeUtcFromDate

const time = Schema.OptionFromNullOr(at)

const projectionTimes = {
  lastEventAt: time,
  dispatchedAt: time,
  deliveredAt: time,
  bouncedAt: time,
  complainedAt: time,
  suppressedAt: time,
  failedAt: time,
  openedAt: time,
  clickedAt: time,
  unsubscribedAt: time
}

/**
 * A row of `deliveries`, read with `deliveryColumns`.
 *
 * @category schemas
 * @since 0.1.0
 */
export const DeliveryRow = Schema.Struct({
  ...Delivery.Delivery.fields,
  ...projectionTimes,
  insertedAt: at,
  updatedAt: at
})

/**
 * A row of `events`, read with `eventColumns`.
 *
 * @category schemas
 * @since 0.1.0
 */
export const EventRow = Schema.Struct({ ...Event.Event.fields, occurredAt: at, insertedAt: at })

/**
 * The name of the column that holds a field.
 *
 * @category columns
 * @since 0.1.0
 */
export const snakeCase = (name: string): string => name.replace(/[A-Z]/g, (upper) => `_${upper.toLowerCase()}`)

/**
 * The select list of a struct's fields, whose columns have their names in snake case, from a table alias.
 *
 * @category columns
 * @since 0.1.0
 */
export const columns = (fields: object) => (alias: string): string =>
  Object.keys(fields).map((name) => `${alias}.${snakeCase(name)} AS "${name}"`).join(", ")

/**
 * The select list of `DeliveryRow` from a table alias.
 *
 * @category columns
 * @since 0.1.0
 */
export const deliveryColumns = columns(Delivery.Delivery.fields)

/**
 * The select list of `EventRow` from a table alias.
 *
 * @category columns
 * @since 0.1.0
 */
export const eventColumns = columns(Event.Event.fields)

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

const millis = (value: Option.Option<DateTime.Utc>): number | null =>
  Option.isSome(value) ? value.value.epochMilliseconds : null

/**
 * The columns of `events` that are written, in the order of `eventParameters`.
 *
 * @category columns
 * @since 0.1.0
 */
export const writtenEventColumns = Object.keys(Event.Event.fields).map(snakeCase)

/**
 * The columns of many events, as arrays for `unnest` in the order of `writtenEventColumns`.
 *
 * @category parameters
 * @since 0.1.0
 */
export const eventParameters = (events: ReadonlyArray<Event.Event>): ReadonlyArray<PgTypes.Parameter> => [
  uuids(events.map((event) => event.id)),
  texts(events.map((event) => event.tenantId)),
  uuids(events.map((event) => Option.getOrNull(event.deliveryId))),
  texts(events.map((event) => event.type)),
  instants(events.map((event) => event.occurredAt.epochMilliseconds)),
  instants(events.map((event) => event.insertedAt.epochMilliseconds)),
  texts(events.map((event) => Option.getOrNull(event.provider))),
  texts(events.map((event) => Option.getOrNull(event.providerMessageId))),
  texts(events.map((event) => Option.getOrNull(event.providerEventId))),
  uuids(events.map((event) => Option.getOrNull(event.echoedDeliveryId))),
  texts(events.map((event) => Option.getOrNull(event.rejectReason))),
  texts(events.map((event) => Option.getOrNull(event.bounceClass))),
  bags(events.map((event) => event.normalizedPayload)),
  bags(events.map((event) => event.metadata)),
  texts(events.map((event) => Option.getOrNull(event.traceId))),
  booleans(events.map((event) => event.needsReconciliation)),
  uuids(events.map((event) => Option.getOrNull(event.sourceEventId))),
  texts(events.map((event) => event.idempotencyKey))
]

/** The columns of a projection, in the order of `projectionParameters`. */
const projectionColumns: ReadonlyArray<keyof Projection.Projection> = [
  "status",
  "lastEventType",
  "lastEventAt",
  "lastEventId",
  "lastEventOwn",
  "terminal",
  ...EventType.firstTimes
]

/**
 * The assignments that write a projection from a table alias.
 *
 * @category columns
 * @since 0.1.0
 */
export const projectionAssignments = (alias: string): string =>
  projectionColumns.map((name) => `${snakeCase(name)} = ${alias}.${snakeCase(name)}`).join(", ")

/**
 * The names of the columns of a projection, as written.
 *
 * @category columns
 * @since 0.1.0
 */
export const writtenProjectionColumns = projectionColumns.map(snakeCase)

/**
 * The columns of many projections, as arrays for `unnest` in the order of `writtenProjectionColumns`.
 *
 * @category parameters
 * @since 0.1.0
 */
export const projectionParameters = (
  projections: ReadonlyArray<Projection.Projection>
): ReadonlyArray<PgTypes.Parameter> => [
  texts(projections.map((projection) => projection.status)),
  texts(projections.map((projection) => Option.getOrNull(projection.lastEventType))),
  instants(projections.map((projection) => millis(projection.lastEventAt))),
  uuids(projections.map((projection) => Option.getOrNull(projection.lastEventId))),
  booleans(projections.map((projection) => projection.lastEventOwn)),
  booleans(projections.map((projection) => projection.terminal)),
  ...EventType.firstTimes.map((name) => instants(projections.map((projection) => millis(projection[name]))))
]
