/** A real server on the loopback interface that serves the API over a storage, and ways to call it. */
import { NodeHttpServer } from "@effect/platform-node"
import { ApiClient, ApiServer, Authentication, Closing } from "@waybill/api"
import { type Tenant, Tokens } from "@waybill/core"
import { MemoryStorage, PgStorage } from "@waybill/storage"
import { Context, Effect, Layer, Option, Redacted } from "effect"
import { SecureRandom } from "effect/crypto"
import { FetchHttpClient, HttpRouter, HttpServer } from "effect/http"
import { createServer } from "node:http"
import * as TestDatabase from "../../storage/test/TestDatabase.ts"

/** Where the server listens. */
export class Url extends Context.Service<Url, string>()("@waybill/api/test/Url") {}

export const memory = MemoryStorage.layer.pipe(Layer.provideMerge(SecureRandom.layerWebCrypto))

export const postgres = PgStorage.layer().pipe(
  Layer.provide(TestDatabase.client()),
  Layer.provideMerge(SecureRandom.layerWebCrypto)
)

const listening = NodeHttpServer.layer(createServer, {
  port: 0,
  host: "127.0.0.1",
  gracefulShutdownTimeout: "1 second"
})

/** The API over a storage, which the tests see too. */
export const served = <R, E>(
  storage: Layer.Layer<ApiServer.Ports | Tokens.Tokens | R, E>,
  options: ApiServer.Options = {},
  authentication: Layer.Layer<Authentication.Authentication, never, Tokens.Tokens> = Authentication.layerTokens
) =>
  Layer.effect(Url, Effect.map(HttpServer.HttpServer, ({ address }) => HttpServer.formatAddress(address))).pipe(
    Layer.provideMerge(HttpRouter.serve(ApiServer.layer(options), { disableLogger: true, disableListenLog: true })),
    Layer.provide(listening),
    Layer.provide(authentication),
    Layer.provideMerge(Closing.layer),
    Layer.provideMerge(storage)
  )

/** A token's text. */
export const token = (role: Tokens.Role, scope: Tenant.Scope) =>
  Effect.map(
    Tokens.Tokens.use((tokens) => tokens.create({ name: "test", role, scope, expiresAt: Option.none() })),
    ({ text }) => Redacted.value(text)
  )

export interface Answer {
  readonly status: number
  readonly type: string | null
  readonly headers: Headers
  readonly text: string
  readonly body: any
}

/** Sends a request as any program does. */
export const send = Effect.fnUntraced(function*(
  method: string,
  path: string,
  { body, headers = {}, token }: {
    readonly token?: string
    readonly headers?: Readonly<Record<string, string>>
    readonly body?: unknown
  } = {}
) {
  const url = yield* Url
  const response = yield* Effect.promise((signal) =>
    fetch(url + path, {
      method,
      signal,
      headers: {
        ...token !== undefined && { authorization: `Bearer ${token}` },
        ...body !== undefined && { "content-type": "application/json" },
        ...headers
      },
      ...body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }
    })
  )
  const text = yield* Effect.promise(() => response.text())
  const type = response.headers.get("content-type")
  return {
    status: response.status,
    type,
    headers: response.headers,
    text,
    body: type?.includes("json") ? JSON.parse(text) : undefined
  } satisfies Answer
})

/** Calls by the typed client. */
export const client = (text: string) =>
  Effect.gen(function*() {
    const layer = ApiClient.layer({ baseUrl: yield* Url, token: Redacted.make(text) })
    return Context.get(yield* Layer.build(Layer.provide(layer, FetchHttpClient.layer)), ApiClient.ApiClient)
  })
