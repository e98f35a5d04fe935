/**
 * Prints suppressions, and defines the flags that several commands about them share.
 *
 * @since 0.2.0
 */
import { Act, Recipient, Suppression } from "@waybill/core"
import { DateTime, type Effect, Option, Schema } from "effect"
import { Flag } from "effect/cli"
import { userInfo } from "node:os"
import * as Output from "../../terminal/Output.ts"

/**
 * The address that a command is about.
 *
 * @category flags
 * @since 0.2.0
 */
export const recipient = Flag.String("recipient").pipe(
  Flag.withSchema(Recipient.Recipient),
  Flag.withDescription("The address, in any spelling")
)

/**
 * The reason of a suppression.
 *
 * @category flags
 * @since 0.2.0
 */
export const reason = (description: string): Flag.Flag<Suppression.Reason> =>
  Flag.Literals("reason", Suppression.Reason.literals).pipe(Flag.withDescription(description))

/** The name by which the operating system knows who runs the command; it may have none. */
const user = Option.liftThrowable(() => userInfo().username)().pipe(
  Option.flatMap(Schema.decodeOption(Act.Because)),
  Option.getOrElse(() => "somebody")
)

/**
 * Who does something by hand.
 *
 * @category flags
 * @since 0.2.0
 */
export const actor = Flag.String("actor").pipe(
  Flag.withSchema(Act.Because),
  Flag.withDescription("Who does it, without an address (default: the user of the operating system)"),
  Flag.withDefault(user)
)

/**
 * Why something is done by hand.
 *
 * @category flags
 * @since 0.2.0
 */
export const because = Flag.String("because").pipe(
  Flag.withSchema(Act.Because),
  Flag.withMetavar("text"),
  Flag.withDescription("Why, without an address; it is kept for good"),
  Flag.optional
)

const encode = Schema.encodeSync(Suppression.Suppression)

/**
 * The suppressions of an address or a listing, for a machine.
 *
 * @category writing
 * @since 0.2.0
 */
export const shown = (suppressions: ReadonlyArray<Suppression.Suppression>) => suppressions.map((each) => encode(each))

/**
 * What suppresses an address in words, a line each, as a person reads it.
 *
 * @category writing
 * @since 0.2.0
 */
export const lines = (suppressions: ReadonlyArray<Suppression.Suppression>): ReadonlyArray<string> =>
  suppressions.map(({ eventId, reason, since, stream, until }) =>
    [
      `not mailed: ${reason} since ${DateTime.formatIso(since)}`,
      ...Option.toArray(Option.map(until, (end) => `until ${DateTime.formatIso(end)}`)),
      Option.match(stream, { onNone: () => "on all streams", onSome: (name) => `on stream ${name}` }),
      Option.match(eventId, { onNone: () => "by hand", onSome: (id) => `by event ${id}` })
    ].join(", ")
  )

/**
 * Writes suppressions: their JSON, with something beside it, or a table.
 *
 * @category writing
 * @since 0.2.0
 */
export const write = (
  json: boolean,
  suppressions: ReadonlyArray<Suppression.Suppression>,
  beside: { readonly next?: string | null },
  empty: string
): Effect.Effect<void> =>
  Output.write(json, { suppressions: shown(suppressions), ...beside }, () =>
    [
      Output.table(
        ["recipient", "reason", "stream", "since", "until", "event"],
        suppressions.map(({ eventId, reason, recipient, since, stream, until }) => [
          Option.getOrElse(recipient, () => "(forgotten)"),
          reason,
          Option.getOrElse(stream, () => "all"),
          DateTime.formatIso(since),
          Output.time(until) ?? "",
          Option.getOrElse(eventId, () => "by hand")
        ]),
        empty
      ),
      ...typeof beside.next === "string" ? [`\nmore: the same command with --after ${beside.next}`] : []
    ].join("\n"))
