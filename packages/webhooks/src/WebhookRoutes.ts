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
import { ByteSize, DateTime, Duration, Effect, type Layer, Option } from "effect"
import {
  HttpClientError,
  HttpIncomingMessage,
  HttpRouter,
  type HttpServerError,
  HttpServerRequest,
  HttpServerResponse
} from "effect/http"
import * as Answer from "./Answer.ts"
import { Ingestion } from "./Ingestion.ts"
import { ProviderTable } from "./ProviderTable.ts"
import { Secrets } from "./Secrets.ts"
import { type CertificateUnavailable, SnsCertificates } from "./SnsCertificates.ts"
import * as Webhook from "./Webhook.ts"

/**
 * The largest body that is taken where nothing else is said: 10 MB.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultMaxBodySize: ByteSize.ByteSize = ByteSize.megabytes(10)

/**
 * How long a body may take to arrive where nothing else is said.
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
  readonly provider: Webhook.Provider["name"]
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
  /** 10 MB where nothing is said, and never more than an inbox takes (15 MB). */
  readonly maxBodySize?: ByteSize.Input
  /** 15 seconds where nothing is said. */
  readonly bodyTimeout?: Duration.Input
  /** Whose secrets verify what comes without a tenant in its path, and who gets it; `default` where nothing is said. */
  readonly tenantId?: Tenant.TenantId
  /**
   * Tells whose a request without a tenant in its path is, after it was verified with the secrets of `tenantId`. Without a
   * tenant it is answered 422 and stored nowhere; where this fails, as storage that is down. It is not asked about what
   * Amazon SNS says of a subscription itself: that is `tenantId`'s, whose list the topic is on.
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
  provider: Webhook.Provider,
  attributes: Readonly<Record<string, string | number>> = {}
) => Effect.logWarning(sentence).pipe(Effect.annotateLogs({ provider: provider.name, ...attributes }))

const complain = (sentence: string, provider: Webhook.Provider) =>
  Effect.logError(sentence).pipe(Effect.annotateLogs({ provider: provider.name }))

const isTooLarge = ({ reason }: HttpServerError.HttpServerError): boolean =>
  reason._tag === "RequestParseError" && reason.reason === "BodyTooLarge"

/**
 * Whether Amazon has no certificate where an unverified request says that one is: it was forged, and no later attempt helps.
 */
const isNowhere = (error: CertificateUnavailable): boolean => {
  const status = HttpClientError.isHttpClientError(error.cause) ? error.cause.response?.status : undefined
  return status === 400 || status === 403 || status === 404 || status === 410
}

/** The length that a request announces; none where it announces none. */
const announced = ({ headers }: HttpServerRequest.HttpServerRequest): number => Number(headers["content-length"] ?? 0)

const make = Effect.fnUntraced(function*(options: Options) {
  const ingestion = yield* Ingestion
  const secrets = yield* Secrets
  const certificates = yield* SnsCertificates
  const providers: ReadonlyMap<string, Webhook.Provider> = new Map(
    (yield* ProviderTable).map((provider) => [provider.name, provider])
  )
  const maxBodySize = ByteSize.min(
    options.maxBodySize === undefined ? defaultMaxBodySize : ByteSize.fromInputUnsafe(options.maxBodySize),
    ByteSize.bytes(Inbox.maxBodyBytes)
  )
  const bodyTimeout = options.bodyTimeout ?? defaultBodyTimeout
  const { resolveTenant, tenantId: ownTenant = Tenant.defaultTenantId } = options

  const readBody = Effect.fnUntraced(function*(request: HttpServerRequest.HttpServerRequest) {
    if (announced(request) > maxBodySize) return yield* Effect.fail<Ending>("too_large")
    const buffer = yield* request.arrayBuffer.pipe(
      Effect.provideService(HttpIncomingMessage.MaxBodySize, maxBodySize),
      Effect.mapError((error): Ending => isTooLarge(error) ? "too_large" : "broken_off"),
      Effect.timeoutOrElse({ duration: bodyTimeout, orElse: () => Effect.fail<Ending>("too_slow") })
    )
    return new Uint8Array(buffer)
  })

  const credentialsOf = Effect.fnUntraced(function*(tenantId: Tenant.TenantId, provider: Webhook.Provider) {
    const found = yield* secrets.lookup(tenantId, provider.name).pipe(
      Effect.tapError(() => complain("secrets cannot be looked up", provider)),
      Effect.mapError((): Ending => "unavailable")
    )
    return Option.isSome(found) ? found.value : yield* Effect.fail<Ending>("not_found")
  })

  const verify = (provider: Webhook.Provider, attempt: Webhook.Attempt) =>
    provider.verify(attempt).pipe(
      Effect.provideService(SnsCertificates, certificates),
      Effect.mapError((error) =>
        error._tag === "CertificateUnavailable" && isNowhere(error)
          ? new Webhook.VerificationError({ provider: provider.name, reason: "BadSignature" })
          : error
      ),
      Effect.tapError((error) => {
        if (error._tag === "CertificateUnavailable") return complain("a certificate cannot be had", provider)
        return error.reason === "MisconfiguredSecret"
          ? complain("a secret is missing or cannot be used", provider)
          : warn("webhook refused", provider, { reason: error.reason })
      }),
      Effect.mapError((error): Ending => Answer.ofVerification(error))
    )

  const assign = Effect.fnUntraced(function*(provider: Webhook.Provider, request: Unassigned) {
    if (resolveTenant === undefined) return ownTenant
    const resolved = yield* Effect.suspend(() => resolveTenant(request)).pipe(
      Effect.tapError(() => complain("a tenant cannot be told", provider)),
      Effect.mapError((): Ending => "unavailable")
    )
    if (Option.isSome(resolved)) return resolved.value
    yield* warn("webhook of no tenant refused", provider)
    return yield* Effect.fail<Ending>("tenant_unresolved")
  })

  const receive = Effect.fnUntraced(function*(provider: Webhook.Provider, given: Option.Option<Tenant.TenantId>) {
    const request = yield* HttpServerRequest.HttpServerRequest
    if (request.method !== "POST") return yield* Effect.fail<Ending>("method_not_allowed")
    const verifiedBy = Option.getOrElse(given, () => ownTenant)
    const credentials = yield* credentialsOf(verifiedBy, provider)
    if (credentials.secrets.length === 0) {
      yield* complain("no secret is configured", provider)
      return yield* Effect.fail<Ending>("misconfigured")
    }
    const body = yield* readBody(request)
    const received: Webhook.Received = { headers: { ...request.headers }, body, receivedAt: yield* DateTime.now }
    const { isOfSubscription = false, token } = yield* verify(provider, { ...received, secrets: credentials.secrets })
    const tenantId = Option.isSome(given) || isOfSubscription
      ? verifiedBy
      : yield* assign(provider, { ...received, provider: provider.name, url: request.url })
    const receipt = yield* ingestion.receive({
      ...received,
      tenantId,
      provider,
      token: Option.map(token, (value) => ({ value, verifiedBy }))
    }).pipe(
      Effect.catchTag("TokenReplayed", () =>
        Effect.andThen(
          warn("webhook refused", provider, { reason: "ReplayedToken" }),
          Effect.fail<Ending>("refused")
        )),
      Effect.catchTag(
        ["InvalidInput", "LedgerUnavailable", "LedgerImmutable", "SchemaNotMigrated"],
        () => Effect.andThen(complain("webhook not stored", provider), Effect.fail<Ending>("unavailable"))
      )
    )
    yield* Effect.logDebug("webhook received").pipe(
      Effect.annotateLogs({ provider: provider.name, outcome: receipt.outcome, ...receipt.counts })
    )
    const ending: Ending = receipt.outcome
    return ending
  })

  const answer = (provider: Webhook.Provider, ending: Ending) =>
    HttpServerResponse.text(ending, {
      status: isRefusal(ending) ? refusals[ending] : Answer.status(provider, ending),
      ...(ending === "method_not_allowed" && { headers: { allow: "POST" } })
    })

  const notFound = HttpServerResponse.text("not_found", { status: Answer.unknownProvider })

  return Effect.gen(function*() {
    const params = yield* HttpRouter.params
    const provider = providers.get(params["provider"] ?? "")
    if (provider === undefined) return notFound
    const tenantId = params["tenantId"] === undefined
      ? Option.some(Option.none<Tenant.TenantId>())
      : Option.map(Tenant.TenantId.makeOption(params["tenantId"]), Option.some)
    if (Option.isNone(tenantId)) return notFound
    const ending = yield* receive(provider, tenantId.value).pipe(
      Effect.catch((ending) => Effect.succeed(ending)),
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
): Layer.Layer<never, never, HttpRouter.HttpRouter | Ingestion | Secrets | SnsCertificates> =>
  HttpRouter.addAll(
    Effect.map(make(options), (handler) => [
      HttpRouter.route("*", "/webhooks/:provider", handler),
      HttpRouter.route("*", "/tenants/:tenantId/webhooks/:provider", handler)
    ])
  )
