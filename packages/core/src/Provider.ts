/**
 * Names the email service that sent a message, and the id it gave to it.
 *
 * @since 0.1.0
 */
import { Option, Schema } from "effect"

/**
 * A provider's name: a lower-case slug such as `postmark`.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Provider = Schema.String.check(
  Schema.isPattern(/^[a-z][a-z0-9_-]{0,63}$/, { message: "must be a lower-case name such as postmark" })
).pipe(Schema.brand("Provider"))

/**
 * A provider's name.
 *
 * @category models
 * @since 0.1.0
 */
export type Provider = typeof Provider.Type

/**
 * A provider's id of a message in its canonical form: 1 to 512 printable ASCII characters.
 *
 * @category schemas
 * @since 0.1.0
 */
export const MessageId = Schema.String.check(
  Schema.isPattern(/^[!-~]{1,512}$/, { message: "must be 1 to 512 printable ASCII characters without spaces" })
).pipe(Schema.brand("MessageId"))

/**
 * A provider's id of a message in its canonical form.
 *
 * @category models
 * @since 0.1.0
 */
export type MessageId = typeof MessageId.Type

/** A SendGrid webhook appends routing to the id that the send call answered: `<id>.filter…` or `<id>.recvd-…`. */
const sendGridRouting = /^(.+?)\.(?:filter|recvd)/s

/** An id that SendGrid made has 22 characters; a webhook may continue it after a dot. */
const sendGridLength = 22

const isSpace = (character: string | undefined): boolean =>
  character === " " || character === "\t" || character === "\r" || character === "\n"

/** Drops white space and the brackets that enclose all the rest, however often. */
const bare = (raw: string): string => {
  let from = 0
  let to = raw.length
  while (from < to) {
    if (isSpace(raw[from])) from++
    else if (isSpace(raw[to - 1])) to--
    else if (to - from > 2 && raw[from] === "<" && raw[to - 1] === ">") {
      from++
      to--
    } else break
  }
  return raw.slice(from, to)
}

const sendGrid = (raw: string): string => {
  if (raw.startsWith("filter")) return ""
  const routed = sendGridRouting.exec(raw)?.[1]
  if (routed !== undefined) return routed
  return raw[sendGridLength] === "." ? raw.slice(0, sendGridLength) : raw
}

/** A UUID with the host of the `Message-ID` that was made of it. */
const uuidAtHost = /^([0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})@.+$/s

/** How a provider makes a `Message-ID` of its id, which has no host. */
const atHost: ReadonlyMap<string, RegExp> = new Map([
  ["postmark", uuidAtHost],
  ["resend", uuidAtHost],
  ["sendgrid", /^(.+)@(?:geopod-)?ismtpd[0-9A-Za-z.-]*$/s],
  ["ses", /^(.+)@(?:[0-9A-Za-z-]+\.)*amazonses\.com$/s]
])

const own = (provider: string, raw: string): string => {
  const id = atHost.get(provider)?.exec(raw)?.[1] ?? raw
  return provider === "sendgrid" ? sendGrid(id) : id
}

/**
 * Reduces a message id, as the send call or a webhook of the provider spells it, to the one form on which both meet.
 *
 * White space around it and angle brackets are dropped. So is the host that Amazon SES, SendGrid, Postmark and Resend append
 * where they make a `Message-ID` of their id (`<id@eu-west-1.amazonses.com>`), and SendGrid's routing suffix. The form of a
 * form is itself. None where nothing usable is left: empty, not printable ASCII, longer than 512, or a SendGrid id that is
 * routing alone.
 *
 * @category constructors
 * @since 0.1.0
 */
export const canonicalMessageId = (provider: string, raw: string): Option.Option<MessageId> => {
  let id = bare(raw)
  for (let cut = own(provider, id); cut !== id; cut = own(provider, id)) id = bare(cut)
  return MessageId.makeOption(id)
}

/**
 * A canonical form that a message id may have, and whose it is: a provider's, or that of every provider but those of the other
 * forms.
 *
 * @category models
 * @since 0.2.0
 */
export interface CanonicalForm {
  readonly provider: Option.Option<Provider>
  readonly messageId: MessageId
}

/**
 * The providers that spell message ids in their own way.
 *
 * @category constants
 * @since 0.2.0
 */
export const spelling: ReadonlyArray<Provider> = Array.from(atHost.keys(), (name) => Provider.make(name))

/**
 * The canonical forms of a message id as anybody has it: of the provider that is named, else of all providers.
 *
 * @category constructors
 * @since 0.2.0
 */
export const canonicalForms = (raw: string, provider: Option.Option<Provider>): ReadonlyArray<CanonicalForm> =>
  (Option.isSome(provider) ? [provider] : [...spelling.map((name) => Option.some(name)), Option.none<Provider>()])
    .flatMap((whose) =>
      Option.toArray(canonicalMessageId(Option.getOrElse(whose, () => ""), raw)).map((messageId) => ({
        provider: whose,
        messageId
      }))
    )
