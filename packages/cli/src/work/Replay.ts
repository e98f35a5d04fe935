/**
 * Processes raw webhooks again.
 *
 * @since 0.1.0
 */
import type { Inbox, Tenant } from "@waybill/core"
import * as Ingestion from "@waybill/webhooks/Ingestion"
import type * as Processed from "@waybill/webhooks/Processed"
import { Effect, Layer } from "effect"
import { stderr } from "node:process"
import * as Store from "../store/Store.ts"
import * as Edge from "./Edge.ts"

const layer = Layer.provideMerge(Edge.layer, Store.layer)

/** Shows on a terminal how far it is. */
const showProgress = ({ claimed, succeeded }: Processed.Swept) =>
  Effect.sync(() => {
    if (stderr.isTTY) stderr.write(`\r\u001b[Kprocessed again: ${claimed}, succeeded: ${succeeded}`)
  })

const clearProgress = Effect.sync(() => {
  if (stderr.isTTY) stderr.write("\r\u001b[K")
})

/**
 * The outcome of processing a webhook again.
 *
 * @category models
 * @since 0.1.0
 */
export type Replayed = {
  readonly id: string
  readonly status: "succeeded" | "postponed" | "failed" | "dead"
  readonly appended: number
  readonly duplicates: number
  readonly reason: string | null
}

const statuses = { Succeeded: "succeeded", Postponed: "postponed", Failed: "failed", Dead: "dead" } as const

const describe = (id: Inbox.WebhookId, { counts, result }: Processed.Processed): Replayed => ({
  id,
  status: statuses[result._tag],
  appended: counts.appended,
  duplicates: counts.duplicates,
  reason: "reason" in result ? result.reason : null
})

/**
 * Processes one webhook again.
 *
 * @category replay
 * @since 0.1.0
 */
export const one = Effect.fn("Replay.one")(function*(scope: Tenant.Scope, id: Inbox.WebhookId) {
  const ingestion = yield* Ingestion.Ingestion
  return describe(id, yield* ingestion.replay(scope, id))
}, Effect.provide(layer))

/**
 * Processes every webhook again that is asked for, each once, many together.
 *
 * @category replay
 * @since 0.2.0
 */
export const all = Effect.fn("Replay.all")(function*(query: Omit<Processed.ReplayQuery, "onBatch">) {
  const ingestion = yield* Ingestion.Ingestion
  const replayed: Array<Replayed> = []
  yield* Effect.ensuring(
    ingestion.replayAll({
      ...query,
      onBatch: (sofar, batch) => {
        for (const { id, ...processed } of batch) replayed.push(describe(id, processed))
        return showProgress(sofar)
      }
    }),
    clearProgress
  )
  return replayed
}, Effect.provide(layer))
