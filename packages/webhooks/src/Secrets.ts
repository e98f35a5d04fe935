/**
 * Looks up what a tenant's webhooks are verified with, so that tenants with secrets of their own cannot write into each
 * other.
 *
 * @since 0.1.0
 */
import { type Provider, Tenant } from "@waybill/core"
import { Config, Context, Effect, Layer, Option, Redacted } from "effect"
import type { Credentials, SecretsUnavailable } from "./Credentials.ts"
import * as Providers from "./Providers.ts"
import * as Row from "./Row.ts"

/**
 * The secrets of one tenant.
 *
 * @category models
 * @since 0.1.0
 */
export interface TenantSecrets {
  /**
   * By the provider's name; for Amazon SES the ARNs of the topics that count. Those of a further scheme of a provider by both
   * names, such as `sendgrid.basicAuth`.
   */
  readonly secrets: Readonly<Record<string, ReadonlyArray<Redacted.Redacted>>>
  /** By the names that the providers' rows give them; each is off by default. */
  readonly switches?: Readonly<Record<string, boolean>> | undefined
}

/**
 * The secrets of one installation.
 *
 * @category services
 * @since 0.1.0
 */
export class Secrets extends Context.Service<Secrets, {
  /** Returns what a tenant's webhooks of a provider are verified with; none where there is no such tenant. */
  readonly lookup: (
    tenantId: Tenant.TenantId,
    provider: Provider.Provider
  ) => Effect.Effect<Option.Option<Credentials>, SecretsUnavailable>
}>()("@waybill/webhooks/Secrets") {}

/** Those of a provider's further schemes, by the names of the schemes. */
const further = (provider: string, secrets: ReadonlyMap<string, ReadonlyArray<Redacted.Redacted>>) =>
  new Map([...secrets].flatMap(([key, all]) => {
    const prefix = `${provider}.`
    return key.startsWith(prefix) ? [[key.slice(prefix.length), all] as const] : []
  }))

/** Maps, since a tenant may be called as what every object has: `__proto__`, `constructor`. */
const ofTenants = (tenants: Iterable<readonly [string, TenantSecrets]>): Secrets["Service"] => {
  const byTenant = new Map(
    Array.from(tenants, ([tenantId, { secrets, switches = {} }]) => [
      tenantId,
      {
        secrets: new Map(Object.entries(secrets)),
        switches: new Set(Object.entries(switches).flatMap(([name, isOn]) => isOn ? [name] : []))
      }
    ])
  )
  return Secrets.of({
    lookup: (tenantId, provider) =>
      Effect.succeed(
        Option.map(Option.fromUndefinedOr(byTenant.get(tenantId)), ({ secrets, switches }) => ({
          secrets: secrets.get(provider) ?? [],
          furtherSecrets: further(provider, secrets),
          switches
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
export const layer = (
  tenants: Readonly<Record<string, TenantSecrets>> | ReadonlyMap<string, TenantSecrets>
): Layer.Layer<Secrets> => Layer.succeed(Secrets, ofTenants(tenants instanceof Map ? tenants : Object.entries(tenants)))

/** The first or last line of a public key in PEM, with the line breaks at it; some spell them out, as `\n`. */
const armour = /(?:\s|\\[rn])*-----(?:BEGIN|END) PUBLIC KEY-----(?:\s|\\[rn])*/g

/** The base64 of a public key, of an elliptic curve or of RSA, which may be broken into lines. */
const publicKey =
  /\bM[A-Za-z0-9+/]{4,7}YHKoZIzj0C(?:[A-Za-z0-9+/\s]|\\[rn])*?={1,2}|\bMI[A-Za-z0-9+/]{2,6}(?:ANBgkqhkiG9w0BAQ|MA0GCSqGSIb3DQEB)(?:[A-Za-z0-9+/\s]|\\[rn])*?(?:A\s*Q\s*A\s*B\b|={1,2})/g

const lineBreak = /\s|\\[rn]/g

/** Ends each secret of a list; no text that is typed holds it. */
const end = "\u001e"

/**
 * Reads the secrets of a setting: one, or several separated by commas. A text of several lines has one in each line, which may
 * then hold commas; a public key in PEM, or one that is broken into lines, is one secret. White space and empty lines around
 * the whole say nothing.
 *
 * @category parsing
 * @since 0.2.0
 */
export const parse = (text: string): ReadonlyArray<string> => {
  const joined = text.replace(armour, "\n").replace(publicKey, (key) => key.replace(lineBreak, ""))
  const trimmed = joined.replaceAll(end, "\n").trim()
  return trimmed.split(text.includes(end) || /[\r\n]/.test(trimmed) ? /[\r\n]+/ : ",")
    .map((part) => part.trim())
    .filter((part) => part !== "")
}

/**
 * Writes several secrets as the text of one setting, as `parse` reads it: each may hold commas, even where there is one alone.
 *
 * @category parsing
 * @since 0.2.0
 */
export const list = (secrets: ReadonlyArray<string>): string => secrets.map((secret) => `${secret}${end}`).join("")

const secretsIn = (variable: string) =>
  Effect.map(
    Config.Redacted(variable).pipe(Config.withDefault(Redacted.make(""))),
    (text) => parse(Redacted.value(text)).map((secret) => Redacted.make(secret))
  )

/**
 * The secrets of one tenant from the environment: each provider's variable, such as `WAYBILL_POSTMARK_BASIC_AUTH`, may hold
 * several, separated by commas. Its switches, such as `WAYBILL_SES_CONFIRM_SUBSCRIPTIONS`, are `true` or `false`.
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
      const rows = yield* Providers.Table
      const switches = yield* Effect.forEach(
        rows.flatMap(({ switches = [] }) => switches),
        ({ name, variable }) =>
          Effect.map(Config.Boolean(variable).pipe(Config.withDefault(false)), (isOn) => [name, isOn] as const)
      )
      const secrets = yield* Effect.forEach(
        rows.flatMap((row) => row.schemes.map((scheme) => [Row.keyOf(row, scheme), scheme.secrets.variable] as const)),
        ([key, variable]) => Effect.map(secretsIn(variable), (secrets) => [key, secrets] as const)
      )
      return ofTenants([
        [tenantId, { secrets: Object.fromEntries(secrets), switches: Object.fromEntries(switches) }]
      ])
    })
  )
