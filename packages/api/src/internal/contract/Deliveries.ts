/** Says what may be asked of deliveries. */
import {
  Block,
  Delivery,
  Details,
  Directory,
  Event,
  EventType,
  IdempotencyKey,
  Provider,
  Recipient,
  Timestamp
} from "@waybill/core"
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
  suppressedBy: Schema.OptionFromNullOr(Block.Block)
})

/** What became of one delivery of several. */
export const Outcome = Schema.Union([
  Recorded,
  Schema.Struct({ problem: Schema.Struct({ tag: Schema.String, detail: Schema.String }) })
])

/** An event of a delivery. */
export const TimelineEntry = Schema.Struct({
  event: Event.Event,
  linkedBy: Schema.OptionFromNullOr(Event.EventId),
  /** What the provider said in words; null where nothing is kept. */
  details: Schema.OptionFromNullOr(Details.Details)
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

const named = <A, E>(schema: Schema.Codec<A, E>) => Schema.optionalKey(schema)

const search = HttpApiEndpoint.get("search", "/deliveries", {
  headers: parts.headers,
  query: {
    recipient: named(Recipient.Recipient.annotate({ description: "To this address, in any spelling" })),
    recipientDomain: named(Schema.String.annotate({ description: "To any address of this domain" })),
    providerMessageId: named(
      Schema.String.annotate({ description: "Of this provider's message id, as anybody has it" })
    ),
    idempotencyKey: named(IdempotencyKey.IdempotencyKey),
    mailable: named(Schema.String),
    stream: named(stream),
    provider: named(Provider.Provider),
    status: named(EventType.Status),
    event: named(EventType.EventType.annotate({ description: "To which this happened" })),
    lastEventType: named(EventType.EventType.annotate({ description: "To which this happened last" })),
    recordedFrom: named(Timestamp.Timestamp),
    recordedTo: named(Timestamp.Timestamp),
    happenedFrom: named(Timestamp.Timestamp),
    happenedTo: named(Timestamp.Timestamp),
    stuckSeconds: named(
      Schema.FiniteFromString.check(
        Schema.isBetween({ minimum: 0, maximum: 1_000_000_000 }, { message: "must be 0 to 1000000000" })
      ).annotate({ description: "Recorded so long ago or longer, and never dispatched, failed or suppressed" })
    ),
    limit: parts.limit,
    after: named(Directory.Cursor)
  },
  success: Schema.Struct({
    deliveries: Schema.Array(Delivery.Delivery),
    next: Schema.OptionFromNullOr(Directory.Cursor)
  })
}).annotateMerge(parts.about(parts.looking, {
  summary: "Find a tenant's deliveries",
  description:
    "By all that is named together, newest first, page by page: `after` is the `next` of the page before. A page that " +
    "has a `next` may be short, or empty: it looked as far as it may."
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

const fail = HttpApiEndpoint.post("fail", "/deliveries/:id/fail", {
  headers: parts.versioned,
  params: parts.deliveryId,
  payload: Schema.Struct({
    error: Schema.Struct({ code: Delivery.Fail.fields.error.fields.code, message: Schema.optionalKey(Schema.String) }),
    /** Whether the delivery is given up; else another attempt follows. */
    final: Schema.Boolean,
    /** The number of the attempt, which is noted once; without one it is the next. */
    attempt: Schema.optionalKey(Schema.Int)
  }),
  success: HttpApiSchema.WithHeaders(
    Schema.Struct({ delivery: Delivery.Delivery, attempt: Schema.Int, noted: Schema.Boolean }),
    parts.tagged
  )
}).annotateMerge(parts.about(parts.sending, {
  summary: "Note that an attempt to send failed",
  description: "Addresses and URLs are taken out of the message. `noted` is false where the attempt was noted already."
}))

const suppress = HttpApiEndpoint.post("suppress", "/deliveries/:id/suppress", {
  headers: parts.versioned,
  params: parts.deliveryId,
  payload: Schema.Struct({ because: Schema.optionalKey(Schema.String) }),
  success: HttpApiSchema.WithHeaders(
    Schema.Struct({ delivery: Delivery.Delivery, noted: Schema.Boolean }),
    parts.tagged
  )
}).annotateMerge(parts.about(parts.sending, {
  summary: "Note that a delivery is not sent on purpose",
  description: "`noted` is false where it was noted already."
}))

/** What may be asked of deliveries. */
export const Deliveries = HttpApiGroup.make("deliveries")
  .add(record, recordMany, search, get, dispatch, fail, suppress)
  .middleware(Access)
  .middleware(Answers)
