/** One visit of a page: who visits, about which tenant, and what the address of the page says. */
import { Tenant } from "@waybill/core"
import { Effect, Option, Schema } from "effect"
import { createHmac, timingSafeEqual } from "node:crypto"
import * as Principal from "../Principal.ts"
import * as Refusal from "./Refusal.ts"

/** One visit of a page. */
export interface Visit {
  /** The path that the console is mounted at, without a slash at its end. */
  readonly base: string
  /** The path of the page below it. */
  readonly path: string
  readonly query: URLSearchParams
  readonly principal: Principal.Principal
  readonly tenantId: Tenant.TenantId
  /** The proof that a form comes from a page of this visitor. */
  readonly proof: string
  /** Whether the console has a log-out of its own. */
  readonly hasLogOut: boolean
}

/** What the address of a page says, without what is empty. */
export type Query = Readonly<Record<string, string | number | undefined>>

const search = (query: Query): string => {
  const given = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") given.append(name, String(value))
  }
  const text = given.toString()
  return text === "" ? "" : `?${text}`
}

/** The address of a page about the tenant of this one. */
export const link = ({ base, principal, tenantId }: Visit, path: string, query: Query = {}): string =>
  `${base}${path}${search({ ...principal.scope === Tenant.all && { tenant: tenantId }, ...query })}`

/** The address of this page with something else in its query. */
export const here = (visit: Visit, changes: Query): string =>
  link(visit, visit.path, { ...Object.fromEntries(visit.query), ...changes })

/** What the address says under a name, where it says anything. */
export const asked = ({ query }: Pick<Visit, "query">, name: string): Option.Option<string> =>
  Option.filter(Option.fromNullishOr(query.get(name)?.trim()), (text) => text !== "")

/** What the address says under a name, if it is one of a closed set. */
export const choice = <A extends string>(
  visit: Pick<Visit, "query">,
  name: string,
  schema: Schema.Codec<A, A>
): Effect.Effect<Option.Option<A>, Refusal.Refusal> => parsed(visit, name, schema, "is none that there is")

/** What the address says under a name, as a schema reads it. */
export const parsed = <A>(
  visit: Pick<Visit, "query">,
  name: string,
  schema: Schema.Codec<A, string>,
  issue: string
): Effect.Effect<Option.Option<A>, Refusal.Refusal> =>
  Option.match(asked(visit, name), {
    onNone: () => Effect.succeedNone,
    onSome: (text) =>
      Effect.mapBoth(Schema.decodeUnknownEffect(schema)(text), {
        onFailure: () => Refusal.badRequest(`${name}: ${issue}.`),
        onSuccess: Option.some
      })
  })

const tenantOf = Schema.decodeUnknownOption(Tenant.TenantId)

/** The tenant of a visit: the visitor's own, or the one that the address names; there is no other for a visitor of one tenant. */
export const tenantFor = (
  { scope }: Principal.Principal,
  query: URLSearchParams
): Effect.Effect<Tenant.TenantId, Refusal.Refusal> => {
  const text = query.get("tenant")
  const named = text === null || text === ""
    ? Option.some(scope === Tenant.all ? Tenant.defaultTenantId : scope)
    : tenantOf(text)
  return Option.isSome(named) && Tenant.reaches(scope, named.value)
    ? Effect.succeed(named.value)
    : Effect.fail(Refusal.notFound("such tenant"))
}

/** The proof that a form comes from a page of whoever has these cookies. */
export const proofOf = (key: string, session: string): string =>
  createHmac("sha256", key).update(session).digest("base64url")

/** Compares two texts in a time that tells nothing of them. */
export const isSame = (left: string, right: string): boolean => {
  const [one, other] = [Buffer.from(left), Buffer.from(right)]
  return one.length === other.length && timingSafeEqual(one, other)
}

/** Whether the visitor may change anything. */
export const mayAct = ({ principal }: Pick<Visit, "principal">): boolean => principal.role === "operate"

/** Whether the visitor is shown addresses. */
export const seesAddresses = ({ principal }: Pick<Visit, "principal">): boolean => Principal.seesAddresses(principal)
