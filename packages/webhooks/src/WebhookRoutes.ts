/**
 * Serves the webhooks of every provider over HTTP: `POST /webhooks/:provider` and
 * `POST /tenants/:tenantId/webhooks/:provider`, in any application of `effect/http`.
 *
 * A request is verified over its bytes as they came, whatever its `Content-Type`, and then stored before anything can fail
 * on its content. What is stored is answered 200, also where the ledger cannot take it just now: the sweep of the inbox
 * finishes it. A status of 500 and above is only given for what a later attempt can mend, never for what a body says.
 *
 * Beside the outcomes of `Answer`: an unknown provider or tenant is answered 404, another method than POST 405, a body that
 * does not arrive in time has its connection cut or is answered 408, and one that breaks off 400. Where a provider has no
 * usable secret, that is logged as an error and answered as storage that is down, 503 or 429, because another 4xx would make
 * some providers drop the event for good. A batch may hold as many events as fit into the largest body: refusing what was
 * verified would lose it. It is read and appended a thousand at a time, and other requests are served between; only its JSON
 * is parsed at once.
 *
 * An answer is one word; neither it nor a log holds an address, a body or a trace. The router gives 404 to path parameters
 * longer than its `maxParamLength`, 100 characters unless `HttpRouter.RouterConfig` says otherwise.
 *
 * @since 0.1.0
 */
import { Inbox, Tenant } from "@waybill/core"
import { ByteSize, Data, DateTime, Duration, Effect, type Layer, Option } from "effect"
import {
  HttpIncomingMessage,
  HttpRouter,
  type HttpServerError,
  HttpServerRequest,
  HttpServerResponse
} from "effect/http"
import * as Answer from "./Answer.ts"
import { Ingestion } from "./Ingestion.ts"
import { Intake, type IntakeError } from "./Intake.ts"
import { Providers } from "./Providers.ts"
import type * as Row from "./Row.ts"
import type * as Webhook from "./Webhook.ts"

/**
 * The largest body that is taken by default: 10 MB.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultMaxBodySize: ByteSize.ByteSize = ByteSize.megabytes(10)

/**
 * How long a body may take to arrive by default.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultBodyTimeout: Duration.Duration = Duration.seconds(15)

/**
 * A request that passed verification, from which its tenant is to be told.
 *
 * @category models
 * @since 0.1.0
 */
export interface Unassigned extends Webhook.Received {
  readonly provider: Row.Row["name"]
  /** The path and the query as they came. */
  readonly url: string
}

/**
 * How webhooks are served.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** 10 MB by default, and never more than an inbox takes (15 MB). */
  readonly maxBodySize?: ByteSize.Input
  /** 15 seconds by default. */
  readonly bodyTimeout?: Duration.Input
  /** The tenant whose secrets verify what comes without a tenant in its path, and which gets it; by default `default`. */
  readonly tenantId?: Tenant.TenantId
  /**
   * Tells whose a request without a tenant in its path is, after it was verified with the secrets of `tenantId`. Without a
   * tenant it is answered 422 and stored nowhere; where this fails, as storage that is down. It is not asked about a
   * request that only sets the webhooks up, such as a subscription of Amazon SNS: that is `tenantId`'s.
   */
  readonly resolveTenant?: (request: Unassigned) => Effect.Effect<Option.Option<Tenant.TenantId>, unknown>
}

/** How a request ends before any provider has a say. */
type Refusal = "not_found" | "method_not_allowed" | "too_slow" | "broken_off"

type Ending = Answer.Outcome | Refusal

const refusals: Readonly<Record<Refusal, number>> = {
  not_found: Answer.unknownProvider,
  method_not_allowed: 405,
  too_slow: 408,
  broken_off: 400
}

const isRefusal = (ending: Ending): ending is Refusal => Object.hasOwn(refusals, ending)

const warn = (
  sentence: string,
  provider: Row.Row,
  attributes: Readonly<Record<string, string | number>> = {}
) => Effect.logWarning(sentence).pipe(Effect.annotateLogs({ provider: provider.name, ...attributes }))

const complain = (sentence: string, provider: Row.Row) =>
  Effect.logError(sentence).pipe(Effect.annotateLogs({ provider: provider.name }))

/** A request that ends before it is stored. */
class Ended extends Data.TaggedError("Ended")<{ readonly ending: Ending }> {}

const isTooLarge = ({ reason }: HttpServerError.HttpServerError): boolean =>
  reason._tag === "RequestParseError" && reason.reason === "BodyTooLarge"

/** The length that a request announces; none where it announces none. */
const announced = ({ headers }: HttpServerRequest.HttpServerRequest): number => Number(headers["content-length"] ?? 0)

const make = Effect.fnUntraced(function*(options: Options) {
  const ingestion = yield* Ingestion
  const intake = yield* Intake
  const providers = yield* Providers
  const maxBodySize = ByteSize.min(
    options.maxBodySize === undefined ? defaultMaxBodySize : ByteSize.fromInputUnsafe(options.maxBodySize),
    ByteSize.bytes(Inbox.maxBodyBytes)
  )
  const bodyTimeout = options.bodyTimeout ?? defaultBodyTimeout
  const { resolveTenant, tenantId: ownTenant = Tenant.defaultTenantId } = options

  const readBody = Effect.fnUntraced(function*(request: HttpServerRequest.HttpServerRequest) {
    if (announced(request) > maxBodySize) return yield* new Ended({ ending: "too_large" })
    const buffer = yield* request.arrayBuffer.pipe(
      Effect.provideService(HttpIncomingMessage.MaxBodySize, maxBodySize),
      Effect.mapError((error) => new Ended({ ending: isTooLarge(error) ? "too_large" : "broken_off" })),
      Effect.timeoutOrElse({ duration: bodyTimeout, orElse: () => Effect.fail(new Ended({ ending: "too_slow" })) })
    )
    const received: Webhook.Received = {
      headers: { ...request.headers },
      body: new Uint8Array(buffer),
      receivedAt: yield* DateTime.now
    }
    return received
  })

  /** Logs why a request does not come in, and tells how it ends. */
  const turnAway = Effect.fnUntraced(function*(provider: Row.Row, error: IntakeError): Effect.fn.Return<never, Ended> {
    if (error._tag === "UnknownTenant") return yield* new Ended({ ending: "not_found" })
    if (error._tag === "SecretsUnavailable") {
      yield* complain("secrets cannot be looked up", provider)
      return yield* new Ended({ ending: "unavailable" })
    }
    if (error._tag === "NoSecret") {
      yield* complain("no secret is configured", provider)
      return yield* new Ended({ ending: "misconfigured" })
    }
    const ending = Answer.ofVerification(error)
    if (ending === "unavailable") yield* complain("what verifies a webhook cannot be had", provider)
    else if (ending === "misconfigured") yield* complain("a secret is missing or cannot be used", provider)
    else if (error._tag === "VerificationError") {
      yield* warn("webhook refused", provider, { reason: error.reason })
    }
    return yield* new Ended({ ending })
  })

  const assign = Effect.fnUntraced(function*(provider: Row.Row, request: Unassigned) {
    if (resolveTenant === undefined) return ownTenant
    const resolved = yield* Effect.suspend(() => resolveTenant(request)).pipe(
      Effect.tapError(() => complain("a tenant cannot be told", provider)),
      Effect.mapError(() => new Ended({ ending: "unavailable" }))
    )
    if (Option.isSome(resolved)) return resolved.value
    yield* warn("webhook of no tenant refused", provider)
    return yield* new Ended({ ending: "tenant_unresolved" })
  })

  const receive = Effect.fnUntraced(function*(provider: Row.OpenRow, given: Option.Option<Tenant.TenantId>) {
    const request = yield* HttpServerRequest.HttpServerRequest
    if (request.method !== "POST") return yield* new Ended({ ending: "method_not_allowed" })
    const verifiedBy = Option.getOrElse(given, () => ownTenant)
    const { isSetup, received, token } = yield* intake.verify(provider, verifiedBy, readBody(request)).pipe(
      Effect.catch((error) => error._tag === "Ended" ? Effect.fail(error) : turnAway(provider, error))
    )
    const tenantId = Option.isSome(given) || isSetup
      ? verifiedBy
      : yield* assign(provider, { ...received, provider: provider.name, url: request.url })
    const receipt = yield* ingestion.receive({
      ...received,
      tenantId,
      provider,
      token
    }).pipe(
      Effect.catchTag("TokenReplayed", () =>
        Effect.andThen(
          warn("webhook refused", provider, { reason: "ReplayedToken" }),
          Effect.fail(new Ended({ ending: "refused" }))
        )),
      Effect.catchTag(
        ["InvalidInput", "LedgerUnavailable", "LedgerImmutable", "SchemaNotMigrated", "SchemaTooNew"],
        () =>
          Effect.andThen(complain("webhook not stored", provider), Effect.fail(new Ended({ ending: "unavailable" })))
      )
    )
    yield* Effect.logDebug("webhook received").pipe(
      Effect.annotateLogs({ provider: provider.name, outcome: receipt.outcome, ...receipt.counts })
    )
    const ending: Ending = receipt.outcome
    return ending
  })

  const answer = (provider: Row.Row, ending: Ending) =>
    HttpServerResponse.text(ending, {
      status: isRefusal(ending) ? refusals[ending] : Answer.status(provider, ending),
      ...(ending === "method_not_allowed" && { headers: { allow: "POST" } })
    })

  const notFound = HttpServerResponse.text("not_found", { status: Answer.unknownProvider })

  return Effect.gen(function*() {
    const params = yield* HttpRouter.params
    const found = providers.get(params["provider"] ?? "")
    if (Option.isNone(found)) return notFound
    const provider = found.value
    const tenantId = params["tenantId"] === undefined
      ? Option.some(Option.none<Tenant.TenantId>())
      : Option.map(Tenant.TenantId.makeOption(params["tenantId"]), Option.some)
    if (Option.isNone(tenantId)) return notFound
    const ending = yield* receive(provider, tenantId.value).pipe(
      Effect.catch(({ ending }) => Effect.succeed(ending)),
      Effect.catchDefect(() => Effect.as(complain("receiving a webhook died", provider), "unavailable" as const))
    )
    return answer(provider, ending)
  })
})

/**
 * Adds the two routes to the router.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: Options = {}
): Layer.Layer<never, never, HttpRouter.HttpRouter | Ingestion | Intake | Providers> =>
  HttpRouter.addAll(
    Effect.map(make(options), (handler) => [
      HttpRouter.route("*", "/webhooks/:provider", handler),
      HttpRouter.route("*", "/tenants/:tenantId/webhooks/:provider", handler)
    ])
  )
