/**
 * Gives what a tenant's webhooks are verified with, so that tenants with secrets of their own cannot write into each other.
 *
 * @since 0.1.0
 */
import { type Provider, Tenant } from "@waybill/core"
import { Config, Context, Effect, Layer, Option, Redacted, Schema } from "effect"
import { ProviderTable } from "./ProviderTable.ts"

/**
 * What a tenant's webhooks of one provider are verified with.
 *
 * @category models
 * @since 0.1.0
 */
export interface Credentials {
  /** All that are active: during a rotation the old one and the new one. None says that the provider is not set up. */
  readonly secrets: ReadonlyArray<Redacted.Redacted>
  /** Whether a subscription that Amazon SNS offers for a listed topic is confirmed. */
  readonly confirmSubscriptions: boolean
}

/**
 * The secrets of one tenant.
 *
 * @category models
 * @since 0.1.0
 */
export interface TenantSecrets {
  /** By the provider's name; for Amazon SES the ARNs of the topics that count. */
  readonly secrets: Readonly<Record<string, ReadonlyArray<Redacted.Redacted>>>
  /** Whether a subscription that Amazon SNS offers for a listed topic is confirmed; it is not where nothing is said. */
  readonly confirmSubscriptions?: boolean | undefined
}

/**
 * The secrets cannot be looked up now; a later attempt may succeed.
 *
 * @category errors
 * @since 0.1.0
 */
export class SecretsUnavailable extends Schema.TaggedError<SecretsUnavailable>("@waybill/webhooks/SecretsUnavailable")(
  "SecretsUnavailable",
  { cause: Schema.Defect() }
) {
  override get message(): string {
    return "the secrets of webhooks cannot be looked up"
  }
}

/**
 * The secrets of one installation.
 *
 * @category services
 * @since 0.1.0
 */
export class Secrets extends Context.Service<Secrets, {
  /** Gives what a tenant's webhooks of a provider are verified with; none where there is no such tenant. */
  readonly lookup: (
    tenantId: Tenant.TenantId,
    provider: Provider.Provider
  ) => Effect.Effect<Option.Option<Credentials>, SecretsUnavailable>
}>()("@waybill/webhooks/Secrets") {}

const ofTenants = (tenants: Readonly<Record<string, TenantSecrets>>): Secrets["Service"] => {
  const byTenant = new Map(
    Object.entries(tenants).map(([tenantId, { confirmSubscriptions = false, secrets }]) => [
      tenantId,
      { confirmSubscriptions, secrets: new Map(Object.entries(secrets)) }
    ])
  )
  return Secrets.of({
    lookup: (tenantId, provider) =>
      Effect.succeed(
        Option.map(Option.fromUndefinedOr(byTenant.get(tenantId)), ({ confirmSubscriptions, secrets }) => ({
          secrets: secrets.get(provider) ?? [],
          confirmSubscriptions
        }))
      )
  })
}

/**
 * The secrets of several tenants, by their ids.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (tenants: Readonly<Record<string, TenantSecrets>>): Layer.Layer<Secrets> =>
  Layer.succeed(Secrets, ofTenants(tenants))

/** Several secrets are separated by commas; one with a comma in it needs `layer`. */
const secretsOf = (variable: string) =>
  Effect.map(
    Config.Redacted(variable).pipe(Config.withDefault(Redacted.make(""))),
    (text) =>
      Redacted.value(text).split(",").map((secret) => secret.trim()).filter((secret) => secret !== "").map((secret) =>
        Redacted.make(secret)
      )
  )

/**
 * The secrets of one tenant from the environment: each provider's variable, such as `WAYBILL_POSTMARK_BASIC_AUTH`, may hold
 * several, separated by commas. `WAYBILL_SES_CONFIRM_SUBSCRIPTIONS` opts in to confirming subscriptions of Amazon SNS.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  tenantId: Tenant.TenantId = Tenant.defaultTenantId
): Layer.Layer<Secrets, Config.ConfigError> =>
  Layer.effect(
    Secrets,
    Effect.gen(function*() {
      const providers = yield* ProviderTable
      const confirmSubscriptions = yield* Config.Boolean("WAYBILL_SES_CONFIRM_SUBSCRIPTIONS").pipe(
        Config.withDefault(false)
      )
      const secrets = yield* Effect.forEach(
        providers,
        ({ name, secretsVariable }) => Effect.map(secretsOf(secretsVariable), (secrets) => [name, secrets] as const)
      )
      return ofTenants({ [tenantId]: { secrets: Object.fromEntries(secrets), confirmSubscriptions } })
    })
  )
