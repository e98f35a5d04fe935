/** Says what may be asked of suppressions, and changed by hand. */
import { Act, Delivery, Event, EventType, Recipient, Suppression, Suppressions as Port, Timestamp } from "@waybill/core"
import { Schema } from "effect"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import { Access, Answers } from "../../Access.ts"
import * as parts from "./parts.ts"

const Found = Schema.Struct({ suppressions: Schema.Array(Suppression.Suppression) })

const many = <S extends Schema.Top>(schema: S) =>
  Schema.Array(schema).check(
    Schema.isMaxLength(Port.maxRecipients, { message: `must be at most ${Port.maxRecipients}` })
  )

const check = HttpApiEndpoint.post("check", "/suppressions/check", {
  headers: parts.headers,
  payload: Schema.Struct({
    recipients: many(Recipient.Recipient),
    /** Answers only what keeps mail of this stream from them. */
    stream: Schema.optionalKey(Delivery.Stream)
  }),
  success: Found
}).annotateMerge(parts.about(parts.everybody, {
  summary: "Ask who must not be mailed",
  description: "Up to 1000 addresses in one call. Whoever is not in the answer may be mailed."
}))

const list = HttpApiEndpoint.get("list", "/suppressions", {
  headers: parts.headers,
  query: {
    reason: Schema.optionalKey(EventType.SuppressionReason),
    stream: Schema.optionalKey(Delivery.Stream),
    from: Schema.optionalKey(Timestamp.Timestamp),
    to: Schema.optionalKey(Timestamp.Timestamp),
    limit: parts.limit,
    after: Schema.optionalKey(Schema.String)
  },
  success: Schema.Struct({ ...Found.fields, next: Schema.OptionFromNullOr(Schema.String) })
}).annotateMerge(parts.about(parts.looking, {
  summary: "List what is suppressed",
  description: "Page by page: `after` is the `next` of the page before."
}))

const add = HttpApiEndpoint.post("add", "/suppressions", {
  headers: parts.headers,
  payload: Schema.Struct({
    additions: many(Schema.Struct({
      recipient: Recipient.Recipient,
      reason: EventType.SuppressionReason,
      stream: Schema.optionalKey(Delivery.Stream),
      since: Schema.optionalKey(Timestamp.Timestamp)
    })),
    because: Schema.optionalKey(Schema.String)
  }),
  success: Schema.Struct({ outcomes: Schema.Array(Schema.Literals(["Added", "Held", "Lapsed"])) })
}).annotateMerge(parts.about(parts.operating, {
  summary: "Suppress addresses by hand",
  description:
    "All or none, recorded with the name of the caller's token. The outcomes are in the order of the additions."
}))

const lift = HttpApiEndpoint.post("lift", "/suppressions/lift", {
  headers: parts.headers,
  payload: Schema.Struct({
    recipient: Recipient.Recipient,
    reason: EventType.SuppressionReason,
    stream: Schema.optionalKey(Delivery.Stream),
    because: Schema.optionalKey(Schema.String)
  }),
  success: Found
}).annotateMerge(parts.about(parts.operating, {
  summary: "Lift a suppression by hand",
  description:
    "It holds against what happened before, never against what comes after. A complaint is lifted only by saying why."
}))

const { actedAt, actor, because, kind } = Act.Act.fields

const Entry = Schema.Struct({
  reason: EventType.SuppressionReason,
  /** The stream that it is about; null where it is about all. */
  stream: Schema.OptionFromNullOr(Delivery.Stream),
  /** Whether it lifts; else it is a cause. */
  lifts: Schema.Boolean,
  /** When it happened, or took effect. */
  at: Timestamp.Timestamp,
  /** The event that it is, or that was kept of it. */
  eventId: Schema.OptionFromNullOr(Event.EventId),
  /** What was done by hand; null for an event. */
  act: Schema.OptionFromNullOr(Schema.Struct({ kind, actedAt, actor, because }))
})

const history = HttpApiEndpoint.post("history", "/suppressions/history", {
  headers: parts.headers,
  payload: Schema.Struct({ recipient: Recipient.Recipient, limit: parts.count }),
  success: Schema.Struct({ entries: Schema.Array(Entry) })
}).annotateMerge(parts.about(parts.looking, {
  summary: "Tell why an address is suppressed, or no more",
  description:
    "Its causes, its lifts and what was done by hand, by whom and why, the latest first. The address is in the body."
}))

/** What may be asked of suppressions. */
export const Suppressions = HttpApiGroup.make("suppressions")
  .add(check, list, history, add, lift)
  .middleware(Access)
  .middleware(Answers)
