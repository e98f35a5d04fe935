/**
 * Composes the services that take webhooks in, with the secrets of the settings.
 *
 * @since 0.1.0
 */
import type { Inbox, Ledger } from "@waybill/core"
import * as Ingestion from "@waybill/webhooks/Ingestion"
import * as Intake from "@waybill/webhooks/Intake"
import * as Providers from "@waybill/webhooks/Providers"
import * as Secrets from "@waybill/webhooks/Secrets"
import { type Config, Effect, Layer } from "effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Credentials from "../config/Credentials.ts"
import * as Setting from "../config/Setting.ts"
import * as Settings from "../config/Settings.ts"

/**
 * The secrets of the settings.
 *
 * @category layers
 * @since 0.2.0
 */
export const secrets: Layer.Layer<Secrets.Secrets, Setting.BadSetting | Config.ConfigError> = Layer.unwrap(
  Effect.map(Credentials.credentials, Secrets.layer)
)

/**
 * The services that decide whether a webhook comes in; they need no database.
 *
 * @category models
 * @since 0.2.0
 */
export type Door = Intake.Intake | Providers.Providers | Secrets.Secrets

/**
 * Decides whether a webhook comes in.
 *
 * @category layers
 * @since 0.2.0
 */
export const door: Layer.Layer<Door, Setting.BadSetting | Config.ConfigError> = Intake.layer.pipe(
  Layer.provideMerge(secrets),
  Layer.merge(Providers.layer),
  Layer.provide(FetchHttpClient.layer)
)

/**
 * The services that take webhooks in.
 *
 * @category models
 * @since 0.1.0
 */
export type Edge = Door | Ingestion.Ingestion

/**
 * Takes webhooks into an inbox and a ledger, with the details of their events unless none are kept.
 *
 * @category layers
 * @since 0.2.0
 */
export const ingestion: Layer.Layer<
  Ingestion.Ingestion,
  Setting.BadSetting | Config.ConfigError,
  Inbox.Inbox | Ledger.Ledger | Providers.Providers | Secrets.Secrets
> = Layer.unwrap(
  Effect.map(
    Setting.read(Settings.keepDetailsDays),
    (days) => Ingestion.layerWith({ keepDetails: days !== "none" })
  )
)

/**
 * Takes webhooks into an inbox and a ledger.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Edge, Setting.BadSetting | Config.ConfigError, Inbox.Inbox | Ledger.Ledger> = ingestion
  .pipe(Layer.provideMerge(door))
