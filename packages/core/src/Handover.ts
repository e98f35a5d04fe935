/**
 * Decides whether a delivery is handed to a provider, whether one has it already, and what it is from then on.
 *
 * @since 0.2.0
 */
import { Option, Result } from "effect"
import type * as Delivery from "./Delivery.ts"
import { DispatchConflict, StaleDelivery } from "./LedgerError.ts"
import * as Projection from "./Projection.ts"
import type * as Provider from "./Provider.ts"
import type * as Timestamp from "./Timestamp.ts"

/**
 * Checks that a command has seen the stored version of a delivery, where it says which one it has seen.
 *
 * @category decisions
 * @since 0.2.0
 */
export const checkVersion = (
  { id, lockVersion, tenantId }: Pick<Delivery.Delivery, "id" | "tenantId" | "lockVersion">,
  expectedVersion: Option.Option<number>
): Result.Result<void, StaleDelivery> =>
  Option.isNone(expectedVersion) || expectedVersion.value === lockVersion
    ? Result.succeed(undefined)
    : Result.fail(
      new StaleDelivery({
        tenantId,
        deliveryId: id,
        expectedVersion: expectedVersion.value,
        actualVersion: lockVersion
      })
    )

/**
 * What an accepted dispatch changes: a delivery that was dispatched already stays as it is.
 *
 * @category models
 * @since 0.2.0
 */
export type DispatchDecision = "Accepted" | "AlreadyDispatched"

/**
 * Decides what a dispatch means: a delivery is dispatched once, under one message id; again under the same one nothing
 * changes, under another one it is refused.
 *
 * @category decisions
 * @since 0.1.0
 */
export const decideDispatch = (
  delivery: Pick<
    Delivery.Delivery,
    "id" | "tenantId" | "provider" | "providerMessageId" | "dispatchedAt" | "lockVersion"
  >,
  command: Delivery.Dispatch,
  messageId: Provider.MessageId
): Result.Result<DispatchDecision, StaleDelivery | DispatchConflict> => {
  const version = checkVersion(delivery, command.expectedVersion)
  if (Result.isFailure(version)) return Result.fail(version.failure)
  if (Option.isNone(delivery.providerMessageId)) return Result.succeed("Accepted")
  const isSame = delivery.providerMessageId.value === messageId &&
    Option.getOrNull(delivery.provider) === command.provider
  if (!isSame) return Result.fail(refuseDispatch(delivery, "other-message"))
  return Result.succeed(Option.isSome(delivery.dispatchedAt) ? "AlreadyDispatched" : "Accepted")
}

/**
 * Tells whether a provider has a delivery: it was dispatched, or a provider reported it.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isHandedOver = (
  { dispatchedAt, lastEventOwn, providerMessageId }: Pick<
    Delivery.Delivery,
    "dispatchedAt" | "lastEventOwn" | "providerMessageId"
  >
): boolean => Option.isSome(dispatchedAt) || Option.isSome(providerMessageId) || !lastEventOwn

/**
 * Tells whether a delivery waits to be sent: it was recorded, no provider has it, and it was neither given up nor suppressed.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isUnsent = (
  delivery: Pick<Delivery.Delivery, "status" | "dispatchedAt" | "lastEventOwn" | "providerMessageId">
): boolean => delivery.status === "queued" && !isHandedOver(delivery)

/**
 * Decides whether it may be noted that a delivery failed to be sent or was not sent on purpose: not once a provider has it.
 *
 * @category decisions
 * @since 0.2.0
 */
export const checkUnsent = (
  delivery: Pick<Delivery.Delivery, "id" | "tenantId" | "dispatchedAt" | "lastEventOwn" | "providerMessageId">
): Result.Result<void, DispatchConflict> =>
  isHandedOver(delivery) ? Result.fail(refuseDispatch(delivery, "handed-over")) : Result.succeed(undefined)

/**
 * The refusal of a command: the delivery has another message id, the message id is taken by another delivery, or a provider has
 * the delivery already.
 *
 * @category constructors
 * @since 0.2.0
 */
export const refuseDispatch = (
  { id, tenantId }: Pick<Delivery.Delivery, "id" | "tenantId">,
  reason: DispatchConflict["reason"]
): DispatchConflict => new DispatchConflict({ tenantId, deliveryId: id, reason })

/**
 * A delivery after it was accepted by a provider, with its `dispatched` event and the orphans that waited for it: the next
 * version.
 *
 * @category folding
 * @since 0.1.0
 */
export const dispatched = (
  delivery: Delivery.Delivery,
  message: { readonly provider: Provider.Provider; readonly messageId: Provider.MessageId },
  facts: Iterable<Projection.Fact>,
  now: Timestamp.Timestamp
): Delivery.Delivery => ({
  ...delivery,
  provider: Option.some(message.provider),
  providerMessageId: Option.some(message.messageId),
  ...Projection.evolve(delivery, facts),
  lockVersion: delivery.lockVersion + 1,
  updatedAt: now
})
