/**
 * Holds the address a delivery is for, the only personal data Waybill keeps, and compares addresses by one canonical form.
 *
 * @since 0.1.0
 */
import { Option, Schema } from "effect"
import * as Text from "./Text.ts"

const address = /^[^\p{Cc}]+@[^\s\p{Cc}@<>]+$/u

/**
 * A bare address as it was given: something before an `@`, a domain after it, at most 320 characters.
 *
 * The bound is RFC 3696's: 64 characters before the `@` and 255 after it.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Recipient = Schema.String.check(
  Schema.makeFilter((text: string) =>
    text.length <= 320 && Text.isStorable(text) && address.test(text)
      ? undefined
      : "must be a bare address with an @, at most 320 characters"
  )
).pipe(Schema.brand("Recipient"))

/**
 * A bare address as it was given.
 *
 * @category models
 * @since 0.1.0
 */
export type Recipient = typeof Recipient.Type

const isAscii = (text: string): boolean => /^[\0-\x7f]*$/.test(text)

/** Lower case, letter by letter: what a letter stands beside does not change it, so that PostgreSQL can do the same. */
const lowerCase = (text: string): string =>
  isAscii(text) ? text.toLowerCase() : Array.from(text, (letter) => letter.toLowerCase()).join("")

/** Upper case, of the letters whose lower case gives them back. */
const upperCase = (text: string): string =>
  Array.from(text, (letter) => {
    const upper = letter.toUpperCase()
    return upper.toLowerCase() === letter ? upper : letter
  }).join("")

/** What a domain name may hold and does not count: soft hyphens, joiners of words, variation selectors. */
const ignored = /[\u00ad\u200b\u2060\u2064\ufeff]|\u034f|[\u180b-\u180d]|\u180f|[\ufe00-\ufe0f]/g

const adapted = (delta: number, length: number, isFirst: boolean): number => {
  let rest = isFirst ? Math.floor(delta / 700) : Math.floor(delta / 2)
  rest += Math.floor(rest / length)
  let times = 0
  while (rest > 455) {
    rest = Math.floor(rest / 35)
    times += 36
  }
  return times + Math.floor((36 * rest) / (rest + 38))
}

const threshold = (place: number, bias: number): number => Math.min(Math.max(place - bias, 1), 26)

const digits = "abcdefghijklmnopqrstuvwxyz0123456789"

/** Encodes a label by RFC 3492. */
const punycode = (label: string): string => {
  const codes = Array.from(label, (letter) => letter.codePointAt(0) ?? 0)
  const basic = codes.filter((code) => code < 128)
  let encoded = String.fromCodePoint(...basic) + (basic.length > 0 ? "-" : "")
  let handled = basic.length
  let reached = 128
  let delta = 0
  let bias = 72
  while (handled < codes.length) {
    const next = Math.min(...codes.filter((code) => code >= reached))
    delta += (next - reached) * (handled + 1)
    for (const code of codes) {
      if (code < next) delta++
      if (code !== next) continue
      let rest = delta
      for (let place = 36;; place += 36) {
        const least = threshold(place, bias)
        if (rest < least) break
        encoded += digits.charAt(least + (rest - least) % (36 - least))
        rest = Math.floor((rest - least) / (36 - least))
      }
      encoded += digits.charAt(rest)
      bias = adapted(delta, handled + 1, handled === basic.length)
      delta = 0
      handled++
    }
    delta++
    reached = next + 1
  }
  return encoded
}

/** The label that RFC 3492 encodes as a text; none where the text is no such encoding. */
const fromPunycode = (encoded: string): Option.Option<string> => {
  const end = encoded.lastIndexOf("-")
  const codes = Array.from(encoded.slice(0, Math.max(end, 0)), (letter) => letter.codePointAt(0) ?? 0)
  let reached = 128
  let index = 0
  let bias = 72
  for (let at = end + 1; at < encoded.length;) {
    const before = index
    let weight = 1
    for (let place = 36;; place += 36) {
      const digit = digits.indexOf(encoded.charAt(at++) || " ")
      if (digit < 0) return Option.none()
      index += digit * weight
      const least = threshold(place, bias)
      if (digit < least) break
      weight *= 36 - least
    }
    bias = adapted(index - before, codes.length + 1, before === 0)
    reached += Math.floor(index / (codes.length + 1))
    index %= codes.length + 1
    if (!(reached < 0xd800 || (reached > 0xdfff && reached <= 0x10ffff))) return Option.none()
    codes.splice(index++, 0, reached)
  }
  return Option.some(String.fromCodePoint(...codes))
}

const encodedLabel = /^xn--/

/** A domain as it is read: normalized, in lower case, without what does not count and the points at its end. */
const mappedDomain = (domain: string): string => {
  const mapped = lowerCase(domain.normalize("NFKC").replace(ignored, "")).normalize("NFKC").replaceAll("\u3002", ".")
  return mapped.replace(/(?<=[^.])\.+$/, "") || lowerCase(domain)
}

const asciiDomain = (domain: string): string =>
  mappedDomain(domain).split(".").map((label) => isAscii(label) ? label : `xn--${punycode(label)}`).join(".")

/** What an encoded label stands for, where it is the encoding of nothing else. */
const decodedLabel = (label: string): string =>
  encodedLabel.test(label)
    ? fromPunycode(label.slice(4)).pipe(
      Option.filter((decoded) => asciiDomain(decoded) === label),
      Option.getOrElse(() => label)
    )
    : label

const unicodeDomain = (domain: string): string => mappedDomain(domain).split(".").map(decodedLabel).join(".")

const signOf = (address: string): number => address.lastIndexOf("@") + 1

/** The two forms of a sigma are one letter, as their upper case is. */
const canonicalLocal = (local: string): string =>
  lowerCase(local.normalize("NFC")).normalize("NFC").replaceAll("\u03c2", "\u03c3")

/**
 * The form in which addresses are compared: Unicode's normal form in lower case, the domain in ASCII and without the point at
 * its end. The form of a form is itself.
 *
 * So `J\u00d6@B\u00fccher.example.` and `jo\u0308@xn--bcher-kva.example` are one recipient. The domain is mapped as by UTS #46:
 * compatibility forms such as full-width letters are plain, and what a domain may not hold stays as it is. PostgreSQL computes
 * the same (`canonical_recipient`).
 *
 * @category getters
 * @since 0.2.0
 */
export const canonical = (recipient: string): string => {
  if (isAscii(recipient) && !recipient.endsWith(".")) return recipient.toLowerCase()
  const sign = signOf(recipient)
  return canonicalLocal(recipient.slice(0, sign)) + asciiDomain(recipient.slice(sign))
}

/**
 * The canonical domain, after the last `@`.
 *
 * @category getters
 * @since 0.1.0
 */
export const domain = (recipient: Recipient): string => {
  const form = canonical(recipient)
  return form.slice(signOf(form))
}

/**
 * Tells whether two addresses are two spellings of one recipient.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isSame = (left: Recipient, right: Recipient): boolean => canonical(left) === canonical(right)

/**
 * The spellings under which a text may mention an address, apart from the case of `A` to `Z`: as it is given, and with letters
 * beyond ASCII composed and decomposed, in lower and upper case, the domain in ASCII and in Unicode.
 *
 * @category getters
 * @since 0.2.0
 */
export const spellings = (recipient: string): ReadonlyArray<string> => {
  const sign = signOf(recipient)
  const given = recipient.slice(0, sign)
  const local = canonicalLocal(given)
  const ascii = asciiDomain(recipient.slice(sign))
  const unicode = unicodeDomain(recipient.slice(sign))
  const all = [
    recipient,
    ...[given, local, upperCase(local)].flatMap((part) => [part + ascii, part + unicode, part + upperCase(unicode)])
  ].flatMap((text) => [text, text.normalize("NFC"), text.normalize("NFD")])
  return Array.from(new Set(all.map((text) => text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()))))
}
