import { assert, describe, it } from "@effect/vitest"
import { Details, Inbox, Ledger, LedgerError, Orphans, Tenant, Ticks } from "@waybill/core"
import {
  Auditor,
  Backlog,
  DeliveryUpdates,
  Feed,
  Metrics,
  Pruner,
  Reconciler,
  Schedules,
  SpanGuard,
  Telemetry
} from "@waybill/runtime"
import { Given, Importer } from "@waybill/storage/testing"
import {
  Arbitrary,
  Cause,
  Context,
  DateTime,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  Metric,
  Option,
  References,
  Schema,
  Scope,
  Tracer
} from "effect"
import { SecureRandom } from "effect/crypto"
import { HttpClient, HttpClientResponse, HttpRouter, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"

const acme = Tenant.TenantId.make("acme")

const inner = Importer.layerMemory.pipe(
  Layer.provideMerge(SecureRandom.layerWebCrypto)
)

const stores = Layer.provideMerge(Telemetry.layer, inner)

const everything = Layer.mergeAll(Reconciler.layer, Pruner.layer, Auditor.layer, DeliveryUpdates.layer).pipe(
  Layer.provideMerge(stores)
)

/** The metrics, by name and attributes. */
const metrics = Effect.map(Metric.snapshot, (snapshot) =>
  Object.fromEntries(
    snapshot.map(({ attributes, id, state, type }) => {
      const labels = Object.entries(attributes ?? {}).map(([name, value]) => `${name}=${value}`).join(",")
      const value = type === "Counter" || type === "Histogram" ? state.count : type === "Gauge" ? state.value : 0
      return [labels === "" ? id : `${id}{${labels}}`, Number(value)]
    })
  ))

const linkAll = Effect.gen(function*() {
  const orphans = yield* Orphans.Orphans
  const now = yield* DateTime.now
  return yield* orphans.link({ scope: "*", limit: 100, insertedFrom: DateTime.makeUnsafe(0), insertedTo: now })
})

const imported = Effect.fnUntraced(function*(message: string) {
  const importer = yield* Importer.Importer
  yield* importer.importDelivery({
    tenantId: acme,
    id: yield* Given.deliveryId,
    recipient: Given.recipient,
    provider: Given.provider,
    providerMessageId: Given.messageId(message)
  })
})

describe("layer", () => {
  it.effect("counts what is appended, by provider and type", () =>
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      yield* ledger.append(acme, [
        Given.report("delivered", "one"),
        Given.report("delivered", "two"),
        Given.report("opened", "one"),
        Given.report("opened", "one"),
        { ...Given.report("bounced", "one"), idempotencyKey: Given.key("opened-one") }
      ])
      assert.deepStrictEqual(yield* metrics, {
        "waybill_events_appended_total{provider=postmark,event_type=delivered}": 2,
        "waybill_events_appended_total{provider=postmark,event_type=opened}": 1,
        "waybill_events_orphaned_total{provider=postmark,event_type=delivered}": 2,
        "waybill_events_orphaned_total{provider=postmark,event_type=opened}": 1,
        "waybill_events_duplicate_total{provider=postmark,event_type=opened}": 1,
        "waybill_events_conflicting_total{provider=postmark,event_type=bounced}": 1
      })
    }).pipe(Effect.provide(stores), Effect.provideService(Metric.MetricRegistry, new Map())))

  it.effect("counts what a dispatch, a record and a hand link, and what a sweep links with how long it waited", () =>
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const orphans = yield* Orphans.Orphans
      yield* ledger.append(acme, [Given.report("delivered", "one"), Given.report("opened", "two")])
      const delivery = yield* Given.recorded(acme)
      yield* ledger.dispatch(Given.dispatch(delivery, "one"))
      yield* imported("two")
      yield* TestClock.adjust("90 seconds")
      yield* linkAll
      const [lost] = yield* ledger.append(acme, [Given.report("clicked", "three")])
      if (lost !== undefined && !Ledger.isConflict(lost)) {
        yield* orphans.linkTo({
          tenantId: acme,
          eventId: lost.eventId,
          deliveryId: delivery.id,
          expectedVersion: Option.none()
        })
        yield* orphans.linkTo({
          tenantId: acme,
          eventId: lost.eventId,
          deliveryId: delivery.id,
          expectedVersion: Option.none()
        })
      }

      const found = yield* metrics
      assert.strictEqual(found["waybill_orphans_linked_total"], 2)
      assert.strictEqual(found["waybill_orphans_linked_total{event_type=opened}"], 1)
      const histogram = (yield* Metric.snapshot).find(({ id }) => id === Metrics.timeToLink.id)
      assert.deepInclude(histogram?.state, { count: 1, sum: 90, min: 90, max: 90 })
    }).pipe(Effect.provide(stores), Effect.provideService(Metric.MetricRegistry, new Map())))

  it.effect("answers as the ledger it wraps", () =>
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const error = yield* Effect.flip(
        ledger.dispatch(Given.dispatch({ tenantId: acme, id: yield* Given.deliveryId }, "one"))
      )
      assert.strictEqual(error._tag, "DeliveryNotFound")
      assert.deepStrictEqual(yield* linkAll, { scanned: 0, held: 0, links: [], failed: 0 })
    }).pipe(Effect.provide(stores), Effect.provideService(Metric.MetricRegistry, new Map())))
})

describe("measureBacklog", () => {
  it.effect("measures how many wait, how long the oldest has, and how many are past the horizon", () =>
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      yield* ledger.append(acme, [Given.report("delivered", "one")])
      yield* TestClock.adjust("6 days")
      yield* ledger.append(Tenant.defaultTenantId, [Given.report("delivered", "one"), Given.report("delivered", "two")])
      yield* TestClock.adjust("2 days")
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(Backlog.layer(), scope)
      yield* TestClock.adjust("1 minutes")
      const measured = yield* metrics
      assert.strictEqual(measured["waybill_orphans_pending"], 3)
      assert.strictEqual(measured["waybill_orphans_expired"], 1)
      assert.strictEqual(measured["waybill_orphans_oldest_age_seconds"], 8 * 86_400 + 60)

      yield* imported("one")
      yield* linkAll
      yield* TestClock.adjust("1 minutes")
      assert.strictEqual((yield* metrics)["waybill_orphans_pending"], 2)
      assert.strictEqual((yield* metrics)["waybill_orphans_oldest_age_seconds"], 2 * 86_400 + 120)
      yield* Scope.close(scope, Exit.void)
    }).pipe(Effect.provide(stores), Effect.provideService(Metric.MetricRegistry, new Map())))

  it.effect("measures nothing as nothing", () =>
    Effect.gen(function*() {
      yield* Backlog.measure()
      assert.deepStrictEqual(yield* metrics, {
        waybill_orphans_pending: 0,
        waybill_orphans_expired: 0,
        waybill_orphans_oldest_age_seconds: 0
      })
    }).pipe(Effect.provide(stores), Effect.provideService(Metric.MetricRegistry, new Map())))
})

describe("measureInbox", () => {
  it.effect("counts what is not in the ledger, of all tenants, and not what is", () =>
    Effect.gen(function*() {
      const inbox = yield* Inbox.Inbox
      const endings = [
        { _tag: "Dead", reason: "no" },
        { _tag: "Dead", reason: "no" },
        { _tag: "Failed", reason: "no" },
        { _tag: "Succeeded" },
        undefined
      ] as const
      for (const tenantId of [acme, Tenant.defaultTenantId]) {
        for (const ending of endings) {
          const { id } = yield* inbox.store({
            tenantId,
            provider: Given.provider,
            headers: {},
            body: new Uint8Array(),
            token: Option.none()
          })
          if (ending !== undefined) yield* inbox.finish({ tenantId, id }, ending)
        }
      }
      const measured: Array<Backlog.Unfinished> = []
      const scope = yield* Scope.make()
      const onMeasured = (found: Backlog.Unfinished) => Effect.sync(() => void measured.push(found))
      yield* Layer.buildWithScope(Backlog.layerInbox({ onMeasured }), scope)
      yield* TestClock.adjust("1 minutes")
      assert.deepStrictEqual(yield* metrics, {
        "waybill_webhooks_unfinished{status=received}": 0,
        "waybill_webhooks_unfinished{status=processing}": 2,
        "waybill_webhooks_unfinished{status=failed}": 2,
        "waybill_webhooks_unfinished{status=dead}": 4
      })
      assert.deepStrictEqual(measured.at(-1), { received: 0, processing: 2, failed: 2, dead: 4 })
      assert.isAtLeast(measured.length, 2)
      yield* Scope.close(scope, Exit.void)
    }).pipe(Effect.provide(stores), Effect.provideService(Metric.MetricRegistry, new Map())))
})

/** Keeps all that would leave the process: logs, spans as an exporter sends them, and metrics. */
const watched = Effect.fnUntraced(function*<A, E, R>(self: Effect.Effect<A, E, R>) {
  const seen: Array<string> = []
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span(options) {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  const exit = yield* Effect.exit(self).pipe(
    Effect.provide(Logger.layer([Logger.map(Logger.formatJson, (line) => seen.push(line))])),
    Effect.provideService(References.MinimumLogLevel, "Trace"),
    Effect.provide(Layer.provide(SpanGuard.layer, Layer.succeed(Tracer.Tracer, tracer)))
  )
  for (const { attributes, events, name, status } of spans) {
    seen.push(JSON.stringify([name, ...attributes, events]))
    if (status._tag === "Ended" && Exit.isFailure(status.exit)) seen.push(Cause.pretty(status.exit.cause))
  }
  const snapshot = yield* Metric.snapshot
  seen.push(...snapshot.map(({ attributes, description, id }) => JSON.stringify([id, description, attributes])))
  return { exit, seen: seen.join("\n"), names: new Set(spans.map(({ name }) => name)) }
})

const letters = (length: number) =>
  Arbitrary.schema(Schema.String.check(Schema.isPattern(new RegExp(`^[a-z]{${length}}$`))))

/** Text that must never show: nothing else in the output is spelt like it. */
const secrets = Arbitrary.map(
  Arbitrary.all({ local: letters(12), domain: letters(12), subject: letters(14), body: letters(14) }),
  ({ body, domain, local, subject }) => ({
    address: `zq${local}@zq${domain}.example`,
    subject: `zq${subject}`,
    body: `zq${body}`
  })
)

/** Goes every way through ledger, reconciler, feed, schedules, pruner and auditor with an address, a subject and a body. */
const everyPath = Effect.fnUntraced(function*(secret: { address: string; subject: string; body: string }) {
  const { address, body, subject } = secret
  const ledger = yield* Ledger.Ledger
  const orphans = yield* Orphans.Orphans
  const reconciler = yield* Reconciler.Reconciler
  const inbox = yield* Inbox.Inbox
  const ticks = yield* Ticks.Ticks
  const auditor = yield* Auditor.Auditor
  const text = `${address} ${subject} ${body}`
  const bag = { [subject]: text, to: [address] }
  const reported = (type: "delivered" | "bounced" | "opened", message: string) =>
    Given.report(type, `${message}.${address}`, {
      recipient: Given.named(address, true),
      providerEventId: Option.some(text),
      traceId: Option.some(subject),
      normalizedPayload: bag,
      metadata: bag,
      details: Details.make({ response: text, url: `https://${address}/`, otherRecipient: address, metadata: bag }),
      idempotencyKey: Given.key(`${type}.${message}.${address}`)
    })
  const broken = Effect.andThen(Effect.fail({ _tag: text, message: text }), Effect.void)

  const recorded = yield* ledger.record(Given.delivery(acme, {
    recipient: Given.address(address),
    mailable: subject,
    metadata: bag,
    idempotencyKey: Option.some(Given.key(address))
  }))
  yield* Effect.exit(ledger.record(Given.delivery(acme, {
    id: Option.some(recorded.delivery.id),
    recipient: Given.address(`other.${address}`),
    mailable: body
  })))
  yield* ledger.append(acme, [reported("delivered", "one"), reported("opened", "two"), reported("bounced", "three")])
  yield* ledger.append(acme, [reported("delivered", "one"), {
    ...reported("bounced", "one"),
    idempotencyKey: reported("opened", "two").idempotencyKey
  }])
  yield* Effect.exit(
    ledger.append(acme, [{ ...reported("opened", "nul"), providerEventId: Option.some(`${text}\u0000`) }])
  )
  yield* ledger.dispatch(Given.dispatch(recorded.delivery, `one.${address}`))
  yield* Effect.exit(ledger.dispatch(Given.dispatch(recorded.delivery, `four.${address}`)))
  yield* imported(`two.${address}`)
  const addressed = Tenant.TenantId.make(address)
  const addressedDelivery = yield* Given.recorded(addressed)
  yield* ledger.append(addressed, [reported("opened", "one")])
  yield* ledger.dispatch(Given.dispatch(addressedDelivery, `one.${address}`))
  const notFound = new LedgerError.DeliveryNotFound({ tenantId: addressed })

  const scope = yield* Scope.make()
  yield* Layer.buildWithScope(
    Layer.mergeAll(
      Reconciler.layerCron({ cron: "* * * * *" }),
      Pruner.layerCron({ cron: "* * * * *" }),
      Backlog.layer(),
      Schedules.layer({ schedule: "broken", cron: "* * * * *" }, () => Effect.die(new TypeError(text))),
      Schedules.layer({ schedule: "addressed", cron: "* * * * *" }, () => Effect.fail(notFound)),
      Schedules.layer({ schedule: "refused", cron: "* * * * *" }, () => Effect.andThen(broken, Effect.succeed({}))),
      Feed.layerConsumer({ name: "broken", handle: () => broken }),
      Feed.layerConsumer({ name: "dying", handle: () => Effect.die(text) })
    ),
    scope
  )
  const consumer = yield* Effect.forkChild(
    DeliveryUpdates.consume({ name: "updates", batchSize: 2, handle: () => Effect.void })
  )
  yield* TestClock.adjust("3 minutes")
  yield* Fiber.interrupt(consumer)
  yield* Scope.close(scope, Exit.void)

  yield* Reconciler.recordedSweep()
  yield* Effect.exit(Schedules.runNow({ schedule: "by hand" }, () => broken.pipe(Effect.as({}))))
  yield* Effect.exit(Schedules.runNow({ schedule: text }, () => Effect.succeed({})))
  yield* Effect.exit(
    Effect.scoped(Layer.build(Schedules.layer({ schedule: "x", cron: text }, () => Effect.succeed({}))))
  )
  yield* Feed.lag({ consumer: "updates" })
  yield* auditor.verify()
  yield* auditor.rebuild()
  for (const { id, tenantId } of yield* reconciler.findOrphans()) {
    yield* Effect.exit(reconciler.attemptLink({ tenantId, id }))
    yield* orphans.explain({ tenantId, eventId: id })
    yield* orphans.retry({ tenantId, eventId: id })
    yield* orphans.dismiss({ tenantId, eventId: id })
  }
  const stored = yield* inbox.store({
    tenantId: acme,
    provider: Given.provider,
    headers: { subject },
    body: new TextEncoder().encode(text),
    token: Option.some({ value: body, verifiedBy: acme })
  })
  yield* inbox.finish({ tenantId: acme, id: stored.id }, { _tag: "Dead", reason: text })
  yield* TestClock.adjust("100 days")
  yield* Pruner.recordedPrune()
  yield* ledger.forget({ tenantId: acme, recipient: Given.address(address) })
  const notes = yield* ticks.recent({ schedule: Option.none(), limit: 1000 })
  return JSON.stringify(notes)
})

describe("privacy", () => {
  it.effect.prop(
    "no address, subject or body reaches logs, spans, metrics or the history of ticks",
    [secrets],
    ([secret]) =>
      Effect.gen(function*() {
        const { exit, names, seen } = yield* watched(everyPath(secret))
        const history = yield* exit
        for (const text of [secret.subject, secret.body, ...secret.address.split("@"), "@zq"]) {
          assert.notInclude(seen, text)
          assert.notInclude(history, text)
        }
        for (
          const name of ["Telemetry.append", "Reconciler.sweep", "Feed.handle", "Pruner.prune", "Schedules.runTick"]
        ) {
          assert.isTrue(names.has(name), name)
        }
        assert.include(seen, "scheduled run failed")
        assert.include(seen, "feed consumer failed")
        assert.include(seen, "waybill_events_appended_total")
      }).pipe(Effect.provide(Layer.fresh(everything)), Effect.provideService(Metric.MetricRegistry, new Map())),
    60_000
  )
})

describe("layerGuard", () => {
  it.effect("lets no more of a failure into a span than its kind", () =>
    Effect.gen(function*() {
      const failing = Effect.all([
        Effect.withSpan(Effect.fail(new TypeError("ann@example.com")), "plain"),
        Effect.withSpan(Effect.die("ann@example.com"), "dying"),
        Effect.withSpan(
          Effect.fail(new LedgerError.LedgerUnavailable({ reason: "timeout", cause: new Error("ann@example.com") })),
          "port"
        )
      ], { mode: "result" })
      const { seen } = yield* watched(Effect.exit(failing))
      assert.notInclude(seen, "ann@example.com")
    }))

  it.effect("lets no more of a failure into a span where an interruption came with it", () =>
    Effect.gen(function*() {
      const mixed = Effect.failCause(
        Cause.combine(Cause.interrupt(), Cause.fail(new TypeError("ann@example.com")))
      )
      const { seen } = yield* watched(Effect.exit(Effect.withSpan(mixed, "mixed")))
      assert.include(seen, "unexpected TypeError")
      assert.notInclude(seen, "ann@example.com")
    }))

  it.effect("lets nothing into a span of what a request holds, served or made", () =>
    Effect.gen(function*() {
      const { dispose, handler } = HttpRouter.toWebHandler(
        HttpRouter.add("GET", "/unsubscribe/:token", Effect.succeed(HttpServerResponse.empty())),
        { disableLogger: true }
      )
      yield* Effect.addFinalizer(() => Effect.promise(dispose))
      const secret = "zqsecret"
      const url = `http://127.0.0.1/unsubscribe/${secret}?token=${secret}&recipient=${secret}`
      const headers = { "x-webhook-token": secret }
      const client = HttpClient.make((request) =>
        Effect.succeed(HttpClientResponse.fromWeb(request, new Response(null, { status: 204 })))
      )
      const made = client.get(url, { headers })
      const served = Effect.gen(function*() {
        const context = Context.make(Tracer.Tracer, yield* Tracer.Tracer)
        yield* Effect.promise(() => handler(new Request(url, { headers }), context))
      })
      for (const request of [made, served]) {
        const { names, seen } = yield* watched(request)
        assert.strictEqual(names.size, 1)
        assert.include(seen, "http.response.status_code")
        assert.notInclude(seen, secret)
      }
      const silent = yield* watched(Effect.provide(made, SpanGuard.layerNoHttp))
      assert.strictEqual(silent.names.size, 0)
    }))
})
