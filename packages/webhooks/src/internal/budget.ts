/** Bounds the bytes of bodies that are in memory at once, so that many large requests cannot exhaust it. */

/** The part of the budget that one request holds. */
export interface Lease {
  /** Takes so many bytes more; false where the budget has no room. A request that alone holds any always has room. */
  readonly take: (bytes: number) => boolean
  /** Gives everything back. */
  readonly end: () => void
}

export interface Budget {
  /** Begins a lease that holds nothing yet. */
  readonly begin: () => Lease
}

/** A budget of so many bytes. */
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
