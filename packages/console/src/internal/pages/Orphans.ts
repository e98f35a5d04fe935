/** Lists orphans, and shows one: why it waits, and which delivery it may be about. */
import { Directory, Event, type Orphan, Orphans, Place } from "@waybill/core"
import { DateTime, Effect, Option, Schema } from "effect"
import * as Acts from "../Acts.ts"
import { type Html, html } from "../Html.ts"
import * as Refusal from "../Refusal.ts"
import type { Page } from "../Shell.ts"
import * as Show from "../Show.ts"
import * as Visit from "../Visit.ts"
import * as Deliveries from "./Deliveries.ts"
import * as Forms from "./Forms.ts"

const pageSize = 50

const shown = Schema.Literals(["failed", "expired"])

const ageOf = ({ insertedAt }: Event.Event, now: DateTime.Utc): Html =>
  insertedAt.epochMilliseconds < Acts.horizon(now).epochMilliseconds
    ? html`${Show.age(insertedAt, now)} ${Show.tag("older than 7 days, unlikely to reconcile", "warn")}`
    : html`${Show.age(insertedAt, now)}`

const lineOf = (visit: Visit.Visit, { event, failure }: Orphan.Orphan, now: DateTime.Utc): Forms.Line => ({
  thing: event.id,
  label: `the orphan ${event.type} of ${DateTime.formatIso(event.insertedAt)}`,
  cells: [
    html`<a href="${Visit.link(visit, `/orphans/${event.id}`, { at: event.insertedAt.epochMilliseconds })}">${
      Show.eventType(event.type)
    }</a>`,
    Option.getOrElse(event.provider, () => ""),
    Option.match(event.providerMessageId, {
      onNone: () => "none",
      onSome: (id) => html`<code><bdi>${id}</bdi></code>`
    }),
    ageOf(event, now),
    Option.match(failure, {
      onNone: () => "",
      onSome: ({ attempts, reason }) =>
        html`${Show.tag("set aside", "bad")} ${Show.words(visit, reason)}, ${Show.count(attempts, "time")}`
    })
  ]
})

/** The list. */
export const page = Effect.fnUntraced(function*(visit: Visit.Visit) {
  const orphans = yield* Orphans.Orphans
  const now = yield* DateTime.now
  const show = yield* Visit.choice(visit, "show", shown)
  const after = yield* Visit.parsed(visit, "after", Place.Place, "is no place in a list")
  const found = yield* orphans.find({
    scope: visit.tenantId,
    limit: pageSize,
    failedOnly: Option.contains(show, "failed"),
    insertedFrom: Option.none(),
    ...Option.isSome(after) && { after: after.value }
  })
  const wanted = Option.contains(show, "expired")
    ? found.filter(({ event }) => event.insertedAt.epochMilliseconds < Acts.horizon(now).epochMilliseconds)
    : found
  const last = wanted.length === pageSize ? wanted.at(-1) : undefined
  return {
    title: "Orphans",
    refresh: 15,
    body:
      html`<h1>Orphans</h1><p class="lede">Events that wait for their delivery, oldest first. A sweep links those whose delivery comes.</p><form class="filter" action="${visit.base}/orphans"><input type="hidden" name="tenant" value="${visit.tenantId}"><label>Which<select name="show">${
        Show.options(shown.literals, show, "all that wait")
      }</select></label><button>Show</button></form>${
        wanted.length === 0
          ? html`<div data-part="list">${Show.empty("No event waits for its delivery.")}</div>`
          : Forms.list(
            visit,
            ["Event", "Provider", "Message id", "Waits for", "Trouble"],
            wanted.map((orphan) => lineOf(visit, orphan, now)),
            ["dismiss", "retry"]
          )
      }${Forms.next(visit, last === undefined ? undefined : Place.of(last.event.insertedAt, last.event.id))}`
  } satisfies Page
})

const why = (visit: Visit.Visit, explanation: Orphan.Explanation): Html => {
  if (explanation._tag === "NotAnOrphan") {
    return html`This event never waited: it is about <a href="${
      Visit.link(visit, `/deliveries/${explanation.deliveryId}`)
    }">its delivery</a>.`
  }
  if (explanation._tag === "Linked") {
    return html`It was linked to <a href="${
      Visit.link(visit, `/deliveries/${explanation.deliveryId}`)
    }">its delivery</a>.`
  }
  if (explanation._tag === "Dismissed") return html`It was dismissed by hand.`
  if (explanation._tag === "Malformed") {
    return html`It names neither a message nor a delivery, so that it can be linked by hand alone.`
  }
  if (explanation._tag === "NoDelivery") {
    return html`No delivery has its message id yet${
      explanation.otherTenant ? ", but one of another tenant does: the webhook may come in at the wrong tenant" : ""
    }.`
  }
  if (explanation._tag === "OtherRecipient") return html`A delivery has its message id, but to another recipient.`
  if (explanation._tag === "Ambiguous") {
    return html`Several deliveries have its message id, and it does not say which recipient it is about.`
  }
  if (explanation._tag === "Linkable") {
    return html`<a href="${
      Visit.link(visit, `/deliveries/${explanation.deliveryId}`)
    }">Its delivery</a> is there: the next sweep links it.`
  }
  return html`<a href="${
    Visit.link(visit, `/deliveries/${explanation.deliveryId}`)
  }">Its delivery</a> is there, but the link failed ${
    Show.count(explanation.attempts, "time")
  } (${explanation.reason}). It is tried again at ${Show.time(explanation.nextAttemptAt)}.`
}

const lastId = "ffffffff-ffff-ffff-ffff-ffffffffffff"

/** The event of an orphan that was appended at an instant. */
const eventOf = Effect.fnUntraced(function*(visit: Visit.Visit, eventId: Event.EventId) {
  const orphans = yield* Orphans.Orphans
  const millis = Number(visit.query.get("at") ?? "x")
  if (!Number.isInteger(millis)) return undefined
  const place = Place.Place.makeOption(`${millis - 1}.${lastId}`)
  if (Option.isNone(place)) return undefined
  const found = yield* orphans.find({
    scope: visit.tenantId,
    limit: 500,
    failedOnly: false,
    insertedFrom: Option.none(),
    after: place.value
  })
  return found.find(({ event }) => event.id === eventId)
})

const isWaiting = ({ _tag }: Orphan.Explanation): boolean =>
  _tag !== "NotAnOrphan" && _tag !== "Linked" && _tag !== "Dismissed"

/** A search for the delivery that an orphan is about. */
const search = Effect.fnUntraced(function*(visit: Visit.Visit, eventId: Event.EventId, event: Event.Event | undefined) {
  const directory = yield* Directory.Directory
  const messageId = event === undefined ? Option.none() : event.providerMessageId
  const text = Option.orElse(Visit.asked(visit, "q"), () => messageId)
  const found = Option.isNone(text) ? [] : (yield* directory.search({
    tenantId: visit.tenantId,
    filter: yield* Deliveries.filterOf({ ...visit, query: new URLSearchParams({ q: text.value }) }),
    after: Option.none(),
    limit: 20
  })).deliveries
  return html`<h2>Link it by hand</h2><form class="filter" action="${visit.base}${visit.path}" role="search"><input type="hidden" name="tenant" value="${visit.tenantId}"><input type="hidden" name="at" value="${
    visit.query.get("at") ?? ""
  }"><label class="wide">Search its delivery by address, message id or delivery id<input type="search" name="q" value="${
    Option.getOrElse(text, () => "")
  }"></label><button>Search</button></form>${
    found.length === 0 ? Show.empty("No delivery matches.") : Show.table(
      ["Recipient", "Message", "State", "Recorded", "Link"],
      found.map((delivery) => [
        html`<a href="${Visit.link(visit, `/deliveries/${delivery.id}`)}">${
          Show.address(visit, delivery.recipient)
        }</a>`,
        html`<bdi>${delivery.mailable}</bdi>`,
        Show.tag(delivery.status),
        Show.time(delivery.insertedAt),
        html`<form method="post" action="${Visit.link(visit, `/orphans/${eventId}/link`)}">${
          Forms.proof(visit)
        }<input type="hidden" name="delivery" value="${delivery.id}"><button>Link to this</button></form>`
      ])
    )
  }`
})

const idOf = (text: string | undefined) =>
  Effect.mapError(Schema.decodeUnknownEffect(Event.EventId)(text), () => Refusal.notFound("such orphan"))

/** One orphan. */
export const one = Effect.fnUntraced(function*(visit: Visit.Visit, id: string | undefined) {
  const orphans = yield* Orphans.Orphans
  const now = yield* DateTime.now
  const eventId = yield* idOf(id)
  const explanation = yield* orphans.explain({ tenantId: visit.tenantId, eventId })
  const found = yield* eventOf(visit, eventId)
  const waits = isWaiting(explanation)
  return {
    title: "Orphan",
    body: html`<p class="small"><a href="${Visit.link(visit, "/orphans")}">Orphans</a></p><h1>Orphan ${
      found === undefined ? undefined : Show.eventType(found.event.type)
    }</h1><p class="note">${why(visit, explanation)}</p>${
      found === undefined ?
        html`<div class="sheet">${Show.facts([["event", html`<code>${eventId}</code>`]])}</div>` :
        html`<div class="sheet">${
          Show.facts([
            ["provider", Option.getOrUndefined(found.event.provider)],
            [
              "message id",
              Option.isSome(found.event.providerMessageId)
                ? html`<code><bdi>${found.event.providerMessageId}</bdi></code>`
                : undefined
            ],
            ["happened", Show.time(found.event.occurredAt)],
            ["appended", Show.time(found.event.insertedAt)],
            ["waits for", ageOf(found.event, now)],
            ["event", html`<code>${eventId}</code>`]
          ])
        }</div>`
    }${
      waits && Visit.mayAct(visit)
        ? html`<div class="acts">${Forms.one(visit, "retry", eventId)}${
          Forms.one(visit, "dismiss", eventId)
        }</div>${yield* search(visit, eventId, found?.event)}`
        : undefined
    }`
  } satisfies Page
})

/** Links an orphan to the delivery that a form names, and returns the path to go to. */
export const link = Effect.fnUntraced(function*(visit: Visit.Visit, id: string | undefined, form: URLSearchParams) {
  const orphans = yield* Orphans.Orphans
  const eventId = yield* idOf(id)
  const deliveryId = yield* Deliveries.idOf(form.get("delivery") ?? undefined)
  yield* orphans.linkTo({ tenantId: visit.tenantId, eventId, deliveryId, expectedVersion: Option.none() })
  yield* Effect.logInfo("orphan linked in the console").pipe(
    Effect.annotateLogs({ eventId, deliveryId })
  )
  return Visit.link(visit, `/deliveries/${deliveryId}`)
})
