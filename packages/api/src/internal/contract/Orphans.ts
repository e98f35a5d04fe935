/** Says what may be asked of orphans. */
import { Event, Place, Timestamp } from "@waybill/core"
import { Schema } from "effect"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import { Access, Answers } from "../../Access.ts"
import * as parts from "./parts.ts"

const PendingOrphan = Schema.Struct({
  event: Event.Event,
  /** How its link failed on its own; null where it did not. */
  failure: Schema.OptionFromNullOr(Schema.Struct({
    attempts: Schema.Int,
    reason: Schema.String,
    nextAttemptAt: Schema.OptionFromNullOr(Timestamp.Timestamp)
  }))
})

const list = HttpApiEndpoint.get("list", "/orphans", {
  headers: parts.headers,
  query: {
    limit: parts.limit,
    after: Schema.optionalKey(Place.Place),
    failed: Schema.optionalKey(
      Schema.Literals(["true", "false"]).annotate({
        description: "`true` shows only those whose link failed on its own"
      })
    )
  },
  success: Schema.Struct({ orphans: Schema.Array(PendingOrphan), next: Schema.OptionFromNullOr(Place.Place) })
}).annotateMerge(parts.about(parts.looking, {
  summary: "List the orphans",
  description:
    "The events that wait for their delivery, oldest first, page by page: `after` is the `next` of the page before."
}))

const explain = HttpApiEndpoint.get("explain", "/orphans/:id", {
  headers: parts.headers,
  params: parts.eventId,
  success: Schema.Struct({
    eventId: Event.EventId,
    /** The state, such as `NoDelivery`, `Linkable` or `Linked`. */
    state: Schema.Literals([
      "NotAnOrphan",
      "Linked",
      "Dismissed",
      "Malformed",
      "NoDelivery",
      "OtherRecipient",
      "Ambiguous",
      "Linkable",
      "SetAside"
    ]),
    /** The delivery that it is about or would be linked to. */
    deliveryId: Schema.OptionFromNullOr(Event.DeliveryId),
    /** The key under which it waits. */
    correlation: Schema.OptionFromNullOr(Schema.String),
    attempts: Schema.Int,
    reason: Schema.OptionFromNullOr(Schema.String),
    nextAttemptAt: Schema.OptionFromNullOr(Timestamp.Timestamp)
  })
}).annotateMerge(parts.about(parts.looking, { summary: "Explain why an event waits" }))

const link = HttpApiEndpoint.post("link", "/orphans/:id/link", {
  headers: parts.versioned,
  params: parts.eventId,
  payload: Schema.Struct({ deliveryId: Event.DeliveryId }),
  success: Schema.Struct({ eventId: Event.EventId, deliveryId: Event.DeliveryId, linked: Schema.Boolean })
}).annotateMerge(parts.about(parts.operating, {
  summary: "Link an orphan to a delivery by hand",
  description: "`linked` is false where the event was not waiting."
}))

const dismiss = HttpApiEndpoint.post("dismiss", "/orphans/:id/dismiss", {
  headers: parts.headers,
  params: parts.eventId,
  success: Schema.Struct({ eventId: Event.EventId, dismissed: Schema.Boolean })
}).annotateMerge(parts.about(parts.operating, {
  summary: "Take an orphan out of the queue, for good",
  description: "`dismissed` is false where the event was not waiting."
}))

const retry = HttpApiEndpoint.post("retry", "/orphans/:id/retry", {
  headers: parts.headers,
  params: parts.eventId,
  success: Schema.Struct({ eventId: Event.EventId, retried: Schema.Boolean })
}).annotateMerge(parts.about(parts.operating, {
  summary: "Let the next sweep try an orphan again",
  description: "`retried` is false where the event neither failed nor rests."
}))

/** What may be asked of orphans. */
export const Orphans = HttpApiGroup.make("orphans").add(list, explain, link, dismiss, retry).middleware(Access)
  .middleware(Answers)
