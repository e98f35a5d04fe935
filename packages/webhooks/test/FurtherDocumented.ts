/** More of them: the kin of Standard Webhooks, and what comes in an envelope, through a queue or by mail. */
import { array, at, type Documented, first, iso, of, reader, seconds } from "./Documented.ts"

const snsEnvelope = ([item]: ReadonlyArray<unknown>): string =>
  JSON.stringify({
    Type: "Notification",
    MessageId: "n",
    TopicArn: "arn:scw:sns:fr-par:project-waybill:test",
    Timestamp: at(1),
    Message: JSON.stringify(item)
  })

const bridge = "Microsoft.Communication."

const mail = ([item]: ReadonlyArray<unknown>): string => String(item)

export const documented: Readonly<Record<string, Documented>> = {
  loops: {
    body: first,
    isBatch: false,
    item: (n, fields) => ({
      eventTime: seconds(n),
      contactIdentity: { email: reader(n) },
      email: { id: `m-${n}` },
      ...fields
    }),
    events: of("eventName", {
      "transactional.email.sent": "sent",
      "campaign.email.sent": "sent",
      "loop.email.sent": "sent",
      "email.delivered": "delivered",
      "email.softBounced": "bounced soft bounced",
      "email.hardBounced": "bounced hard bounced",
      "email.opened": "opened",
      "email.clicked": "clicked",
      "email.spamReported": "complained",
      "email.unsubscribed": "unsubscribed",
      "email.resubscribed": "subscribed",
      "email.unheard": "unknown"
    })
  },
  ahasend: {
    body: first,
    isBatch: false,
    item: (n, { type, ...data }) => ({
      type,
      timestamp: `${iso(n)}.687031577Z`,
      data: { id: `m-${n}`, message_id_header: "<other@shop.example>", recipient: reader(n), ...data }
    }),
    events: [
      ...of("type", {
        "message.reception": "queued",
        "message.delivered": "delivered",
        "message.transient_error": "deferred",
        "message.failed": "bounced soft timed_out",
        "message.bounced": "bounced undetermined bounced",
        "message.suppressed": "rejected blocked suppressed",
        "message.opened": "opened",
        "message.clicked": "clicked",
        "message.unheard": "unknown"
      }),
      [
        { type: "message.bounced", delivery_attempt: { classification: "InvalidRecipient", smtp_code: 550 } },
        "bounced hard bounced"
      ],
      [{ type: "message.bounced", delivery_attempt: { enhanced_status_code: "5.1.1" } }, "bounced hard bounced"],
      [{ type: "message.bounced", delivery_attempt: { smtp_code: 554 } }, "bounced undetermined bounced"]
    ]
  },
  sweego: {
    body: first,
    isBatch: false,
    item: (n, fields) => ({
      event_id: `e-${n}`,
      channel: "email",
      timestamp: `${iso(n)}+00:00`,
      recipient: reader(n),
      campaign_tags: null,
      headers: { "x-transaction-id": `m-${n}` },
      ...fields
    }),
    events: of("event_type", {
      email_sent: "sent",
      delivered: "delivered",
      soft_bounce: "bounced soft bounced",
      "soft-bounce": "bounced soft bounced",
      hard_bounce: "bounced hard bounced",
      "hard-bounce": "bounced hard bounced",
      list_unsub: "unsubscribed",
      complaint: "complained",
      email_opened: "opened",
      email_clicked: "clicked",
      unheard: "unknown"
    })
  },
  usesend: {
    body: first,
    isBatch: false,
    item: (n, { type, ...data }) => ({
      id: `e-${n}`,
      type,
      createdAt: at(n),
      data: { id: `m-${n}`, to: [reader(n)], occurredAt: at(n), ...data }
    }),
    events: [
      ...of("type", {
        "email.queued": "queued",
        "email.sent": "sent",
        "email.delivered": "delivered",
        "email.delivery_delayed": "deferred",
        "email.rejected": "rejected blocked",
        "email.rendering_failure": "failed",
        "email.failed": "failed",
        "email.cancelled": "unknown",
        "email.complained": "complained",
        "email.opened": "opened",
        "email.clicked": "clicked"
      }),
      [{ type: "email.bounced", bounce: { type: "Permanent", subType: "General" } }, "bounced hard bounced"],
      [{ type: "email.bounced", bounce: { type: "Transient", subType: "MailboxFull" } }, "bounced soft bounced"],
      [{ type: "email.bounced", bounce: { type: "Undetermined" } }, "bounced undetermined bounced"],
      [
        { type: "email.bounced", bounce: { type: "Permanent", subType: "OnAccountSuppressionList" } },
        "rejected bounced suppressed"
      ],
      [{ type: "email.suppressed", suppression: { type: "Bounce" } }, "rejected bounced suppressed"],
      [{ type: "email.suppressed", suppression: { type: "Complaint" } }, "rejected spam suppressed"],
      [{ type: "email.suppressed", suppression: { type: "Manual" } }, "rejected blocked suppressed"]
    ]
  },
  lettermint: {
    body: first,
    isBatch: false,
    item: (n, { event, ...data }) => ({
      id: `e-${n}`,
      event,
      timestamp: at(n),
      data: { message_id: `m-${n}`, ...data.to === undefined ? { recipient: reader(n) } : { to: [reader(n)] } }
    }),
    events: [
      [{ event: "message.created", to: [] }, "queued"],
      ...of("event", {
        "message.sent": "sent",
        "message.delivered": "delivered",
        "message.hard_bounced": "bounced hard bounced",
        "message.soft_bounced": "bounced soft bounced",
        "message.failed": "failed",
        "message.suppressed": "rejected blocked suppressed",
        "message.policy_rejected": "rejected blocked",
        "message.spam_complaint": "complained",
        "message.unsubscribed": "unsubscribed",
        "message.opened": "opened",
        "message.clicked": "clicked",
        "message.auto_replied": "autoresponded",
        "message.scheduled": "unknown",
        "message.rescheduled": "unknown",
        "message.released": "unknown",
        "message.canceled": "unknown"
      })
    ]
  },
  svix: {
    body: first,
    isBatch: false,
    item: (n, { type, ...data }) => ({
      type,
      timestamp: at(n),
      data: { messageId: `m-${n}`, recipient: reader(n), ...data }
    }),
    events: [
      ...of("type", {
        "email.queued": "queued",
        "email.sent": "sent",
        "mail.rejected": "rejected",
        "failed": "failed",
        "email.deferred": "deferred",
        "email.delivered": "delivered",
        "email.autoresponded": "autoresponded",
        "email.opened": "opened",
        "email.clicked": "clicked",
        "email.complained": "complained",
        "email.unsubscribed": "unsubscribed",
        "email.subscribed": "subscribed",
        "email.unheard": "unknown"
      }),
      [{ type: "email.bounced" }, "bounced undetermined bounced"],
      [{ type: "email.bounced", bounceClass: "soft", rejectReason: "timed_out" }, "bounced soft timed_out"]
    ]
  },
  azure: {
    body: array,
    isBatch: true,
    names: ({ status }) => status === undefined ? "nobody" : "certain",
    item: (n, fields) => ({
      id: `e-${n}`,
      eventType: `${bridge}${
        fields["status"] === undefined ? "EmailEngagementTrackingReportReceived" : "EmailDeliveryReportReceived"
      }`,
      eventTime: at(n),
      data: fields["status"] === undefined
        ? { messageId: `m-${n}`, userActionTimeStamp: `${iso(n)}.8221234+00:00`, ...fields }
        : { messageId: `m-${n}`, recipient: reader(n), deliveryAttemptTimeStamp: `${iso(n)}.8221234+00:00`, ...fields }
    }),
    events: [
      ...of("status", {
        Delivered: "delivered",
        Bounced: "bounced hard bounced",
        Failed: "failed",
        Suppressed: "rejected bounced suppressed",
        FilteredSpam: "bounced undetermined spam",
        Quarantined: "bounced soft spam",
        Expanded: "unknown"
      }),
      ...of("engagementType", { view: "opened", click: "clicked", View: "opened", Click: "clicked" })
    ]
  },
  scaleway: {
    body: snsEnvelope,
    content: first,
    isBatch: false,
    item: (n, fields) => ({
      id: `e-${n}`,
      created_at: `${iso(n)}.123456Z`,
      email_id: `m-${n}`,
      email_to: reader(n),
      ...fields
    }),
    events: of("type", {
      email_queued: "queued",
      email_delivered: "delivered",
      email_deferred: "deferred",
      email_dropped: "bounced hard bounced",
      email_mailbox_not_found: "bounced hard invalid",
      email_spam: "bounced undetermined spam",
      email_blocklisted: "rejected bounced suppressed",
      email_unheard: "unknown"
    })
  },
  mailchannels: {
    body: array,
    isBatch: true,
    item: (n, fields) => ({
      customer_handle: "waybilltest",
      timestamp: seconds(n),
      request_id: `m-${n}`,
      recipients: [reader(n)],
      ...fields
    }),
    events: of("event", {
      processed: "queued",
      delivered: "delivered",
      open: "opened",
      click: "clicked",
      "hard-bounced": "bounced hard bounced",
      "soft-bounced": "bounced soft bounced",
      dropped: "rejected other",
      complained: "complained",
      unsubscribed: "unsubscribed",
      unheard: "unknown"
    })
  },
  cloudflare: {
    body: array,
    isBatch: true,
    item: (n, { type, ...payload }) => ({
      type: `cf.email.sending.message.${String(type)}`,
      payload: { eventId: `e-${n}`, messageId: `m-${n}`, recipient: reader(n), ...payload },
      metadata: { eventTimestamp: `${iso(n)}.132Z` }
    }),
    events: [
      ...of("type", { delivered: "delivered", deferred: "deferred", complained: "complained", unheard: "unknown" }),
      [{ type: "bounced", bounce: { type: "hard" } }, "bounced hard bounced"],
      [{ type: "bounced", bounce: { type: "soft" } }, "bounced soft bounced"],
      [{ type: "failed", failure: { reason: "delivery_failed" } }, "failed"],
      [{ type: "rejected", rejection: { reason: "suppressed", party: "recipient" } }, "rejected bounced suppressed"],
      [{ type: "rejected", rejection: { reason: "spam" } }, "rejected spam"],
      [{ type: "rejected", rejection: { reason: "other" } }, "rejected other"]
    ]
  },
  dsn: {
    body: mail,
    isBatch: false,
    item: (n, { feedback, ...fields }) => {
      const lines = (all: Readonly<Record<string, unknown>>) =>
        Object.entries(all).map(([name, value]) => `${name}: ${String(value)}`)
      return [
        ...lines({
          "Message-ID": `<r-${n}@mx.reader.example>`,
          Date: `Wed, 18 Nov 2026 10:00:${String(n).padStart(2, "0")} +0000`,
          "MIME-Version": "1.0",
          "Content-Type": "multipart/report; boundary=b"
        }),
        "",
        "--b",
        `Content-Type: message/${feedback === undefined ? "delivery-status" : "feedback-report"}`,
        "",
        ...feedback === undefined
          ? ["Reporting-MTA: dns; mx.shop.example", "", ...lines({ "Original-Recipient": `rfc822;${reader(n)}` })]
          : lines({ "Feedback-Type": feedback, "Original-Rcpt-To": reader(n) }),
        ...lines(fields),
        "--b",
        "Content-Type: text/rfc822-headers",
        "",
        `Message-ID: <m-${n}@shop.example>`,
        "--b--",
        ""
      ].join("\r\n")
    },
    events: [
      ...of("Action", { delivered: "delivered", relayed: "delivered", expanded: "delivered", delayed: "deferred" }),
      [{ Action: "failed", Status: "5.1.1" }, "bounced hard bounced"],
      [{ Action: "failed", Status: "5.1.3" }, "bounced hard invalid"],
      [{ Action: "failed", Status: "5.2.2" }, "bounced soft bounced"],
      [{ Action: "failed", Status: "4.4.7" }, "bounced soft timed_out"],
      [{ Action: "failed", Status: "5.7.1" }, "bounced undetermined blocked"],
      [{ Action: "failed", Status: "5.0.0" }, "bounced undetermined bounced"],
      ...of("feedback", { abuse: "complained", fraud: "complained", "opt-out": "unsubscribed", "not-spam": "unknown" })
    ]
  }
}
