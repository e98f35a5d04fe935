/** Runs the sides of a comparison in turn, so that what disturbs the machine disturbs them alike. */
import { Effect } from "effect"

/** What one side gave, a figure a round. */
export interface Figures {
  readonly median: number
  readonly lowest: number
  readonly highest: number
  readonly rounds: ReadonlyArray<number>
}

export const quantile = (values: ReadonlyArray<number>, q: number): number => {
  const sorted = values.toSorted((left, right) => left - right)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN
}

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((left, right) => left - right)
  const middle = sorted.length / 2
  return ((sorted[Math.ceil(middle) - 1] ?? Number.NaN) + (sorted[Math.floor(middle)] ?? Number.NaN)) / 2
}

export const figures = (rounds: ReadonlyArray<number>): Figures => ({
  median: median(rounds),
  lowest: Math.min(...rounds),
  highest: Math.max(...rounds),
  rounds
})

/** Runs every side once a round, the first one last in every second round, and gives the figures of each. */
export const alternate = Effect.fnUntraced(function*<Side extends string, A, E, R>(
  rounds: number,
  sides: Readonly<Record<Side, (round: number) => Effect.Effect<A, E, R>>>
) {
  const names = Object.keys(sides).filter((name): name is Side => name in sides)
  const results: Array<readonly [Side, A]> = []
  for (let round = 0; round < rounds; round++) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      globalThis.gc?.()
      results.push([name, yield* sides[name](round)])
    }
  }
  return (side: Side): ReadonlyArray<A> => results.flatMap(([name, result]) => name === side ? [result] : [])
})

/** Runs and gives the seconds it took beside its result. */
export const timed = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
  const began = performance.now()
  const result = yield* effect
  return { result, seconds: (performance.now() - began) / 1000 }
})

/** Runs after a collection, so that the making of what is given to it costs it nothing, and gives the seconds beside its result. */
export const timedAlone = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.andThen(Effect.sync(() => globalThis.gc?.()), timed(effect))
