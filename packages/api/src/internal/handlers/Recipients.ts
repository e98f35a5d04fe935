/** Erases recipients. */
import { Inbox, Ledger } from "@waybill/core"
import { Effect } from "effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { Caller } from "../../Access.ts"
import { Api } from "../../Api.ts"
import * as answers from "./answers.ts"

/** Answers `/recipients`. */
export const layer = HttpApiBuilder.group(
  Api,
  "recipients",
  Effect.fnUntraced(function*(handlers) {
    const ledger = yield* Ledger.Ledger
    const inbox = yield* Inbox.Inbox
    return handlers.handleAll({
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
