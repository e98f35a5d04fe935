/**
 * Answers failures as problems of RFC 9457: `application/problem+json` with the tag of the typed error.
 *
 * `tag` is what a program looks at, `detail` what a person reads. Neither holds an address or anything a request said.
 *
 * @since 0.2.0
 */
import type { Directory, Inbox, LedgerError } from "@waybill/core"
import { Schema } from "effect"
import * as HttpApiError from "effect/http-api/HttpApiError"

const type = "about:blank"

/**
 * The request is not what the contract says: its path, query, headers or body.
 *
 * @category errors
 * @since 0.2.0
 */
export class BadRequest extends HttpApiError.Problem<BadRequest>()("BadRequest", {
  type,
  status: 400,
  title: "Bad Request"
}, { tag: Schema.Literal("BadRequest") }) {}

/**
 * The request has no credential that is in force.
 *
 * @category errors
 * @since 0.2.0
 */
export class Unauthorized extends HttpApiError.Problem<Unauthorized>()("Unauthorized", {
  type,
  status: 401,
  title: "Unauthorized"
}, { tag: Schema.Literal("Unauthorized") }) {}

/**
 * The caller's role does not reach so far.
 *
 * @category errors
 * @since 0.2.0
 */
export class Forbidden extends HttpApiError.Problem<Forbidden>()("Forbidden", {
  type,
  status: 403,
  title: "Forbidden"
}, { tag: Schema.Literals(["RoleTooSmall", "AllTenantsOnly"]) }) {}

/**
 * The caller's tenant has no such thing.
 *
 * @category errors
 * @since 0.2.0
 */
export class NotFound extends HttpApiError.Problem<NotFound>()("NotFound", {
  type,
  status: 404,
  title: "Not Found"
}, { tag: Schema.Literals(["DeliveryNotFound", "EventNotFound", "TenantNotFound", "WebhookNotFound", "NoRoute"]) }) {}

/**
 * The body did not arrive in time.
 *
 * @category errors
 * @since 0.2.0
 */
export class RequestTimeout extends HttpApiError.Problem<RequestTimeout>()("RequestTimeout", {
  type,
  status: 408,
  title: "Request Timeout"
}, { tag: Schema.Literal("RequestTimeout") }) {}

/**
 * What is stored says something else; nothing was written.
 *
 * @category errors
 * @since 0.2.0
 */
export class Conflict extends HttpApiError.Problem<Conflict>()("Conflict", {
  type,
  status: 409,
  title: "Conflict"
}, { tag: Schema.Literals(["DeliveryConflict", "DispatchConflict", "MalformedPayload", "CursorAhead"]) }) {}

/**
 * The delivery has another version than `If-Match` says; nothing was written.
 *
 * @category errors
 * @since 0.2.0
 */
export class PreconditionFailed extends HttpApiError.Problem<PreconditionFailed>()("PreconditionFailed", {
  type,
  status: 412,
  title: "Precondition Failed"
}, { tag: Schema.Literal("StaleDelivery") }) {}

/**
 * The body is larger than is taken.
 *
 * @category errors
 * @since 0.2.0
 */
export class ContentTooLarge extends HttpApiError.Problem<ContentTooLarge>()("ContentTooLarge", {
  type,
  status: 413,
  title: "Content Too Large"
}, { tag: Schema.Literal("ContentTooLarge") }) {}

/**
 * The body is no JSON by its media type.
 *
 * @category errors
 * @since 0.2.0
 */
export class UnsupportedMediaType extends HttpApiError.Problem<UnsupportedMediaType>()("UnsupportedMediaType", {
  type,
  status: 415,
  title: "Unsupported Media Type"
}, { tag: Schema.Literal("UnsupportedMediaType") }) {}

/**
 * What was given cannot be stored exactly, or is not what it says; nothing was written.
 *
 * @category errors
 * @since 0.2.0
 */
export class UnprocessableContent extends HttpApiError.Problem<UnprocessableContent>()("UnprocessableContent", {
  type,
  status: 422,
  title: "Unprocessable Content"
}, { tag: Schema.Literals(["InvalidInput", "ForeignCursor", "LiftRefused"]) }) {}

/**
 * The server failed in a way that nobody foresaw.
 *
 * @category errors
 * @since 0.2.0
 */
export class InternalServerError extends HttpApiError.Problem<InternalServerError>()("InternalServerError", {
  type,
  status: 500,
  title: "Internal Server Error"
}, { tag: Schema.Literal("InternalServerError") }) {}

/**
 * The database does not answer or is not what this program needs, or there is no room for the body now; the request may be
 * sent again.
 *
 * @category errors
 * @since 0.2.0
 */
export class ServiceUnavailable extends HttpApiError.Problem<ServiceUnavailable>()("ServiceUnavailable", {
  type,
  status: 503,
  title: "Service Unavailable"
}, {
  tag: Schema.Literals([
    "LedgerUnavailable",
    "SchemaNotMigrated",
    "SchemaTooNew",
    "LedgerImmutable",
    "OverBudget",
    "TooManyStreams"
  ])
}) {}

/**
 * The problems that any endpoint may answer.
 *
 * @category schemas
 * @since 0.2.0
 */
export const all = [
  BadRequest,
  Unauthorized,
  Forbidden,
  NotFound,
  RequestTimeout,
  Conflict,
  PreconditionFailed,
  ContentTooLarge,
  UnsupportedMediaType,
  UnprocessableContent,
  InternalServerError,
  ServiceUnavailable
] as const

/**
 * A problem.
 *
 * @category models
 * @since 0.2.0
 */
export type Problem = InstanceType<typeof all[number]>

/**
 * The failures of the ports.
 *
 * @category models
 * @since 0.2.0
 */
export type PortError =
  | LedgerError.LedgerError
  | LedgerError.InvalidInput
  | LedgerError.DeliveryNotFound
  | LedgerError.EventNotFound
  | LedgerError.MalformedPayload
  | LedgerError.DeliveryConflict
  | LedgerError.DispatchConflict
  | LedgerError.StaleDelivery
  | LedgerError.CursorAhead
  | LedgerError.LiftRefused
  | Inbox.WebhookNotFound
  | Directory.ForeignCursor

/**
 * The problem by which the failure of a port is answered.
 *
 * @category constructors
 * @since 0.2.0
 */
export const of = (error: PortError): Problem => {
  const detail = error.message
  switch (error._tag) {
    case "InvalidInput":
    case "ForeignCursor":
    case "LiftRefused":
      return new UnprocessableContent({ tag: error._tag, detail })
    case "DeliveryNotFound":
    case "EventNotFound":
    case "WebhookNotFound":
      return new NotFound({ tag: error._tag, detail })
    case "DeliveryConflict":
    case "DispatchConflict":
    case "MalformedPayload":
    case "CursorAhead":
      return new Conflict({ tag: error._tag, detail })
    case "StaleDelivery":
      return new PreconditionFailed({ tag: error._tag, detail })
    default:
      return new ServiceUnavailable({ tag: error._tag, detail })
  }
}
