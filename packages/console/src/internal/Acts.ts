/** What can be done to one thing, to those that are ticked, and to all that match, on the pages of orphans, webhooks and suppressions. */
import { Delivery, Event, Inbox, Orphans, Place, Recipient, Suppression, Suppressions } from "@waybill/core"
import type { Tenant } from "@waybill/core"
import { DateTime, Effect, Option, Schema, Stream } from "effect"
import type { Ports } from "./Ports.ts"
import * as Refusal from "./Refusal.ts"

/** Something of which only the message is told. */
export interface Failure {
  readonly _tag: string
  readonly message: string
}

/** What an act is asked for with: the tenant, who asks, and why. */
export interface Asked {
  readonly tenantId: Tenant.TenantId
  readonly actor: string
  readonly because: Option.Option<string>
}

/** An act, on things that are named by text. */
export interface Act {
  /** What is done, as a command. */
  readonly verb: string
  /** What it is done to, one of them. */
  readonly noun: string
  /** What it means, in a sentence. */
  readonly means: string
  /** Whether it asks for a reason in words. */
  readonly asksWhy?: true
  /** All that match the filter of a page, as of an instant. */
  readonly matching: (
    tenantId: Tenant.TenantId,
    filter: URLSearchParams,
    until: DateTime.Utc
  ) => Stream.Stream<string, Failure, Ports>
  /** Does it to one; false where there was nothing to do. */
  readonly run: (asked: Asked, thing: string) => Effect.Effect<boolean, Failure, Ports>
}

/** How many rows are read at once. */
const page = 500

/** How old an orphan is that a sweep leaves alone: the horizon. */
export const horizon = (now: DateTime.Utc): DateTime.Utc => DateTime.subtract(now, { days: 7 })

/** Whether an instant is not after another. */
const isBy = (at: DateTime.Utc, end: DateTime.Utc): boolean => at.epochMilliseconds <= end.epochMilliseconds

/** The pending orphans of a tenant that a filter shows, oldest first. */
const orphansMatching: Act["matching"] = (tenantId, filter, until) => {
  const end = filter.get("show") === "expired" ? horizon(until) : until
  return Stream.paginate<Option.Option<Place.Place>, string, Failure, Ports>(
    Option.none(),
    (after) =>
      Effect.gen(function*() {
        const orphans = yield* Orphans.Orphans
        const found = yield* orphans.find({
          scope: tenantId,
          limit: page,
          failedOnly: filter.get("show") === "failed",
          insertedFrom: Option.none(),
          ...Option.isSome(after) && { after: after.value }
        })
        const wanted = found.filter(({ event }) => isBy(event.insertedAt, end))
        const last = wanted.length === page ? wanted.at(-1) : undefined
        const next = Option.map(Option.fromUndefinedOr(last), ({ event }) => Place.of(event.insertedAt, event.id))
        return [wanted.map(({ event }): string => event.id), Option.map(next, Option.some)] as const
      })
  )
}

const statusOf = Schema.decodeUnknownOption(Inbox.WebhookStatus)

/** The webhooks of a tenant that a filter shows, newest first. */
const webhooksMatching: Act["matching"] = (tenantId, filter, until) =>
  Stream.paginate<Option.Option<Place.Place>, string, Failure, Ports>(Option.none(), (after) =>
    Effect.gen(function*() {
      const inbox = yield* Inbox.Inbox
      const found = yield* inbox.list({
        scope: tenantId,
        status: statusOf(filter.get("status")),
        limit: page,
        ...Option.isSome(after) && { after: after.value }
      })
      const provider = filter.get("provider") ?? ""
      const wanted = found.filter((webhook) =>
        isBy(webhook.receivedAt, until) && (provider === "" || webhook.provider === provider)
      )
      const last = found.length === page ? found.at(-1) : undefined
      const next = Option.map(Option.fromUndefinedOr(last), ({ id, receivedAt }) => Place.of(receivedAt, id))
      return [wanted.map(({ id }): string => id), Option.map(next, Option.some)] as const
    }))

const Suppressed = Schema.fromJsonString(Schema.Struct({
  recipient: Recipient.Recipient,
  reason: Suppression.Reason,
  stream: Schema.OptionFromNullOr(Delivery.Stream)
}))

const encodeSuppressed = Schema.encodeSync(Suppressed)

const decodeSuppressed = Schema.decodeUnknownEffect(Suppressed)

/** A suppression as an act names it; none where its address is not known any more. */
export const nameOf = ({ reason, recipient, stream }: Suppression.Suppression): Option.Option<string> =>
  Option.map(recipient, (recipient) => encodeSuppressed({ recipient, reason, stream }))

const reasonOf = Schema.decodeUnknownOption(Suppression.Reason)

const streamOf = Schema.decodeUnknownOption(Delivery.Stream)

/** The suppressions of a tenant that a filter shows. */
const suppressionsMatching: Act["matching"] = (tenantId, filter, until) =>
  Stream.paginate<Option.Option<string>, string, Failure, Ports>(Option.none(), (after) =>
    Effect.gen(function*() {
      const suppressions = yield* Suppressions.Suppressions
      const found = yield* suppressions.list({
        tenantId,
        reason: reasonOf(filter.get("reason")),
        stream: streamOf(filter.get("stream")),
        from: Option.none(),
        to: Option.some(until),
        after,
        limit: page
      })
      return [
        found.suppressions.flatMap((one) => Option.toArray(nameOf(one))),
        Option.map(found.next, Option.some)
      ] as const
    }))

const eventIdOf = (thing: string) =>
  Effect.mapError(Schema.decodeUnknownEffect(Event.EventId)(thing), () => Refusal.notFound("such orphan"))

const webhookIdOf = (thing: string) =>
  Effect.mapError(Schema.decodeUnknownEffect(Inbox.WebhookId)(thing), () => Refusal.notFound("such webhook"))

/** The acts, by their names in forms. */
export const acts = {
  dismiss: {
    verb: "Dismiss",
    noun: "orphan",
    means: "A dismissed orphan leaves the queue for good. Its event stays in the ledger.",
    matching: orphansMatching,
    run: ({ actor, tenantId }, thing) =>
      Effect.flatMap(
        eventIdOf(thing),
        (eventId) => Orphans.Orphans.use(({ dismiss }) => dismiss({ tenantId, eventId, actor }))
      )
  },
  retry: {
    verb: "Retry",
    noun: "orphan",
    means: "The next sweep tries those again that were set aside or rest. The others stay as they are.",
    matching: orphansMatching,
    run: ({ actor, tenantId }, thing) =>
      Effect.flatMap(
        eventIdOf(thing),
        (eventId) => Orphans.Orphans.use(({ retry }) => retry({ tenantId, eventId, actor }))
      )
  },
  replay: {
    verb: "Replay",
    noun: "webhook",
    means:
      "A replayed webhook is processed again from its raw body. Events that the ledger has are not appended again.",
    matching: webhooksMatching,
    run: ({ tenantId }, thing) =>
      Effect.flatMap(webhookIdOf(thing), (id) => Inbox.Inbox.use(({ release }) => release(tenantId, id)))
  },
  lift: {
    verb: "Lift",
    noun: "suppression",
    means: "Mail to these addresses goes out again, until something new suppresses them.",
    asksWhy: true,
    matching: suppressionsMatching,
    run: ({ actor, because, tenantId }, thing) =>
      Effect.flatMap(
        Effect.mapError(decodeSuppressed(thing), () => Refusal.notFound("such suppression")),
        (given) => Suppressions.Suppressions.use(({ lift }) => lift({ tenantId, ...given, actor, because }))
      ).pipe(Effect.map((lifted) => lifted.length > 0))
  }
} satisfies Readonly<Record<string, Act>>

/** The name of an act. */
export type Name = keyof typeof acts

/** The act of a name, if there is one. */
export const find = (name: string): Option.Option<Act> =>
  Option.map(Option.fromUndefinedOr(Object.entries<Act>(acts).find(([known]) => known === name)), ([, act]) => act)
