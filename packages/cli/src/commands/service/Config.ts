/**
 * Shows every setting and where its value comes from.
 *
 * @since 0.1.0
 */
import { Effect, Option } from "effect"
import { Command } from "effect/cli"
import * as ConfigFile from "../../config/ConfigFile.ts"
import * as Setting from "../../config/Setting.ts"
import * as Settings from "../../config/Settings.ts"
import * as Output from "../../terminal/Output.ts"
import * as Parameters from "../../terminal/Parameters.ts"

const rows = Effect.forEach(
  Settings.all,
  Effect.fnUntraced(function*(setting) {
    const { source, text } = yield* Setting.given(setting)
    return {
      name: setting.name,
      key: Setting.keyOf(setting.name),
      value: setting.show(text),
      source,
      ok: Option.isSome(setting.parse(text)),
      about: setting.about,
      issue: setting.issue
    }
  })
)

/**
 * `waybill config`
 *
 * @category commands
 * @since 0.1.0
 */
export const config = Command.make(
  "config",
  { json: Parameters.json },
  Effect.fnUntraced(function*({ json }) {
    const settings = yield* rows
    const file = yield* ConfigFile.InUse
    const path = Option.getOrNull(Option.map(file, ({ path }) => path))
    const tenants = Option.match(file, { onNone: () => [], onSome: ({ tenants }) => [...tenants.keys()] })
    yield* Output.write(
      json,
      {
        file: path,
        tenants,
        settings: settings.map(({ about, key, name, ok, source, value }) => ({ name, key, value, source, ok, about }))
      },
      () =>
        [
          Output.table(
            ["setting", "in the file", "value", "source"],
            settings.map(({ key, name, source, value }) => [name, key, value === "" ? "none" : value, source]),
            ""
          ),
          ...path === null ? [] : ["", `file: ${path}`],
          ...tenants.length === 0 ? [] : [`secrets of further tenants in it: ${tenants.join(", ")}`]
        ].join("\n")
    )
    const wrong = settings.find(({ ok }) => !ok)
    if (wrong !== undefined) yield* new Setting.BadSetting(wrong)
  })
).pipe(
  Command.withDescription("Show every setting and where it comes from, secrets left out; exit 1 where one is wrong"),
  Command.withExamples([
    { command: "waybill config", description: "The environment over the defaults" },
    { command: "waybill config --config waybill.json --json", description: "The environment over a file, for a script" }
  ])
)
