/** Several servers of which one writes: which of them is chosen, and what becomes of connections to one that no longer does. */
import { assert, describe, it } from "@effect/vitest"
import { Ledger } from "@waybill/core"
import { PgError, PgLedger, PgMigrations, PgServer } from "@waybill/storage"
import { Given } from "@waybill/storage/testing"
import { Duration, Effect, Layer, Redacted, Schedule } from "effect"
import { SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"
import { afterAll, beforeAll } from "vitest"
import * as PostgresServer from "./PostgresServer.ts"

let primary: PostgresServer.PostgresServer
let standby: PostgresServer.PostgresServer
/** A primary that can be made read-only. */
let other: PostgresServer.PostgresServer

beforeAll(async () => {
  const settings = ["fsync=off"]
  primary = await PostgresServer.start(settings)
  other = await PostgresServer.start(settings)
  // A server that recovers for ever, as a standby does.
  standby = await PostgresServer.start(settings, { "standby.signal": "" })
  for (const { url } of [primary, other]) {
    // oxlint-disable-next-line no-await-in-loop -- one after another
    await Effect.runPromise(Effect.provide(PgMigrations.migrate(), PgServer.layer(Redacted.make(url))))
  }
}, 120_000)

afterAll(() => Promise.all([primary.stop(), standby.stop(), other.stop()]), 60_000)

const portOf = (server: PostgresServer.PostgresServer) => Number(new URL(server.url).port)

/** A URL of several servers. */
const urlOf = (servers: ReadonlyArray<PostgresServer.PostgresServer>, attrs: string) => {
  const hosts = servers.map((server) => `127.0.0.1:${portOf(server)}`).join(",")
  return Redacted.make(`postgres://postgres:postgres@${hosts}/postgres?target_session_attrs=${attrs}`)
}

/** The port of the server that is chosen, or why none is. */
const chosen = (servers: ReadonlyArray<PostgresServer.PostgresServer>, attrs: string) =>
  SqlClient.SqlClient.use((sql) => sql<{ readonly port: string }>`SELECT current_setting('port') AS port`).pipe(
    Effect.map(([row]) => Number(row?.port)),
    Effect.provide(PgServer.layer(urlOf(servers, attrs))),
    Effect.catchTag("LedgerUnavailable", ({ reason }) => Effect.succeed(reason))
  )

describe("several servers", () => {
  it.live("are chosen from by what the session is to be", () =>
    Effect.gen(function*() {
      const both = [standby, primary]
      assert.strictEqual(yield* chosen(both, "any"), portOf(standby))
      assert.strictEqual(yield* chosen(both, "read-write"), portOf(primary))
      assert.strictEqual(yield* chosen(both, "primary"), portOf(primary))
      assert.strictEqual(yield* chosen([primary, standby], "standby"), portOf(standby))
      assert.strictEqual(yield* chosen([primary, standby], "read-only"), portOf(standby))
      assert.strictEqual(yield* chosen([primary, standby], "prefer-standby"), portOf(standby))
      assert.strictEqual(yield* chosen([primary], "prefer-standby"), portOf(primary))
      assert.strictEqual(yield* chosen([standby], "read-write"), "no-host")
      assert.strictEqual(yield* chosen([standby], "primary"), "no-host")
    }))

  it.live("are tried in turn where one does not answer", () =>
    Effect.gen(function*() {
      const nobody = { ...primary, url: "postgres://127.0.0.1:1/" }
      assert.strictEqual(yield* chosen([nobody, primary], "any"), portOf(primary))
      assert.strictEqual(yield* chosen([nobody, nobody], "any"), "refused")
    }))

  it.live("a standby is plainly one that refuses writes", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        PgError.refine("waybill")(SqlClient.SqlClient.use((sql) => sql`CREATE TABLE written (id integer)`))
      )
      assert.deepInclude(error, { _tag: "LedgerUnavailable", reason: "read-only" })
    }).pipe(Effect.provide(PgServer.layer(urlOf([standby], "any")))))

  it.live("a server that turned read-only is left for another, and no connection stays with it", () =>
    Effect.gen(function*() {
      const ledger = PgLedger.layer().pipe(
        Layer.provideMerge(PgServer.layer(urlOf([other, primary], "read-write"), { maxConnections: 5 })),
        Layer.provideMerge(SecureRandom.layerWebCrypto)
      )
      yield* Effect.gen(function*() {
        const { append } = yield* Ledger.Ledger
        const tenantId = yield* Given.tenant
        const events = Array.from({ length: 5 }, (_, index) => index)
        const many = (name: string) =>
          Effect.forEach(events, (index) => append(tenantId, [Given.report("delivered", `${name}-${index}`)]), {
            concurrency: 5
          })
        yield* many("before")
        yield* Effect.promise(() => other.place({ "postgresql.auto.conf": "default_transaction_read_only = on\n" }))
        assert.deepInclude(yield* Effect.flip(many("during")), { _tag: "LedgerUnavailable", reason: "read-only" })
        const [taken] = yield* Effect.timed(
          Effect.retry(many("after"), { schedule: Schedule.spaced("50 millis"), times: 40 })
        )
        assert.isBelow(Duration.toMillis(taken), 2000)
        const sql = yield* SqlClient.SqlClient
        const [row] = yield* sql<{ readonly port: string }>`SELECT current_setting('port') AS port`
        assert.strictEqual(Number(row?.port), portOf(primary))
      }).pipe(Effect.provide(ledger))
    }))
})
