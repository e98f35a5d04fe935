/**
 * Says which text every adapter stores exactly as it was given.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

/**
 * Tells whether a text can be stored exactly: well-formed UTF-16 without NUL, which PostgreSQL refuses.
 *
 * @category guards
 * @since 0.1.0
 */
export const isStorable = (text: string): boolean => text.isWellFormed() && !text.includes("\u0000")

/**
 * Text of 1 to `maxLength` UTF-16 units that every adapter stores exactly.
 *
 * @category schemas
 * @since 0.1.0
 */
export const bounded = (maxLength: number) =>
  Schema.String.check(
    Schema.makeFilter((text: string) =>
      text.length > 0 && text.length <= maxLength && isStorable(text)
        ? undefined
        : `must be 1 to ${maxLength} characters of well-formed text without NUL`
    )
  )

/**
 * Orders texts by their code points, which is the order of their bytes in UTF-8 and that of PostgreSQL's `"C"`.
 *
 * @category ordering
 * @since 0.2.0
 */
export const compare = (left: string, right: string): number => {
  const length = Math.min(left.length, right.length)
  for (let index = 0; index < length; index++) {
    if (left.charCodeAt(index) === right.charCodeAt(index)) continue
    return (left.codePointAt(index) ?? 0) - (right.codePointAt(index) ?? 0)
  }
  return left.length - right.length
}
