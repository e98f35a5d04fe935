/** Tells who must not be mailed, and changes it by hand. */
import { Suppressions } from "@waybill/core"
import { Effect, Option } from "effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { Caller } from "../../Access.ts"
import { Api } from "../../Api.ts"
import * as answers from "./answers.ts"

/** Answers `/suppressions`. */
export const layer = HttpApiBuilder.group(
  Api,
  "suppressions",
  Effect.fnUntraced(function*(handlers) {
    const suppressions = yield* Suppressions.Suppressions
    const found = Effect.map((found: Effect.Success<ReturnType<typeof suppressions.check>>) => ({
      suppressions: found
    }))
    return handlers.handleAll({
      check: ({ payload: { recipients, stream } }) =>
        Effect.flatMap(
          Caller,
          ({ tenantId }) => suppressions.check({ tenantId, recipients, stream: Option.fromUndefinedOr(stream) })
        ).pipe(
          found,
          answers.answered
        ),

      list: ({ query }) =>
        Effect.flatMap(Caller, ({ tenantId }) =>
          suppressions.list({
            tenantId,
            reason: Option.fromUndefinedOr(query.reason),
            stream: Option.fromUndefinedOr(query.stream),
            from: Option.fromUndefinedOr(query.from),
            to: Option.fromUndefinedOr(query.to),
            after: Option.fromUndefinedOr(query.after),
            limit: answers.pageSize(query)
          })).pipe(answers.answered),

      history: ({ payload }) =>
        Effect.flatMap(
          Caller,
          ({ tenantId }) =>
            suppressions.history({ tenantId, recipient: payload.recipient, limit: answers.pageSize(payload) })
        ).pipe(
          Effect.map((entries) => ({ entries })),
          answers.answered
        ),

      add: ({ payload: { additions, because } }) =>
        Effect.flatMap(Caller, ({ principal, tenantId }) =>
          suppressions.add({
            tenantId,
            additions: additions.map(({ reason, recipient, since, stream }) => ({
              recipient,
              reason,
              stream: Option.fromUndefinedOr(stream),
              since: Option.fromUndefinedOr(since)
            })),
            actor: principal.name,
            because: Option.fromUndefinedOr(because)
          })).pipe(
            Effect.map((outcomes) => ({ outcomes })),
            answers.answered
          ),

      lift: ({ payload: { because, reason, recipient, stream } }) =>
        Effect.flatMap(Caller, ({ principal, tenantId }) =>
          suppressions.lift({
            tenantId,
            recipient,
            reason,
            stream: Option.fromUndefinedOr(stream),
            actor: principal.name,
            because: Option.fromUndefinedOr(because)
          })).pipe(found, answers.answered)
    })
  })
)
