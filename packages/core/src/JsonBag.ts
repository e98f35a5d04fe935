/**
 * Holds small JSON objects that every adapter stores and gives back unchanged.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import * as Text from "./Text.ts"

/**
 * A small JSON object.
 *
 * @category models
 * @since 0.1.0
 */
export type JsonBag = { readonly [key: string]: Schema.Json }

/**
 * The largest bag, in UTF-16 units of its JSON text.
 *
 * @category constants
 * @since 0.1.0
 */
export const maxLength = 65_536

/**
 * The deepest nesting of a bag.
 *
 * @category constants
 * @since 0.1.0
 */
export const maxDepth = 32

const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

const isStorable = (value: unknown, depth: number): boolean => {
  switch (typeof value) {
    case "string":
      return Text.isStorable(value)
    case "number":
      return Number.isFinite(value) && !Object.is(value, -0)
    case "boolean":
      return true
    case "object":
      if (value === null) return true
      if (depth === maxDepth) return false
      if (Array.isArray(value)) return Array.from<unknown>(value).every((item) => isStorable(item, depth + 1))
      return isPlain(value) &&
        Object.entries(value).every(([key, item]) =>
          key !== "__proto__" && Text.isStorable(key) && isStorable(item, depth + 1)
        )
    default:
      return false
  }
}

/**
 * Tells whether a value is a bag: a plain JSON object of at most 65,536 characters, 32 deep, without NUL, lone
 * surrogates, `-0` or a key `__proto__`, which not every store gives back as they were.
 *
 * @category guards
 * @since 0.1.0
 */
export const isJsonBag = (value: unknown): value is JsonBag =>
  typeof value === "object" && value !== null && !Array.isArray(value) && isStorable(value, 0) &&
  JSON.stringify(value).length <= maxLength

/**
 * What `isJsonBag` asks for, in words.
 *
 * @category constants
 * @since 0.1.0
 */
export const message =
  `must be a JSON object of at most ${maxLength} characters, ${maxDepth} deep, without NUL, lone surrogates, -0 or __proto__`

/**
 * A small JSON object, as `isJsonBag` checks it.
 *
 * @category schemas
 * @since 0.1.0
 */
export const JsonBag = Schema.declare(isJsonBag, { message })

/**
 * The bag with nothing in it.
 *
 * @category constants
 * @since 0.1.0
 */
export const empty: JsonBag = Object.freeze({})
