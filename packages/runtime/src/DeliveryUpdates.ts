/**
 * Tells when a delivery was moved: after commit, never before, and never for a duplicate. An update has the event's own type,
 * also if a link moved the delivery.
 *
 * In process, a subscriber hears what this process writes, from when it subscribes and as far as a bounded buffer holds; a slow
 * one misses the oldest and delays nobody. Across processes, and without missing any, the feed is followed.
 *
 * @since 0.1.0
 */
import {
  type Checkpoints,
  type Cursor,
  type DeliveryUpdate,
  Ledger,
  type LedgerError,
  type Tenant
} from "@waybill/core"
import { Context, Effect, Layer, Option, Stream } from "effect"
import * as Arr from "effect/Array"
import * as Feed from "./Feed.ts"

/**
 * The updates that this process makes.
 *
 * @category services
 * @since 0.1.0
 */
export class DeliveryUpdates extends Context.Service<DeliveryUpdates, {
  /** The updates of every tenant. */
  readonly all: Stream.Stream<DeliveryUpdate.DeliveryUpdate>

  /** The updates of one tenant. */
  readonly ofTenant: (tenantId: Tenant.TenantId) => Stream.Stream<DeliveryUpdate.DeliveryUpdate>

  /** The updates of one delivery. */
  readonly ofDelivery: (key: Ledger.DeliveryKey) => Stream.Stream<DeliveryUpdate.DeliveryUpdate>
}>()("@waybill/runtime/DeliveryUpdates") {}

/**
 * The updates that this process makes to a ledger.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<DeliveryUpdates, never, Ledger.Ledger> = Layer.effect(
  DeliveryUpdates,
  Effect.map(Ledger.Ledger, (ledger) => {
    const all = Stream.unwrap(Effect.map(ledger.updates, Stream.fromSubscription))
    return DeliveryUpdates.of({
      all,
      ofTenant: (tenantId) => Stream.filter(all, (update) => update.tenantId === tenantId),
      ofDelivery: ({ deliveryId, tenantId }) =>
        Stream.filter(all, (update) => update.tenantId === tenantId && update.deliveryId === deliveryId)
    })
  })
)

/**
 * The update that an event of the feed stands for; none for an orphan, which moves no delivery until it is linked.
 *
 * A link stands for the orphan that it links, whose type is read from the delivery's timeline.
 *
 * @category getters
 * @since 0.1.0
 */
export const ofChange = Effect.fn("DeliveryUpdates.ofChange")(function*({ event }: Ledger.Change) {
  if (Option.isNone(event.deliveryId)) return Option.none<DeliveryUpdate.DeliveryUpdate>()
  const key = { tenantId: event.tenantId, deliveryId: event.deliveryId.value }
  if (Option.isNone(event.sourceEventId)) {
    return Option.some<DeliveryUpdate.DeliveryUpdate>({ ...key, eventId: event.id, type: event.type, cause: "append" })
  }
  const ledger = yield* Ledger.Ledger
  const eventId = event.sourceEventId.value
  const linked = yield* Effect.map(
    ledger.timeline(key),
    (timeline) => Arr.findFirst(timeline, (entry) => entry.event.id === eventId)
  )
  return Option.map(linked, ({ event: { type } }): DeliveryUpdate.DeliveryUpdate => ({
    ...key,
    eventId,
    type,
    cause: "reconciled"
  }))
})

/**
 * An update and its place in the feed.
 *
 * @category models
 * @since 0.1.0
 */
export interface Followed {
  readonly cursor: Cursor.Cursor
  readonly update: DeliveryUpdate.DeliveryUpdate
}

/**
 * Every update after a place of the feed, whoever made it, and those to come.
 *
 * @category streams
 * @since 0.1.0
 */
export const follow = (options: Feed.StreamOptions = {}): Stream.Stream<Followed, Feed.FeedError, Ledger.Ledger> =>
  Feed.stream(options).pipe(
    Stream.mapEffect((change) =>
      Effect.map(ofChange(change), Option.map((update): Followed => ({ cursor: change.cursor, update })))
    ),
    Stream.flatMap(Option.match({ onNone: () => Stream.empty, onSome: Stream.succeed }))
  )

/**
 * The updates that a consumer follows, and how it handles them.
 *
 * @category models
 * @since 0.1.0
 */
export interface ConsumerOptions<E = never, R = never> extends Feed.Options {
  /** The name under which it remembers its position. */
  readonly name: string
  /** Handles some updates, in the order of the feed; if it fails, it is given them again. */
  readonly handle: (updates: Arr.NonEmptyReadonlyArray<DeliveryUpdate.DeliveryUpdate>) => Effect.Effect<void, E, R>
}

const handled = <E, R>(
  options: ConsumerOptions<E, R>
): Feed.ConsumerOptions<E | LedgerError.LedgerError, R | Ledger.Ledger> => ({
  ...options,
  handle: Effect.fnUntraced(function*(changes) {
    const updates = Arr.getSomes(yield* Effect.forEach(changes, ofChange))
    if (Arr.isArrayNonEmpty(updates)) yield* options.handle(updates)
  })
})

/**
 * Handles every update at least once, whoever made it, as `Feed.consume` does.
 *
 * @category consuming
 * @since 0.1.0
 */
export const consume = <E, R>(
  options: ConsumerOptions<E, R>
): Effect.Effect<never, E | Feed.FeedError, Ledger.Ledger | Checkpoints.Checkpoints | R> =>
  Feed.consume(handled(options))
