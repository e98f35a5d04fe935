import { assert, describe, it } from "@effect/vitest"
import { Inbox, Ledger, LedgerError, Recipient, Tenant } from "@waybill/core"
import {
  Ingestion,
  Postmark,
  Providers,
  type Row,
  SnsCertificates,
  SnsSubscriptions,
  type Webhook
} from "@waybill/webhooks"
import type { Sender } from "@waybill/webhooks/testing"
import { DateTime, Effect, Layer, Option, Redacted } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { connect } from "node:net"
import * as Edge from "./Edge.ts"
import * as Schemes from "./Schemes.ts"
import * as Signing from "./Signing.ts"

const { bytes } = Signing

const only = <A>(items: ReadonlyArray<A>): A => items[0] ?? assert.fail("there is none")

const postmark = (body: string | Uint8Array, fields: Readonly<Record<string, string>> = {}) =>
  Effect.map(Edge.signed("postmark", Edge.report("delivered", 1)), (requests): Webhook.Request => ({
    headers: { ...only(requests).headers, ...fields },
    body: typeof body === "string" ? bytes(body) : body
  }))

const rowOf = (name: string): Row.Row => Option.getOrThrow(Providers.get(name))

/** Sends text as it is, then a piece again and again, and gives what comes back until the connection ends. */
const raw = Effect.fnUntraced(function*(head: string, piece?: { readonly text: string; readonly everyMillis: number }) {
  const port = yield* Edge.port
  return yield* Effect.callback<string>((resume) => {
    let timer: NodeJS.Timeout | undefined
    const socket = connect(port, "127.0.0.1", () => {
      socket.write(head)
      if (piece === undefined) return
      timer = setInterval(() => socket.writable && socket.write(piece.text), piece.everyMillis)
    })
    let text = ""
    socket.setEncoding("latin1").on("data", (chunk: string) => (text += chunk))
    socket.on("error", () => {})
    socket.once("end", () => socket.destroy())
    socket.once("close", () => {
      clearInterval(timer)
      resume(Effect.succeed(text))
    })
    return Effect.sync(() => socket.destroy())
  })
})

const live = <E>(setting: Edge.Setting<E>) => {
  const layer = Edge.layer(setting)
  return (name: string, body: Effect.Effect<unknown, unknown, Layer.Success<typeof layer>>) =>
    it.live(name, () => Effect.provide(body, layer, { local: true }), 30_000)
}

const storages = [["in memory", Edge.memory], ["PostgreSQL", Edge.postgres]] as const

for (const [storage, layer] of storages) {
  describe(`WebhookRoutes (${storage})`, () => {
    const test = live<unknown>({ storage: layer })

    test(
      "take every type of every provider to the ledger, once",
      Effect.gen(function*() {
        for (const [index, { provider, types }] of Signing.senders.entries()) {
          const reports = types.map((type, n) => Edge.report(type, index * 100 + n))
          for (let attempt = 0; attempt < 2; attempt++) {
            for (const { status } of yield* Edge.send(provider, ...reports)) assert.strictEqual(status, 200)
          }
          const found = (yield* Edge.orphans()).filter((event) => Option.contains(event.provider, provider))
          assert.sameMembers(found.map(({ type }) => type), [...types])
          assert.lengthOf(found, types.length)
        }
        assert.isTrue((yield* Edge.statuses()).every((status) => status === "succeeded"))
      })
    )

    test(
      "link a webhook that came before its message was dispatched, without a sweep",
      Effect.gen(function*() {
        const ledger = yield* Ledger.Ledger
        for (const [n, { provider, types }] of Signing.senders.entries()) {
          const { delivery } = yield* Edge.recorded(n)
          const early = (["delivered", "opened"] as const).filter((type) => types.includes(type))
          const replies = yield* Edge.send(provider, ...early.map((type) => Edge.report(type, n)))
          for (const { text } of replies) assert.strictEqual(text, "orphan")
          const { linked } = yield* Edge.dispatched(delivery, provider, n)
          assert.strictEqual(linked, early.length, provider)
          const late = types.includes("complained") ? "complained" : "bounced"
          const [again] = yield* Edge.send(provider, Edge.report(late, n))
          assert.strictEqual(again?.text, "stored")
          const found = Option.getOrThrow(
            yield* ledger.delivery({ tenantId: delivery.tenantId, deliveryId: delivery.id })
          )
          assert.isTrue(found.terminal)
          assert.strictEqual(Option.isSome(found.deliveredAt), early.includes("delivered"))
          assert.strictEqual(Option.isSome(found.openedAt), early.includes("opened"))
          assert.isTrue(Option.isSome(late === "complained" ? found.complainedAt : found.bouncedAt))
        }
        assert.lengthOf(yield* Edge.orphans(), 0)
      })
    )

    test(
      "change nothing by a replay once a recipient is forgotten",
      Effect.gen(function*() {
        const [inbox, ledger, ingestion] = [yield* Inbox.Inbox, yield* Ledger.Ledger, yield* Ingestion.Ingestion]
        const now = yield* DateTime.now
        const sent = Signing.senders.flatMap(({ provider, send, types }, index) =>
          send(types.map((type, n) => Edge.report(type, index * 100 + n, { recipient: "ann@reader.example" })), now)
            .map((request) => [provider, request] as const)
        )
        const anonymous = (fields: object) =>
          Signing.sign(Edge.sender("sendgrid").provider, bytes(JSON.stringify([fields])), now)
        const message = (fields: object) =>
          Signing.sign(Edge.sender("ses").provider, bytes(JSON.stringify(fields)), now)
        const both = ["bob@reader.example", "ann@reader.example"]
        const others = [
          ["sendgrid", anonymous({ event: "unsubscribe", email: "ann@reader.example", timestamp: 1_795_000_000 })],
          ["sendgrid", anonymous({ event: "open", email: "bob@reader.example", ip: "of ann@reader.example" })],
          ["sendgrid", anonymous({ event: "open", email: "bob@reader.example", timestamp: 1_795_000_000 })],
          ["mailgun", Signing.signForm(bytes("event=opened&recipient=ann%40reader.example&Message-Id=%3Ca%3E"), now)],
          ["ses", message({ eventType: "Open", mail: { messageId: "m", destination: both }, open: {} })],
          ["ses", message({ eventType: "Delivery", mail: { messageId: "m" }, delivery: { recipients: both } })]
        ] as const
        for (const [provider, request] of [...sent, ...others]) {
          assert.strictEqual((yield* Edge.post(`/webhooks/${provider}`, request)).text.slice(0, 6), "orphan")
        }
        const known = yield* Edge.orphans()
        const reports = Signing.senders.reduce((sum, { types }) => sum + types.length, 0)
        assert.lengthOf(known, reports + others.length + 1)
        const forgotten = {
          tenantId: Tenant.defaultTenantId,
          recipient: Recipient.Recipient.make("Ann@Reader.example")
        }
        yield* ledger.forget(forgotten)
        assert.strictEqual(yield* inbox.forget(forgotten), sent.length + others.length - 1)
        const counts = { duplicates: 0, ignored: 0 }
        for (const { id } of yield* Edge.webhooks()) {
          const replayed = yield* ingestion.replay(Tenant.defaultTenantId, id)
          assert.deepStrictEqual([replayed.result._tag, replayed.counts.appended, replayed.counts.conflicts], [
            "Succeeded",
            0,
            0
          ])
          counts.duplicates += replayed.counts.duplicates
          counts.ignored += replayed.counts.ignored
        }
        assert.deepStrictEqual(yield* Edge.orphans(), known)
        assert.deepStrictEqual(counts, { duplicates: 3, ignored: known.length - 3 })
      })
    )

    test(
      "refuse a Mailgun token over another body, and take a repeated one once",
      Effect.gen(function*() {
        const request = only(yield* Edge.signed("mailgun", Edge.report("delivered", 1)))
        assert.strictEqual((yield* Edge.post("/webhooks/mailgun", request)).text, "orphan")
        const again = yield* Edge.post("/webhooks/mailgun", request)
        assert.deepStrictEqual([again.status, again.text], [200, "duplicate"])
        const forged = Signing.textOf(request.body).replace("\"delivered\"", "\"complained\"")
        const refused = yield* Edge.post("/webhooks/mailgun", { headers: request.headers, body: bytes(forged) })
        assert.deepStrictEqual([refused.status, refused.text], [406, "refused"])
        assert.deepStrictEqual((yield* Edge.orphans()).map(({ type }) => type), ["delivered"])
        assert.lengthOf(yield* Edge.webhooks(), 1)
      })
    )

    test(
      "keep what is verified and cannot be understood",
      Effect.gen(function*() {
        const inbox = yield* Inbox.Inbox
        for (const body of ["not json", "", "[[[", "\"text\"", "{\"RecordType\":7}", "\u0000\u0001"]) {
          const reply = yield* Edge.post("/webhooks/postmark", yield* postmark(body))
          assert.deepStrictEqual([reply.status, reply.text], [200, "undecodable"])
        }
        const kept = yield* Edge.webhooks()
        assert.lengthOf(kept, 6)
        for (const { id, lastError, status } of kept) {
          assert.strictEqual(status, "failed")
          assert.isTrue(Option.isSome(lastError))
          assert.isTrue(Option.isSome(yield* inbox.get(Tenant.defaultTenantId, id)))
        }
        assert.lengthOf(yield* Edge.orphans(), 0)
      })
    )

    test(
      "take the events of a batch beside an item that cannot be understood",
      Effect.gen(function*() {
        const inbox = yield* Inbox.Inbox
        const reports = [1, 2, 3].map((n) => Edge.report("delivered", n))
        const batch = only(yield* Edge.signed("sendgrid", ...reports)).body
        const [first, ...rest] = JSON.parse(Signing.textOf(batch))
        const spoiled = bytes(JSON.stringify([first, 7, rest[0], { email: "ann@reader.example" }, rest[1]]))
        const { provider } = Edge.sender("sendgrid")
        const reply = yield* Edge.post("/webhooks/sendgrid", Signing.sign(provider, spoiled, yield* DateTime.now))
        assert.deepStrictEqual([reply.status, reply.text], [200, "undecodable"])
        assert.lengthOf(yield* Edge.orphans(), 3)
        const [kept] = yield* inbox.list({ scope: "*", status: Option.some("failed"), limit: 10 })
        assert.deepStrictEqual(
          kept?.lastError,
          Option.some("items not understood: 1 (NotAnObject), 3 (MissingType)")
        )
      })
    )
  })
}

describe("WebhookRoutes", () => {
  const test = live({ storage: Edge.memory })

  test(
    "answer 404 to an unknown provider or tenant, whatever the method",
    Effect.gen(function*() {
      const request = yield* postmark("{}")
      for (
        const path of [
          "/webhooks/nobody",
          "/webhooks/constructor",
          "/webhooks/__proto__",
          "/webhooks/Postmark",
          "/webhooks/%00",
          "/webhooks/%E0%A4%A",
          "/webhooks/",
          "/webhooks/postmark/more",
          "/webhooks/postmark/",
          "//webhooks/postmark",
          "/webhooks//postmark",
          "/webhooks/postmark;x",
          "/webhooks/%70ostmark",
          "/%77ebhooks/postmark",
          "/WEBHOOKS/postmark",
          "/tenants/default/webhooks/postmark/",
          "/tenants//default/webhooks/postmark",
          "/tenants/%64efault/webhooks/postmark",
          "/tenants/default;x/webhooks/postmark",
          "/tenants/nobody/webhooks/postmark",
          "/tenants/constructor/webhooks/postmark",
          "/tenants/*/webhooks/postmark",
          "/tenants/%20/webhooks/postmark",
          `/tenants/${"x".repeat(300)}/webhooks/postmark`
        ]
      ) {
        assert.strictEqual((yield* Edge.post(path, request)).status, 404, path)
      }
      assert.strictEqual((yield* Edge.call("/webhooks/nobody", { method: "GET" })).status, 404)
      assert.lengthOf(yield* Edge.webhooks("*"), 0)
    })
  )

  test(
    "answer 405 to any other method",
    Effect.gen(function*() {
      for (const method of ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
        for (const path of ["/webhooks/postmark", "/tenants/default/webhooks/ses"]) {
          const reply = yield* Edge.call(path, { method })
          assert.strictEqual(reply.status, 405, method)
          assert.strictEqual(reply.headers.get("allow"), "POST")
        }
      }
    })
  )

  test(
    "refuse what was forged, each provider in its own way, and store nothing",
    Effect.gen(function*() {
      for (const { provider } of Signing.senders) {
        const request = only(yield* Edge.signed(provider, Edge.report("delivered", 1)))
        const changed = Signing.textOf(request.body).replace("message-1", "message-2").replace("\"token\":\"", "$&0")
        const forgeries: ReadonlyArray<Webhook.Request> = [
          { headers: {}, body: bytes("") },
          { headers: {}, body: bytes("{}") },
          { headers: { authorization: "Basic eDp5" }, body: bytes("{\"signature\":{}}") },
          { headers: { ...request.headers, authorization: "Basic eDp5" }, body: bytes(changed) }
        ]
        for (const forged of forgeries) {
          const reply = yield* Edge.post(`/webhooks/${provider}`, forged)
          assert.deepStrictEqual([reply.status, reply.text], [rowOf(provider).refusal, "refused"], provider)
        }
      }
    })
  )

  test(
    "take whatever content type is said",
    Effect.gen(function*() {
      let n = 0
      for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "x"]) {
        const request = only(yield* Edge.signed("postmark", Edge.report("delivered", n++)))
        const reply = yield* Edge.post("/webhooks/postmark", {
          ...request,
          headers: { ...request.headers, "content-type": type }
        })
        assert.deepStrictEqual([reply.status, reply.text], [200, "orphan"])
      }
    })
  )

  test(
    "give an event of no type we know, and what is no mail, their own words",
    Effect.gen(function*() {
      const unheard = yield* Edge.send("postmark", Edge.report("suppressed", 1))
      assert.deepStrictEqual(unheard.map(({ status, text }) => [status, text]), [[200, "unknown_type"]])
      const inbound = yield* Edge.post("/webhooks/postmark", yield* postmark("{\"RecordType\":\"Inbound\"}"))
      assert.deepStrictEqual([inbound.status, inbound.text], [200, "not_mail"])
      assert.deepStrictEqual(yield* Edge.statuses(), ["succeeded", "succeeded"])
    })
  )

  test(
    "take what is addressed to a tenant by the path",
    Effect.gen(function*() {
      const request = only(yield* Edge.signed("postmark", Edge.report("delivered", 1)))
      assert.strictEqual((yield* Edge.post("/tenants/default/webhooks/postmark?x=1", request)).status, 200)
      assert.lengthOf(yield* Edge.orphans(Tenant.defaultTenantId), 1)
    })
  )

  test(
    "answer in one word",
    Effect.gen(function*() {
      for (const { provider } of Signing.senders) {
        for (const { headers, text } of yield* Edge.send(provider, Edge.report("bounced", 1))) {
          assert.match(text, /^[a-z_]+$/)
          assert.notInclude(JSON.stringify([...headers]), "reader")
        }
      }
    })
  )
})

describe("WebhookRoutes under limits", () => {
  const test = live({ storage: Edge.memory, routes: { maxBodySize: 1000, bodyTimeout: "300 millis" } })

  const head = (authorization: string, fields: string) =>
    `POST /webhooks/postmark HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\n${fields}\r\n`

  const authorization = Effect.map(postmark(""), ({ headers }) => headers["authorization"] ?? "")

  test(
    "take a body of the largest size and answer 413 to a larger one",
    Effect.gen(function*() {
      const largest = yield* Edge.post("/webhooks/postmark", yield* postmark(`"${"x".repeat(998)}"`))
      assert.deepStrictEqual([largest.status, largest.text], [200, "undecodable"])
      const larger = yield* Edge.post("/webhooks/postmark", yield* postmark(`"${"x".repeat(999)}"`))
      assert.deepStrictEqual([larger.status, larger.text], [413, "too_large"])
      assert.lengthOf(yield* Edge.webhooks(), 1)
    })
  )

  test(
    "answer 413 to an announced length before the body comes",
    Effect.gen(function*() {
      const by = yield* authorization
      const answer = yield* raw(head(by, "Content-Length: 100000000\r\n"))
      assert.match(answer, /^HTTP\/1\.1 413 /)
    })
  )

  live({ storage: Edge.memory, routes: { maxBodySize: "1 GB" } })(
    "answer 413 to a body that no inbox takes, whatever they allow",
    Effect.gen(function*() {
      const by = yield* authorization
      const answer = yield* raw(head(by, `Content-Length: ${Inbox.maxBodyBytes + 1}\r\n`))
      assert.match(answer, /^HTTP\/1\.1 413 /)
    })
  )

  test(
    "stop reading a body of unknown length at the limit",
    Effect.gen(function*() {
      const by = yield* authorization
      const chunk = `200\r\n${"x".repeat(512)}\r\n`
      const answer = yield* raw(head(by, "Transfer-Encoding: chunked\r\n"), { text: chunk, everyMillis: 2 })
      assert.match(answer, /^HTTP\/1\.1 413 /)
      assert.lengthOf(yield* Edge.webhooks(), 0)
    })
  )

  test(
    "cut off a body that does not arrive in time, and serve others meanwhile",
    Effect.gen(function*() {
      const by = yield* authorization
      const began = performance.now()
      const slow = raw(head(by, "Content-Length: 900\r\n"), { text: "x", everyMillis: 50 })
      const [answer] = yield* Effect.all([slow, Edge.send("postmark", Edge.report("delivered", 1))], {
        concurrency: "unbounded"
      })
      assert.isBelow(performance.now() - began, 5000)
      assert.isTrue(answer === "" || answer.startsWith("HTTP/1.1 408 "), answer)
      assert.lengthOf(yield* Edge.webhooks(), 1)
    })
  )

  test(
    "store nothing of a body that breaks off",
    Effect.gen(function*() {
      const by = yield* authorization
      const port = yield* Edge.port
      yield* Effect.callback<void>((resume) => {
        const socket = connect(port, "127.0.0.1", () => {
          socket.write(`${head(by, "Content-Length: 900\r\n")}{"RecordType":`)
          setTimeout(() => socket.destroy(), 50)
        })
        socket.once("close", () => resume(Effect.void))
      })
      const [reply] = yield* Edge.send("postmark", Edge.report("delivered", 1))
      assert.strictEqual(reply?.status, 200)
      assert.lengthOf(yield* Edge.webhooks(), 1)
    })
  )
})

const unavailable = new LedgerError.LedgerUnavailable({ reason: "connection", cause: undefined })

const withInbox = (change: Partial<Inbox.Inbox["Service"]>): Layer.Layer<Edge.Storage> =>
  Layer.effect(Inbox.Inbox, Effect.map(Inbox.Inbox, (inbox) => Inbox.Inbox.of({ ...inbox, ...change }))).pipe(
    Layer.provideMerge(Edge.memory)
  )

const withLedger = (change: Partial<Ledger.Ledger["Service"]>): Layer.Layer<Edge.Storage> =>
  Layer.effect(Ledger.Ledger, Effect.map(Ledger.Ledger, (ledger) => Ledger.Ledger.of({ ...ledger, ...change }))).pipe(
    Layer.provideMerge(Edge.memory)
  )

describe("WebhookRoutes when something is down", () => {
  const answers = (status: 200 | "unavailable", text: string) =>
    Effect.gen(function*() {
      for (const { provider } of Signing.senders) {
        for (const reply of yield* Edge.send(provider, Edge.report("delivered", 1))) {
          assert.deepStrictEqual(
            [reply.status, reply.text],
            [status === 200 ? status : rowOf(provider)[status], text],
            provider
          )
        }
      }
    })

  live({ storage: withInbox({ store: () => Effect.fail(unavailable) }) })(
    "ask for another attempt where a webhook cannot be stored",
    answers("unavailable", "unavailable")
  )

  live({ storage: withInbox({ store: () => Effect.die(new Error("reader@reader.example")) }) })(
    "ask for another attempt where storing dies",
    answers("unavailable", "unavailable")
  )

  live({ storage: withLedger({ append: () => Effect.fail(unavailable) }) })(
    "answer 200 where a webhook is stored and the ledger cannot take it now",
    Effect.gen(function*() {
      yield* answers(200, "stored")
      const found = yield* Edge.webhooks()
      assert.lengthOf(found, Signing.senders.length)
      for (const { attempts, lastError, status } of found) {
        assert.deepStrictEqual([status, attempts], ["failed", 0])
        assert.deepStrictEqual(lastError, Option.some("the database is not available (connection)"))
      }
    })
  )

  live({ storage: withInbox({ finish: () => Effect.die(new Error("gone")) }) })(
    "answer 200 where it cannot be noted how processing ended",
    answers(200, "orphan")
  )

  live({ storage: withLedger({ append: () => Effect.die(new Error("reader@reader.example")) }) })(
    "keep a webhook whose processing dies",
    Effect.gen(function*() {
      yield* answers(200, "undecodable")
      for (const { lastError } of yield* Edge.webhooks()) {
        assert.deepStrictEqual(lastError, Option.some("processing it died"))
      }
    })
  )

  live({ storage: Edge.memory, tenants: { default: { secrets: {} } }, routes: { maxBodySize: 1000 } })(
    "ask for another attempt where we have no secret, so that nothing is dropped, whatever the request is",
    Effect.gen(function*() {
      yield* answers("unavailable", "misconfigured")
      for (const { provider } of Signing.senders) {
        for (const body of ["", "not json", "x".repeat(2000)]) {
          // Whether a provider only tries the address is told by a body, which has a limit.
          if (body.length > 1000 && rowOf(provider).isGreeting !== undefined) continue
          const reply = yield* Edge.post(`/webhooks/${provider}`, { headers: {}, body: bytes(body) })
          assert.deepStrictEqual([reply.status, reply.text], [rowOf(provider).unavailable, "misconfigured"], provider)
        }
      }
    })
  )

  const dropsAt5xx: Row.Row = { ...Postmark.row, unavailable: 429 }

  for (
    const [outcome, setting] of [
      ["unavailable", { storage: withInbox({ store: () => Effect.fail(unavailable) }) }],
      ["misconfigured", { storage: Edge.memory, tenants: { default: { secrets: {} } } }]
    ] as const
  ) {
    live({ ...setting, providers: [dropsAt5xx] })(
      `ask a provider that drops an event at a 5xx for another attempt in its own way: ${outcome}`,
      Effect.gen(function*() {
        const [reply] = yield* Edge.send("postmark", Edge.report("delivered", 1))
        assert.deepStrictEqual([reply?.status, reply?.text], [429, outcome])
      })
    )
  }

  for (const [status, expected] of [[500, [503, "unavailable"]], [404, [401, "refused"]]] as const) {
    const client = Layer.succeed(
      HttpClient.HttpClient,
      HttpClient.make((request) => Effect.succeed(HttpClientResponse.fromWeb(request, new Response("", { status }))))
    )
    live({ storage: Edge.memory, certificates: Layer.provide(SnsCertificates.layer, client) })(
      status === 500
        ? "ask for another attempt where Amazon's certificate cannot be had"
        : "refuse what names a certificate that Amazon does not have",
      Effect.gen(function*() {
        const [reply] = yield* Edge.send("ses", Edge.report("delivered", 1))
        assert.deepStrictEqual([reply?.status, reply?.text], [...expected])
      })
    )
  }
})

describe("WebhookRoutes when Amazon SNS offers a subscription", () => {
  const setting = (confirmSubscriptions: boolean, asked: Array<string>) => ({
    storage: Edge.memory,
    tenants: { default: { ...Edge.secretsOf(Signing.senders), switches: { confirmSubscriptions } } },
    subscriptions: SnsSubscriptions.layer.pipe(Layer.provide(Layer.succeed(
      HttpClient.HttpClient,
      HttpClient.make((request, { hostname }) => {
        asked.push(hostname)
        return Effect.succeed(HttpClientResponse.fromWeb(request, new Response("")))
      })
    )))
  })

  for (const wanted of [true, false]) {
    const asked: Array<string> = []
    live(setting(wanted, asked))(
      wanted ? "confirm it where the tenant has opted in" : "keep it and ask nobody where the tenant has not",
      Effect.gen(function*() {
        const reply = yield* Edge.post("/webhooks/ses", Signing.subscription(yield* DateTime.now))
        assert.deepStrictEqual([reply.status, reply.text], [200, "not_mail"])
        assert.deepStrictEqual(asked, wanted ? ["sns.eu-central-1.amazonaws.com"] : [])
        const [kept] = yield* Edge.webhooks()
        const notice = Edge.logged.filter((entry) => JSON.stringify(entry).includes(kept?.id ?? "no webhook"))
        assert.lengthOf(notice, wanted ? 0 : 1)
        if (!wanted) assert.include(JSON.stringify(notice), "subscription of Amazon SNS not confirmed")
        assert.deepStrictEqual(yield* Edge.statuses(), ["succeeded"])
      })
    )
  }

  const asked: Array<string> = []
  live({ ...setting(true, asked), routes: { resolveTenant: () => Effect.succeed(Option.none()) } })(
    "confirm it for whose secrets verified it, where a resolver finds no mail to tell a tenant by",
    Effect.gen(function*() {
      const reply = yield* Edge.post("/webhooks/ses", Signing.subscription(yield* DateTime.now))
      assert.deepStrictEqual([reply.status, reply.text], [200, "not_mail"])
      assert.deepStrictEqual(asked, ["sns.eu-central-1.amazonaws.com"])
      assert.deepStrictEqual(yield* Edge.statuses(), ["succeeded"])
      const [mail] = yield* Edge.send("ses", Edge.report("delivered", 1))
      assert.deepStrictEqual([mail?.status, mail?.text], [422, "tenant_unresolved"])
    })
  )
})

describe("WebhookRoutes of several tenants", () => {
  const own = (password: string): Sender.Sender =>
    Schemes.withSecret(Postmark.row, Redacted.make(`postmark:${password}`))
  const senders = { acme: own("of-acme"), globex: own("of-globex") }
  const tenants = {
    acme: Edge.secretsOf([senders.acme]),
    globex: Edge.secretsOf([senders.globex])
  }
  const request = (sender: Sender.Sender, n: number) =>
    only(sender.send([Edge.report("delivered", n)], Edge.report("delivered", n).at))

  live({ storage: Edge.memory, tenants })(
    "keep a tenant from writing into another",
    Effect.gen(function*() {
      for (const [name, other] of [["acme", "globex"], ["globex", "acme"]] as const) {
        const good = yield* Edge.post(`/tenants/${name}/webhooks/postmark`, request(senders[name], 1))
        assert.deepStrictEqual([good.status, good.text], [200, "orphan"])
        const bad = yield* Edge.post(`/tenants/${name}/webhooks/postmark`, request(senders[other], 2))
        assert.deepStrictEqual([bad.status, bad.text], [401, "refused"])
        assert.lengthOf(yield* Edge.orphans(Edge.tenant(name)), 1)
        assert.lengthOf(yield* Edge.webhooks(Edge.tenant(name)), 1)
      }
      assert.strictEqual((yield* Edge.post("/webhooks/postmark", request(senders.acme, 3))).status, 404)
      assert.lengthOf(yield* Edge.webhooks("*"), 2)
    })
  )

  const byQuery = {
    tenantId: Edge.tenant("acme"),
    resolveTenant: ({ body, headers, provider, url }) => {
      if (provider !== "postmark" || headers["authorization"] === undefined) return Effect.succeed(Option.none())
      if (url.includes("down")) return Effect.fail("no answer")
      if (url.includes("dies")) throw new Error("reader@reader.example")
      return Effect.succeed(
        Signing.textOf(body).includes("message-7") ? Option.some(Edge.tenant("globex")) : Option.none()
      )
    }
  } satisfies Edge.Setting<never>["routes"]

  live({ storage: Edge.memory, tenants, routes: byQuery })(
    "ask whose a request is once it is verified, and store nothing of nobody's",
    Effect.gen(function*() {
      const forged = yield* Edge.post("/webhooks/postmark", request(senders.globex, 7))
      assert.strictEqual(forged.status, 401)
      const nobodys = yield* Edge.post("/webhooks/postmark", request(senders.acme, 1))
      assert.deepStrictEqual([nobodys.status, nobodys.text], [422, "tenant_unresolved"])
      for (const trouble of ["down", "dies"]) {
        const reply = yield* Edge.post(`/webhooks/postmark?${trouble}`, request(senders.acme, 7))
        assert.deepStrictEqual([reply.status, reply.text], [503, "unavailable"])
      }
      assert.lengthOf(yield* Edge.webhooks("*"), 0)
      const good = yield* Edge.post("/webhooks/postmark", request(senders.acme, 7))
      assert.strictEqual(good.status, 200)
      assert.lengthOf(yield* Edge.orphans(Edge.tenant("globex")), 1)
      assert.lengthOf(yield* Edge.webhooks(Edge.tenant("acme")), 0)
    })
  )
})

for (const [storage, layer] of storages) {
  describe(`WebhookRoutes of several tenants behind one signing key (${storage})`, () => {
    live<unknown>({
      storage: layer,
      routes: {
        resolveTenant: ({ body }) =>
          Effect.succeed(Tenant.TenantId.makeOption(Signing.textOf(body).includes("message-1") ? "acme" : "globex"))
      }
    })(
      "refuse a used Mailgun token over a body that names another tenant",
      Effect.gen(function*() {
        const request = only(yield* Edge.signed("mailgun", Edge.report("delivered", 1)))
        assert.strictEqual((yield* Edge.post("/webhooks/mailgun", request)).status, 200)
        const forged = bytes(Signing.textOf(request.body).replaceAll("message-1", "message-2"))
        const refused = yield* Edge.post("/webhooks/mailgun", { headers: request.headers, body: forged })
        assert.deepStrictEqual([refused.status, refused.text], [406, "refused"])
        assert.lengthOf(yield* Edge.webhooks(Edge.tenant("globex")), 0)
        assert.lengthOf(yield* Edge.orphans(Edge.tenant("globex")), 0)
        assert.strictEqual((yield* Edge.post("/webhooks/mailgun", request)).text, "duplicate")
        assert.lengthOf(yield* Edge.webhooks(Edge.tenant("acme")), 1)
      })
    )
  })
}

describe("WebhookRoutes, after all that", () => {
  it("have logged fixed sentences, and no address or trace, nor a tenant but by its id", () => {
    assert.isNotEmpty(Edge.logged)
    const text = JSON.stringify(Edge.logged, (key, value) => key === "tenant_id" ? undefined : value)
    for (const secret of ["reader", "acme", "globex", "Error", ".ts", "Basic", "message-"]) {
      assert.notInclude(text, secret)
    }
  })
})
