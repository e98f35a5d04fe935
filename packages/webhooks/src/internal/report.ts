/**
 * Builds events out of what a provider reports, so that whatever it sends, they can be stored.
 *
 * The payload is a closed list of plain words and numbers: no address, subject, free text or URL passes. What the provider says
 * in words goes into the event's details, which are kept beside the ledger.
 */
import {
  Details,
  Event,
  type EventType,
  IdempotencyKey,
  Inbox,
  type JsonBag,
  Provider,
  Recipient,
  Text
} from "@waybill/core"
import { DateTime, Option, Result } from "effect"
import type * as Row from "../Row.ts"
import * as Webhook from "../Webhook.ts"
import { sha256Hex } from "./digest.ts"
import * as Json from "./json.ts"

/** The meaning of a raw event. */
export interface Meaning {
  readonly type: EventType.ReportedType
  readonly rejectReason?: Event.RejectReason
  readonly bounceClass?: Event.BounceClass
  /** The provider did not try, because of what it remembers of the recipient. */
  readonly suppressed?: boolean
}

export const unknown: Meaning = { type: "unknown" }

/** A name that says that an address is on a list, has unsubscribed or did not pass validation. */
const refused =
  /suppress|^on[\w .-]*list|(?:block|deny|opt-?out|do-?not-?(?:e?mail|send))[-_ ]?list(?!ed)|unsubscrib|validat/i

const refusedFor: ReadonlyArray<readonly [RegExp, Event.RejectReason]> = [
  [/unsub|opt-?out/i, "unsubscribed"],
  [/validat/i, "invalid"],
  [/complain|spam/i, "spam"],
  [/bounc/i, "bounced"]
]

/** The reason that a provider's words name for not mailing somebody: what it remembers of the recipient. */
export const remembered = (words: string | undefined): Event.RejectReason | undefined =>
  words === undefined ? undefined : refusedFor.find(([form]) => form.test(words))?.[1]

/**
 * The refusal to send that a provider's word for a bounce or complaint stands for; none where it stands for none. It is told by
 * its form, so that a list that a provider adds is not taken for a fresh bounce or complaint.
 *
 * The word itself says what the provider remembers of the recipient, else `reason` does.
 */
export const refusal = (word: string | undefined, reason: Event.RejectReason): Meaning | undefined =>
  word !== undefined && refused.test(word)
    ? {
      type: "rejected",
      rejectReason: remembered(word) ?? reason,
      suppressed: true
    }
    : undefined

/** What is kept in the ledger beside the type: a closed list, of which no address, subject, free text or URL passes. */
export interface Payload {
  /** The provider's own name of the event. */
  readonly event: string
  readonly subtype?: string | undefined
  /** An enhanced status code, or a text that holds one. */
  readonly status?: string | undefined
  /** The reply code of the recipient's server, where the provider names it by itself. */
  readonly smtpStatus?: string | number | undefined
  readonly attempt?: string | number | undefined
  readonly machine?: "apple" | "gmail" | "generic" | undefined
  /** Whether it names another address than the message was sent to, such as where a mailbox forwards to. */
  readonly otherRecipient?: boolean
}

export interface Report {
  readonly provider: Provider.Provider
  readonly meaning: Meaning
  readonly payload: Payload
  /** What the provider says in words, which are kept beside the ledger for a while. */
  readonly details?: Details.Said | undefined
  readonly occurredAt: DateTime.Utc
  readonly messageId: string | undefined
  readonly eventId: string | undefined
  readonly deliveryId: string | undefined
  readonly recipient: Option.Option<Event.NamedRecipient>
  /** None where it was made of the address of somebody who is forgotten, so that nobody can tell it any more. */
  readonly key: Option.Option<IdempotencyKey.IdempotencyKey>
}

const plain = /^[A-Za-z][A-Za-z0-9 _.-]{0,63}$/

/** A word that is safe to keep: it cannot hold an address or a URL. */
export const word = (text: string | undefined): string | undefined =>
  text !== undefined && plain.test(text) ? text : undefined

const enhancedStatus = /(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?!\.?\d)/

/** By way of its text, so that -0 is 0: nothing stores the other. */
const wholeNumber = (value: string | number | undefined): number | undefined => {
  const digits = String(value)
  return /^\d{1,6}$/.test(digits) ? Number(digits) : undefined
}

/**
 * A reply code that refuses, in a server's answer: at its beginning, after `smtp;` or `said:`, or before an enhanced status code.
 * A number elsewhere may be anything.
 */
const replyCode = /(?:^\s*|smtp;\s*|said:\s*)([45]\d\d)(?=[\s-]|$)|(?<![\d.])([45]\d\d)[ -](?=[45]\.\d{1,3}\.\d{1,3})/i

/** The reply code of the recipient's server, where it refused. */
const smtpStatusOf = ({ details, payload }: Report): number | undefined => {
  const named = /^[45]\d\d$/.exec(String(payload.smtpStatus))?.[0]
  if (named !== undefined) return Number(named)
  for (const text of [details?.response, payload.status]) {
    const found = replyCode.exec(text?.slice(0, 10_000) ?? "")
    const code = found?.[1] ?? found?.[2]
    if (code !== undefined) return Number(code)
  }
  return undefined
}

const normalizedPayload = (report: Report): JsonBag.JsonBag => {
  const { meaning, payload } = report
  const smtpStatus = smtpStatusOf(report)
  const event = word(payload.event)
  const subtype = word(payload.subtype)
  const status = enhancedStatus.exec(payload.status ?? "")?.[0]
  const attempt = wholeNumber(payload.attempt)
  return {
    ...(event !== undefined && { event }),
    ...(subtype !== undefined && { subtype }),
    ...(status !== undefined && { status }),
    ...(smtpStatus !== undefined && { smtpStatus }),
    ...(attempt !== undefined && { attempt }),
    ...(payload.machine !== undefined && { machine: payload.machine }),
    ...(payload.otherRecipient === true && { otherRecipient: true }),
    ...(meaning.suppressed === true && { suppressed: true })
  }
}

/** The words that are said, in their order: those of a place, of a device. */
export const listed = (...words: ReadonlyArray<string | undefined>): string | undefined => {
  const said = words.filter((word) => word !== undefined && word.trim() !== "")
  return said.length === 0 ? undefined : said.join(", ")
}

/** The name under which the app's own data echo our delivery id. */
const echoed = "waybill_delivery_id"

/** The app's own data are kept as they are, but for our delivery id, which the ledger has. */
const detailsOf = ({ metadata, ...said }: Details.Said): Option.Option<Details.Details> =>
  Details.make({
    ...said,
    metadata: metadata && Object.fromEntries(Object.entries(metadata).filter(([name]) => name !== echoed))
  })

const providerEventId = Json.decoder(() => Text.bounded(512))

const toEvent = (report: Report, idempotencyKey: IdempotencyKey.IdempotencyKey): Event.NewEvent => ({
  type: report.meaning.type,
  occurredAt: report.occurredAt,
  provider: report.provider,
  providerMessageId: Option.flatMap(
    Option.fromUndefinedOr(report.messageId),
    (id) => Provider.canonicalMessageId(report.provider, id)
  ),
  providerEventId: providerEventId(report.eventId),
  echoedDeliveryId: Event.DeliveryId.makeOption(report.deliveryId?.trim().toLowerCase() ?? ""),
  recipient: report.recipient,
  rejectReason: Option.fromUndefinedOr(report.meaning.rejectReason),
  bounceClass: Option.fromUndefinedOr(report.meaning.bounceClass),
  normalizedPayload: normalizedPayload(report),
  metadata: {},
  traceId: Option.none(),
  details: detailsOf(report.details ?? {}),
  idempotencyKey
})

/** The key that is the digest of a text. */
export const digestKey = (provider: Provider.Provider, text: string): IdempotencyKey.IdempotencyKey =>
  IdempotencyKey.IdempotencyKey.make(`webhook:${provider}:digest:${sha256Hex(text)}`)

/** The key of an event to which the provider gave an id of its own; what is too long for a key is digested. */
export const keyOfId = (
  provider: Provider.Provider,
  ...parts: ReadonlyArray<string>
): Option.Option<IdempotencyKey.IdempotencyKey> =>
  Option.orElse(
    IdempotencyKey.fromParts(["webhook", provider, "id", ...parts]),
    () => Option.some(digestKey(provider, JSON.stringify(["id", ...parts])))
  )

/** An item as text; one that is nested too deep to be written is not told from others like it. */
const written: (item: unknown) => Option.Option<string> = Option.liftThrowable((item) => JSON.stringify(item))

/**
 * The key of an event that has no id: a digest of what tells it from others. Without a time of its own the whole item
 * takes its place. None where that has the stand-in of the forgotten in it.
 */
export const keyOfNature = (
  provider: Provider.Provider,
  time: string | number | undefined,
  item: unknown,
  ...parts: ReadonlyArray<string | undefined>
): Option.Option<IdempotencyKey.IdempotencyKey> => {
  const nature = JSON.stringify([
    "nature",
    time === undefined ? { item: Option.getOrNull(written(item)) } : String(time),
    ...parts
  ])
  return nature.includes(Inbox.standIn) ? Option.none() : Option.some(digestKey(provider, nature))
}

const bracketed = /<([^<>]*)>\s*$/

/** A recipient as a bare address; none where there is none. */
export const recipient = (address: string | undefined, certain: boolean): Option.Option<Event.NamedRecipient> => {
  if (address === undefined) return Option.none()
  const bare = (bracketed.exec(address)?.[1] ?? address).trim()
  return Option.map(Recipient.Recipient.makeOption(bare), (address) => ({ address, certain }))
}

const latest = 253_402_300_799_999

const instant = (milliseconds: number): Option.Option<DateTime.Utc> =>
  milliseconds > 0 && milliseconds <= latest ? DateTime.make(milliseconds) : Option.none()

const iso = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,12}))?\s*(Z|[+-]\d\d(?::?\d\d)?)?$/i

/**
 * Reads an ISO 8601 time of any precision, cut to milliseconds; without an offset it is UTC. A time before 1970 stands
 * for none.
 */
export const fromIso = (text: string | undefined): Option.Option<DateTime.Utc> => {
  const parts = iso.exec(text ?? "")
  if (parts === null) return Option.none()
  const [, day, time, fraction = "", zone = "Z"] = parts
  const offset = /^z$/i.test(zone) ? "Z" : `${zone.slice(0, 3)}:${zone.slice(3).replace(":", "") || "00"}`
  return Option.flatMap(
    DateTime.make(`${day}T${time}.${fraction.slice(0, 3).padEnd(3, "0")}${offset}`),
    (at) => instant(at.epochMilliseconds)
  )
}

/** Reads seconds since 1970, whole or not, as a number or as text, cut to milliseconds. */
export const fromSeconds = (seconds: string | number | undefined): Option.Option<DateTime.Utc> =>
  seconds !== undefined && /^\d{1,12}(?:\.\d{1,20})?$/.test(String(seconds))
    ? instant(Math.floor(Math.round(Number(seconds) * 1e6) / 1000))
    : Option.none()

/** The contents of one item of a body. */
export type Item =
  | {
    readonly _tag: "Events"
    readonly events: ReadonlyArray<Event.NewEvent>
    /** How many are of somebody who is forgotten. */
    readonly forgotten: number
  }
  | { readonly _tag: "Ignored"; readonly kind: string | undefined }
  | { readonly _tag: "Undecodable"; readonly reason: Webhook.Undecodable["reason"] }

export const undecodable = (reason: Webhook.Undecodable["reason"]): Item => ({ _tag: "Undecodable", reason })

export const ignored = (kind: string | undefined): Item => ({ _tag: "Ignored", kind })

const isForgotten = ({ recipient }: Report): boolean =>
  Option.exists(recipient, ({ address }) => address === Inbox.standIn)

/** The events that reports become; what is of somebody who is forgotten is in the ledger already, or not to be known. */
export const events = (...reports: ReadonlyArray<Report>): Item => {
  const told = reports.flatMap((report) =>
    Option.isNone(report.key) || isForgotten(report) ? [] : [toEvent(report, report.key.value)]
  )
  return { _tag: "Events", events: told, forgotten: reports.length - told.length }
}

/** Puts together what the items of a body gave, each at its index, from that of the first. */
export const collect = (items: ReadonlyArray<Item>, first = 0): Webhook.Normalized => {
  const gathered: Array<Event.NewEvent> = []
  const undecodable: Array<Webhook.Undecodable> = []
  const ignored: Array<Webhook.Ignored> = []
  for (const [offset, item] of items.entries()) {
    const index = first + offset
    switch (item._tag) {
      case "Events":
        gathered.push(...item.events)
        for (let left = item.forgotten; left > 0; left--) ignored.push({ index, kind: "forgotten" })
        break
      case "Ignored":
        ignored.push({ index, kind: word(item.kind) ?? "other" })
        break
      case "Undecodable":
        undecodable.push({ index, reason: item.reason })
        break
    }
  }
  return { events: gathered, undecodable, ignored }
}

/** A body as a whole is not what the provider sends. */
export const malformed = (provider: Provider.Provider, reason: Webhook.MalformedBody["reason"]) =>
  Result.fail(new Webhook.MalformedBody({ provider, reason }))

/** The JSON value of a body. */
export const json = (
  provider: Provider.Provider,
  { body }: Webhook.Request
): Result.Result<unknown, Webhook.MalformedBody> =>
  Option.match(Json.parse(Json.decodeText(body)), {
    onNone: () => malformed(provider, "NotJson"),
    onSome: Result.succeed
  })

/** Reads a body of JSON that is one item. */
export const single =
  (provider: Provider.Provider, item: (value: unknown, received: Webhook.Received) => Item): Row.Row["normalize"] =>
  (received) => Result.map(json(provider, received), (value) => [collect([item(value, received)])])

/** How many items a piece of a batch has. */
const pieceSize = 1000

/** Reads items a thousand at a time. */
export function* pieces(items: ReadonlyArray<unknown>, read: (value: unknown) => Item): Iterable<Webhook.Normalized> {
  for (let first = 0; first < items.length; first += pieceSize) {
    yield collect(items.slice(first, first + pieceSize).map(read), first)
  }
}
