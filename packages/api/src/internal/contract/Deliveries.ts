/** Says what may be asked of deliveries. */
import { Delivery, Event, IdempotencyKey, Timestamp } from "@waybill/core"
import { Schema } from "effect"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import { Access, Answers } from "../../Access.ts"
import * as parts from "./parts.ts"

const { mailable, metadata, recipient, stream } = Delivery.NewDelivery.fields

/** A delivery to be recorded. */
export const NewDelivery = Schema.Struct({
  recipient,
  mailable,
  stream,
  id: Schema.optionalKey(Event.DeliveryId),
  metadata: Schema.optionalKey(metadata),
  /** Whether it is to be sent although its recipient is suppressed. */
  ignoreSuppression: Schema.optionalKey(Schema.Boolean)
})

/** A delivery to be recorded with others, under a key of its own. */
export const KeyedDelivery = Schema.Struct({
  ...NewDelivery.fields,
  idempotencyKey: Schema.optionalKey(IdempotencyKey.IdempotencyKey)
})

/** What recording did. */
export const Recorded = Schema.Struct({
  delivery: Delivery.Delivery,
  /** False where the delivery was there already. */
  created: Schema.Boolean,
  /** How many waiting events it linked. */
  linked: Schema.Int,
  /** What suppresses the recipient; null where nothing does. */
  suppressedBy: Schema.Null
})

/** What became of one delivery of several. */
export const Outcome = Schema.Union([
  Recorded,
  Schema.Struct({ problem: Schema.Struct({ tag: Schema.String, detail: Schema.String }) })
])

const TimelineEntry = Schema.Struct({
  event: Event.Event,
  linkedBy: Schema.OptionFromNullOr(Event.EventId),
  /** What the provider said in words; null where nothing is kept. */
  details: Schema.Null
})

const record = HttpApiEndpoint.post("record", "/deliveries", {
  headers: {
    ...parts.headers,
    "idempotency-key": Schema.optionalKey(IdempotencyKey.IdempotencyKey.annotate({
      description: "Recording again under the same key answers the delivery that is there"
    }))
  },
  payload: NewDelivery,
  success: HttpApiSchema.WithHeaders(Recorded, parts.tagged)
}).annotateMerge(parts.about(parts.sending, {
  summary: "Record a delivery",
  description: "Before it is sent. With an `Idempotency-Key` it is recorded once, however often it is asked for."
}))

const recordMany = HttpApiEndpoint.post("recordMany", "/deliveries/batch", {
  headers: parts.headers,
  payload: Schema.Struct({
    deliveries: Schema.Array(KeyedDelivery).check(Schema.isMaxLength(1000, { message: "must be at most 1000" }))
  }),
  success: Schema.Struct({ results: Schema.Array(Outcome) })
}).annotateMerge(parts.about(parts.sending, {
  summary: "Record many deliveries",
  description:
    "Up to 1000, each on its own: one that is refused does not stop the rest. The results are in their order."
}))

const list = HttpApiEndpoint.get("list", "/deliveries", {
  headers: parts.headers,
  query: { limit: parts.limit, after: Schema.optionalKey(Event.DeliveryId) },
  success: Schema.Struct({
    deliveries: Schema.Array(Delivery.Delivery),
    next: Schema.OptionFromNullOr(Event.DeliveryId)
  })
}).annotateMerge(parts.about(parts.looking, {
  summary: "List a tenant's deliveries",
  description: "In the order of their ids, page by page: `after` is the `next` of the page before."
}))

const get = HttpApiEndpoint.get("get", "/deliveries/:id", {
  headers: parts.headers,
  params: parts.deliveryId,
  query: {
    asOf: Schema.optionalKey(Timestamp.Timestamp.annotate({ description: "Folds only the events known at this time" }))
  },
  success: HttpApiSchema.WithHeaders(
    Schema.Struct({ delivery: Delivery.Delivery, timeline: Schema.Array(TimelineEntry) }),
    parts.tagged
  )
}).annotateMerge(parts.about(parts.everybody, {
  summary: "Get a delivery and its timeline",
  description:
    "Every event by when it happened; one that came before its delivery was known has the event that linked it."
}))

const dispatch = HttpApiEndpoint.post("dispatch", "/deliveries/:id/dispatch", {
  headers: parts.versioned,
  params: parts.deliveryId,
  payload: Schema.Struct({
    provider: Delivery.Dispatch.fields.provider,
    providerMessageId: Delivery.Dispatch.fields.providerMessageId
  }),
  success: HttpApiSchema.WithHeaders(
    Schema.Struct({ delivery: Delivery.Delivery, linked: Schema.Int }),
    parts.tagged
  )
}).annotateMerge(parts.about(parts.sending, {
  summary: "Note that a provider accepted a delivery",
  description: "Links the events that came before. Again with the same message id it changes nothing."
}))

/** What may be asked of deliveries. */
export const Deliveries = HttpApiGroup.make("deliveries").add(record, recordMany, list, get, dispatch).middleware(
  Access
).middleware(Answers)
