/**
 * Prints what lets the recipient of a message unsubscribe with one click.
 *
 * @since 0.2.0
 */
import * as Links from "@waybill/webhooks/Unsubscribe"
import { Effect, Option, Schema } from "effect"
import { Command } from "effect/cli"
import * as EdgeSettings from "../../config/EdgeSettings.ts"
import * as Setting from "../../config/Setting.ts"
import * as Output from "../../terminal/Output.ts"
import * as Parameters from "../../terminal/Parameters.ts"

/**
 * A setting that a command cannot do without is not set.
 *
 * @category errors
 * @since 0.2.0
 */
export class SettingMissing extends Schema.TaggedError<SettingMissing>("waybill/SettingMissing")("SettingMissing", {
  name: Schema.String,
  about: Schema.String
}) {
  override get message(): string {
    return `${this.name} is not set: ${this.about}`
  }
}

const required = Effect.fnUntraced(function*<A>(setting: Setting.Setting<Option.Option<A>>) {
  const value = yield* Setting.read(setting)
  return Option.isSome(value) ? value.value : yield* new SettingMissing(setting)
})

const headers = Command.make(
  "headers",
  { deliveryId: Parameters.deliveryId, tenantId: Parameters.tenantId, json: Parameters.json },
  Effect.fnUntraced(function*({ json, ...delivery }) {
    const keys = yield* required(EdgeSettings.unsubscribeKeys)
    const publicUrl = yield* required(EdgeSettings.publicUrl)
    const headers = yield* Effect.fromResult(Links.headers({ keys, publicUrl }, delivery))
    yield* Output.write(
      json,
      { headers: { ...headers } },
      () => Object.entries(headers).map(([name, value]) => `${name}: ${value}`).join("\n")
    )
  })
).pipe(
  Command.withDescription(
    "Print the headers that let the recipient of a delivery unsubscribe; it is not looked whether the delivery is there"
  ),
  Command.withExamples([
    {
      command: "waybill unsubscribe headers 01890a5d-ac96-774b-bcce-b302099a8057",
      description: "List-Unsubscribe and List-Unsubscribe-Post, to be put into the message before it is signed by DKIM"
    },
    {
      command: "waybill unsubscribe headers 01890a5d-ac96-774b-bcce-b302099a8057 --tenant-id acme --json",
      description: "Of a tenant's delivery, for a script"
    }
  ])
)

/**
 * `waybill unsubscribe`
 *
 * @category commands
 * @since 0.2.0
 */
export const unsubscribe = Command.make("unsubscribe").pipe(
  Command.withSubcommands([headers]),
  Command.withDescription("Let recipients unsubscribe with one click"),
  Command.withExamples([
    {
      command: "waybill unsubscribe headers 01890a5d-ac96-774b-bcce-b302099a8057",
      description: "The headers of a message"
    }
  ])
)
