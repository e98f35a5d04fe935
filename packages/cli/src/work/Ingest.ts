/**
 * Takes one webhook from raw bytes to events in the ledger, as the HTTP edge does: verified, stored raw, normalized, appended.
 *
 * Whatever is refused is refused before the database is opened.
 *
 * @since 0.1.0
 */
import { type Event, Inbox, Ledger, Tenant } from "@waybill/core"
import * as Ingestion from "@waybill/webhooks/Ingestion"
import * as Providers from "@waybill/webhooks/Providers"
import * as SnsCertificates from "@waybill/webhooks/SnsCertificates"
import type * as Webhook from "@waybill/webhooks/Webhook"
import { Effect, Layer, Option, Schema } from "effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Credentials from "../config/Credentials.ts"
import * as Setting from "../config/Setting.ts"
import * as Store from "../store/Store.ts"
import * as Edge from "./Edge.ts"

/**
 * There is no provider of that name.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnknownProvider extends Schema.TaggedError<UnknownProvider>("waybill/UnknownProvider")("UnknownProvider", {
  name: Schema.String
}) {
  override get message(): string {
    return `unknown provider ${this.name}: must be one of ${Providers.all.map(({ name }) => name).join(", ")}`
  }
}

/**
 * A webhook is stored, and not all of its events are in the ledger.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotAppended extends Schema.TaggedError<NotAppended>("waybill/NotAppended")("NotAppended", {
  webhookId: Inbox.WebhookId,
  reason: Schema.String
}) {
  override get message(): string {
    return `kept as webhook ${this.webhookId}, but not all of it is in the ledger: ${this.reason}`
  }
}

/**
 * What became of one event of a webhook.
 *
 * @category models
 * @since 0.1.0
 */
export type Ingested = {
  readonly id: string
  readonly type: string
  readonly outcome: "appended" | "duplicate" | "conflict"
  readonly deliveryId: string | null
  readonly orphan: boolean
}

/**
 * The provider of a name.
 *
 * @category getters
 * @since 0.1.0
 */
export const providerOf = (name: string): Effect.Effect<Webhook.Provider, UnknownProvider> =>
  Effect.mapError(Effect.fromOption(Providers.get(name)), () => new UnknownProvider({ name }))

/**
 * The secrets that a provider's webhooks of a tenant are verified with, and whose they are: its own, or else those of the
 * tenant `default`.
 *
 * @category getters
 * @since 0.1.0
 */
export const secretsOf = Effect.fnUntraced(function*(provider: Webhook.Provider, tenantId: Tenant.TenantId) {
  const credentials = new Map(Object.entries(yield* Credentials.credentials))
  const owner = credentials.has(tenantId) ? tenantId : Tenant.defaultTenantId
  const [first, ...others] = credentials.get(owner)?.secrets[provider.name] ?? []
  return first === undefined
    ? yield* new Setting.BadSetting({
      name: provider.secretsVariable,
      issue: "is not set, so that no webhook can be verified"
    })
    : { owner, secrets: [first, ...others] as const }
})

const verify = Effect.fnUntraced(function*(
  provider: Webhook.Provider,
  tenantId: Tenant.TenantId,
  received: Webhook.Received
) {
  const { owner, secrets } = yield* secretsOf(provider, tenantId)
  const { token } = yield* provider.verify({ ...received, secrets }).pipe(
    Effect.catchIf(
      (error) => error._tag === "VerificationError" && error.reason === "MisconfiguredSecret",
      () => new Setting.BadSetting({ name: provider.secretsVariable, issue: "holds a secret that cannot be used" })
    ),
    Effect.provide(Layer.provide(SnsCertificates.layer, FetchHttpClient.layer))
  )
  return Option.map(token, (value): Inbox.Token => ({ value, verifiedBy: owner }))
})

const describe = (event: Event.NewEvent, outcome: Ledger.Outcome): Ingested => {
  if (Ledger.isConflict(outcome)) {
    return { id: outcome.storedEventId, type: event.type, outcome: "conflict", deliveryId: null, orphan: false }
  }
  return {
    id: outcome.eventId,
    type: event.type,
    outcome: outcome._tag === "Appended" ? "appended" : "duplicate",
    deliveryId: Option.getOrNull(outcome.deliveryId),
    orphan: Option.isNone(outcome.deliveryId)
  }
}

/** The outcomes of appending, by idempotency key and in their order. */
type Outcomes = Map<string, Array<Ledger.Outcome>>

/** Notes every outcome of the ledger it wraps. */
const noting = (outcomes: Outcomes): Layer.Layer<Ledger.Ledger, never, Ledger.Ledger> =>
  Layer.effect(
    Ledger.Ledger,
    Effect.map(Ledger.Ledger, (inner) =>
      Ledger.Ledger.of({
        ...inner,
        append: (tenantId, events) =>
          Effect.tap(inner.append(tenantId, events), (given) =>
            Effect.sync(() => {
              for (const [index, outcome] of given.entries()) {
                const key = events[index]?.idempotencyKey ?? ""
                outcomes.set(key, [...outcomes.get(key) ?? [], outcome])
              }
            }))
      }))
  )

const isComplete = (events: ReadonlyArray<Event.NewEvent>, outcomes: Outcomes): boolean =>
  events.every(({ idempotencyKey }) => outcomes.has(idempotencyKey))

const take = Effect.fnUntraced(
  function*(webhook: Ingestion.VerifiedWebhook, received: Webhook.Received, noted: Outcomes) {
    const ingestion = yield* Ingestion.Ingestion
    const inbox = yield* Inbox.Inbox
    const { webhookId } = yield* ingestion.receive(webhook)
    const { events, ignored, undecodable } = yield* Effect.fromResult(webhook.provider.normalize(received))
    // One that came before, or that took long, is processed to its end.
    if (!isComplete(events, noted)) yield* ingestion.replay(webhook.tenantId, webhookId)
    if (!isComplete(events, noted)) {
      const stored = yield* inbox.get(webhook.tenantId, webhookId)
      const reason = Option.getOrElse(
        Option.flatMap(stored, ({ lastError }) => lastError),
        () => "it is being processed"
      )
      return yield* new NotAppended({ webhookId, reason })
    }
    if (undecodable.length > 0) {
      yield* Effect.logWarning("some items were not understood").pipe(
        Effect.annotateLogs({ count: undecodable.length, webhook: webhookId })
      )
    }
    return {
      events: events.flatMap((event) => {
        const outcome = noted.get(event.idempotencyKey)?.shift()
        return outcome === undefined ? [] : [describe(event, outcome)]
      }),
      ignored: ignored.length
    }
  }
)

/**
 * Ingests one webhook of a provider; without `verified` its signature is not looked at, and one that cannot be read is not
 * kept.
 *
 * @category ingestion
 * @since 0.1.0
 */
export const ingest = Effect.fn("Ingest.ingest")(function*(
  name: string,
  tenantId: Tenant.TenantId,
  received: Webhook.Received,
  verified: boolean
) {
  const provider = yield* providerOf(name)
  if (!verified) yield* Effect.fromResult(provider.normalize(received))
  const token = verified ? yield* verify(provider, tenantId, received) : Option.none()
  const noted: Outcomes = new Map()
  return yield* Effect.provide(
    take({ ...received, provider, tenantId, token }, received, noted),
    Edge.layer.pipe(Layer.provide(noting(noted)), Layer.provideMerge(Store.layer))
  )
})
