/** The waits that a sweep every five minutes with a grace of 60 s gives to orphans that come at any time, in milliseconds. */

const period = 300

const grace = 60

export const waits = (samples = 10_000): ReadonlyArray<number> =>
  Array.from({ length: samples }, (_, index) => {
    const untilTick = period - index * period / samples
    return 1000 * (untilTick >= grace ? untilTick : untilTick + period)
  })
