/** The feed as server-sent events, over real connections that break. */
import { assert, layer } from "@effect/vitest"
import { Authentication, Closing, Requests } from "@waybill/api"
import { Cursor, Ledger, LedgerError, Tenant, Tokens } from "@waybill/core"
import { Given } from "@waybill/storage/testing"
import { Deferred, Effect, Fiber, Layer, Metric, Option, Redacted } from "effect"
import { request } from "node:http"
import * as Served from "./Served.ts"

interface Followed {
  readonly status: number
  /** The places and the keys of the events that arrived whole. */
  readonly events: ReadonlyArray<{ readonly id: string; readonly key: string }>
  /** Whether the server ended the stream itself. */
  readonly isEnded: boolean
}

const parse = (text: string): Followed["events"] =>
  text.split("\n\n").slice(0, -1).flatMap((block) => {
    const fields = new Map(
      block.split("\n").map((line) => {
        const at = line.indexOf(": ")
        return [line.slice(0, at), line.slice(at + 2)] as const
      })
    )
    const data = fields.get("data")
    return data === undefined ? [] : [{ id: fields.get("id") ?? "", key: JSON.parse(data).idempotencyKey }]
  })

/** Follows until so many bytes arrived or none for a time, and then cuts the connection; or until the server ends it. */
const follow = Effect.fnUntraced(function*(
  token: string,
  after: string | undefined,
  cutAfter = Infinity,
  quietFor = 4000,
  /** Is told how many events have come: none as the stream opens. */
  onCount: (count: number) => void = () => {}
) {
  const url = yield* Served.Url
  return yield* Effect.callback<Followed>((resume) => {
    let text = ""
    const sent = request(`${url}/api/feed/stream`, {
      headers: { authorization: `Bearer ${token}`, ...after !== undefined && { "last-event-id": after } }
    }, (response) => {
      const end = (isEnded: boolean) => {
        sent.destroy()
        resume(Effect.succeed({ status: response.statusCode ?? 0, events: parse(text), isEnded }))
      }
      // Where nothing more comes for a while, all that there is has come.
      let quiet = setTimeout(() => end(false), quietFor)
      onCount(0)
      response.setEncoding("utf8").on("data", (piece: string) => {
        clearTimeout(quiet)
        quiet = setTimeout(() => end(false), quietFor)
        text += piece
        onCount(parse(text).length)
        if (text.length >= cutAfter) {
          text = text.slice(0, cutAfter)
          end(false)
        }
      })
      response.on("end", () => end(true))
      response.on("error", () => end(false))
    })
    sent.on("error", () => {})
    sent.end()
    return Effect.sync(() => sent.destroy())
  })
})

/** Follows in a fiber of its own until the server ends it; returns it as soon as so many events have come. */
const followed = Effect.fnUntraced(function*(token: string, count: number) {
  const seen = yield* Deferred.make<void>()
  const following = yield* Effect.forkChild(follow(token, undefined, Infinity, 30_000, (come) => {
    if (come >= count) Deferred.doneUnsafe(seen, Effect.void)
  }))
  yield* Deferred.await(seen)
  return following
})

/** Opens a stream until the scope closes; it has begun. */
const opened = Effect.fnUntraced(function*(token: string) {
  const url = yield* Served.Url
  const controller = yield* Effect.acquireRelease(
    Effect.sync(() => new AbortController()),
    (controller) => Effect.sync(() => controller.abort())
  )
  const response = yield* Effect.promise(() =>
    fetch(`${url}/api/feed/stream`, { headers: { authorization: `Bearer ${token}` }, signal: controller.signal })
  )
  yield* Effect.promise(() => response.body?.getReader().read() ?? Promise.reject(new Error("no body")))
  return { response }
})

const append = (tenantId: Parameters<Ledger.Ledger["Service"]["append"]>[0], from: number, to: number) =>
  Effect.forEach(
    Array.from({ length: to - from }, (_, index) => `e-${from + index}`),
    (name) => Ledger.Ledger.use((ledger) => ledger.append(tenantId, [Given.report("opened", name)])),
    { discard: true }
  )

for (const [name, storage] of [["in memory", Served.memory], ["on PostgreSQL", Served.postgres]] as const) {
  layer(Served.served(storage), { excludeTestServices: true, timeout: 60_000 })(
    `a stream of the feed ${name}`,
    (it) => {
      it.effect("loses and doubles nothing across connections that are cut anywhere", () =>
        Effect.gen(function*() {
          const tenantId = yield* Given.tenant
          const neighbour = yield* Given.tenant
          const token = yield* Served.token("read", tenantId)
          const writing = yield* Effect.forkChild(Effect.gen(function*() {
            for (let from = 0; from < 300; from += 20) {
              yield* append(tenantId, from, from + 20)
              yield* append(neighbour, from, from + 1)
              yield* Effect.sleep("5 millis")
            }
          }))
          const got: Array<string> = []
          let after: string | undefined
          for (let connection = 0; got.length < 300; connection++) {
            const { events, status } = yield* follow(token, after, 700 + (connection * 7919) % 20_000, 300)
            assert.strictEqual(status, 200)
            got.push(...events.map(({ key }) => key))
            after = events.at(-1)?.id ?? after
          }
          yield* Fiber.join(writing)
          assert.lengthOf(got, 300)
          assert.sameMembers(got, Array.from({ length: 300 }, (_, index) => `opened-e-${index}`))
          const feed = yield* Ledger.Ledger.use((ledger) =>
            ledger.changes({ scope: tenantId, after: Cursor.start, limit: 1000 })
          )
          assert.deepStrictEqual(got, feed.map(({ event }) => event.idempotencyKey))
        }), 60_000)

      it.effect("ends when its token is revoked, and tells nothing that came after", () =>
        Effect.gen(function*() {
          const tokens = yield* Tokens.Tokens
          const tenantId = yield* Given.tenant
          const { text, token } = yield* tokens.create({
            scope: tenantId,
            name: "x",
            role: "read",
            expiresAt: Option.none()
          })
          yield* append(tenantId, 0, 3)
          const following = yield* followed(Redacted.value(text), 3)
          yield* tokens.revoke(tenantId, token.id)
          yield* append(tenantId, 3, 6)
          const { events, isEnded } = yield* Effect.timeout(Fiber.join(following), "5 seconds")
          assert.isTrue(isEnded)
          assert.deepStrictEqual(events.map(({ key }) => key), ["opened-e-0", "opened-e-1", "opened-e-2"])
        }), 60_000)

      it.effect("is refused where the feed does not have the place", () =>
        Effect.gen(function*() {
          const token = yield* Served.token("read", yield* Given.tenant)
          const answer = yield* Served.send("GET", "/api/feed/stream", {
            token,
            headers: { "last-event-id": "99999999999.5" }
          })
          assert.deepStrictEqual([answer.status, answer.body.tag], [409, "CursorAhead"])
        }))

      it.effect("is kept back and stored by nobody on its way, as no answer is", () =>
        Effect.gen(function*() {
          const token = yield* Served.token("read", yield* Given.tenant)
          const { response } = yield* opened(token)
          assert.strictEqual(response.headers.get("cache-control"), "no-cache")
          assert.strictEqual(response.headers.get("x-accel-buffering"), "no")
          for (const path of ["/api/feed", "/api/feed?limit=none"]) {
            assert.strictEqual((yield* Served.send("GET", path, { token })).headers.get("cache-control"), "no-store")
          }
        }).pipe(Effect.scoped), 60_000)

      it.effect("is one of twenty of its caller, and takes no place of others", () =>
        Effect.gen(function*() {
          const tenantId = yield* Given.tenant
          const token = yield* Served.token("read", tenantId)
          yield* Effect.replicateEffect(opened(token), 20)
          const refused = yield* Served.send("GET", "/api/feed/stream", { token })
          assert.deepStrictEqual([refused.status, refused.body.tag], [503, "TooManyStreams"])
          const { response } = yield* opened(yield* Served.token("read", yield* Given.tenant))
          assert.strictEqual(response.status, 200)
        }).pipe(Effect.scoped), 60_000)

      it.effect("ends when the server is about to stop", () =>
        Effect.gen(function*() {
          const token = yield* Served.token("read", yield* Given.tenant)
          const following = yield* followed(token, 0)
          yield* Closing.Closing.use(({ close }) => close)
          const { isEnded } = yield* Effect.timeout(Fiber.join(following), "2 seconds")
          assert.isTrue(isEnded)
        }), 60_000)
    }
  )
}

const changing: { role: Tokens.Role; isAway: boolean } = { role: "read", isAway: false }

layer(
  Served.served(
    Served.memory,
    {},
    Layer.succeed(Authentication.Authentication, {
      authenticate: () =>
        changing.isAway
          ? Effect.fail(new LedgerError.LedgerUnavailable({ reason: "timeout", cause: new Error("ann@example.com") }))
          : Effect.succeedSome({ name: "ann", role: changing.role, scope: Tenant.defaultTenantId })
    })
  ),
  { excludeTestServices: true, timeout: 60_000 }
)("a stream of the feed", (it) => {
  it.effect("ends when its caller may not look any more", () =>
    Effect.gen(function*() {
      const following = yield* followed("any", 0)
      changing.role = "send"
      const { isEnded } = yield* Fiber.join(following)
      changing.role = "read"
      assert.isTrue(isEnded)
    }), 60_000)

  it.effect("that fails is told of and counted, without the words of the database", () =>
    Effect.gen(function*() {
      const before = (yield* Metric.value(Requests.streamsFailed)).count
      const following = yield* followed("any", 0)
      changing.isAway = true
      const { isEnded } = yield* Fiber.join(following)
      changing.isAway = false
      assert.isTrue(isEnded)
      assert.strictEqual((yield* Metric.value(Requests.streamsFailed)).count, before + 1)
    }), 60_000)
})
