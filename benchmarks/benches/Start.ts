/** A whole `waybill reconcile` that finds nothing to do, beside a Node that does nothing. */
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { env, execPath } from "node:process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import type { Bench } from "../harness/Bench.ts"
import * as Report from "../harness/Report.ts"
import * as Rounds from "../harness/Rounds.ts"
import * as Server from "../harness/Server.ts"

const command = fileURLToPath(new URL("../../packages/cli/bin/waybill.js", import.meta.url))

export const bench: Bench = {
  name: "start",
  sizes: { rounds: 11 },
  run: Effect.fnUntraced(function*(size) {
    const { address } = yield* Server.Server
    const name = yield* Server.database()
    yield* Server.inDatabase(name, Effect.void)
    const process = (...args: ReadonlyArray<string>) => () =>
      Effect.map(
        Rounds.timed(Effect.promise(() =>
          promisify(execFile)(execPath, args, { env: { ...env, WAYBILL_DATABASE_URL: address(name) } })
        )),
        ({ seconds }) =>
          seconds * 1000
      )
    const reconcile = process(command, "reconcile")
    yield* reconcile()
    const of = yield* Rounds.alternate(size("rounds"), { waybill: reconcile, node: process("-e", "0") })
    const [waybill, node] = [Rounds.figures(of("waybill")), Rounds.figures(of("node"))]
    return {
      name: "start",
      summary:
        "`waybill reconcile` with nothing to do on a server, as last built (`npm run build`), from the start of the " +
        "process to its end; `node -e 0`.",
      rows: [Report.row("waybill reconcile", "ms", waybill), Report.row("node -e 0", "ms", node)],
      ratios: [Report.atMost("start/seconds-beyond-node", (waybill.median - node.median) / 1000, 0.5)],
      notes: [],
      plots: []
    }
  })
}
