/**
 * Decides what our side writes about a delivery: that it is recorded, dispatched, not sent on purpose, or failed to be sent.
 *
 * @since 0.2.0
 */
import { Option, Result } from "effect"
import * as Block from "./Block.ts"
import type * as Commit from "./Commit.ts"
import * as Delivery from "./Delivery.ts"
import type * as Event from "./Event.ts"
import * as Handover from "./Handover.ts"
import type * as Ledger from "./Ledger.ts"
import { type DeliveryConflict, DeliveryNotFound, type DispatchConflict, type StaleDelivery } from "./LedgerError.ts"
import type * as Orphan from "./Orphan.ts"
import * as OwnEvent from "./OwnEvent.ts"
import type * as Provider from "./Provider.ts"
import * as Report from "./Report.ts"
import * as Text from "./Text.ts"
import type * as Timestamp from "./Timestamp.ts"
import * as Unsent from "./Unsent.ts"

const pairsWith = (
  deliveryId: Event.DeliveryId,
  orphans: ReadonlyArray<Event.Event>
): ReadonlyArray<Orphan.Pair> => orphans.map((orphan) => ({ orphan, deliveryId }))

/**
 * Decides what recording a delivery means: it stands already, under the key of another record or else under its id, or it
 * conflicts with what stands there, or it is new, with its `queued` event, the orphans that echoed its id, and where its
 * recipient is suppressed its own `suppressed` event.
 *
 * @category decisions
 * @since 0.2.0
 */
export const record = (
  input: Delivery.NewDelivery,
  known: {
    /** The delivery that has its idempotency key. */
    readonly byKey: Option.Option<Delivery.Delivery>
    /** The delivery that has its id. */
    readonly byId: Option.Option<Delivery.Delivery>
    /** The pending orphans of the key `Correlation.ofDelivery` of the id. */
    readonly waiting: ReadonlyArray<Report.Report>
    /** The own `suppressed` event of a delivery. */
    readonly suppressed: (delivery: Delivery.Delivery) => Option.Option<Event.Event>
    /** What keeps mail of its stream from its recipient. */
    readonly block: Option.Option<Block.Block>
  },
  entry: {
    readonly id: Event.DeliveryId
    /** The ids of the `queued` event, and of the `suppressed` one. */
    readonly eventIds: readonly [queued: Event.EventId, suppressed: Event.EventId]
    readonly at: Timestamp.Timestamp
  }
): Result.Result<Commit.Decided<Ledger.Recorded>, DeliveryConflict> => {
  const { at, id } = entry
  const stored = Option.orElse(known.byKey, () => known.byId)
  if (Option.isSome(stored)) {
    return Result.map(Delivery.checkRecord(stored.value, input), (delivery) => ({
      answer: {
        delivery,
        created: false,
        linked: 0,
        suppressedBy: Option.flatMap(known.suppressed(delivery), Block.ofMetadata)
      },
      commit: { at }
    }))
  }
  const { own, queued, suppressedBy } = Block.ownOf(input, known.block, entry)
  const fresh = Delivery.fromNew(input, id, queued)
  const orphans = Report.waitingFor(known.waiting, [fresh], id)
  const delivery = Delivery.evolve(fresh, [...own, ...orphans], at)
  return Result.succeed({
    answer: { delivery, created: true, linked: orphans.length, suppressedBy },
    commit: { at, deliveries: [delivery], reports: own.map(Report.ofOwn), links: pairsWith(id, orphans) }
  })
}

/**
 * Decides what a dispatch means, as `Handover.decideDispatch` says: where it is accepted and no other delivery to the same
 * recipient has the message id, the delivery gets its `dispatched` event and the orphans that wait for the message id.
 *
 * @category decisions
 * @since 0.2.0
 */
export const dispatch = (
  command: Delivery.Dispatch,
  messageId: Provider.MessageId,
  known: {
    readonly stored: Option.Option<Delivery.Delivery>
    /** All deliveries that have the key `Correlation.ofMessage` of the message id. */
    readonly sharing: ReadonlyArray<Delivery.Delivery>
    /** The pending orphans of that key. */
    readonly waiting: ReadonlyArray<Report.Report>
  },
  entry: { readonly eventId: Event.EventId; readonly at: Timestamp.Timestamp }
): Result.Result<Commit.Decided<Ledger.Dispatched>, DeliveryNotFound | StaleDelivery | DispatchConflict> => {
  const { at, eventId } = entry
  const { deliveryId, provider, tenantId } = command
  if (Option.isNone(known.stored)) return Result.fail(new DeliveryNotFound({ tenantId }))
  const stored = known.stored.value
  const decision = Handover.decideDispatch(stored, command, messageId)
  if (Result.isFailure(decision)) return Result.fail(decision.failure)
  if (decision.success === "AlreadyDispatched") {
    return Result.succeed({ answer: { delivery: stored, linked: 0 }, commit: { at } })
  }
  const others = known.sharing.filter(({ id }) => id !== deliveryId)
  if (Delivery.isTaken(stored, others)) return Result.fail(Handover.refuseDispatch(stored, "taken"))
  const event = OwnEvent.dispatched(deliveryId, { id: eventId, tenantId, insertedAt: at, occurredAt: at })
  const orphans = Report.waitingFor(known.waiting, [...others, stored], deliveryId)
  const delivery = Handover.dispatched(stored, { provider, messageId }, [event, ...orphans], at)
  return Result.succeed({
    answer: { delivery, linked: orphans.length },
    commit: { at, deliveries: [delivery], reports: [Report.ofOwn(event)], links: pairsWith(deliveryId, orphans) }
  })
}

/** The number of an attempt that a `failed` or `deferred` event of our own notes. */
const attemptOf = ({ normalizedPayload }: Event.Event): number => {
  const attempt = normalizedPayload["attempt"]
  return typeof attempt === "number" ? attempt : 0
}

/**
 * Decides what a failed attempt to send means: nothing new where its number is noted; else its event, and a later place in the
 * queue of the unsent.
 *
 * @category decisions
 * @since 0.2.0
 */
export const fail = (
  command: Delivery.Fail,
  known: {
    readonly stored: Option.Option<Delivery.Delivery>
    /** The `deferred` and `failed` events of our own of the delivery. */
    readonly failures: ReadonlyArray<Event.Event>
    /** Its place in the queue of the unsent. */
    readonly place: Option.Option<Unsent.Row>
  },
  entry: { readonly eventId: Event.EventId; readonly at: Timestamp.Timestamp }
): Result.Result<Commit.Decided<Ledger.Failed>, DeliveryNotFound | StaleDelivery | DispatchConflict> => {
  const { at, eventId } = entry
  const { deliveryId, error: { code, message }, final, tenantId } = command
  if (Option.isNone(known.stored)) return Result.fail(new DeliveryNotFound({ tenantId }))
  const stored = known.stored.value
  const version = Handover.checkVersion(stored, command.expectedVersion)
  if (Result.isFailure(version)) return Result.fail(version.failure)
  const begun = Option.isSome(known.place) ? known.place.value.attempts : 0
  const attempt = Option.getOrElse(command.attempt, () => 1 + Math.max(begun, ...known.failures.map(attemptOf)))
  if (known.failures.some((failure) => attemptOf(failure) === attempt)) {
    return Result.succeed({ answer: { delivery: stored, attempt, noted: false }, commit: { at } })
  }
  const event = OwnEvent.failed(
    deliveryId,
    {
      number: attempt,
      final,
      code,
      message: Option.map(message, (text) => Text.withoutAddresses(text, Delivery.maxSentence))
    },
    { id: eventId, tenantId, insertedAt: at }
  )
  return Result.map(Handover.checkUnsent(stored), () => {
    const delivery = Delivery.evolve(stored, [event], at)
    return {
      answer: { delivery, attempt, noted: true },
      commit: {
        at,
        deliveries: delivery === stored ? [] : [delivery],
        reports: [Report.ofOwn(event)],
        unsent: Option.toArray(known.place).map((place) => Unsent.postponed(place, attempt, at))
      }
    }
  })
}

/**
 * Decides what suppressing one delivery means: nothing new where it was suppressed so already; else its event.
 *
 * @category decisions
 * @since 0.2.0
 */
export const suppress = (
  command: Delivery.Suppress,
  known: {
    readonly stored: Option.Option<Delivery.Delivery>
    /** Whether its `suppressed` event of our own is stored. */
    readonly isNoted: boolean
  },
  entry: { readonly eventId: Event.EventId; readonly at: Timestamp.Timestamp }
): Result.Result<Commit.Decided<Ledger.Suppressed>, DeliveryNotFound | StaleDelivery | DispatchConflict> => {
  const { at, eventId } = entry
  const { because, deliveryId, tenantId } = command
  if (Option.isNone(known.stored)) return Result.fail(new DeliveryNotFound({ tenantId }))
  const stored = known.stored.value
  const version = Handover.checkVersion(stored, command.expectedVersion)
  if (Result.isFailure(version)) return Result.fail(version.failure)
  if (known.isNoted) return Result.succeed({ answer: { delivery: stored, noted: false }, commit: { at } })
  return Result.map(Handover.checkUnsent(stored), () => {
    const event = OwnEvent.suppressed(
      deliveryId,
      { id: eventId, tenantId, insertedAt: at },
      Option.isSome(because) ? { because: Text.withoutAddresses(because.value, Delivery.maxSentence) } : {}
    )
    const delivery = Delivery.evolve(stored, [event], at)
    return {
      answer: { delivery, noted: true },
      commit: { at, deliveries: delivery === stored ? [] : [delivery], reports: [Report.ofOwn(event)] }
    }
  })
}
