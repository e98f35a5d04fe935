/**
 * Calls the HTTP API of another process by its contract: typed requests, typed answers, typed problems.
 *
 * @since 0.2.0
 */
import { Context, Effect, Layer, type Redacted } from "effect"
import * as HttpApiClient from "effect/http-api/HttpApiClient"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import { Access } from "./Access.ts"
import { Api } from "./Api.ts"

/**
 * The API of another process.
 *
 * @category services
 * @since 0.2.0
 */
export class ApiClient
  extends Context.Service<ApiClient, HttpApiClient.ForApi<typeof Api>>()("@waybill/api/ApiClient")
{}

/**
 * Where the API is served, and by which token it is used.
 *
 * @category models
 * @since 0.2.0
 */
export interface Options {
  /** The address before `/api`, such as `https://waybill.example.com`. */
  readonly baseUrl: string
  readonly token: Redacted.Redacted
}

/** The client's own spans would tell the query, and with it the address that is searched for. */
const untraced = HttpClient.transformResponse(Effect.provideService(HttpClient.TracerDisabledWhen, () => true))

/**
 * Calls the API over an HTTP client, whose spans it leaves out.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer = ({ baseUrl, token }: Options): Layer.Layer<ApiClient, never, HttpClient.HttpClient> =>
  Layer.effect(ApiClient, HttpApiClient.make(Api, { baseUrl, transformClient: untraced })).pipe(
    Layer.provide(
      HttpApiMiddleware.layerClient(Access, ({ next, request }) => next(HttpClientRequest.bearerToken(request, token)))
    )
  )
