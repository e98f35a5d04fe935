/**
 * Writes the files of `deploy/`: rules for Prometheus, their tests, and a dashboard for Grafana.
 */
import { dashboard } from "./Dashboard.ts"
import { type Rule, rules } from "./Rules.ts"

type Yaml = string | number | ReadonlyArray<Yaml> | { readonly [name: string]: Yaml }

const isList = (value: Yaml): value is ReadonlyArray<Yaml> => Array.isArray(value)

const isScalar = (value: Yaml): value is string | number => typeof value === "string" || typeof value === "number"

const isEmpty = (value: Yaml): boolean => !isScalar(value) && Object.keys(value).length === 0

/** Words as they are, whatever else in double quotes, which YAML reads as JSON does. */
const scalar = (value: string | number): string =>
  /^(?!(?:true|false|null|yes|no)$)[A-Za-z][\w/ -]*$/.test(String(value)) ? String(value) : JSON.stringify(value)

const yaml = (value: Yaml, indent = ""): string => {
  if (isScalar(value)) return scalar(value)
  if (isEmpty(value)) return isList(value) ? "[]" : "{}"
  const below = (item: Yaml): string =>
    isScalar(item) || isEmpty(item) ? ` ${yaml(item)}` : `\n${indent}  ${yaml(item, `${indent}  `)}`
  return isList(value)
    ? value.map((item) => `- ${yaml(item, `${indent}  `)}`).join(`\n${indent}`)
    : Object.entries(value).map(([name, item]) => `${name}:${below(item)}`).join(`\n${indent}`)
}

const made = "# Made from the definitions of the metrics by: npm run monitoring\n"

const annotationsOf = ({ description, summary }: Rule) => ({ summary, description })

const ruleFile: Yaml = {
  groups: [{
    name: "waybill",
    rules: rules.map((rule) => ({
      alert: rule.alert,
      expr: rule.expr,
      for: rule.for,
      labels: { severity: rule.severity },
      annotations: annotationsOf(rule)
    }))
  }]
}

/** The words of an annotation under the labels of an alert. */
const filled = (text: string, labels: Readonly<Record<string, string>>): string =>
  text.replaceAll(/\{\{ \$labels\.(\w+) \}\}/g, (_, name: string) => labels[name] ?? "")

const inputOf = (series: Rule["quiet"]): Yaml => series.map(({ series, values }) => ({ series, values }))

const testsOf = (rule: Rule): ReadonlyArray<Yaml> => [
  {
    name: `${rule.alert} fires`,
    interval: "1m",
    input_series: inputOf(rule.fires.series),
    alert_rule_test: [{
      eval_time: "65m",
      alertname: rule.alert,
      exp_alerts: [{
        exp_labels: { severity: rule.severity, ...rule.fires.labels },
        exp_annotations: {
          summary: filled(rule.summary, rule.fires.labels),
          description: filled(rule.description, rule.fires.labels)
        }
      }]
    }]
  },
  {
    name: `${rule.alert} is quiet`,
    interval: "1m",
    input_series: inputOf(rule.quiet),
    alert_rule_test: [{ eval_time: "65m", alertname: rule.alert, exp_alerts: [] }]
  }
]

const testFile: Yaml = {
  rule_files: ["waybill.rules.yml"],
  evaluation_interval: "1m",
  tests: rules.flatMap(testsOf)
}

/** Each file of `deploy/` by its path from the root. */
export const files = (): Readonly<Record<string, string>> => ({
  "deploy/prometheus/waybill.rules.yml": `${made}${yaml(ruleFile)}\n`,
  "deploy/prometheus/waybill.rules.test.yml": `${made}${yaml(testFile)}\n`,
  "deploy/grafana/waybill.json": `${JSON.stringify(dashboard(), undefined, 2)}\n`
})
