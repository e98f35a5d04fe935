/** Shows all deliveries to one address, and what suppresses it. */
import { Directory, Ledger, Recipient, Search, Suppressions } from "@waybill/core"
import { Effect, Option, Schema } from "effect"
import { html } from "../Html.ts"
import * as Refusal from "../Refusal.ts"
import type { Page } from "../Shell.ts"
import * as Show from "../Show.ts"
import * as Visit from "../Visit.ts"
import * as Deliveries from "./Deliveries.ts"
import * as Forms from "./Forms.ts"
import * as Suppressed from "./Suppressed.ts"

/** The address that a page is about: that of a delivery, so that no address stands in the address of the page. */
const recipientOf = Effect.fnUntraced(function*(visit: Visit.Visit) {
  const id = visit.query.get("delivery")
  if (id === null) {
    const named = yield* Visit.parsed(visit, "address", Recipient.Recipient, "is no address")
    return yield* Option.match(named, {
      onNone: () => Effect.fail(Refusal.notFound("recipient")),
      onSome: Effect.succeed
    })
  }
  const ledger = yield* Ledger.Ledger
  const found = yield* ledger.delivery({ tenantId: visit.tenantId, deliveryId: yield* Deliveries.idOf(id) })
  if (Option.isNone(found)) return yield* Refusal.notFound("such delivery")
  if (Option.isNone(found.value.recipient)) return yield* Refusal.notFound("recipient: it was forgotten")
  return found.value.recipient.value
})

const cursorOf = Schema.decodeUnknownOption(Directory.Cursor)

/** One recipient. */
export const page = Effect.fnUntraced(function*(visit: Visit.Visit) {
  const directory = yield* Directory.Directory
  const suppressions = yield* Suppressions.Suppressions
  const recipient = yield* recipientOf(visit)
  const { tenantId } = visit
  const { deliveries, next } = yield* directory.search({
    tenantId,
    filter: Search.Filter.make({ recipient: Option.some(recipient) }),
    after: cursorOf(visit.query.get("after")),
    limit: 50
  })
  const suppressed = yield* suppressions.check({ tenantId, recipients: [recipient], stream: Option.none() })
  const history = yield* suppressions.history({ tenantId, recipient, limit: 50 })
  return {
    title: "Recipient",
    refresh: 15,
    body: html`<h1>${
      Show.address(visit, Option.some(recipient))
    }</h1><p class="lede">Every delivery to this address, in any spelling.</p>${
      suppressed.length === 0 ? undefined : html`<p class="note warn">${Suppressed.sentence(suppressed)}</p>`
    }<div data-part="list">${
      deliveries.length === 0 ? Show.empty("No delivery to this address.") : Deliveries.table(visit, deliveries)
    }</div>${Forms.next(visit, Option.getOrUndefined(next))}<h2>What suppressed it, and what lifted that</h2>${
      history.length === 0 ? Show.empty("Nothing ever did.") : Show.table(
        ["When", "What", "On", "By", "Why"],
        history.map(({ act, at, lifts, reason, stream }) => [
          Show.time(at),
          lifts ? html`${Show.tag("lifted", "good")} ${reason}` : Show.tag(reason, "warn"),
          Suppressed.streamOf({ stream }),
          Option.match(act, {
            onNone: () => html`an event`,
            onSome: ({ actor }) => Show.words(visit, Option.getOrElse(actor, () => "kept"))
          }),
          Option.match(Option.flatMap(act, ({ because }) => because), {
            onNone: () => "",
            onSome: (text) => Show.words(visit, text)
          })
        ])
      )
    }`
  } satisfies Page
})
