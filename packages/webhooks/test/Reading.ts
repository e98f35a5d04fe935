import { assert } from "@effect/vitest"
import { type Event, Input } from "@waybill/core"
import { type Row, Webhook } from "@waybill/webhooks"
import { DateTime, Option, Result } from "effect"

export const receivedAt = DateTime.makeUnsafe("2026-11-20T12:00:00.000Z")

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

/** The one item of a list. */
export const only = <A>(items: ReadonlyArray<A>): A => {
  const [first, ...others] = items
  assert.deepStrictEqual(others, [])
  return first ?? assert.fail("there is none")
}

export const received = (
  text: string,
  headers: Readonly<Record<string, string>> = {}
): Webhook.Received => ({ headers, body: bytes(text), receivedAt })

export const normalized = (
  provider: Pick<Row.Row, "name" | "normalize">,
  request: Webhook.Received
): Webhook.Normalized => {
  const result = provider.normalize(request)
  if (Result.isFailure(result)) return assert.fail(`${provider.name}: ${result.failure.reason}`)
  const whole = Webhook.join(result.success)
  for (const event of whole.events) assert.isTrue(Result.isSuccess(Input.event(event)))
  return whole
}

/** What a test says of an event, in the plainest form. */
export interface Summary {
  readonly type: string
  readonly at: string
  readonly message: string | undefined
  readonly to: string | undefined
  readonly certain: boolean | undefined
  readonly reason: string | undefined
  readonly bounce: string | undefined
  readonly eventId: string | undefined
  readonly delivery: string | undefined
  readonly payload: unknown
}

export const summary = (event: Event.NewEvent): Summary => ({
  type: event.type,
  at: DateTime.formatIso(event.occurredAt),
  message: Option.getOrUndefined(event.providerMessageId),
  to: Option.getOrUndefined(Option.map(event.recipient, ({ address }) => address)),
  certain: Option.getOrUndefined(Option.map(event.recipient, ({ certain }) => certain)),
  reason: Option.getOrUndefined(event.rejectReason),
  bounce: Option.getOrUndefined(event.bounceClass),
  eventId: Option.getOrUndefined(event.providerEventId),
  delivery: Option.getOrUndefined(event.echoedDeliveryId),
  payload: event.normalizedPayload
})

export const events = (
  provider: Row.Row,
  text: string,
  headers: Readonly<Record<string, string>> = {}
) => normalized(provider, received(text, headers)).events.map(summary)

export const event = (
  provider: Row.Row,
  text: string,
  headers: Readonly<Record<string, string>> = {}
): Summary => only(events(provider, text, headers))

export const keys = (provider: Row.Row, request: Webhook.Received): ReadonlyArray<string> =>
  normalized(provider, request).events.map(({ idempotencyKey }) => idempotencyKey)

export const key = (
  provider: Row.Row,
  text: string,
  headers: Readonly<Record<string, string>> = {}
): string => only(keys(provider, received(text, headers)))
