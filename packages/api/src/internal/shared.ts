/** Lets those who ask the same at once share an answer, so that many requests of one caller do not queue for the same row. */
import { Deferred, Effect } from "effect"

/**
 * Asks for a key, at most once at a time. Who asks meanwhile waits for the next asking, which is one for all of them: each answer
 * was asked for after its question came.
 */
export const shared = <A, E>(ask: (key: string) => Effect.Effect<A, E>): (key: string) => Effect.Effect<A, E> => {
  const running = new Set<string>()
  const waiting = new Map<string, Deferred.Deferred<A, E>>()

  const run = (key: string, answer: Deferred.Deferred<A, E>): Effect.Effect<void> =>
    Effect.exit(ask(key)).pipe(
      Effect.flatMap((exit) => Deferred.done(answer, exit)),
      Effect.andThen(Effect.suspend(() => {
        const next = waiting.get(key)
        waiting.delete(key)
        if (next !== undefined) return run(key, next)
        running.delete(key)
        return Effect.void
      }))
    )

  return (key) =>
    Effect.suspend(() => {
      const known = waiting.get(key)
      if (known !== undefined) return Deferred.await(known)
      const answer = Deferred.makeUnsafe<A, E>()
      if (running.has(key)) {
        waiting.set(key, answer)
        return Deferred.await(answer)
      }
      running.add(key)
      // Its own fiber: who asked may go away, and others wait for what it asked.
      return Effect.andThen(Effect.forkDetach(run(key, answer)), Deferred.await(answer))
    })
}
