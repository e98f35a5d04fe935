import { assert, describe, it } from "@effect/vitest"
import { Postmark } from "@waybill/webhooks"
import { Senders } from "@waybill/webhooks/testing"
import { DateTime, Effect, Fiber, Option, Redacted, Schema } from "effect"
import { readFileSync } from "node:fs"
import { connect } from "node:net"
import * as Proxy from "../../storage/test/Proxy.ts"
import * as Serving from "./Serving.ts"
import * as Waybill from "./Waybill.ts"

const basicAuth = "postmark:pa-ssword"

const memory = {
  WAYBILL_DATABASE_URL: "memory:",
  WAYBILL_POSTMARK_BASIC_AUTH: basicAuth,
  WAYBILL_MAILGUN_SIGNING_KEY: "key"
}

/** A connection of a client's own, on which requests are written as they are. */
const connected = Effect.fnUntraced(function*(url: string) {
  const { hostname, port } = new URL(url)
  let text = ""
  let isClosed = false
  const socket = yield* Effect.acquireRelease(
    Effect.callback<ReturnType<typeof connect>>((resume) => {
      const socket = connect(Number(port), hostname, () => resume(Effect.succeed(socket)))
      socket.on("error", () => {})
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )
  socket.setEncoding("latin1").on("data", (chunk: string) => (text += chunk))
  socket.on("end", () => (isClosed = true)).on("close", () => (isClosed = true))
  const get = Effect.fnUntraced(function*(path: string) {
    text = ""
    socket.write(`GET ${path} HTTP/1.1\r\nHost: here\r\n\r\n`)
    yield* Serving.eventually(Effect.sync(() => assert.match(text, /\r\n\r\n/)), "5 seconds")
    return text
  })
  return { socket, get, isClosed: () => isClosed }
})

const statusOf = (answer: string): number => Number(/^HTTP\/1\.1 (\d+) /.exec(answer)?.[1])

const decodeReady = Schema.decodeEffect(
  Schema.fromJsonString(Schema.Struct({ annotations: Schema.Struct({ admin: Schema.String }) }))
)

const spellings = (path: string) => [
  `/${path}`,
  path.toUpperCase(),
  `${path}/`,
  `${path};x`,
  `${path}%20`,
  path.replace(/^\/(.)/, (_, letter: string) => `/%${letter.charCodeAt(0).toString(16)}`),
  `/.${path}`,
  `/x/..${path}`,
  `${path}#x`
]

describe("the paths of serve", () => {
  it.live("count only as they are written", () =>
    Effect.gen(function*() {
      const serving = yield* Serving.start(memory)
      for (const path of ["/metrics", "/healthz", "/readyz"]) {
        for (const spelling of spellings(path)) {
          const client = yield* connected(serving.url)
          assert.strictEqual(statusOf(yield* client.get(spelling)), 404, spelling)
        }
        const client = yield* connected(serving.url)
        for (const exact of [path, `${path}?x=1`]) assert.strictEqual(statusOf(yield* client.get(exact)), 200, exact)
      }
      for (const spelling of spellings("/webhooks/postmark")) {
        const client = yield* connected(serving.url)
        assert.strictEqual(statusOf(yield* client.get(spelling)), 404, spelling)
      }
    }).pipe(Effect.scoped), 60_000)

  it.live(
    "of probes and metrics are served at an address of their own where one is set, and nowhere else",
    () =>
      Effect.gen(function*() {
        const serving = yield* Serving.start({ ...memory, WAYBILL_ADMIN_PORT: "0" })
        const [line = ""] = serving.stderr().split("\n")
        const { annotations: { admin } } = yield* decodeReady(line)
        for (const path of ["/metrics", "/healthz", "/readyz"]) {
          assert.strictEqual((yield* serving.get(path)).status, 404, path)
          assert.strictEqual((yield* Serving.get(`${admin}${path}`)).status, 200, path)
        }
        const post = (url: string) => Effect.promise(async () => (await fetch(url, { method: "POST" })).status)
        assert.strictEqual(yield* post(`${serving.url}/webhooks/postmark`), 401)
        assert.strictEqual(yield* post(`${admin}/webhooks/postmark`), 404)
        assert.include((yield* Serving.get(`${admin}/metrics`)).text, "waybill_webhooks_refused_total")
        const stopped = yield* serving.stop("SIGTERM")
        assert.deepInclude(stopped, { code: 0, signal: null })
        assert.isBelow(stopped.millis, 3000)
      }),
    60_000
  )

  it.live("of probes and metrics are refused an address that is taken", () =>
    Effect.gen(function*() {
      const serving = yield* Serving.start(memory)
      const { port } = new URL(serving.url)
      const env = { ...memory, WAYBILL_ADMIN_HOST: "127.0.0.1", WAYBILL_ADMIN_PORT: port }
      const { code, stderr } = yield* Waybill.run(["serve", "--port", "0"], env)
      assert.strictEqual(code, 1)
      assert.strictEqual(stderr, `waybill: cannot listen on 127.0.0.1 port ${port}: the port is in use\n`)
    }), 60_000)
})

describe("idle connections", () => {
  it.live(
    "are kept for longer than a minute by default, and closed at once when the server stops",
    () =>
      Effect.gen(function*() {
        const serving = yield* Serving.start(memory)
        const [used, unused] = [yield* connected(serving.url), yield* connected(serving.url)]
        assert.match(yield* used.get("/healthz"), /\r\nKeep-Alive: timeout=75\r\n/)
        // Longer than node keeps them.
        yield* Effect.sleep("7 seconds")
        assert.strictEqual(statusOf(yield* used.get("/healthz")), 200)
        assert.isFalse(unused.isClosed())
        const stopped = yield* serving.stop("SIGTERM")
        assert.deepInclude(stopped, { code: 0, signal: null })
        assert.isBelow(stopped.millis, 2000)
      }).pipe(Effect.scoped),
    60_000
  )

  it.live("are kept as long as is set", () =>
    Effect.gen(function*() {
      const serving = yield* Serving.start({ ...memory, WAYBILL_KEEP_ALIVE: "3s" })
      const client = yield* connected(serving.url)
      assert.match(yield* client.get("/healthz"), /\r\nKeep-Alive: timeout=3\r\n/)
      yield* Effect.sleep("2500 millis")
      assert.strictEqual(statusOf(yield* client.get("/healthz")), 200)
      yield* Serving.eventually(Effect.sync(() => assert.isTrue(client.isClosed())), "8 seconds")
    }).pipe(Effect.scoped), 60_000)

  it.live("do not hold up the end where they become idle while the server stops", () =>
    Effect.gen(function*() {
      const serving = yield* Serving.start(memory)
      const client = yield* connected(serving.url)
      const by = Buffer.from(basicAuth).toString("base64")
      client.socket.write(
        `POST /webhooks/postmark HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ${by}\r\nContent-Length: 2\r\n\r\n{`
      )
      yield* Effect.sleep("200 millis")
      const stopping = yield* Effect.forkScoped(serving.stop("SIGTERM"))
      yield* Effect.sleep("500 millis")
      client.socket.write("}")
      const stopped = yield* Fiber.join(stopping)
      assert.deepInclude(stopped, { code: 0, signal: null })
      assert.isBelow(stopped.millis, 2500)
    }).pipe(Effect.scoped), 60_000)
})

/** The most memory that a process has had, in MB. */
const peakOf = (pid: number | undefined): number =>
  Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024

describe("many large bodies at once", () => {
  it.live("take no more memory than is allowed, and webhooks pass meanwhile", () =>
    Effect.gen(function*() {
      const serving = yield* Serving.start({ ...memory, WAYBILL_MAX_BODIES_IN_FLIGHT: "30 MB" })
      const before = peakOf(serving.child.pid)
      const body = new Uint8Array(9_000_000).fill(120)
      const statuses: Array<number> = []
      const post = (provider: string) =>
        Effect.promise(async () => {
          try {
            const { status } = await fetch(`${serving.url}/webhooks/${provider}`, { method: "POST", body })
            statuses.push(status)
          } catch {
            // An answer that comes before the body has been sent may end its connection.
            statuses.push(0)
          }
        })
      const flood = yield* Effect.forEach(
        [...Array<string>(60).fill("postmark"), ...Array<string>(30).fill("mailgun")],
        post,
        { concurrency: "unbounded", discard: true }
      ).pipe(Effect.forkScoped)
      const sender = Option.getOrThrow(Senders.withSecret(Postmark.row, Redacted.make(basicAuth)))
      for (let n = 0; n < 20; n++) {
        const at = yield* DateTime.now
        const [request] = sender.send([{
          type: "delivered",
          messageId: `message-${n}`,
          recipient: `reader-${n}@reader.example`,
          at,
          eventId: `e-${n}`
        }], at)
        const { status } = yield* Effect.promise(() =>
          fetch(`${serving.url}/webhooks/postmark`, {
            method: "POST",
            headers: { ...request?.headers },
            body: new Uint8Array(request?.body ?? [])
          })
        )
        assert.include([200, 503], status)
        if (n === 0) assert.strictEqual(status, 200)
      }
      yield* Fiber.join(flood)
      const grown = peakOf(serving.child.pid) - before
      assert.lengthOf(statuses, 90)
      for (const status of statuses) assert.include([0, 401, 406, 503], status)
      assert.isBelow(grown, 200)
    }).pipe(Effect.scoped), 90_000)
})

describe("stopping with a silent database", () => {
  it.live("takes less than ten seconds", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      const proxy = yield* Proxy.start(Number(new URL(env.WAYBILL_DATABASE_URL).port))
      const serving = yield* Serving.start({
        ...env,
        WAYBILL_DATABASE_URL: proxy.through(env.WAYBILL_DATABASE_URL),
        WAYBILL_POSTMARK_BASIC_AUTH: basicAuth,
        WAYBILL_RECONCILE_CRON: "* * * * * *",
        WAYBILL_INBOX_CRON: "* * * * * *"
      })
      assert.strictEqual((yield* serving.get("/readyz")).status, 200)
      proxy.treat("silent", "silent")
      yield* Effect.sleep("2 seconds")
      const client = yield* connected(serving.url)
      const by = Buffer.from(basicAuth).toString("base64")
      client.socket.write(
        `POST /webhooks/postmark HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ${by}\r\nContent-Length: 2\r\n\r\n{}`
      )
      yield* Effect.sleep("500 millis")
      const stopped = yield* serving.stop("SIGTERM")
      assert.deepInclude(stopped, { code: 0, signal: null })
      // Ten seconds are promised, on a busy machine too.
      assert.isBelow(stopped.millis, 8500)
    }).pipe(Effect.scoped), 90_000)
})
