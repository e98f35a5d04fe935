/** Says why a page is not shown. */
import { Schema } from "effect"

/** A page that is not shown, with its status and words for the visitor. */
export class Refusal extends Schema.TaggedError<Refusal>("@waybill/console/Refusal")("Refusal", {
  status: Schema.Int,
  title: Schema.String,
  detail: Schema.String
}) {}

/** There is no such thing, or it is another tenant's. */
export const notFound = (what: string): Refusal =>
  new Refusal({ status: 404, title: "Not found", detail: `There is no ${what} here.` })

/** The request cannot be understood. */
export const badRequest = (detail: string): Refusal =>
  new Refusal({ status: 400, title: "That cannot be read", detail })

/** The visitor may not do this. */
export const forbidden = (detail: string): Refusal => new Refusal({ status: 403, title: "Not allowed", detail })
