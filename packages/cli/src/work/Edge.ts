/**
 * Composes what takes webhooks in, with the secrets of the settings.
 *
 * @since 0.1.0
 */
import type { Inbox, Ledger } from "@waybill/core"
import * as Ingestion from "@waybill/webhooks/Ingestion"
import * as Secrets from "@waybill/webhooks/Secrets"
import * as SnsCertificates from "@waybill/webhooks/SnsCertificates"
import * as SnsSubscriptions from "@waybill/webhooks/SnsSubscriptions"
import { type Config, Effect, Layer } from "effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Credentials from "../config/Credentials.ts"
import type * as Setting from "../config/Setting.ts"

/**
 * What takes webhooks in.
 *
 * @category models
 * @since 0.1.0
 */
export type Edge = Ingestion.Ingestion | Secrets.Secrets | SnsCertificates.SnsCertificates

/**
 * Takes webhooks into an inbox and a ledger.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Edge, Setting.BadSetting | Config.ConfigError, Inbox.Inbox | Ledger.Ledger> = Layer
  .unwrap(
    Effect.map(Credentials.credentials, (credentials) =>
      Ingestion.layer.pipe(
        Layer.provide(SnsSubscriptions.layer),
        Layer.provideMerge(Layer.merge(Secrets.layer(credentials), SnsCertificates.layer)),
        Layer.provide(FetchHttpClient.layer)
      ))
  )
