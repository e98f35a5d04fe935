/**
 * Suppresses an address by hand, and lifts what suppresses it; both are recorded with who did it, when and why.
 *
 * @since 0.2.0
 */
import { Delivery, Suppressions } from "@waybill/core"
import { DateTime, Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import * as Store from "../../store/Store.ts"
import * as Output from "../../terminal/Output.ts"
import * as Parameters from "../../terminal/Parameters.ts"
import * as Suppressed from "./Suppressed.ts"

const sentences: Readonly<Record<Suppressions.Outcome, string>> = {
  Added: "suppressed",
  Held: "it was suppressed already",
  Lapsed: "it was lifted later, or has ended: nothing was written"
}

/**
 * `waybill suppressions add`
 *
 * @category commands
 * @since 0.2.0
 */
export const add = Command.make(
  "add",
  {
    recipient: Suppressed.recipient,
    reason: Suppressed.reason("Why it must not be mailed (default: manual)").pipe(Flag.withDefault("manual")),
    stream: Flag.Literals("stream", Delivery.Stream.literals).pipe(
      Flag.withDescription("The kind of mail to keep from it (default: all)"),
      Flag.optional
    ),
    because: Suppressed.because,
    actor: Suppressed.actor,
    tenantId: Parameters.tenantId,
    json: Parameters.json
  },
  Effect.fnUntraced(function*({ actor, because, json, reason, recipient, stream, tenantId }) {
    const suppressions = yield* Suppressions.Suppressions
    const additions = [{ recipient, reason, stream, since: Option.none() }]
    const [outcome = "Held"] = yield* suppressions.add({ tenantId, additions, actor, because })
    yield* Output.write(json, { outcome: outcome.toLowerCase() }, () => sentences[outcome])
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription("Suppress an address by hand"),
  Command.withExamples([
    {
      command: "waybill suppressions add --recipient ada@example.com --because \"left the company\"",
      description: "Mail it nothing any more"
    },
    {
      command: "waybill suppressions add --recipient ada@example.com --reason unsubscribed --stream bulk",
      description: "No newsletters, as asked for on the telephone"
    }
  ])
)

/**
 * `waybill suppressions lift`
 *
 * @category commands
 * @since 0.2.0
 */
export const lift = Command.make(
  "lift",
  {
    recipient: Suppressed.recipient,
    reason: Suppressed.reason("The reason that holds no longer"),
    stream: Flag.Literals("stream", Delivery.Stream.literals).pipe(
      Flag.withDescription("The kind of mail to lift it on (default: wherever it holds)"),
      Flag.optional
    ),
    because: Suppressed.because,
    actor: Suppressed.actor,
    tenantId: Parameters.tenantId,
    json: Parameters.json
  },
  Effect.fnUntraced(function*({ json, ...command }) {
    const suppressions = yield* Suppressions.Suppressions
    const lifted = yield* suppressions.lift(command)
    yield* Output.write(
      json,
      {
        lifted: lifted.map(({ reason, since, stream }) => ({
          reason,
          stream: Option.getOrNull(stream),
          since: DateTime.formatIso(since)
        }))
      },
      () =>
        lifted.map(({ reason, since, stream }) =>
          `lifted: ${reason}, ${Option.getOrElse(stream, () => "all")} mail, since ${DateTime.formatIso(since)}`
        ).join("\n")
    )
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription(
    "Lift what suppresses an address for a reason; it holds against what happened before. A complaint asks for --because"
  ),
  Command.withExamples([
    {
      command: "waybill suppressions lift --recipient ada@example.com --reason bounced",
      description: "The mailbox was mended"
    },
    {
      command:
        "waybill suppressions lift --recipient ada@example.com --reason complained --because \"asked by telephone to be mailed again\"",
      description: "A complaint, with the reason that is kept"
    }
  ])
)
