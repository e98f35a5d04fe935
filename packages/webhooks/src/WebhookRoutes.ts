/**
 * Serves the webhooks of every provider over HTTP: `POST /webhooks/:provider` and
 * `POST /tenants/:tenantId/webhooks/:provider`, in any application of `effect/http`.
 *
 * A request is verified over its bytes, whatever its `Content-Type`, and then stored before anything can fail on its content.
 * The bytes are those that came, with a `Content-Encoding` of `gzip`, `br` or `deflate` undone: so the provider signed them, and
 * so they are counted against the largest body, stored and read again. What is stored is answered 200, also where the ledger
 * cannot take it just now: the sweep of the inbox finishes it. A status of 500 and above is only given for what a later attempt
 * can mend, never for what a body says.
 *
 * Beside the outcomes of `Answer`:
 *
 * - an unknown provider or tenant, and a path in another spelling than the ones above, is answered 404;
 * - another method than POST 405, but for those by which a provider tries an address (`Row.probes`);
 * - a body that does not arrive in time 408, or its connection is cut;
 * - one that breaks off, or is not what its coding says, 400;
 * - one in a coding that is not understood 415;
 * - what would exceed the budget of all bodies in flight as storage that is down, 503 or 429;
 * - a provider without a usable secret likewise, and logged as an error: another 4xx would make some providers drop the event.
 *
 * What the headers alone tell is judged before the body is read. A batch may hold as many events as fit into the largest body:
 * refusing what was verified would lose it. It is read and appended a thousand at a time, and other requests are served between;
 * only its JSON is parsed at once.
 *
 * An answer is one word, or what a provider asks for on setting its webhooks up; neither it nor a log holds an address, a body or a trace. `Refusals` tells of what does not come in. The
 * router gives 404 to path parameters longer than its `maxParamLength`, 100 characters unless `HttpRouter.RouterConfig` says
 * otherwise.
 *
 * @since 0.1.0
 */
import { Budget, Inbox, Tenant } from "@waybill/core"
import { ByteSize, Clock, DateTime, Duration, Effect, type Layer, Option } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import * as Answer from "./Answer.ts"
import { Ingestion } from "./Ingestion.ts"
import { Intake, type IntakeError } from "./Intake.ts"
import * as Body from "./internal/body.ts"
import * as Encoding from "./internal/encoding.ts"
import * as PublicUrl from "./internal/publicUrl.ts"
import * as Metrics from "./Metrics.ts"
import { Providers } from "./Providers.ts"
import * as Refusals from "./Refusals.ts"
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
 * The bytes of bodies that are in memory at once at most, by default: 64 MB.
 *
 * @category constants
 * @since 0.2.0
 */
export const defaultMaxBodiesInFlight: ByteSize.ByteSize = ByteSize.megabytes(64)

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
  /** The bytes of all bodies from the first byte read to the answer; 64 MB by default. A body that is alone always has room. */
  readonly maxBodiesInFlight?: ByteSize.Input
  /** The tenant whose secrets verify what comes without a tenant in its path, and which gets it; by default `default`. */
  readonly tenantId?: Tenant.TenantId
  /**
   * Tells whose a request without a tenant in its path is, after it was verified with the secrets of `tenantId`. Without a
   * tenant it is answered 422 and stored nowhere; where this fails, as storage that is down. It is not asked about a
   * request that only sets the webhooks up, such as a subscription of Amazon SNS: that is `tenantId`'s.
   */
  readonly resolveTenant?: (request: Unassigned) => Effect.Effect<Option.Option<Tenant.TenantId>, unknown>
  /**
   * The address under which the public reaches the routes, such as `https://hooks.example`; some providers sign it. By default
   * it is what a request itself says.
   */
  readonly publicUrl?: string | undefined
  /**
   * Is told how each webhook was answered: whether it was taken, or refused for want of a good signature. One that was not taken
   * for another reason is not told.
   */
  readonly onAnswered?: (answered: {
    readonly tenantId: Tenant.TenantId
    readonly provider: Row.Row["name"]
    readonly isRefused: boolean
  }) => Effect.Effect<void>
  /** Whether a proxy before the routes says by which address it was reached: `X-Forwarded-Proto`, `X-Forwarded-Host`. */
  readonly trustProxy?: boolean
}

const statuses: Readonly<Record<Exclude<Refusals.Ending, Answer.Outcome>, number>> = {
  not_found: Answer.unknownProvider,
  method_not_allowed: 405,
  too_slow: 408,
  broken_off: 400,
  malformed_encoding: 400,
  unsupported_encoding: 415,
  malformed_form: 400
}

/** The endings of a webhook that is stored. */
const takenAs: ReadonlyArray<Refusals.Ending> = ["stored", "duplicate", "orphan", "unknown_type", "undecodable"]

const isOfRoute = (ending: Refusals.Ending): ending is keyof typeof statuses => Object.hasOwn(statuses, ending)

const sizeOf = (given: ByteSize.Input | undefined, fallback: ByteSize.ByteSize): ByteSize.ByteSize =>
  given === undefined ? fallback : ByteSize.fromInputUnsafe(given)

const refusalOf = (error: IntakeError | Refusals.Refused): Refusals.Refused => {
  if (error._tag === "Refused") return error
  return new Refusals.Refused({ reason: error._tag === "VerificationError" ? error.reason : error._tag })
}

/** Whether a part of a path is a tenant's id, as it is or with what is special encoded. */
const isSpelt = (part: string): boolean =>
  part !== "" && !/[/;#]/.test(part) &&
  !(part.match(/%[0-9a-f]{2}/gi) ?? []).some((hex) => /[\w.~-]/.test(String.fromCharCode(parseInt(hex.slice(1), 16))))

/** Whether an address has a provider's path as it is written, since routers take other spellings for the same. */
const isExact = (url: string, provider: Pick<Row.Row, "name">): boolean => {
  const [path = ""] = url.split("?", 1)
  const tail = `/webhooks/${provider.name}`
  if (path === tail) return true
  return path.startsWith("/tenants/") && path.endsWith(tail) && isSpelt(path.slice("/tenants/".length, -tail.length))
}

/** How a request is answered: by its ending in one word, or as its provider asks for. */
interface Answered {
  readonly ending: Refusals.Ending
  readonly headers?: Readonly<Record<string, string>>
  readonly reply?: string
}

const ofEnding = (ending: Refusals.Ending): Answered => ({ ending })

const methodsOf = ({ probes = {} }: Pick<Row.Row, "probes">): string => ["POST", ...Object.keys(probes)].join(", ")

const make = Effect.fnUntraced(function*(options: Options) {
  const ingestion = yield* Ingestion
  const intake = yield* Intake
  const providers = yield* Providers
  const limits: Body.Limits = {
    maxBodySize: ByteSize.min(
      sizeOf(options.maxBodySize, defaultMaxBodySize),
      ByteSize.bytes(Inbox.maxBodyBytes)
    ),
    bodyTimeout: options.bodyTimeout ?? defaultBodyTimeout
  }
  const budget = Budget.make(Number(sizeOf(options.maxBodiesInFlight, defaultMaxBodiesInFlight)))
  const { resolveTenant, tenantId: ownTenant = Tenant.defaultTenantId } = options

  const assign = Effect.fnUntraced(function*(request: Unassigned) {
    if (resolveTenant === undefined) return ownTenant
    const resolved = yield* Effect.mapError(
      Effect.suspend(() => resolveTenant(request)),
      () => new Refusals.Refused({ reason: "TenantUnavailable" })
    )
    return Option.isSome(resolved) ? resolved.value : yield* new Refusals.Refused({ reason: "NoTenant" })
  })

  const receive = Effect.fnUntraced(function*(
    provider: Row.OpenRow,
    given: Option.Option<Tenant.TenantId>,
    request: HttpServerRequest.HttpServerRequest,
    lease: Budget.Lease
  ) {
    const verifiedBy = Option.getOrElse(given, () => ownTenant)
    const headers = { ...request.headers }
    if (request.method !== "POST") {
      const probe = provider.probes?.[request.method]
      if (probe === undefined) return yield* new Refusals.Refused({ reason: "MethodNotAllowed" })
      yield* Effect.mapError(intake.knows(provider, verifiedBy), refusalOf)
      const probed: Answered = { ending: "not_mail", headers: probe(headers) }
      return probed
    }
    const publicUrl = PublicUrl.of(request.url, headers, options)
    const read = Effect.gen(function*() {
      const body = yield* Body.read(request, limits, lease)
      const received: Webhook.Received = {
        headers: Encoding.plain(headers),
        body,
        publicUrl,
        receivedAt: yield* DateTime.now
      }
      return received
    })
    const { received, setup, token } = yield* Effect.mapError(
      intake.verify(provider, verifiedBy, read, { headers, publicUrl }),
      refusalOf
    )
    const tenantId = Option.isSome(given) || Option.isSome(setup)
      ? verifiedBy
      : yield* assign({ ...received, provider: provider.name, url: request.url })
    const receipt = yield* ingestion.receive({
      ...received,
      tenantId,
      provider,
      token
    }).pipe(
      Effect.mapError((error) =>
        error._tag === "TokenReplayed"
          ? new Refusals.Refused({ reason: "ReplayedToken" })
          : Refusals.notStored(error)
      )
    )
    yield* Effect.logDebug("webhook received").pipe(
      Effect.annotateLogs({ provider: provider.name, outcome: receipt.outcome, ...receipt.counts })
    )
    const answered: Answered = {
      ending: receipt.outcome,
      ...Option.isSome(setup) && setup.value.reply !== undefined && { reply: setup.value.reply }
    }
    return answered
  })

  const answer = (provider: Row.OpenRow, { ending, headers, reply }: Answered) => {
    const status = isOfRoute(ending) ? statuses[ending] : Answer.status(provider, ending)
    if (reply !== undefined) return HttpServerResponse.text(reply, { status, contentType: "application/json" })
    return HttpServerResponse.text(ending, {
      status,
      ...(headers !== undefined && { headers }),
      ...(ending === "method_not_allowed" && { headers: { allow: methodsOf(provider) } }),
      ...(ending === "unsupported_encoding" && { headers: { "accept-encoding": Encoding.understood } })
    })
  }

  const notFound = HttpServerResponse.text("not_found", { status: Answer.unknownProvider })

  const tellAnswered = (
    of: { readonly tenantId: Tenant.TenantId; readonly provider: Row.Row["name"] },
    ending: Refusals.Ending
  ) => {
    const isRefused = ending === "refused" || ending === "misconfigured"
    const isTold = isRefused || takenAs.some((taken) => taken === ending)
    return isTold && options.onAnswered !== undefined ? options.onAnswered({ ...of, isRefused }) : Effect.void
  }

  const count = ({ name }: Row.OpenRow, outcome: Metrics.Outcome, began: bigint) =>
    Effect.flatMap(Clock.currentTimeNanos, (now) => Metrics.ended(name, outcome, Duration.nanos(now - began)))

  return Effect.gen(function*() {
    const params = yield* HttpRouter.params
    const found = providers.get(params["provider"] ?? "")
    if (Option.isNone(found)) return notFound
    const provider = found.value
    const request = yield* HttpServerRequest.HttpServerRequest
    if (!isExact(request.url, provider)) return notFound
    const tenantId = params["tenantId"] === undefined
      ? Option.some(Option.none<Tenant.TenantId>())
      : Option.map(Tenant.TenantId.makeOption(params["tenantId"]), Option.some)
    if (Option.isNone(tenantId)) return notFound
    const verifiedBy = Option.getOrElse(tenantId.value, () => ownTenant)
    const began = yield* Clock.currentTimeNanos
    const lease = budget.begin()
    const answered = yield* receive(provider, tenantId.value, request, lease).pipe(
      Effect.catchDefect(() => Effect.fail(new Refusals.Refused({ reason: "Died" }))),
      Effect.tap(({ ending }) =>
        count(provider, ending === "duplicate" || ending === "undecodable" ? ending : "accepted", began)
      ),
      Effect.catch((refused) =>
        Refusals.tell(refused, provider, verifiedBy).pipe(
          Effect.andThen(count(provider, "refused", began)),
          Effect.as(ofEnding(Refusals.ending(refused)))
        )
      ),
      Effect.tap(({ ending }) => tellAnswered({ tenantId: verifiedBy, provider: provider.name }, ending)),
      Effect.ensuring(Effect.sync(lease.end))
    )
    return answer(provider, answered)
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
