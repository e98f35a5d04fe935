/** Tells how old something is; zero if its time lies ahead, as where clocks differ. */
import { DateTime, Duration } from "effect"

/** The time that has gone by since an instant. */
export const ageAt = (now: DateTime.Utc, then: DateTime.Utc): Duration.Duration =>
  Duration.max(Duration.zero, DateTime.distance(then, now))

/** The same in seconds. */
export const secondsAt = (now: DateTime.Utc, then: DateTime.Utc): number => Duration.toSeconds(ageAt(now, then))
