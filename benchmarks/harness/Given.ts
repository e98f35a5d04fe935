/** The events of a provider that both sides of a comparison are given. */
import { Event, IdempotencyKey, Provider, Recipient } from "@waybill/core"
import { DateTime, Option } from "effect"

export interface Given {
  readonly type: "delivered" | "opened" | "clicked"
  /** Milliseconds since 1970. */
  readonly at: number
  readonly messageId: string
  readonly eventId: string
  readonly recipient: string
  readonly payload: { readonly [key: string]: string }
}

const types = ["delivered", "opened", "clicked"] as const

/** One event of each of some deliveries, each later than those of the round before. */
export const events = (prefix: string, round: number, from: number, count: number): ReadonlyArray<Given> =>
  Array.from({ length: count }, (_, index) => ({
    type: types[Math.min(round, round % 2 + 1)] ?? "opened",
    at: Date.UTC(2026, 0, 1) + round * 60_000 + index,
    messageId: `${prefix}${from + index}`,
    eventId: `${prefix}${from + index}-${round}`,
    recipient: `${prefix}${from + index}@example.com`,
    payload: { RecordType: "Delivery", MessageStream: "outbound", Tag: "welcome" }
  }))

const postmark = Provider.Provider.make("postmark")

/** The event as Waybill is given it. */
export const newEvent = (given: Given): Event.NewEvent =>
  Event.NewEvent.make({
    type: given.type,
    occurredAt: DateTime.makeUnsafe(given.at),
    provider: postmark,
    providerMessageId: Option.some(Provider.MessageId.make(given.messageId)),
    providerEventId: Option.some(given.eventId),
    recipient: Option.some({ address: Recipient.Recipient.make(given.recipient), certain: true }),
    normalizedPayload: given.payload,
    idempotencyKey: IdempotencyKey.IdempotencyKey.make(`postmark:${given.eventId}`)
  })

export const chunks = <A>(values: ReadonlyArray<A>, size: number): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.ceil(values.length / size) }, (_, index) => values.slice(index * size, (index + 1) * size))

const postmarkTypes = { delivered: "Delivery", opened: "Open", clicked: "Click" } as const

/** The body in which Postmark reports an event. */
export const postmarkBody = (given: Given): string => {
  const at = new Date(given.at).toISOString()
  return JSON.stringify({
    RecordType: postmarkTypes[given.type],
    MessageID: given.messageId,
    Recipient: given.recipient,
    MessageStream: "outbound",
    Tag: "welcome",
    ...given.type === "delivered" ? { DeliveredAt: at, ServerID: 1 } : { ReceivedAt: at, OriginalLink: "https://a" },
    Metadata: {}
  })
}
