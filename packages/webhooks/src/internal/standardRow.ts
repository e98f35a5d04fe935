/**
 * Makes the row of a provider that signs as Standard Webhooks says and posts one event at a time.
 */
import type { Provider } from "@waybill/core"
import type * as Row from "../Row.ts"
import * as StandardWebhooks from "../schemes/StandardWebhooks.ts"
import type * as Webhook from "../Webhook.ts"
import * as Report from "./report.ts"

export const make = ({ composer, item, name, variant }: {
  readonly name: Provider.Provider
  readonly variant: StandardWebhooks.Variant
  readonly item: (value: unknown, received: Webhook.Received) => Report.Item
  readonly composer: Row.Row["composer"]
}): Row.Row => ({
  name,
  schemes: [StandardWebhooks.make(name, variant)],
  headers: StandardWebhooks.headersOf(variant),
  refusal: 401,
  unavailable: 503,
  normalize: Report.single(name, item),
  composer
})
