/**
 * Undoes the content coding of a body (`gzip`, `br`, `deflate`), piece by piece, so that a body that would grow beyond its
 * limit is given up while it grows.
 *
 * What is decoded is what counts from then on: it is verified, stored and read. Providers sign a body before anything on its
 * way compresses it. The coded bytes are never verified instead: the header that names the coding is not signed, so that a
 * signature over some bytes would be good for whatever they decode to as well.
 */
import { Data, Effect, Option } from "effect"
import { createBrotliDecompress, createGunzip, createInflate, createInflateRaw } from "node:zlib"

export type Coding = "gzip" | "br" | "deflate"

/** The codings that are understood, as a response names them. */
export const understood = "gzip, br, deflate"

/** A body that is not what its coding says, or that ends too early. */
export class MalformedEncoding extends Data.TaggedError("MalformedEncoding") {}

/** Judges a piece that was decoded: its length, and that of all so far. What it returns ends the decoding. */
export type Admit<E> = (length: number, total: number) => Option.Option<E>

const names: ReadonlyMap<string, Coding> = new Map<string, Coding>([
  ["gzip", "gzip"],
  ["x-gzip", "gzip"],
  ["br", "br"],
  ["deflate", "deflate"]
])

/** The most codings that one body may have. */
const maxCodings = 3

/** The codings that a header names, in the order in which they are to be undone; none where one is not understood. */
export const codings = (header: string | undefined): Option.Option<ReadonlyArray<Coding>> => {
  const named = (header ?? "").split(",").map((name) => name.trim().toLowerCase())
    .filter((name) => name !== "" && name !== "identity")
  const known = named.flatMap((name) => names.get(name) ?? [])
  return known.length === named.length && known.length <= maxCodings ? Option.some(known.toReversed()) : Option.none()
}

const options = { chunkSize: 65_536 }

/** Whether bytes begin as the zlib format does: some senders mean the bare format by `deflate`. */
const isZlib = ([first = 0, second = 0]: Uint8Array): boolean =>
  (first & 0x0f) === 8 && ((first << 8) | second) % 31 === 0

const decoders = {
  gzip: () => createGunzip(options),
  br: () => createBrotliDecompress(options),
  deflate: (body: Uint8Array) => isZlib(body) ? createInflate(options) : createInflateRaw(options)
}

const undo = <E>(coding: Coding, body: Uint8Array, admit: Admit<E>) =>
  Effect.callback<Uint8Array, E | MalformedEncoding>((resume) => {
    const stream = decoders[coding](body)
    const pieces: Array<Uint8Array> = []
    let total = 0
    stream.on("data", (piece: Uint8Array) => {
      total += piece.length
      const refusal = admit(piece.length, total)
      if (Option.isNone(refusal)) pieces.push(piece)
      else {
        stream.destroy()
        resume(Effect.fail(refusal.value))
      }
    })
    stream.on("error", () => resume(Effect.fail(new MalformedEncoding())))
    stream.on("end", () => resume(Effect.succeed(new Uint8Array(Buffer.concat(pieces)))))
    stream.end(body)
    return Effect.sync(() => void stream.destroy())
  })

/** Undoes the codings of a body, one after the other; each result is judged as it grows. */
export const decode = <E>(
  body: Uint8Array,
  codings: ReadonlyArray<Coding>,
  admit: Admit<E>
): Effect.Effect<Uint8Array, E | MalformedEncoding> => {
  const [coding, ...others] = codings
  return coding === undefined
    ? Effect.succeed(body)
    : Effect.flatMap(undo(coding, body, admit), (decoded) => decode(decoded, others, admit))
}

/** Headers without those that describe a body as it was coded. */
export const plain = (headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> => {
  const { "content-encoding": _coding, "content-length": _length, ...others } = headers
  return others
}
