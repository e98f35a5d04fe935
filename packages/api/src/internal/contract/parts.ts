/** Defines what several endpoints take and answer. */
import { Event, Inbox, Input, Tenant, type Tokens } from "@waybill/core"
import { Context, Schema } from "effect"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Access from "../../Access.ts"

/** The tenant whose rows a request is about, for a caller of all tenants. */
const tenant = {
  "waybill-tenant": Schema.optionalKey(
    Schema.Union([Tenant.TenantId, Schema.Literal(Tenant.all)]).annotate({
      description: "The tenant, for a token of all tenants; of one tenant, its own alone"
    })
  )
}

/** The headers that every endpoint reads. */
export const headers = tenant

/** An entity tag that holds a version, such as `"3"`, strong or plain. */
const version = Schema.String.check(
  Schema.isPattern(/^(?:"[0-9]{1,9}"|[0-9]{1,9})$/, { message: "must be a version, such as \"3\"" })
)

/** The version that a request demands. */
export const versioned = {
  ...tenant,
  "if-match": Schema.optionalKey(version.annotate({
    description: "The `lockVersion` that the caller has seen; with another one nothing is written (412)"
  }))
}

/** The headers of an answer about one delivery. */
export const tagged = { etag: Schema.String.annotate({ description: "The delivery's `lockVersion`, for `If-Match`" }) }

/** How many rows a page has: 1 to 1,000, by default 100. */
export const limit = Schema.optionalKey(
  Schema.FiniteFromString.check(
    Schema.isInt({ message: "must be a whole number" }),
    Schema.isBetween({ minimum: 1, maximum: 1000 }, { message: "must be 1 to 1000" })
  ).annotate({ description: "How many at most, 1 to 1000 (100)" })
)

/** How many rows an answer has, asked for in a body. */
export const count = Schema.optionalKey(
  Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1000 }, { message: "must be 1 to 1000" })).annotate({
    description: "How many at most, 1 to 1000 (100)"
  })
)

/** The path of what is about one delivery. */
export const deliveryId = { id: Event.DeliveryId }

/** The path of what is about one event. */
export const eventId = { id: Event.EventId }

/** The path of what is about one webhook. */
export const webhookId = { id: Inbox.WebhookId }

/** How many rows a page has by default. */
export const pageSize = 100

/** The most rows of a page. */
export const maxPageSize: number = Math.min(1000, Input.maxLimit)

/** For applications that send. */
export const sending = ["send", "operate"] as const

/** For whoever looks. */
export const looking = ["read", "operate"] as const

/** For whoever has a token. */
export const everybody = ["send", "read", "operate"] as const

/** For whoever acts. */
export const operating = ["operate"] as const

/** Says of an endpoint what it is for and which roles reach it. */
export const about = (
  roles: ReadonlyArray<Tokens.Role>,
  { description, summary }: { readonly summary: string; readonly description?: string }
) =>
  Context.make(Access.Roles, roles).pipe(
    Context.merge(OpenApi.annotations({
      summary,
      description: [description, `For the roles ${roles.map((role) => `\`${role}\``).join(", ")}.`].join(" ").trim()
    }))
  )
