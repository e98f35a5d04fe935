/**
 * Reads JSON as providers send it: fields may be absent or odd, and integers may be too large for a number.
 */
import { Effect, Option, Schema } from "effect"

const tokens = /"[^"\\]*(?:\\[^][^"\\]*)*"|-?\d[\d.eE+-]*/g
const long = /^-?\d{16,}$/

/** Puts integers that a number cannot hold into quotes, so that they arrive as text, digit by digit. */
const lossless = (text: string): string => text.replace(tokens, (token) => (long.test(token) ? `"${token}"` : token))

/** Text that is not JSON never meets the pattern for its tokens, which takes quadratic time on an open string. */
export const parse: (text: string) => Option.Option<unknown> = Option.liftThrowable((text) => {
  const value: unknown = JSON.parse(text)
  return /\d{16}/.test(text) ? JSON.parse(lossless(text)) : value
})

const decoder = new TextDecoder()

export const decodeText = (body: Uint8Array): string => decoder.decode(body)

/** A field that reads as undefined where it is not what it should be. */
export const lenient = <S extends Schema.Constraint>(schema: S) =>
  Schema.optionalKey(Schema.UndefinedOr(schema).pipe(Schema.catchDecoding(() => Effect.succeedSome(undefined))))

export const text = lenient(Schema.String)

export const flag = lenient(Schema.Boolean)

export const texts = lenient(Schema.Array(Schema.String))

/** A text, or a number in its decimal form. */
export const scalar = lenient(Schema.Union([Schema.String, Schema.Finite]))
