/** Those of the first five providers. */
import { array, at, type Documented, first, iso, of, reader, seconds } from "./Documented.ts"

const isOfServer = ({ type }: Readonly<Record<string, unknown>>): boolean =>
  ["email.bounced", "email.complained", "email.delivery_delayed"].includes(String(type))

const suppressionOf = (SuppressionReason: string) => ({
  RecordType: "SubscriptionChange",
  SuppressSending: true,
  SuppressionReason
})

const failed = (severity: string, reason: string) => ({ event: "failed", severity, reason })

const dropped = (reason: string) => ({ event: "dropped", reason })

const mailgunBody = ([item]: ReadonlyArray<unknown>): string =>
  JSON.stringify({
    signature: { timestamp: String(seconds(0)), token: "a".repeat(50), signature: "0".repeat(64) },
    "event-data": item
  })

const party = (n: number) => [{ emailAddress: reader(n) }]

/** What Amazon SES says of an event beside the message, by its type. */
const ofSes = (type: unknown, n: number, fields: Readonly<Record<string, unknown>>): object => {
  const timestamp = `${iso(n)}.123Z`
  switch (type) {
    case "Delivery":
      return { delivery: { timestamp, recipients: [reader(n)] } }
    case "DeliveryDelay":
      return { deliveryDelay: { timestamp, delayedRecipients: party(n), delayType: "MailboxFull" } }
    case "Bounce":
      return { bounce: { timestamp, feedbackId: `f-${n}`, bouncedRecipients: party(n), ...fields } }
    case "Complaint":
      return { complaint: { timestamp, feedbackId: `f-${n}`, complainedRecipients: party(n), ...fields } }
    case "Subscription":
      return { subscription: { timestamp, contactList: "all", ...fields } }
    case "Open":
      return { open: { timestamp, ipAddress: "192.0.2.7" } }
    case "Click":
      return { click: { timestamp, link: "https://shop.example" } }
    default:
      return {}
  }
}

export const documented: Readonly<Record<string, Documented>> = {
  resend: {
    body: first,
    isBatch: false,
    names: (fields) => isOfServer(fields) ? "uncertain" : "certain",
    item: (n, { type, ...data }) => ({
      type,
      created_at: at(n),
      data: { email_id: `m-${n}`, to: [reader(n)], ...data }
    }),
    events: [
      ...of("type", {
        "email.scheduled": "queued",
        "email.sent": "sent",
        "email.delivered": "delivered",
        "email.delivery_delayed": "deferred",
        "email.complained": "complained",
        "email.suppressed": "rejected blocked suppressed",
        "email.failed": "failed",
        "email.opened": "opened",
        "email.clicked": "clicked",
        "email.unheard": "unknown"
      }),
      [{ type: "email.bounced", bounce: { type: "Permanent", subType: "General" } }, "bounced hard bounced"],
      [{ type: "email.bounced", bounce: { type: "Transient" } }, "bounced soft bounced"],
      [{ type: "email.bounced", bounce: { subType: "Suppressed" } }, "rejected bounced suppressed"]
    ]
  },
  postmark: {
    body: first,
    isBatch: false,
    item: (n, fields) => ({
      ID: n + 1,
      MessageID: `m-${n}`,
      Recipient: reader(n),
      ReceivedAt: `${iso(n)}.1234567-00:00`,
      ...fields
    }),
    events: [
      ...of("RecordType", { Delivery: "delivered", Open: "opened", Click: "clicked", SpamComplaint: "complained" }),
      ...Object.entries({
        HardBounce: "bounced hard bounced",
        SoftBounce: "bounced soft bounced",
        VirusNotification: "bounced undetermined other",
        Transient: "deferred",
        DnsError: "deferred",
        OpenRelayTest: "deferred",
        AutoResponder: "autoresponded",
        AddressChange: "autoresponded",
        ChallengeVerification: "autoresponded",
        SpamNotification: "complained",
        SpamComplaint: "complained",
        Unsubscribe: "unsubscribed",
        Subscribe: "subscribed",
        BadEmailAddress: "rejected invalid",
        Blocked: "rejected blocked",
        ManuallyDeactivated: "rejected blocked",
        DMARCPolicy: "rejected blocked",
        Unconfirmed: "rejected",
        SMTPApiError: "failed",
        TemplateRenderingFailed: "failed",
        Unknown: "unknown"
      }).map(([Type, meaning]) => [{ RecordType: "Bounce", Type }, meaning] as const),
      [{ RecordType: "SubscriptionChange", SuppressSending: false }, "subscribed"],
      [suppressionOf("HardBounce"), "bounced hard bounced"],
      [suppressionOf("SpamComplaint"), "complained"],
      [suppressionOf("ManualSuppression"), "unsubscribed"]
    ]
  },
  sendgrid: {
    body: array,
    isBatch: true,
    item: (n, fields) => ({
      email: reader(n),
      timestamp: seconds(n),
      sg_event_id: `e-${n}`,
      sg_message_id: `m${n}.filter0001.16648.5515E0B88.0`,
      ...fields
    }),
    events: [
      ...of("event", {
        processed: "queued",
        deferred: "deferred",
        delivered: "delivered",
        bounce: "bounced undetermined bounced",
        dropped: "rejected other",
        open: "opened",
        click: "clicked",
        spamreport: "complained",
        unsubscribe: "unsubscribed",
        group_unsubscribe: "unsubscribed",
        group_resubscribe: "subscribed",
        unheard: "unknown"
      }),
      [{ event: "bounce", type: "bounce" }, "bounced hard bounced"],
      [{ event: "bounce", type: "blocked" }, "bounced soft blocked"],
      [{ event: "bounce", type: "expired" }, "bounced soft timed_out"],
      [dropped("Invalid"), "rejected invalid"],
      [dropped("Bounced Address"), "rejected bounced suppressed"],
      [dropped("Unsubscribed Address"), "rejected unsubscribed suppressed"],
      [dropped("Spam Reporting Address"), "rejected spam suppressed"],
      [dropped("Spam Content"), "rejected spam"],
      [dropped("Blocked"), "rejected blocked"],
      [dropped("Expired"), "rejected timed_out"]
    ]
  },
  mailgun: {
    body: mailgunBody,
    content: first,
    isBatch: false,
    item: (n, fields) => ({
      id: `e-${n}`,
      timestamp: seconds(n) + 0.908,
      recipient: reader(n),
      message: { headers: { "message-id": `m-${n}@shop.example` } },
      ...fields
    }),
    events: [
      ...of("event", {
        accepted: "queued",
        delivered: "delivered",
        rejected: "rejected other",
        opened: "opened",
        clicked: "clicked",
        complained: "complained",
        unsubscribed: "unsubscribed",
        unheard: "unknown"
      }),
      [failed("temporary", "generic"), "deferred"],
      [failed("permanent", "bounce"), "bounced hard bounced"],
      [failed("permanent", "generic"), "bounced hard other"],
      [failed("permanent", "espblock"), "bounced hard blocked"],
      [failed("permanent", "old"), "bounced soft timed_out"],
      [failed("permanent", "suppress-bounce"), "rejected bounced suppressed"],
      [failed("permanent", "suppress-complaint"), "rejected spam suppressed"],
      [failed("permanent", "suppress-unsubscribe"), "rejected unsubscribed suppressed"]
    ]
  },
  ses: {
    body: first,
    isBatch: false,
    names: ({ eventType }) => eventType === "Unheard" ? "uncertain" : "certain",
    item: (n, { eventType, ...fields }) => ({
      eventType,
      mail: { messageId: `m-${n}`, timestamp: `${iso(n)}.001Z`, destination: [reader(n)] },
      ...ofSes(eventType, n, fields)
    }),
    events: [
      ...of("eventType", {
        Send: "sent",
        Delivery: "delivered",
        DeliveryDelay: "deferred",
        Bounce: "bounced undetermined bounced",
        Complaint: "complained",
        Reject: "rejected blocked",
        "Rendering Failure": "failed",
        Open: "opened",
        Click: "clicked",
        Unheard: "unknown"
      }),
      [{ eventType: "Bounce", bounceType: "Permanent", bounceSubType: "General" }, "bounced hard bounced"],
      [{ eventType: "Bounce", bounceType: "Transient", bounceSubType: "MailboxFull" }, "bounced soft bounced"],
      [
        { eventType: "Bounce", bounceType: "Permanent", bounceSubType: "OnAccountSuppressionList" },
        "rejected bounced suppressed"
      ],
      [{ eventType: "Complaint", complaintFeedbackType: "not-spam" }, "unknown"],
      [{ eventType: "Complaint", complaintSubType: "OnAccountSuppressionList" }, "rejected spam suppressed"],
      [{ eventType: "Subscription", newTopicPreferences: { unsubscribeAll: true } }, "unsubscribed"],
      [{ eventType: "Subscription", newTopicPreferences: { unsubscribeAll: false } }, "subscribed"]
    ]
  }
}
