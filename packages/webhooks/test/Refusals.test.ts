import { assert, describe, it } from "@effect/vitest"
import { Attributes, Inbox, InboxRow, LedgerError, Provider, Tenant } from "@waybill/core"
import { Credentials, Ingestion, Metrics, Providers, Refusals, Secrets, type Webhook } from "@waybill/webhooks"
import { Effect, Fiber, Layer, Metric, Option, Schema } from "effect"
import { TestClock } from "effect/testing"
import { connect } from "node:net"
import * as Edge from "./Edge.ts"
import * as Signing from "./Signing.ts"

const Line = Schema.Struct({
  message: Schema.String,
  level: Schema.String,
  annotations: Schema.Record(Schema.String, Schema.Json)
})

const lines = Effect.suspend(() => Schema.decodeUnknownEffect(Schema.Array(Line))(Edge.logged))

/** What is counted of a provider by a reason. */
const counted = (metric: Metric.Counter<number>, provider: string, reason: string) =>
  Effect.map(Metric.value(Metric.withAttributes(metric, { provider, reason })), ({ count }) => count)

interface Expected {
  readonly metric?: Metric.Counter<number>
  readonly provider?: string
  readonly reason: string
  /** Where the log has another than the metric. */
  readonly logged?: string
  readonly level?: string
  readonly message: string
  readonly isAnonymous?: true
}

/** Sees that a request is told of by one line and one count. */
const told = Effect.fnUntraced(function*<E, R>(expected: Expected, effect: Effect.Effect<unknown, E, R>) {
  const { isAnonymous, level = "WARN", message, metric = Metrics.webhooksRefused, provider = "postmark", reason } =
    expected
  const before = yield* counted(metric, provider, reason)
  Edge.logged.length = 0
  yield* effect
  const annotations = {
    provider,
    reason: expected.logged ?? reason,
    ...isAnonymous !== true && { tenant_id: "default" }
  }
  assert.deepStrictEqual(yield* lines, [{ message, level, annotations }], reason)
  assert.strictEqual(yield* counted(metric, provider, reason), before + 1, reason)
})

const post = (request: Partial<Webhook.Request>, provider = "postmark") =>
  Edge.post(`/webhooks/${provider}`, { headers: {}, body: Signing.bytes("{}"), ...request })

const good = Effect.map(
  Edge.signed("postmark", Edge.report("delivered", 1)),
  ([request]): Webhook.Request => request ?? assert.fail("there is none")
)

const postmark = (body: string) => Effect.flatMap(good, ({ headers }) => post({ headers, body: Signing.bytes(body) }))

const authorization = Effect.map(good, ({ headers }) => headers["authorization"] ?? "")

/** Begins a request, and ends its connection after a while. */
const begun = Effect.fnUntraced(function*(millis: number) {
  const [port, by] = [yield* Edge.port, yield* authorization]
  yield* Effect.callback<void>((resume) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.write(
        `POST /webhooks/postmark HTTP/1.1\r\nHost: x\r\nAuthorization: ${by}\r\nContent-Length: 900\r\n\r\n{`
      )
      setTimeout(() => socket.destroy(), millis)
    })
    socket.on("error", () => {}).resume().once("close", () => resume(Effect.void))
  })
  yield* Effect.sleep("100 millis")
})

const live = <E>(setting: Edge.Setting<E>) => {
  const layer = Edge.layer(setting)
  return (name: string, body: Effect.Effect<unknown, unknown, Layer.Success<typeof layer>>) =>
    it.live(name, () => Effect.provide(body, layer, { local: true }), 30_000)
}

const withInbox = (change: Partial<Inbox.Inbox["Service"]>): Layer.Layer<Edge.Storage> =>
  Layer.effect(Inbox.Inbox, Effect.map(Inbox.Inbox, (inbox) => Inbox.Inbox.of({ ...inbox, ...change }))).pipe(
    Layer.provideMerge(Edge.memory)
  )

describe("A webhook that does not come in", () => {
  live({ storage: Edge.memory, routes: { maxBodySize: 1000, bodyTimeout: "300 millis" } })(
    "is told of by one line and one count",
    Effect.gen(function*() {
      const message = "webhook refused"
      yield* told({ reason: "MissingHeader", message }, post({}))
      yield* told({ reason: "MissingHeader", message, provider: "mailgun" }, post({}, "mailgun"))
      yield* told({ reason: "BadSignature", message }, post({ headers: { authorization: "Basic eDp5" } }))
      yield* told({ reason: "MalformedSignature", message }, post({ headers: { authorization: "x" } }))
      yield* told(
        { reason: "MethodNotAllowed", message, isAnonymous: true },
        Edge.call("/webhooks/postmark", { method: "GET" })
      )
      yield* told(
        { reason: "UnknownTenant", message: "webhook of an unknown tenant refused", isAnonymous: true },
        Edge.post("/tenants/ann/webhooks/postmark", { headers: {}, body: Signing.bytes("") })
      )
      yield* told({ reason: "TooLarge", message: "webhook too large" }, postmark("x".repeat(1001)))
      yield* told({ reason: "TooSlow", message: "webhook came too slowly" }, begun(600))
      const [mail] = yield* Edge.signed("mailgun", Edge.report("delivered", 1))
      assert.isDefined(mail)
      yield* post(mail, "mailgun")
      const forged = Signing.bytes(Signing.textOf(mail.body).replace("delivered", "complained"))
      yield* told(
        { reason: "ReplayedToken", message, provider: "mailgun" },
        post({ headers: mail.headers, body: forged }, "mailgun")
      )
    })
  )

  live({ storage: Edge.memory, routes: { maxBodiesInFlight: 900 } })(
    "is told of where it finds no room among the others",
    Effect.gen(function*() {
      const slow = yield* Effect.forkScoped(begun(600))
      yield* Effect.sleep("200 millis")
      yield* told({ reason: "OverBudget", message: "too many webhooks at once" }, postmark("x".repeat(100)))
      yield* Fiber.join(slow)
    }).pipe(Effect.scoped)
  )

  live({ storage: Edge.memory, tenants: { default: { secrets: {} } } })(
    "is told of as our fault where we have no secret",
    told({ reason: "NoSecret", message: "no secret is configured", level: "ERROR" }, postmark("{}"))
  )

  const secrets = Layer.succeed(Secrets.Secrets, {
    lookup: () => Effect.fail(new Credentials.SecretsUnavailable({ cause: "ann@reader.example" }))
  })
  live({ storage: Edge.memory, secrets })(
    "is told of as our fault where the secrets cannot be had",
    told(
      { reason: "SecretsUnavailable", message: "secrets cannot be looked up", level: "ERROR", isAnonymous: true },
      postmark("{}")
    )
  )

  const failures = [
    [new LedgerError.LedgerUnavailable({ reason: "full", cause: "ann@reader.example" }), "full"],
    [new LedgerError.LedgerUnavailable({ reason: "timeout", cause: undefined }), "timeout"],
    [new LedgerError.SchemaNotMigrated({ schema: "waybill" }), "SchemaNotMigrated"]
  ] as const
  for (const [error, logged] of failures) {
    live({ storage: withInbox({ store: () => Effect.fail(error) }) })(
      `names the class of what storage met: ${logged}`,
      told({ reason: "NotStored", logged, message: "webhook not stored", level: "ERROR" }, postmark("{}"))
    )
  }

  live({ storage: withInbox({ store: () => Effect.die(new Error("ann@reader.example")) }) })(
    "is told of where receiving it dies",
    told({ reason: "Died", message: "receiving a webhook died", level: "ERROR" }, postmark("{}"))
  )

  for (
    const [reason, message, level, resolved] of [
      ["NoTenant", "webhook of no tenant refused", "WARN", Effect.succeed(Option.none())],
      ["TenantUnavailable", "a tenant cannot be told", "ERROR", Effect.fail("ann@reader.example")]
    ] as const
  ) {
    live({ storage: Edge.memory, routes: { resolveTenant: () => resolved } })(
      `is told of where its tenant is not: ${reason}`,
      told({ reason, message, level }, postmark("{}"))
    )
  }
})

describe("A webhook that is not understood", () => {
  live({ storage: Edge.memory })(
    "is told of by one line and one count",
    Effect.gen(function*() {
      const metric = Metrics.webhooksUndecodable
      const message = "webhook not understood"
      yield* told({ metric, reason: "NotJson", message }, postmark("not json"))
      yield* told({ metric, reason: "NotAnObject", message }, postmark("7"))
      yield* told(
        { metric, reason: "MissingType", message, provider: "mailgun" },
        Effect.gen(function*() {
          const [mail] = yield* Edge.signed("mailgun", Edge.report("delivered", 1))
          assert.isDefined(mail)
          yield* post(
            { ...mail, body: Signing.bytes(Signing.textOf(mail.body).replace(`"event":`, `"evnt":`)) },
            "mailgun"
          )
        })
      )
      Edge.logged.length = 0
      yield* postmark("{\"RecordType\":\"Inbound\"}")
      assert.deepStrictEqual(yield* lines, [])
    })
  )

  it.effect("is not told of again when it is tried again, but when it is given up", () =>
    Effect.gen(function*() {
      const inbox = yield* Inbox.Inbox
      const ingestion = yield* Ingestion.Ingestion
      yield* inbox.store({
        tenantId: Tenant.defaultTenantId,
        provider: Provider.Provider.make("postmark"),
        headers: {},
        body: Signing.bytes("not json"),
        token: Option.none()
      })
      yield* TestClock.adjust("6 minutes")
      Edge.logged.length = 0
      for (let n = 1; n < InboxRow.maxTries; n++) {
        yield* ingestion.sweep()
        yield* TestClock.adjust("25 hours")
      }
      assert.deepStrictEqual(yield* lines, [{
        message: "webhook given up",
        level: "ERROR",
        annotations: { provider: "postmark", tenant_id: "default" }
      }])
    }).pipe(Effect.provide([Edge.layer({ storage: Edge.memory }), Edge.logger], { local: true })))
})

describe("Every webhook", () => {
  live({ storage: Edge.memory })(
    "is counted once by its outcome, with how long it took",
    Effect.gen(function*() {
      const state = Effect.gen(function*() {
        const of = (outcome: string) =>
          Effect.map(
            Metric.value(Metric.withAttributes(Metrics.webhooks, { provider: "postmark", outcome })),
            ({ count }) => count
          )
        const duration = yield* Metric.value(Metric.withAttributes(Metrics.webhookDuration, { provider: "postmark" }))
        return [...yield* Effect.forEach(Metrics.outcomes, of), duration.count]
      })
      const before = yield* state
      const mail = yield* good
      yield* post(mail)
      yield* post(mail)
      yield* postmark("not json")
      yield* post({ body: mail.body })
      yield* Edge.post("/webhooks/postmark", { headers: {}, body: Signing.bytes("{}") })
      yield* postmark("{\"RecordType\":\"Inbound\"}")
      const after = yield* state
      assert.deepStrictEqual(after.map((count, index) => count - (before[index] ?? 0)), [2, 1, 1, 2, 6])
    })
  )
})

describe("Who watches", () => {
  const told: Array<readonly [provider: string, isRefused: boolean]> = []
  const onAnswered = ({ isRefused, provider }: { readonly provider: string; readonly isRefused: boolean }) =>
    Effect.sync(() => void told.push([provider, isRefused]))

  live({ storage: Edge.memory, routes: { onAnswered } })(
    "is told of what is taken and of bad signatures, and of nothing that anybody may send",
    Effect.gen(function*() {
      const mail = yield* good
      yield* post(mail)
      yield* post({ body: mail.body })
      yield* Edge.post("/tenants/nobody/webhooks/postmark", mail)
      yield* Edge.call("/webhooks/postmark", { method: "GET" })
      yield* postmark("not json")
      assert.deepStrictEqual(told, [["postmark", false], ["postmark", true], ["postmark", false]])
    })
  )
})

describe("The counts", () => {
  it.effect("are there with 0 for each provider and reason before anything is counted", () =>
    Effect.gen(function*() {
      yield* Refusals.register(Providers.all)
      const found = yield* Metric.snapshot
      for (const { name } of Providers.all) {
        for (
          const [id, reason] of [
            ["waybill_webhooks_refused_total", "BadSignature"],
            ["waybill_webhooks_refused_total", "OverBudget"],
            ["waybill_webhooks_undecodable_total", "NotJson"]
          ]
        ) {
          const one = found.find((metric) =>
            metric.id === id && metric.attributes?.["provider"] === name && metric.attributes["reason"] === reason
          )
          assert.deepInclude(one?.state, { count: 0 })
        }
      }
      for (const { attributes, id } of found) {
        if (id === Metrics.webhooks.id) assert.include(Metrics.outcomes, attributes?.["outcome"])
        else assert.include(Attributes.reasons, attributes?.["reason"])
      }
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})
