/**
 * Defines the flags and arguments that several commands share, each checked while the command line is parsed.
 *
 * @since 0.1.0
 */
import { Event, Input, Provider, Tenant } from "@waybill/core"
import { maxMaxAgeMinutes } from "@waybill/runtime/Reconciler"
import { type DateTime, Duration, Option, Schema } from "effect"
import { Argument, Flag } from "effect/cli"
import * as Settings from "../config/Settings.ts"

/**
 * Prints JSON in place of a table.
 *
 * @category flags
 * @since 0.1.0
 */
export const json = Flag.Boolean("json").pipe(
  Flag.withDescription("Print one JSON document instead of a table"),
  Flag.withDefault(false)
)

/**
 * The tenant of a command that needs one.
 *
 * @category flags
 * @since 0.1.0
 */
export const tenantId = Flag.String("tenant-id").pipe(
  Flag.withSchema(Tenant.TenantId),
  Flag.withDescription("The tenant (default: default)"),
  Flag.withDefault(Tenant.defaultTenantId)
)

/**
 * The tenant of a command that reaches all of them without it.
 *
 * @category flags
 * @since 0.1.0
 */
export const anyTenantId = Flag.String("tenant-id").pipe(
  Flag.withSchema(Tenant.TenantId),
  Flag.withDescription("One tenant (default: all)"),
  Flag.optional
)

/**
 * The scope of a command that reaches all tenants by default.
 *
 * @category flags
 * @since 0.2.0
 */
export const scope = Flag.map(anyTenantId, Option.getOrElse((): Tenant.Scope => Tenant.all))

/**
 * The most rows that are listed.
 *
 * @category flags
 * @since 0.2.0
 */
export const limit = Flag.Int("limit").pipe(
  Flag.withDescription("How many at most (default: 100)"),
  Flag.withDefault(100)
)

/**
 * The version of the delivery that a command acts on.
 *
 * @category flags
 * @since 0.2.0
 */
export const expectedVersion = Flag.Int("expected-version").pipe(
  Flag.withDescription("Fail unless the delivery has this lockVersion"),
  Flag.optional
)

/**
 * The horizon.
 *
 * @category flags
 * @since 0.1.0
 */
export const maxAge = Flag.Int("max-age-minutes").pipe(
  Flag.filter(
    (minutes) => minutes >= 1 && minutes <= maxMaxAgeMinutes,
    () => "must be a whole number of minutes from 1"
  ),
  Flag.map(Duration.minutes),
  Flag.withDescription("Leave out orphans older than this many minutes"),
  Flag.optional
)

const idOfDelivery = (name: string) =>
  Argument.String(name).pipe(
    Argument.withSchema(Event.DeliveryId),
    Argument.withDescription("The delivery's id")
  )

/**
 * A delivery's id.
 *
 * @category arguments
 * @since 0.1.0
 */
export const deliveryId = idOfDelivery("id")

/**
 * A provider by any name, as a delivery may have been sent through one whose webhooks Waybill does not read.
 *
 * @category flags
 * @since 0.1.0
 */
export const sender = Flag.String("provider").pipe(
  Flag.withSchema(Provider.Provider),
  Flag.withDescription("Who accepted the message, such as postmark")
)

/**
 * How young an orphan a sweep leaves alone.
 *
 * @category flags
 * @since 0.1.0
 */
export const grace = Flag.String("grace").pipe(
  Flag.filterMap(Settings.grace.parse, () => Settings.grace.issue),
  Flag.withMetavar("duration"),
  Flag.withDescription("Leave out orphans younger than this (default: WAYBILL_GRACE, or else 60s)"),
  Flag.optional
)

/**
 * How many orphans one transaction of a sweep claims.
 *
 * @category flags
 * @since 0.1.0
 */
export const batchSize = Flag.Int("batch-size").pipe(
  Flag.filter(
    (size) => size >= 1 && size <= Input.maxLimit,
    () => `must be a whole number from 1 to ${Input.maxLimit}`
  ),
  Flag.withDescription("How many orphans one transaction claims (default: WAYBILL_BATCH_SIZE, or else 1000)"),
  Flag.optional
)

/**
 * A time in ISO 8601.
 *
 * @category flags
 * @since 0.2.0
 */
export const time = (name: string, description: string): Flag.Flag<Option.Option<DateTime.Utc>> =>
  Flag.String(name).pipe(
    Flag.withSchema(Schema.DateTimeUtcFromString),
    Flag.withMetavar("time"),
    Flag.withDescription(description),
    Flag.optional
  )

/**
 * The instant as of which to look.
 *
 * @category flags
 * @since 0.1.0
 */
export const asOf = time("as-of", "Fold only the events known at this time, in ISO 8601 (default: all)")

/**
 * An event's id.
 *
 * @category arguments
 * @since 0.1.0
 */
export const eventId = Argument.String("event-id").pipe(
  Argument.withSchema(Event.EventId),
  Argument.withDescription("The event's id")
)

/**
 * The delivery that an event is to be linked to.
 *
 * @category arguments
 * @since 0.1.0
 */
export const toDeliveryId = idOfDelivery("delivery-id")

/**
 * When a webhook arrived.
 *
 * @category flags
 * @since 0.1.0
 */
export const receivedAt = time("received-at", "Judge signatures as of this time, in ISO 8601 (default: now)")
