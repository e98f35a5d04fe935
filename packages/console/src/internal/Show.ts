/** Shows times, addresses, counts and states, the same on every page. */
import { type EventType, type Recipient, Text } from "@waybill/core"
import { DateTime, Option } from "effect"
import { attribute, foreign, type Html, html } from "./Html.ts"
import * as Visit from "./Visit.ts"

/** An instant, in UTC. */
export const time = (at: DateTime.Utc): Html => {
  const iso = DateTime.formatIso(at)
  return html`<time datetime="${iso}" title="${iso}">${iso.slice(0, 10)} ${iso.slice(11, 19)}</time>`
}

/** An instant that may not be known. */
export const maybeTime = (at: Option.Option<DateTime.Utc>): Html =>
  Option.match(at, { onNone: () => html`<span class="soft">never</span>`, onSome: time })

const units = [["d", 86_400_000], ["h", 3_600_000], ["min", 60_000], ["s", 1000]] as const

/** How long ago an instant was, in its largest unit. */
export const age = (at: DateTime.Utc, now: DateTime.Utc): string => {
  const millis = Math.max(now.epochMilliseconds - at.epochMilliseconds, 0)
  const [name, length] = units.find(([, length]) => millis >= length) ?? ["s", 1000]
  return `${Math.floor(millis / length)} ${name}`
}

/** A count with its noun. */
export const count = (number: number, noun: string): string =>
  `${number.toLocaleString("en")} ${number === 1 ? noun : `${noun}s`}`

/** The letters of an address that are shown to whoever may not see it. */
export const mask = (address: string): string => {
  const at = address.lastIndexOf("@")
  const [first = ""] = address.slice(0, at)
  return `${first}\u2022\u2022\u2022${address.slice(at)}`
}

/** An address, masked where the visitor may not see it. */
export const address = (visit: Visit.Visit, recipient: Option.Option<Recipient.Recipient>): Html =>
  Option.match(recipient, {
    onNone: () => html`<span class="soft">forgotten</span>`,
    onSome: (text) => foreign(Visit.seesAddresses(visit) ? text : mask(text))
  })

/** Words of a provider or a user; without addresses where the visitor may not see them. */
export const words = (visit: Visit.Visit, text: string): Html =>
  foreign(Visit.seesAddresses(visit) ? text : Text.withoutAddresses(text, text.length + 10))

type Tone = "good" | "bad" | "warn" | "plain"

/** A word on a coloured ground. */
export const tag = (word: string, tone: Tone = "plain"): Html => html`<span class="tag ${tone}">${word}</span>`

/** How a type of event is to be taken. */
export const tones: Readonly<Record<EventType.EventType, Tone>> = {
  queued: "plain",
  sent: "plain",
  dispatched: "plain",
  reconciled: "plain",
  unknown: "plain",
  delivered: "good",
  opened: "good",
  clicked: "good",
  subscribed: "good",
  deferred: "warn",
  autoresponded: "warn",
  unsubscribed: "warn",
  suppressed: "warn",
  rejected: "bad",
  failed: "bad",
  bounced: "bad",
  complained: "bad"
}

/** A type of event. */
export const eventType = (type: EventType.EventType): Html => tag(type, tones[type])

/** Options of a closed set, the first of them for anything. */
export const options = (
  values: ReadonlyArray<string>,
  chosen: Option.Option<string>,
  anything = "any"
): Html =>
  html`<option value="">${anything}</option>${
    values.map((value) =>
      html`<option value="${value}"${attribute("selected", Option.contains(chosen, value))}>${value}</option>`
    )
  }`

/** A list of facts; what has no value is left out. */
export const facts = (entries: ReadonlyArray<readonly [name: string, value: Html | string | undefined]>): Html =>
  html`<dl class="facts">${
    entries.map(([name, value]) =>
      value === undefined || value === "" ? undefined : html`<dt>${name}</dt><dd>${value}</dd>`
    )
  }</dl>`

/** Something in place of an empty list. */
export const empty = (words: string): Html => html`<p class="empty">${words}</p>`

/** A table, which is a list of cards on a narrow page. */
export const table = (columns: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<Html | string>>): Html =>
  html`<table><thead><tr>${
    columns.map((name) => name === "" ? html`<td></td>` : html`<th scope="col">${name}</th>`)
  }</tr></thead><tbody>${
    rows.map((cells) =>
      html`<tr>${cells.map((cell, index) => html`<td data-label="${columns[index]}">${cell}</td>`)}</tr>`
    )
  }</tbody></table>`
