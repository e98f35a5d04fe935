/**
 * Says how the webhooks of each provider are verified, from the provider's row and the settings of each tenant.
 *
 * @since 0.2.0
 */
import { Tenant } from "@waybill/core"
import type * as Credentials from "@waybill/webhooks/Credentials"
import * as Providers from "@waybill/webhooks/Providers"
import * as Row from "@waybill/webhooks/Row"
import * as Secrets from "@waybill/webhooks/Secrets"
import { Effect, Option } from "effect"
import * as Configured from "../config/Credentials.ts"
import * as Edge from "./Edge.ts"

/**
 * How the webhooks of a provider are verified for a tenant.
 *
 * @category models
 * @since 0.2.0
 */
export interface Verification {
  readonly provider: string
  readonly found: string
  /** A stronger way, where there is one; else empty. */
  readonly advice: string
}

const proofs = { signature: "a signature", secret: "a secret that every request carries" } as const

/**
 * How the webhooks of a provider are verified; none where it is not set up.
 *
 * @category getters
 * @since 0.2.0
 */
export const of = (row: Row.Row, credentials: Credentials.Credentials): Option.Option<Verification> => {
  const { stronger, used } = Row.standing(row, credentials)
  if (used.length === 0) return Option.none()
  return Option.some({
    provider: row.name,
    found: `verified by ${used.map(({ proof, secrets }) => `${proofs[proof]} (${secrets.variable})`).join(" and ")}`,
    advice: Option.match(stronger, {
      onNone: () => "",
      onSome: ({ secrets }) => `weaker than its signature, which nobody else can make: set ${secrets.variable}`
    })
  })
}

/**
 * How the webhooks of all providers that are set up are verified, of every tenant.
 *
 * @category getters
 * @since 0.2.0
 */
export const all = Effect.gen(function*() {
  const secrets = yield* Secrets.Secrets
  const tenants = [...(yield* Configured.credentials).keys()]
  const pairs = tenants.flatMap((tenantId) =>
    Providers.all.map((row) => [Tenant.TenantId.make(tenantId), row] as const)
  )
  const found = yield* Effect.forEach(
    pairs,
    ([tenantId, row]) =>
      Effect.map(secrets.lookup(tenantId, row.name), (credentials) =>
        Option.map(
          Option.flatMap(credentials, (each) => of(row, each)),
          (verification) => ({ tenantId, ...verification })
        ))
  )
  return found.flatMap(Option.toArray)
}).pipe(Effect.provide(Edge.secrets))
