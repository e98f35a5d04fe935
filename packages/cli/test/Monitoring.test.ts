import { assert, describe, it } from "@effect/vitest"
import { Requests } from "@waybill/api"
import { Metrics } from "@waybill/runtime"
import { Metrics as Edge } from "@waybill/webhooks"
import { Metric } from "effect"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { rows } from "../../../scripts/monitoring/Dashboard.ts"
import { files } from "../../../scripts/monitoring/Files.ts"

const defined = [Metrics, Edge, Requests].flatMap((module) => Object.values(module)).filter(Metric.isMetric)

describe("what monitors Waybill", () => {
  it("is made from the metrics as they are now", () => {
    for (const [path, text] of Object.entries(files())) {
      const written = readFileSync(fileURLToPath(new URL(`../../../${path}`, import.meta.url)), "utf8")
      assert.strictEqual(written, text, `${path} is out of date: npm run monitoring`)
    }
  })

  it("names no metric that is not defined, by a name that no exporter gives it", () => {
    const names = new Set(
      defined.flatMap(({ id, type }) => type === "Histogram" ? [`${id}_bucket`, `${id}_count`, `${id}_sum`] : [id])
    )
    for (const [path, text] of Object.entries(files())) {
      const found = text.match(/waybill_\w+/g) ?? []
      assert.isAbove(found.length, 10, path)
      for (const name of found) assert.isTrue(names.has(name), `${name} in ${path}`)
    }
  })

  it("shows every metric once", () => {
    assert.sameMembers(
      rows.flatMap(([, panels]) => panels.map(({ metric }) => metric.id)),
      defined.map(({ id }) => id)
    )
  })

  it("is said of every metric in the documents", () => {
    const page = readFileSync(fileURLToPath(new URL("../../../docs/metrics.md", import.meta.url)), "utf8")
    assert.sameMembers([...page.matchAll(/^\| `(waybill_\w+)`/gm)].map(([, name]) => name), defined.map(({ id }) => id))
  })
})
