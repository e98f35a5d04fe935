/**
 * Reads the secrets that webhooks are verified with, of every tenant.
 *
 * @since 0.2.0
 */
import { Tenant } from "@waybill/core"
import { type Config, Effect, Option, Record, type Redacted } from "effect"
import * as ConfigFile from "./ConfigFile.ts"
import * as ProviderSettings from "./ProviderSettings.ts"
import * as Setting from "./Setting.ts"

/**
 * The secrets that each tenant's webhooks are verified with, by the tenant's id and the provider's name.
 *
 * @category models
 * @since 0.1.0
 */
export type Credentials = ReadonlyMap<string, {
  readonly secrets: Readonly<Record<string, ReadonlyArray<Redacted.Redacted>>>
  readonly switches: Readonly<Record<string, boolean>>
}>

const readBy = <E>(readOne: <A>(setting: Setting.Setting<A>) => Effect.Effect<A, E>) =>
  Effect.all({
    secrets: Effect.all(Record.map(ProviderSettings.secrets, readOne)),
    switches: Effect.all(Record.map(ProviderSettings.switches, readOne))
  })

/**
 * Reads the secrets: those of the tenant `default` from the settings, those of others from the configuration file.
 *
 * @category reading
 * @since 0.1.0
 */
export const credentials: Effect.Effect<Credentials, Setting.BadSetting | Config.ConfigError> = Effect.gen(
  function*() {
    const file = yield* ConfigFile.InUse
    const own = [Tenant.defaultTenantId, yield* readBy(Setting.read)] as const
    if (Option.isNone(file)) return new Map([own])
    const others = yield* Effect.forEach(
      file.value.tenants,
      ([tenantId, values]) =>
        Effect.map(
          readBy((setting) => Setting.readIn(setting, values, `tenants.${tenantId}.`)),
          (read) => [tenantId, read] as const
        )
    )
    return new Map([own, ...others])
  }
)
