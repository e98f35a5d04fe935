/**
 * Takes one webhook from raw bytes to events in the ledger, through the same intake and ingestion as the HTTP edge.
 *
 * A webhook that is refused is refused before the database is opened.
 *
 * @since 0.1.0
 */
import { Inbox, Ledger, Tenant } from "@waybill/core"
import * as Ingestion from "@waybill/webhooks/Ingestion"
import * as Intake from "@waybill/webhooks/Intake"
import * as Providers from "@waybill/webhooks/Providers"
import * as Row from "@waybill/webhooks/Row"
import * as Secrets from "@waybill/webhooks/Secrets"
import type * as Webhook from "@waybill/webhooks/Webhook"
import { Effect, Layer, Option, Schema } from "effect"
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
 * A webhook is stored, and not all of it was dealt with: an event is not in the ledger, or what the provider asked for beside its
 * events failed.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotAppended extends Schema.TaggedError<NotAppended>("waybill/NotAppended")("NotAppended", {
  webhookId: Inbox.WebhookId,
  reason: Schema.String
}) {
  override get message(): string {
    return `kept as webhook ${this.webhookId}, but not all of it was dealt with: ${this.reason}`
  }
}

/**
 * An event of a webhook, and what became of it.
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
export const providerOf = (name: string): Effect.Effect<Row.Row, UnknownProvider> =>
  Effect.mapError(Effect.fromOption(Providers.get(name)), () => new UnknownProvider({ name }))

/**
 * The tenant whose secrets verify the webhooks of a tenant: itself, or else the tenant `default`.
 *
 * @category getters
 * @since 0.2.0
 */
export const ownerOf = Effect.fnUntraced(function*({ name }: Row.Row, tenantId: Tenant.TenantId) {
  const secrets = yield* Secrets.Secrets
  return Option.isSome(yield* secrets.lookup(tenantId, name)) ? tenantId : Tenant.defaultTenantId
})

const variablesOf = (schemes: ReadonlyArray<Row.Row["schemes"][number]>): string =>
  schemes.map(({ secrets: { variable } }) => variable).join(" or ")

/**
 * A setting that has no secret.
 *
 * @category errors
 * @since 0.2.0
 */
export const noSecret = ({ schemes }: Row.Row): Setting.BadSetting =>
  new Setting.BadSetting({ name: variablesOf(schemes), issue: "is not set, so that no webhook can be verified" })

/** The schemes of a provider for which a tenant has secrets. */
const schemesOf = Effect.fnUntraced(function*(row: Row.Row, tenantId: Tenant.TenantId) {
  const secrets = yield* Secrets.Secrets
  const credentials = yield* secrets.lookup(tenantId, row.name)
  return Option.match(credentials, { onNone: () => row.schemes, onSome: (own) => Row.standing(row, own).used })
})

/** Verifies a webhook; returns the token that is consumed with it. */
const verify = Effect.fnUntraced(function*(row: Row.Row, tenantId: Tenant.TenantId, received: Webhook.Received) {
  const intake = yield* Intake.Intake
  const providers = yield* Providers.Providers
  const provider = yield* Effect.mapError(
    Effect.fromOption(providers.get(row.name)),
    () => new UnknownProvider({ name: row.name })
  )
  const owner = yield* ownerOf(row, tenantId)
  const { token } = yield* intake.verify(provider, owner, Effect.succeed(received)).pipe(
    Effect.catchTag("NoSecret", () => noSecret(row)),
    Effect.catchIf(
      (error) => error._tag === "VerificationError" && error.reason === "MisconfiguredSecret",
      () =>
        Effect.flatMap(
          schemesOf(row, owner),
          (schemes) =>
            new Setting.BadSetting({ name: variablesOf(schemes), issue: "holds a secret that cannot be used" })
        )
    )
  )
  return token
})

const describe = ({ event, outcome }: Ingestion.Ingested): Ingested => {
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

const take = Effect.fnUntraced(function*(webhook: Ingestion.VerifiedWebhook) {
  const ingestion = yield* Ingestion.Ingestion
  const { counts, events, isComplete, result, webhookId } = yield* ingestion.ingest(webhook)
  if (!isComplete) {
    return yield* new NotAppended({ webhookId, reason: "reason" in result ? result.reason : "it is being processed" })
  }
  if (counts.undecodable > 0) {
    yield* Effect.logWarning("some items were not understood").pipe(
      Effect.annotateLogs({ count: counts.undecodable, webhook: webhookId })
    )
  }
  return { events: events.map(describe), ignored: counts.ignored }
})

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
  if (!verified) yield* Row.read(provider, received)
  return yield* Effect.gen(function*() {
    const isProven = verified && provider.isPiped !== true
    const token = isProven ? yield* verify(provider, tenantId, received) : Option.none()
    return yield* Effect.provide(
      take({ ...received, provider, tenantId, token }),
      Layer.provideMerge(Edge.ingestion, Store.layer)
    )
  }).pipe(Effect.provide(Edge.door))
})
