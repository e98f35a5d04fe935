import { assert, describe, it } from "@effect/vitest"
import { Budget } from "@waybill/core"
import { Postmark, type Row } from "@waybill/webhooks"
import { Effect, type Layer, type Scope } from "effect"
import { connect, type Socket } from "node:net"
import * as Edge from "./Edge.ts"
import * as Signing from "./Signing.ts"

describe("The budget of bodies", () => {
  it("has room up to its limit, and again when a lease ends", () => {
    const budget = Budget.make(100)
    const [one, two, three] = [budget.begin(), budget.begin(), budget.begin()]
    assert.isTrue(one.take(60))
    assert.isTrue(two.take(40))
    assert.isFalse(three.take(1))
    one.end()
    one.end()
    assert.isTrue(three.take(60))
    assert.isFalse(three.take(1))
  })

  it("always has room for a body that is alone", () => {
    const budget = Budget.make(100)
    const one = budget.begin()
    assert.isTrue(one.take(90))
    assert.isTrue(one.take(90))
    assert.isFalse(budget.begin().take(0))
    one.end()
    assert.isTrue(budget.begin().take(1000))
  })
})

/** Begins a webhook whose body stays behind, and holds its connection until it is ended; the bytes of its answer. */
const begun = Effect.fnUntraced(function*(provider: string, length: number, sent: number, chunked = false) {
  const port = yield* Edge.port
  const [request] = yield* Edge.signed(provider, Edge.report("delivered", 1))
  const fields = Object.entries(request?.headers ?? {}).map(([name, value]) => `${name}: ${value}\r\n`).join("")
  const size = chunked ? "Transfer-Encoding: chunked" : `Content-Length: ${length}`
  let answer = ""
  const socket = connect(port, "127.0.0.1", () => {
    socket.write(`POST /webhooks/${provider} HTTP/1.1\r\nHost: x\r\n${fields}${size}\r\n\r\n`)
    const body = "x".repeat(sent)
    socket.write(chunked ? `${sent.toString(16)}\r\n${body}\r\n` : body)
  })
  socket.on("error", () => {}).setEncoding("latin1").on("data", (text: string) => (answer += text))
  yield* Effect.addFinalizer(() => Effect.sync(() => socket.destroy()))
  yield* Effect.sleep("150 millis")
  return { socket, answer: () => answer }
})

/** Sends a whole webhook of a length. */
const whole = Effect.fnUntraced(function*(length: number) {
  const [request] = yield* Edge.signed("postmark", Edge.report("delivered", 1))
  const body = Signing.bytes("x".repeat(length))
  const { status, text } = yield* Edge.post("/webhooks/postmark", { headers: { ...request?.headers }, body })
  return [status, text] as const
})

const routes = { maxBodySize: 200_000, maxBodiesInFlight: 200_000, bodyTimeout: "5 seconds" } as const

const live = (
  name: string,
  setting: Partial<Edge.Setting<never>>,
  body: Effect.Effect<unknown, unknown, Layer.Success<ReturnType<typeof Edge.layer<never>>> | Scope.Scope>
) =>
  it.live(
    name,
    () => Effect.scoped(body).pipe(Effect.provide(Edge.layer({ storage: Edge.memory, routes, ...setting }))),
    30_000
  )

const taken = [200, "undecodable"] as const

const refused = [503, "unavailable"] as const

describe("WebhookRoutes within the budget of bodies", () => {
  live(
    "ask for another attempt where a body finds no room, serve small ones meanwhile, and have room again",
    {},
    Effect.gen(function*() {
      const slow = yield* begun("postmark", 150_000, 149_999)
      assert.deepStrictEqual(yield* whole(100_000), refused)
      const chunked = yield* begun("postmark", 0, 100_000, true)
      assert.match(chunked.answer(), /^HTTP\/1\.1 503 /)
      const [small] = yield* Edge.send("postmark", Edge.report("delivered", 2))
      assert.strictEqual(small?.status, 200)
      slow.socket.write("x")
      yield* Effect.sleep("150 millis")
      assert.match(slow.answer(), /^HTTP\/1\.1 200 /)
      assert.deepStrictEqual(yield* whole(190_000), taken)
    })
  )

  live(
    "ask a provider that drops an event at a 5xx for another attempt in its own way",
    { providers: [{ ...Postmark.row, unavailable: 429 } satisfies Row.Row] },
    Effect.gen(function*() {
      yield* begun("postmark", 150_000, 149_999)
      assert.deepStrictEqual(yield* whole(100_000), [429, "unavailable"])
    })
  )

  live(
    "give no room to what is announced and does not come",
    {},
    Effect.gen(function*() {
      for (let n = 0; n < 5; n++) yield* begun("mailgun", 190_000, 0)
      assert.deepStrictEqual(yield* whole(190_000), taken)
    })
  )

  for (
    const [how, setting, end] of [
      ["breaks off", {}, (socket: Socket) => socket.destroy()],
      ["comes too slowly", { routes: { ...routes, bodyTimeout: "300 millis" } }, () => {}],
      ["is refused", {}, (socket: Socket) => socket.write("x")],
      ["is too large", { routes: { ...routes, maxBodySize: 180_000 } }, (socket: Socket) => socket.write("x")]
    ] as const
  ) {
    live(
      `have room again after a body that ${how}`,
      setting,
      Effect.gen(function*() {
        const { socket } = how === "is too large"
          ? yield* begun("postmark", 0, 180_001, true)
          : yield* begun("mailgun", 180_000, 179_999)
        end(socket)
        yield* Effect.sleep("400 millis")
        assert.deepStrictEqual(yield* whole(170_000), taken)
      })
    )
  }
})
