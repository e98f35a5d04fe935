/**
 * Holds how long what failed on its own waits before it is tried again.
 *
 * An orphan that could not be linked waits so, and so does a webhook that could not be processed (`InboxRow.conclude`). Where a
 * statement notes the waits of many at once, it takes them from `waits`.
 *
 * @since 0.2.0
 */
import { Duration } from "effect"

/**
 * The waits before the next try, by how often it was tried: 1, 5 and 15 minutes, 1, 6 and 24 hours; the last one repeats.
 *
 * @category constants
 * @since 0.2.0
 */
export const waits: readonly [Duration.Duration, ...ReadonlyArray<Duration.Duration>] = [
  Duration.minutes(1),
  Duration.minutes(5),
  Duration.minutes(15),
  Duration.hours(1),
  Duration.hours(6),
  Duration.hours(24)
]

/**
 * The wait before the next try of what was tried so often.
 *
 * @category getters
 * @since 0.2.0
 */
export const waitAfter = (attempts: number): Duration.Duration =>
  waits[Math.min(Math.max(attempts, 1), waits.length) - 1] ?? waits[0]
