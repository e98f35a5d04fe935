/**
 * Explains single orphans and moves them by hand: links, dismisses or tries them again.
 *
 * @since 0.1.0
 */
import { type Orphan, Orphans } from "@waybill/core"
import { DateTime, Effect, Match } from "effect"
import { Command } from "effect/cli"
import * as Store from "../../store/Store.ts"
import * as Output from "../../terminal/Output.ts"
import * as Parameters from "../../terminal/Parameters.ts"

const reasons: {
  readonly [Tag in Orphan.Explanation["_tag"]]: (
    explanation: Extract<Orphan.Explanation, { readonly _tag: Tag }>
  ) => string
} = {
  NotAnOrphan: ({ deliveryId }) => `it was never an orphan: it belongs to delivery ${deliveryId}`,
  Linked: ({ deliveryId }) => `it is linked to delivery ${deliveryId}`,
  Dismissed: () => "it was dismissed by hand",
  Malformed: () => "it names neither a message nor a delivery, so that only `orphans link` can link it",
  NoDelivery: ({ correlation, otherTenant }) =>
    otherTenant
      ? `no delivery of its tenant has ${correlation}, but one of another tenant has`
      : `no delivery has ${correlation}`,
  OtherRecipient: ({ correlation }) => `the deliveries with ${correlation} are to other recipients`,
  Ambiguous: ({ correlation }) =>
    `several deliveries have ${correlation} and it does not say which recipient it is about`,
  Linkable: ({ deliveryId }) => `delivery ${deliveryId} is there: the next sweep past its grace links it`,
  SetAside: ({ attempts, deliveryId, nextAttemptAt, reason }) =>
    `linking it to delivery ${deliveryId} failed ${attempts} times (${reason}); it is tried again at ` +
    DateTime.formatIso(nextAttemptAt)
}

/** The flags of a command about one orphan. */
const ofOne = { eventId: Parameters.eventId, tenantId: Parameters.tenantId, json: Parameters.json }

const because = Match.typeTags<Orphan.Explanation, string>()(reasons)

/**
 * `waybill orphans explain`
 *
 * @category commands
 * @since 0.1.0
 */
export const explain = Command.make(
  "explain",
  ofOne,
  Effect.fnUntraced(function*({ json, ...key }) {
    const orphans = yield* Orphans.Orphans
    const explanation = yield* orphans.explain(key)
    const { _tag, ...rest } = explanation
    const details = "nextAttemptAt" in rest
      ? { ...rest, nextAttemptAt: DateTime.formatIso(rest.nextAttemptAt) }
      : rest
    yield* Output.write(
      json,
      { eventId: key.eventId, state: _tag, because: because(explanation), ...details },
      () => because(explanation)
    )
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription("Say why an event waits"),
  Command.withExamples([
    {
      command: "waybill orphans explain 01890a5d-ac96-774b-bcce-b302099a8057 --tenant-id acme",
      description: "Why this event of acme has no delivery"
    }
  ])
)

/**
 * `waybill orphans link`
 *
 * @category commands
 * @since 0.1.0
 */
export const link = Command.make(
  "link",
  {
    eventId: Parameters.eventId,
    deliveryId: Parameters.toDeliveryId,
    expectedVersion: Parameters.expectedVersion,
    tenantId: Parameters.tenantId,
    json: Parameters.json
  },
  Effect.fnUntraced(function*({ json, ...command }) {
    const orphans = yield* Orphans.Orphans
    const linked = yield* orphans.linkTo(command)
    yield* Output.write(json, { eventId: command.eventId, linked }, () => linked ? "linked" : "it was not pending")
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription("Link a pending orphan to a delivery by hand"),
  Command.withExamples([
    {
      command: "waybill orphans link 01890a5d-ac96-774b-bcce-b302099a8057 01890a5d-ac96-774b-bcce-b302099a8058",
      description: "Link the event to the delivery"
    }
  ])
)

/**
 * `waybill orphans dismiss`
 *
 * @category commands
 * @since 0.1.0
 */
export const dismiss = Command.make(
  "dismiss",
  ofOne,
  Effect.fnUntraced(function*({ json, ...key }) {
    const orphans = yield* Orphans.Orphans
    const dismissed = yield* orphans.dismiss(key)
    yield* Output.write(json, { eventId: key.eventId, dismissed }, () => dismissed ? "dismissed" : "it was not pending")
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription("Take a pending orphan out of the queue for good; the event stays in the ledger"),
  Command.withExamples([
    {
      command: "waybill orphans dismiss 01890a5d-ac96-774b-bcce-b302099a8057",
      description: "It belongs to mail that another system sent"
    }
  ])
)

/**
 * `waybill orphans retry`
 *
 * @category commands
 * @since 0.1.0
 */
export const retry = Command.make(
  "retry",
  ofOne,
  Effect.fnUntraced(function*({ json, ...key }) {
    const orphans = yield* Orphans.Orphans
    const released = yield* orphans.retry(key)
    yield* Output.write(
      json,
      { eventId: key.eventId, released },
      () => released ? "the next sweep tries it again" : "it was not set aside"
    )
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription("Let the next sweep try a set-aside orphan again"),
  Command.withExamples([
    {
      command: "waybill orphans retry 01890a5d-ac96-774b-bcce-b302099a8057",
      description: "After what made it fail was mended"
    }
  ])
)
