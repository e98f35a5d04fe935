/**
 * Says who visits the console, and what that person may do.
 *
 * @since 0.2.0
 */
import type { LedgerError, Tenant, Tokens } from "@waybill/core"
import type { Effect, Option } from "effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"

/**
 * Who visits.
 *
 * @category models
 * @since 0.2.0
 */
export interface Principal {
  /** What the visitor is called; what is done by hand is recorded with it, so that it names no address. */
  readonly name: string
  /** Whether the visitor may change anything. */
  readonly role: Exclude<Tokens.Role, "send">
  /** The tenant that the visitor reaches, or `*` for all. */
  readonly scope: Tenant.Scope
  /** Whether addresses and raw bodies are shown; by default to the role `operate` alone. */
  readonly seesAddresses?: boolean
}

/**
 * Returns who a request is from; none where it is from nobody that is known. It is asked for every request, so that whoever is no
 * longer let in is out at once.
 *
 * @category models
 * @since 0.2.0
 */
export type Authenticate = (
  request: HttpServerRequest.HttpServerRequest
) => Effect.Effect<Option.Option<Principal>, LedgerError.LedgerError>

/**
 * Tells whether a visitor is shown addresses.
 *
 * @category predicates
 * @since 0.2.0
 */
export const seesAddresses = ({ role, seesAddresses }: Principal): boolean => seesAddresses ?? role === "operate"
