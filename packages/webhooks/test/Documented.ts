/** Bodies of our own making for every event that the documentation of a provider names, and what each is read as. */

/** What an item is read as: its type, and for a refusal its class and reason; `suppressed` where it was not tried. */
export type Meaning = string

export interface Documented {
  /** The body that holds some items. */
  readonly body: (items: ReadonlyArray<unknown>) => string
  /** What is signed, where that goes into an envelope; the body by default. */
  readonly content?: (items: ReadonlyArray<unknown>) => string
  /** An item, with fields of an event in it. */
  readonly item: (n: number, fields: Readonly<Record<string, unknown>>) => unknown
  readonly isBatch: boolean
  /** Whom an event names; a recipient for certain by default. */
  readonly names?: (fields: Readonly<Record<string, unknown>>) => "certain" | "uncertain" | "nobody"
  readonly events: ReadonlyArray<readonly [fields: Readonly<Record<string, unknown>>, meaning: Meaning]>
}

export const seconds = (n: number): number => 1_795_000_000 + n

export const iso = (n: number): string =>
  `2026-11-18T${String(10 + Math.floor(n / 60)).padStart(2, "0")}:${String(n % 60).padStart(2, "0")}:00`

export const reader = (n: number): string => `reader-${n}@reader.example`

export const at = (n: number): string => `${iso(n)}Z`

/** Events that differ by one field alone. */
export const of = (
  name: string,
  table: Readonly<Record<string, Meaning>>
): Documented["events"] => Object.entries(table).map(([value, meaning]) => [{ [name]: value }, meaning] as const)

export const array = (items: ReadonlyArray<unknown>): string => JSON.stringify(items)

export const first = ([item]: ReadonlyArray<unknown>): string => JSON.stringify(item)

const sparkPostClass = (number: string) => ({ type: "bounce", bounce_class: number })

export const documented: Readonly<Record<string, Documented>> = {
  brevo: {
    body: array,
    isBatch: true,
    item: (n, fields) => ({
      id: 1,
      email: reader(n),
      "message-id": `<m-${n}@relay.example>`,
      ts_epoch: seconds(n) * 1000,
      ...fields
    }),
    events: [
      [{ event: "request" }, "queued"],
      [{ event: "deferred", reason: "421 4.7.0" }, "deferred"],
      [{ event: "delivered" }, "delivered"],
      [{ event: "hard_bounce" }, "bounced hard bounced"],
      [{ event: "soft_bounce" }, "bounced soft bounced"],
      [{ event: "invalid_email" }, "bounced hard invalid"],
      [{ event: "blocked", reason: "blocked : due to blacklist user" }, "rejected blocked suppressed"],
      [{ event: "blocked", reason: "the user has unsubscribed" }, "rejected unsubscribed suppressed"],
      [{ event: "error" }, "failed"],
      [{ event: "opened", link: "" }, "opened"],
      [{ event: "unique_opened" }, "opened"],
      [{ event: "proxy_open" }, "opened"],
      [{ event: "unique_proxy_open" }, "opened"],
      [{ event: "click", link: "https://shop.example" }, "clicked"],
      [{ event: "spam" }, "complained"],
      [{ event: "complaint" }, "complained"],
      [{ event: "unsubscribed" }, "unsubscribed"],
      [{ event: "unsubscribe" }, "unsubscribed"],
      [{ event: "list_addition" }, "subscribed"],
      [{ event: "unheard_of" }, "unknown"]
    ]
  },
  mailjet: {
    body: array,
    isBatch: true,
    item: (n, fields) => ({ time: seconds(n), MessageID: `9${n}`, email: reader(n), ...fields }),
    events: [
      [{ event: "sent", smtp_reply: "sent (250 2.0.0 OK)" }, "delivered"],
      [{ event: "open" }, "opened"],
      [{ event: "click", url: "https://shop.example" }, "clicked"],
      [{ event: "bounce", hard_bounce: true, error: "user unknown" }, "bounced hard bounced"],
      [{ event: "bounce", hard_bounce: false, error: "quota exceeded" }, "bounced soft bounced"],
      [{ event: "bounce", hard_bounce: true, error: "invalid domain" }, "bounced hard bounced"],
      [{ event: "bounce", hard_bounce: false, error: "relay/access denied" }, "bounced soft bounced"],
      [{ event: "bounce", hard_bounce: false, error: "greylisted" }, "deferred"],
      [{ event: "bounce", hard_bounce: true, error: "greylisted" }, "bounced hard other"],
      [{ event: "bounce", hard_bounce: false, error: "policy issue" }, "bounced soft blocked"],
      [{ event: "bounce", error: "" }, "bounced undetermined bounced"],
      [{ event: "blocked", error: "typofix" }, "rejected invalid"],
      [{ event: "blocked", error: "preblocked" }, "rejected blocked suppressed"],
      [{ event: "blocked", error: "duplicate in campaign" }, "rejected other"],
      [{ event: "blocked", error: "spam reporter" }, "rejected spam"],
      [{ event: "blocked", error: "greylisted" }, "deferred"],
      [{ event: "spam", source: "JMRPP" }, "complained"],
      [{ event: "unsub" }, "unsubscribed"],
      [{ event: "unheard" }, "unknown"]
    ]
  },
  mandrill: {
    body: (items) => new URLSearchParams({ mandrill_events: JSON.stringify(items) }).toString(),
    isBatch: true,
    item: (n, { event, ...msg }) => ({
      event,
      _id: `m-${n}`,
      ts: seconds(n),
      msg: { email: reader(n), ts: 1, ...msg }
    }),
    events: [
      [{ event: "send" }, "sent"],
      [{ event: "deferral", smtp_events: [{ diag: "451 4.3.5" }] }, "deferred"],
      [{ event: "delivered" }, "delivered"],
      [{ event: "hard_bounce", diag: "smtp;550 5.1.1" }, "bounced hard bounced"],
      [{ event: "soft_bounce" }, "bounced soft bounced"],
      [{ event: "reject" }, "rejected"],
      [{ event: "reject", reject: { reason: "hard-bounce" } }, "rejected bounced suppressed"],
      [{ event: "reject", reject: { reason: "spam" } }, "rejected spam suppressed"],
      [{ event: "reject", reject: "unsub" }, "rejected unsubscribed suppressed"],
      [{ event: "reject", reject: { reason: "custom" } }, "rejected blocked suppressed"],
      [{ event: "reject", reject: { reason: "invalid" } }, "rejected invalid"],
      [{ event: "open", metadata: [] }, "opened"],
      [{ event: "click" }, "clicked"],
      [{ event: "spam" }, "complained"],
      [{ event: "unsub" }, "unsubscribed"],
      [{ event: "unheard" }, "unknown"]
    ]
  },
  mailersend: {
    body: first,
    isBatch: false,
    item: (n, { type, ...data }) => ({
      type: `activity.${String(type)}`,
      created_at: `${iso(n)}.000000Z`,
      data: { id: `e-${n}`, type, recipient: reader(n), message_id: `m-${n}`, tags: null, ...data }
    }),
    events: [
      [{ type: "sent" }, "sent"],
      [{ type: "delivered" }, "delivered"],
      [{ type: "deferred" }, "deferred"],
      [{ type: "soft_bounced", meta: { bounce_code: 452 } }, "bounced soft bounced"],
      [{ type: "hard_bounced", meta: { bounce_reason: "550 5.1.1" } }, "bounced hard bounced"],
      [{ type: "suppressed", meta: { suppression_reason: "hard bounce" } }, "rejected bounced suppressed"],
      [{ type: "suppressed", meta: [] }, "rejected blocked suppressed"],
      [{ type: "opened" }, "opened"],
      [{ type: "clicked", meta: { url: "https://shop.example" } }, "clicked"],
      [{ type: "unsubscribed" }, "unsubscribed"],
      [{ type: "spam_complaint" }, "complained"],
      [{ type: "spam_complaints" }, "complained"],
      [{ type: "unheard" }, "unknown"]
    ]
  },
  mailtrap: {
    body: (events) => JSON.stringify({ events }),
    isBatch: true,
    item: (n, fields) => ({
      event_id: `e-${n}`,
      message_id: `m-${n}`,
      timestamp: seconds(n),
      email: reader(n),
      ...fields
    }),
    events: [
      [{ event: "delivery" }, "delivered"],
      [{ event: "soft bounce", response: "452 4.2.2" }, "deferred"],
      [{ event: "suspension", reason: "limit" }, "deferred"],
      [{ event: "bounce", bounce_category: "hard" }, "bounced hard bounced"],
      [{ event: "bounce", bounce_category: "spam" }, "bounced undetermined spam"],
      [{ event: "reject", reason: "unknown" }, "rejected blocked"],
      [
        { event: "reject", reason: "Recipient in suppression list, reason: unsubscription" },
        "rejected unsubscribed suppressed"
      ],
      [{ event: "reject", reason: "spam complaint" }, "rejected spam suppressed"],
      [{ event: "reject", reason: "earlier bounce" }, "rejected bounced suppressed"],
      [{ event: "open" }, "opened"],
      [{ event: "click", url: "https://shop.example" }, "clicked"],
      [{ event: "spam" }, "complained"],
      [{ event: "unsubscribe" }, "unsubscribed"],
      [{ event: "unheard of" }, "unknown"]
    ]
  },
  sparkpost: {
    body: array,
    isBatch: true,
    item: (n, fields) => ({
      msys: {
        message_event: {
          event_id: `90${n}`,
          transmission_id: `80${n}`,
          message_id: "another",
          timestamp: String(seconds(n)),
          rcpt_to: reader(n),
          ...fields
        }
      }
    }),
    events: [
      [{ type: "injection" }, "queued"],
      [{ type: "delivery" }, "delivered"],
      [{ type: "delay", bounce_class: "20", num_retries: "3" }, "deferred"],
      ...["20", "21", "22", "23", "40", "70"].map((each) => [sparkPostClass(each), "bounced soft bounced"] as const),
      [sparkPostClass("10"), "bounced hard invalid"],
      [sparkPostClass("30"), "bounced hard bounced"],
      [sparkPostClass("24"), "bounced soft timed_out"],
      ...["25", "50", "54"].map((each) => [sparkPostClass(each), "bounced undetermined blocked"] as const),
      ...["51", "52"].map((each) => [sparkPostClass(each), "bounced undetermined spam"] as const),
      ...["1", "53", "999"].map((each) => [sparkPostClass(each), "bounced undetermined other"] as const),
      [sparkPostClass("60"), "autoresponded"],
      [sparkPostClass("100"), "autoresponded"],
      [sparkPostClass("80"), "subscribed"],
      [sparkPostClass("90"), "unsubscribed"],
      [{ type: "out_of_band", bounce_class: "10" }, "bounced hard invalid"],
      [
        { type: "policy_rejection", bounce_class: "25", raw_reason: "suppressed by policy" },
        "rejected blocked suppressed"
      ],
      [{ type: "generation_rejection" }, "rejected"],
      [{ type: "generation_failure" }, "failed"],
      [{ type: "open" }, "opened"],
      [{ type: "amp_open" }, "opened"],
      [{ type: "click", target_link_url: "https://shop.example" }, "clicked"],
      [{ type: "amp_click" }, "clicked"],
      [{ type: "spam_complaint" }, "complained"],
      [{ type: "list_unsubscribe" }, "unsubscribed"],
      [{ type: "link_unsubscribe" }, "unsubscribed"],
      [{ type: "unheard" }, "unknown"]
    ]
  },
  postal: {
    body: first,
    isBatch: false,
    item: (n, { event, ...payload }) => ({
      event,
      timestamp: seconds(n) + 0.25,
      uuid: `e-${n}`,
      payload: { message: { id: n + 1, direction: "outgoing", to: `Reader <${reader(n)}>`, tag: null }, ...payload }
    }),
    events: [
      [{ event: "MessageSent", status: "Sent" }, "delivered"],
      [{ event: "MessageDelayed", status: "SoftFail" }, "deferred"],
      [{ event: "MessageDeliveryFailed", status: "HardFail" }, "bounced hard bounced"],
      [{ event: "MessageHeld", status: "Held" }, "queued"],
      [{ event: "MessageBounced", bounce: { id: 7, direction: "incoming" } }, "bounced undetermined bounced"],
      [{ event: "MessageLinkClicked", url: "https://shop.example" }, "clicked"],
      [{ event: "MessageLoaded" }, "opened"],
      [{ event: "MessageUnheard" }, "unknown"]
    ]
  },
  unisender: {
    body: (events) => JSON.stringify({ auth: "0".repeat(32), events_by_user: [{ user_id: 1, events }] }),
    isBatch: true,
    item: (n, fields) => ({
      event_name: "transactional_email_status",
      event_data: { job_id: `m-${n}`, email: reader(n), event_time: iso(n).replace("T", " "), ...fields }
    }),
    events: [
      [{ status: "accepted" }, "queued"],
      [{ status: "sent" }, "sent"],
      [{ status: "delivered" }, "delivered"],
      [{ status: "soft_bounced", delivery_info: { delivery_status: "err_mailbox_full" } }, "deferred"],
      [{ status: "hard_bounced", delivery_info: { delivery_status: "err_user_unknown" } }, "bounced hard bounced"],
      [
        { status: "hard_bounced", delivery_info: { delivery_status: "err_spam_rejected" } },
        "bounced undetermined spam"
      ],
      [
        { status: "hard_bounced", delivery_info: { delivery_status: "err_blacklisted" } },
        "bounced undetermined blocked"
      ],
      [
        { status: "hard_bounced", delivery_info: { delivery_status: "err_unsubscribed" } },
        "rejected unsubscribed suppressed"
      ],
      [
        { status: "hard_bounced", delivery_info: { delivery_status: "err_delivery_failed" } },
        "bounced undetermined other"
      ],
      [{ status: "hard_bounced" }, "bounced hard bounced"],
      [{ status: "opened" }, "opened"],
      [{ status: "clicked", url: "https://shop.example" }, "clicked"],
      [{ status: "spam" }, "complained"],
      [{ status: "unsubscribed" }, "unsubscribed"],
      [{ status: "subscribed" }, "subscribed"],
      [{ status: "unheard" }, "unknown"]
    ]
  },
  customerio: {
    body: first,
    isBatch: false,
    item: (n, fields) => ({
      event_id: `e-${n}`,
      object_type: "email",
      timestamp: seconds(n),
      data: { delivery_id: `m-${n}`, recipient: reader(n) },
      ...fields
    }),
    events: [
      ...["drafted", "attempted"].map((metric) => [{ metric }, "queued"] as const),
      ...["sent", "delivered", "deferred", "opened", "clicked", "failed", "unsubscribed"].map((metric) =>
        [{ metric }, metric] as const
      ),
      [{ metric: "bounced" }, "bounced undetermined bounced"],
      [{ metric: "dropped" }, "rejected suppressed"],
      [{ metric: "undeliverable" }, "rejected"],
      [{ metric: "spammed" }, "complained"],
      [{ metric: "unheard" }, "unknown"]
    ]
  },
  custom: {
    body: array,
    isBatch: true,
    item: (n, fields) => ({
      id: `e-${n}`,
      messageId: `m-${n}`,
      recipient: reader(n),
      occurredAt: `${iso(n)}Z`,
      ...fields
    }),
    events: [
      ...[
        "queued",
        "sent",
        "deferred",
        "delivered",
        "autoresponded",
        "opened",
        "clicked",
        "complained",
        "unsubscribed",
        "subscribed",
        "rejected",
        "failed"
      ].map((type) => [{ type }, type] as const),
      [{ type: "bounced", status: "5.1.1" }, "bounced hard bounced"],
      [{ type: "bounced", status: "4.4.7", rejectReason: "timed_out" }, "bounced soft timed_out"],
      [{ type: "bounced", bounceClass: "soft" }, "bounced soft bounced"],
      [{ type: "bounced" }, "bounced undetermined bounced"],
      [{ type: "rejected", rejectReason: "spam", suppressed: true }, "rejected spam suppressed"],
      [{ type: "delivered", rejectReason: "spam" }, "delivered"],
      [{ type: "suppressed" }, "unknown"],
      [{ type: "reconciled" }, "unknown"]
    ]
  }
}
