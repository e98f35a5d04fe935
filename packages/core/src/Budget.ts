/**
 * Bounds the bytes of bodies that are in memory at once, so that many large requests cannot exhaust it.
 *
 * @since 0.2.0
 */

/**
 * The part of the budget that one request holds.
 *
 * @category models
 * @since 0.2.0
 */
export interface Lease {
  /** Takes so many bytes more; false where the budget has no room. A request that alone holds any always has room. */
  readonly take: (bytes: number) => boolean
  /** Gives everything back. */
  readonly end: () => void
}

/**
 * A bound on the bytes that all requests together hold.
 *
 * @category models
 * @since 0.2.0
 */
export interface Budget {
  /** Begins a lease that holds nothing yet. */
  readonly begin: () => Lease
}

/**
 * Makes a budget of so many bytes.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (limit: number): Budget => {
  let held = 0
  return {
    begin: () => {
      let own = 0
      return {
        take: (bytes) => {
          if (held > own && held + bytes > limit) return false
          own += bytes
          held += bytes
          return true
        },
        end: () => {
          held -= own
          own = 0
        }
      }
    }
  }
}
