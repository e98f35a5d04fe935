/** Says what may be asked of the sweeps and the other schedules. */
import { Ticks } from "@waybill/core"
import { Schema } from "effect"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import { Access, AllTenantsOnly, Answers } from "../../Access.ts"
import * as parts from "./parts.ts"

const list = HttpApiEndpoint.get("list", "/sweeps", {
  headers: parts.headers,
  query: { limit: parts.limit, schedule: Schema.optionalKey(Ticks.Tick.fields.schedule) },
  success: Schema.Struct({ sweeps: Schema.Array(Ticks.Tick) })
}).annotateMerge(parts.about(parts.looking, {
  summary: "List the runs of the schedules",
  description: "What began last first. They are the whole installation's, so that a token of one tenant is refused."
})).annotate(AllTenantsOnly, true)

/** What may be asked of the sweeps. */
export const Sweeps = HttpApiGroup.make("sweeps").add(list).middleware(Access).middleware(Answers)
