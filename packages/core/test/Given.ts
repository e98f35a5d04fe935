import {
  Delivery,
  Event,
  EventType,
  IdempotencyKey,
  JsonBag,
  OwnEvent,
  type Projection,
  Provider,
  Recipient,
  Tenant
} from "@waybill/core"
import { Arbitrary, DateTime, Option, Schema } from "effect"

export const noon = DateTime.makeUnsafe("2026-03-01T12:00:00.000Z")

export const afterNoon = (seconds: number): DateTime.Utc => DateTime.add(noon, { seconds })

export const provider = Provider.Provider.make("postmark")

export const eventId = (number: number): Event.EventId =>
  Event.EventId.make(`00000000-0000-7000-8000-${String(number).padStart(12, "0")}`)

export const deliveryId = (number: number): Event.DeliveryId =>
  Event.DeliveryId.make(`00000000-0000-4000-8000-${String(number).padStart(12, "0")}`)

/** What a projection depends on, by one of our own events where no provider reported it. */
export const fact = (
  type: EventType.EventType,
  fields: {
    readonly at?: number
    readonly id?: number
    readonly own?: boolean
    readonly bounce?: Event.BounceClass
    readonly reject?: Event.RejectReason
    readonly payload?: JsonBag.JsonBag
  } = {}
): Projection.Fact => ({
  id: eventId(fields.id ?? 0),
  type,
  occurredAt: afterNoon(fields.at ?? 0),
  provider: fields.own === true ? Option.none() : Option.some(provider),
  rejectReason: Option.fromUndefinedOr(fields.reject),
  bounceClass: Option.fromUndefinedOr(fields.bounce),
  normalizedPayload: fields.payload ?? JsonBag.empty
})

const small = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

const bounces = [undefined, ...Event.BounceClass.literals]

/**
 * Facts with their own ids, of few instants so that many are equal. What a fact says beside its type and time goes by its id, so
 * that facts of two lists which have the same id, type and time are one event.
 */
export const facts: Arbitrary.Arbitrary<ReadonlyArray<Projection.Fact>> = Arbitrary.array(
  Arbitrary.all({
    type: Arbitrary.schema(EventType.EventType),
    at: small(-2, 2),
    own: Arbitrary.schema(Schema.Boolean)
  }),
  { maxLength: 12 }
).pipe(
  Arbitrary.map((list) =>
    list.map(({ at, own, type }, id) => {
      const bounce = bounces[id % bounces.length]
      return fact(type, {
        at,
        id,
        own,
        payload: { smtpStatus: 550 + id % 3 },
        ...bounce === undefined ? {} : { bounce }
      })
    })
  )
)

/** A number that turns and splits lists. */
export const turn = small(0, 11)

/** The same list from another place on, and back to front. */
export const rotated = <A>(list: ReadonlyArray<A>, turn: number): ReadonlyArray<A> =>
  [...list.slice(turn % (list.length + 1)), ...list.slice(0, turn % (list.length + 1))].toReversed()

export const newDelivery = (fields: Partial<Delivery.NewDelivery> = {}): Delivery.NewDelivery => ({
  ...Delivery.NewDelivery.make({
    recipient: Recipient.Recipient.make("ann@example.com"),
    mailable: "welcome",
    stream: "transactional"
  }),
  ...fields
})

export const newEvent = (fields: Partial<Event.NewEvent> = {}): Event.NewEvent => ({
  ...Event.NewEvent.make({
    type: "delivered",
    occurredAt: noon,
    provider,
    idempotencyKey: IdempotencyKey.IdempotencyKey.make("key")
  }),
  ...fields
})

export const recorded = (fields: Partial<Delivery.NewDelivery> = {}): Delivery.Delivery =>
  Delivery.fromNew(
    newDelivery(fields),
    deliveryId(1),
    OwnEvent.queued(deliveryId(1), { id: eventId(1), tenantId: Tenant.defaultTenantId, insertedAt: noon })
  )
