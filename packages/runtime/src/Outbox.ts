/**
 * Sends the deliveries that wait to be sent, by the app's own `send`: an outbox, of which nothing but the delivery is stored.
 *
 * A delivery that is recorded inside the app's own transaction waits from its commit on, so that it is sent if the transaction
 * committed and only then. Any number of processes may run an outbox over one ledger: each delivery is claimed by one of them at a
 * time, and a process that ends before its claim does leaves it to the others.
 *
 * A delivery is sent at least once. A process that dies between the send and the note of it leaves a delivery that is sent again
 * when its claim ends, unless the provider's report, echoing the delivery's id, has come before. A `send` that gives the provider
 * the delivery's id as an idempotency key makes that once, where the provider knows such keys.
 *
 * Whom a complaint, a bounce or a person has suppressed since the record is not sent to: the delivery is noted as suppressed. One
 * that was recorded in spite of a suppression is sent.
 *
 * A process that is stopped claims nothing more, gives the sends in hand ten seconds to end, and notes them.
 *
 * @since 0.2.0
 */
import {
  Delivery,
  Ledger,
  type LedgerError,
  type Provider,
  Suppression,
  Suppressions,
  Tenant,
  Unsent
} from "@waybill/core"
import * as Attributes from "@waybill/core/Attributes"
import { DateTime, Duration, Effect, Fiber, FiberSet, Layer, Option, Schedule, Schema, Semaphore } from "effect"
import * as Arr from "effect/Array"
import { annotateReason } from "./internal/reason.ts"
import * as Metrics from "./Metrics.ts"

/**
 * A `send` did not hand the delivery to its provider.
 *
 * @category errors
 * @since 0.2.0
 */
export class SendFailed extends Schema.TaggedError<SendFailed>("@waybill/runtime/SendFailed")("SendFailed", {
  /** A short word for what happened, by which failures can be counted. */
  code: Delivery.Fail.fields.error.fields.code,
  /** A sentence about it; addresses and URLs are taken out before it is kept. */
  message: Schema.optionalKey(Schema.String),
  /** Whether another attempt is of no use; the delivery is then given up. */
  final: Schema.optionalKey(Schema.Boolean)
}) {}

/**
 * The answer of the provider that took a delivery.
 *
 * @category models
 * @since 0.2.0
 */
export interface Sent {
  readonly provider: Provider.Provider
  /** The message id that its send call gave. */
  readonly providerMessageId: string
}

/**
 * How an outbox works.
 *
 * @category models
 * @since 0.2.0
 */
export interface Options<R = never> {
  /** Hands a delivery to a provider. It finds what the message says by the delivery: its id, mailable and metadata. */
  readonly send: (delivery: Delivery.Delivery, attempt: number) => Effect.Effect<Sent, SendFailed, R>
  /** Whose deliveries are sent; those of all tenants by default. */
  readonly scope?: Tenant.Scope
  /**
   * How long a delivery is left to who recorded it, one minute by default. Where nothing else sends, it may be zero; where the app
   * sends on its own and the outbox takes up what a crash left, it has to be longer than the app's own send takes.
   */
  readonly grace?: Duration.Input
  /** How long a claim lasts, five minutes by default; a send is interrupted after three quarters of it. */
  readonly lease?: Duration.Input
  /** How many are sent at the same time, ten by default. */
  readonly concurrency?: number
  /** After how many attempts a delivery is given up, seven by default. The waits between them are those of `Retry.waits`. */
  readonly attempts?: number
  /** How often it is asked for what waits, when nothing did: every second by default. */
  readonly interval?: Duration.Input
}

/**
 * The counts of one round.
 *
 * @category models
 * @since 0.2.0
 */
export interface Round {
  /** How many deliveries were claimed. */
  readonly claimed: number
  /** How many were sent, and noted so. */
  readonly sent: number
  /** How many failed, those that were given up among them. */
  readonly failed: number
  /** How many were not sent, since their recipient was suppressed after the record. */
  readonly suppressed: number
}

const defaultConcurrency = 10

/** How long the sends in hand may still take when a process is stopped, the notes of them included. */
const stopsWithin = Duration.seconds(10)

/** How the note of a send is tried again. */
const again = Schedule.min([
  Schedule.jittered(Schedule.exponential("100 millis")),
  Schedule.jittered(Schedule.spaced("5 seconds"))
])

/**
 * Notes again what the database could not take, until the claim ends: from then on another process may have the delivery. A try
 * is not broken off, a wait between two is.
 */
const persistently = <A, E extends { readonly _tag: string }, R>(
  note: Effect.Effect<A, E, R>,
  until: DateTime.Utc
): Effect.Effect<A, E, R> =>
  Effect.catch(note, (error) =>
    error._tag !== "LedgerUnavailable" ? Effect.fail(error) : Effect.interruptible(
      Effect.retry(Effect.uninterruptible(note), {
        schedule: again,
        while: ({ _tag }) =>
          Effect.map(DateTime.now, (now) => _tag === "LedgerUnavailable" && DateTime.isLessThan(now, until))
      }).pipe(Effect.delay("100 millis"))
    ))

/** Gives what is in hand a bounded time to end by itself where it is interrupted. */
const lingering = <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      Effect.forkChild(work),
      (fiber) =>
        Effect.onInterrupt(restore(Fiber.join(fiber)), () =>
          Effect.gen(function*() {
            const ending = yield* Effect.forkChild(Effect.andThen(Effect.sleep(stopsWithin), Fiber.interrupt(fiber)))
            yield* Fiber.await(fiber)
            yield* Fiber.interrupt(ending)
          }))
    )
  )

type Ending = "sent" | "failed" | "suppressed" | "passed"

const passed: Ending = "passed"

interface Held extends Unsent.Claimed {
  readonly until: DateTime.Utc
  /** Why it is not to be sent, if so. */
  readonly block: Suppression.Reason | undefined
}

/** Whether a delivery was recorded in spite of a suppression. */
const ignoresSuppression = Effect.fnUntraced(function*({ id, tenantId }: Delivery.Delivery) {
  const timeline = yield* Ledger.Ledger.use((ledger) => ledger.timeline({ tenantId, deliveryId: id }))
  return timeline.some(({ event: { metadata, provider } }) =>
    Option.isNone(provider) && metadata["ignored_suppression"] !== undefined
  )
})

/** Why claimed deliveries are not to be sent, by their ids: one question for each tenant, or each thousand of its addresses. */
const blocksOf = Effect.fnUntraced(function*(claims: ReadonlyArray<Unsent.Claimed>, until: DateTime.Utc) {
  const suppressions = yield* Suppressions.Suppressions
  const blocks = new Map<string, Suppression.Reason>()
  for (const [tenantId, own] of Map.groupBy(claims, ({ delivery }) => delivery.tenantId)) {
    const named = own.flatMap(({ delivery }) =>
      Option.toArray(Option.map(delivery.recipient, (recipient) => ({ delivery, recipient })))
    )
    for (const part of Arr.chunksOf(named, Suppressions.maxRecipients)) {
      const recipients = Array.from(new Set(part.map(({ recipient }) => recipient)))
      const held = Map.groupBy(
        yield* persistently(suppressions.check({ tenantId, recipients, stream: Option.none() }), until),
        ({ recipient }) => Option.getOrUndefined(recipient)
      )
      for (const { delivery, recipient } of part) {
        const block = Suppression.blockOf(held.get(recipient) ?? [], delivery.stream)
        if (Option.isNone(block) || (yield* persistently(ignoresSuppression(delivery), until))) continue
        blocks.set(delivery.id, block.value.reason)
      }
    }
  }
  return blocks
})

/** What an outbox works with. */
type Services = Ledger.Ledger | Suppressions.Suppressions | Unsent.Unsent

/** What claims deliveries, and what sends one of them and notes it. */
const worker = Effect.fnUntraced(function*<R>(options: Options<R>) {
  const ledger = yield* Ledger.Ledger
  const unsent = yield* Unsent.Unsent
  const { attempts = 7, grace = "1 minute", lease = "5 minutes", scope = Tenant.all, send } = options
  const ends = Duration.fromInputUnsafe(lease)

  const claim = Effect.fnUntraced(function*(limit: number) {
    const now = yield* DateTime.now
    const until = DateTime.addDuration(now, ends)
    const dueTo = DateTime.subtractDuration(now, Duration.fromInputUnsafe(grace))
    const claims = yield* unsent.claim({ scope, limit, dueTo, until })
    const blocks = yield* blocksOf(claims, until)
    return claims.map(({ attempt, delivery }): Held => ({ attempt, delivery, until, block: blocks.get(delivery.id) }))
  })

  const suppress = ({ delivery: { id, tenantId }, until }: Held, reason: Suppression.Reason) =>
    persistently(
      ledger.suppress({ tenantId, deliveryId: id, because: Option.some(reason), expectedVersion: Option.none() }),
      until
    ).pipe(
      Effect.as<Ending>("suppressed"),
      Effect.catchTag(["DispatchConflict", "DeliveryNotFound"], () => Effect.succeed<Ending>("passed"))
    )

  const attemptOnce = ({ attempt, delivery }: Held) =>
    send(delivery, attempt).pipe(
      Effect.timeoutOrElse({
        duration: Duration.times(ends, 0.75),
        orElse: () => Effect.fail(new SendFailed({ code: "timeout", message: "the send took too long" }))
      }),
      // What a defect says may hold an address or a body.
      Effect.catchDefect((defect) =>
        Effect.andThen(
          Effect.logError("sending a delivery died").pipe(
            Attributes.annotateLogs({ tenant_id: delivery.tenantId, reason: "Died" })
          ),
          Effect.fail(new SendFailed({ code: "died", message: defect instanceof Error ? defect.name : "a defect" }))
        )
      )
    )

  const note = ({ attempt, delivery: { id, tenantId }, until }: Held, error: SendFailed) => {
    const final = error.final === true || attempt >= attempts
    const failure = ledger.fail({
      tenantId,
      deliveryId: id,
      error: { code: error.code, message: Option.fromUndefinedOr(error.message) },
      final,
      attempt: Option.some(attempt),
      expectedVersion: Option.none()
    })
    return persistently(failure, until).pipe(
      Effect.andThen(Metrics.update(final ? Metrics.outboxFailed : Metrics.outboxRetried, 1)),
      Effect.as<Ending>("failed"),
      // Another worker has sent it meanwhile, or it is gone.
      Effect.catchTag(["DispatchConflict", "DeliveryNotFound"], () => Effect.succeed<Ending>("passed"))
    )
  }

  const dispatch = (claim: Held, { provider, providerMessageId }: Sent) => {
    const { delivery: { id, tenantId }, until } = claim
    // It was sent: what cannot be noted as it is must not be sent again.
    const giveUp = (code: string) =>
      Effect.andThen(
        Effect.logError("a delivery was sent and its message id cannot be used").pipe(
          Attributes.annotateLogs({ tenant_id: tenantId, provider })
        ),
        note(claim, new SendFailed({ code, final: true }))
      )
    return persistently(
      ledger.dispatch({ tenantId, deliveryId: id, provider, providerMessageId, expectedVersion: Option.none() }),
      until
    ).pipe(
      Effect.andThen(Metrics.update(Metrics.outboxSent, 1, { provider })),
      Effect.as<Ending>("sent"),
      Effect.catchTags({
        InvalidInput: () => giveUp("message-id-unusable"),
        DispatchConflict: ({ reason }) =>
          reason === "taken" ? giveUp("message-id-taken") : Effect.succeed<Ending>("passed"),
        DeliveryNotFound: () => Effect.succeed<Ending>("passed")
      })
    )
  }

  // A send whose process ended each time is known by its number: what kills a process must not go on for ever.
  const abandoned = new SendFailed({ code: "abandoned", message: "no attempt came to an end", final: true })

  const attempted = (held: Held, restore: <A, E, S>(send: Effect.Effect<A, E, S>) => Effect.Effect<A, E, S>) =>
    held.block !== undefined
      ? suppress(held, held.block)
      : Effect.matchEffect(restore(held.attempt > attempts ? Effect.fail(abandoned) : attemptOnce(held)), {
        onFailure: (error) => note(held, error),
        onSuccess: (sent) => dispatch(held, sent)
      })

  const handle = (held: Held): Effect.Effect<Ending, never, R> =>
    lingering(
      // What ends a send never comes between the send and the note of it.
      Effect.uninterruptibleMask((restore) =>
        attempted(held, restore).pipe(
          Effect.catchTag("StaleDelivery", (error) => Effect.die(error)),
          Effect.catchCause((cause) =>
            Effect.as(
              Effect.logError("what became of a delivery could not be noted").pipe(
                annotateReason(cause),
                Attributes.annotateLogs({ tenant_id: held.delivery.tenantId })
              ),
              passed
            )
          )
        )
      )
    )

  return { claim, handle }
})

/**
 * Claims what is due, at most `concurrency` deliveries, and sends them at the same time. Returns when each was sent or failed, and
 * that is noted.
 *
 * @category sending
 * @since 0.2.0
 */
export const round = Effect.fn("Outbox.round")(function*<R>(
  options: Options<R>
): Effect.fn.Return<Round, LedgerError.InvalidInput | LedgerError.LedgerError, Services | R> {
  const { claim, handle } = yield* worker(options)
  const claims = yield* claim(options.concurrency ?? defaultConcurrency)
  const endings = yield* Effect.forEach(claims, handle, { concurrency: "unbounded" })
  return {
    claimed: claims.length,
    sent: endings.filter((ending) => ending === "sent").length,
    failed: endings.filter((ending) => ending === "failed").length,
    suppressed: endings.filter((ending) => ending === "suppressed").length
  }
})

/**
 * Runs an outbox until its scope closes: it claims as many deliveries as may be sent beside those in hand, and where none waits it
 * asks again after `interval`. When the scope closes nothing more is claimed, and the sends in hand have ten seconds to end.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer = <R = never>(options: Options<R>): Layer.Layer<never, never, Services | R> => {
  const { concurrency = defaultConcurrency, interval = "1 second" } = options
  const pause = Effect.sleep(Duration.fromInputUnsafe(interval))
  return Layer.effectDiscard(Effect.gen(function*() {
    yield* Metrics.registerOutbox
    const { claim, handle } = yield* worker(options)
    const places = yield* Semaphore.make(concurrency)
    const sends = yield* FiberSet.make<Ending>()

    const fill = Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        let free = yield* restore(places.take(1))
        while (free < concurrency && (yield* places.takeIfAvailable(1))) free++
        const claims = yield* Effect.onError(restore(claim(free)), () => places.release(free))
        yield* places.release(free - claims.length)
        for (const held of claims) yield* FiberSet.run(sends, Effect.ensuring(handle(held), places.release(1)))
        return claims.length
      })
    )
    const turn = fill.pipe(
      Effect.catchCause((cause) =>
        Effect.as(Effect.logError("the outbox could not claim").pipe(annotateReason(cause)), 0)
      ),
      Effect.flatMap((claimed) => claimed === 0 ? pause : Effect.void)
    )
    yield* Effect.forkScoped(Effect.forever(turn))
  }))
}
