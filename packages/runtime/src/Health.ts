/**
 * Keeps the figures by which the health of mail is told: follows the feed at the times of a cron, on each tick by one of all nodes.
 *
 * A node that is stopped within a tick loses nothing: what was counted and how far was followed are kept together.
 *
 * @since 0.2.0
 */
import { Figures, type LedgerError, type Ticks } from "@waybill/core"
import { Effect, type Layer } from "effect"
import * as Schedules from "./Schedules.ts"

/**
 * The cron of following by default: every minute.
 *
 * @category constants
 * @since 0.2.0
 */
export const defaultCron = "* * * * *"

/**
 * The schedule's name by default.
 *
 * @category constants
 * @since 0.2.0
 */
export const defaultSchedule = "figures"

const job = Schedules.job({
  name: defaultSchedule,
  cron: defaultCron,
  work: (_: object, onStep: (events: number) => Effect.Effect<void>) => Figures.followToNow(onStep),
  counts: (events) => ({ events })
})

/**
 * Follows the feed at the times of a cron.
 *
 * @category layers
 * @since 0.2.0
 */
export const layerCron = (
  options: Schedules.When = {}
): Layer.Layer<never, Schedules.InvalidCron | LedgerError.InvalidInput, Figures.Figures | Ticks.Ticks> =>
  job.layerCron(options)

/**
 * Follows the feed to now, and returns the figures of a window.
 *
 * @category reading
 * @since 0.2.0
 */
export const figures = Effect.fn("Health.figures")(function*(
  query: Figures.Query,
  onStep?: (events: number) => Effect.Effect<void>
) {
  yield* Figures.check(query)
  yield* Figures.followToNow(onStep)
  return yield* Figures.Figures.use(({ read }) => read(query))
})
