import { Option } from "effect"

const forgotten = new TextEncoder().encode("forgotten@forgotten.invalid")

const lower = (byte: number): number => byte >= 65 && byte <= 90 ? byte + 32 : byte

/** The ways in which a body may spell an address: plain, and with its @ or + escaped as in a form or in JSON. */
const spellings = (address: string): ReadonlyArray<string> => [
  address,
  address.replaceAll("@", "%40").replaceAll("+", "%2b"),
  address.replaceAll("@", "\\u0040"),
  encodeURIComponent(address)
]

const startsAt = (body: Uint8Array, index: number, sought: Uint8Array): boolean => {
  for (let offset = 0; offset < sought.length; offset++) {
    const byte = body[index + offset]
    if (byte === undefined || lower(byte) !== sought[offset]) return false
  }
  return true
}

const isAlphanumeric = (byte: number | undefined): boolean =>
  byte !== undefined && /[0-9a-z]/.test(String.fromCharCode(lower(byte)))

const isOneOf = (characters: string, byte: number | undefined): boolean =>
  byte !== undefined && characters.includes(String.fromCharCode(byte))

/** Whether the byte before belongs to a longer address, and is not the end of an escape such as %3C, \\n or \\u003c. */
const continuesBefore = (body: Uint8Array, index: number): boolean => {
  const before = body[index - 1]
  if (isOneOf("._+-", before)) return true
  return isAlphanumeric(before) && !isOneOf("%", body[index - 3]) && !isOneOf("\\", body[index - 2]) &&
    !(isOneOf("\\", body[index - 6]) && isOneOf("u", body[index - 5]))
}

/** Whether the domain goes on after the mention. */
const continuesAfter = (body: Uint8Array, end: number): boolean =>
  isAlphanumeric(body[end]) || isOneOf("-", body[end]) || (isOneOf(".", body[end]) && isAlphanumeric(body[end + 1]))

/** A body with every mention of an address, in whatever case and form or JSON escape, replaced; none where there is none. */
export const erase = (body: Uint8Array, address: string): Option.Option<Uint8Array> => {
  const encoder = new TextEncoder()
  const sought = spellings(address).map((spelling) => encoder.encode(spelling).map(lower))
  const pieces: Array<Uint8Array> = []
  let kept = 0
  for (let index = 0; index < body.length; index++) {
    const found = sought.find((each) =>
      startsAt(body, index, each) && !continuesBefore(body, index) && !continuesAfter(body, index + each.length)
    )
    if (found === undefined) continue
    pieces.push(body.subarray(kept, index), forgotten)
    kept = index + found.length
    index = kept - 1
  }
  if (pieces.length === 0) return Option.none()
  pieces.push(body.subarray(kept))
  const length = pieces.reduce((total, piece) => total + piece.length, 0)
  const erased = new Uint8Array(length)
  let offset = 0
  for (const piece of pieces) {
    erased.set(piece, offset)
    offset += piece.length
  }
  return Option.some(erased)
}
