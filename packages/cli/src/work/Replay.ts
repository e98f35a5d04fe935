/**
 * Processes raw webhooks again.
 *
 * @since 0.1.0
 */
import { Inbox, type Tenant } from "@waybill/core"
import * as Ingestion from "@waybill/webhooks/Ingestion"
import { Effect, Layer, Option } from "effect"
import * as Store from "../store/Store.ts"
import * as Edge from "./Edge.ts"

const layer = Layer.provideMerge(Edge.layer, Store.layer)

/** How many dead webhooks are listed at once. */
const page = 1000

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

const replay = Effect.fnUntraced(function*(scope: Tenant.Scope, id: Inbox.WebhookId) {
  const ingestion = yield* Ingestion.Ingestion
  const { counts, result } = yield* ingestion.replay(scope, id)
  const replayed: Replayed = {
    id,
    status: statuses[result._tag],
    appended: counts.appended,
    duplicates: counts.duplicates,
    reason: "reason" in result ? result.reason : null
  }
  return replayed
})

/**
 * Processes one webhook again.
 *
 * @category replay
 * @since 0.1.0
 */
export const one = Effect.fn("Replay.one")(replay, Effect.provide(layer))

/**
 * Processes every webhook again that was given up, each once.
 *
 * @category replay
 * @since 0.1.0
 */
export const dead = Effect.fn("Replay.dead")(function*(scope: Tenant.Scope) {
  const inbox = yield* Inbox.Inbox
  const replayed = new Map<Inbox.WebhookId, Replayed>()
  while (true) {
    const found = yield* inbox.list({ scope, status: Option.some("dead"), limit: page })
    const fresh = found.filter(({ id }) => !replayed.has(id))
    if (fresh.length === 0) return [...replayed.values()]
    for (const { id } of fresh) replayed.set(id, yield* replay(scope, id))
  }
}, Effect.provide(layer))
