/**
 * Lists the alerting rules for Prometheus over the metrics of Waybill, and for each the series that make it fire and those that
 * do not.
 *
 * They are about the processes and the webhooks. What the ledger says of the mail itself is judged by Waybill's own alerts.
 */
import * as Requests from "@waybill/api/Requests"
import * as Metrics from "@waybill/runtime/Metrics"
import * as Edge from "@waybill/webhooks/Metrics"

/** Samples of one series, in Prometheus' notation for its tests: `0+5x60` is 0, 5, 10 … each minute. */
interface Sampled {
  readonly series: string
  readonly values: string
}

/** What a rule watches and when it fires. */
export interface Rule {
  readonly alert: string
  readonly expr: string
  readonly for: string
  readonly severity: "warning" | "critical"
  readonly summary: string
  readonly description: string
  /** The samples under which it fires an hour later, with the labels that it then has. */
  readonly fires: { readonly series: ReadonlyArray<Sampled>; readonly labels: Readonly<Record<string, string>> }
  /** The samples under which it does not. */
  readonly quiet: ReadonlyArray<Sampled>
}

const unsigned = "MissingHeader|MalformedSignature|BadSignature|TimestampOutOfTolerance"

const ours =
  "NoSecret|MisconfiguredSecret|SecretsUnavailable|VerificationUnavailable|TenantUnavailable|OverBudget|NotStored|Died"

/** How much a counter grew, by some labels. */
const grown = (metric: string, within: string, ...by: ReadonlyArray<string>): string =>
  `sum${by.length === 0 ? "" : ` by (${by.join(", ")})`} (increase(${metric}[${within}]))`

const refused = Edge.webhooksRefused.id
const webhooks = Edge.webhooks.id
const unfinished = Metrics.webhooksUnfinished.id
const swept = `${Metrics.sweepDuration.id}_count{schedule="reconcile"}`
const took = `${Edge.webhookDuration.id}_bucket`
const requests = Requests.requests.id
const postmark = `provider="postmark"`

export const rules: ReadonlyArray<Rule> = [
  {
    alert: "WaybillAbsent",
    expr: `absent(${Metrics.buildInfo.id})`,
    for: "5m",
    severity: "critical",
    summary: "No process of Waybill is scraped",
    description:
      "No process runs, or Prometheus does not reach its /metrics. Providers send webhooks again for a while.",
    fires: { series: [], labels: {} },
    quiet: [{ series: `${Metrics.buildInfo.id}{version="1.0.0"}`, values: "1x120" }]
  },
  {
    alert: "WaybillAlert",
    expr: `max by (rule) (${Metrics.alertsOpen.id}) > 0`,
    for: "0m",
    severity: "warning",
    summary: "Waybill has an open alert: {{ $labels.rule }}",
    description: "waybill alerts list says whose it is, by what measure, and what to do.",
    fires: {
      series: [{ series: `${Metrics.alertsOpen.id}{rule="complaints"}`, values: "0x30 1x90" }],
      labels: { rule: "complaints" }
    },
    quiet: [{ series: `${Metrics.alertsOpen.id}{rule="complaints"}`, values: "1x30 0x90" }]
  },
  {
    alert: "WaybillWebhooksRefused",
    expr: `${grown(`${refused}{reason=~"${unsigned}"}`, "30m", "provider")} >= 10 and on (provider) ` +
      `${grown(`${refused}{reason=~"${unsigned}"}`, "30m", "provider")} > ` +
      grown(`${webhooks}{outcome!="refused"}`, "30m", "provider"),
    for: "5m",
    severity: "critical",
    summary: "Most webhooks of {{ $labels.provider }} are refused",
    description: "Their signature does not fit: compare the secret of the settings with the provider's.",
    fires: {
      series: [
        { series: `${refused}{${postmark},reason="BadSignature"}`, values: "0+2x120" },
        { series: `${webhooks}{${postmark},outcome="accepted"}`, values: "40x120" }
      ],
      labels: { provider: "postmark" }
    },
    quiet: [
      { series: `${refused}{${postmark},reason="BadSignature"}`, values: "0+1x120" },
      { series: `${webhooks}{${postmark},outcome="accepted"}`, values: "0+9x120" }
    ]
  },
  {
    alert: "WaybillWebhooksNotTaken",
    expr: `${grown(`${refused}{reason=~"${ours}"}`, "15m", "provider", "reason")} >= 5`,
    for: "5m",
    severity: "critical",
    summary: "Webhooks of {{ $labels.provider }} are not taken: {{ $labels.reason }}",
    description:
      "The cause is on this side, and docs/operations.md names it by its reason. Providers give up after a while.",
    fires: {
      series: [{ series: `${refused}{${postmark},reason="NotStored"}`, values: "0+1x120" }],
      labels: { provider: "postmark", reason: "NotStored" }
    },
    quiet: [{ series: `${refused}{${postmark},reason="BadSignature"}`, values: "0+1x120" }]
  },
  {
    alert: "WaybillWebhooksUndecodable",
    expr: `${grown(Edge.webhooksUndecodable.id, "1h", "provider", "reason")} >= 5`,
    for: "5m",
    severity: "warning",
    summary: "Webhooks of {{ $labels.provider }} are not understood: {{ $labels.reason }}",
    description: "They are kept. See waybill webhooks list --status failed; a later version may understand them.",
    fires: {
      series: [{ series: `${Edge.webhooksUndecodable.id}{${postmark},reason="MissingType"}`, values: "0+1x120" }],
      labels: { provider: "postmark", reason: "MissingType" }
    },
    quiet: [{ series: `${Edge.webhooksUndecodable.id}{${postmark},reason="MissingType"}`, values: "0x30 2x90" }]
  },
  {
    alert: "WaybillWebhooksDead",
    expr: `max(delta(${unfinished}{status="dead"}[1h])) > 0`,
    for: "1m",
    severity: "warning",
    summary: "Webhooks were given up",
    description:
      "See waybill webhooks list --dead, mend the cause, and process them by waybill webhooks replay --dead.",
    fires: { series: [{ series: `${unfinished}{status="dead"}`, values: "0x30 3x90" }], labels: {} },
    quiet: [{ series: `${unfinished}{status="dead"}`, values: "3x120" }]
  },
  {
    alert: "WaybillInboxBehind",
    expr: `sum(max by (status) (${unfinished}{status=~"received|failed"})) > 100`,
    for: "15m",
    severity: "warning",
    summary: "More than 100 webhooks wait to be processed",
    description: "See waybill webhooks list --status failed for the reason of each.",
    fires: { series: [{ series: `${unfinished}{status="failed"}`, values: "0+20x120" }], labels: {} },
    quiet: [{ series: `${unfinished}{status="failed"}`, values: "50x120" }]
  },
  {
    alert: "WaybillOrphansPending",
    expr: `max(${Metrics.orphansPending.id}) > 1000`,
    for: "1h",
    severity: "warning",
    summary: "More than 1000 events have found no delivery for an hour",
    description:
      "Mail is sent that is not recorded, or deliveries do not learn their message ids: see waybill orphans.",
    fires: { series: [{ series: Metrics.orphansPending.id, values: "2000x120" }], labels: {} },
    quiet: [{ series: Metrics.orphansPending.id, values: "2000x20 10x100" }]
  },
  {
    alert: "WaybillRunsFailing",
    expr: `${grown(Metrics.sweepsFailed.id, "30m", "schedule")} >= 3`,
    for: "5m",
    severity: "warning",
    summary: "Runs of {{ $labels.schedule }} fail",
    description: "waybill status shows why.",
    fires: {
      series: [{ series: `${Metrics.sweepsFailed.id}{schedule="inbox"}`, values: "0+1x120" }],
      labels: { schedule: "inbox" }
    },
    quiet: [{ series: `${Metrics.sweepsFailed.id}{schedule="inbox"}`, values: "0x40 1x80" }]
  },
  {
    alert: "WaybillNoSweep",
    expr: `${grown(swept, "30m")} == 0`,
    for: "5m",
    severity: "critical",
    summary: "No sweep was made for half an hour",
    description: "Orphans are not linked by any process. See waybill status, and WAYBILL_RECONCILE_CRON.",
    fires: { series: [{ series: swept, values: "7x120" }], labels: {} },
    quiet: [{ series: swept, values: "0+0x4 1+0x9 2+0x9 3+0x9 4+0x9 5+0x9 6+0x9 7+0x9" }]
  },
  {
    alert: "WaybillFeedBehind",
    expr: `max by (consumer) (${Metrics.feedLag.id}) > 300`,
    for: "10m",
    severity: "warning",
    summary: "{{ $labels.consumer }} is more than five minutes behind the feed",
    description: "It is stopped, or slower than events come, or fails at one: see its log and waybill feed.",
    fires: {
      series: [{ series: `${Metrics.feedLag.id}{consumer="figures"}`, values: "0+60x120" }],
      labels: { consumer: "figures" }
    },
    quiet: [{ series: `${Metrics.feedLag.id}{consumer="figures"}`, values: "2x120" }]
  },
  {
    alert: "WaybillOutboxFailing",
    expr: `${grown(Metrics.outboxFailed.id, "1h")} >= 10 and ` +
      `${grown(Metrics.outboxFailed.id, "1h")} > 0.05 * ${grown(Metrics.outboxSent.id, "1h")}`,
    for: "5m",
    severity: "warning",
    summary: "More than 5 % of what an outbox sends is given up",
    description: "See waybill find --event failed --since 1h for the deliveries and their errors.",
    fires: {
      series: [
        { series: Metrics.outboxFailed.id, values: "0+1x120" },
        { series: Metrics.outboxSent.id, values: "0+10x120" }
      ],
      labels: {}
    },
    quiet: [
      { series: Metrics.outboxFailed.id, values: "0+1x120" },
      { series: Metrics.outboxSent.id, values: "0+100x120" }
    ]
  },
  {
    alert: "WaybillApiFailing",
    expr: `${grown(`${requests}{status="5xx"}`, "15m", "endpoint")} >= 5 and on (endpoint) ` +
      `${grown(`${requests}{status="5xx"}`, "15m", "endpoint")} > 0.05 * ${grown(requests, "15m", "endpoint")}`,
    for: "5m",
    severity: "warning",
    summary: "More than 5 % of the requests of {{ $labels.endpoint }} fail",
    description: "The log says why: most often the database is not available.",
    fires: {
      series: [
        { series: `${requests}{endpoint="deliveries.record",status="5xx"}`, values: "0+1x120" },
        { series: `${requests}{endpoint="deliveries.record",status="2xx"}`, values: "0+3x120" }
      ],
      labels: { endpoint: "deliveries.record" }
    },
    quiet: [
      { series: `${requests}{endpoint="deliveries.record",status="5xx"}`, values: "0+1x120" },
      { series: `${requests}{endpoint="deliveries.record",status="2xx"}`, values: "0+90x120" }
    ]
  },
  {
    alert: "WaybillWebhooksSlow",
    expr: `histogram_quantile(0.99, sum by (le) (rate(${took}[15m]))) > 2.5`,
    for: "15m",
    severity: "warning",
    summary: "One webhook of a hundred takes more than 2.5 seconds",
    description: "Providers wait five to thirty seconds, then send again. See the database, and add a process.",
    fires: {
      series: [
        { series: `${took}{${postmark},le="2.5"}`, values: "0+1x120" },
        { series: `${took}{${postmark},le="5"}`, values: "0+9x120" },
        { series: `${took}{${postmark},le="+Inf"}`, values: "0+9x120" }
      ],
      labels: {}
    },
    quiet: [
      { series: `${took}{${postmark},le="2.5"}`, values: "0+9x120" },
      { series: `${took}{${postmark},le="5"}`, values: "0+9x120" },
      { series: `${took}{${postmark},le="+Inf"}`, values: "0+9x120" }
    ]
  }
]
