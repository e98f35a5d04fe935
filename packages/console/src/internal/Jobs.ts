/** Runs acts on many things, one after the other, with a progress that is seen and can be cancelled. Jobs live in this process. */
import type { Tenant } from "@waybill/core"
import { Cause, Clock, Context, DateTime, Effect, Fiber, Layer, Option, Ref, Stream } from "effect"
import { SecureRandom } from "effect/crypto"

/** How a job stands. */
export interface Progress {
  readonly state: "running" | "done" | "cancelled" | "failed"
  /** How many things it tried. */
  readonly tried: number
  /** How many of them it changed; the rest were not as they had been any more. */
  readonly changed: number
  /** How many could not be changed. */
  readonly failed: number
  /** Why the last of them could not be. */
  readonly lastError: Option.Option<string>
  readonly endedAt: Option.Option<DateTime.Utc>
}

/** A job. */
export interface Job {
  readonly id: string
  readonly tenantId: Tenant.TenantId
  /** Who runs it. */
  readonly actor: string
  /** What it does, such as `Dismiss orphans`. */
  readonly title: string
  /** The path of the page that it began at. */
  readonly from: string
  /** How many things it is about, as it was counted before. */
  readonly total: number
  readonly beganAt: DateTime.Utc
  readonly progress: Effect.Effect<Progress>
  readonly cancel: Effect.Effect<void>
}

/** What a new job is about. */
export interface NewJob<R> extends Pick<Job, "tenantId" | "actor" | "title" | "from" | "total"> {
  readonly things: Stream.Stream<string, { readonly message: string }, R>
  /** Does it to one; false where there was nothing to do. */
  readonly act: (thing: string) => Effect.Effect<boolean, { readonly message: string }, R>
}

/** The jobs of this process. */
export class Jobs extends Context.Service<Jobs, {
  readonly start: <R>(job: NewJob<R>) => Effect.Effect<Job, never, R>
  /** Returns a job of a tenant. */
  readonly find: (tenantId: Tenant.TenantId, id: string) => Effect.Effect<Option.Option<Job>>
  /** Returns the jobs of a tenant, the last that began first. */
  readonly list: (tenantId: Tenant.TenantId) => Effect.Effect<ReadonlyArray<Job>>
}>()("@waybill/console/Jobs") {}

/** How many jobs are kept, the last that began. */
const most = 200

/** How long the start of a job waits for its end, so that a small one has ended when its page is shown. */
const patience = "800 millis"

/** The jobs of this process, which end with it. */
export const layer: Layer.Layer<Jobs> = Layer.effect(
  Jobs,
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const random = yield* SecureRandom.SecureRandom
    const jobs = new Map<string, Job>()

    const start = Effect.fnUntraced(function*<R>({ act, things, ...job }: NewJob<R>) {
      const id = yield* random.uuidV7()
      const beganAt = yield* DateTime.now
      const progress = yield* Ref.make<Progress>({
        state: "running",
        tried: 0,
        changed: 0,
        failed: 0,
        lastError: Option.none(),
        endedAt: Option.none()
      })
      const end = (state: Exclude<Progress["state"], "running">, error: Option.Option<string>) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) =>
          Ref.update(progress, (last) => ({
            ...last,
            state,
            lastError: Option.orElse(error, () => last.lastError),
            endedAt: Option.some(DateTime.makeUnsafe(now))
          })))
      const one = (thing: string) =>
        act(thing).pipe(
          Effect.flatMap((changed) =>
            Ref.update(progress, (last) => ({
              ...last,
              tried: last.tried + 1,
              changed: last.changed + (changed ? 1 : 0)
            }))
          ),
          Effect.catch(({ message }) =>
            Ref.update(progress, (last) => ({
              ...last,
              tried: last.tried + 1,
              failed: last.failed + 1,
              lastError: Option.some(message)
            }))
          )
        )
      const work = Stream.runForEach(things, one).pipe(
        Effect.matchCauseEffect({
          onSuccess: () => end("done", Option.none()),
          onFailure: (cause) =>
            Cause.hasInterrupts(cause)
              ? end("cancelled", Option.none())
              : end("failed", Option.map(Cause.findErrorOption(cause), ({ message }) => message))
        })
      )
      const fiber = yield* Effect.forkIn(work, scope)
      const made: Job = {
        ...job,
        id,
        beganAt,
        progress: Ref.get(progress),
        // The fiber was let go before it began where it has no end of its own.
        cancel: Effect.andThen(
          Fiber.interrupt(fiber),
          Effect.flatMap(
            Ref.get(progress),
            ({ state }) => state === "running" ? end("cancelled", Option.none()) : Effect.void
          )
        )
      }
      jobs.set(id, made)
      for (const old of [...jobs.keys()].slice(0, Math.max(jobs.size - most, 0))) jobs.delete(old)
      yield* Effect.timeoutOption(Fiber.await(fiber), patience)
      return made
    })

    return Jobs.of({
      start,
      find: (tenantId, id) =>
        Effect.sync(() => Option.filter(Option.fromUndefinedOr(jobs.get(id)), (job) => job.tenantId === tenantId)),
      list: (tenantId) => Effect.sync(() => [...jobs.values()].filter((job) => job.tenantId === tenantId).toReversed())
    })
  })
).pipe(Layer.provide(SecureRandom.layerWebCrypto))
