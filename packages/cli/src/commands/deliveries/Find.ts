/**
 * Finds deliveries by whatever one has of them, and tells the whole history of a recipient with what suppresses it.
 *
 * @since 0.2.0
 */
import { Delivery, Details, Directory, Event, EventType, IdempotencyKey, type Ledger, Recipient } from "@waybill/core"
import { DateTime, Duration, Effect, Option, Schema } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as Settings from "../../config/Settings.ts"
import * as Store from "../../store/Store.ts"
import * as Output from "../../terminal/Output.ts"
import * as Parameters from "../../terminal/Parameters.ts"
import * as Suppressed from "../suppressions/Suppressed.ts"

/** How many pages one command follows where they are short, so that it ends soon whatever it looks for. */
const maxPages = 20

const text = <A>(name: string, schema: Schema.Codec<A, string>, description: string) =>
  Flag.String(name).pipe(Flag.withSchema(schema), Flag.withDescription(description), Flag.optional)

const literals = <const A extends string>(name: string, values: ReadonlyArray<A>, description: string) =>
  Flag.Literals(name, values).pipe(Flag.withDescription(description), Flag.optional)

const after = text("after", Directory.Cursor, "Go on at this next of the page before, with the same filters")

const encode = Schema.encodeSync(Delivery.Delivery)

/** The pages of a query that fill its limit, as one, as far as the command follows. */
const searched = Effect.fnUntraced(function*(query: Directory.Query) {
  const directory = yield* Directory.Directory
  let page = yield* directory.search(query)
  for (let pages = 1; pages < maxPages; pages++) {
    const missing = query.limit - page.deliveries.length
    if (missing === 0 || Option.isNone(page.next)) break
    const more: Directory.Page = yield* directory.search({ ...query, after: page.next, limit: missing })
    page = { deliveries: [...page.deliveries, ...more.deliveries], next: more.next }
  }
  return page
})

const headings = ["recorded at", "status", "last event", "id", "recipient", "stream", "mailable", "provider"]

const rowOf = (delivery: Delivery.Delivery): Output.Row => [
  DateTime.formatIso(delivery.insertedAt),
  delivery.status,
  Option.getOrElse(delivery.lastEventType, () => ""),
  delivery.id,
  Option.getOrElse(delivery.recipient, () => "(forgotten)"),
  delivery.stream,
  delivery.mailable,
  Option.getOrElse(delivery.provider, () => "")
]

/** The line that says how to go on. */
const more = (next: Option.Option<Directory.Cursor>): ReadonlyArray<string> =>
  Option.toArray(Option.map(next, (cursor) => `\nmore: the same command with --after ${cursor}`))

/**
 * `waybill find`
 *
 * @category commands
 * @since 0.2.0
 */
export const find = Command.make(
  "find",
  {
    recipient: text("recipient", Recipient.Recipient, "To this address, in any spelling"),
    recipientDomain: text("domain", Schema.String, "To any address of this domain"),
    providerMessageId: text("message-id", Schema.String, "Of this provider's message id, as anybody has it"),
    deliveryId: text("id", Event.DeliveryId, "Of this id"),
    idempotencyKey: text("idempotency-key", IdempotencyKey.IdempotencyKey, "Recorded under this key"),
    status: literals("status", EventType.Status.literals, "In this status"),
    event: literals("event", EventType.EventType.literals, "To which this happened"),
    lastEventType: literals("last-event", EventType.EventType.literals, "To which this happened last"),
    recordedFrom: Parameters.time("since", "Recorded at this time or later, in ISO 8601"),
    recordedTo: Parameters.time("until", "Recorded before this time, in ISO 8601"),
    happenedFrom: Parameters.time("happened-since", "With an event at this time or later, of --event if given"),
    happenedTo: Parameters.time("happened-until", "With an event before this time, of --event if given"),
    stream: literals("stream", Delivery.Stream.literals, "Of this kind of mail"),
    mailable: text("mailable", Schema.String, "Of this template or class of message"),
    provider: Parameters.sender.pipe(Flag.withDescription("Sent through this provider"), Flag.optional),
    stuck: Flag.Boolean("stuck").pipe(
      Flag.withDescription("Recorded, and never dispatched, failed or suppressed"),
      Flag.withDefault(false)
    ),
    olderThan: Flag.String("older-than").pipe(
      Flag.filterMap(Settings.grace.parse, () => Settings.grace.issue),
      Flag.withMetavar("duration"),
      Flag.withDescription("With --stuck: recorded so long ago or longer (default: 10m)"),
      Flag.withDefault(Duration.minutes(10))
    ),
    limit: Parameters.limit,
    after,
    tenantId: Parameters.tenantId,
    json: Parameters.json
  },
  Effect.fnUntraced(function*({ after, json, limit, olderThan, stuck, tenantId, ...filter }) {
    const page = yield* searched({
      tenantId,
      filter: { ...filter, stuckFor: stuck ? Option.some(olderThan) : Option.none() },
      after,
      limit
    })
    yield* Output.write(
      json,
      { deliveries: page.deliveries.map((delivery) => encode(delivery)), next: Option.getOrNull(page.next) },
      () => [Output.table(headings, page.deliveries.map(rowOf), "no such delivery"), ...more(page.next)].join("\n")
    )
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription("Find deliveries, newest first, by all that is given together"),
  Command.withExamples([
    { command: "waybill find --recipient ada@example.com", description: "What was sent to a person" },
    { command: "waybill find --message-id '<883953f4-6105-42a2-a16a-77a8eac79483>'", description: "By a message id" },
    { command: "waybill find --event bounced --since 2026-11-27T00:00:00Z", description: "What bounced since then" },
    { command: "waybill find --status failed --domain example.com --json", description: "For a script" },
    { command: "waybill find --stuck --older-than 10m", description: "What a crash left between record and send" }
  ])
)

const encodeDetails = Schema.encodeSync(Details.Details)

const entryOf = ({ details, event, linkedBy }: Ledger.TimelineEntry) => ({
  eventId: event.id,
  type: event.type,
  occurredAt: DateTime.formatIso(event.occurredAt),
  rejectReason: Option.getOrNull(event.rejectReason),
  bounceClass: Option.getOrNull(event.bounceClass),
  linkedBy: Option.getOrNull(linkedBy),
  details: Option.getOrNull(Option.map(details, encodeDetails))
})

/**
 * `waybill history`
 *
 * @category commands
 * @since 0.2.0
 */
export const history = Command.make(
  "history",
  {
    recipient: Argument.String("recipient").pipe(
      Argument.withSchema(Recipient.Recipient),
      Argument.withDescription("The address, in any spelling")
    ),
    limit: Flag.Int("limit").pipe(
      Flag.withDescription("How many deliveries at most (default: 20)"),
      Flag.withDefault(20)
    ),
    after,
    tenantId: Parameters.tenantId,
    json: Parameters.json
  },
  Effect.fnUntraced(function*({ json, ...query }) {
    const { next, stories, suppressions } = yield* Directory.history(query)
    yield* Output.write(
      json,
      {
        suppressions: Suppressed.shown(suppressions),
        deliveries: stories.map(({ delivery, timeline }) => ({
          delivery: encode(delivery),
          timeline: timeline.map(entryOf)
        })),
        next: Option.getOrNull(next)
      },
      () =>
        [
          ...suppressions.length === 0 ? [] : [`${Suppressed.lines(suppressions).join("\n")}\n`],
          stories.length === 0 ? "nothing was recorded for this address" : stories.map(({ delivery, timeline }) =>
            [
              `${DateTime.formatIso(delivery.insertedAt)}  ${delivery.mailable}  ${delivery.status}  ${delivery.id}`,
              ...timeline.map(entryOf).map(({ bounceClass, occurredAt, rejectReason, type }) =>
                ["  ", occurredAt, type, ...[bounceClass, rejectReason].filter((word) => word !== null)].join("  ")
              )
            ].join("\n")
          ).join("\n\n"),
          ...more(next)
        ].join("\n")
    )
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription(
    "Tell all that happened to the mail for one address, newest delivery first, and what keeps mail from it"
  ),
  Command.withExamples([
    { command: "waybill history ada@example.com", description: "What a person got, and what became of it" },
    { command: "waybill history ada@example.com --limit 100 --json", description: "For a script" }
  ])
)
