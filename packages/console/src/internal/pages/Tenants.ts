/** Switches the tenant, for whoever reaches several. */
import { Figures, Inbox, Orphans, Tenant, Text } from "@waybill/core"
import { DateTime, Effect } from "effect"
import * as Acts from "../Acts.ts"
import { html } from "../Html.ts"
import * as Refusal from "../Refusal.ts"
import type { Page } from "../Shell.ts"
import * as Show from "../Show.ts"
import * as Visit from "../Visit.ts"

/** The tenants that anything was heard of: those with mail of the last 90 days, with orphans or with webhooks. */
export const page = Effect.fnUntraced(function*(visit: Visit.Visit) {
  if (visit.principal.scope !== Tenant.all) return yield* Refusal.notFound("such page")
  const now = yield* DateTime.now
  const scope = Tenant.all
  const figures = yield* Figures.Figures.use(({ read }) =>
    read({ scope, from: DateTime.subtract(now, { days: 90 }), to: now, by: ["tenant"], limit: 1000 })
  )
  const backlog = yield* Orphans.Orphans.use(({ backlog }) => backlog({ scope, horizon: Acts.horizon(now) }))
  const counts = yield* Inbox.Inbox.use(({ counts }) => counts(scope))
  const dispatched = new Map(
    figures.figures.flatMap(({ counts, group }) =>
      group.tenant === undefined ? [] : [[group.tenant, counts.dispatched]]
    )
  )
  const names = [
    ...new Set([
      visit.tenantId,
      ...dispatched.keys(),
      ...backlog.map(({ tenantId }) => tenantId),
      ...counts.map(({ tenantId }) => tenantId)
    ])
  ].toSorted(Text.compare)
  return {
    title: "Tenants",
    body:
      html`<h1>Tenants</h1><p class="lede">Those with mail of the last 90 days, with orphans, or with webhooks.</p>${
        Show.table(
          ["Tenant", "Dispatched", "Orphans", "Webhooks not done"],
          names.map((name) => [
            html`<a href="${Visit.link({ ...visit, tenantId: name }, "")}"><bdi>${name}</bdi></a>${
              name === visit.tenantId ? html` ${Show.tag("shown now")}` : undefined
            }`,
            (dispatched.get(name) ?? 0).toLocaleString("en"),
            (backlog.find(({ tenantId }) => tenantId === name)?.pending ?? 0).toLocaleString("en"),
            counts.filter(({ status, tenantId }) => tenantId === name && status !== "succeeded")
              .reduce((sum, { count }) => sum + count, 0).toLocaleString("en")
          ])
        )
      }<h2>Another one</h2><form class="filter" action="${visit.base}"><label class="wide">Its id<input name="tenant" required></label><button>Go</button></form>`
  } satisfies Page
})
