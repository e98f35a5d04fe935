/** Says what may be asked of raw webhooks. */
import { Inbox, Place } from "@waybill/core"
import { Schema } from "effect"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import { Access, Answers } from "../../Access.ts"
import * as parts from "./parts.ts"

const { body: _body, headers, ...summary } = Inbox.Webhook.fields

const list = HttpApiEndpoint.get("list", "/webhooks", {
  headers: parts.headers,
  query: {
    limit: parts.limit,
    after: Schema.optionalKey(Place.Place),
    status: Schema.optionalKey(Inbox.WebhookStatus)
  },
  success: Schema.Struct({
    webhooks: Schema.Array(Schema.Struct(summary)),
    next: Schema.OptionFromNullOr(Place.Place)
  })
}).annotateMerge(parts.about(parts.looking, {
  summary: "List raw webhooks",
  description: "Newest first, page by page: `after` is the `next` of the page before."
}))

const show = HttpApiEndpoint.get("show", "/webhooks/:id", {
  headers: parts.headers,
  params: parts.webhookId,
  success: Schema.Struct({
    ...summary,
    headers,
    /** The body as text, or in base64 where it is no text. */
    body: Schema.String,
    encoding: Schema.Literals(["text", "base64"])
  })
}).annotateMerge(parts.about(parts.looking, { summary: "Show a raw webhook" }))

const replay = HttpApiEndpoint.post("replay", "/webhooks/:id/replay", {
  headers: parts.headers,
  params: parts.webhookId,
  success: Schema.Struct({ id: Inbox.WebhookId, status: Schema.Literal("received") }).pipe(HttpApiSchema.status(202))
}).annotateMerge(parts.about(parts.operating, {
  summary: "Process a webhook again",
  description: "By the next sweep of the inbox, its tries forgotten. Its events are in the ledger once."
}))

/** What may be asked of raw webhooks. */
export const Webhooks = HttpApiGroup.make("webhooks").add(list, show, replay).middleware(Access).middleware(Answers)
