/** Reads what a request asks for, and answers the failures of ports, the same in every handler. */
import type { Delivery } from "@waybill/core"
import { Effect, Option } from "effect"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as Problem from "../../Problem.ts"
import * as parts from "../contract/parts.ts"

/** Answers the failures of a port as problems. */
export const answered = <A, R>(effect: Effect.Effect<A, Problem.PortError, R>): Effect.Effect<A, Problem.Problem, R> =>
  Effect.mapError(effect, Problem.of)

/** The version that `If-Match` demands. */
export const expectedVersion = (
  { "if-match": version }: { readonly "if-match"?: string }
): Option.Option<number> => Option.map(Option.fromUndefinedOr(version), (text) => Number(text.replaceAll("\"", "")))

/** An answer about a delivery, with its version. */
export const tagged = <A extends { readonly delivery: Delivery.Delivery }>(body: A) =>
  HttpApiSchema.withHeaders({ body, headers: { etag: `"${body.delivery.lockVersion}"` } })

/** How many rows a page has. */
export const pageSize = ({ limit }: { readonly limit?: number }): number => limit ?? parts.pageSize

/** Where the page after this one begins; none where this one is the last. */
export const next = <A, B>(rows: ReadonlyArray<A>, size: number, placeOf: (row: A) => B): Option.Option<B> =>
  rows.length < size ? Option.none() : Option.map(Option.fromUndefinedOr(rows.at(-1)), placeOf)
