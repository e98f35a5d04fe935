/**
 * Mounts the console into any application of `effect/http`, under any path: pages from the server over the ports, which work
 * without scripts and load nothing from elsewhere.
 *
 * Whoever is not let in sees no page. Nothing is changed without a form of the visitor's own page, by the role `operate` alone,
 * and what is done is recorded with who did it.
 *
 * @since 0.2.0
 */
import type { Alerts, Directory, Figures, Inbox, Ledger, Orphans, Suppressions, Ticks } from "@waybill/core"
import { Tenant, Tokens } from "@waybill/core"
import { DateTime, Effect, Layer, Option, Redacted } from "effect"
import type * as HttpRouter from "effect/http/HttpRouter"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import { RateLimiter } from "effect/persistence"
import * as Jobs from "./internal/Jobs.ts"
import * as LogIn from "./internal/LogIn.ts"
import * as Server from "./internal/Server.ts"
import * as Visit from "./internal/Visit.ts"
import type * as Principal from "./Principal.ts"

/**
 * The ports that the console is made over.
 *
 * @category models
 * @since 0.2.0
 */
export type Ports =
  | Ledger.Ledger
  | Directory.Directory
  | Orphans.Orphans
  | Inbox.Inbox
  | Suppressions.Suppressions
  | Ticks.Ticks
  | Figures.Figures
  | Alerts.Alerts

/**
 * Where the console is mounted, and how.
 *
 * @category models
 * @since 0.2.0
 */
export interface Mount {
  /** The path of the console, such as `/console`; it ends without a slash. */
  readonly basePath: HttpRouter.PathInput
  /** Whether a request came over TLS, so that cookies are sent over TLS alone; never by default. */
  readonly isSecure?: (request: HttpServerRequest.HttpServerRequest) => boolean
  /** Ends when live lines are to end, so that they do not hold a server up that stops. */
  readonly closing?: Effect.Effect<void>
}

/**
 * How the console is mounted into an application that has log-ins of its own.
 *
 * @category models
 * @since 0.2.0
 */
export interface Options extends Mount {
  /** Returns who a request is from. */
  readonly authenticate: Principal.Authenticate
}

const services = Layer.merge(
  Jobs.layer,
  RateLimiter.layer.pipe(Layer.provide(RateLimiter.layerStoreMemory))
)

const mounted = (mount: Mount, authenticate: Principal.Authenticate, door: Option.Option<LogIn.Door>) =>
  Server.layer({
    base: mount.basePath.replace(/\/+$/, ""),
    authenticate,
    door,
    isSecure: mount.isSecure ?? (() => false),
    closing: mount.closing ?? Effect.never
  })

/**
 * Adds the console to the router of an application that tells who a request is from.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer = (options: Options): Layer.Layer<never, never, HttpRouter.HttpRouter | Ports> =>
  mounted(options, options.authenticate, Option.none()).pipe(Layer.provide(services))

/**
 * How the console is mounted with a log-in by tokens of Waybill.
 *
 * @category models
 * @since 0.2.0
 */
export interface TokenOptions extends Mount {
  /** A text that lets in as well, for all tenants, such as one that was made when the process started. */
  readonly alsoAdmits?: Redacted.Redacted
  /** Whether there is nothing to log in to until a token is in force; the pages then say how to make one. */
  readonly needsToken?: boolean
}

/**
 * Adds the console to the router, with a log-in by a token of the role `read` or `operate`, which is asked for again with every
 * request.
 *
 * @category layers
 * @since 0.2.0
 */
export const layerTokens = (
  options: TokenOptions
): Layer.Layer<never, never, HttpRouter.HttpRouter | Ports | Tokens.Tokens> =>
  Layer.unwrap(Effect.gen(function*() {
    const tokens = yield* Tokens.Tokens
    const { alsoAdmits, needsToken = false } = options
    const isOwn = (text: Redacted.Redacted) =>
      alsoAdmits !== undefined && Visit.isSame(Redacted.value(alsoAdmits), Redacted.value(text))
    const admit: LogIn.Admit = (text) =>
      isOwn(text)
        ? Effect.succeedSome({ name: "console", role: "operate", scope: Tenant.all } as const)
        : Effect.map(
          tokens.admit(text),
          Option.flatMap(({ name, role, scope }): Option.Option<Principal.Principal> =>
            role === "send" ? Option.none() : Option.some({ name, role, scope })
          )
        )
    const closed = needsToken
      ? Effect.gen(function*() {
        const now = yield* DateTime.now
        const found = yield* tokens.list(Tenant.all)
        return found.some((token) => Tokens.isInForce(token, now)) ? Option.none() : Option.some(
          "The console answers on this address once a token exists: run waybill tokens create --name you --role operate."
        )
      })
      : Effect.succeedNone
    const authenticate: Principal.Authenticate = ({ cookies }) =>
      Option.match(Option.fromUndefinedOr(cookies[LogIn.session]), {
        onNone: () => Effect.succeedNone,
        onSome: (text) => text.length > 500 ? Effect.succeedNone : admit(Redacted.make(text))
      })
    return mounted(options, authenticate, Option.some({ admit, closed }))
  })).pipe(Layer.provide(services))
