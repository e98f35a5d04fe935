/**
 * Says which providers this installation understands, to everything that looks one up.
 *
 * @since 0.1.0
 */
import { Context } from "effect"
import * as Providers from "./Providers.ts"
import type * as Webhook from "./Webhook.ts"

/**
 * The rows that are used: all of `Providers` unless others are provided.
 *
 * @category services
 * @since 0.1.0
 */
export const ProviderTable = Context.Reference<ReadonlyArray<Webhook.Provider>>("@waybill/webhooks/ProviderTable", {
  defaultValue: () => Providers.all
})
