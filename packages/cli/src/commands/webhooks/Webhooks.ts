/**
 * Shows the raw webhooks that are kept, and processes them again.
 *
 * @since 0.1.0
 */
import { Inbox, Provider } from "@waybill/core"
import { DateTime, Duration, Effect, Option, Schema } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as Store from "../../store/Store.ts"
import * as Output from "../../terminal/Output.ts"
import * as Parameters from "../../terminal/Parameters.ts"

/**
 * Some webhooks are still not in the ledger.
 *
 * @category errors
 * @since 0.1.0
 */
export class StillFailing extends Schema.TaggedError<StillFailing>("waybill/StillFailing")("StillFailing", {
  failing: Schema.Int
}) {
  override get message(): string {
    return `${this.failing} of them are still not in the ledger; waybill webhooks list says why`
  }
}

/**
 * The command line names no webhook to replay, or more than one choice.
 *
 * @category errors
 * @since 0.1.0
 */
export class NothingChosen extends Schema.TaggedError<NothingChosen>("waybill/NothingChosen")("NothingChosen", {}) {
  override get message(): string {
    return "needs the id of one webhook, or --dead, or a filter such as --status failed"
  }
}

const webhookId = Argument.String("id").pipe(
  Argument.withSchema(Inbox.WebhookId),
  Argument.withDescription("The webhook's id")
)

const dead = Flag.Boolean("dead").pipe(Flag.withDefault(false))

const status = Flag.optional(Flag.Literals("status", Inbox.WebhookStatus.literals))

const provider = Flag.String("provider").pipe(
  Flag.withSchema(Provider.Provider),
  Flag.withDescription("Only those of one provider, such as postmark"),
  Flag.optional
)

const since = Parameters.time("since", "Only those received at this time or later, in ISO 8601")

const until = Parameters.time("until", "Only those received before this time, in ISO 8601")

/** The filters of a list that are given. */
const filters = ({ provider, since, until }: {
  readonly provider: Option.Option<Provider.Provider>
  readonly since: Option.Option<DateTime.Utc>
  readonly until: Option.Option<DateTime.Utc>
}) => ({
  ...Option.isSome(provider) && { provider: provider.value },
  ...Option.isSome(since) && { from: since.value },
  ...Option.isSome(until) && { to: until.value }
})

const describe = ({ attempts, id, lastError, processedAt, provider, receivedAt, status, tenantId }: Inbox.Summary) => ({
  id,
  tenantId,
  provider,
  status,
  attempts,
  lastError: Option.getOrNull(lastError),
  receivedAt: DateTime.formatIso(receivedAt),
  processedAt: Output.time(processedAt)
})

const list = Command.make(
  "list",
  {
    scope: Parameters.scope,
    status: status.pipe(Flag.withDescription("Only those that stand so")),
    dead: dead.pipe(Flag.withDescription("Only those that were given up, as --status dead")),
    provider,
    since,
    until,
    limit: Parameters.limit,
    json: Parameters.json
  },
  Effect.fnUntraced(function*({ dead, json, limit, provider, scope, since, status, until }) {
    const inbox = yield* Inbox.Inbox
    const found = yield* inbox.list({
      scope,
      status: dead ? Option.some("dead") : status,
      limit,
      ...filters({ provider, since, until })
    })
    const webhooks = found.map(describe)
    yield* Output.write(json, { webhooks }, () =>
      Output.table(
        ["received at", "status", "tries", "tenant", "provider", "id", "reason"],
        webhooks.map(({ attempts, id, lastError, provider, receivedAt, status, tenantId }) => [
          receivedAt,
          status,
          String(attempts),
          tenantId,
          provider,
          id,
          lastError ?? ""
        ]),
        "no webhooks"
      ))
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription("List raw webhooks, newest first"),
  Command.withExamples([
    { command: "waybill webhooks list --dead", description: "What was given up" },
    { command: "waybill webhooks list --status failed --tenant-id acme --json", description: "What is tried again" }
  ])
)

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** A body as text, or in base64 if it is not text. */
const readable = (body: Uint8Array): { readonly body: string; readonly encoding: "text" | "base64" } => {
  try {
    return { body: strict.decode(body), encoding: "text" }
  } catch {
    return { body: Buffer.from(body).toString("base64"), encoding: "base64" }
  }
}

const show = Command.make(
  "show",
  { id: webhookId, scope: Parameters.scope, json: Parameters.json },
  Effect.fnUntraced(function*({ id, json, scope }) {
    const inbox = yield* Inbox.Inbox
    const found = yield* inbox.get(scope, id)
    if (Option.isNone(found)) return yield* new Inbox.WebhookNotFound({ webhookId: id })
    const webhook = found.value
    const summary = describe(webhook)
    const { body, encoding } = readable(webhook.body)
    return yield* Output.write(json, { ...summary, headers: webhook.headers, encoding, body }, () =>
      [
        Output.fields(
          Object.entries(summary).flatMap(([name, value]) => value === null ? [] : [[name, String(value)]])
        ),
        "",
        ...Object.entries(webhook.headers).map(([name, value]) => `${name}: ${value}`),
        "",
        body
      ].join("\n"))
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription("Show a raw webhook with its headers and its body as it came, addresses included"),
  Command.withExamples([
    { command: "waybill webhooks show 01890a5d-ac96-774b-bcce-b302099a8057", description: "What the provider sent" }
  ])
)

const replay = Command.make(
  "replay",
  {
    id: Argument.optional(webhookId),
    dead: dead.pipe(Flag.withDescription("Every webhook that was given up, as --status dead")),
    status: status.pipe(Flag.withDescription("Every webhook that stands so")),
    provider,
    since,
    until,
    rate: Flag.Int("rate").pipe(
      Flag.filter((rate) => rate >= 1 && rate <= 100_000, () => "must be a whole number from 1 to 100000"),
      Flag.withDescription("The most webhooks a second (default: as many as can be)"),
      Flag.optional
    ),
    scope: Parameters.scope,
    json: Parameters.json
  },
  Effect.fnUntraced(function*({ dead, id, json, provider, rate, scope, since, status, until }) {
    const isFiltered = dead || Option.isSome(status) || Object.keys(filters({ provider, since, until })).length > 0
    if (Option.isSome(id) === isFiltered) yield* new NothingChosen()
    const Replay = yield* Effect.promise(() => import("../../work/Replay.ts"))
    const replayed = yield* Option.isSome(id)
      ? Effect.map(Replay.one(scope, id.value), (it) => [it])
      : Replay.all({
        scope,
        status: dead ? Option.some("dead") : status,
        ...Option.isSome(rate) && { rate: rate.value },
        ...filters({ provider, since, until })
      })
    yield* Output.write(json, { replayed }, () =>
      Output.table(
        ["webhook", "status", "appended", "duplicates", "reason"],
        replayed.map(({ appended, duplicates, id, reason, status }) => [
          id,
          status,
          String(appended),
          String(duplicates),
          reason ?? ""
        ]),
        "no such webhooks"
      ))
    const failing = replayed.filter(({ status }) => status !== "succeeded").length
    if (failing > 0) yield* new StillFailing({ failing })
  })
).pipe(
  Command.withDescription(
    "Process raw webhooks again, as after a mended mapping; what is in the ledger stays as it is"
  ),
  Command.withExamples([
    {
      command: "waybill webhooks replay 01890a5d-ac96-774b-bcce-b302099a8057",
      description: "One, whatever its status"
    },
    { command: "waybill webhooks replay --dead", description: "All that were given up" },
    {
      command: "waybill webhooks replay --status failed --provider postmark --since 2026-03-01T00:00:00Z --rate 200",
      description: "What one provider sent since then and failed, at most 200 a second"
    }
  ])
)

const unknown = Command.make(
  "unknown",
  {
    scope: Parameters.scope,
    hours: Flag.Int("hours").pipe(
      Flag.filter((hours) => hours >= 1 && hours <= 8760, () => "must be a whole number of hours from 1 to 8760"),
      Flag.withDescription("Webhooks of the last so many hours (default: 24)"),
      Flag.withDefault(24)
    ),
    limit: Flag.Int("limit").pipe(
      Flag.withDescription("How many webhooks to read at most, newest first (default: 1000)"),
      Flag.withDefault(1000)
    ),
    json: Parameters.json
  },
  Effect.fnUntraced(function*({ hours, json, limit, scope }) {
    const Unknown = yield* Effect.promise(() => import("../../work/Unknown.ts"))
    const { complete, kinds, webhooks } = yield* Unknown.count({ scope, since: Duration.hours(hours), limit })
    yield* Output.write(
      json,
      { webhooks, complete, kinds: kinds.map((kind) => ({ ...kind })) },
      () => {
        const table = Output.table(
          ["provider", "name", "count", "newest webhook"],
          kinds.map(({ count, name, provider, webhookId }) => [provider, name, String(count), webhookId]),
          `all of ${webhooks} webhooks was understood`
        )
        return complete ? table : `${table}\n(the newest ${webhooks} webhooks; there are more: --limit)`
      }
    )
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription("Count the kinds of events that came and are not understood, by provider and name"),
  Command.withExamples([
    { command: "waybill webhooks unknown", description: "Of the last day" },
    { command: "waybill webhooks unknown --hours 168 --limit 10000 --json", description: "Of a week, for a script" }
  ])
)

/**
 * `waybill webhooks`
 *
 * @category commands
 * @since 0.1.0
 */
export const webhooks = Command.make("webhooks").pipe(
  Command.withDescription("Show the raw webhooks that are kept, and process them again"),
  Command.withSubcommands([list, show, replay, unknown]),
  Command.withExamples([
    { command: "waybill webhooks list --dead", description: "What was given up" },
    { command: "waybill webhooks replay --dead", description: "Try it again from the raw bytes" }
  ])
)
