/** Finds deliveries. */
import { Delivery, Directory, Event, EventType, Recipient, Search, Timestamp } from "@waybill/core"
import { DateTime, Duration, Effect, Option, Schema } from "effect"
import { type Html, html } from "../Html.ts"
import * as Refusal from "../Refusal.ts"
import type { Page } from "../Shell.ts"
import * as Show from "../Show.ts"
import * as Visit from "../Visit.ts"
import * as Forms from "./Forms.ts"

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

const recipientOf = Schema.decodeUnknownOption(Recipient.Recipient)

/** By what a text in the box is looked for. */
const kinds = ["recipient", "domain", "message id", "delivery id", "idempotency key"] as const

/** The filter that a text in the box means; what kind it is shows by its form where nobody says. */
const ofText = (text: string, kind: Option.Option<string>) => {
  const named = Option.getOrElse(kind, () => {
    if (uuid.test(text)) return "delivery id"
    if (text.startsWith("@")) return "domain"
    return text.includes("@") && !text.startsWith("<") && Option.isSome(recipientOf(text)) ? "recipient" : "message id"
  })
  switch (named) {
    case "delivery id":
      return { name: "deliveryId", value: text.toLowerCase() } as const
    case "domain":
      return { name: "recipientDomain", value: text.replace(/^@/, "") } as const
    case "recipient":
      return { name: "recipient", value: text } as const
    case "idempotency key":
      return { name: "idempotencyKey", value: text } as const
    default:
      return { name: "providerMessageId", value: text } as const
  }
}

const decodeFilter = Schema.decodeUnknownEffect(Search.Filter)

/** A day or a minute, as the browser's field for it writes it, in UTC. */
const instant = (visit: Visit.Visit, name: string) =>
  Option.match(Visit.asked(visit, name), {
    onNone: () => Effect.succeedNone,
    onSome: (text) =>
      Option.match(DateTime.make(/[zZ]$/.test(text) ? text : text.includes("T") ? `${text}Z` : `${text}T00:00Z`), {
        onNone: () => Effect.fail(Refusal.badRequest(`${name}: is no time.`)),
        onSome: (at) => Effect.succeedSome(DateTime.toUtc(at))
      })
  })

const none = {
  recipient: null,
  recipientDomain: null,
  providerMessageId: null,
  deliveryId: null,
  idempotencyKey: null,
  mailable: null,
  stream: null,
  provider: null,
  status: null,
  lastEventType: null,
  event: null,
  recordedFrom: null,
  recordedTo: null,
  happenedFrom: null,
  happenedTo: null,
  stuckFor: null
}

const encodeTime = Schema.encodeSync(Timestamp.Timestamp)

/** The filter that the address of a page says. */
export const filterOf = Effect.fnUntraced(function*(visit: Visit.Visit) {
  const text = Visit.asked(visit, "q")
  const box = Option.map(text, (text) => ofText(text, Visit.asked(visit, "by")))
  const from = yield* instant(visit, "from")
  const to = yield* instant(visit, "to")
  const stuck = Visit.asked(visit, "stuck")
  const get = (name: string) => Option.getOrNull(Visit.asked(visit, name))
  return yield* decodeFilter({
    ...none,
    ...Option.isSome(box) && { [box.value.name]: box.value.value },
    mailable: get("mailable"),
    stream: get("stream"),
    provider: get("provider"),
    status: get("status"),
    event: get("event"),
    recordedFrom: Option.getOrNull(Option.map(from, encodeTime)),
    recordedTo: Option.getOrNull(Option.map(to, encodeTime)),
    stuckFor: Option.isSome(stuck) ? Duration.toMillis(Duration.hours(1)) : null
  }).pipe(Effect.mapError(() => Refusal.badRequest("One of the fields holds what no delivery can have.")))
})

/** How many deliveries a page shows. */
const pageSize = 50

/** A list of deliveries. */
export const table = (visit: Visit.Visit, deliveries: ReadonlyArray<Delivery.Delivery>): Html =>
  Show.table(
    ["Recipient", "Message", "State", "Provider", "Recorded"],
    deliveries.map((delivery) => [
      html`<a href="${Visit.link(visit, `/deliveries/${delivery.id}`)}">${Show.address(visit, delivery.recipient)}</a>`,
      html`<bdi>${delivery.mailable}</bdi> <span class="soft small">${delivery.stream}</span>`,
      Option.match(delivery.lastEventType, { onNone: () => Show.tag(delivery.status), onSome: Show.eventType }),
      Option.getOrElse(delivery.provider, () => "not sent yet"),
      Show.time(delivery.insertedAt)
    ])
  )

const form = (visit: Visit.Visit): Html => {
  const value = (name: string) => Option.getOrElse(Visit.asked(visit, name), () => "")
  const isOpen = ["status", "event", "stream", "provider", "mailable", "from", "to", "stuck"].some((name) =>
    value(name) !== ""
  )
  return html`<form class="filter" action="${
    Visit.link(visit, "/deliveries").split("?")[0]
  }" role="search"><input type="hidden" name="tenant" value="${visit.tenantId}"><label class="wide">Address, domain, message id or any other id<input type="search" name="q" value="${
    value("q")
  }" autocomplete="off" spellcheck="false"></label><label>Read as<select name="by">${
    Show.options(kinds, Visit.asked(visit, "by"), "what it looks like")
  }</select></label><button class="main">Search</button>${
    isOpen ? html`<details open>${filters(visit)}</details>` : html`<details>${filters(visit)}</details>`
  }</form>`
}

const filters = (visit: Visit.Visit): Html => {
  const value = (name: string) => Option.getOrElse(Visit.asked(visit, name), () => "")
  return html`<summary>More filters</summary><div><label>Status<select name="status">${
    Show.options(EventType.Status.literals, Visit.asked(visit, "status"))
  }</select></label><label>Had an event<select name="event">${
    Show.options(EventType.EventType.literals, Visit.asked(visit, "event"))
  }</select></label><label>Stream<select name="stream">${
    Show.options(Delivery.Stream.literals, Visit.asked(visit, "stream"))
  }</select></label><label>Provider<input name="provider" value="${
    value("provider")
  }"></label><label>Message<input name="mailable" value="${
    value("mailable")
  }"></label><label>Recorded from<input type="date" name="from" value="${
    value("from")
  }"></label><label>before<input type="date" name="to" value="${
    value("to")
  }"></label><label>Unsent<select name="stuck">${
    Show.options(["1h"], Visit.asked(visit, "stuck"), "or not")
  }</select></label></div>`
}

/** The search. */
export const page = Effect.fnUntraced(function*(visit: Visit.Visit) {
  const directory = yield* Directory.Directory
  const filter = yield* filterOf(visit)
  const after = yield* Visit.parsed(visit, "after", Directory.Cursor, "is no place in a list")
  const { deliveries, next } = yield* directory.search({ tenantId: visit.tenantId, filter, after, limit: pageSize })
  return {
    title: "Deliveries",
    refresh: 15,
    body: html`<h1>Deliveries</h1><p class="lede">One line for each message and recipient, newest first.</p>${
      form(visit)
    }<div data-part="list">${
      deliveries.length > 0
        ? table(visit, deliveries)
        : Option.isSome(next)
        ? Show.empty("None of the deliveries that this page looked at matches. The next page looks further back.")
        : Show.empty("No delivery matches.")
    }</div>${Forms.next(visit, Option.getOrUndefined(next))}`
  } satisfies Page
})

/** Whether a text is the id of a delivery. */
export const idOf = (text: string | undefined) =>
  Effect.mapError(Schema.decodeUnknownEffect(Event.DeliveryId)(text), () => Refusal.notFound("such delivery"))
