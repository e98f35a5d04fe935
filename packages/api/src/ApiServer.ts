/**
 * Serves the HTTP API over the ports, in any application of `effect/http`: the contract below `/api`, its OpenAPI document at
 * `/api/openapi.json` and a page to read at `/api/reference`, which loads nothing from elsewhere.
 *
 * Whatever goes wrong is answered as a problem (`Problem`). A body of more than the limit is refused before it is read, and
 * so is one that would exceed the budget of all bodies in flight. Neither a
 * log nor an answer holds an address that a request named.
 *
 * @since 0.2.0
 */
import type { Directory, Inbox, Ledger, Orphans, Suppressions as SuppressionsPort, Ticks } from "@waybill/core"
import { ByteSize, Duration, Effect, Layer } from "effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as OpenApi from "effect/http-api/OpenApi"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRespondable from "effect/http/HttpServerRespondable"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { Api } from "./Api.ts"
import type { Authentication } from "./Authentication.ts"
import type { Closing } from "./Closing.ts"
import * as Access from "./internal/handlers/Access.ts"
import * as Deliveries from "./internal/handlers/Deliveries.ts"
import * as Feed from "./internal/handlers/Feed.ts"
import * as Orphans_ from "./internal/handlers/Orphans.ts"
import * as Recipients from "./internal/handlers/Recipients.ts"
import * as Suppressions from "./internal/handlers/Suppressions.ts"
import * as Sweeps from "./internal/handlers/Sweeps.ts"
import * as Webhooks from "./internal/handlers/Webhooks.ts"
import * as Reference from "./internal/Reference.ts"
import * as Problem from "./Problem.ts"
import * as Requests from "./Requests.ts"

/**
 * The ports that the API is served over.
 *
 * @category models
 * @since 0.2.0
 */
export type Ports =
  | SuppressionsPort.Suppressions
  | Ledger.Ledger
  | Directory.Directory
  | Orphans.Orphans
  | Inbox.Inbox
  | Ticks.Ticks

/**
 * How the API is served.
 *
 * @category models
 * @since 0.2.0
 */
export interface Options {
  /** The largest body that is taken; 10 MB by default. */
  readonly maxBodySize?: ByteSize.ByteSize
  /** How long a body may take to arrive; 15 seconds by default. */
  readonly bodyTimeout?: Duration.Duration
  /** The bytes of all bodies from their reading to the answer; 64 MB by default. A body that is alone always has room. */
  readonly maxBodiesInFlight?: ByteSize.ByteSize
}

/**
 * The OpenAPI 3.1 document of the contract.
 *
 * @category documents
 * @since 0.2.0
 */
export const document = (): OpenApi.OpenAPISpec => OpenApi.fromApi(Api)

const notFound = Effect.suspend(() =>
  HttpServerRespondable.toResponse(new Problem.NotFound({ tag: "NoRoute", detail: "there is no such endpoint" }))
)

/** What is served beside the contract. */
const documents = HttpRouter.use(Effect.fnUntraced(function*(router) {
  const found = document()
  const json = HttpServerResponse.jsonUnsafe(found)
  yield* router.add("GET", "/api/openapi.json", Effect.succeed(json))
  yield* router.add("GET", "/api/reference", Effect.succeed(Reference.page(found)))
  yield* router.add("GET", "/api/reference.css", Effect.succeed(Reference.style))
  yield* router.add("*", "/api/*", notFound)
}))

const handlers = Layer.mergeAll(
  Deliveries.layer,
  Feed.layer,
  Orphans_.layer,
  Recipients.layer,
  Suppressions.layer,
  Sweeps.layer,
  Webhooks.layer
)

const routes = Layer.provide(HttpApiBuilder.layer(Api), handlers)

/**
 * Adds the API to the router.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer = (
  options: Options = {}
): Layer.Layer<never, never, HttpRouter.HttpRouter | Ports | Authentication | Closing> =>
  Layer.mergeAll(routes, documents, Layer.effectDiscard(Requests.register)).pipe(
    Layer.provide(Access.layer({
      maxBodySize: options.maxBodySize ?? ByteSize.megabytes(10),
      bodyTimeout: options.bodyTimeout ?? Duration.seconds(15),
      maxBodiesInFlight: options.maxBodiesInFlight ?? ByteSize.megabytes(64)
    })),
    Layer.provide(HttpServer.layerServices)
  )
