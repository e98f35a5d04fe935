/** Lists and explains orphans, and acts on them by hand. */
import { type Event, type Orphan, Orphans, Place } from "@waybill/core"
import { Effect, Option } from "effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { Caller } from "../../Access.ts"
import { Api } from "../../Api.ts"
import * as answers from "./answers.ts"

/** An explanation as one flat object. */
const shown = (eventId: Event.EventId, explanation: Orphan.Explanation) => ({
  eventId,
  state: explanation._tag,
  deliveryId: "deliveryId" in explanation ? Option.some(explanation.deliveryId) : Option.none(),
  correlation: "correlation" in explanation ? Option.some(explanation.correlation) : Option.none(),
  attempts: explanation._tag === "SetAside" ? explanation.attempts : 0,
  reason: explanation._tag === "SetAside" ? Option.some(explanation.reason) : Option.none(),
  nextAttemptAt: explanation._tag === "SetAside" ? Option.some(explanation.nextAttemptAt) : Option.none()
})

/** Answers `/orphans`. */
export const layer = HttpApiBuilder.group(
  Api,
  "orphans",
  Effect.fnUntraced(function*(handlers) {
    const orphans = yield* Orphans.Orphans

    const keyOf = (eventId: Event.EventId) =>
      Effect.map(Caller, ({ principal, tenantId }) => ({ tenantId, eventId, actor: principal.name }))

    return handlers.handleAll({
      list: ({ query }) =>
        Effect.gen(function*() {
          const { scope } = yield* Caller
          const limit = answers.pageSize(query)
          const found = yield* orphans.find({
            scope,
            limit,
            failedOnly: query.failed === "true",
            insertedFrom: Option.none(),
            ...query.after !== undefined && { after: query.after }
          })
          return {
            orphans: found,
            next: answers.next(found, limit, ({ event }) => Place.of(event.insertedAt, event.id))
          }
        }).pipe(answers.answered),

      explain: ({ params }) =>
        Effect.flatMap(keyOf(params.id), orphans.explain).pipe(
          Effect.map((explanation) => shown(params.id, explanation)),
          answers.answered
        ),

      link: ({ headers, params, payload: { deliveryId } }) =>
        Effect.flatMap(
          keyOf(params.id),
          (key) => orphans.linkTo({ ...key, deliveryId, expectedVersion: answers.expectedVersion(headers) })
        ).pipe(
          Effect.map((linked) => ({ eventId: params.id, deliveryId, linked })),
          answers.answered
        ),

      dismiss: ({ params }) =>
        Effect.flatMap(keyOf(params.id), orphans.dismiss).pipe(
          Effect.map((dismissed) => ({ eventId: params.id, dismissed })),
          answers.answered
        ),

      retry: ({ params }) =>
        Effect.flatMap(keyOf(params.id), orphans.retry).pipe(
          Effect.map((retried) => ({ eventId: params.id, retried })),
          answers.answered
        )
    })
  })
)
