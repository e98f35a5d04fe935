/**
 * Holds the address a delivery is for, the only personal data Waybill keeps, and compares addresses without case.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import * as Text from "./Text.ts"

const address = /^[^\p{Cc}]+@[^\s\p{Cc}@<>]+$/u

/**
 * A bare address as it was given: something before an `@`, a domain after it, at most 320 characters.
 *
 * The bound is RFC 3696's: 64 characters before the `@` and 255 after it.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Recipient = Schema.String.check(
  Schema.makeFilter((text: string) =>
    text.length <= 320 && Text.isStorable(text) && address.test(text)
      ? undefined
      : "must be a bare address with an @, at most 320 characters"
  )
).pipe(Schema.brand("Recipient"))

/**
 * A bare address as it was given.
 *
 * @category models
 * @since 0.1.0
 */
export type Recipient = typeof Recipient.Type

/**
 * The form in which addresses are compared: `A` to `Z` in lower case, all else untouched, as PostgreSQL's `"C"` does.
 *
 * @category getters
 * @since 0.1.0
 */
export const folded = (recipient: string): string => recipient.replace(/[A-Z]+/g, (upper) => upper.toLowerCase())

/**
 * The lower-cased part after the last `@`.
 *
 * @category getters
 * @since 0.1.0
 */
export const domain = (recipient: Recipient): string => folded(recipient.slice(recipient.lastIndexOf("@") + 1))

/**
 * Tells whether two addresses are the same without regard to case.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isSame = (left: Recipient, right: Recipient): boolean => folded(left) === folded(right)
