/**
 * Makes the rules for Prometheus and the dashboard for Grafana from the definitions of the metrics. With `--page` it prints what
 * `/metrics` serves before anything is counted instead, for `promtool check metrics`.
 *
 * Run it: npm run monitoring
 */
import * as Requests from "@waybill/api/Requests"
import * as Metrics from "@waybill/runtime/Metrics"
import * as Edge from "@waybill/webhooks/Metrics"
import { Effect, Metric } from "effect"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import { mkdir, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { files } from "./monitoring/Files.ts"

const root = fileURLToPath(new URL("..", import.meta.url))

/** Every metric once, without labels. */
const page = Effect.gen(function*() {
  const defined = [Metrics, Edge, Requests].flatMap((module) => Object.values(module)).filter(Metric.isMetric)
  yield* Effect.forEach(defined, (metric) => Metric.value(metric), { discard: true })
  return yield* PrometheusMetrics.format()
})

if (process.argv.includes("--page")) {
  process.stdout.write(await Effect.runPromise(page))
} else {
  for (const [path, text] of Object.entries(files())) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), text)
    process.stdout.write(`made ${path}\n`)
  }
}
