/** `waybill serve` while the network to its database falls silent and comes back. */
import { assert, describe, it } from "@effect/vitest"
import { PgServer } from "@waybill/storage"
import { Postmark } from "@waybill/webhooks"
import { Senders } from "@waybill/webhooks/testing"
import { DateTime, Effect, Option, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import * as Proxy from "../../storage/test/Proxy.ts"
import * as Serving from "./Serving.ts"
import * as Waybill from "./Waybill.ts"

const basicAuth = "postmark:pa-ssword"

/** Sends a webhook, and gives the status of the answer. */
const post = Effect.fnUntraced(function*(url: string, n: number) {
  const [request] = Option.getOrThrow(Senders.withSecret(Postmark.row, Redacted.make(basicAuth))).send([{
    type: "delivered",
    messageId: `message-${n}`,
    recipient: `reader-${n}@reader.example`,
    at: DateTime.makeUnsafe(1_795_000_000_000 + n),
    eventId: `delivered-${n}`
  }], yield* DateTime.now)
  return yield* Effect.promise(async () => {
    const response = await fetch(url, {
      method: "POST",
      headers: { ...request?.headers },
      body: new Uint8Array(request?.body ?? [])
    })
    return response.status
  })
})

describe("serve", () => {
  it.live(
    "is not ready while its database is silent, is ready within 15 seconds of the end of that, and loses nothing",
    () =>
      Effect.gen(function*() {
        const env = yield* Waybill.migrated
        const proxy = yield* Proxy.start(Number(new URL(env.WAYBILL_DATABASE_URL).port))
        const serving = yield* Serving.start({
          ...env,
          WAYBILL_DATABASE_URL: proxy.through(env.WAYBILL_DATABASE_URL),
          WAYBILL_POSTMARK_BASIC_AUTH: basicAuth
        })
        const webhook = `${serving.url}/webhooks/postmark`
        const acknowledged: Array<number> = []
        const send = (from: number, count: number) =>
          Effect.forEach(Array.from({ length: count }, (_, index) => from + index), (n) =>
            Effect.map(post(webhook, n), (status) => {
              if (status === 200) {
                acknowledged.push(n)
              }
              return status
            }), { concurrency: "unbounded" })
        const ready = Effect.map(serving.get("/readyz"), ({ status }) =>
          status)

        assert.deepStrictEqual(new Set(yield* send(0, 20)), new Set([200]))
        assert.strictEqual(yield* ready, 200)

        proxy.treat("silent", "silent")
        assert.deepStrictEqual(new Set(yield* send(100, 20)), new Set([503]))
        assert.strictEqual(yield* ready, 503)

        // Those that are open stay silent; those to come pass.
        proxy.treat("silent", "passes")
        yield* Serving.eventually(
          Effect.map(ready, (status) =>
            assert.strictEqual(status, 200)),
          "15 seconds"
        )
        assert.deepStrictEqual(new Set(yield* send(200, 20)), new Set([200]))

        const [stored] = yield* SqlClient.SqlClient.use((sql) =>
          sql<{ readonly count: bigint }>`
            SELECT count(*) AS count FROM ${sql(`${env.WAYBILL_SCHEMA}.events`)}
            WHERE provider_message_id = ANY(${
            acknowledged.map((n) => `message-${n}`)
          }::text[])
          `
        ).pipe(Effect.provide(PgServer.layer(Redacted.make(env.WAYBILL_DATABASE_URL), { maxConnections: 1 })))
        assert.strictEqual(Number(stored?.count), acknowledged.length)
        yield* serving.stop("SIGTERM")
      }),
    90_000
  )
})
