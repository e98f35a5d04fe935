/** Lets requests in by what `Authentication` says of them, within the limits of their bodies, and answers what goes wrong. */
import { Budget, Tenant } from "@waybill/core"
import { ByteSize, Clock, Context, Duration, Effect, Layer, Option, Schema, SchemaIssue } from "effect"
import type * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import { HttpApiSchemaError } from "effect/http-api/HttpApiError"
import type * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpMethod from "effect/http/HttpMethod"
import * as HttpServerError from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { Access, AllTenantsOnly, Answers, Caller, Roles } from "../../Access.ts"
import { Authentication, type Principal } from "../../Authentication.ts"
import * as Problem from "../../Problem.ts"
import * as Requests from "../../Requests.ts"

/** What bounds the body of a request. */
export interface Limits {
  readonly maxBodySize: ByteSize.ByteSize
  readonly bodyTimeout: Duration.Duration
  /** The bytes of all bodies that are read or in hand. */
  readonly maxBodiesInFlight: ByteSize.ByteSize
}

const format = SchemaIssue.makeFormatterStandardSchemaV1()

const slots: Readonly<Record<HttpApiSchemaError["kind"], string>> = {
  Params: "path",
  Headers: "header",
  Query: "query",
  Body: "body",
  Payload: "body",
  ResponseHeaders: "header"
}

/** The first complaint about a request, as `slot.field: rule`; it names no value. */
const complaint = ({ cause, kind }: HttpApiSchemaError): string => {
  const [first] = format(cause.issue).issues
  const path = (first?.path ?? []).map((key) => String(typeof key === "object" ? key.key : key))
  return `${[slots[kind], ...path].join(".")}: ${first?.message ?? "is not what it should be"}`
}

const scopeOf = Schema.decodeUnknownOption(Schema.Union([Schema.Literal(Tenant.all), Tenant.TenantId]))

/** Whose rows a principal asks for. */
const asked = Effect.fnUntraced(function*({ scope }: Principal, header: string | undefined) {
  if (header === undefined) return scope
  const named = scopeOf(header)
  if (Option.isNone(named)) {
    return yield* new Problem.BadRequest({ tag: "BadRequest", detail: "header.waybill-tenant: must be a tenant's id" })
  }
  return scope === Tenant.all || scope === named.value
    ? named.value
    : yield* new Problem.NotFound({ tag: "TenantNotFound", detail: "there is no such tenant" })
})

const isTooLarge = (error: unknown): boolean =>
  HttpServerError.isHttpServerError(error) && error.reason._tag === "RequestParseError" &&
  error.reason.reason === "BodyTooLarge"

const overBudget = new Problem.ServiceUnavailable({ tag: "OverBudget", detail: "too many large requests at once" })

/**
 * Reads the body within its limits; the endpoint then finds it read. It is charged as announced, and one of unknown length once
 * it is read: whoever comes so far is known.
 */
const readBody = (
  request: HttpServerRequest.HttpServerRequest,
  { bodyTimeout, maxBodySize }: Limits,
  lease: Budget.Lease
): Effect.Effect<void, Problem.Problem> => {
  const tooLarge = new Problem.ContentTooLarge({
    tag: "ContentTooLarge",
    detail: `the body is larger than ${ByteSize.format(maxBodySize)}`
  })
  if (!HttpMethod.hasBody(request.method)) return Effect.void
  const announced = request.headers["content-length"]
  const length = Number(announced ?? 0)
  if (length > Number(maxBodySize)) return Effect.fail(tooLarge)
  const mediaType = (request.headers["content-type"] ?? "application/json").split(";", 1)[0]?.trim().toLowerCase()
  if (mediaType !== "application/json") {
    return Effect.fail(
      new Problem.UnsupportedMediaType({ tag: "UnsupportedMediaType", detail: "the body must be application/json" })
    )
  }
  if (!lease.take(length)) return Effect.fail(overBudget)
  return request.text.pipe(
    Effect.provideService(HttpIncomingMessage.MaxBodySize, maxBodySize),
    Effect.mapError((error) =>
      isTooLarge(error)
        ? tooLarge
        : new Problem.BadRequest({ tag: "BadRequest", detail: "the body broke off" })
    ),
    Effect.timeoutOrElse({
      duration: bodyTimeout,
      orElse: () =>
        Effect.fail(new Problem.RequestTimeout({ tag: "RequestTimeout", detail: "the body did not arrive in time" }))
    }),
    Effect.flatMap((text) => announced !== undefined || lease.take(text.length) ? Effect.void : Effect.fail(overBudget))
  )
}

const unforeseen = new Problem.InternalServerError({ tag: "InternalServerError", detail: "the server failed" })

/** Names an endpoint in the log. */
const named = (group: HttpApiGroup.Top, endpoint: HttpApiEndpoint.Top): string =>
  `${group.identifier}.${endpoint.identifier}`

/** Lets requests in, within limits. */
const access = (limits: Limits) =>
  Layer.effect(
    Access,
    Effect.map(Authentication, (authentication) => {
      const budget = Budget.make(Number(limits.maxBodiesInFlight))
      return Access.of({
        bearer: Effect.fnUntraced(function*(endpointEffect, { endpoint }) {
          const request = yield* HttpServerRequest.HttpServerRequest
          const found = yield* Effect.mapError(authentication.authenticate(request), Problem.of)
          if (Option.isNone(found)) {
            return yield* new Problem.Unauthorized({
              tag: "Unauthorized",
              detail: "needs Authorization: Bearer with a token that is in force"
            })
          }
          const principal = found.value
          if (!Context.get(endpoint.annotations, Roles).includes(principal.role)) {
            return yield* new Problem.Forbidden({
              tag: "RoleTooSmall",
              detail: `the role ${principal.role} may not do this`
            })
          }
          if (Context.get(endpoint.annotations, AllTenantsOnly) && principal.scope !== Tenant.all) {
            return yield* new Problem.Forbidden({
              tag: "AllTenantsOnly",
              detail: "this is about the whole installation: it needs a token of all tenants"
            })
          }
          const scope = yield* asked(principal, request.headers["waybill-tenant"])
          const caller = { principal, scope, tenantId: scope === Tenant.all ? Tenant.defaultTenantId : scope }
          const lease = budget.begin()
          return yield* readBody(request, limits, lease).pipe(
            Effect.andThen(Effect.provideService(endpointEffect, Caller, caller)),
            Effect.ensuring(Effect.sync(lease.end))
          )
        })
      })
    })
  )

/** What is answered is the caller's alone, unless the endpoint says how it is kept. */
const unstored = HttpEffect.appendPreResponseHandler((_, response) =>
  Effect.succeed(
    response.headers["cache-control"] === undefined
      ? HttpServerResponse.setHeader(response, "cache-control", "no-store")
      : response
  )
)

/** Answers what goes wrong, and notes how each request ended. */
const answers = Layer.succeed(Answers, (endpointEffect, { endpoint, group }) => {
  const name = named(group, endpoint)
  return Effect.flatMap(Effect.andThen(unstored, Clock.currentTimeNanos), (began) => {
    const count = (status: number) =>
      Effect.flatMap(Clock.currentTimeNanos, (now) => Requests.count(name, status, Duration.nanos(now - began)))
    return endpointEffect.pipe(
      Effect.catchDefect(() =>
        Effect.andThen(
          Effect.logError("api request failed unexpectedly").pipe(
            Effect.annotateLogs({ endpoint: name, reason: "Died" })
          ),
          Effect.fail(unforeseen)
        )
      ),
      Effect.catch((error) => Effect.fail(HttpApiSchemaError.is(error) ? badRequest(error) : error)),
      Effect.tap(({ status }) =>
        Effect.andThen(
          count(status),
          Effect.logDebug("api request answered").pipe(Effect.annotateLogs({ endpoint: name, status }))
        )
      ),
      Effect.tapError((problem) => {
        const refusal = refusalOf(problem)
        return Effect.andThen(
          count(refusal.status),
          Effect.logDebug("api request refused").pipe(Effect.annotateLogs({ endpoint: name, ...refusal }))
        )
      })
    )
  })
})

/** What every endpoint goes through. */
export const layer = (limits: Limits): Layer.Layer<Access | Answers, never, Authentication> =>
  Layer.merge(access(limits), answers)

const badRequest = (error: HttpApiSchemaError): Problem.Problem =>
  error.kind === "Body" || error.kind === "ResponseHeaders"
    ? unforeseen
    : new Problem.BadRequest({ tag: "BadRequest", detail: complaint(error) })

const isProblem = Schema.is(Schema.Union(Problem.all))

const refusalOf = (problem: unknown) =>
  isProblem(problem)
    ? { status: problem.status, reason: problem.tag }
    : { status: unforeseen.status, reason: unforeseen.tag }
