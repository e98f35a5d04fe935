import { assert, describe, it } from "@effect/vitest"
import { PgServer } from "@waybill/storage"
import { Postmark } from "@waybill/webhooks"
import { Senders } from "@waybill/webhooks/testing"
import { DateTime, Effect, Fiber, Option, Redacted, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { createServer, type RequestListener } from "node:http"
import { connect } from "node:net"
import manifest from "../package.json" with { type: "json" }
import * as Serving from "./Serving.ts"
import * as Waybill from "./Waybill.ts"

const basicAuth = "postmark:pa-ssword"

const inDatabase = <A, E, R>(
  env: { readonly WAYBILL_DATABASE_URL: string },
  effect: Effect.Effect<A, E, R>
) => Effect.provide(effect, PgServer.layer(Redacted.make(env.WAYBILL_DATABASE_URL), { maxConnections: 2 }))

const post = (url: string, type: "delivered" | "bounced", n: number, secret: string = basicAuth) =>
  Effect.gen(function*() {
    const now = yield* DateTime.now
    const [request] = Option.getOrThrow(Senders.withSecret(Postmark.row, Redacted.make(secret))).send([{
      type,
      messageId: `message-${n}`,
      recipient: `reader-${n}@reader.example`,
      at: DateTime.makeUnsafe(1_795_000_000_000 + n),
      eventId: `${type}-${n}`
    }], now)
    return yield* Effect.promise(async () => {
      const response = await fetch(url, {
        method: "POST",
        headers: { ...request?.headers },
        body: new Uint8Array(request?.body ?? [])
      })
      return response.status
    })
  })

/** A request that never ends. */
const neverEnding = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<ReturnType<typeof connect>>((resume) => {
      const socket = connect(port, "127.0.0.1", () => {
        socket.write("POST /webhooks/postmark HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\n{")
        resume(Effect.succeed(socket))
      })
      socket.on("error", () => {})
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

/** An HTTP server on any port, until the end of the scope. */
const listening = Effect.fnUntraced(function*(listener: RequestListener) {
  const server = yield* Effect.acquireRelease(
    Effect.callback<ReturnType<typeof createServer>>((resume) => {
      const server = createServer(listener)
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.callback<void>((resume) => {
        server.closeAllConnections()
        server.close(() => resume(Effect.void))
      })
  )
  const address = server.address()
  return typeof address === "object" && address !== null ? address.port : assert.fail("no port")
})

const Began = Schema.Array(Schema.Struct({ began_at: Schema.DateTimeUtcFromDate }))

const NotReady = Schema.fromJsonString(Schema.Struct({ ready: Schema.Literal(false), reason: Schema.String }))

describe("serve on an embedded database", () => {
  it.live(
    "needs no configuration, refuses a second one on the same directory and stops on SIGTERM",
    () =>
      Effect.gen(function*() {
        const cwd = yield* Waybill.directory
        const first = yield* Serving.start({}, { cwd })
        assert.deepInclude(yield* first.get("/healthz"), { status: 200, text: "ok" })
        assert.deepInclude(yield* first.get("/readyz"), { status: 200, text: "{\"ready\":true}" })
        assert.strictEqual((yield* first.get("/nowhere")).status, 404)

        const { code, stderr, stdout } = yield* Waybill.run(["serve", "--port", "0"], {
          WAYBILL_DATABASE_URL: `pglite:${cwd}/.waybill`
        })
        assert.strictEqual(code, 1)
        assert.strictEqual(stdout, "")
        assert.match(stderr, /^waybill: the database in .* is in use; stop the process that has it open\n$/)

        const stopped = yield* first.stop("SIGTERM")
        assert.deepInclude(stopped, { code: 0, signal: null })
        assert.isBelow(stopped.millis, 5000)

        const second = yield* Serving.start({}, { cwd })
        assert.strictEqual((yield* second.get("/readyz")).status, 200)
        assert.deepInclude(yield* second.stop("SIGINT"), { code: 0, signal: null })
      }),
    90_000
  )
})

describe("serve", () => {
  it.live("has every metric from the start, as Prometheus text", () =>
    Effect.gen(function*() {
      const serving = yield* Serving.start({ WAYBILL_DATABASE_URL: "memory:" })
      const page = yield* serving.get("/metrics")
      assert.strictEqual(page.status, 200)
      assert.match(page.type, /^text\/plain; version=0\.0\.4/)
      const series = Serving.series(page.text)
      for (
        const name of [
          "waybill_events_appended_total",
          "waybill_events_duplicate_total",
          "waybill_orphans_linked_total",
          "waybill_orphans_pending",
          "waybill_orphans_oldest_age_seconds",
          "waybill_orphans_expired",
          "waybill_time_to_link_seconds_count",
          "waybill_webhooks_pruned_total",
          "waybill_webhooks_unfinished{status=\"dead\"}",
          "waybill_webhooks_total{provider=\"postmark\",outcome=\"accepted\"}",
          "waybill_webhooks_refused_total{provider=\"postmark\",reason=\"BadSignature\"}",
          "waybill_webhooks_undecodable_total{provider=\"ses\",reason=\"NotJson\"}",
          "waybill_sweeps_failed_total{schedule=\"reconcile\"}",
          "waybill_sweep_duration_seconds_count{schedule=\"inbox\"}"
        ]
      ) {
        assert.strictEqual(series.get(name), 0, name)
      }
      assert.strictEqual(series.get(`waybill_build_info{version="${manifest.version}"}`), 1)
    }), 60_000)

  it.live("takes signed webhooks of every tenant and counts what it appends", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      const config = yield* Waybill.file(
        yield* Waybill.directory,
        "waybill.json",
        JSON.stringify({ tenants: { acme: { postmarkBasicAuth: ["acme:pass,word"] } } })
      )
      const serving = yield* Serving.start({ ...env, WAYBILL_POSTMARK_BASIC_AUTH: basicAuth, WAYBILL_CONFIG: config })
      const own = `${serving.url}/webhooks/postmark`
      const acme = `${serving.url}/tenants/acme/webhooks/postmark`
      assert.strictEqual(yield* post(own, "delivered", 1), 200)
      assert.strictEqual(yield* post(own, "delivered", 1), 200)
      assert.strictEqual(yield* post(own, "delivered", 1, "postmark:wrong"), 401)
      assert.strictEqual(yield* post(acme, "bounced", 2), 401)
      assert.strictEqual(yield* post(acme, "bounced", 2, "acme:pass,word"), 200)
      assert.strictEqual(yield* post(`${serving.url}/webhooks/pigeon`, "delivered", 1), 404)

      const { orphans } = yield* Waybill.json(Waybill.Orphans, ["orphans"], env)
      assert.deepStrictEqual(orphans.map(({ tenantId, type }) => [tenantId, type]), [
        ["default", "delivered"],
        ["acme", "bounced"]
      ])
      const series = Serving.series((yield* serving.get("/metrics")).text)
      assert.strictEqual(series.get("waybill_events_appended_total{provider=\"postmark\",event_type=\"delivered\"}"), 1)
      assert.strictEqual(
        series.get("waybill_events_duplicate_total{provider=\"postmark\",event_type=\"delivered\"}"),
        1
      )
      assert.notInclude(serving.stderr(), "@reader.example")
    }), 60_000)

  it.live("leaves a server alone that is not migrated", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.server
      const { code, stderr } = yield* Waybill.run(["serve", "--port", "0"], env)
      assert.strictEqual(code, 1)
      assert.strictEqual(stderr, `waybill: the schema ${env.WAYBILL_SCHEMA} is not migrated; run waybill migrate\n`)
    }), 60_000)

  it.live("is not ready without its schema", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      const serving = yield* Serving.start(env)
      assert.strictEqual((yield* serving.get("/readyz")).status, 200)
      yield* inDatabase(
        env,
        SqlClient.SqlClient.use((sql) => sql`DROP SCHEMA ${sql(env.WAYBILL_SCHEMA)} CASCADE`)
      )
      const reply = yield* serving.get("/readyz")
      assert.strictEqual(reply.status, 503)
      const { reason } = yield* Schema.decodeEffect(NotReady)(reply.text)
      assert.match(reason, /lacks 0001_create_ledger/)
      assert.strictEqual((yield* serving.get("/healthz")).status, 200)
    }), 60_000)

  it.live("says in one line that a port is in use", () =>
    Effect.gen(function*() {
      const serving = yield* Serving.start({ WAYBILL_DATABASE_URL: "memory:" })
      const { port } = new URL(serving.url)
      const { code, stderr } = yield* Waybill.run(["serve", "--port", port], { WAYBILL_DATABASE_URL: "memory:" })
      assert.strictEqual(code, 1)
      assert.strictEqual(stderr, `waybill: cannot listen on 127.0.0.1 port ${port}: the port is in use\n`)
    }), 60_000)

  it.live("stops in time though a client never ends its request", () =>
    Effect.gen(function*() {
      const serving = yield* Serving.start({
        WAYBILL_DATABASE_URL: "memory:",
        WAYBILL_POSTMARK_BASIC_AUTH: basicAuth
      })
      const { port } = new URL(serving.url)
      yield* neverEnding(Number(port))
      yield* Effect.acquireRelease(
        Effect.sync(() => connect(Number(port), "127.0.0.1").on("error", () => {})),
        (socket) => Effect.sync(() => socket.destroy())
      )
      yield* Effect.sleep("200 millis")
      const stopped = yield* serving.stop("SIGTERM")
      assert.deepInclude(stopped, { code: 0, signal: null })
      assert.isBelow(stopped.millis, 10_000)
    }), 60_000)

  it.live(
    "begins no sweep when it is stopped, though a client and the receiver of OTLP never end",
    () =>
      Effect.gen(function*() {
        const env = yield* Waybill.migrated
        const receiver = yield* listening(() => {})
        const serving = yield* Serving.start({
          ...env,
          WAYBILL_POSTMARK_BASIC_AUTH: basicAuth,
          WAYBILL_RECONCILE_CRON: "* * * * * *",
          WAYBILL_INBOX_CRON: "* * * * * *",
          OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${receiver}`
        })
        yield* neverEnding(Number(new URL(serving.url).port))
        const sweeps = inDatabase(
          env,
          SqlClient.SqlClient.use((sql) => sql`SELECT began_at FROM ${sql(`${env.WAYBILL_SCHEMA}.sweeps`)}`)
        )
        yield* Serving.eventually(Effect.map(sweeps, (rows) => assert.isAtLeast(rows.length, 2)))
        const stopAt = yield* DateTime.now
        const stopped = yield* serving.stop("SIGTERM")
        assert.deepInclude(stopped, { code: 0, signal: null })
        assert.isBelow(stopped.millis, 10_000)
        const began = yield* Schema.decodeUnknownEffect(Began)(yield* sweeps)
        // A signal takes a moment to arrive.
        const allowed = DateTime.add(stopAt, { milliseconds: 500 })
        assert.deepStrictEqual(began.filter(({ began_at }) => DateTime.isGreaterThan(began_at, allowed)), [])
      }),
    60_000
  )

  it.live("stops in time though a sweep waits for a lock", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      const stopped = yield* inDatabase(
        env,
        Effect.gen(function*() {
          const sql = yield* SqlClient.SqlClient
          const holding = yield* sql`LOCK TABLE ${sql(`${env.WAYBILL_SCHEMA}.orphans`)} IN ACCESS EXCLUSIVE MODE`.pipe(
            Effect.andThen(Effect.never),
            sql.withTransaction,
            Effect.forkChild
          )
          const serving = yield* Serving.start({ ...env, WAYBILL_RECONCILE_CRON: "* * * * * *" })
          yield* Serving.eventually(Effect.gen(function*() {
            const [begun] = yield* sql`
              SELECT 1 FROM ${sql(`${env.WAYBILL_SCHEMA}.sweeps`)} WHERE schedule = 'reconcile' AND ended_at IS NULL
            `
            assert.isDefined(begun)
          }))
          const stopped = yield* serving.stop("SIGTERM")
          yield* Fiber.interrupt(holding)
          return stopped
        })
      )
      assert.deepInclude(stopped, { code: 0, signal: null })
      assert.isBelow(stopped.millis, 10_000)
    }), 60_000)

  it.live("logs one line each for people, or JSON, from the level that is asked for", () =>
    Effect.gen(function*() {
      const memory = { WAYBILL_DATABASE_URL: "memory:" }
      const json = yield* Serving.start(memory)
      yield* json.stop("SIGTERM")
      const lines = json.stderr().trimEnd().split("\n").map((line) => JSON.parse(line))
      assert.deepStrictEqual(lines.map(({ message }) => message), ["ready", "stopping", "stopped"])

      const text = yield* Serving.startQuietly({ ...memory, WAYBILL_LOG_FORMAT: "text", WAYBILL_PORT: "0" }, [])
      yield* Serving.eventually(Effect.sync(() =>
        assert.match(text.stderr(), /^\S+Z INFO  ready url=http:\/\/127\.0\.0\.1:\d+ database=memory node=\S+\n$/)
      ))
      yield* text.stop("SIGTERM")

      const silent = yield* Serving.startQuietly(memory, ["--port", "0", "--log-level", "error"])
      yield* Effect.sleep("3 seconds")
      assert.deepInclude(yield* silent.stop("SIGTERM"), { code: 0 })
      assert.strictEqual(silent.stderr(), "")
    }), 60_000)
})

const Sweep = Schema.Array(Schema.Struct({ tick: Schema.Int, rows: Schema.Int, ended: Schema.Boolean }))

describe("three nodes", () => {
  it.live("claim each tick once", () =>
    Effect.gen(function*() {
      const env = { ...yield* Waybill.migrated, WAYBILL_RECONCILE_CRON: "* * * * * *", WAYBILL_MAX_CONNECTIONS: "3" }
      const nodes = yield* Effect.forEach(["one", "two", "three"], (node) =>
        Serving.start({ ...env, WAYBILL_NODE: node }))
      yield* Effect.sleep("6 seconds")
      for (const node of nodes) {
        assert.strictEqual((yield* node.get("/readyz")).status, 200)
      }
      const stopped = yield* Effect.forEach(nodes, (node) =>
        node.stop("SIGTERM"), { concurrency: "unbounded" })
      assert.deepStrictEqual(stopped.map(({ code }) => code), [0, 0, 0])

      const rows = yield* inDatabase(
        env,
        SqlClient.SqlClient.use((sql) =>
          sql`
            SELECT extract(epoch FROM tick)::integer AS tick, count(*)::integer AS rows,
              bool_and(ended_at IS NOT NULL AND error IS NULL) AS ended
            FROM ${sql(`${env.WAYBILL_SCHEMA}.sweeps`)} WHERE schedule = 'reconcile' GROUP BY tick ORDER BY tick
          `
        )
      )
      const ticks = yield* Schema.decodeUnknownEffect(Sweep)(rows)
      assert.isAtLeast(ticks.length, 5)
      for (const tick of ticks) assert.deepInclude(tick, { rows: 1, ended: true })
    }), 90_000)
})

describe("the exporter of OTLP", () => {
  it.live("sends spans, metrics and logs where it is told to, and no address with them", () =>
    Effect.gen(function*() {
      const received = new Map<string, string>()
      const port = yield* listening((request, response) => {
        let text = ""
        request.setEncoding("utf8").on("data", (chunk: string) => (text += chunk))
        request.on("end", () => {
          const path = request.url ?? ""
          received.set(path, `${received.get(path) ?? ""}${String(request.headers["x-key"])} ${text}\n`)
          response.end("{}")
        })
      })
      const env = yield* Waybill.migrated
      const serving = yield* Serving.start({
        ...env,
        WAYBILL_POSTMARK_BASIC_AUTH: basicAuth,
        OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
        OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
        OTEL_EXPORTER_OTLP_HEADERS: "x-key=ke-y"
      })
      assert.strictEqual(yield* post(`${serving.url}/webhooks/postmark`, "delivered", 1), 200)
      assert.deepInclude(yield* serving.stop("SIGTERM"), { code: 0 })

      assert.sameMembers([...received.keys()], ["/v1/traces", "/v1/metrics", "/v1/logs"])
      assert.include(received.get("/v1/traces"), "Ingestion.receive")
      assert.include(received.get("/v1/traces"), "Telemetry.append")
      assert.include(received.get("/v1/metrics"), "waybill_events_appended_total")
      assert.include(received.get("/v1/logs"), "ready")
      for (const text of received.values()) {
        assert.match(text, /^ke-y /)
        assert.include(text, "\"waybill\"")
        for (const secret of ["@reader.example", "pa-ssword", "mailbox not found", "ke-y\""]) {
          assert.notInclude(text, secret)
        }
      }
    }), 60_000)
})
