/** Lists the runs of the schedules. */
import { Ticks } from "@waybill/core"
import { type DateTime, Effect, Option } from "effect"
import { foreign, type Html, html } from "../Html.ts"
import type { Page } from "../Shell.ts"
import * as Show from "../Show.ts"
import * as Visit from "../Visit.ts"

const seconds = (from: DateTime.Utc, to: DateTime.Utc): string =>
  `${((to.epochMilliseconds - from.epochMilliseconds) / 1000).toFixed(2)} s`

const how = ({ endedAt, error }: Ticks.Tick): Html =>
  Option.isSome(error)
    ? Show.tag("failed", "bad")
    : Option.isNone(endedAt)
    ? Show.tag("running", "warn")
    : Show.tag("ended", "good")

/** A list of runs. */
export const table = (visit: Visit.Visit, ticks: ReadonlyArray<Ticks.Tick>): Html =>
  Show.table(
    ["Schedule", "Began", "How", "Took", "Did"],
    ticks.map((tick) => [
      foreign(tick.schedule),
      Show.time(tick.beganAt),
      how(tick),
      Option.match(tick.endedAt, { onNone: () => "", onSome: (at) => seconds(tick.beganAt, at) }),
      Option.match(tick.error, {
        onNone: () =>
          Object.entries(tick.counts).filter(([, count]) => count > 0).map(([name, count]) => `${name} ${count}`).join(
            ", "
          ),
        onSome: (error) => Show.words(visit, error)
      })
    ])
  )

/** The runs. */
export const page = Effect.fnUntraced(function*(visit: Visit.Visit) {
  const ticks = yield* Ticks.Ticks
  const schedule = Visit.asked(visit, "schedule")
  const found = yield* ticks.recent({ schedule, limit: 200 })
  return {
    title: "Sweeps",
    refresh: 15,
    body:
      html`<h1>Sweeps</h1><p class="lede">The last runs of the schedules, of all tenants, newest first.</p><form class="filter" action="${visit.base}/sweeps"><input type="hidden" name="tenant" value="${visit.tenantId}"><label>Schedule<input name="schedule" value="${
        Option.getOrElse(schedule, () => "")
      }" placeholder="reconcile"></label><button>Show</button></form><div data-part="list">${
        found.length === 0 ? Show.empty("No schedule has run yet.") : table(visit, found)
      }</div>`
  } satisfies Page
})
