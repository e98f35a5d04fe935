/**
 * Names the settings of each tenant, by which the webhooks of its providers are verified; they follow from the providers'
 * rows. The environment and the configuration file say them for the tenant `default`, the configuration file for further
 * tenants.
 *
 * @since 0.2.0
 */
import * as Providers from "@waybill/webhooks/Providers"
import type { Redacted } from "effect"
import * as Kind from "./Kind.ts"
import type { Setting } from "./Setting.ts"

/**
 * The secrets that the webhooks of each provider are verified with, by the provider's name.
 *
 * @category settings
 * @since 0.1.0
 */
export const secrets: Readonly<Record<string, Setting<ReadonlyArray<Redacted.Redacted>>>> = Object.fromEntries(
  Providers.all.map(({ name, secrets: { about, isPublic, variable } }) => [
    name,
    Kind.secrets(variable, about, isPublic === true)
  ])
)

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
