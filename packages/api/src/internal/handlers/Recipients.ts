/** Erases recipients. */
import { Directory, Inbox, Ledger, type Suppressions } from "@waybill/core"
import { Effect, Option } from "effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { Caller } from "../../Access.ts"
import { Api } from "../../Api.ts"
import * as answers from "./answers.ts"

/** How many deliveries a page of a history has by default. */
const historySize = 20

/** Answers `/recipients`. */
export const layer = HttpApiBuilder.group(
  Api,
  "recipients",
  Effect.fnUntraced(function*(handlers) {
    const ledger = yield* Ledger.Ledger
    const inbox = yield* Inbox.Inbox
    const ports = yield* Effect.context<Directory.Directory | Ledger.Ledger | Suppressions.Suppressions>()
    return handlers.handleAll({
      history: ({ payload: { after, limit, recipient } }) =>
        Effect.gen(function*() {
          const { tenantId } = yield* Caller
          const { next, stories, suppressions } = yield* Directory.history({
            tenantId,
            recipient,
            after: Option.fromUndefinedOr(after),
            limit: limit ?? historySize
          })
          return { suppressions, deliveries: stories, next }
        }).pipe(Effect.provideContext(ports), answers.answered),

      forget: ({ payload: { recipient } }) =>
        Effect.gen(function*() {
          const { tenantId } = yield* Caller
          const webhooks = yield* inbox.forget({ tenantId, recipient })
          const { deliveries, orphans } = yield* ledger.forget({ tenantId, recipient })
          return { deliveries, orphans, webhooks }
        }).pipe(answers.answered)
    })
  })
)
