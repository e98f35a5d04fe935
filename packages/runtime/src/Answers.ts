/**
 * Counts how this process answers webhooks, and adds it again and again to what is known of all processes, so that a secret which
 * does not fit is noticed whichever of them it reaches.
 *
 * A process that dies loses what it has counted within the last minute.
 *
 * @since 0.2.0
 */
import { Alerts } from "@waybill/core"
import { type Cause, Context, type Duration, Effect, Layer, Ref, Schedule } from "effect"
import { annotateReason } from "./internal/reason.ts"

/**
 * A webhook that was answered.
 *
 * @category models
 * @since 0.2.0
 */
export interface Answer extends Pick<Alerts.Answered, "tenantId" | "provider"> {
  /** Whether it was refused for want of a good signature. */
  readonly isRefused: boolean
}

/**
 * The counter of one process.
 *
 * @category services
 * @since 0.2.0
 */
export class Answers extends Context.Service<Answers, {
  /** Counts a webhook that was answered. */
  readonly note: (answer: Answer) => Effect.Effect<void>
}>()("@waybill/runtime/Answers") {}

type Counts = ReadonlyMap<string, Alerts.Answered>

const keyOf = ({ provider, tenantId }: Pick<Alerts.Answered, "tenantId" | "provider">): string =>
  `${tenantId} ${provider}`

const plus = (counts: Counts, more: Alerts.Answered): Counts => {
  const key = keyOf(more)
  const known = counts.get(key)
  return new Map(counts).set(key, {
    tenantId: more.tenantId,
    provider: more.provider,
    answered: more.answered + (known?.answered ?? 0),
    refused: more.refused + (known?.refused ?? 0)
  })
}

const none: Counts = new Map()

/**
 * Counts for as long as the layer lives, and adds what was counted every minute by default, and when it ends; what cannot be added
 * is kept for the next time.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer = (
  options: { readonly every?: Duration.Input } = {}
): Layer.Layer<Answers, never, Alerts.Alerts> =>
  Layer.effect(
    Answers,
    Effect.gen(function*() {
      const alerts = yield* Alerts.Alerts
      const counts = yield* Ref.make(none)
      const add = Effect.uninterruptible(Effect.gen(function*() {
        const counted = Array.from((yield* Ref.getAndSet(counts, none)).values())
        if (counted.length === 0) return
        yield* alerts.noteAnswered(counted).pipe(
          Effect.catchCause((cause: Cause.Cause<unknown>) =>
            Effect.andThen(
              Ref.update(counts, (since) => counted.reduce(plus, since)),
              Effect.logWarning("answers not noted").pipe(annotateReason(cause))
            )
          )
        )
      }))
      yield* Effect.addFinalizer(() => add)
      yield* Effect.forkScoped(Effect.repeat(add, Schedule.spaced(options.every ?? "1 minute")))
      return Answers.of({
        note: ({ isRefused, provider, tenantId }) =>
          Ref.update(counts, (known) => plus(known, { tenantId, provider, answered: 1, refused: isRefused ? 1 : 0 }))
      })
    })
  )
