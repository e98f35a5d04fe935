/**
 * Composes the console as `serve` has it, at `/console`: let in are those who have a token.
 *
 * On the loopback interface one need not make a token first: where none is in force, one that lasts as long as the process is
 * printed at its start. On another interface there is nothing to log in to until a token exists.
 *
 * @since 0.2.0
 */
import * as Console from "@waybill/console/Console"
import { Tenant, Tokens } from "@waybill/core"
import { Console as Terminal, DateTime, Effect, type Layer, Option, Redacted, Schema } from "effect"
import { SecureRandom } from "effect/crypto"
import type * as HttpRouter from "effect/http/HttpRouter"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"

/**
 * Where the console is mounted.
 *
 * @category constants
 * @since 0.2.0
 */
export const basePath = "/console"

/**
 * How the console is served.
 *
 * @category models
 * @since 0.2.0
 */
export interface Options {
  /** The address that is listened on. */
  readonly host: string
  /** Whether others reach it over TLS, as the settings say. */
  readonly isPublicOverTls: boolean
  /** Whether a proxy says by which protocol it was reached. */
  readonly trustProxy: boolean
  /** Ends when live lines are to end. */
  readonly closing: Effect.Effect<void>
}

const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || /^127(?:\.\d{1,3}){3}$/.test(host)

const isAnyInForce = Effect.gen(function*() {
  const tokens = yield* Tokens.Tokens
  const found = yield* tokens.list(Tenant.all)
  const now = yield* DateTime.now
  return found.some((token) => Tokens.isInForce(token, now))
})

const toText = Schema.encodeSync(Schema.Uint8ArrayFromBase64Url)

const makeToken = Effect.map(
  SecureRandom.SecureRandom.use((random) => random.randomBytes(24)),
  (bytes) => Redacted.make(toText(bytes))
).pipe(Effect.provide(SecureRandom.layerWebCrypto))

/**
 * Makes the console, and what is printed about it once its address is known.
 *
 * @category layers
 * @since 0.2.0
 */
export const make = Effect.fnUntraced(function*({ closing, host, isPublicOverTls, trustProxy }: Options) {
  const needsToken = !isLoopback(host)
  const alsoAdmits = needsToken || (yield* isAnyInForce) ? Option.none() : Option.some(yield* makeToken)
  const layer: Layer.Layer<never, never, HttpRouter.HttpRouter | Console.Ports | Tokens.Tokens> = Console.layerTokens({
    basePath,
    needsToken,
    closing,
    isSecure: ({ headers }: HttpServerRequest.HttpServerRequest) =>
      isPublicOverTls || (trustProxy && headers["x-forwarded-proto"] === "https"),
    ...Option.isSome(alsoAdmits) && { alsoAdmits: alsoAdmits.value }
  })
  const tell = (url: string) =>
    Option.match(alsoAdmits, {
      onNone: () => Effect.void,
      // Printed, and no log: logs are sent elsewhere.
      onSome: (text) =>
        Terminal.log(
          `console: ${url}${basePath}\ntoken:   ${
            Redacted.value(text)
          } (no other is in force; this one lasts as long as this process)`
        )
    })
  return { layer, tell }
})
