/**
 * Posts as SendGrid does: one batch, signed with ECDSA.
 *
 * @since 0.1.0
 */
import type { EventType } from "@waybill/core"
import { Option, Redacted } from "effect"
import { createPublicKey, createSign, generateKeyPairSync, type KeyObject } from "node:crypto"
import * as Signature from "../internal/signature.ts"
import * as SendGrid from "../providers/SendGrid.ts"
import * as Sender from "./Sender.ts"

const words: ReadonlyMap<EventType.ReportedType, Readonly<Record<string, unknown>>> = new Map<
  EventType.ReportedType,
  Readonly<Record<string, unknown>>
>([
  ["queued", { event: "processed" }],
  ["delivered", { event: "delivered", response: "250 OK" }],
  ["deferred", { event: "deferred", attempt: "2", response: "421 4.7.0 try again later" }],
  ["bounced", { event: "bounce", type: "bounce", status: "5.1.1", reason: "550 5.1.1 mailbox not found" }],
  ["rejected", { event: "dropped", reason: "Invalid" }],
  ["opened", { event: "open", sg_machine_open: false, useragent: "Mozilla/5.0", ip: "192.0.2.7" }],
  ["clicked", { event: "click", url: "https://shop.example/orders", ip: "192.0.2.7" }],
  ["complained", { event: "spamreport" }],
  ["unsubscribed", { event: "unsubscribe" }],
  ["subscribed", { event: "group_resubscribe", asm_group_id: 7 }]
])

const softBounce = { event: "bounce", type: "blocked", status: "4.7.0", reason: "421 4.7.0 try again later" }

const item = (report: Sender.Report): string =>
  JSON.stringify({
    email: report.recipient,
    timestamp: Math.floor(report.at.epochMilliseconds / 1000),
    "smtp-id": `<${report.messageId}@geopod-ismtpd-1>`,
    sg_event_id: report.eventId,
    sg_message_id: `${report.messageId}.filter0001.16648.5515E0B88.0`,
    ...(report.deliveryId !== undefined && { waybill_delivery_id: report.deliveryId }),
    ...(report.type === "bounced" && report.bounceClass === "soft"
      ? softBounce
      : words.get(report.type) ?? { event: "unheard" })
  })

/**
 * Posts all reports in one request, signed with the private key of an elliptic-curve pair.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (keys: { readonly privateKey: KeyObject; readonly publicKey: KeyObject }): Sender.Sender => ({
  provider: SendGrid.row.name,
  secrets: [Redacted.make(keys.publicKey.export({ format: "der", type: "spki" }).toString("base64"))],
  types: Sender.typesOf(words),
  send: (reports, sentAt) => {
    const timestamp = Signature.unixTime(sentAt)
    const body = new TextEncoder().encode(`[${reports.map(item).join(",\r\n")}]\r\n`)
    const signature = createSign("sha256").update(timestamp).update(body).sign(keys.privateKey, "base64")
    return [{
      headers: {
        "content-type": "application/json",
        "x-twilio-email-event-webhook-signature": signature,
        "x-twilio-email-event-webhook-timestamp": timestamp
      },
      body
    }]
  }
})

/**
 * How senders of SendGrid are made.
 *
 * @category constructors
 * @since 0.2.0
 */
export const kind: Sender.Kind = {
  provider: SendGrid.row.name,
  signing: {
    _tag: "PrivateKey",
    make: (privateKey) =>
      privateKey.asymmetricKeyType === "ec"
        ? Option.some(make({ privateKey, publicKey: createPublicKey(privateKey) }))
        : Option.none(),
    issue: "is not of an elliptic curve"
  },
  generate: () => ({ sender: make(generateKeyPairSync("ec", { namedCurve: "prime256v1" })), row: SendGrid.row })
}
