/** Lists whom the tenant must not mail, and adds to it by hand. */
import { Delivery, Recipient, Suppression, Suppressions } from "@waybill/core"
import { Effect, Option, Schema } from "effect"
import * as Acts from "../Acts.ts"
import { type Html, html } from "../Html.ts"
import * as Refusal from "../Refusal.ts"
import type { Page } from "../Shell.ts"
import * as Show from "../Show.ts"
import * as Visit from "../Visit.ts"
import * as Forms from "./Forms.ts"
import * as Suppressed from "./Suppressed.ts"

const lineOf = (visit: Visit.Visit, suppression: Suppression.Suppression): Forms.Line => ({
  thing: Option.getOrUndefined(Acts.nameOf(suppression)),
  label: `the suppression since ${suppression.since.epochMilliseconds}`,
  cells: [
    Show.address(visit, suppression.recipient),
    Show.tag(suppression.reason, "warn"),
    Suppressed.streamOf(suppression),
    Show.time(suppression.since),
    Option.match(suppression.until, { onNone: () => "lifted", onSome: Show.time })
  ]
})

const adding = (visit: Visit.Visit): Html =>
  !Visit.mayAct(visit) ?
    html`` :
    html`<details class="sheet"><summary>Suppress an address by hand</summary><form method="post" action="${
      Visit.link(visit, "/suppressions/add")
    }">${
      Forms.proof(visit)
    }<div class="fields"><label class="wide">Address<input name="address" type="email" required></label><label>On<select name="stream">${
      Show.options(Delivery.Stream.literals, Option.none(), "all mail")
    }</select></label><label class="wide">Why<input name="because" maxlength="500"></label><button>Suppress</button></div></form></details>`

/** The list. */
export const page = Effect.fnUntraced(function*(visit: Visit.Visit) {
  const suppressions = yield* Suppressions.Suppressions
  const reason = yield* Visit.choice(visit, "reason", Suppression.Reason)
  const stream = yield* Visit.choice(visit, "stream", Delivery.Stream)
  const found = yield* suppressions.list({
    tenantId: visit.tenantId,
    reason,
    stream,
    from: Option.none(),
    to: Option.none(),
    after: Visit.asked(visit, "after"),
    limit: 50
  })
  return {
    title: "Suppressions",
    refresh: 30,
    body:
      html`<h1>Suppressions</h1><p class="lede">Whom this tenant must not mail, and why.</p><form class="filter" action="${visit.base}/suppressions"><input type="hidden" name="tenant" value="${visit.tenantId}"><label>Reason<select name="reason">${
        Show.options(Suppression.Reason.literals, reason)
      }</select></label><label>On<select name="stream">${
        Show.options(Delivery.Stream.literals, stream)
      }</select></label><button>Show</button></form>${
        found.suppressions.length === 0
          ? html`<div data-part="list">${Show.empty("Nobody is suppressed.")}</div>`
          : Forms.list(
            visit,
            ["Address", "Reason", "On", "Since", "Until"],
            found.suppressions.map((each) => lineOf(visit, each)),
            ["lift"]
          )
      }${Forms.next(visit, Option.getOrUndefined(found.next))}${adding(visit)}`
  } satisfies Page
})

const optionalStream = Schema.decodeUnknownOption(Delivery.Stream)

/** Suppresses the address that a form names, and returns the path to go to. */
export const add = Effect.fnUntraced(function*(visit: Visit.Visit, actor: string, form: URLSearchParams) {
  const suppressions = yield* Suppressions.Suppressions
  const recipient = yield* Effect.mapError(
    Schema.decodeUnknownEffect(Recipient.Recipient)(form.get("address")?.trim()),
    () => Refusal.badRequest("The address is none.")
  )
  yield* suppressions.add({
    tenantId: visit.tenantId,
    additions: [{ recipient, reason: "manual", stream: optionalStream(form.get("stream")), since: Option.none() }],
    actor,
    because: Option.filter(Option.fromNullishOr(form.get("because")?.trim()), (text) => text !== "")
  })
  return Visit.link(visit, "/suppressions", { reason: "manual" })
})
