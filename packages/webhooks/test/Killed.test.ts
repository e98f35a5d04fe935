import { assert, describe, it } from "@effect/vitest"
import { Cursor, type Inbox, Ledger, Tenant } from "@waybill/core"
import { PgInbox, PgLedger, PgMigrations, PgServer } from "@waybill/storage"
import { Ingestion, Providers, Secrets } from "@waybill/webhooks"
import { Effect, Layer, Option, Redacted } from "effect"
import { SecureRandom } from "effect/crypto"
import { type ChildProcess, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import * as TestDatabase from "../../storage/test/TestDatabase.ts"
import * as Edge from "./Edge.ts"
import * as Schemes from "./Schemes.ts"

const program = fileURLToPath(new URL("hangingServer.ts", import.meta.url))

/** The lines that a process prints, one at a time. */
const reader = (child: ChildProcess) => {
  let text = ""
  let errors = ""
  let wake = () => {}
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk
    wake()
  })
  child.stderr?.setEncoding("utf8").on("data", (chunk: string) => (errors += chunk))
  child.once("close", () => wake())
  return Effect.callback<string>((resume) => {
    wake = () => {
      const end = text.indexOf("\n")
      if (end === -1 && child.exitCode === null && child.signalCode === null) return
      if (end === -1) return resume(Effect.die(new Error(`the server ended: ${errors}`)))
      const line = text.slice(0, end)
      text = text.slice(end + 1)
      wake = () => {}
      resume(Effect.succeed(line))
    }
    wake()
  })
}

/** A server in a process of its own, that hangs between storing and appending. */
const server = Effect.fnUntraced(function*(url: Redacted.Redacted) {
  const variables = Providers.all.map(({ name, schemes: [{ secrets }] }) => [
    secrets.variable,
    Schemes.secretsOf(Edge.sender(name)).map(Redacted.value).join(",")
  ])
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, ["--conditions=@waybill/source", program], {
        env: { ...Object.fromEntries(variables), WAYBILL_DATABASE_URL: Redacted.value(url) },
        stdio: ["ignore", "pipe", "pipe"]
      })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  const nextLine = reader(child)
  const kill = Effect.callback<NodeJS.Signals | null>((resume) => {
    child.once("exit", (_, signal) => resume(Effect.succeed(signal)))
    child.kill("SIGKILL")
  })
  return { port: yield* nextLine, nextLine, kill }
})

/** Every event of the ledger, at least so many: transactions of other tests on the server delay the feed. */
const events = (count: number) =>
  Ledger.Ledger.use((ledger) => ledger.changes({ scope: Tenant.all, after: Cursor.start, limit: 10_000 })).pipe(
    Effect.repeat({ until: (found) => found.length >= count })
  )

describe("A server killed between storing a webhook and appending its events", () => {
  for (const provider of ["postmark", "sendgrid", "mailgun"] as const) {
    it.live(`loses nothing of ${provider}`, () =>
      Effect.gen(function*() {
        const url = yield* TestDatabase.fresh
        const database = Layer.effectDiscard(PgMigrations.migrate()).pipe(Layer.provideMerge(PgServer.layer(url)))
        yield* Effect.gen(function*() {
          const ingestion = yield* Ingestion.Ingestion
          const { kill, nextLine, port } = yield* server(url)
          const requests = yield* Edge.signed(provider, Edge.report("delivered", 1))
          const request = requests[0] ?? assert.fail("there is no request")
          const posting = Effect.promise(() =>
            fetch(`http://127.0.0.1:${port}/webhooks/${provider}`, {
              method: "POST",
              headers: request.headers,
              body: new Uint8Array(request.body)
            }).then(() => "answered", () => "broken off")
          )
          const [answer] = yield* Effect.all([
            posting,
            Effect.gen(function*() {
              assert.strictEqual(yield* nextLine, "stored")
              assert.strictEqual(yield* kill, "SIGKILL")
            })
          ], { concurrency: "unbounded" })
          assert.strictEqual(answer, "broken off")
          assert.deepStrictEqual(yield* Edge.statuses(), ["processing"])
          assert.lengthOf(yield* events(0), 0)

          const row = Option.getOrThrow(yield* Providers.Providers.useSync(({ get }) => get(provider)))
          const { token } = yield* row.schemes[0].verify({
            ...request,
            receivedAt: Edge.report("delivered", 1).at,
            secrets: Schemes.secretsOf(Edge.sender(provider))
          })
          const retry = ingestion.receive({
            ...request,
            provider: row,
            tenantId: Tenant.defaultTenantId,
            token: Option.map(token, (value) => ({ value, verifiedBy: Tenant.defaultTenantId }))
          })
          if (provider === "mailgun") assert.strictEqual((yield* retry).outcome, "duplicate")

          const swept = yield* ingestion.sweep({ stalledFor: 0 })
          assert.deepStrictEqual([swept.claimed, swept.succeeded, swept.appended], [1, 1, 1])
          assert.lengthOf(yield* events(1), 1)
          assert.strictEqual((yield* retry).outcome, "duplicate")
          assert.strictEqual((yield* ingestion.sweep({ stalledFor: 0 })).claimed, 0)
          assert.deepStrictEqual((yield* events(1)).map(({ event }) => event.type), ["delivered"])
          const statuses = yield* Edge.statuses()
          assert.isTrue(statuses.every((status: Inbox.WebhookStatus) => status === "succeeded"))
        }).pipe(Effect.provide(
          Ingestion.layer.pipe(
            Layer.provideMerge(Edge.table(Edge.rows())),
            Layer.provide(Secrets.layer({})),
            Layer.provideMerge(Layer.provideMerge(PgInbox.layer(), PgLedger.layer())),
            Layer.provide([database, SecureRandom.layerWebCrypto])
          )
        ))
      }), 60_000)
  }
})
