/**
 * Notes what was not sent: an attempt that failed, or a delivery that is left unsent on purpose.
 *
 * @since 0.2.0
 */
import { Delivery, Ledger } from "@waybill/core"
import { Effect } from "effect"
import { Command, Flag } from "effect/cli"
import * as Store from "../../store/Store.ts"
import * as Output from "../../terminal/Output.ts"
import * as Parameters from "../../terminal/Parameters.ts"

/**
 * `waybill fail`
 *
 * @category commands
 * @since 0.2.0
 */
export const fail = Command.make(
  "fail",
  {
    deliveryId: Parameters.deliveryId,
    code: Flag.String("code").pipe(
      Flag.withSchema(Delivery.Fail.fields.error.fields.code),
      Flag.withDescription("A short word for what happened, by which failures can be counted")
    ),
    message: Flag.String("message").pipe(
      Flag.withDescription("A sentence about it; addresses and URLs are taken out"),
      Flag.optional
    ),
    final: Flag.Boolean("final").pipe(
      Flag.withDescription("The delivery is given up; without it another attempt follows"),
      Flag.withDefault(false)
    ),
    attempt: Flag.Int("attempt").pipe(
      Flag.withDescription("The number of the attempt, which is noted once (default: the next)"),
      Flag.optional
    ),
    expectedVersion: Parameters.expectedVersion,
    tenantId: Parameters.tenantId,
    json: Parameters.json
  },
  Effect.fnUntraced(function*({ code, json, message, ...command }) {
    const ledger = yield* Ledger.Ledger
    const { attempt, delivery: { id, status }, noted } = yield* ledger.fail({ ...command, error: { code, message } })
    yield* Output.write(
      json,
      { id, attempt, noted, status },
      () => `${id} attempt ${attempt} ${noted ? (command.final ? "failed, given up" : "failed") : "was noted already"}`
    )
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription("Note that an attempt to send a delivery failed"),
  Command.withExamples([
    {
      command: "waybill fail 01890a5d-ac96-774b-bcce-b302099a8057 --code timeout --attempt 1",
      description: "The first attempt timed out, another follows"
    },
    {
      command:
        "waybill fail 01890a5d-ac96-774b-bcce-b302099a8057 --code rejected --message \"the domain is not verified\" --final",
      description: "Give a delivery up"
    }
  ])
)

/**
 * `waybill suppress`
 *
 * @category commands
 * @since 0.2.0
 */
export const suppress = Command.make(
  "suppress",
  {
    deliveryId: Parameters.deliveryId,
    because: Flag.String("because").pipe(
      Flag.withDescription("A sentence that says why; addresses and URLs are taken out"),
      Flag.optional
    ),
    expectedVersion: Parameters.expectedVersion,
    tenantId: Parameters.tenantId,
    json: Parameters.json
  },
  Effect.fnUntraced(function*({ json, ...command }) {
    const ledger = yield* Ledger.Ledger
    const { delivery: { id, status }, noted } = yield* ledger.suppress(command)
    yield* Output.write(
      json,
      { id, noted, status },
      () => `${id} ${noted ? "suppressed" : "was suppressed already"}`
    )
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription("Note that a delivery is not sent, on purpose"),
  Command.withExamples([
    {
      command: "waybill suppress 01890a5d-ac96-774b-bcce-b302099a8057 --because \"the order was cancelled\"",
      description: "Say why a delivery was never sent"
    }
  ])
)
