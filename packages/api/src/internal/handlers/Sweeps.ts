/** Lists the runs of the schedules. */
import { Ticks } from "@waybill/core"
import { Effect, Option } from "effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { Api } from "../../Api.ts"
import * as answers from "./answers.ts"

/** Answers `/sweeps`. */
export const layer = HttpApiBuilder.group(
  Api,
  "sweeps",
  Effect.fnUntraced(function*(handlers) {
    const ticks = yield* Ticks.Ticks
    return handlers.handleAll({
      list: ({ query }) =>
        ticks.recent({ schedule: Option.fromUndefinedOr(query.schedule), limit: answers.pageSize(query) }).pipe(
          Effect.map((sweeps) => ({ sweeps })),
          answers.answered
        )
    })
  })
)
