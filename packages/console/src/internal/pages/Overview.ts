/** Shows what is wrong, what waits, what fails, the last sweeps, whom was heard from, and how much goes out by the hour. */
import {
  type Alert,
  AlertRule,
  Alerts,
  Directory,
  Figures,
  Inbox,
  Judgement,
  Orphans,
  Search,
  Ticks
} from "@waybill/core"
import { DateTime, Effect, Option } from "effect"
import * as Acts from "../Acts.ts"
import { type Html, html } from "../Html.ts"
import type { Page } from "../Shell.ts"
import * as Show from "../Show.ts"
import * as Visit from "../Visit.ts"
import * as Sweeps from "./Sweeps.ts"

interface Hour {
  readonly startsAt: DateTime.Utc
  readonly dispatched: number
  readonly troubled: number
}

const width = 720

const height = 130

/** The hours as bars: what was dispatched, and of it what bounced, was rejected or complained of. */
const bars = (hours: ReadonlyArray<Hour>): Html => {
  const top = Math.max(...hours.map(({ dispatched }) => dispatched), 1)
  const step = width / hours.length
  const total = hours.reduce((sum, { dispatched }) => sum + dispatched, 0)
  const troubled = hours.reduce((sum, hour) => sum + hour.troubled, 0)
  const x = (index: number) => (index * step + 1).toFixed(1)
  const rect = (kind: string, index: number, from: number, count: number) => {
    const tall = count / top * (height - 28)
    return count === 0 ?
      undefined :
      html`<rect class="${kind}" x="${x(index)}" y="${
        (height - 18 - from / top * (height - 28) - tall).toFixed(1)
      }" width="${(step - 2).toFixed(1)}" height="${Math.max(tall, 1).toFixed(1)}" rx="1"/>`
  }
  return html`<svg class="rates" viewBox="0 0 ${width} ${height}" role="img" aria-label="${`${
    Show.count(total, "delivery").replace("deliverys", "deliveries")
  } dispatched in the last two days, ${troubled} of them in trouble`}"><line x1="0" x2="${width}" y1="${
    height - 17
  }" y2="${height - 17}"/>${
    hours.map(({ dispatched, startsAt, troubled }, index) =>
      html`<g><title>${
        DateTime.formatIso(startsAt).slice(0, 16)
      }: ${dispatched} dispatched, ${troubled} in trouble</title>${rect("not", index, 0, troubled)}${
        rect("ok", index, troubled, dispatched - troubled)
      }</g>`
    )
  }${
    hours.map(({ startsAt }, index) =>
      DateTime.toParts(startsAt).hour % 12 === 0
        ? html`<text x="${x(index)}" y="${height - 4}">${
          DateTime.formatIso(startsAt).slice(5, 16).replace("T", " ")
        }</text>`
        : undefined
    )
  }<text x="${width}" y="12" text-anchor="end">${top} an hour</text></svg>`
}

const hourLength = 3_600_000

/** The last two days, hour by hour. */
const hoursOf = Effect.fnUntraced(function*(visit: Visit.Visit, now: DateTime.Utc) {
  const figures = yield* Figures.Figures
  const from = DateTime.makeUnsafe((Math.floor(now.epochMilliseconds / hourLength) - 47) * hourLength)
  const { figures: groups } = yield* figures.read({ scope: visit.tenantId, from, to: now, by: [], limit: 1 })
  const cohorts = new Map(
    groups.flatMap(({ cohorts }) => cohorts).map(({ counts, startsAt }) => [startsAt.epochMilliseconds, counts])
  )
  return Array.from({ length: 48 }, (_, index): Hour => {
    const startsAt = DateTime.makeUnsafe(from.epochMilliseconds + index * hourLength)
    const counts = cohorts.get(startsAt.epochMilliseconds)
    return counts === undefined ? { startsAt, dispatched: 0, troubled: 0 } : {
      startsAt,
      dispatched: counts.dispatched,
      troubled: Math.min(
        counts.hardBounced + counts.softBounced + counts.rejected + counts.complained + counts.failed,
        counts.dispatched
      )
    }
  })
})

const tile = (href: string, count: number, words: string, isBad: boolean): Html =>
  html`<a class="tile${isBad && count > 0 ? " bad" : ""}" href="${href}"><b>${
    count.toLocaleString("en")
  }</b><span>${words}</span></a>`

/** The latest webhook of each provider among the last that came. */
const heard = (webhooks: ReadonlyArray<Inbox.Summary>) =>
  Array.from(Map.groupBy(webhooks, ({ provider }) => provider)).flatMap(([provider, own]) =>
    own.slice(0, 1).map(({ receivedAt }) => ({ provider, receivedAt, count: own.length }))
  )

const looked = 500

/** The alerts that are open, with what each says. */
const alertsOf = (alerts: ReadonlyArray<Alert.Alert>, now: DateTime.Utc): Html | undefined =>
  alerts.length === 0 ? undefined : html`<section data-part="alerts"><h2>Alerts</h2>${
    Show.table(
      ["Alert", "Open for", "Says", "To do"],
      alerts.map((alert) => [
        alert.rule,
        html`${Show.age(alert.openedAt, now)}`,
        Judgement.sentence(alert),
        AlertRule.defaults[alert.rule].advice
      ])
    )
  }</section>`

/** How many open alerts are shown, what opened last first. */
const alertsShown = 20

/** The overview. */
export const page = Effect.fnUntraced(function*(visit: Visit.Visit) {
  const { tenantId } = visit
  const now = yield* DateTime.now
  const horizon = Acts.horizon(now)
  const [backlog] = yield* Orphans.Orphans.use(({ backlog }) => backlog({ scope: tenantId, horizon }))
  const counts = yield* Inbox.Inbox.use(({ counts }) => counts(tenantId, Inbox.unfinished))
  const countOf = (status: Inbox.WebhookStatus) => counts.find((each) => each.status === status)?.count ?? 0
  const webhooks = yield* Inbox.Inbox.use(({ list }) => list({ scope: tenantId, status: Option.none(), limit: looked }))
  const ticks = yield* Ticks.Ticks.use(({ recent }) => recent({ schedule: Option.none(), limit: 5 }))
  const failing = yield* Directory.Directory.use(({ search }) =>
    search({
      tenantId,
      filter: Search.Filter.make({ status: Option.some("failed") }),
      after: Option.none(),
      limit: 8,
      reach: 1000
    })
  )
  const alerts = yield* Alerts.Alerts.use(({ list }) => list({ scope: tenantId, isOpen: true, limit: alertsShown }))
  const hours = yield* hoursOf(visit, now)
  const providers = heard(webhooks)
  return {
    title: "Overview",
    refresh: 10,
    body: html`<h1>Overview</h1><p class="lede">What waits, what fails, and who was heard from.</p>${
      alertsOf(alerts, now)
    }<div class="tiles" data-part="tiles">${
      tile(Visit.link(visit, "/orphans"), backlog?.pending ?? 0, "orphans wait", false)
    }${
      tile(
        Visit.link(visit, "/orphans", { show: "expired" }),
        backlog?.expired ?? 0,
        "orphans older than 7 days",
        true
      )
    }${
      tile(
        Visit.link(visit, "/webhooks", { status: "failed" }),
        countOf("failed"),
        "webhooks to be tried again",
        true
      )
    }${
      tile(Visit.link(visit, "/webhooks", { status: "dead" }), countOf("dead"), "webhooks given up", true)
    }</div><h2>Dispatched by the hour</h2><div class="sheet" data-part="rates">${
      bars(hours)
    }</div><div class="columns"><section data-part="failing"><h2>Failed last</h2>${
      failing.deliveries.length === 0 ? Show.empty("No delivery failed.") : Show.table(
        ["Recipient", "State", "Recorded"],
        failing.deliveries.map((delivery) => [
          html`<a href="${Visit.link(visit, `/deliveries/${delivery.id}`)}">${
            Show.address(visit, delivery.recipient)
          }</a>`,
          Option.match(delivery.lastEventType, { onNone: () => Show.tag(delivery.status), onSome: Show.eventType }),
          Show.time(delivery.insertedAt)
        ])
      )
    }</section><section><h2>Just now</h2><div class="sheet"><ol class="live" data-live="${
      Visit.link(visit, "/live")
    }" aria-label="What just happened"><li data-waiting class="soft">What happens while this page is open is told here.</li></ol><noscript><p class="soft">This list needs scripts. <a href="${
      Visit.link(visit, "/deliveries")
    }">The deliveries</a> tell the same.</p></noscript></div><div data-part="heard"><h2>Heard from</h2>${
      providers.length === 0 ? Show.empty("No webhook has come yet.") : Show.table(
        ["Provider", "Last heard", "Of the last webhooks"],
        providers.map(({ count, provider, receivedAt }) => [
          html`<a href="${Visit.link(visit, "/webhooks", { provider })}">${provider}</a>`,
          html`${Show.age(receivedAt, now)} ago`,
          String(count)
        ])
      )
    }</div></section></div><section data-part="sweeps"><h2>Last sweeps</h2>${
      ticks.length === 0 ? Show.empty("No schedule has run yet.") : Sweeps.table(visit, ticks)
    }</section>`
  } satisfies Page
})
