/**
 * Erases a recipient.
 *
 * @since 0.1.0
 */
import { Inbox, Ledger, Recipient } from "@waybill/core"
import { Effect } from "effect"
import { Command, Flag } from "effect/cli"
import * as Store from "../../store/Store.ts"
import * as Output from "../../terminal/Output.ts"
import * as Parameters from "../../terminal/Parameters.ts"

/**
 * `waybill forget`
 *
 * @category commands
 * @since 0.1.0
 */
export const forget = Command.make(
  "forget",
  {
    recipient: Flag.String("recipient").pipe(
      Flag.withSchema(Recipient.Recipient),
      Flag.withDescription("The address to erase, in whatever case")
    ),
    tenantId: Parameters.tenantId,
    json: Parameters.json
  },
  Effect.fnUntraced(function*({ json, ...query }) {
    const ledger = yield* Ledger.Ledger
    const inbox = yield* Inbox.Inbox
    const webhooks = yield* inbox.forget(query)
    const { deliveries, orphans } = yield* ledger.forget(query)
    yield* Output.write(
      json,
      { deliveries, orphans, webhooks },
      () => `forgotten in ${deliveries} deliveries, ${orphans} pending orphans and ${webhooks} raw webhooks`
    )
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription("Remove a recipient from deliveries and raw webhooks, for good; events and counts stay"),
  Command.withExamples([
    {
      command: "waybill forget --recipient ada@example.com --tenant-id acme",
      description: "Answer a request for erasure; that it was done is recorded, without the address"
    }
  ])
)
