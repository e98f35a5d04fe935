/** Webhooks over HTTP: signature checked, stored raw, appended, answered. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Inbox, Ledger, Provider, Tenant } from "@waybill/core"
import { PgInbox } from "@waybill/storage"
import { Ingestion, Intake, Providers, Secrets, WebhookRoutes } from "@waybill/webhooks"
import { Effect, Layer, Option, Redacted } from "effect"
import { FetchHttpClient, HttpRouter, HttpServer } from "effect/http"
import { SqlClient } from "effect/sql"
import { execFile } from "node:child_process"
import { generateKeyPairSync } from "node:crypto"
import { createServer } from "node:http"
import { execPath } from "node:process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import type { Bench } from "../harness/Bench.ts"
import * as Fill from "../harness/Fill.ts"
import * as Given from "../harness/Given.ts"
import type { Load } from "../harness/load.ts"
import * as Report from "../harness/Report.ts"
import * as Rounds from "../harness/Rounds.ts"
import * as Server from "../harness/Server.ts"

const tenantId = Tenant.defaultTenantId

const script = fileURLToPath(new URL("../harness/load.ts", import.meta.url))

const keys = generateKeyPairSync("ec", { namedCurve: "prime256v1" })
const sendGridKey = keys.privateKey.export({ type: "pkcs8", format: "pem" }).toString()
const encoder = new TextEncoder()

const postmarkLogin = "waybill:benchmark"

const secrets = Secrets.layer({
  [tenantId]: {
    secrets: {
      sendgrid: [Redacted.make(keys.publicKey.export({ type: "spki", format: "der" }).toString("base64"))],
      postmark: [Redacted.make(postmarkLogin)]
    }
  }
})

/** The routes of the webhooks, on a port of their own. */
const edge = HttpRouter.serve(WebhookRoutes.layer(), {
  disableLogger: true,
  disableListenLog: true,
  routerConfig: { maxParamLength: 1024 }
}).pipe(
  Layer.provideMerge(Layer.merge(Ingestion.layer, Intake.layer)),
  Layer.provideMerge(PgInbox.layer()),
  Layer.provide(Providers.layer),
  Layer.provide(FetchHttpClient.layer),
  Layer.provide(secrets),
  Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0 }))
)

const post = (load: Load) =>
  Effect.map(
    Effect.promise(() => promisify(execFile)(execPath, ["--conditions=@waybill/source", script, JSON.stringify(load)])),
    ({ stdout }): { readonly seconds: number; readonly latencies: ReadonlyArray<number> } => JSON.parse(stdout)
  )

/** Every delivery of a side was moved in the last round. */
const checkMoved = Effect.fnUntraced(function*(prefix: string, count: number, round: number) {
  const sql = yield* SqlClient.SqlClient
  const at = new Date(Date.UTC(2026, 0, 1) + round * 60_000)
  const [row] = yield* sql<{ readonly count: number }>`
    SELECT count(*)::integer AS count FROM waybill.deliveries
    WHERE provider_message_id LIKE ${`${prefix}%`} AND last_event_at >= ${at}
  `
  yield* row?.count === count ? Effect.void : Effect.die(new Error(`${prefix} moved ${row?.count} of ${count}`))
}, Effect.orDie)

export const bench: Bench = {
  name: "ingest",
  sizes: { events: 10_000, batch: 500, singles: 3_000, connections: 32, callers: 64, drained: 20_000, rounds: 3 },
  run: Effect.fnUntraced(function*(size) {
    const [events, batch, singles, connections] = [
      size("events"),
      size("batch"),
      size("singles"),
      size("connections")
    ]
    const rounds = size("rounds") + 1
    return yield* Server.inDatabase(
      yield* Server.database(),
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const ledger = yield* Ledger.Ledger
        const { address } = yield* HttpServer.HttpServer
        const origin = HttpServer.formatAddress(address).replace("0.0.0.0", "127.0.0.1")
        const inbox = yield* Inbox.Inbox
        const ingestion = yield* Ingestion.Ingestion
        const drained = size("drained")
        const prefixes = { appendBatch: "a-", ingestBatch: "b-", appendSingle: "c-", ingestSingle: "d-", drain: "e-" }
        yield* Fill.dispatched(prefixes.appendBatch, { from: 1, count: events })
        yield* Fill.dispatched(prefixes.ingestBatch, { from: 1, count: events })
        yield* Fill.dispatched(prefixes.appendSingle, { from: 1, count: singles })
        yield* Fill.dispatched(prefixes.ingestSingle, { from: 1, count: singles })
        yield* Fill.dispatched(prefixes.drain, { from: 1, count: drained })
        yield* sql`
          UPDATE waybill.deliveries SET provider = 'sendgrid' WHERE provider_message_id LIKE ${`${prefixes.ingestBatch}%`}
        `
        yield* Fill.settle

        const rates = yield* Rounds.alternate(rounds, {
          appendBatch: (round) =>
            Effect.gen(function*() {
              const given = Given.chunks(
                Given.events(prefixes.appendBatch, round, 1, events).map(Given.newEvent),
                batch
              )
              const { seconds } = yield* Rounds.timedAlone(
                Effect.forEach(given, (each) => ledger.append(tenantId, each), { discard: true })
              )
              return { rate: events / seconds, p99: 0 }
            }),
          ingestBatch: (round) =>
            Effect.gen(function*() {
              const { latencies, seconds } = yield* post({
                provider: "sendgrid",
                url: `${origin}/webhooks/sendgrid`,
                connections,
                prefix: prefixes.ingestBatch,
                round,
                events,
                batch,
                secret: sendGridKey
              })
              yield* checkMoved(prefixes.ingestBatch, events, round)
              return { rate: events / seconds, p99: Rounds.quantile(latencies, 0.99) }
            }),
          appendSingle: (round) =>
            Effect.gen(function*() {
              const given = Given.events(prefixes.appendSingle, round, 1, singles).map(Given.newEvent)
              const { seconds } = yield* Rounds.timedAlone(Effect.forEach(
                given,
                (event) => ledger.append(tenantId, [event]),
                { concurrency: size("callers"), discard: true }
              ))
              return { rate: singles / seconds, p99: 0 }
            }),
          drain: (round) =>
            Effect.gen(function*() {
              const given = Given.events(prefixes.drain, round, 1, drained)
              yield* Effect.forEach(
                given,
                (event) =>
                  inbox.store({
                    tenantId,
                    provider: Provider.Provider.make("postmark"),
                    headers: {},
                    body: encoder.encode(Given.postmarkBody(event)),
                    token: Option.none()
                  }),
                { concurrency: 500, discard: true }
              )
              yield* sql`
                UPDATE waybill.webhooks SET status = 'received', attempts = 0, claimed_at = NULL
                WHERE status = 'processing'
              `
              yield* Fill.settle
              const { seconds } = yield* Rounds.timedAlone(ingestion.sweep())
              yield* checkMoved(prefixes.drain, drained, round)
              return { rate: drained / seconds, p99: 0 }
            }),
          ingestSingle: (round) =>
            Effect.gen(function*() {
              const { latencies, seconds } = yield* post({
                provider: "postmark",
                url: `${origin}/webhooks/postmark`,
                connections,
                prefix: prefixes.ingestSingle,
                round,
                events: singles,
                batch: singles,
                secret: postmarkLogin
              })
              yield* checkMoved(prefixes.ingestSingle, singles, round)
              return { rate: singles / seconds, p99: Rounds.quantile(latencies, 0.99) }
            })
        })
        type Side = keyof typeof prefixes
        const of = (side: Side, figure: "rate" | "p99") =>
          Rounds.figures(rates(side).slice(1).map((result) => result[figure]))
        const ratio = (ingest: Side, append: Side) => of(ingest, "rate").median / of(append, "rate").median
        return {
          name: "ingest",
          summary:
            `Webhooks from another process over ${connections} connections, each verified, stored raw and appended ` +
            `before it is answered: SendGrid's signed batches of ${batch} events, and single Postmark events. Beside them the ` +
            `same number of events by \`append\` alone, in batches one after the other, and by ${
              size("callers")
            } callers ` +
            `at once. And ${drained} single Postmark webhooks that wait in the inbox, drained by one sweep.`,
          rows: [
            Report.row(`SendGrid, batches of ${batch}`, "events/s", of("ingestBatch", "rate")),
            Report.row(`append, batches of ${batch}`, "events/s", of("appendBatch", "rate")),
            Report.row("Postmark, single", "events/s", of("ingestSingle", "rate")),
            Report.row(`append, ${size("callers")} at once`, "events/s", of("appendSingle", "rate")),
            Report.row(`inbox, ${drained} that wait, drained`, "events/s", of("drain", "rate")),
            Report.row("SendGrid: p99 of a request", "ms", of("ingestBatch", "p99")),
            Report.row("Postmark: p99 of a request", "ms", of("ingestSingle", "p99"))
          ],
          ratios: [
            Report.atLeast("ingest/batch-to-append", ratio("ingestBatch", "appendBatch"), 0.5),
            Report.atLeast("ingest/single-to-append", ratio("ingestSingle", "appendSingle"), 0.5),
            Report.atLeast("ingest/drain-to-single", ratio("drain", "ingestSingle"), 2)
          ],
          notes: [],
          plots: []
        }
      }).pipe(Effect.provide(edge))
    )
  })
}
