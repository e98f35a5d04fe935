/** Tells the subscribers of this process, after the commit, that deliveries got events. */
import { DeliveryUpdate } from "@waybill/core"
import { Effect, PubSub } from "effect"
import type { Database } from "./Database.ts"

/** Makes the subscription and the publication of one ledger's updates. */
export const make = Effect.fnUntraced(function*({ sql }: Database) {
  const pubsub = yield* PubSub.sliding<DeliveryUpdate.DeliveryUpdate>(DeliveryUpdate.capacity)
  let subscribers = 0

  const subscribe = Effect.andThen(
    Effect.acquireRelease(Effect.sync(() => subscribers++), () => Effect.sync(() => subscribers--)),
    PubSub.subscribe(pubsub)
  )

  /**
   * Tells of updates after the commit, if anybody listens: a callback after a commit stays in memory until the whole heap is
   * collected.
   */
  const publish = (updates: () => ReadonlyArray<DeliveryUpdate.DeliveryUpdate>) =>
    Effect.suspend(() =>
      subscribers === 0 ? Effect.void : sql.afterCommit(Effect.asVoid(PubSub.publishAll(pubsub, updates())))
    )

  return { subscribe, publish }
})

/** The subscription and the publication of one ledger's updates. */
export type Updates = Effect.Success<ReturnType<typeof make>>
