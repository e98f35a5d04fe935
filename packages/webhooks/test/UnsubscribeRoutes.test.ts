import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Delivery, Event, Ledger, LedgerError, Recipient, Suppressions, Tenant } from "@waybill/core"
import { Metrics, Unsubscribe, UnsubscribeRoutes } from "@waybill/webhooks"
import { Effect, Layer, Metric, Option, Redacted, Result, Schema } from "effect"
import { HttpRouter } from "effect/http"
import { createHash } from "node:crypto"
import { createServer } from "node:http"
import * as Edge from "./Edge.ts"

const key = (id: string): Unsubscribe.Key => ({ id, secret: Redacted.make(id.repeat(32)) })

const keys = Result.getOrThrow(Unsubscribe.keys([key("b"), key("a")]))

const old = Result.getOrThrow(Unsubscribe.keys([key("z")]))

const served = <E, R>(storage: Layer.Layer<Edge.Storage, E, R>) =>
  HttpRouter.serve(UnsubscribeRoutes.layer(keys), { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" })),
    Layer.provideMerge(storage),
    Layer.provide(Edge.logger)
  )

const storages = [["in memory", served(Edge.memory)], ["PostgreSQL", served(Edge.postgres)]] as const

const oneClick = "List-Unsubscribe=One-Click"

const form = { "content-type": "application/x-www-form-urlencoded" }

const post = (token: string, body: RequestInit["body"] = oneClick, headers: Record<string, string> = form) =>
  Edge.call(`/unsubscribe/${token}`, { method: "POST", headers, body: body ?? null, redirect: "manual" })

const record = (fields: Partial<Parameters<typeof Delivery.NewDelivery.make>[0]> = {}) =>
  Effect.map(
    Ledger.Ledger.use((ledger) =>
      ledger.record(
        Delivery.NewDelivery.make({
          recipient: Recipient.Recipient.make("ann@reader.example"),
          mailable: "news",
          stream: "bulk",
          ...fields
        })
      )
    ),
    ({ delivery: { id, tenantId } }) => ({ deliveryId: id, tenantId })
  )

const unsubscribed = Effect.fnUntraced(function*(delivery: Ledger.DeliveryKey) {
  const timeline = yield* Ledger.Ledger.use((ledger) => ledger.timeline(delivery))
  return timeline.map(({ event }) => event).filter(({ type }) => type === "unsubscribed")
})

const Line = Schema.Struct({ message: Schema.String, annotations: Schema.Record(Schema.String, Schema.Json) })

const refusals = Effect.suspend(() => Schema.decodeUnknownEffect(Schema.Array(Line))(Edge.logged))

const counted = (reason: string) =>
  Effect.map(
    Metric.value(Metric.withAttributes(Metrics.webhooksRefused, { provider: "waybill", reason })),
    ({ count }) => count
  )

for (const [storage, layer] of storages) {
  describe(`UnsubscribeRoutes (${storage})`, () => {
    const test = <E>(name: string, body: Effect.Effect<void, E, Layer.Success<typeof layer>>) =>
      it.live(name, () => Effect.provide(body, layer, { local: true }), 30_000)

    test(
      "append one event, which meets its delivery, by one click",
      Effect.gen(function*() {
        const delivery = yield* record()
        const reply = yield* post(Unsubscribe.token(keys, delivery))
        assert.strictEqual(reply.status, 200)
        assert.include(reply.text, "You are unsubscribed")
        const [event, ...others] = yield* unsubscribed(delivery)
        assert.lengthOf(others, 0)
        assert.deepStrictEqual(event?.provider, Option.some(Unsubscribe.reporter))
        assert.deepStrictEqual(event?.normalizedPayload, { event: "unsubscribe", subtype: "one-click" })
        const found = yield* Ledger.Ledger.use((ledger) => ledger.delivery(delivery))
        assert.isTrue(Option.isSome(Option.getOrThrow(found).unsubscribedAt))
      })
    )

    test(
      "append one event however often and however many at once it comes",
      Effect.gen(function*() {
        const delivery = yield* record()
        const token = Unsubscribe.token(keys, delivery)
        const replies = yield* Effect.forEach(Array.from({ length: 20 }), () => post(token), { concurrency: 20 })
        for (const { status } of replies) assert.strictEqual(status, 200)
        for (let again = 0; again < 3; again++) assert.strictEqual((yield* post(token)).status, 200)
        assert.lengthOf(yield* unsubscribed(delivery), 1)
      })
    )

    test(
      "say that nothing was done where the address was forgotten since, and not where its delivery is to come",
      Effect.gen(function*() {
        const recipient = Recipient.Recipient.make("bob@reader.example")
        const delivery = yield* record({ recipient })
        const token = Unsubscribe.token(keys, delivery)
        assert.strictEqual((yield* post(token)).status, 200)
        yield* Ledger.Ledger.use((ledger) => ledger.forget({ tenantId: delivery.tenantId, recipient }))
        const reply = yield* post(token)
        assert.strictEqual(reply.status, 410)
        assert.notInclude(reply.text, "You are unsubscribed")
        const early = Unsubscribe.token(keys, {
          tenantId: delivery.tenantId,
          deliveryId: Event.DeliveryId.make("01890a5d-ac96-774b-bcce-b302099a8057")
        })
        for (let times = 0; times < 2; times++) assert.strictEqual((yield* post(early)).status, 200)
      })
    )

    test(
      "take the form in both encodings, and the button of the page",
      Effect.gen(function*() {
        const [first, second] = [yield* record(), yield* record()]
        const multipart = new FormData()
        multipart.set("List-Unsubscribe", "One-Click")
        assert.strictEqual((yield* post(Unsubscribe.token(keys, first), multipart, {})).status, 200)
        assert.lengthOf(yield* unsubscribed(first), 1)
        const page = yield* Edge.call(`/unsubscribe/${Unsubscribe.token(keys, second)}`, {})
        const fields = [...page.text.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)">/g)]
        const pressed = new URLSearchParams(fields.map(([, name = "", value = ""]): [string, string] => [name, value]))
        assert.strictEqual((yield* post(Unsubscribe.token(keys, second), pressed.toString())).status, 200)
        assert.deepStrictEqual((yield* unsubscribed(second))[0]?.normalizedPayload["subtype"], "page")
      })
    )

    test(
      "suppress again who has subscribed since, by an act",
      Effect.gen(function*() {
        const suppressions = yield* Suppressions.Suppressions
        const delivery = yield* record()
        const token = Unsubscribe.token(keys, delivery)
        const recipient = Recipient.Recipient.make("ann@reader.example")
        const { tenantId } = delivery
        const held = Effect.map(
          suppressions.check({ tenantId, recipients: [recipient], stream: Option.some("bulk") }),
          (found) => found.map(({ reason }) => reason)
        )
        for (let times = 0; times < 2; times++) yield* post(token)
        assert.deepStrictEqual(yield* held, ["unsubscribed"])
        yield* suppressions.lift({
          tenantId,
          recipient,
          reason: "unsubscribed",
          stream: Option.none(),
          actor: "ann",
          because: Option.none()
        })
        assert.deepStrictEqual(yield* held, [])
        for (let times = 0; times < 2; times++) yield* post(token)
        assert.deepStrictEqual(yield* held, ["unsubscribed"])
        assert.lengthOf(yield* unsubscribed(delivery), 1)
        const history = yield* suppressions.history({ tenantId, recipient, limit: 10 })
        assert.deepStrictEqual(
          history.map(({ act }) => Option.getOrNull(Option.flatMap(act, ({ actor }) => actor))),
          ["recipient", "ann", null]
        )
      })
    )

    test(
      "wait for a delivery that is recorded later",
      Effect.gen(function*() {
        const deliveryId = Event.DeliveryId.make("01890a5d-ac96-774b-bcce-b302099a8057")
        const early = { tenantId: Tenant.defaultTenantId, deliveryId }
        for (let times = 0; times < 2; times++) {
          assert.strictEqual((yield* post(Unsubscribe.token(keys, early))).status, 200)
        }
        assert.lengthOf(yield* unsubscribed(early), 0)
        yield* record({ id: Option.some(deliveryId) })
        assert.lengthOf(yield* unsubscribed(early), 1)
      })
    )

    test(
      "touch only the delivery and the tenant that the token names",
      Effect.gen(function*() {
        const deliveryId = Event.DeliveryId.make("01890a5d-ac96-774b-bcce-b302099a8058")
        const acme = yield* record({ id: Option.some(deliveryId), tenantId: Edge.tenant("acme") })
        const own = yield* record({ id: Option.some(deliveryId) })
        yield* post(Unsubscribe.token(keys, acme))
        assert.lengthOf(yield* unsubscribed(acme), 1)
        assert.lengthOf(yield* unsubscribed(own), 0)
      })
    )

    test(
      "change nothing by GET and HEAD, and show a page that needs and loads nothing",
      Effect.gen(function*() {
        const delivery = yield* record()
        const path = `/unsubscribe/${Unsubscribe.token(keys, delivery)}`
        const page = yield* Edge.call(`${path}?utm_source=mail`, {})
        assert.strictEqual(page.status, 200)
        assert.include(page.text, "<button type=\"submit\">Unsubscribe</button>")
        assert.notMatch(page.text, /<script|<img|<link|https?:|url\(|ann@|\son\w+=/i)
        const head = yield* Edge.call(path, { method: "HEAD" })
        assert.deepStrictEqual([head.status, head.text], [200, ""])
        const style = /<style>([^]*)<\/style>/.exec(page.text)?.[1] ?? assert.fail("there is no style")
        const hash = createHash("sha256").update(style).digest("base64")
        for (const { headers } of [page, head]) {
          assert.strictEqual(
            headers.get("content-security-policy"),
            `default-src 'none'; style-src 'sha256-${hash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`
          )
          assert.strictEqual(headers.get("referrer-policy"), "no-referrer")
          assert.strictEqual(headers.get("cache-control"), "no-store")
          assert.isNull(headers.get("set-cookie"))
        }
        assert.lengthOf(yield* unsubscribed(delivery), 0)
      })
    )

    test(
      "answer a token that is not good with one page, tell of it and count it",
      Effect.gen(function*() {
        const delivery = yield* record()
        const token = Unsubscribe.token(keys, delivery)
        const wrong = [
          "",
          "x",
          `${token}x`,
          token.slice(0, -1),
          token.replace(/^b/, "a"),
          Unsubscribe.token(old, delivery),
          `${token}/`,
          `%62${token.slice(1)}`,
          "a".repeat(2000)
        ]
        const before = yield* counted("BadToken")
        Edge.logged.length = 0
        for (const token of wrong) {
          const [posted, page] = [yield* post(token), yield* Edge.call(`/unsubscribe/${token}`, {})]
          assert.deepStrictEqual([posted.status, page.status], [404, 404], token)
          assert.strictEqual(posted.text, page.text)
          assert.include(page.text, "This link does not work")
        }
        assert.strictEqual(yield* counted("BadToken"), before + wrong.length * 2)
        assert.deepStrictEqual((yield* refusals).slice(0, 1), [{
          message: "link to unsubscribe refused",
          annotations: { provider: "waybill", reason: "BadToken" }
        }])
        assert.lengthOf(yield* unsubscribed(delivery), 0)
      })
    )

    test(
      "refuse other forms, other methods and what is too large",
      Effect.gen(function*() {
        const delivery = yield* record()
        const token = Unsubscribe.token(keys, delivery)
        for (const body of ["", "List-Unsubscribe=One-click", "a=1", "{}", "List-Unsubscribe"]) {
          assert.strictEqual((yield* post(token, body)).status, 400, body)
        }
        assert.strictEqual((yield* post(token, `${oneClick}&x=${"a".repeat(5000)}`)).status, 413)
        const put = yield* Edge.call(`/unsubscribe/${token}`, { method: "PUT", body: oneClick })
        assert.deepStrictEqual([put.status, put.headers.get("allow")], [405, "GET, HEAD, POST"])
        assert.lengthOf(yield* unsubscribed(delivery), 0)
      })
    )
  })
}

describe("UnsubscribeRoutes (storage that is down)", () => {
  const down = Effect.fail(new LedgerError.LedgerUnavailable({ reason: "connection", cause: "down" }))
  const broken = Layer.effect(
    Ledger.Ledger,
    Effect.map(Ledger.Ledger, (ledger) => Ledger.Ledger.of({ ...ledger, append: () => down }))
  ).pipe(Layer.provideMerge(Edge.memory))

  it.live("asks to try again", () =>
    Effect.gen(function*() {
      const reply = yield* post(Unsubscribe.token(keys, yield* record()))
      assert.deepStrictEqual([reply.status, reply.headers.get("retry-after")], [503, "60"])
      assert.include(reply.text, "<button type=\"submit\">Try again</button>")
      assert.isAbove(yield* counted("NotStored"), 0)
    }).pipe(Effect.provide(served(broken), { local: true })), 30_000)
})
