/**
 * Groups the domains of recipients by who keeps their mailboxes, and knows which of those tell anybody of complaints.
 *
 * A domain of a company is in no group but `other`, whoever keeps it: that is in its MX records, which nobody asks here.
 *
 * @since 0.2.0
 */
import { Option, Schema } from "effect"
import type * as Provider from "./Provider.ts"

/**
 * Who keeps the mailboxes of a domain.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Mailbox = Schema.Literals(["gmail", "yahoo", "microsoft", "apple", "other"])

/**
 * Who keeps the mailboxes of a domain.
 *
 * @category models
 * @since 0.2.0
 */
export type Mailbox = typeof Mailbox.Type

/**
 * The domains of one who keeps mailboxes.
 *
 * @category models
 * @since 0.2.0
 */
export interface Family {
  readonly mailbox: Exclude<Mailbox, "other">
  /** Domains in full. */
  readonly domains: ReadonlyArray<string>
  /** First labels that it has under `com`, a country, or `co` or `com` of a country: `yahoo` of `yahoo.co.uk`. */
  readonly brands: ReadonlyArray<string>
}

/**
 * The domains of those who keep most of the mailboxes.
 *
 * Sources: https://support.google.com/mail/answer/10313 (`googlemail.com`), https://senders.yahooinc.com/faqs/ (Yahoo keeps the
 * mailboxes of AOL, Verizon, AT&T and Sky), https://sendersupport.olc.protection.outlook.com/pm/ (Outlook.com with Hotmail, Live and
 * MSN), https://support.apple.com/102322 (iCloud Mail).
 *
 * @category constants
 * @since 0.2.0
 */
export const families: ReadonlyArray<Family> = [
  { mailbox: "gmail", domains: ["gmail.com", "googlemail.com"], brands: [] },
  {
    mailbox: "yahoo",
    domains: [
      "att.net",
      "bellsouth.net",
      "cs.com",
      "netscape.net",
      "sbcglobal.net",
      "sky.com",
      "verizon.net"
    ],
    brands: ["aol", "rocketmail", "yahoo", "ymail"]
  },
  { mailbox: "microsoft", domains: ["passport.com"], brands: ["hotmail", "live", "msn", "outlook", "windowslive"] },
  { mailbox: "apple", domains: ["icloud.com", "mac.com", "me.com"], brands: [] }
]

/**
 * The regular expression of the domains of a family, as JavaScript and PostgreSQL read it.
 *
 * @category getters
 * @since 0.2.0
 */
export const patternOf = ({ brands, domains }: Family): string => {
  const exact = domains.map((domain) => domain.replaceAll(".", "[.]"))
  const branded = brands.length === 0 ? [] : [`(${brands.join("|")})[.](com|[a-z]{2}|com?[.][a-z]{2})`]
  return `^(${[...exact, ...branded].join("|")})$`
}

const patterns = families.map((family) => ({ mailbox: family.mailbox, pattern: new RegExp(patternOf(family)) }))

/**
 * Who keeps the mailboxes of a domain in lower case; `other` where there is no domain, as of a recipient who is forgotten.
 *
 * @category getters
 * @since 0.2.0
 */
export const ofDomain = (domain: Option.Option<string>): Mailbox =>
  Option.isNone(domain)
    ? "other"
    : patterns.find(({ pattern }) => pattern.test(domain.value))?.mailbox ?? "other"

/**
 * Why nobody is told of complaints.
 *
 * @category models
 * @since 0.2.0
 */
export interface Silence {
  /** The provider that tells of none; any where none is named. */
  readonly provider?: string
  /** Whose complaints nobody is told of; anyone's where none is named. */
  readonly mailbox?: Mailbox
  /** Where it says so. */
  readonly source: string
}

/**
 * Who tells of no complaints: there the rate of complaints is not reported, which is not the same as none.
 *
 * @category constants
 * @since 0.2.0
 */
export const silences: ReadonlyArray<Silence> = [
  // Gmail counts complaints by the campaign (`Feedback-ID`) and names no recipient.
  { mailbox: "gmail", source: "https://support.google.com/a/answer/6254652" },
  // Apple has no feedback loop.
  { mailbox: "apple", source: "https://support.apple.com/102322" },
  // Their webhooks have no event for a complaint.
  { provider: "ahasend", source: "https://ahasend.com/docs/webhooks" },
  { provider: "azure", source: "https://learn.microsoft.com/azure/event-grid/communication-services-email-events" },
  { provider: "postal", source: "https://docs.postalserver.io/developer/webhooks" },
  {
    provider: "scaleway",
    source: "https://www.scaleway.com/en/docs/transactional-email/reference-content/webhook-events-payloads/"
  }
]

/**
 * Tells whether complaints of a mailbox reach us by a provider at all.
 *
 * @category predicates
 * @since 0.2.0
 */
export const tellsComplaints = (provider: Option.Option<Provider.Provider>, mailbox: Mailbox): boolean =>
  !silences.some((silence) =>
    (silence.provider === undefined || Option.contains<string>(provider, silence.provider)) &&
    (silence.mailbox === undefined || silence.mailbox === mailbox)
  )
