/**
 * Composes the HTTP API as `serve` has it: let in are the callers that bear a token.
 *
 * @since 0.2.0
 */
import * as ApiServer from "@waybill/api/ApiServer"
import * as Authentication from "@waybill/api/Authentication"
import type * as Closing from "@waybill/api/Closing"
import { Tenant, Tokens } from "@waybill/core"
import { DateTime, Effect, Layer } from "effect"
import type * as HttpRouter from "effect/http/HttpRouter"

/**
 * Adds the API to the router; without a token that is in force it answers nobody, and says so.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer = (
  options: ApiServer.Options
): Layer.Layer<never, never, HttpRouter.HttpRouter | ApiServer.Ports | Tokens.Tokens | Closing.Closing> =>
  ApiServer.layer(options).pipe(Layer.provide(Authentication.layerTokens))

/**
 * Says so where nobody can use the API for want of a token.
 *
 * @category logging
 * @since 0.2.0
 */
export const tellWithoutToken = Effect.gen(function*() {
  const tokens = yield* Tokens.Tokens
  const found = yield* tokens.list(Tenant.all)
  const now = yield* DateTime.now
  if (found.some((token) => Tokens.isInForce(token, now))) return
  yield* Effect.logWarning("no token is in force, so that /api answers nobody: run waybill tokens create")
})
