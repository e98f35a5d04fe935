/**
 * Models what a provider says of an event in words: the half of the event that can be erased, kept beside the ledger.
 *
 * The ledger holds types, times, ids and pseudonyms for good. Words may name a person, so they are kept for a while, are erased
 * with the recipient, and are in no log, span or metric. They are bounded: what is longer is cut, and says so.
 *
 * @since 0.2.0
 */
import { Option, Schema } from "effect"
import * as Text from "./Text.ts"

/**
 * The most bytes that the details of one event take, as JSON text in UTF-8 with a space after each colon and comma.
 *
 * @category constants
 * @since 0.2.0
 */
export const maxBytes = 4096

/** The fields that hold one text, in the order in which they are given room, each with the most bytes of its own. */
const limits = [
  ["response", 2048],
  ["description", 1024],
  ["url", 2048],
  ["server", 256],
  ["ip", 64],
  ["userAgent", 512],
  ["client", 256],
  ["location", 256],
  ["list", 256],
  ["otherRecipient", 640]
] as const

/** The most bytes of one tag, and of the name and the value of one entry of the metadata. */
const most = { tag: 256, name: 256, value: 1024 }

/** What a JSON text takes around a field: two quotes, a colon, a comma, two spaces. */
const separators = 6

const plain = /^[ !#-[\]-~]*$/

const bytesOfLetter = (code: number): number => {
  if (code === 0x22 || code === 0x5c) return 2
  if (code < 0x20) return [0x08, 0x09, 0x0a, 0x0c, 0x0d].includes(code) ? 2 : 6
  if (code < 0x80) return 1
  if (code < 0x800) return 2
  return code < 0x10000 ? 3 : 4
}

/** The bytes of a text within its quotes. */
const bytesOfText = (text: string): number => {
  if (plain.test(text)) return text.length
  let bytes = 0
  for (const letter of text) bytes += bytesOfLetter(letter.codePointAt(0) ?? 0)
  return bytes
}

/** The beginning of a text that takes at most so many bytes. */
const beginning = (text: string, bytes: number): string => {
  let left = bytes
  let end = 0
  for (const letter of text) {
    left -= bytesOfLetter(letter.codePointAt(0) ?? 0)
    if (left < 0) break
    end += letter.length
  }
  return text.slice(0, end)
}

const Words = Schema.String.check(
  Schema.makeFilter((text: string) =>
    text !== "" && Text.isStorable(text) ? undefined : "must be well-formed text without NUL"
  )
)

const Metadata = Schema.Record(Schema.String, Schema.String).check(
  Schema.makeFilter((metadata: Readonly<Record<string, string>>) =>
    Object.entries(metadata).every(([name, value]) =>
        name !== "__proto__" && Text.isStorable(name) && Text.isStorable(value)
      )
      ? undefined
      : "must hold well-formed text without NUL, under names other than __proto__"
  )
)

const word = Schema.optionalKey(Words)

const Fields = Schema.Struct({
  /** What the receiving server answered, such as `550 5.1.1 no such user`. */
  response: word,
  /** What the provider says of the event in its own words. */
  description: word,
  /** The link that was clicked. */
  url: word,
  /** The server that answered, or that reported. */
  server: word,
  /** The IP address from which the recipient opened, clicked, left or complained. */
  ip: word,
  /** The user agent, as the provider passes it on. */
  userAgent: word,
  /** The mail client, system and device, as the provider names them. */
  client: word,
  /** Where the recipient was, as far as the provider knows. */
  location: word,
  /** The group, topic or list that was left or joined. */
  list: word,
  /** Another address than the message was sent to, such as where a mailbox forwards to. */
  otherRecipient: word,
  /** The tags or categories that the app gave to the message. */
  tags: Schema.optionalKey(Schema.Array(Words)),
  /** The app's own data that it gave to the message; what is not text is its JSON text. */
  metadata: Schema.optionalKey(Metadata),
  /** Present where something was cut away. */
  cut: Schema.optionalKey(Schema.Literal(true))
})

/** The bytes that a field takes, with its name. */
const bytesOf = (
  name: string,
  value: string | true | ReadonlyArray<string> | Readonly<Record<string, string>>
): number => {
  const own = bytesOfText(name) + separators
  if (value === true) return own + 4
  if (typeof value === "string") return own + bytesOfText(value) + 2
  return own + 2 + (isList(value)
    ? value.reduce((bytes, tag) => bytes + bytesOfTag(tag), 0)
    : Object.entries(value).reduce((bytes, [name, text]) => bytes + bytesOf(name, text), 0))
}

const isList = (value: ReadonlyArray<string> | Readonly<Record<string, string>>): value is ReadonlyArray<string> =>
  Array.isArray(value)

/** With its quotes, a comma and a space. */
const bytesOfTag = (tag: string): number => bytesOfText(tag) + 4

const size = (details: typeof Fields.Type): number =>
  Object.entries(details).reduce((bytes, [name, value]) => bytes + bytesOf(name, value), 2)

/**
 * What a provider says of an event in words; what it does not say is left out. Its encoded form is JSON.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Details = Fields.check(
  Schema.makeFilter((details: typeof Fields.Type) =>
    size(details) <= maxBytes ? undefined : `must be at most ${maxBytes} bytes of JSON`
  )
)

/**
 * What a provider says of an event in words.
 *
 * @category models
 * @since 0.2.0
 */
export type Details = typeof Details.Type

/**
 * What a provider said, as it said it: of any length, with fields that are absent or empty.
 *
 * @category models
 * @since 0.2.0
 */
export type Said =
  & { readonly [name in typeof limits[number][0]]?: string | undefined }
  & {
    /** The tags or categories that the app gave to the message. */
    readonly tags?: ReadonlyArray<string> | undefined
    /** The app's own data that it gave to the message. */
    readonly metadata?: Readonly<Record<string, unknown>> | undefined
  }

/** The room that is left of the bound, and what is written into it. */
const room = () => {
  let left = maxBytes - 2 - bytesOf("cut", true)
  let isCut = false
  /** Tells whether so many bytes are left. */
  const has = (bytes: number): boolean => {
    if (bytes > left) isCut = true
    return bytes <= left
  }
  return {
    has,
    isCut: () => isCut,
    /** A text that fits in, cut where it has to be; none where it is empty or nothing of it does. */
    text: (given: string, own: number, around: number): string | undefined => {
      const bytes = Math.min(own, left - around)
      const near = given.slice(0, Math.max(bytes, 0) + 1).replace(/[\ud800-\udbff]$/, "")
      const whole = near.toWellFormed().replaceAll("\u0000", "")
      const text = beginning(whole, bytes)
      if (text.length < whole.length || near.length < given.length) isCut = true
      if (text === "") return undefined
      left -= bytesOfText(text) + around
      return text
    },
    /** Tells whether so many bytes are left, and takes them. */
    take: (bytes: number): boolean => {
      if (!has(bytes)) return false
      left -= bytes
      return true
    }
  }
}

type Room = ReturnType<typeof room>

const tagsIn = ({ has, take, text }: Room, given: ReadonlyArray<string>): ReadonlyArray<string> => {
  if (given.length === 0 || !take(bytesOf("tags", []))) return []
  const tags: Array<string> = []
  for (const tag of given) {
    if (!has(Math.min(bytesOfText(tag.trim()), most.tag) + 4)) break
    const kept = text(tag.trim(), most.tag, 4)
    if (kept !== undefined) tags.push(kept)
  }
  return tags
}

/** What is nested too deep to be written is left out. */
const written: (value: unknown) => Option.Option<string> = Option.liftThrowable((value) => JSON.stringify(value))

const textOf = (value: unknown): string =>
  typeof value === "string" ? value : Option.getOrElse(written(value), () => "")

const metadataIn = (
  { has, take, text }: Room,
  given: Readonly<Record<string, unknown>>
): Readonly<Record<string, string>> => {
  const said = Object.entries(given).filter(([name]) => name !== "" && name !== "__proto__")
  if (said.length === 0 || !take(bytesOf("metadata", {}))) return {}
  const entries: Array<readonly [string, string]> = []
  for (const [name, value] of said) {
    if (value === undefined) continue
    if (!has(Math.min(bytesOfText(name), most.name) + separators + 2)) break
    const key = text(name, most.name, separators + 2)
    if (key !== undefined) entries.push([key, text(textOf(value), most.value, 0) ?? ""])
  }
  return Object.fromEntries(entries)
}

/**
 * The details that an event keeps of what a provider said, cut to the bound; none where it said nothing.
 *
 * Each field is cut to a bound of its own, so that one long text leaves room for the others; the tags and the app's own data
 * take what is left.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (said: Said): Option.Option<Details> => {
  const within = room()
  const words: { -readonly [name in typeof limits[number][0]]?: string } = {}
  for (const [name, own] of limits) {
    const text = within.text(said[name]?.trim() ?? "", own, bytesOf(name, ""))
    if (text !== undefined) words[name] = text
  }
  const tags = tagsIn(within, said.tags ?? [])
  const metadata = metadataIn(within, said.metadata ?? {})
  const kept: Details = {
    ...words,
    ...(tags.length > 0 && { tags }),
    ...(Object.keys(metadata).length > 0 && { metadata })
  }
  if (Object.keys(kept).length === 0) return Option.none()
  return Option.some(within.isCut() ? { ...kept, cut: true } : kept)
}
