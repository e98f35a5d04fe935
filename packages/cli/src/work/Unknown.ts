/**
 * Counts the kinds of events that came and were not understood, by provider and name, so that a provider's new event is seen.
 *
 * The newest raw webhooks are read once more, by the present program: what it understands by now is not counted any more. So a
 * count costs what it reads, a bounded number of webhooks, and nothing for what the ledger holds; taking webhooks in costs
 * nothing for it.
 *
 * @since 0.2.0
 */
import { type Event, EventName, Inbox, type Tenant } from "@waybill/core"
import * as Providers from "@waybill/webhooks/Providers"
import * as Row from "@waybill/webhooks/Row"
import * as Webhook from "@waybill/webhooks/Webhook"
import { DateTime, type Duration, Effect, Option } from "effect"

/**
 * The reach of a count.
 *
 * @category models
 * @since 0.2.0
 */
export interface Reach {
  readonly scope: Tenant.Scope
  /** How old a webhook may be. */
  readonly since: Duration.Duration
  /** The most webhooks that are read. */
  readonly limit: number
}

/**
 * A kind of event that was not understood.
 *
 * @category models
 * @since 0.2.0
 */
export interface Kind {
  readonly provider: string
  /** The provider's own name of it, or why it has none. */
  readonly name: string
  readonly count: number
  /** The newest webhook that has one. */
  readonly webhookId: Inbox.WebhookId
}

/**
 * The kinds of events that were not understood, and how many webhooks were read for it.
 *
 * @category models
 * @since 0.2.0
 */
export interface Counted {
  readonly webhooks: number
  /** Whether every webhook of the time was read. */
  readonly complete: boolean
  /** The most frequent first. */
  readonly kinds: ReadonlyArray<Kind>
}

const nameOf = (event: Event.NewEvent): string => {
  const { event: name, subtype } = EventName.of(event)
  return name === undefined ? "no plain name" : [name, subtype].filter((part) => part !== undefined).join(" ")
}

/** The names of what is not understood in a webhook. */
const names = (webhook: Inbox.Webhook): Effect.Effect<ReadonlyArray<string>> =>
  Option.match(Providers.get(webhook.provider), {
    onNone: () => Effect.succeed(["unknown provider"]),
    onSome: (row) =>
      Effect.match(Row.read(row, webhook), {
        onFailure: ({ reason }) => [reason],
        onSuccess: (pieces) => {
          const { events, undecodable } = Webhook.join(pieces)
          return [
            ...events.filter(({ type }) => type === "unknown").map(nameOf),
            ...undecodable.map(({ reason }) => reason)
          ]
        }
      })
  })

/**
 * Counts the kinds of events that were not understood, in the newest webhooks.
 *
 * @category counting
 * @since 0.2.0
 */
export const count = Effect.fn("Unknown.count")(function*({ limit, scope, since }: Reach) {
  const inbox = yield* Inbox.Inbox
  const from = DateTime.subtractDuration(yield* DateTime.now, since)
  const listed = yield* inbox.list({ scope, status: Option.none(), limit })
  const recent = listed.filter(({ receivedAt }) => DateTime.isGreaterThanOrEqualTo(receivedAt, from))
  const kinds = new Map<string, Kind>()
  for (const { id } of recent) {
    const found = yield* inbox.get(scope, id)
    if (Option.isNone(found)) continue
    const { provider } = found.value
    for (const name of yield* names(found.value)) {
      const key = JSON.stringify([provider, name])
      const known = kinds.get(key) ?? { provider, name, count: 0, webhookId: id }
      kinds.set(key, { ...known, count: known.count + 1 })
    }
  }
  const counted: Counted = {
    webhooks: recent.length,
    complete: listed.length < limit || recent.length < listed.length,
    kinds: [...kinds.values()].toSorted((left, right) => right.count - left.count)
  }
  return counted
})
