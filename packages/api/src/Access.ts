/**
 * Lets a request in: middleware of the contract that demands a caller who is known, a role that reaches, and a tenant that is
 * the caller's.
 *
 * The tenant of a request is that of its caller. A caller of all tenants names one in the header `Waybill-Tenant`; without it
 * lists reach all tenants, and what is one tenant's is `default`'s.
 *
 * @since 0.2.0
 */
import type { Tenant, Tokens } from "@waybill/core"
import { Context } from "effect"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSecurity from "effect/http-api/HttpApiSecurity"
import type * as Authentication from "./Authentication.ts"
import * as Problem from "./Problem.ts"

/**
 * The roles that reach an endpoint, where it says nothing else: `operate` alone.
 *
 * @category annotations
 * @since 0.2.0
 */
export const Roles = Context.Reference<ReadonlyArray<Tokens.Role>>("@waybill/api/Access/Roles", {
  defaultValue: () => ["operate"]
})

/**
 * Whether an endpoint is about the whole installation, so that a caller of one tenant is refused.
 *
 * @category annotations
 * @since 0.2.0
 */
export const AllTenantsOnly = Context.Reference<boolean>("@waybill/api/Access/AllTenantsOnly", {
  defaultValue: () => false
})

/**
 * Who calls, and about whose rows.
 *
 * @category services
 * @since 0.2.0
 */
export class Caller extends Context.Service<Caller, {
  readonly principal: Authentication.Principal
  /** The tenant that was asked for, or `*` for all. */
  readonly scope: Tenant.Scope
  /** The tenant of what is one tenant's. */
  readonly tenantId: Tenant.TenantId
}>()("@waybill/api/Access/Caller") {}

/**
 * Lets a request in, and tells its endpoint who calls.
 *
 * @category middleware
 * @since 0.2.0
 */
export class Access extends HttpApiMiddleware.Service<Access, { provides: Caller }>()("@waybill/api/Access", {
  error: Problem.all,
  security: { bearer: HttpApiSecurity.bearer },
  requiredForClient: true
}) {}

/**
 * Answers whatever goes wrong as a problem, and notes how a request ended.
 *
 * @category middleware
 * @since 0.2.0
 */
export class Answers extends HttpApiMiddleware.Service<Answers>()("@waybill/api/Access/Answers", {
  error: Problem.all
}) {}
