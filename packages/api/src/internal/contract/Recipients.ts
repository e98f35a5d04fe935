/** Says what may be asked of recipients. */
import { Delivery, Directory, Recipient, Suppression } from "@waybill/core"
import { Schema } from "effect"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import { Access, Answers } from "../../Access.ts"
import { TimelineEntry } from "./Deliveries.ts"
import * as parts from "./parts.ts"

const forget = HttpApiEndpoint.post("forget", "/recipients/forget", {
  headers: parts.headers,
  payload: Schema.Struct({ recipient: Recipient.Recipient }),
  success: Schema.Struct({ deliveries: Schema.Int, orphans: Schema.Int, webhooks: Schema.Int })
}).annotateMerge(parts.about(parts.operating, {
  summary: "Forget a recipient",
  description: "Erases the address from deliveries and raw webhooks, for good; events and counts stay."
}))

const history = HttpApiEndpoint.post("history", "/recipients/history", {
  headers: parts.headers,
  payload: Schema.Struct({
    recipient: Recipient.Recipient,
    limit: Schema.optionalKey(
      Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100 }, { message: "must be 1 to 100" }))
    ),
    after: Schema.optionalKey(Directory.Cursor)
  }),
  success: Schema.Struct({
    /** What keeps mail from the recipient as of now. */
    suppressions: Schema.Array(Suppression.Suppression),
    deliveries: Schema.Array(
      Schema.Struct({ delivery: Delivery.Delivery, timeline: Schema.Array(TimelineEntry) })
    ),
    next: Schema.OptionFromNullOr(Directory.Cursor)
  })
}).annotateMerge(parts.about(parts.looking, {
  summary: "Tell all that happened to a recipient",
  description:
    "In any spelling, over all deliveries, newest first, by pages of 20, with what suppresses it as of now. The address is in the body, so that no log of " +
    "requests has it."
}))

/** What may be asked of recipients. */
export const Recipients = HttpApiGroup.make("recipients").add(history, forget).middleware(Access).middleware(Answers)
