/**
 * Maps the rows of the ledger's tables to the models of the core and back to the columns that are written.
 *
 * @since 0.1.0
 */
import type { PgTypes } from "@effect/sql-pg"
import { Delivery, DeliveryError, Event, EventType, type Projection } from "@waybill/core"
import { type DateTime, Option, Schema, SchemaTransformation } from "effect"
import * as Parameters from "./Parameters.ts"

const at = Schema.DateTimeUtcFromDate

// `Schema.OptionFromNullOr(at)`, but null is tried first: most times of a row are, and a failed try costs more than the rest of it.
const time = Schema.Union([Schema.Null, at]).pipe(
  Schema.decodeTo(Schema.Option(Schema.toType(at)), SchemaTransformation.optionFromNullOr())
)

const projectionTimes = {
  lastEventAt: time,
  lastErrorAt: time,
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

const { lastError: _, ...plainFields } = Delivery.Delivery.fields

/**
 * The select list of `DeliveryRow` from a table alias.
 *
 * An error without its event was noted by another writer, in words of its own.
 *
 * @category columns
 * @since 0.1.0
 */
export const deliveryColumns = (alias: string): string =>
  `${
    columns(plainFields)(alias)
  }, CASE WHEN ${alias}.last_error_id IS NOT NULL THEN ${alias}.last_error END AS "lastError"`

/**
 * The select list of `EventRow` from a table alias.
 *
 * @category columns
 * @since 0.1.0
 */
export const eventColumns = columns(Event.Event.fields)

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
  Parameters.uuids(events.map((event) => event.id)),
  Parameters.texts(events.map((event) => event.tenantId)),
  Parameters.uuids(events.map((event) => Option.getOrNull(event.deliveryId))),
  Parameters.texts(events.map((event) => event.type)),
  Parameters.instants(events.map((event) => event.occurredAt.epochMilliseconds)),
  Parameters.instants(events.map((event) => event.insertedAt.epochMilliseconds)),
  Parameters.texts(events.map((event) => Option.getOrNull(event.provider))),
  Parameters.texts(events.map((event) => Option.getOrNull(event.providerMessageId))),
  Parameters.texts(events.map((event) => Option.getOrNull(event.providerEventId))),
  Parameters.uuids(events.map((event) => Option.getOrNull(event.echoedDeliveryId))),
  Parameters.texts(events.map((event) => Option.getOrNull(event.rejectReason))),
  Parameters.texts(events.map((event) => Option.getOrNull(event.bounceClass))),
  Parameters.bags(events.map((event) => event.normalizedPayload)),
  Parameters.bags(events.map((event) => event.metadata)),
  Parameters.texts(events.map((event) => Option.getOrNull(event.traceId))),
  Parameters.booleans(events.map((event) => event.needsReconciliation)),
  Parameters.uuids(events.map((event) => Option.getOrNull(event.sourceEventId))),
  Parameters.texts(events.map((event) => event.idempotencyKey))
]

/** The columns of a projection, in the order of `projectionParameters`. */
const projectionColumns: ReadonlyArray<keyof Projection.Projection> = [
  "status",
  "lastEventType",
  "lastEventAt",
  "lastEventId",
  "lastEventOwn",
  "lastError",
  "lastErrorType",
  "lastErrorAt",
  "lastErrorId",
  "lastErrorOwn",
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

const encodeError = Schema.encodeSync(DeliveryError.DeliveryError)

/**
 * The columns of many projections, as arrays for `unnest` in the order of `writtenProjectionColumns`.
 *
 * @category parameters
 * @since 0.1.0
 */
export const projectionParameters = (
  projections: ReadonlyArray<Projection.Projection>
): ReadonlyArray<PgTypes.Parameter> => [
  Parameters.texts(projections.map((projection) => projection.status)),
  Parameters.texts(projections.map((projection) => Option.getOrNull(projection.lastEventType))),
  Parameters.instants(projections.map((projection) => millis(projection.lastEventAt))),
  Parameters.uuids(projections.map((projection) => Option.getOrNull(projection.lastEventId))),
  Parameters.booleans(projections.map((projection) => projection.lastEventOwn)),
  Parameters.bags(
    projections.map(({ lastError }) => Option.getOrNull(Option.map(lastError, encodeError)))
  ),
  Parameters.texts(projections.map((projection) => Option.getOrNull(projection.lastErrorType))),
  Parameters.instants(projections.map((projection) => millis(projection.lastErrorAt))),
  Parameters.uuids(projections.map((projection) => Option.getOrNull(projection.lastErrorId))),
  Parameters.booleans(projections.map((projection) => projection.lastErrorOwn)),
  Parameters.booleans(projections.map((projection) => projection.terminal)),
  ...EventType.firstTimes.map((name) => Parameters.instants(projections.map((projection) => millis(projection[name]))))
]
