/**
 * Builds the key under which an event or a delivery is stored once per tenant.
 *
 * A key is made of parts, and different parts never give the same key: each part is escaped so that it is printable and
 * holds no separator, and nothing is ever cut off. Parts that do not fit are refused; digest them first.
 *
 * @since 0.1.0
 */
import { type Option, Schema } from "effect"

/**
 * A key: 1 to 512 printable ASCII characters.
 *
 * @category schemas
 * @since 0.1.0
 */
export const IdempotencyKey = Schema.String.check(
  Schema.isPattern(/^[!-~]{1,512}$/, { message: "must be 1 to 512 printable ASCII characters without spaces" })
).pipe(Schema.brand("IdempotencyKey"))

/**
 * A key under which something is stored once per tenant.
 *
 * @category models
 * @since 0.1.0
 */
export type IdempotencyKey = typeof IdempotencyKey.Type

/** The first parts of the keys that only the ledger writes. */
const reserved = /^(?:queued|dispatched|deferred|failed|reconciled|suppressed):/

/**
 * A key that a caller may choose: one that the ledger does not write itself.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Chosen = IdempotencyKey.check(
  Schema.makeFilter((
    key: string
  ) => (reserved.test(key) ? "must not begin with a prefix of the ledger's own" : undefined))
)

const unit = (code: number): string => `%${code.toString(16).padStart(4, "0")}`

/** Escapes `%`, `:`, space and all that is not printable ASCII, one UTF-16 unit at a time, so that it can be undone. */
const escape = (part: string): string =>
  part.replace(
    /[^!-~]|[%:]/g,
    (unsafe) => Array.from({ length: unsafe.length }, (_, index) => unit(unsafe.charCodeAt(index))).join("")
  )

/**
 * Joins parts into a key; none where the key would be empty or longer than 512 characters.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromParts = (parts: readonly [string, ...ReadonlyArray<string>]): Option.Option<IdempotencyKey> =>
  IdempotencyKey.makeOption(parts.map(escape).join(":"))

/**
 * The key of an event that the ledger writes itself, at most once for its subject.
 *
 * @category constructors
 * @since 0.1.0
 */
export const ofOwn = (
  type: "queued" | "dispatched" | "deferred" | "failed" | "reconciled" | "suppressed",
  subject: string
): IdempotencyKey => IdempotencyKey.make(`${type}:${subject}`)
