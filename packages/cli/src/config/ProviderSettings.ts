/**
 * Names the settings of each tenant, by which the webhooks of its providers are verified; they follow from the providers'
 * rows. The environment and the configuration file say them for the tenant `default`, the configuration file for further
 * tenants.
 *
 * @since 0.2.0
 */
import * as Providers from "@waybill/webhooks/Providers"
import * as Row from "@waybill/webhooks/Row"
import type { Redacted } from "effect"
import * as Kind from "./Kind.ts"
import type { Setting } from "./Setting.ts"

/**
 * The secrets of the schemes of some providers, by the keys that `Secrets` has them under.
 *
 * @category constructors
 * @since 0.2.0
 */
export const secretsOf = (
  rows: ReadonlyArray<Row.Row>
): Readonly<Record<string, Setting<ReadonlyArray<Redacted.Redacted>>>> =>
  Object.fromEntries(rows.flatMap((row) =>
    row.schemes.map((scheme) => {
      const { about, isPublic, variable } = scheme.secrets
      return [Row.keyOf(row, scheme), Kind.secrets(variable, about, isPublic === true)]
    })
  ))

/**
 * The secrets that the webhooks of every provider are verified with, by the keys that `Secrets` has them under.
 *
 * @category settings
 * @since 0.1.0
 */
export const secrets = secretsOf(Providers.all)

/**
 * What else the providers can be told, by the names that their rows give it.
 *
 * @category settings
 * @since 0.2.0
 */
export const switches: Readonly<Record<string, Setting<boolean>>> = Object.fromEntries(
  Providers.all.flatMap(({ switches = [] }) => switches).map((
    { about, name, variable }
  ) => [name, Kind.isTrue(variable, about)])
)

/**
 * Every setting of a tenant, in the order in which they are shown.
 *
 * @category settings
 * @since 0.2.0
 */
export const all: ReadonlyArray<Setting<unknown>> = [...Object.values(secrets), ...Object.values(switches)]
