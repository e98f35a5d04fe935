/**
 * Posts webhooks from a process of its own, over connections that stay open, and prints the seconds from the first request to
 * the last answer and the latencies in milliseconds.
 *
 * Its one argument is a JSON document, see `Load`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { createSign } from "node:crypto"
import { Agent, request } from "node:http"
import { argv } from "node:process"
import * as Given from "./Given.ts"

export interface Load {
  readonly provider: "sendgrid" | "postmark"
  readonly url: string
  readonly connections: number
  readonly prefix: string
  readonly round: number
  readonly events: number
  /** Events a request. */
  readonly batch: number
  /** The private key in PEM by which SendGrid signs, or the user and password of Postmark. */
  readonly secret: string
}

interface Webhook {
  readonly body: string
  readonly headers: Readonly<Record<string, string>>
}

const sendGridTypes = { delivered: "delivered", opened: "open", clicked: "click" } as const

const sendGrid = (secret: string, batch: ReadonlyArray<Given.Given>): Webhook => {
  const body = JSON.stringify(batch.map((given) => ({
    email: given.recipient,
    event: sendGridTypes[given.type],
    sg_event_id: given.eventId,
    sg_message_id: given.messageId,
    timestamp: Math.floor(given.at / 1000),
    category: ["welcome"],
    useragent: "Mozilla/5.0"
  })))
  const timestamp = "1767225600"
  const signature = createSign("sha256").update(timestamp).update(body).sign(secret, "base64")
  return {
    body,
    headers: {
      "x-twilio-email-event-webhook-signature": signature,
      "x-twilio-email-event-webhook-timestamp": timestamp
    }
  }
}

const postmark = (secret: string, given: Given.Given): Webhook => ({
  body: Given.postmarkBody(given),
  headers: { authorization: `Basic ${Buffer.from(secret).toString("base64")}` }
})

const post = (agent: Agent, url: string, { body, headers }: Webhook) =>
  Effect.callback<void>((resume) => {
    const sent = request(url, {
      agent,
      method: "POST",
      headers: { ...headers, "content-type": "application/json", "content-length": Buffer.byteLength(body) }
    }, (response) => {
      response.resume()
      response.once("end", () =>
        resume(response.statusCode === 200 ? Effect.void : Effect.die(new Error(`answered ${response.statusCode}`))))
    })
    sent.once("error", (error) =>
      resume(Effect.die(error)))
    sent.end(body)
  })

const main = Effect.gen(function*() {
  const load: Load = JSON.parse(argv[2] ?? "")
  const webhooks = Given.chunks(Given.events(load.prefix, load.round, 1, load.events), load.batch).flatMap((batch) =>
    load.provider === "sendgrid"
      ? [sendGrid(load.secret, batch)]
      : batch.map((given) => postmark(load.secret, given))
  )
  const agent = new Agent({ keepAlive: true, maxSockets: load.connections })
  const latencies: Array<number> = []
  const began = performance.now()
  yield* Effect.forEach(webhooks, (webhook) =>
    Effect.gen(function*() {
      const sentAt = performance.now()
      yield* post(agent, load.url, webhook)
      latencies.push(performance.now() - sentAt)
    }), { concurrency: load.connections, discard: true })
  const seconds = (performance.now() - began) / 1000
  agent.destroy()
  yield* Console.log(JSON.stringify({ seconds, latencies }))
})

NodeRuntime.runMain(main)
