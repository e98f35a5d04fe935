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
import type * as Setting from "../config/Setting.ts"

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
 * Takes webhooks into an inbox and a ledger.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Edge, Setting.BadSetting | Config.ConfigError, Inbox.Inbox | Ledger.Ledger> = Ingestion
  .layer.pipe(Layer.provideMerge(door))
