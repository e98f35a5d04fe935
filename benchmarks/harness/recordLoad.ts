/**
 * Records deliveries over HTTP from a process of its own, over connections that stay open, and prints the seconds from the first
 * request to the last answer and the latencies in milliseconds.
 *
 * Its one argument is a JSON document, see `RecordLoad`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { Agent, request } from "node:http"
import { argv } from "node:process"

export interface RecordLoad {
  readonly url: string
  readonly token: string
  readonly connections: number
  /** Begins the idempotency keys. */
  readonly prefix: string
  readonly deliveries: number
}

const body = JSON.stringify({ recipient: "ann@example.com", mailable: "welcome", stream: "transactional" })

const record = (agent: Agent, { prefix, token, url }: RecordLoad, index: number) =>
  Effect.callback<void>((resume) => {
    const sent = request(url, {
      agent,
      method: "POST",
      headers: {
        authorization: `Bearer ${token}`,
        "idempotency-key": `${prefix}${index}`,
        "content-type": "application/json",
        "content-length": Buffer.byteLength(body)
      }
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
  const load: RecordLoad = JSON.parse(argv[2] ?? "")
  const agent = new Agent({ keepAlive: true, maxSockets: load.connections })
  const latencies: Array<number> = []
  const began = performance.now()
  yield* Effect.forEach(
    Array.from({ length: load.deliveries }, (_, index) => index),
    (index) =>
      Effect.gen(function*() {
        const sentAt = performance.now()
        yield* record(agent, load, index)
        latencies.push(performance.now() - sentAt)
      }),
    { concurrency: load.connections, discard: true }
  )
  const seconds = (performance.now() - began) / 1000
  agent.destroy()
  yield* Console.log(JSON.stringify({ seconds, latencies }))
})

NodeRuntime.runMain(main)
