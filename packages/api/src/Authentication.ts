/**
 * Tells who a request is from. By default that is said by a token of Waybill; an application that has log-ins of its own brings
 * a service of this one method instead.
 *
 * @since 0.2.0
 */
import { Act, type LedgerError, type Tenant, Tokens } from "@waybill/core"
import { Context, Effect, Layer, Option, Redacted } from "effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import { shared } from "./internal/shared.ts"

/**
 * Who a request is from, and what it may do.
 *
 * @category models
 * @since 0.2.0
 */
export interface Principal {
  /** What it is called, such as the name of its token; what it does by hand is recorded with it, so that it names no address. */
  readonly name: string
  readonly role: Tokens.Role
  /** The tenant that it reaches, or `*` for all. */
  readonly scope: Tenant.Scope
}

/**
 * Tells who a request is from.
 *
 * @category services
 * @since 0.2.0
 */
export class Authentication extends Context.Service<Authentication, {
  /**
   * Returns who a request is from; none where it is from nobody that is known. It is asked again while a request streams, so
   * that a stream ends when its caller is no longer let in.
   */
  readonly authenticate: (
    request: HttpServerRequest.HttpServerRequest
  ) => Effect.Effect<Option.Option<Principal>, LedgerError.LedgerError>
}>()("@waybill/api/Authentication") {}

const bearer = /^Bearer +([!-~]+) *$/i

/** The longest text of a token: a tenant's id has at most 255 characters. */
const maxLength = 500

/** The token that a request bears. */
const tokenIn = ({ headers }: Pick<HttpServerRequest.HttpServerRequest, "headers">): Option.Option<string> =>
  Option.filter(
    Option.fromNullishOr(bearer.exec(headers["authorization"] ?? "")?.[1]),
    ({ length }) => length <= maxLength
  )

/** A token of an earlier release may be named as an address is, which no act is recorded with: its id stands for it. */
const nameOf = (id: Tokens.TokenId, name: string): string => Act.namesNoAddress(name) === undefined ? name : id

/**
 * Tells who a request is from by its token of Waybill, which it bears in `Authorization: Bearer`.
 *
 * @category layers
 * @since 0.2.0
 */
export const layerTokens: Layer.Layer<Authentication, never, Tokens.Tokens> = Layer.effect(
  Authentication,
  Effect.map(Tokens.Tokens, (tokens) => {
    const admit = shared((text) => tokens.admit(Redacted.make(text)))
    return Authentication.of({
      authenticate: (request) => {
        const text = tokenIn(request)
        return Option.isNone(text) ? Effect.succeedNone : Effect.map(
          admit(text.value),
          Option.map(({ id, name, role, scope }) => ({ name: nameOf(id, name), role, scope }))
        )
      }
    })
  })
)
