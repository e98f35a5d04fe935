/**
 * Takes verified webhooks into the ledger and loses none: each is stored raw first, in a short transaction of its own, and
 * only then reduced to events and appended.
 *
 * A webhook that is stored is safe: whatever fails afterwards, the sweep of the inbox takes it up again. One that storage
 * delayed is tried until it succeeds. One that cannot be understood is tried seven times in 31 hours, then given up, but
 * kept; so is one that ends the process each time.
 *
 * An item that cannot be understood costs the others of its batch nothing. They are appended, and the webhook stays failed,
 * with the places of the items that were not, until a replay under a mended mapping brings them in.
 *
 * Doing any of it again changes nothing in the ledger. That holds after a recipient was forgotten, too: events that name the
 * recipient in the raw bytes are ignored from then on.
 *
 * @since 0.1.0
 */
import { type Event, Inbox, InboxRow, Ledger, LedgerError, type Tenant, Text } from "@waybill/core"
import * as Attributes from "@waybill/core/Attributes"
import { Context, Duration, Effect, Fiber, Layer, Option } from "effect"
import type * as Answer from "./Answer.ts"
import * as Drain from "./internal/drain.ts"
import * as Reading from "./internal/reading.ts"
import type * as Processed from "./Processed.ts"
import { Providers } from "./Providers.ts"
import * as Refusals from "./Refusals.ts"
import type * as Row from "./Row.ts"
import { Secrets } from "./Secrets.ts"
import type * as Webhook from "./Webhook.ts"

/**
 * How many events one transaction appends. A batch may hold more; it is then appended in several.
 *
 * @category constants
 * @since 0.1.0
 */
export const batchSize = 1000

/**
 * How long processing may take before a sweep believes that its process has died, by default.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultStalledFor: Duration.Duration = Duration.minutes(5)

/**
 * How long storing a webhook may take before it fails, so that the provider is told in time to send it again.
 *
 * @category constants
 * @since 0.1.0
 */
export const storeWithin: Duration.Duration = Duration.seconds(5)

/**
 * How long the processing of a stored webhook is waited for; after that it goes on on its own.
 *
 * @category constants
 * @since 0.1.0
 */
export const awaitedFor: Duration.Duration = Duration.seconds(5)

/**
 * A request that passed verification, and whose it is.
 *
 * @category models
 * @since 0.1.0
 */
export interface VerifiedWebhook extends Webhook.Request {
  readonly tenantId: Tenant.TenantId
  readonly token: Option.Option<Inbox.Token>
  readonly provider: Pick<Row.Row, "name" | "headers">
}

/**
 * The receipt of a webhook: what became of it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Receipt {
  readonly webhookId: Inbox.WebhookId
  readonly outcome: Extract<
    Answer.Outcome,
    "stored" | "duplicate" | "orphan" | "unknown_type" | "not_mail" | "undecodable"
  >
  readonly counts: Processed.Counts
}

/**
 * An event of a webhook, and what became of it in the ledger.
 *
 * @category models
 * @since 0.2.0
 */
export interface Ingested {
  readonly event: Event.NewEvent
  readonly outcome: Ledger.Outcome
}

/**
 * The receipt of a webhook that was processed to its end: what became of it, event by event.
 *
 * @category models
 * @since 0.2.0
 */
export interface FullReceipt extends Receipt {
  readonly result: Inbox.Ending
  /** In the order of the body, each with its outcome; one that no ledger took is not among them. */
  readonly events: ReadonlyArray<Ingested>
  /**
   * Whether every event that the body names is in the ledger, and what else it asks for was done; whatever could not be
   * understood.
   */
  readonly isComplete: boolean
}

/**
 * Takes webhooks in, and takes up again what was left.
 *
 * @category services
 * @since 0.1.0
 */
export class Ingestion extends Context.Service<Ingestion, {
  /**
   * Stores a verified webhook and processes it. Once the webhook is stored it succeeds, whatever the processing meets and
   * within 5 seconds, however long that goes on; it fails where the webhook was not stored within 5 seconds. A caller that
   * is interrupted interrupts neither.
   *
   * The receipt counts the events and holds none, however many a body has.
   */
  readonly receive: (
    webhook: VerifiedWebhook
  ) => Effect.Effect<Receipt, Inbox.TokenReplayed | LedgerError.InvalidInput | LedgerError.LedgerError>

  /**
   * Stores a verified webhook and processes it to its end, however long that takes; one that is repeated is processed again.
   * The receipt has every event. It fails where the webhook was not stored, and where its body as a whole cannot be read:
   * that one is kept all the same.
   */
  readonly ingest: (
    webhook: VerifiedWebhook
  ) => Effect.Effect<
    FullReceipt,
    | Inbox.TokenReplayed
    | Inbox.WebhookNotFound
    | Webhook.MalformedBody
    | LedgerError.InvalidInput
    | LedgerError.LedgerError
  >

  /**
   * Processes every webhook that is due: those that failed and have waited, and those that were released, many together and
   * fairly by tenant and provider; then, one by one, those whose processing was begun and never ended. Interrupted, it ends the
   * batch in hand and begins no other.
   */
  readonly sweep: (
    options?: Processed.SweepOptions
  ) => Effect.Effect<Processed.Swept, LedgerError.InvalidInput | LedgerError.LedgerError>

  /**
   * Processes many webhooks again from their raw bytes, newest first, each once, their tries forgotten. It stops after a batch
   * that storage delays. Interrupted, it ends the batch in hand and begins no other.
   */
  readonly replayAll: (
    query: Processed.ReplayQuery
  ) => Effect.Effect<Processed.Swept, LedgerError.InvalidInput | LedgerError.LedgerError>

  /** Processes one webhook again from its raw bytes, whatever its status, its tries forgotten. */
  readonly replay: (
    scope: Tenant.Scope,
    id: Inbox.WebhookId
  ) => Effect.Effect<Processed.Processed, Inbox.WebhookNotFound | LedgerError.LedgerError>
}>()("@waybill/webhooks/Ingestion") {}

const outcomeOf = ({ counts, result }: Processed.Processed): Receipt["outcome"] => {
  if (counts.undecodable > 0) return "undecodable"
  const told = counts.appended + counts.duplicates + counts.conflicts
  if (told === 0) return result._tag === "Succeeded" ? "not_mail" : result._tag === "Failed" ? "undecodable" : "stored"
  if (counts.appended === 0) return "duplicate"
  if (counts.unknown === told) return "unknown_type"
  return counts.orphans > 0 ? "orphan" : "stored"
}

const receipt = (webhookId: Inbox.WebhookId, outcome: Receipt["outcome"], counts: Processed.Counts): Receipt => ({
  webhookId,
  outcome,
  counts
})

/** The headers that normalizing a body again needs, as far as every inbox can store them. */
const kept = (provider: Pick<Row.Row, "headers">, headers: Webhook.Request["headers"]): Webhook.Request["headers"] =>
  Object.fromEntries(
    provider.headers.flatMap((name) => {
      const value = headers[name]
      return value !== undefined && Text.isStorable(value) ? [[name, value] as const] : []
    })
  )

const tellGivenUp = ({ provider, tenantId }: Inbox.Webhook) =>
  Effect.logError("webhook given up").pipe(Attributes.annotateLogs({ tenant_id: tenantId, provider }))

const make = Effect.fnUntraced(function*({ keepDetails }: { readonly keepDetails: boolean }) {
  const inbox = yield* Inbox.Inbox
  const ledger = yield* Ledger.Ledger
  const providers = yield* Providers
  const { draft, readAlone } = Reading.make(ledger, yield* Secrets, { batchSize, keepDetails })
  const scope = yield* Effect.scope
  /** How many webhooks have come in. */
  let received = 0

  /** Notes how a try ended; where even that cannot be noted, a sweep finds the webhook stalled. */
  const note = (key: Inbox.WebhookKey, result: Inbox.Ending) =>
    Effect.catchCause(inbox.finish(key, result), () => Effect.void)

  /** Tells of the end of a try: that a body is not understood once for each webhook, and not again at each of its tries. */
  const tell = Effect.fnUntraced(function*(webhook: Inbox.Webhook, { misread, result }: Reading.Reading, isNew = true) {
    if (Option.isSome(misread) && webhook.attempts === 1 && isNew) yield* Refusals.tellMisread(misread.value, webhook)
    if (result._tag === "Dead") yield* tellGivenUp(webhook)
  })

  const process = Effect.fnUntraced(function*(webhook: Inbox.Webhook, told?: Reading.Told, isNew = true) {
    const tried = yield* readAlone(providers.get(webhook.provider), webhook, told)
    const result = InboxRow.giveUp(tried.result, webhook.attempts)
    yield* note(webhook, result)
    // A caller that is told of each event says itself what is not understood.
    yield* tell(webhook, { ...tried, result }, isNew && told === undefined)
    return { ...tried, result }
  })

  const detached = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkIn(effect, scope, { startImmediately: true })

  /** Processes a stored webhook again, its tries forgotten. */
  const again = Effect.fnUntraced(function*(scope: Tenant.Scope, id: Inbox.WebhookId, told?: Reading.Told) {
    return yield* Effect.uninterruptible(Effect.gen(function*() {
      const [webhook] = yield* inbox.reclaim(scope, [id])
      return webhook === undefined
        ? yield* new Inbox.WebhookNotFound({ webhookId: id })
        : yield* process(webhook, told, false)
    }))
  })

  /** Stores a webhook and begins to process it; one that is repeated is not processed again. */
  const take = Effect.fnUntraced(function*(webhook: VerifiedWebhook, told?: Reading.Told) {
    const { body, provider, tenantId, token } = webhook
    received++
    const headers = kept(provider, webhook.headers)
    const stored = yield* Effect.timeoutOrElse(
      inbox.store({ tenantId, provider: provider.name, headers, body, token }),
      {
        duration: storeWithin,
        orElse: () => Effect.fail(new LedgerError.LedgerUnavailable({ reason: "timeout", cause: undefined }))
      }
    )
    if (stored._tag === "Repeated") return { id: stored.id, processing: Option.none() }
    const processing = yield* detached(process({
      id: stored.id,
      tenantId,
      provider: provider.name,
      headers,
      body,
      status: "processing",
      attempts: 1,
      lastError: Option.none(),
      receivedAt: stored.receivedAt,
      processedAt: Option.none()
    }, told))
    return { id: stored.id, processing: Option.some(processing) }
  })

  const receive = Effect.fn("Ingestion.receive")(function*(webhook: VerifiedWebhook) {
    const { id, processing } = yield* Effect.flatMap(detached(take(webhook)), Fiber.join)
    if (Option.isNone(processing)) return receipt(id, "duplicate", Reading.nothing)
    const processed = yield* Effect.timeoutOption(Fiber.join(processing.value), awaitedFor)
    return Option.isSome(processed)
      ? receipt(id, outcomeOf(processed.value), processed.value.counts)
      : receipt(id, "stored", Reading.nothing)
  })

  const ingest = Effect.fn("Ingestion.ingest")(function*(webhook: VerifiedWebhook) {
    const events: Array<Ingested> = []
    const told: Reading.Told = (event, outcome) => void events.push({ event, outcome })
    const { id, processing } = yield* Effect.flatMap(detached(take(webhook, told)), Fiber.join)
    const tried = Option.isSome(processing)
      ? yield* Fiber.join(processing.value)
      : yield* again(webhook.tenantId, id, told)
    if (Option.isSome(tried.malformed)) return yield* tried.malformed.value
    const { counts, isComplete, result } = tried
    return { ...receipt(id, outcomeOf(tried), counts), result, events, isComplete }
  })

  const giveUp = Effect.fnUntraced(function*(webhook: Inbox.Webhook) {
    const result: Inbox.Ending = {
      _tag: "Dead",
      reason: `processing was begun ${webhook.attempts - 1} times and never ended`
    }
    yield* note(webhook, result)
    yield* tellGivenUp(webhook)
    return { result, counts: Reading.nothing }
  })

  const { replayAll, sweep } = Drain.make({
    inbox,
    batchSize,
    stalledFor: defaultStalledFor,
    received: () => received,
    draft: (webhook) => draft(providers.get(webhook.provider), webhook),
    alone: (webhook, isNew) =>
      webhook.attempts > InboxRow.maxTries ? giveUp(webhook) : process(webhook, undefined, isNew),
    tell
  })

  const replay = Effect.fn("Ingestion.replay")(function*(scope: Tenant.Scope, id: Inbox.WebhookId) {
    const { counts, result } = yield* again(scope, id)
    return { result, counts }
  })

  return Ingestion.of({ receive, ingest, sweep, replay, replayAll })
})

/**
 * Takes webhooks into an inbox and a ledger as `layer` does, with or without what the providers say in words.
 *
 * @category layers
 * @since 0.2.0
 */
export const layerWith = (options: {
  /** Whether the ledger is given the details of events; where not, they stay in the raw webhook alone. */
  readonly keepDetails: boolean
}): Layer.Layer<Ingestion, never, Inbox.Inbox | Ledger.Ledger | Providers | Secrets> =>
  Layer.effect(Ingestion, make(options))

/**
 * Takes webhooks into an inbox and a ledger, reading them by the rows of `Providers`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Ingestion, never, Inbox.Inbox | Ledger.Ledger | Providers | Secrets> = layerWith({
  keepDetails: true
})
