/**
 * Reads JSON as providers send it: fields may be absent or odd, and integers may be too large for a number.
 */
import { Effect, Option, Schema, SchemaGetter } from "effect"

const tokens = /"[^"\\]*(?:\\[^][^"\\]*)*"|-?\d[\d.eE+-]*/g
const long = /^-?\d{16,}$/

/** Puts integers that a number cannot hold into quotes, so that they arrive as text, digit by digit. */
const lossless = (text: string): string => text.replace(tokens, (token) => (long.test(token) ? `"${token}"` : token))

/** Text that is not JSON never meets the pattern for its tokens, which takes quadratic time on an open string. */
export const parse: (text: string) => Option.Option<unknown> = Option.liftThrowable((text) => {
  const value: unknown = JSON.parse(text)
  return /\d{16}/.test(text) ? JSON.parse(lossless(text)) : value
})

const utf8 = new TextDecoder()

export const decodeText = (body: Uint8Array): string => utf8.decode(body)

/** A field that reads as undefined where it is not what it should be. */
export const lenient = <S extends Schema.Constraint>(schema: S) =>
  Schema.optionalKey(Schema.UndefinedOr(schema).pipe(Schema.catchDecoding(() => Effect.succeedSome(undefined))))

export const text = lenient(Schema.String)

export const flag = lenient(Schema.Boolean)

export const texts = lenient(Schema.Array(Schema.String))

/** One text, or a list of them. */
export const oneOrMore = lenient(Schema.Union([Schema.String, Schema.Array(Schema.String)]))

/** An object with any fields, such as the data that the app gave to a message. */
export const fields = lenient(Schema.Record(Schema.String, Schema.Unknown))

/** The text in a field of an object with any fields. */
export const textIn = (fields: Readonly<Record<string, unknown>> | undefined, name: string): string | undefined => {
  const value = fields?.[name]
  return typeof value === "string" ? value : undefined
}

/** A text, or a number in its decimal form. */
export const scalar = lenient(Schema.Union([Schema.String, Schema.Finite]))

/** An id: a text that is not empty, or a number in its decimal form, as text. */
export const id = lenient(
  Schema.Union([Schema.NonEmptyString, Schema.Finite]).pipe(
    Schema.decodeTo(Schema.String, { decode: SchemaGetter.transform(String), encode: SchemaGetter.transform(String) })
  )
)

/** An object of whatever is in it, such as an app's own data. */
export const bag = lenient(Schema.Record(Schema.String, Schema.Json))

type Decode<A> = (value: unknown) => Option.Option<A>

/**
 * Decodes by a schema that is built when it is first needed: a command that only lists the providers does not wait for it.
 */
export const decoder = <S extends Schema.ConstraintDecoder<unknown>>(schema: () => S): Decode<S["Type"]> => {
  let decode: Decode<S["Type"]> | undefined
  return (value) => (decode ??= Schema.decodeUnknownOption(schema()))(value)
}

/** The values that a decoder returns. */
export type Decoded<D> = D extends Decode<infer A> ? A : never
