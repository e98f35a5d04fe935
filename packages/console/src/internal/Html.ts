/**
 * Writes HTML in which whatever is put into a place is text. A template has its places in text or in a quoted attribute alone;
 * one with a place elsewhere, such as in a script or in an attribute without quotes, is a defect the first time it is used.
 */
import { Option } from "effect"

const marker = Symbol.for("@waybill/console/Html")

/** A piece of HTML, which only a template makes. */
export interface Html {
  readonly [marker]: true
  readonly text: string
}

/** What may be put into a place: text is escaped, HTML stands as it is, nothing is nothing. */
export type Content = Html | string | number | bigint | undefined | Option.Option<string> | ReadonlyArray<Content>

const escapes: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  "\"": "&quot;",
  "'": "&#39;"
}

/** Text that stands for itself in text and in a quoted attribute; what no page may hold is shown as U+FFFD. */
export const escape = (text: string): string =>
  text.toWellFormed()
    // oxlint-disable-next-line no-control-regex
    .replace(/[\u0000-\u0008\u000b\u000e-\u001f\u007f]/g, "\ufffd")
    .replace(/[&<>"']/g, (letter) => escapes[letter] ?? letter)

/**
 * Text that stands for itself on a page. The letters that embed, override and isolate the direction of a text are shown by their
 * numbers: one that closes more than it opened would turn what stands around it, isolated or not (UAX #9).
 */
const shown = (text: string): string =>
  escape(text).replace(
    /[\u202a-\u202e\u2066-\u2069]/g,
    (letter) => `\u27e8U+${letter.charCodeAt(0).toString(16).toUpperCase()}\u27e9`
  )

const isHtml = (value: object): value is Html => marker in value

const isList = (value: Content): value is ReadonlyArray<Content> => Array.isArray(value)

const write = (value: Content, written: (text: string) => string): string => {
  if (value === undefined) return ""
  if (typeof value === "string") return written(value)
  if (typeof value === "number" || typeof value === "bigint") return String(value)
  if (isList(value)) return value.map((each) => write(each, written)).join("")
  if (isHtml(value)) return value.text
  return Option.match(value, { onNone: () => "", onSome: written })
}

/** Where a place stands: in text, between the attributes of a tag, or in an attribute with quotes. */
type Where = "text" | "tag" | "'" | "\""

const after = (where: Where, text: string): Where => {
  let now = where
  for (const letter of text) {
    if (now === "text") now = letter === "<" ? "tag" : now
    else if (now !== "tag") now = letter === now ? "tag" : now
    else if (letter === ">") now = "text"
    else if (letter === "\"" || letter === "'") now = letter
  }
  return now
}

/** What has a language of its own inside, in which nothing is escaped; a script is closed where it opens. */
const raw = /<style|<!--|<script(?![^>]*><\/script>)/i

const checked = new WeakMap<TemplateStringsArray, ReadonlyArray<Where>>()

const placesOf = (strings: TemplateStringsArray): ReadonlyArray<Where> => {
  const known = checked.get(strings)
  if (known !== undefined) return known
  if (raw.test(strings.join(" "))) throw new Error("a template has no script, style or comment")
  const places: Array<Where> = []
  let where: Where = "text"
  for (const text of strings) {
    where = after(where, text)
    places.push(where)
  }
  checked.set(strings, places)
  return places
}

const htmlOf = (text: string): Html => ({ [marker]: true, text })

/** Writes a template. */
export const html = (strings: TemplateStringsArray, ...values: ReadonlyArray<Content>): Html => {
  const places = placesOf(strings)
  let text = strings[0] ?? ""
  for (const [index, value] of values.entries()) {
    if (places[index] === "tag" && !isAttribute(value)) {
      throw new Error("a template has a place in a tag, without quotes")
    }
    text += write(value, places[index] === "text" ? shown : escape) + (strings[index + 1] ?? "")
  }
  return htmlOf(text)
}

const attributes = new WeakSet<Html>()

const isAttribute = (value: Content): boolean =>
  value === undefined || (typeof value === "object" && marker in value && attributes.has(value))

const attributeName = /^[a-z][a-z-]*$/

/** An attribute, where it is to stand; the one kind of piece that has its place between attributes. */
export const attribute = (name: string, value: string | boolean | undefined): Html => {
  if (!attributeName.test(name)) throw new Error("an attribute has a name of small letters")
  const made = htmlOf(
    value === undefined || value === false ? "" : value === true ? ` ${name}` : ` ${name}="${escape(value)}"`
  )
  attributes.add(made)
  return made
}

/** Nothing at all. */
export const nothing: Html = htmlOf("")

/** What others wrote: it cannot turn the direction of what stands around it. */
export const foreign = (text: string): Html => html`<bdi>${text}</bdi>`

/** A document of HTML. */
export const documentOf = (body: Html): string => `<!doctype html>${body.text}`
