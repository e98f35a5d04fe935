/**
 * Defines the contract of the HTTP API: what may be asked, by whom, and what is answered. Server, typed client, OpenAPI document
 * and reference are made of it.
 *
 * @since 0.2.0
 */
import * as HttpApi from "effect/http-api/HttpApi"
import * as OpenApi from "effect/http-api/OpenApi"
import { Deliveries } from "./internal/contract/Deliveries.ts"
import { Feed } from "./internal/contract/Feed.ts"
import { Orphans } from "./internal/contract/Orphans.ts"
import { Recipients } from "./internal/contract/Recipients.ts"
import { Suppressions } from "./internal/contract/Suppressions.ts"
import { Sweeps } from "./internal/contract/Sweeps.ts"
import { Webhooks } from "./internal/contract/Webhooks.ts"

/**
 * The contract, below `/api`.
 *
 * @category contract
 * @since 0.2.0
 */
export const Api = HttpApi.make("waybill")
  .add(Deliveries, Recipients, Suppressions, Orphans, Webhooks, Feed, Sweeps)
  .prefix("/api")
  .annotateMerge(OpenApi.annotations({
    title: "Waybill",
    description: "The delivery ledger for email: what became of every message that was sent.",
    version: "0.2.0"
  }))
  .annotate(HttpApi.ParseOptions, { onExcessProperty: "error" })
  .annotate(HttpApi.HeadersParseOptions, {})
  .annotate(HttpApi.SuccessParseOptions, {})
  .annotate(HttpApi.ErrorParseOptions, {})
