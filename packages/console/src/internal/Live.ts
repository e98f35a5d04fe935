/** Tells what just happened to deliveries of a tenant, as server-sent events, for as long as the visitor is let in. */
import { type DeliveryUpdate, Ledger } from "@waybill/core"
import { DateTime, Effect, Option, PubSub, Stream } from "effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Shell from "./Shell.ts"
import * as Visit from "./Visit.ts"

const utf8 = new TextEncoder()

/** How long nothing may happen before it is asked again whether the visitor is let in. */
const quiet = "5 seconds"

/** How many updates are told at once; of more, the last. */
const most = 12

const block = (visit: Visit.Visit, at: DateTime.Utc, { deliveryId, type }: DeliveryUpdate.DeliveryUpdate): string =>
  `event: update\ndata: ${
    JSON.stringify({
      at: DateTime.formatIso(at),
      type,
      id: deliveryId,
      href: Visit.link(visit, `/deliveries/${deliveryId}`)
    })
  }\n\n`

/** The stream of a visit, which ends where the visitor is no longer let in, or where the console closes. */
export const answer = Effect.fnUntraced(function*(
  visit: Visit.Visit,
  isLetIn: Effect.Effect<boolean>,
  closing: Effect.Effect<void>
) {
  const ledger = yield* Ledger.Ledger
  const followed = (updates: PubSub.Subscription<DeliveryUpdate.DeliveryUpdate>) =>
    Stream.unfold(true, (isFirst) =>
      Effect.gen(function*() {
        if (isFirst) return [": here\n\n", false] as const
        const told = yield* Effect.timeoutOption(PubSub.takeAll(updates), quiet)
        if (!(yield* isLetIn)) return undefined
        const now = yield* DateTime.now
        const own = Option.match(told, {
          onNone: () => [],
          onSome: (all) => all.filter(({ tenantId }) => tenantId === visit.tenantId).slice(-most)
        })
        return [
          own.length === 0 ? ": quiet\n\n" : own.map((update) => block(visit, now, update)).join(""),
          false
        ] as const
      }))
  const stream = Stream.scoped(Stream.unwrap(Effect.map(ledger.updates, followed))).pipe(
    Stream.map((text) => utf8.encode(text)),
    Stream.interruptWhen(closing)
  )
  return HttpServerResponse.stream(stream, { contentType: "text/event-stream", headers: Shell.headers })
})
