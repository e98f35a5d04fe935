/**
 * Shows the race and how it ends.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { Command } from "effect/cli"
import * as Output from "../../terminal/Output.ts"
import * as Parameters from "../../terminal/Parameters.ts"

/**
 * `waybill demo`
 *
 * @category commands
 * @since 0.1.0
 */
export const demo = Command.make(
  "demo",
  { json: Parameters.json },
  Effect.fnUntraced(function*({ json }) {
    const Demo = yield* Effect.promise(() => import("../../work/Demo.ts"))
    const { delivery, linked, orphansBefore, steps, timeline } = yield* Demo.play
    yield* Output.write(json, { steps, orphansBefore, linked, delivery }, () =>
      [
        ...steps.map((step, index) => `${index + 1}. ${step}`),
        "",
        Output.table(
          ["occurred at", "event", ""],
          timeline.map(({ isLinked, occurredAt, type }) => [occurredAt, type, isLinked ? "was an orphan" : ""]),
          "no event"
        )
      ].join("\n"))
  })
).pipe(
  Command.withDescription("Play the race of webhook and delivery on a throw-away database"),
  Command.withExamples([{ command: "waybill demo", description: "Needs no server and leaves nothing behind" }])
)
