/** A sweep's memory does not grow with what is pending. */
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { execPath } from "node:process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import type { Bench } from "../harness/Bench.ts"
import * as Fill from "../harness/Fill.ts"
import * as Report from "../harness/Report.ts"
import * as Rounds from "../harness/Rounds.ts"
import * as Server from "../harness/Server.ts"

const script = fileURLToPath(new URL("../harness/sweepOnce.ts", import.meta.url))

export const bench: Bench = {
  name: "memory",
  sizes: { few: 50_000, many: 500_000, rounds: 1 },
  run: Effect.fnUntraced(function*(size) {
    const { address } = yield* Server.Server

    /** The peak in MiB of a process that sweeps so many orphans. */
    const peak = (orphans: number) => () =>
      Effect.scoped(Effect.gen(function*() {
        const name = yield* Server.database()
        yield* Server.inDatabase(
          name,
          Effect.andThen(Fill.linkableQuickly({ from: 1, count: orphans }), Fill.settle)
        )
        const { stdout } = yield* Effect.promise(() =>
          promisify(execFile)(execPath, ["--conditions=@waybill/source", script, address(name)])
        )
        const { linked, peak }: { readonly linked: number; readonly peak: number } = JSON.parse(stdout)
        if (linked !== orphans) return yield* Effect.die(new Error(`linked ${linked} of ${orphans}`))
        return peak / 1024
      }))

    const [few, many] = [size("few"), size("many")]
    const of = yield* Rounds.alternate(size("rounds"), { few: peak(few), many: peak(many) })
    const [small, large] = [Rounds.figures(of("few")), Rounds.figures(of("many"))]
    return {
      name: "memory",
      summary:
        `The peak of the resident memory of a process that does one sweep, of ${few} and of ${many} linkable orphans.`,
      rows: [
        Report.row(`${Report.figure(few)} orphans`, "MiB", small),
        Report.row(`${Report.figure(many)} orphans`, "MiB", large)
      ],
      ratios: [Report.atMost("memory/many-to-few", large.median / small.median, 1.2)],
      notes: [],
      plots: []
    }
  })
}
