/**
 * Names the tenant that every row belongs to and every query is asked for.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

/**
 * A tenant's id: 1 to 255 printable ASCII characters, not `*`.
 *
 * @category schemas
 * @since 0.1.0
 */
export const TenantId = Schema.String.check(
  Schema.isPattern(/^(?!\*$)[!-~]{1,255}$/, {
    message: "must be 1 to 255 printable ASCII characters without spaces, and not *"
  })
).pipe(Schema.brand("TenantId"))

/**
 * A tenant's id.
 *
 * @category models
 * @since 0.1.0
 */
export type TenantId = typeof TenantId.Type

/**
 * The tenant of a user who has only one: `default`.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultTenantId: TenantId = TenantId.make("default")

/**
 * What a maintenance call reaches: one tenant, or all of them, said explicitly.
 *
 * @category models
 * @since 0.1.0
 */
export type Scope = TenantId | All

/**
 * The scope of every tenant.
 *
 * @category models
 * @since 0.1.0
 */
export type All = "*"

/**
 * The scope of every tenant.
 *
 * @category constants
 * @since 0.1.0
 */
export const all: All = "*"

/**
 * Tells whether a scope reaches a tenant.
 *
 * @category predicates
 * @since 0.1.0
 */
export const reaches = (scope: Scope, tenantId: TenantId): boolean => scope === all || scope === tenantId
