/** Reads what a Worker forwards from Cloudflare's queue, and what an application posts through Svix. */
import { assert, describe, it } from "@effect/vitest"
import { Cloudflare, type Row, Svix } from "@waybill/webhooks"
import { event, events, key } from "./Reading.ts"

const cloudflare = (kind: string, payload: object = {}) =>
  JSON.stringify({
    type: `cf.email.sending.message.${kind}`,
    payload: { eventId: "e1", messageId: "m1", recipient: "ada@reader.example", terminal: true, ...payload },
    metadata: { eventTimestamp: "2026-03-04T10:26:07.123Z" }
  })

const svix = (type: string, data: object = {}) =>
  JSON.stringify({
    type,
    timestamp: "2026-03-04T10:26:07.123Z",
    data: { messageId: "m1", recipient: "ada@reader.example", ...data }
  })

type Case = readonly [row: Row.Row, text: string, type: string, reason?: string, bounce?: string]

const cases: ReadonlyArray<Case> = [
  [Cloudflare.row, cloudflare("delivered"), "delivered"],
  [Cloudflare.row, cloudflare("deferred"), "deferred"],
  [Cloudflare.row, cloudflare("bounced", { bounce: { type: "hard" } }), "bounced", "bounced", "hard"],
  [Cloudflare.row, cloudflare("bounced", { bounce: { type: "soft" } }), "bounced", "bounced", "soft"],
  [Cloudflare.row, cloudflare("failed"), "failed"],
  [Cloudflare.row, cloudflare("rejected", { rejection: { reason: "suppressed" } }), "rejected", "bounced"],
  [Cloudflare.row, cloudflare("rejected", { rejection: { reason: "quota" } }), "rejected", "other"],
  [Cloudflare.row, cloudflare("complained"), "complained"],
  [Cloudflare.row, cloudflare("unheard"), "unknown"],
  [Svix.row, svix("email.queued"), "queued"],
  [Svix.row, svix("mail.message.delivered"), "delivered"],
  [Svix.row, svix("email.bounced"), "bounced", "bounced", "undetermined"],
  [Svix.row, svix("email.bounced", { bounceClass: "soft", rejectReason: "spam" }), "bounced", "spam", "soft"],
  [Svix.row, svix("email.rejected", { rejectReason: "blocked" }), "rejected", "blocked"],
  [Svix.row, svix("email.opened", { rejectReason: "blocked" }), "opened"],
  [Svix.row, svix("email.suppressed"), "unknown"],
  [Svix.row, svix("email.unheard"), "unknown"]
]

describe("What is forwarded", () => {
  it.for(cases)("is read: $0.name $1", ([row, text, type, reason, bounce]) => {
    const read = event(row, text, { "svix-id": "msg_1" })
    assert.deepStrictEqual(
      [read.type, read.reason, read.bounce, read.message, read.to, read.at],
      [type, reason, bounce, "m1", "ada@reader.example", "2026-03-04T10:26:07.123Z"]
    )
  })

  it("has one key, by its own id or that of its headers", () => {
    assert.strictEqual(key(Cloudflare.row, cloudflare("delivered")), "webhook:cloudflare:id:e1")
    assert.strictEqual(key(Svix.row, svix("email.sent"), { "webhook-id": "msg_1" }), "webhook:svix:id:msg_1")
  })

  it("is ignored where it is about no message", () => {
    assert.deepStrictEqual(events(Cloudflare.row, JSON.stringify({ type: "cf.r2.object.created" })), [])
  })
})
