/** Bounds how many streams are open at once, of each principal and in all, since each looks at the feed for itself. */
import type { Principal } from "../Authentication.ts"

export interface Limits {
  readonly each: number
  readonly all: number
}

export interface Places {
  readonly isFull: (principal: Principal) => boolean
  /** Takes a place; gives what gives it back. */
  readonly take: (principal: Principal) => () => void
}

/** Places of which none is taken. */
export const make = ({ all, each }: Limits): Places => {
  const taken = new Map<string, number>()
  let total = 0
  const keyOf = ({ name, scope }: Principal) => JSON.stringify([scope, name])
  const of = (key: string) => taken.get(key) ?? 0
  return {
    isFull: (principal) => total >= all || of(keyOf(principal)) >= each,
    take: (principal) => {
      const key = keyOf(principal)
      taken.set(key, of(key) + 1)
      total++
      return () => {
        total--
        if (of(key) > 1) taken.set(key, of(key) - 1)
        else taken.delete(key)
      }
    }
  }
}
