/**
 * Reads the body of a request and undoes its content coding, within its limits: its size, as it comes and as it is decoded, the
 * time it takes, and the budget of all bodies in flight.
 *
 * A small body is charged as announced and read in one go. A large one, or one of unknown length, is charged as it comes: who
 * announces much and sends nothing takes no room from others.
 */
import type { Budget } from "@waybill/core"
import { type ByteSize, type Duration, Effect, Option, Stream } from "effect"
import { HttpIncomingMessage, type HttpServerError, type HttpServerRequest } from "effect/http"
import { Refused } from "../Refusals.ts"
import * as Encoding from "./encoding.ts"

export interface Limits {
  readonly maxBodySize: ByteSize.ByteSize
  readonly bodyTimeout: Duration.Input
}

/** The largest body that is charged as announced. */
const smallBody = 65_536

const isTooLarge = ({ reason }: HttpServerError.HttpServerError): boolean =>
  reason._tag === "RequestParseError" && reason.reason === "BodyTooLarge"

/** The length that a request announces; none where it announces none. */
const announced = ({ headers }: HttpServerRequest.HttpServerRequest): number => Number(headers["content-length"])

const overBudget = new Refused({ reason: "OverBudget" })

const whole = (request: HttpServerRequest.HttpServerRequest, maxBodySize: ByteSize.ByteSize) =>
  request.arrayBuffer.pipe(
    Effect.provideService(HttpIncomingMessage.MaxBodySize, maxBodySize),
    Effect.mapBoth({
      onFailure: (error) => new Refused({ reason: isTooLarge(error) ? "TooLarge" : "BrokenOff" }),
      onSuccess: (buffer) => new Uint8Array(buffer)
    })
  )

const joined = (pieces: ReadonlyArray<Uint8Array>, length: number): Uint8Array => {
  const all = new Uint8Array(length)
  let at = 0
  for (const piece of pieces) {
    all.set(piece, at)
    at += piece.length
  }
  return all
}

const piecewise = (request: HttpServerRequest.HttpServerRequest, maxBytes: number, lease: Budget.Lease) =>
  Effect.suspend(() => {
    const pieces: Array<Uint8Array> = []
    let length = 0
    return request.stream.pipe(
      Stream.mapError(() => new Refused({ reason: "BrokenOff" })),
      Stream.runForEach((piece) => {
        length += piece.length
        if (length > maxBytes) return Effect.fail(new Refused({ reason: "TooLarge" }))
        if (!lease.take(piece.length)) return Effect.fail(overBudget)
        pieces.push(piece)
        return Effect.void
      }),
      Effect.map(() => joined(pieces, length))
    )
  })

/** Reads a body; what it holds of the budget is its lease's. */
export const read = (
  request: HttpServerRequest.HttpServerRequest,
  { bodyTimeout, maxBodySize }: Limits,
  lease: Budget.Lease
): Effect.Effect<Uint8Array, Refused> => {
  const codings = Encoding.codings(request.headers["content-encoding"])
  if (Option.isNone(codings)) return Effect.fail(new Refused({ reason: "UnsupportedEncoding" }))
  const length = announced(request)
  if (length > maxBodySize) return Effect.fail(new Refused({ reason: "TooLarge" }))
  const isSmall = length <= smallBody
  if (isSmall && !lease.take(length)) return Effect.fail(overBudget)
  const admit: Encoding.Admit<Refused> = (bytes, total) => {
    if (total > maxBodySize) return Option.some(new Refused({ reason: "TooLarge" }))
    return lease.take(bytes) ? Option.none() : Option.some(overBudget)
  }
  return Effect.timeoutOrElse(
    Effect.flatMap(
      isSmall ? whole(request, maxBodySize) : piecewise(request, Number(maxBodySize), lease),
      (body) => Encoding.decode(body, codings.value, admit)
    ).pipe(Effect.catchTag("MalformedEncoding", () => Effect.fail(new Refused({ reason: "MalformedEncoding" })))),
    { duration: bodyTimeout, orElse: () => Effect.fail(new Refused({ reason: "TooSlow" })) }
  )
}
