/**
 * Deletes raw webhooks, the details of events and the history of sweeps that were kept long enough.
 *
 * @since 0.1.0
 */
import * as Pruner from "@waybill/runtime/Pruner"
import { Effect, Layer, Option } from "effect"
import { Command, Flag } from "effect/cli"
import * as Settings from "../../config/Settings.ts"
import * as Store from "../../store/Store.ts"
import * as Output from "../../terminal/Output.ts"
import * as Parameters from "../../terminal/Parameters.ts"

const layer = Layer.provideMerge(Pruner.layer, Store.layer)

/**
 * `waybill prune`
 *
 * @category commands
 * @since 0.1.0
 */
export const prune = Command.make(
  "prune",
  {
    dryRun: Flag.Boolean("dry-run").pipe(
      Flag.withDescription("Count what would be deleted and delete nothing"),
      Flag.withDefault(false)
    ),
    json: Parameters.json
  },
  Effect.fnUntraced(function*({ dryRun, json }) {
    const keep = yield* Settings.keep
    const node = yield* Settings.nodeName
    const pruned = yield* Effect.provide(Pruner.recordedPrune({ keep, dryRun, node }), layer)
    const sweeps = Option.getOrNull(pruned.ticks)
    yield* Output.write(json, { dryRun, webhooks: pruned.webhooks, details: pruned.details, sweeps }, () =>
      dryRun
        ? `${pruned.webhooks} raw webhooks and the details of ${pruned.details} events would be deleted`
        : `${pruned.webhooks} raw webhooks, the details of ${pruned.details} events and ${
          sweeps ?? 0
        } old sweeps deleted`)
  })
).pipe(
  Command.withDescription(
    "Delete raw webhooks, details and the history of sweeps that were kept long enough; never the ledger"
  ),
  Command.withExamples([
    { command: "waybill prune --dry-run", description: "What would be deleted" },
    {
      command: "WAYBILL_KEEP_SUCCEEDED_DAYS=3 waybill prune",
      description: "Keep what is in the ledger for three days only"
    }
  ])
)
