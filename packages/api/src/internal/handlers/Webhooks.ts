/** Lists and shows raw webhooks, and lets the inbox process one again. */
import { Inbox, Place } from "@waybill/core"
import { Effect, Option, Schema } from "effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { Caller } from "../../Access.ts"
import { Api } from "../../Api.ts"
import * as answers from "./answers.ts"

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const base64 = Schema.encodeSync(Schema.Uint8ArrayFromBase64)

/** A body as text, or in base64 where it is no text. */
const readable = (body: Uint8Array): { readonly body: string; readonly encoding: "text" | "base64" } => {
  try {
    return { body: strict.decode(body), encoding: "text" }
  } catch {
    return { body: base64(body), encoding: "base64" }
  }
}

/** Answers `/webhooks`. */
export const layer = HttpApiBuilder.group(
  Api,
  "webhooks",
  Effect.fnUntraced(function*(handlers) {
    const inbox = yield* Inbox.Inbox
    return handlers.handleAll({
      list: ({ query }) =>
        Effect.gen(function*() {
          const { scope } = yield* Caller
          const limit = answers.pageSize(query)
          const webhooks = yield* inbox.list({
            scope,
            limit,
            status: Option.fromUndefinedOr(query.status),
            ...query.after !== undefined && { after: query.after }
          })
          return { webhooks, next: answers.next(webhooks, limit, ({ id, receivedAt }) => Place.of(receivedAt, id)) }
        }).pipe(answers.answered),

      show: ({ params }) =>
        Effect.gen(function*() {
          const { scope } = yield* Caller
          const found = yield* inbox.get(scope, params.id)
          if (Option.isNone(found)) return yield* new Inbox.WebhookNotFound({ webhookId: params.id })
          return { ...found.value, ...readable(found.value.body) }
        }).pipe(answers.answered),

      replay: ({ params: { id } }) =>
        Effect.gen(function*() {
          const { scope } = yield* Caller
          if (!(yield* inbox.release(scope, id))) return yield* new Inbox.WebhookNotFound({ webhookId: id })
          return { id, status: "received" as const }
        }).pipe(answers.answered)
    })
  })
)
