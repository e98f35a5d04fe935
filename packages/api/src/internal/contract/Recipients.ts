/** Says what may be asked of recipients. */
import { Recipient } from "@waybill/core"
import { Schema } from "effect"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import { Access, Answers } from "../../Access.ts"
import * as parts from "./parts.ts"

const forget = HttpApiEndpoint.post("forget", "/recipients/forget", {
  headers: parts.headers,
  payload: Schema.Struct({ recipient: Recipient.Recipient }),
  success: Schema.Struct({ deliveries: Schema.Int, orphans: Schema.Int, webhooks: Schema.Int })
}).annotateMerge(parts.about(parts.operating, {
  summary: "Forget a recipient",
  description: "Erases the address from deliveries and raw webhooks, for good; events and counts stay."
}))

/** What may be asked of recipients. */
export const Recipients = HttpApiGroup.make("recipients").add(forget).middleware(Access).middleware(Answers)
