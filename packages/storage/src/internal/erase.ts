/**
 * Replaces every mention of an address in a raw body by the stand-in of the forgotten.
 *
 * A body is read with each percent-encoding and each escape of JSON undone, up to eight times over, as for JSON in a text of
 * JSON in a form; in what is read, the address is looked for without the case of A to Z. So is the address as the sender of
 * a message has it, with `=` in place of the `@` (`bounce+1-ann=example.com@…`).
 *
 * What merely contains the address is another one and left: `joann@example.com`, `jo.ann@example.com`, `o'ann@example.com`,
 * `ann@example.com.au`. Before the address, letters that have case and digits belong to a longer one, and those of `._+-'`
 * that follow on them; after it, letters that have case and digits, also after a point or a hyphen. Where both can be meant it
 * is a mention: after a reply code (`550-ann@example.com`), in quotes (`b'ann@example.com'`), after a plus that is a space in a
 * form (`to+ann%40example.com`), after any other sign (`jo/ann@example.com`), after signs alone (`_ann@example.com`), and as
 * the sender after whatever sign. It is none before a point and a letter (`ann@example.com.Then`).
 *
 * It is looked for in each of its spellings: letters beyond ASCII composed and decomposed, all in lower or all in upper case, the
 * domain in ASCII and in Unicode.
 *
 * Not found are other encodings (base64, quoted-printable, HTML), and an address of which only a part is there.
 */
import { Inbox, Recipient } from "@waybill/core"
import { Option } from "effect"

/** Text with its escapes undone. */
interface Reading {
  readonly bytes: Uint8Array
  /** Where in the body each byte began; after the last, the body's length. */
  readonly begins: Uint32Array
  /** How often the percent-encoding of each was undone. */
  readonly depths: Uint8Array
}

/** A chain of `%2525…` undoes once each time. */
const maxReadings = 8

const encoder = new TextEncoder()

const decoder = new TextDecoder()

const code = (character: string): number => character.charCodeAt(0)

const percent = code("%")
const backslash = code("\\")
const plus = code("+")
const apostrophe = code("'")
const at = code("@")
const equals = code("=")
const point = code(".")
const underscore = code("_")
const hyphen = code("-")
const space = code(" ")

/** What follows a backslash in JSON, and stands for one byte. */
const shorts: ReadonlyMap<number | undefined, number> = new Map(
  [["\"", "\""], ["\\", "\\"], ["/", "/"], ["b", "\b"], ["f", "\f"], ["n", "\n"], ["r", "\r"], ["t", "\t"]]
    .map(([short = "", meant = ""]) => [code(short), code(meant)])
)

const latin1 = (bytes: Uint8Array, from: number, to: number): string =>
  String.fromCharCode(...bytes.subarray(Math.max(from, 0), to))

/** What an escape that begins at an index stands for, and how long it is. */
interface Escape {
  readonly meant: ReadonlyArray<number> | Uint8Array
  readonly length: number
}

const surrogates = /^\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})/i

const unit = /^\\u([0-9a-f]{4})/i

const escapeAt = (bytes: Uint8Array, index: number): Escape | undefined => {
  if (bytes[index] === percent) {
    const digits = latin1(bytes, index + 1, index + 3)
    return /^[0-9a-f]{2}$/i.test(digits) ? { meant: [Number.parseInt(digits, 16)], length: 3 } : undefined
  }
  const short = shorts.get(bytes[index + 1])
  if (short !== undefined) return { meant: [short], length: 2 }
  const text = latin1(bytes, index, index + 12)
  const [escape, ...units] = surrogates.exec(text) ?? unit.exec(text) ?? []
  if (escape === undefined) return undefined
  const meant = encoder.encode(String.fromCharCode(...units.map((each) => Number.parseInt(each, 16))))
  return { meant, length: escape.length }
}

/** Undoes the escapes once; gives nothing where there are none. */
const undone = ({ begins, bytes, depths }: Reading): Option.Option<Reading> => {
  const read = new Uint8Array(bytes.length)
  const from = new Uint32Array(bytes.length + 1)
  const deep = new Uint8Array(bytes.length)
  let length = 0
  const put = (byte: number, index: number, depth: number): void => {
    read[length] = byte
    from[length] = begins[index] ?? 0
    deep[length] = depth
    length++
  }
  let index = 0
  while (index < bytes.length) {
    const byte = bytes[index] ?? 0
    const depth = depths[index] ?? 0
    const escape = byte === percent || byte === backslash ? escapeAt(bytes, index) : undefined
    if (escape === undefined) put(byte, index, depth)
    else for (const meant of escape.meant) put(meant, index, byte === percent ? depth + 1 : depth)
    index += escape?.length ?? 1
  }
  from[length] = begins[bytes.length] ?? 0
  return length === bytes.length
    ? Option.none()
    : Option.some({ bytes: read.subarray(0, length), begins: from.subarray(0, length + 1), depths: deep })
}

const reading = (body: Uint8Array): Reading => {
  const begins = new Uint32Array(body.length + 1)
  for (let index = 0; index <= body.length; index++) begins[index] = index
  let read: Reading = { bytes: body, begins, depths: new Uint8Array(body.length) }
  for (let times = 0; times < maxReadings; times++) {
    const further = undone(read)
    if (Option.isNone(further)) break
    read = further.value
  }
  return read
}

const folded = (byte: number): number => byte >= 65 && byte <= 90 ? byte + 32 : byte

/** Whether a folded text stands at an index; its spaces may be the pluses of a form. */
const standsAt = (bytes: Uint8Array, index: number, sought: Uint8Array): boolean => {
  for (let offset = 0; offset < sought.length; offset++) {
    const byte = bytes[index + offset]
    const wanted = sought[offset]
    if (byte === undefined || (folded(byte) !== wanted && !(byte === plus && wanted === space))) return false
  }
  return true
}

const isContinuation = (byte: number | undefined): boolean => byte !== undefined && (byte & 0xc0) === 0x80

/** The character that ends before an index; empty at the beginning. */
const characterBefore = (bytes: Uint8Array, index: number): string => {
  let begin = index - 1
  while (isContinuation(bytes[begin]) && index - begin < 4) begin--
  return decoder.decode(bytes.subarray(Math.max(begin, 0), index))
}

/** The character that begins at an index; empty at the end. */
const characterAt = (bytes: Uint8Array, index: number): string => {
  let end = index + 1
  while (isContinuation(bytes[end]) && end - index < 4) end++
  return decoder.decode(bytes.subarray(index, end))
}

/** Scripts without case put no space around an address. */
const isWord = (character: string): boolean => /^[\p{Lu}\p{Ll}\p{Lt}\p{Mn}\p{Nd}]/u.test(character)

const replyCode = /(?:^|[^0-9A-Za-z])[245]\d\d-$/

/** The longest part before the `@`. */
const longestLocal = 64

const continuesBefore = (bytes: Uint8Array, index: number, isJoiner: (index: number) => boolean): boolean => {
  if (replyCode.test(latin1(bytes, index - 5, index))) return false
  let begin = index
  while (index - begin < longestLocal && isJoiner(begin - 1)) begin--
  return isWord(characterBefore(bytes, begin))
}

const continuesAfter = (bytes: Uint8Array, end: number): boolean => {
  const after = characterAt(bytes, end)
  return isWord(after === "." || after === "-" ? characterAt(bytes, end + 1) : after)
}

const standIn = encoder.encode(Inbox.standIn)

/** A body without its mentions of an address in one spelling; none where there is none. */
const eraseSpelling = (
  body: Uint8Array,
  { begins, bytes, depths }: Reading,
  address: string
): Option.Option<Uint8Array> => {
  const sought = reading(encoder.encode(address)).bytes.map(folded)
  const sign = sought.lastIndexOf(at)
  const asSender = sought.with(sign, equals)

  const isAddress = (index: number, end: number): boolean => {
    // A plus that is encoded less often than the `@` is a space of a form.
    const isJoiner = (place: number): boolean => {
      const byte = bytes[place]
      if (byte === plus) return (depths[place] ?? 0) >= (depths[index + sign] ?? 0)
      if (byte === apostrophe) return bytes[end] !== apostrophe
      return byte === point || byte === underscore || byte === hyphen
    }
    return standsAt(bytes, index, sought) && !continuesBefore(bytes, index, isJoiner) && !continuesAfter(bytes, end)
  }

  const isSender = (index: number, end: number): boolean =>
    standsAt(bytes, index, asSender) && bytes[end] === at && !isWord(characterBefore(bytes, index))

  const pieces: Array<Uint8Array> = []
  let erased = 0
  for (let place = sign; place < bytes.length; place++) {
    if (bytes[place] !== at && bytes[place] !== equals) continue
    const index = place - sign
    const end = index + sought.length
    if (index < erased || !(isAddress(index, end) || isSender(index, end))) continue
    pieces.push(body.subarray(begins[erased], begins[index]), standIn)
    erased = end
  }
  if (pieces.length === 0) return Option.none()
  return Option.some(new Uint8Array(Buffer.concat([...pieces, body.subarray(begins[erased])])))
}

/** A body without its mentions of an address; none where there is none. */
export const erase = (body: Uint8Array, address: string): Option.Option<Uint8Array> => {
  let erased = body
  let read = reading(body)
  for (const spelling of Recipient.spellings(address)) {
    const found = eraseSpelling(erased, read, spelling)
    if (Option.isNone(found)) continue
    erased = found.value
    read = reading(erased)
  }
  return erased === body ? Option.none() : Option.some(erased)
}
