/**
 * Tells whom not to mail, why, and what was done about it.
 *
 * @since 0.2.0
 */
import { Delivery, Recipient, Suppression, Suppressions } from "@waybill/core"
import { DateTime, Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import * as Store from "../../store/Store.ts"
import * as Output from "../../terminal/Output.ts"
import * as Parameters from "../../terminal/Parameters.ts"
import * as Suppressed from "./Suppressed.ts"
import * as SuppressionActs from "./SuppressionActs.ts"
import * as SuppressionFiles from "./SuppressionFiles.ts"

const check = Command.make(
  "check",
  {
    recipients: Flag.String("recipient").pipe(
      Flag.withSchema(Recipient.Recipient),
      Flag.withDescription("The address, in any spelling; may be given again"),
      Flag.atLeast(1)
    ),
    stream: Flag.Literals("stream", Delivery.Stream.literals).pipe(
      Flag.withDescription("Only what keeps mail of this kind from them"),
      Flag.optional
    ),
    tenantId: Parameters.tenantId,
    json: Parameters.json
  },
  Effect.fnUntraced(function*({ json, ...query }) {
    const suppressions = yield* Suppressions.Suppressions.use((suppressions) => suppressions.check(query))
    yield* Suppressed.write(json, suppressions, {}, "nothing keeps mail from it")
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription("Say what keeps mail from addresses, if anything does"),
  Command.withExamples([
    { command: "waybill suppressions check --recipient ada@example.com", description: "Why somebody gets no mail" },
    {
      command:
        "waybill suppressions check --recipient ada@example.com --recipient bob@example.com --stream bulk --json",
      description: "Before a newsletter is sent"
    }
  ])
)

const list = Command.make(
  "list",
  {
    reason: Suppressed.reason("Only those of this reason").pipe(Flag.optional),
    stream: Flag.Literals("stream", Delivery.Stream.literals).pipe(
      Flag.withDescription("Only what keeps mail of this kind from somebody"),
      Flag.optional
    ),
    from: Parameters.time("since", "Only those since this time or later, in ISO 8601"),
    to: Parameters.time("until", "Only those since this time or before, in ISO 8601"),
    limit: Parameters.limit,
    after: Flag.String("after").pipe(
      Flag.withDescription("Go on at this next of the page before, with the same filters"),
      Flag.optional
    ),
    tenantId: Parameters.tenantId,
    json: Parameters.json
  },
  Effect.fnUntraced(function*({ json, ...query }) {
    const { next, suppressions } = yield* Suppressions.Suppressions.use((suppressions) => suppressions.list(query))
    yield* Suppressed.write(json, suppressions, { next: Option.getOrNull(next) }, "nobody is suppressed")
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription("List whom not to mail, page by page"),
  Command.withExamples([
    { command: "waybill suppressions list --reason complained", description: "Who complained" },
    {
      command: "waybill suppressions list --stream bulk --since 2026-11-01T00:00:00Z --limit 1000 --json",
      description: "Whom a newsletter must not go to, since November"
    }
  ])
)

const sentenceOf = ({ act, eventId, lifts }: Suppressions.Entry): string => {
  const event = Option.match(eventId, { onNone: () => "", onSome: (id) => `event ${id}` })
  return Option.match(act, {
    onNone: () => event,
    onSome: ({ actedAt, actor, because, kind }) =>
      kind === "keep"
        ? `kept of ${event === "" ? "what was known" : event} when the address was forgotten`
        : [
          `${lifts ? "lifted" : "added"} by ${Option.getOrElse(actor, () => "nobody")} at ${
            DateTime.formatIso(actedAt)
          }`,
          ...Option.toArray(because)
        ].join(": ")
  })
}

const history = Command.make(
  "history",
  {
    recipient: Suppressed.recipient,
    limit: Parameters.limit,
    tenantId: Parameters.tenantId,
    json: Parameters.json
  },
  Effect.fnUntraced(function*({ json, ...query }) {
    const entries = yield* Suppressions.Suppressions.use((suppressions) => suppressions.history(query))
    yield* Output.write(
      json,
      {
        history: entries.map(({ act, at, eventId, lifts, reason, stream }) => ({
          at: DateTime.formatIso(at),
          lifts,
          reason,
          stream: Option.getOrNull(stream),
          eventId: Option.getOrNull(eventId),
          act: Option.match(act, {
            onNone: () => null,
            onSome: ({ actedAt, actor, because, kind }) => ({
              kind,
              actedAt: DateTime.formatIso(actedAt),
              actor: Option.getOrNull(actor),
              because: Option.getOrNull(because)
            })
          })
        }))
      },
      () =>
        Output.table(
          ["at", "what", "reason", "stream", "by"],
          entries.map((entry) => [
            DateTime.formatIso(entry.at),
            entry.lifts ? "lift" : "cause",
            entry.reason,
            Option.getOrElse(entry.stream, () => "all"),
            sentenceOf(entry)
          ]),
          "nothing ever suppressed it"
        )
    )
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription("Tell all causes and acts of an address, the latest first: who lifted it, when and why"),
  Command.withExamples([
    { command: "waybill suppressions history --recipient ada@example.com", description: "Prove who lifted it" },
    { command: "waybill suppressions history --recipient ada@example.com --json", description: "For a script" }
  ])
)

/**
 * `waybill suppressions`
 *
 * @category commands
 * @since 0.2.0
 */
export const suppressions = Command.make("suppressions").pipe(
  Command.withSubcommands([
    list,
    check,
    SuppressionActs.add,
    SuppressionActs.lift,
    SuppressionFiles.importFile,
    SuppressionFiles.exportFile,
    history
  ]),
  Command.withDescription(`Tell and change whom not to mail: ${Suppression.Reason.literals.join(", ")}`),
  Command.withExamples([
    { command: "waybill suppressions check --recipient ada@example.com", description: "What suppresses an address" },
    { command: "waybill suppressions list --reason complained", description: "Who complained" }
  ])
)
