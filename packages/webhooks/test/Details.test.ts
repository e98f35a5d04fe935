import { assert, describe, it } from "@effect/vitest"
import { Event } from "@waybill/core"
import { Mailgun, Postmark, Resend, SendGrid, Ses } from "@waybill/webhooks"
import type { Row } from "@waybill/webhooks"
import { Option, Schema } from "effect"
import * as Reading from "./Reading.ts"

const read = (provider: Row.Row, body: unknown) =>
  Reading.normalized(provider, Reading.received(typeof body === "string" ? body : JSON.stringify(body))).events

const details = (provider: Row.Row, body: unknown) => Option.getOrUndefined(Reading.only(read(provider, body)).details)

const deliveryId = "00000000-0000-4000-8000-000000000001"

describe("what Postmark says in words", () => {
  const message = { MessageID: "883953f4-6105-42a2-a16a-77a8eac79483", Recipient: "ann@example.com" }

  it("of a bounce", () => {
    assert.deepStrictEqual(
      details(Postmark.row, {
        ...message,
        RecordType: "Bounce",
        Type: "HardBounce",
        ID: 42,
        Email: "ann@example.com",
        Description: "The server was unable to deliver your message",
        Details: "smtp;550 5.1.1 <ann@example.com>: no such user",
        Subject: "Welcome",
        Tag: "welcome",
        Metadata: { order: "17", waybill_delivery_id: deliveryId }
      }),
      {
        response: "smtp;550 5.1.1 <ann@example.com>: no such user",
        description: "The server was unable to deliver your message",
        tags: ["welcome"],
        metadata: { order: "17" }
      }
    )
  })

  it("of a click", () => {
    assert.deepStrictEqual(
      details(Postmark.row, {
        ...message,
        RecordType: "Click",
        OriginalLink: "https://example.com/a?b=c",
        Client: { Name: "Chrome 140", Company: "Google" },
        OS: { Name: "Linux" },
        Platform: "Desktop",
        UserAgent: "Mozilla/5.0 (X11; Linux x86_64)",
        Geo: { CountryISOCode: "DE", Country: "Germany", Region: "Berlin", City: "Berlin", IP: "192.0.2.1" },
        Metadata: {}
      }),
      {
        url: "https://example.com/a?b=c",
        ip: "192.0.2.1",
        userAgent: "Mozilla/5.0 (X11; Linux x86_64)",
        client: "Chrome 140, Linux, Desktop",
        location: "Berlin, Berlin, Germany"
      }
    )
  })

  it("is nothing where it says nothing", () => {
    assert.isUndefined(
      details(Postmark.row, { ...message, RecordType: "Delivery", DeliveredAt: "2026-03-01T12:00:00Z" })
    )
  })
})

describe("what SendGrid says in words", () => {
  it("of a bounce, with what the app gave beside it", () => {
    assert.deepStrictEqual(
      details(SendGrid.row, [{
        event: "bounce",
        type: "bounce",
        email: "ann@example.com",
        timestamp: 1772366400,
        sg_event_id: "e-1",
        sg_message_id: "m-1.filter0001",
        reason: "550 5.1.1 no such user",
        status: "5.1.1",
        ip: "198.51.100.7",
        category: ["welcome", "first"],
        order: 17,
        waybill_delivery_id: deliveryId
      }]),
      { response: "550 5.1.1 no such user", tags: ["welcome", "first"], metadata: { order: "17" } }
    )
  })

  it("of a click, of what was dropped, and of a group that was left", () => {
    const said = (event: string, fields: object) =>
      details(SendGrid.row, [{ event, email: "ann@example.com", timestamp: 1772366400, sg_event_id: event, ...fields }])
    assert.deepStrictEqual(
      said("click", { url: "https://example.com/", ip: "192.0.2.1", useragent: "Mozilla/5.0", category: "welcome" }),
      { url: "https://example.com/", ip: "192.0.2.1", userAgent: "Mozilla/5.0", tags: ["welcome"] }
    )
    assert.deepStrictEqual(said("dropped", { reason: "Bounced Address" }), { description: "Bounced Address" })
    assert.deepStrictEqual(said("delivered", { response: "250 OK" }), { response: "250 OK" })
    assert.deepStrictEqual(said("group_unsubscribe", { asm_group_id: 12 }), { list: "12" })
  })
})

describe("what Amazon SES says in words", () => {
  const notification = (message: unknown) => ({
    Type: "Notification",
    MessageId: "n-1",
    TopicArn: "arn:aws:sns:eu-west-1:123456789012:mail",
    Timestamp: "2026-03-01T12:00:00.000Z",
    Message: JSON.stringify(message)
  })
  const mail = {
    messageId: "m-1",
    timestamp: "2026-03-01T11:59:00.000Z",
    destination: ["ann@example.com", "bob@example.com"],
    tags: { "ses:configuration-set": ["main"], campaign: ["welcome"], waybill_delivery_id: [deliveryId] }
  }

  it("of each recipient that bounced, and of the address that a mailbox forwards to", () => {
    const message = {
      eventType: "Bounce",
      mail,
      bounce: {
        bounceType: "Permanent",
        bounceSubType: "General",
        timestamp: "2026-03-01T12:00:00.000Z",
        feedbackId: "f-1",
        reportingMTA: "dns; mx.example.com",
        bouncedRecipients: [
          { emailAddress: "ann@example.com", diagnosticCode: "smtp; 550 5.1.1 no such user" },
          { emailAddress: "elsewhere@example.net", diagnosticCode: "smtp; 552 5.2.2 full" }
        ]
      }
    }
    assert.deepStrictEqual(
      read(Ses.row, notification(message)).map(({ details }) => Option.getOrUndefined(details)),
      [
        {
          response: "smtp; 550 5.1.1 no such user",
          server: "dns; mx.example.com",
          metadata: { campaign: "welcome" }
        },
        {
          response: "smtp; 552 5.2.2 full",
          server: "dns; mx.example.com",
          otherRecipient: "elsewhere@example.net",
          metadata: { campaign: "welcome" }
        }
      ]
    )
  })

  it("of a delivery, a click, a complaint, a rejection and a failure", () => {
    const alone = { ...mail, destination: ["ann@example.com"], tags: {} }
    const said = (message: object) => details(Ses.row, notification({ mail: alone, ...message }))
    assert.deepStrictEqual(
      said({
        eventType: "Delivery",
        delivery: {
          recipients: ["ann@example.com"],
          smtpResponse: "250 ok",
          reportingMTA: "a8-1.smtp-out.amazonses.com"
        }
      }),
      { response: "250 ok", server: "a8-1.smtp-out.amazonses.com" }
    )
    assert.deepStrictEqual(
      said({ eventType: "Click", click: { link: "https://example.com/", ipAddress: "::1", userAgent: "Mozilla/5.0" } }),
      { url: "https://example.com/", ip: "::1", userAgent: "Mozilla/5.0" }
    )
    assert.deepStrictEqual(
      said({
        eventType: "Complaint",
        complaint: {
          complainedRecipients: [{ emailAddress: "ann@example.com" }],
          complaintFeedbackType: "abuse",
          userAgent: "Feedback/1.0"
        }
      }),
      { description: "abuse", userAgent: "Feedback/1.0" }
    )
    assert.deepStrictEqual(said({ eventType: "Reject", reject: { reason: "Bad content" } }), {
      description: "Bad content"
    })
    assert.deepStrictEqual(
      said({ eventType: "Rendering Failure", failure: { errorMessage: "attribute is missing" } }),
      { description: "attribute is missing" }
    )
  })
})

describe("what Mailgun says in words", () => {
  it("of a bounce and of a click", () => {
    const said = (data: object) =>
      details(Mailgun.row, {
        "event-data": { id: "e-1", timestamp: 1772366400.5, recipient: "ann@example.com", ...data }
      })
    assert.deepStrictEqual(
      said({
        event: "failed",
        severity: "permanent",
        reason: "bounce",
        "delivery-status": {
          code: 550,
          message: "550 5.1.1 no such user",
          description: "",
          "mx-host": "mx.example.com"
        },
        tags: ["welcome"],
        "user-variables": { order: { id: 17 }, waybill_delivery_id: deliveryId }
      }),
      {
        response: "550 5.1.1 no such user",
        server: "mx.example.com",
        tags: ["welcome"],
        metadata: { order: "{\"id\":17}" }
      }
    )
    assert.deepStrictEqual(
      said({
        event: "clicked",
        url: "https://example.com/",
        ip: "192.0.2.1",
        geolocation: { city: "Berlin", region: "BE", country: "DE" },
        "client-info": {
          "client-name": "Chrome",
          "client-os": "Linux",
          "device-type": "desktop",
          "user-agent": "Mozilla/5.0"
        }
      }),
      {
        url: "https://example.com/",
        ip: "192.0.2.1",
        userAgent: "Mozilla/5.0",
        client: "Chrome, Linux, desktop",
        location: "Berlin, BE, DE"
      }
    )
    assert.deepStrictEqual(
      said({ event: "rejected", reject: { reason: "Sandbox", description: "not an authorized recipient" } }),
      { description: "Sandbox, not an authorized recipient" }
    )
  })

  it("in a form", () => {
    const form = new URLSearchParams({
      event: "bounced",
      recipient: "ann@example.com",
      timestamp: "1772366400",
      token: "t-1",
      signature: "s",
      code: "550",
      error: "5.1.1 no such user",
      tag: "welcome"
    })
    form.append("tag", "first")
    assert.deepStrictEqual(details(Mailgun.row, form.toString()), {
      response: "5.1.1 no such user",
      tags: ["welcome", "first"]
    })
  })
})

describe("what Resend says in words", () => {
  const said = (type: string, data: object) =>
    details(Resend.row, {
      type,
      created_at: "2026-03-01T12:00:00Z",
      data: { email_id: "m-1", to: ["ann@example.com"], ...data }
    })

  it("of a bounce, a click, and what was not sent", () => {
    assert.deepStrictEqual(
      said("email.bounced", {
        subject: "Welcome",
        bounce: {
          type: "Permanent",
          subType: "General",
          message: "The recipient's server permanently rejected the email.",
          diagnosticCode: ["smtp; 550 5.1.1 no such user"]
        },
        tags: { category: "welcome", waybill_delivery_id: deliveryId }
      }),
      {
        response: "smtp; 550 5.1.1 no such user",
        description: "The recipient's server permanently rejected the email.",
        metadata: { category: "welcome" }
      }
    )
    assert.deepStrictEqual(
      said("email.clicked", {
        click: { link: "https://example.com/", ipAddress: "192.0.2.1", userAgent: "Mozilla/5.0" }
      }),
      { url: "https://example.com/", ip: "192.0.2.1", userAgent: "Mozilla/5.0" }
    )
    assert.deepStrictEqual(said("email.failed", { failed: { reason: "reached_daily_quota" } }), {
      description: "reached_daily_quota"
    })
  })
})

it("words stay out of what the ledger keeps", () => {
  const [event] = read(Postmark.row, {
    RecordType: "Bounce",
    Type: "HardBounce",
    ID: 42,
    MessageID: "883953f4-6105-42a2-a16a-77a8eac79483",
    Email: "ann@example.com",
    Description: "unable to deliver",
    Details: "smtp;550 5.1.1 no such user",
    Tag: "welcome",
    Metadata: { order: "17" }
  })
  assert.isDefined(event)
  const { details: _, recipient: __, ...kept } = Schema.encodeSync(Event.NewEvent)(event)
  for (const said of ["smtp;", "unable", "no such", "welcome", "order"]) {
    assert.notInclude(JSON.stringify(kept), said)
  }
  assert.deepStrictEqual(event.normalizedPayload, {
    event: "Bounce",
    subtype: "HardBounce",
    status: "5.1.1",
    smtpStatus: 550
  })
})
