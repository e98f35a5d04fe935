/**
 * Takes a raw mail apart as far as a report needs it: the fields of the report, and a few headers of the message that it is about.
 *
 * It is loaded where a mail is read and not before, with the library that parses it.
 *
 * @since 0.2.0
 */
import { Effect, type Option, Schema } from "effect"
import PostalMime, { type Attachment, type Email } from "postal-mime"

/**
 * The fields of a group in a report, by their names in lower case; one may be there several times.
 *
 * @category models
 * @since 0.2.0
 */
export const Fields = Schema.Record(Schema.String, Schema.Array(Schema.String))

/**
 * The parts of a mail that a report needs.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Parts = Schema.Struct({
  /** The headers of the mail. */
  headers: Fields,
  /** The groups of fields of a delivery status notification: about the message, then about each recipient. */
  deliveryStatus: Schema.Array(Fields),
  /** The fields of a complaint. */
  feedback: Schema.Array(Fields),
  /** The headers of the message that was sent, as far as they came back. */
  original: Fields
})

/**
 * The parts of a mail that a report needs.
 *
 * @category models
 * @since 0.2.0
 */
export type Parts = typeof Parts.Type

const text = ({ content }: Attachment): string =>
  typeof content === "string" ? content : new TextDecoder().decode(content)

const gathered = (pairs: ReadonlyArray<readonly [name: string, value: string]>): typeof Fields.Type =>
  Object.fromEntries(
    Array.from(Map.groupBy(pairs, ([name]) => name), ([name, each]) => [name, each.map(([, value]) => value)])
  )

/** A line of a field, `Name: value`. */
const field = /^([!-9;-~]+)[ \t]*:[ \t]*(.*?)[ \t]*$/

const fieldsIn = (group: string): typeof Fields.Type =>
  gathered(
    group.replace(/\r?\n[ \t]+/g, " ").split(/\r?\n/).flatMap((line) => {
      const [, name, value] = field.exec(line) ?? []
      return name === undefined || value === undefined ? [] : [[name.toLowerCase(), value] as const]
    })
  )

const groupsIn = (content: string): ReadonlyArray<typeof Fields.Type> =>
  content.split(/\r?\n[ \t]*\r?\n/).map(fieldsIn).filter((fields) => Object.keys(fields).length > 0)

const headersOf = ({ headers }: Email): typeof Fields.Type =>
  gathered(headers.map(({ key, value }) => [key, value] as const))

const parse = (mail: Uint8Array | string): Promise<Email> =>
  PostalMime.parse(mail, { maxNestingDepth: 20, maxRfc822NestingDepth: 0 })

const deliveryStatus = new Set(["message/delivery-status", "message/global-delivery-status"])

const message = new Set(["message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers"])

const partsOf = async (mail: Uint8Array): Promise<Parts> => {
  const email = await parse(mail)
  const original = email.attachments.find(({ mimeType }) => message.has(mimeType))
  return {
    headers: headersOf(email),
    deliveryStatus: email.attachments.filter(({ mimeType }) => deliveryStatus.has(mimeType))
      .flatMap((each) => groupsIn(text(each))),
    feedback: email.attachments.filter(({ mimeType }) => mimeType === "message/feedback-report")
      .flatMap((each) => groupsIn(text(each)).slice(0, 1)),
    original: original === undefined ? {} : headersOf(await parse(text(original).slice(0, 65_536)))
  }
}

/**
 * Takes a mail apart; none where it is nested too deep, or its headers are too large.
 *
 * @category parsing
 * @since 0.2.0
 */
export const read = (mail: Uint8Array): Effect.Effect<Option.Option<Parts>> =>
  Effect.tryPromise(() => partsOf(mail)).pipe(Effect.option)
