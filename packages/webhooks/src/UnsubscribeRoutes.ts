/**
 * Serves the links of `Unsubscribe` over HTTP, in any application of `effect/http`.
 *
 * `POST /unsubscribe/:token` with the form `List-Unsubscribe=One-Click`, as a mail program sends it and the page's button too,
 * appends the delivery's one `unsubscribed` event, however often it comes; who has subscribed again since is suppressed again by
 * an act. Nothing else changes anything: mail programs and
 * virus scanners open every link, so `GET` and `HEAD` only show the page with the button. No answer leads elsewhere, and none
 * asks for a cookie.
 *
 * - A token that is not good is answered 404, whatever is wrong with it;
 * - another form 400, one that is too large 413, one that does not arrive in time 408;
 * - another method 405;
 * - what cannot be stored just now 503, with the button to try it again.
 *
 * `Refusals` tells of each. No page holds an address, and no answer tells whether a delivery is there.
 *
 * @since 0.2.0
 */
import { Budget, Ledger, Suppressions } from "@waybill/core"
import { ByteSize, DateTime, Duration, Effect, type Layer, Option } from "effect"
import { HttpRouter, HttpServerRequest, type HttpServerResponse } from "effect/http"
import * as Body from "./internal/body.ts"
import * as Form from "./internal/form.ts"
import { decodeText } from "./internal/json.ts"
import * as Page from "./internal/page.ts"
import * as Refusals from "./Refusals.ts"
import * as Unsubscribe from "./Unsubscribe.ts"

/** The form is small, and mail programs send nothing beside it. */
const limits: Body.Limits = { maxBodySize: ByteSize.kilobytes(4), bodyTimeout: Duration.seconds(10) }

const bodiesInFlight = 1_000_000

const button = (label: string) => ({ label, fields: { "List-Unsubscribe": "One-Click", by: "page" } })

const asks: Page.Page = {
  title: "Unsubscribe",
  text: "Press the button to get no more messages of this kind at the address that this one was sent to.",
  button: button("Unsubscribe")
}

const done: Page.Page = {
  title: "You are unsubscribed",
  text: "A message that is on its way already may still arrive. You can close this page."
}

const forgotten: Page.Page = {
  title: "This link is used up",
  text: "The address that it was sent to is not kept any more. If messages still arrive, use the link in one of them."
}

const badLink: Page.Page = {
  title: "This link does not work",
  text: "Open the link in the message again, or write to whoever sent it."
}

const wrongRequest: Page.Page = {
  title: "You are not unsubscribed yet",
  text: "The request was not understood. Press the button to unsubscribe.",
  button: button("Unsubscribe")
}

const later: Page.Page = {
  title: "You are not unsubscribed yet",
  text: "This cannot be done just now. Please try again in a minute.",
  button: button("Try again")
}

const refusal = (ending: Refusals.Ending): HttpServerResponse.HttpServerResponse => {
  switch (ending) {
    case "not_found":
      return Page.respond(badLink, 404)
    case "method_not_allowed":
      return Page.respond(asks, 405, { allow: "GET, HEAD, POST" })
    case "too_large":
      return Page.respond(wrongRequest, 413)
    case "too_slow":
      return Page.respond(wrongRequest, 408)
    case "unavailable":
      return Page.respond(later, 503, { "retry-after": "60" })
    default:
      return Page.respond(wrongRequest, 400)
  }
}

/** The token at the end of an address, of the one spelling that links have. */
const tokenIn = (url: string): string => {
  const [path = ""] = url.split("?", 1)
  return path.startsWith("/unsubscribe/") ? path.slice("/unsubscribe/".length) : ""
}

const make = Effect.fnUntraced(function*(keys: Unsubscribe.Keys) {
  const ledger = yield* Ledger.Ledger
  const suppressions = yield* Suppressions.Suppressions
  const budget = Budget.make(bodiesInFlight)
  yield* Refusals.register([{ name: Unsubscribe.reporter }])

  /**
   * Who subscribed since and uses the link again is suppressed again; who is suppressed stays so. Tells whether it is known whose
   * link it is: nothing can be done for an address that was forgotten since.
   */
  const again = Effect.fnUntraced(function*({ deliveryId, tenantId }: Ledger.DeliveryKey) {
    const found = yield* ledger.delivery({ deliveryId, tenantId })
    // The event waits for a delivery that is recorded after the click.
    if (Option.isNone(found)) return true
    if (Option.isNone(found.value.recipient)) return false
    const { recipient, stream } = found.value
    const addition = {
      recipient: recipient.value,
      reason: "unsubscribed",
      stream: Option.some(stream),
      since: Option.none()
    } as const
    yield* suppressions.add({
      tenantId,
      additions: [addition],
      actor: "recipient",
      because: Option.some("used the link to unsubscribe again")
    })
    return true
  })

  /** Appends the event, unless it is there: said again at another time, it would count as a conflict. */
  const unsubscribe = Effect.fnUntraced(function*(key: Ledger.DeliveryKey, by: "one-click" | "page") {
    const timeline = yield* ledger.timeline(key)
    const once = Unsubscribe.idempotencyKey(key.deliveryId)
    const isThere = timeline.some(({ event }) => event.idempotencyKey === once)
    if (isThere) return yield* again(key)
    yield* ledger.append(key.tenantId, [Unsubscribe.event(key.deliveryId, by, yield* DateTime.now)])
    return true
  }, Effect.mapError(Refusals.notStored))

  const answer = Effect.fnUntraced(function*(
    request: HttpServerRequest.HttpServerRequest,
    delivery: Ledger.DeliveryKey,
    lease: Budget.Lease
  ) {
    if (request.method === "GET" || request.method === "HEAD") return Page.respond(asks, 200)
    if (request.method !== "POST") return yield* new Refusals.Refused({ reason: "MethodNotAllowed" })
    const form = Form.read(decodeText(yield* Body.read(request, limits, lease)))
    if (form.first("List-Unsubscribe") !== "One-Click") return yield* new Refusals.Refused({ reason: "NotOneClick" })
    const isDone = yield* unsubscribe(delivery, form.first("by") === "page" ? "page" : "one-click")
    return isDone ? Page.respond(done, 200) : Page.respond(forgotten, 410)
  })

  const refuse = (refused: Refusals.Refused, delivery?: Ledger.DeliveryKey) =>
    Effect.as(
      Refusals.tell(refused, { name: Unsubscribe.reporter }, delivery?.tenantId),
      refusal(Refusals.ending(refused))
    )

  return Effect.gen(function*() {
    const request = yield* HttpServerRequest.HttpServerRequest
    const delivery = Unsubscribe.read(keys, tokenIn(request.url))
    if (Option.isNone(delivery)) return yield* refuse(new Refusals.Refused({ reason: "BadToken" }))
    const lease = budget.begin()
    return yield* answer(request, delivery.value, lease).pipe(
      Effect.catchDefect(() => Effect.fail(new Refusals.Refused({ reason: "Died" }))),
      Effect.catch((refused) => refuse(refused, delivery.value)),
      Effect.ensuring(Effect.sync(lease.end))
    )
  })
})

/**
 * Adds the route to the router. Tokens are good that one of the keys signed.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer = (
  keys: Unsubscribe.Keys
): Layer.Layer<never, never, HttpRouter.HttpRouter | Ledger.Ledger | Suppressions.Suppressions> =>
  HttpRouter.addAll(Effect.map(make(keys), (handler) => [HttpRouter.route("*", "/unsubscribe/*", handler)]))
