/** Shows one delivery: its facts, all that happened to it, and what keeps mail from its recipient. */
import { Delivery, type Details, type Event, Ledger, Suppressions } from "@waybill/core"
import { DateTime, Effect, Option } from "effect"
import { attribute, foreign, type Html, html } from "../Html.ts"
import * as Refusal from "../Refusal.ts"
import type { Page } from "../Shell.ts"
import * as Show from "../Show.ts"
import * as Visit from "../Visit.ts"
import * as Deliveries from "./Deliveries.ts"
import * as Suppressed from "./Suppressed.ts"

const isText = (value: unknown): value is string => typeof value === "string"

/** What the provider said in words. */
const words = (visit: Visit.Visit, details: Details.Details): Html =>
  Show.facts(
    Object.entries(details).flatMap(([name, value]): ReadonlyArray<readonly [string, Html]> =>
      isText(value)
        ? [[name, Show.words(visit, value)]]
        : Array.isArray(value)
        ? [[name, Show.words(visit, value.join(", "))]]
        : [[name, Show.words(visit, JSON.stringify(value))]]
    )
  )

const said = ({ normalizedPayload }: Event.Event): string | undefined => {
  const text = Object.entries(normalizedPayload).map(([name, value]) =>
    `${name}: ${isText(value) ? value : JSON.stringify(value)}`
  ).join(" · ")
  return text === "" ? undefined : text
}

/** One event of a timeline. */
const entry = (visit: Visit.Visit, { details, event, linkedBy }: Ledger.TimelineEntry): Html =>
  html`<li class="${Show.tones[event.type]}"><div class="head">${Show.eventType(event.type)}${
    Show.time(event.occurredAt)
  }<span class="soft">${
    Option.match(event.provider, { onNone: () => "our own", onSome: (provider) => `by ${provider}` })
  }</span>${Option.isSome(linkedBy) ? Show.tag("was an orphan", "warn") : undefined}</div>${
    Show.facts([
      ["why", [...Option.toArray(event.bounceClass), ...Option.toArray(event.rejectReason)].join(", ")],
      ["as noted", said(event) === undefined ? undefined : Show.words(visit, said(event) ?? "")],
      ["linked", Option.isSome(linkedBy) ? html`by the link <code>${linkedBy}</code>` : undefined],
      ["orphan", Option.isSome(event.sourceEventId) ? html`<code>${event.sourceEventId}</code>` : undefined],
      ["known since", Show.time(event.insertedAt)],
      [
        "raw webhooks",
        Option.match(event.provider, {
          onNone: () => undefined,
          onSome: (provider) =>
            html`<a href="${
              Visit.link(visit, "/webhooks", {
                provider,
                at: DateTime.formatIso(event.insertedAt),
                event: event.id,
                delivery: visit.path.split("/").at(-1)
              })
            }">those that came then</a>`
        })
      ]
    ])
  }${Option.isSome(details) ? words(visit, details.value) : undefined}</li>`

/** The instants at which something of a timeline became known, in order. */
const instantsOf = (timeline: ReadonlyArray<Ledger.TimelineEntry>): ReadonlyArray<DateTime.Utc> =>
  [...new Set(timeline.map(({ event }) => event.insertedAt.epochMilliseconds))]
    .toSorted((left, right) => left - right)
    .map((millis) => DateTime.makeUnsafe(millis))

const slider = (visit: Visit.Visit, instants: ReadonlyArray<DateTime.Utc>, step: number): Html =>
  instants.length < 2 ?
    html`` :
    html`<form class="sheet" action="${visit.base}${visit.path}"><input type="hidden" name="tenant" value="${visit.tenantId}"><label>As it was known${
      step < instants.length && instants[step - 1] !== undefined
        ? html` at ${DateTime.formatIso(instants[step - 1] ?? DateTime.makeUnsafe(0)).slice(0, 19)}`
        : " now"
    }<input type="range" name="known" min="1" max="${instants.length}" step="1" value="${step}"></label><p><button>Show</button>${
      step < instants.length
        ? html` <a class="button" href="${Visit.here(visit, { known: undefined })}">Now</a>`
        : undefined
    }</p></form>`

const times = [
  ["dispatched", "dispatchedAt"],
  ["delivered", "deliveredAt"],
  ["opened", "openedAt"],
  ["clicked", "clickedAt"],
  ["bounced", "bouncedAt"],
  ["failed", "failedAt"],
  ["complained", "complainedAt"],
  ["unsubscribed", "unsubscribedAt"],
  ["suppressed", "suppressedAt"]
] as const

const bag = (value: Readonly<Record<string, unknown>>): string | undefined =>
  Object.keys(value).length === 0 ? undefined : JSON.stringify(value)

const factsOf = (visit: Visit.Visit, delivery: Delivery.Delivery): Html => {
  const metadata = bag(delivery.metadata)
  return Show.facts([
    [
      "recipient",
      Option.isSome(delivery.recipient)
        ? html`<a href="${Visit.link(visit, "/recipient", { delivery: delivery.id })}">${
          Show.address(visit, delivery.recipient)
        }</a>`
        : Show.address(visit, delivery.recipient)
    ],
    ["message", foreign(delivery.mailable)],
    ["stream", delivery.stream],
    ["status", html`${Show.tag(delivery.status)}${delivery.terminal ? " for good" : ""}`],
    [
      "last error",
      Option.match(delivery.lastError, {
        onNone: () => undefined,
        onSome: ({ code, enhancedStatus, message }) => {
          const words = [code, enhancedStatus, message].flatMap(Option.toArray).join(" ")
          return words === "" ? undefined : Show.words(visit, words)
        }
      })
    ],
    ["provider", Option.getOrUndefined(delivery.provider)],
    [
      "message id",
      Option.isSome(delivery.providerMessageId)
        ? html`<code><bdi>${delivery.providerMessageId}</bdi></code>`
        : undefined
    ],
    ["recorded", Show.time(delivery.insertedAt)],
    ...times.map(([name, field]) =>
      [name, Option.isSome(delivery[field]) ? Show.maybeTime(delivery[field]) : undefined] as const
    ),
    [
      "idempotency key",
      Option.isSome(delivery.idempotencyKey) ? html`<code><bdi>${delivery.idempotencyKey}</bdi></code>` : undefined
    ],
    ["metadata", metadata === undefined ? undefined : html`<code>${Show.words(visit, metadata)}</code>`],
    ["id", html`<code>${delivery.id}</code>`],
    ["version", String(delivery.lockVersion)]
  ])
}

/** One delivery. */
export const page = Effect.fnUntraced(function*(visit: Visit.Visit, id: string | undefined) {
  const ledger = yield* Ledger.Ledger
  const suppressions = yield* Suppressions.Suppressions
  const deliveryId = yield* Deliveries.idOf(id)
  const key = { tenantId: visit.tenantId, deliveryId }
  const found = yield* ledger.delivery(key)
  if (Option.isNone(found)) return yield* Refusal.notFound("such delivery")
  const timeline = yield* ledger.timeline(key)
  const instants = instantsOf(timeline)
  const asked = Number(Option.getOrElse(Visit.asked(visit, "known"), () => String(instants.length)))
  const step = Number.isInteger(asked) && asked >= 1 && asked <= instants.length ? asked : instants.length
  const at = step < instants.length ? instants[step - 1] : undefined
  const known = at === undefined ? timeline : Delivery.knownAt(timeline, at)
  const delivery = at === undefined ? found.value : Delivery.asOf(found.value, known)
  const suppressed = Option.isNone(delivery.recipient) ? [] : yield* suppressions.check({
    tenantId: visit.tenantId,
    recipients: [delivery.recipient.value],
    stream: Option.none()
  })
  return {
    title: "Delivery",
    refresh: 10,
    body: html`<p class="small"><a href="${Visit.link(visit, "/deliveries")}">Deliveries</a></p><h1>${
      Show.address(visit, delivery.recipient)
    }</h1><p class="lede"><bdi>${delivery.mailable}</bdi> ${
      Option.match(delivery.lastEventType, { onNone: () => Show.tag(delivery.status), onSome: Show.eventType })
    } ${Option.isSome(delivery.lastEventAt) ? Show.time(delivery.lastEventAt.value) : undefined}</p>${
      at === undefined
        ? undefined
        : html`<p class="note warn">This is what was known at ${Show.time(at)}, not what is known now.</p>`
    }${
      suppressed.length === 0 ? undefined : html`<p class="note warn">${Suppressed.sentence(suppressed)}</p>`
    }<div class="columns"><section data-part="timeline"><h2>What happened</h2><ol class="line"${
      attribute("aria-label", "Timeline")
    }>${
      known.map((each) => entry(visit, each))
    }</ol></section><section><h2>Facts</h2><div class="sheet" data-part="facts">${factsOf(visit, delivery)}</div>${
      slider(visit, instants, step)
    }</section></div>`
  } satisfies Page
})
