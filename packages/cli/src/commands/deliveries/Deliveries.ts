/**
 * Records deliveries, notes that they were dispatched and shows what became of them.
 *
 * @since 0.1.0
 */
import { Block, Delivery, Details, IdempotencyKey, Ledger, LedgerError, Recipient } from "@waybill/core"
import { DateTime, Effect, Option, Schema } from "effect"
import * as Arr from "effect/Array"
import { Command, Flag } from "effect/cli"
import * as Store from "../../store/Store.ts"
import * as Output from "../../terminal/Output.ts"
import * as Parameters from "../../terminal/Parameters.ts"

const encodeBlock = Schema.encodeSync(Block.Block)

/**
 * `waybill record`
 *
 * @category commands
 * @since 0.1.0
 */
export const record = Command.make(
  "record",
  {
    recipient: Flag.String("recipient").pipe(
      Flag.withSchema(Recipient.Recipient),
      Flag.withDescription("The address it is for")
    ),
    mailable: Flag.String("mailable").pipe(
      Flag.withSchema(Delivery.NewDelivery.fields.mailable),
      Flag.withDescription("The name of the template or class of the message")
    ),
    stream: Flag.Literals("stream", Delivery.Stream.literals).pipe(Flag.withDescription("The kind of mail")),
    tenantId: Parameters.tenantId,
    idempotencyKey: Flag.String("idempotency-key").pipe(
      Flag.withSchema(IdempotencyKey.IdempotencyKey),
      Flag.withDescription("Record once under this key"),
      Flag.optional
    ),
    id: Flag.String("id").pipe(
      Flag.withSchema(Delivery.Delivery.fields.id),
      Flag.withDescription("The delivery's id (default: a new UUIDv7)"),
      Flag.optional
    ),
    ignoreSuppression: Flag.Boolean("ignore-suppression").pipe(
      Flag.withDescription("Send it although its recipient is suppressed, and note that it was"),
      Flag.withDefault(false)
    ),
    json: Parameters.json
  },
  Effect.fnUntraced(function*({ json, ...delivery }) {
    const ledger = yield* Ledger.Ledger
    const recorded = yield* ledger.record(Delivery.NewDelivery.make(delivery))
    const { id } = recorded.delivery
    const suppressedBy = Option.map(recorded.suppressedBy, encodeBlock)
    yield* Output.write(
      json,
      { id, created: recorded.created, suppressedBy: Option.getOrNull(suppressedBy) },
      () =>
        `${id} ${recorded.created ? "recorded" : "was there already"}${
          Option.match(suppressedBy, {
            onNone: () => "",
            onSome: ({ reason, since }) => `, suppressed: do not send it (${reason} since ${since})`
          })
        }`
    )
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription(
    "Record a delivery before it is sent; tells where it must not be, since its recipient is suppressed"
  ),
  Command.withExamples([
    {
      command: "waybill record --recipient ada@example.com --mailable welcome --stream transactional",
      description: "Record a delivery and print its id"
    },
    {
      command:
        "waybill record --recipient ada@example.com --mailable welcome --stream transactional --idempotency-key signup:42",
      description: "Record it once, however often the command runs"
    }
  ])
)

/**
 * `waybill dispatch`
 *
 * @category commands
 * @since 0.1.0
 */
export const dispatch = Command.make(
  "dispatch",
  {
    deliveryId: Parameters.deliveryId,
    provider: Parameters.sender,
    providerMessageId: Flag.String("provider-message-id").pipe(
      Flag.withSchema(Delivery.Dispatch.fields.providerMessageId),
      Flag.withDescription("The message id that the provider's send call gave")
    ),
    expectedVersion: Parameters.expectedVersion,
    tenantId: Parameters.tenantId,
    json: Parameters.json
  },
  Effect.fnUntraced(function*({ json, ...command }) {
    const ledger = yield* Ledger.Ledger
    const { delivery: { id }, linked } = yield* ledger.dispatch(Delivery.Dispatch.make(command))
    yield* Output.write(json, { id, linked }, () => `${id} dispatched, ${linked} waiting events linked`)
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription("Note that a provider accepted a delivery, and link the events that came before"),
  Command.withExamples([
    {
      command:
        "waybill dispatch 01890a5d-ac96-774b-bcce-b302099a8057 --provider postmark --provider-message-id 883953f4-6105-42a2-a16a-77a8eac79483",
      description: "Note the message id that Postmark answered"
    }
  ])
)

const encode = Schema.encodeSync(Delivery.Delivery)

const encodeDetails = Schema.encodeSync(Details.Details)

/** What the provider said of an event, a line for each field; nothing where no details are kept. */
const saidOf = (
  { details, event }: Ledger.TimelineEntry,
  columns: Option.Option<number>
): ReadonlyArray<string> => {
  if (Option.isNone(details)) return []
  const { cut, metadata = {}, tags = [], ...words } = details.value
  const said = Output.fields([
    ...Object.entries(words),
    ...(tags.length > 0 ? [["tags", tags.join(", ")] as const] : []),
    ...Object.entries(metadata).map(([name, value]) => [Output.line(`metadata.${name}`), value] as const)
  ].map(([name, value]) => [name, Output.line(value)]))
  return [
    "",
    `details of ${event.type} at ${DateTime.formatIso(event.occurredAt)}${cut === true ? " (cut)" : ""}`,
    ...said.split("\n").map((text) => `  ${Output.line(text, Option.map(columns, (width) => width - 2))}`)
  ]
}

const hidden = new Set([
  "lastEventId",
  "lastEventOwn",
  "lastError",
  "lastErrorType",
  "lastErrorAt",
  "lastErrorId",
  "lastErrorOwn"
])

/** The last error of a delivery in one line, where it has one. */
const errorOf = ({ lastError, lastErrorAt, lastErrorType }: Delivery.Delivery): ReadonlyArray<[string, string]> => {
  if (Option.isNone(lastError)) return []
  const { bounceClass, code, enhancedStatus, message, rejectReason, smtpStatus } = lastError.value
  const parts: ReadonlyArray<Option.Option<string>> = [
    lastErrorType,
    bounceClass,
    rejectReason,
    Option.map(smtpStatus, String),
    enhancedStatus,
    code,
    message,
    Option.map(lastErrorAt, (at) => `at ${DateTime.formatIso(at)}`)
  ]
  return [["lastError", Output.line(Arr.getSomes(parts).join(" "))]]
}

/**
 * `waybill show`
 *
 * @category commands
 * @since 0.1.0
 */
export const show = Command.make(
  "show",
  {
    deliveryId: Parameters.deliveryId,
    tenantId: Parameters.tenantId,
    asOf: Parameters.asOf,
    json: Parameters.json
  },
  Effect.fnUntraced(function*({ asOf, json, ...key }) {
    const ledger = yield* Ledger.Ledger
    const found = yield* ledger.delivery(key)
    if (Option.isNone(found)) return yield* new LedgerError.DeliveryNotFound({ tenantId: key.tenantId })
    const whole = yield* ledger.timeline(key)
    const known = Option.isSome(asOf) ? Delivery.knownAt(whole, asOf.value) : whole
    const shown = Option.isSome(asOf) ? Delivery.asOf(found.value, known) : found.value
    const delivery = encode(shown)
    const timeline = known.map(({ details, event, linkedBy }) => ({
      eventId: event.id,
      type: event.type,
      occurredAt: DateTime.formatIso(event.occurredAt),
      linkedBy: Option.getOrNull(linkedBy),
      details: Option.getOrNull(Option.map(details, encodeDetails))
    }))
    const columns = yield* Output.columns
    return yield* Output.write(json, { delivery, timeline }, () =>
      [
        Output.fields([
          ...Object.entries(delivery).flatMap(([name, value]): ReadonlyArray<[string, string]> =>
            typeof value === "object" || hidden.has(name) ? [] : [[name, String(value)]]
          ),
          ...errorOf(shown)
        ]),
        "",
        Output.table(
          ["occurred at", "event", "id", "linked by"],
          timeline.map(({ eventId, linkedBy, occurredAt, type }) => [occurredAt, type, eventId, linkedBy ?? ""]),
          "no event yet"
        ),
        ...known.flatMap((entry) => saidOf(entry, columns))
      ].join("\n"))
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription("Show a delivery and its timeline"),
  Command.withExamples([
    { command: "waybill show 01890a5d-ac96-774b-bcce-b302099a8057", description: "What became of a delivery" },
    {
      command: "waybill show 01890a5d-ac96-774b-bcce-b302099a8057 --as-of 2026-11-20T12:00:00Z",
      description: "What was known of it then"
    },
    {
      command: "waybill show 01890a5d-ac96-774b-bcce-b302099a8057 --tenant-id acme --json",
      description: "A tenant's delivery, for a script"
    }
  ])
)
