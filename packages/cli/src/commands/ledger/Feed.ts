/**
 * Shows the consumers of the feed, moves one to another place, and repairs the feed after a restore, a promotion or a move.
 *
 * @since 0.2.0
 */
import { Audit, Checkpoints, Ledger, type LedgerError, Tenant } from "@waybill/core"
import { DateTime, Duration, Effect, Option, Result, Schema } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as Store from "../../store/Store.ts"
import * as Output from "../../terminal/Output.ts"
import * as Parameters from "../../terminal/Parameters.ts"

/** How a consumer stands: by the age of the oldest event that it has not handled, or why it cannot go on. */
const examine = Effect.fnUntraced(function*({ consumer, cursor, savedAt }: Checkpoints.Checkpoint) {
  const ledger = yield* Ledger.Ledger
  const now = yield* DateTime.now
  const about = { consumer, cursor, savedAt: DateTime.formatIso(savedAt) }
  return yield* ledger.changes({ scope: Tenant.all, after: cursor, limit: 1 }).pipe(
    Effect.map(([next]) => {
      const age = next === undefined ? Duration.zero : Output.ageAt(now, next.event.insertedAt)
      return { ...about, state: "following", lagSeconds: Math.floor(Duration.toSeconds(age)) }
    }),
    Effect.catchTag("CursorAhead", ({ reason }) => Effect.succeed({ ...about, state: reason, lagSeconds: null }))
  )
})

const notes: Readonly<Record<string, string>> = {
  restored: "the feed stands still since a restore; run waybill feed repair",
  lost: "ahead of the database; run waybill feed reset"
}

const list = Command.make(
  "list",
  { json: Parameters.json },
  Effect.fnUntraced(function*({ json }) {
    const checkpoints = yield* Checkpoints.Checkpoints
    const consumers = yield* Effect.forEach(yield* checkpoints.list, examine)
    yield* Output.write(json, { consumers }, () =>
      Output.table(
        ["consumer", "cursor", "saved at", "lag", "note"],
        consumers.map(({ consumer, cursor, lagSeconds, savedAt, state }) => [
          consumer,
          cursor,
          savedAt,
          lagSeconds === null ? "" : Output.age(Duration.seconds(lagSeconds)),
          notes[state] ?? ""
        ]),
        "no consumers"
      ))
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription("List the consumers of the feed, how far each has come, and whether it can go on"),
  Command.withExamples([
    { command: "waybill feed list", description: "Every consumer that keeps its place in this database" },
    { command: "waybill feed list --json", description: "For a script" }
  ])
)

const decodeInstant = Schema.decodeResult(Schema.DateTimeUtcFromString)

const beginningOf = (text: string): Option.Option<Checkpoints.Beginning> => {
  if (text === "start") return Option.some({ _tag: "Start" })
  if (text === "now") return Option.some({ _tag: "Now" })
  return Option.map(Result.getSuccess(decodeInstant(text)), (instant) => ({ _tag: "At", instant }))
}

const reset = Command.make(
  "reset",
  {
    consumer: Argument.String("name").pipe(Argument.withDescription("The consumer's name")),
    to: Flag.String("to").pipe(
      Flag.filterMap(beginningOf, () => "must be start, now or a time in ISO 8601"),
      Flag.withMetavar("start|now|time"),
      Flag.withDescription("Begin at the first event, after the last, or at what was appended from a time on")
    ),
    json: Parameters.json
  },
  Effect.fnUntraced(function*({ consumer, json, to }) {
    const checkpoints = yield* Checkpoints.Checkpoints
    const from = yield* checkpoints.load(consumer)
    const cursor = yield* checkpoints.reset(consumer, to)
    yield* Output.write(
      json,
      { consumer, from: Option.getOrNull(from), to: cursor },
      () => `${consumer} goes on after ${cursor}${Option.isNone(from) ? "; it had no place before" : ""}`
    )
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription("Let a consumer begin at another place, while none runs under its name"),
  Command.withExamples([
    { command: "waybill feed reset mailer --to 2026-11-01T00:00:00Z", description: "Again what was appended since" },
    { command: "waybill feed reset mailer --to now", description: "Nothing of before" }
  ])
)

/**
 * The feed cannot be repaired by this role, or not now.
 *
 * @category errors
 * @since 0.2.0
 */
export class NotRepaired extends Schema.TaggedError<NotRepaired>("waybill/NotRepaired")("NotRepaired", {
  reason: Schema.Literals(["permission", "timeout"])
}) {
  override get message(): string {
    return this.reason === "permission"
      ? "only the owner of the schema may repair its feed"
      : "transactions that write events stay open; waybill doctor names them"
  }
}

const refusal = (error: LedgerError.LedgerError): LedgerError.LedgerError | NotRepaired =>
  error._tag === "LedgerUnavailable" && (error.reason === "permission" || error.reason === "timeout")
    ? new NotRepaired({ reason: error.reason })
    : error

const repair = Command.make(
  "repair",
  { json: Parameters.json },
  Effect.fnUntraced(function*({ json }) {
    const audit = yield* Audit.Audit
    const { epoch, moved, shown } = yield* Effect.mapError(audit.repairFeed, refusal)
    yield* Output.write(
      json,
      { repaired: Option.isSome(epoch), epoch: Option.getOrNull(epoch), shown, moved },
      () =>
        Option.match(epoch, {
          onNone: () => "nothing to repair",
          onSome: (begun) =>
            `epoch ${begun} begun: ${shown} events that were held back are shown, ` +
            `${moved} that were appended since the restore follow them`
        })
    )
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription(
    "Repair the feed after a restore, a promotion or a move, as the owner of the schema: nothing is passed over or held back"
  ),
  Command.withExamples([
    { command: "waybill feed repair", description: "Waits for open writers; does nothing where nothing is wrong" }
  ])
)

/**
 * `waybill feed`
 *
 * @category commands
 * @since 0.2.0
 */
export const feed = Command.make("feed").pipe(
  Command.withDescription("Show the consumers of the feed, move one, or repair the feed after a restore"),
  Command.withSubcommands([list, reset, repair]),
  Command.withExamples([
    { command: "waybill feed list", description: "Who follows, and how far behind" },
    { command: "waybill feed repair", description: "After a restore, a promotion or a move" }
  ])
)
