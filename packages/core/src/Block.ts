/**
 * Models what keeps a delivery from being sent, and how its own events tell of it.
 *
 * @since 0.2.0
 */
import { Option, Schema } from "effect"
import * as Delivery from "./Delivery.ts"
import type * as Event from "./Event.ts"
import * as EventType from "./EventType.ts"
import type * as JsonBag from "./JsonBag.ts"
import * as OwnEvent from "./OwnEvent.ts"
import * as Timestamp from "./Timestamp.ts"

/**
 * What keeps a delivery from being sent; its encoded form is JSON.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Block = Schema.Struct({
  reason: EventType.SuppressionReason,
  /** The stream that it is about; absent where it is about all. */
  stream: Schema.OptionFromNullOr(Delivery.Stream),
  /** When its latest cause happened. */
  since: Timestamp.Timestamp
})

/**
 * What keeps a delivery from being sent.
 *
 * @category models
 * @since 0.2.0
 */
export type Block = typeof Block.Type

const encode = Schema.encodeSync(Block)

const decode = Schema.decodeUnknownOption(Block)

/**
 * The metadata of an event of our own that tells of a block: of `suppressed`, or of `queued` where it was ignored.
 *
 * @category constructors
 * @since 0.2.0
 */
export const toMetadata = (block: Block, isIgnored: boolean): JsonBag.JsonBag => ({
  [isIgnored ? "ignored_suppression" : "suppressed_by"]: { ...encode(block) }
})

/**
 * The block that an event of our own tells of; none where a delivery was suppressed for another reason.
 *
 * @category getters
 * @since 0.2.0
 */
export const ofMetadata = ({ metadata }: Pick<Event.Event, "metadata">): Option.Option<Block> =>
  decode(metadata["suppressed_by"])

/**
 * The own events of a delivery that is recorded: `queued`, and `suppressed` where a suppression blocks it, unless it ignores
 * that.
 *
 * @category decisions
 * @since 0.2.0
 */
export const ownOf = (
  { ignoreSuppression, tenantId }: Pick<Delivery.NewDelivery, "ignoreSuppression" | "tenantId">,
  block: Option.Option<Block>,
  entry: {
    readonly id: Event.DeliveryId
    readonly eventIds: readonly [queued: Event.EventId, suppressed: Event.EventId]
    readonly at: Timestamp.Timestamp
  }
): {
  readonly queued: Event.Event
  readonly own: ReadonlyArray<Event.Event>
  readonly suppressedBy: Option.Option<Block>
} => {
  const { at, eventIds: [queuedId, suppressedId], id } = entry
  if (Option.isNone(block) || ignoreSuppression) {
    const ignored = Option.map(block, (block) => toMetadata(block, true))
    const queued = OwnEvent.queued(id, { id: queuedId, tenantId, insertedAt: at }, Option.getOrUndefined(ignored))
    return { queued, own: [queued], suppressedBy: Option.none() }
  }
  const queued = OwnEvent.queued(id, { id: queuedId, tenantId, insertedAt: at })
  const metadata = toMetadata(block.value, false)
  const suppressed = OwnEvent.suppressed(id, { id: suppressedId, tenantId, insertedAt: at }, metadata)
  return { queued, own: [queued, suppressed], suppressedBy: block }
}
