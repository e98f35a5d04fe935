/**
 * Lays out the dashboard for Grafana: a row for each part of Waybill, and a panel for each metric, which says what it means.
 */
import * as Requests from "@waybill/api/Requests"
import * as Metrics from "@waybill/runtime/Metrics"
import * as Edge from "@waybill/webhooks/Metrics"
import type { Metric } from "effect"

/** A metric, and the labels that its panel tells apart. */
interface Panel {
  readonly metric: Metric.Metric<never, unknown>
  readonly by: ReadonlyArray<string>
}

const panel = (metric: Metric.Metric<never, unknown>, ...by: ReadonlyArray<string>): Panel => ({ metric, by })

export const rows: ReadonlyArray<readonly [title: string, panels: ReadonlyArray<Panel>]> = [
  ["Alerts", [panel(Metrics.alertsOpen, "rule")]],
  ["Webhooks", [
    panel(Edge.webhooks, "provider", "outcome"),
    panel(Edge.webhooksRefused, "provider", "reason"),
    panel(Edge.webhooksUndecodable, "provider", "reason"),
    panel(Edge.webhookDuration, "provider"),
    panel(Metrics.webhooksUnfinished, "status"),
    panel(Metrics.webhooksPruned)
  ]],
  ["Events", [
    panel(Metrics.eventsAppended, "event_type"),
    panel(Metrics.eventsDuplicate, "event_type"),
    panel(Metrics.eventsConflicting, "event_type"),
    panel(Metrics.feedLag, "consumer")
  ]],
  ["Orphans", [
    panel(Metrics.eventsOrphaned, "event_type"),
    panel(Metrics.orphansLinked),
    panel(Metrics.timeToLink),
    panel(Metrics.orphansPending),
    panel(Metrics.oldestOrphanAge),
    panel(Metrics.orphansExpired)
  ]],
  ["Outbox", [
    panel(Metrics.outboxSent, "provider"),
    panel(Metrics.outboxRetried),
    panel(Metrics.outboxFailed)
  ]],
  ["HTTP API", [
    panel(Requests.requests, "endpoint", "status"),
    panel(Requests.requestDuration, "endpoint"),
    panel(Requests.streamsFailed)
  ]],
  ["Processes", [
    panel(Metrics.sweepDuration, "schedule"),
    panel(Metrics.sweepsFailed, "schedule"),
    panel(Metrics.buildInfo, "version")
  ]]
]

const byOf = (labels: ReadonlyArray<string>): string => labels.length === 0 ? "" : ` by (${labels.join(", ")})`

const legendOf = (labels: ReadonlyArray<string>): string => labels.map((label) => `{{${label}}}`).join(" ")

/** What a panel asks for. A gauge is the same in every process, so that the highest stands for all; a version is counted. */
const targetsOf = ({ by, metric: { id, type } }: Panel) => {
  if (type === "Histogram") {
    return [0.5, 0.95, 0.99].map((quantile) => ({
      expr: `histogram_quantile(${quantile}, sum${byOf(["le", ...by])} (rate(${id}_bucket[$__rate_interval])))`,
      legendFormat: `p${quantile * 100} ${legendOf(by)}`.trim()
    }))
  }
  const expr = type === "Counter"
    ? `sum${byOf(by)} (rate(${id}[$__rate_interval]))`
    : `${id.endsWith("_info") ? "count" : "max"}${byOf(by)} (${id})`
  return [{ expr, legendFormat: legendOf(by) || id }]
}

const unitOf = ({ metric: { id, type } }: Panel): string =>
  type === "Counter" ? "cps" : id.endsWith("_seconds") ? "s" : "short"

const datasource = { type: "prometheus", uid: "${datasource}" }

const width = 8
const height = 8

/** The title of a panel: the metric's name without what all have in common. */
const titleOf = (id: string): string => id.replace(/^waybill_/, "").replace(/_total$/, "").replaceAll("_", " ")

export const dashboard = (): unknown => {
  let y = 0
  let id = 0
  const drawn: Array<unknown> = []
  for (const [title, panels] of rows) {
    drawn.push({ id: ++id, type: "row", title, collapsed: false, gridPos: { h: 1, w: 24, x: 0, y }, panels: [] })
    y += 1
    for (const [index, panel] of panels.entries()) {
      drawn.push({
        id: ++id,
        type: "timeseries",
        title: titleOf(panel.metric.id),
        description: panel.metric.description,
        datasource,
        gridPos: { h: height, w: width, x: (index % 3) * width, y: y + Math.floor(index / 3) * height },
        fieldConfig: { defaults: { unit: unitOf(panel), min: 0 }, overrides: [] },
        options: { legend: { displayMode: "list", placement: "bottom" }, tooltip: { mode: "multi", sort: "desc" } },
        targets: targetsOf(panel).map(({ expr, legendFormat }, index) => ({
          refId: String.fromCodePoint(65 + index),
          datasource,
          expr,
          legendFormat
        }))
      })
    }
    y += Math.ceil(panels.length / 3) * height
  }
  return {
    uid: "waybill",
    title: "Waybill",
    tags: ["waybill", "email"],
    schemaVersion: 39,
    editable: true,
    refresh: "1m",
    time: { from: "now-24h", to: "now" },
    templating: {
      list: [{ name: "datasource", label: "Data source", type: "datasource", query: "prometheus" }]
    },
    panels: drawn
  }
}
