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

/** What stands for an address or a URL that was taken out of a text. */
const hidden = "[hidden]"

/** What holds an address, also encoded, or a URL. */
const telling = /@|%40|\\u0040|[\uff20\ufe6b]|:\/\/|%3a%2f%2f|^(?:www|mailto)[.:]/i

/** An `@` as HTML has it, whose semicolon would part the word. */
const inHtml = /&(?:#0*64|#x0*40|commat);/gi

/** The longest text that is read; what follows is left out. */
const longest = 10_000

/**
 * A text without addresses and URLs, of well-formed characters and at most `maxLength` of them: what may stand in the ledger.
 *
 * A word that holds an `@`, however encoded, is hidden as a whole, as is a quoted name before one. A recipient is known to the
 * ledger by digests alone, so that `forget` finds nothing of it here.
 *
 * @category constructors
 * @since 0.2.0
 */
export const withoutAddresses = (text: string, maxLength: number): string => {
  const plain = text.slice(0, longest).replaceAll("\u0000", "").toWellFormed()
    .replace(inHtml, "@")
    .replace(/"[^"\n]{1,64}"(?=@|%40)/gi, "")
    .replace(/[^\s<>()[\]{},;"|]+/g, (word) => telling.test(word) ? hidden : word)
    .trim()
  return plain.length <= maxLength ? plain : `${plain.slice(0, maxLength - 1)}\u2026`.toWellFormed()
}

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
