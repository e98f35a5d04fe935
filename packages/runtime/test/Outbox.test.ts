import { assert, describe, it } from "@effect/vitest"
import {
  Delivery,
  Event,
  IdempotencyKey,
  Ledger,
  LedgerError,
  Provider,
  Recipient,
  type Suppressions,
  Tenant,
  Unsent
} from "@waybill/core"
import { Metrics, Outbox } from "@waybill/runtime"
import { MemoryStorage, PgMigrations, PgServer, PgStorage } from "@waybill/storage"
import { DateTime, Deferred, Effect, Exit, Fiber, Layer, Metric, Option, Redacted, Ref, Scope } from "effect"
import { SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import * as TestDatabase from "../../storage/test/TestDatabase.ts"

const postmark = Provider.Provider.make("postmark")

const tenantId = Tenant.defaultTenantId

const memory = MemoryStorage.layer.pipe(Layer.provide(SecureRandom.layerWebCrypto))

const recorded = Ledger.Ledger.use((ledger) =>
  Effect.map(
    ledger.record(Delivery.NewDelivery.make({
      recipient: Recipient.Recipient.make("ann@example.com"),
      mailable: "welcome",
      stream: "transactional"
    })),
    ({ delivery }) => delivery
  )
)

const stored = ({ id }: Pick<Delivery.Delivery, "id">) =>
  Ledger.Ledger.use((ledger) =>
    Effect.flatMap(ledger.delivery({ tenantId, deliveryId: id }), (found) => Effect.fromOption(found))
  )

const types = ({ id }: Pick<Delivery.Delivery, "id">) =>
  Ledger.Ledger.use((ledger) =>
    Effect.map(ledger.timeline({ tenantId, deliveryId: id }), (entries) => entries.map(({ event }) => event.type))
  )

const accept = ({ id }: Pick<Delivery.Delivery, "id">) =>
  Effect.succeed({ provider: postmark, providerMessageId: `message-${id}` })

const now: Pick<Outbox.Options, "grace" | "lease"> = { grace: 0, lease: "1 minute" }

describe("an outbox", () => {
  it.effect("sends what is recorded, once, and notes it", () =>
    Effect.gen(function*() {
      const delivery = yield* recorded
      assert.deepStrictEqual(yield* Outbox.round({ ...now, send: accept }), {
        claimed: 1,
        sent: 1,
        failed: 0,
        suppressed: 0
      })
      const sent = yield* stored(delivery)
      assert.deepStrictEqual([sent.status, sent.providerMessageId], [
        "dispatched",
        Option.some(Provider.MessageId.make(`message-${delivery.id}`))
      ])
      yield* TestClock.adjust("1 day")
      assert.deepStrictEqual(yield* Outbox.round({ ...now, send: accept }), {
        claimed: 0,
        sent: 0,
        failed: 0,
        suppressed: 0
      })
    }).pipe(Effect.provide(memory)))

  it.effect("sends nothing to whom a complaint has suppressed since the record, unless it was recorded all the same", () =>
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const recipient = Recipient.Recipient.make("ann@example.com")
      const delivery = yield* recorded
      yield* ledger.append(tenantId, [Event.NewEvent.make({
        type: "complained",
        occurredAt: yield* DateTime.now,
        provider: postmark,
        providerMessageId: Option.some(Provider.MessageId.make("elsewhere")),
        recipient: Option.some({ address: recipient, certain: true }),
        idempotencyKey: IdempotencyKey.IdempotencyKey.make("complaint")
      })])
      yield* ledger.record(
        Delivery.NewDelivery.make({ recipient, mailable: "receipt", stream: "transactional", ignoreSuppression: true })
      )
      const round = Outbox.round({ ...now, send: accept })
      assert.deepStrictEqual(yield* round, { claimed: 2, sent: 1, failed: 0, suppressed: 1 })
      assert.strictEqual((yield* stored(delivery)).status, "suppressed")
      assert.deepStrictEqual(yield* types(delivery), ["queued", "suppressed"])
      yield* TestClock.adjust("1 day")
      assert.strictEqual((yield* round).claimed, 0)
    }).pipe(Effect.provide(memory)))

  it.effect("leaves a delivery to who recorded it for a while", () =>
    Effect.gen(function*() {
      yield* recorded
      const round = Outbox.round({ send: accept })
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual((yield* round).claimed, 0)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* round).sent, 1)
    }).pipe(Effect.provide(memory)))

  it.effect("tries again after a wait, and gives up after bounded attempts", () =>
    Effect.gen(function*() {
      const delivery = yield* recorded
      const seen = yield* Ref.make<ReadonlyArray<number>>([])
      const round = Outbox.round({
        ...now,
        attempts: 3,
        send: (_, attempt) =>
          Effect.andThen(
            Ref.update(seen, (all) => [...all, attempt]),
            Effect.fail(new Outbox.SendFailed({ code: "busy", message: "ann@example.com is busy" }))
          )
      })
      assert.deepStrictEqual(yield* round, { claimed: 1, sent: 0, failed: 1, suppressed: 0 })
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual((yield* round).claimed, 0)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* round).failed, 1)
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual((yield* round).failed, 1)
      yield* TestClock.adjust("1 day")
      assert.strictEqual((yield* round).claimed, 0)
      assert.deepStrictEqual(yield* Ref.get(seen), [1, 2, 3])
      assert.deepStrictEqual(yield* types(delivery), ["queued", "deferred", "deferred", "failed"])
      const { lastError, status } = yield* stored(delivery)
      assert.strictEqual(status, "failed")
      assert.deepStrictEqual(Option.flatMap(lastError, ({ message }) => message), Option.some("[hidden] is busy"))
    }).pipe(Effect.provide(memory)))

  it.effect("gives up at once what another attempt does not help, and tells of a defect by its name alone", () =>
    Effect.gen(function*() {
      const hopeless = yield* recorded
      const final = new Outbox.SendFailed({ code: "no-template", final: true })
      yield* Outbox.round({ ...now, send: () => Effect.fail(final) })
      assert.strictEqual((yield* stored(hopeless)).status, "failed")
      const dead = yield* recorded
      yield* Outbox.round({ ...now, send: () => Effect.die(new TypeError("ann@example.com is undefined")) })
      const { lastError, status } = yield* stored(dead)
      assert.strictEqual(status, "queued")
      const said = Option.map(lastError, ({ code, message }) => [code, message])
      assert.deepStrictEqual(said, Option.some([Option.some("died"), Option.some("TypeError")]))
    }).pipe(Effect.provide(memory)))

  it.effect("counts what is sent, tried again and given up, and says no more of it than the provider", () =>
    Effect.gen(function*() {
      yield* Metrics.registerOutbox
      for (
        const send of [
          accept,
          () => Effect.fail(new Outbox.SendFailed({ code: "busy" })),
          () => Effect.fail(new Outbox.SendFailed({ code: "no-template", final: true }))
        ]
      ) {
        yield* recorded
        yield* Outbox.round({ ...now, send })
      }
      const counted = (yield* Metric.snapshot).flatMap((metric) =>
        metric.type === "Counter" && metric.id.startsWith("waybill_outbox")
          ? [[metric.id, metric.attributes ?? {}, metric.state.count]]
          : []
      )
      assert.sameDeepMembers(counted, [
        ["waybill_outbox_sent_total", {}, 0],
        ["waybill_outbox_sent_total", { provider: "postmark" }, 1],
        ["waybill_outbox_retried_total", {}, 1],
        ["waybill_outbox_failed_total", {}, 1]
      ])
    }).pipe(Effect.provide(memory), Effect.provideService(Metric.MetricRegistry, new Map())))

  it.effect("a send that hangs ends before its claim does", () =>
    Effect.gen(function*() {
      const delivery = yield* recorded
      const begun = yield* Deferred.make<void>()
      const round = Outbox.round({
        ...now,
        send: () => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)
      })
      yield* Effect.all([round, Effect.andThen(Deferred.await(begun), TestClock.adjust("45 seconds"))], {
        concurrency: "unbounded"
      })
      const { lastError } = yield* stored(delivery)
      assert.deepStrictEqual(Option.flatMap(lastError, ({ code }) => code), Option.some("timeout"))
    }).pipe(Effect.provide(memory)))

  it.effect("does not send again what its provider has reported, though nobody noted the send", () =>
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const delivery = yield* recorded
      yield* ledger.append(tenantId, [
        Event.NewEvent.make({
          type: "delivered",
          occurredAt: yield* DateTime.now,
          provider: postmark,
          echoedDeliveryId: Option.some(delivery.id),
          idempotencyKey: IdempotencyKey.IdempotencyKey.make("postmark:1")
        })
      ])
      assert.strictEqual((yield* Outbox.round({ ...now, send: accept })).claimed, 0)
    }).pipe(Effect.provide(memory)))

  it.effect("does not send again what was sent and has a message id that cannot be used", () =>
    Effect.gen(function*() {
      const delivery = yield* recorded
      const send = () => Effect.succeed({ provider: postmark, providerMessageId: "" })
      assert.strictEqual((yield* Outbox.round({ ...now, send })).failed, 1)
      assert.strictEqual((yield* stored(delivery)).status, "failed")
    }).pipe(Effect.provide(memory)))

  it.effect("runs until its scope closes", () =>
    Effect.gen(function*() {
      const deliveries = yield* Effect.replicateEffect(recorded, 5)
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Layer.build(Outbox.layer({ ...now, concurrency: 2, send: accept }))
        yield* TestClock.adjust("1 second")
        yield* TestClock.adjust("1 second")
      }))
      for (const delivery of deliveries) assert.strictEqual((yield* stored(delivery)).status, "dispatched")
    }).pipe(Effect.provide(memory)))

  it.effect("goes on beside a send that hangs, and rests only where nothing waits", () =>
    Effect.gen(function*() {
      const [hanging, ...others] = yield* Effect.replicateEffect(recorded, 6)
      const sent = yield* Ref.make(0)
      const done = yield* Deferred.make<void>()
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Layer.build(Outbox.layer({
          ...now,
          concurrency: 2,
          send: (delivery) =>
            delivery.id === hanging?.id ? Effect.never : Effect.gen(function*() {
              if ((yield* Ref.updateAndGet(sent, (count) => count + 1)) === others.length) {
                yield* Deferred.succeed(done, undefined)
              }
              return yield* accept(delivery)
            })
        }))
        // The clock stands.
        yield* Deferred.await(done)
        yield* Effect.forkChild(Effect.forever(TestClock.adjust("10 seconds")))
      }))
      for (const delivery of others) assert.strictEqual((yield* stored(delivery)).status, "dispatched")
    }).pipe(Effect.provide(memory)))

  it.effect("stopped, it claims nothing more, and notes a send in hand", () =>
    Effect.gen(function*() {
      const delivery = yield* recorded
      const [begun, answered] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const scope = yield* Scope.make()
      const send = (delivery: Delivery.Delivery) =>
        Deferred.succeed(begun, undefined).pipe(
          Effect.andThen(Deferred.await(answered)),
          Effect.andThen(accept(delivery))
        )
      yield* Layer.buildWithScope(Outbox.layer({ ...now, concurrency: 1, send }), scope)
      yield* Deferred.await(begun)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      const late = yield* recorded
      yield* TestClock.adjust("9 seconds")
      yield* Deferred.succeed(answered, undefined)
      yield* Fiber.join(closing)
      assert.deepStrictEqual(yield* types(delivery), ["queued", "dispatched"])
      assert.deepStrictEqual(yield* types(late), ["queued"])
    }).pipe(Effect.provide(memory)))

  it.effect("stopped, it breaks off a send that does not end", () =>
    Effect.gen(function*() {
      const delivery = yield* recorded
      const begun = yield* Deferred.make<void>()
      const scope = yield* Scope.make()
      const send = () => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)
      yield* Layer.buildWithScope(Outbox.layer({ ...now, send }), scope)
      yield* Deferred.await(begun)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(yield* types(delivery), ["queued"])
    }).pipe(Effect.provide(memory)))

  it.effect("notes what it sent when the database is back, as long as its claim lasts", () =>
    Effect.gen(function*() {
      const delivery = yield* recorded
      const ledger = yield* Ledger.Ledger
      const isAway = yield* Ref.make(true)
      const tried = yield* Deferred.make<void>()
      const sends = yield* Ref.make(0)
      const away = Ledger.Ledger.of({
        ...ledger,
        dispatch: (command) =>
          Effect.flatMap(Ref.get(isAway), (isAway) =>
            isAway
              ? Effect.andThen(
                Deferred.succeed(tried, undefined),
                Effect.fail(new LedgerError.LedgerUnavailable({ reason: "timeout", cause: new Error("away") }))
              )
              : ledger.dispatch(command))
      })
      const round = yield* Outbox.round({
        ...now,
        send: (delivery) => Effect.andThen(Ref.update(sends, (count) => count + 1), accept(delivery))
      }).pipe(Effect.provideService(Ledger.Ledger, away), Effect.forkChild)
      yield* Deferred.await(tried)
      yield* TestClock.adjust("45 seconds")
      yield* Ref.set(isAway, false)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* Fiber.join(round), { claimed: 1, sent: 1, failed: 0, suppressed: 0 })
      assert.deepStrictEqual([yield* types(delivery), yield* Ref.get(sends)], [["queued", "dispatched"], 1])
    }).pipe(Effect.provide(memory)))

  it.effect("gives up a delivery whose every attempt ended with its process", () =>
    Effect.gen(function*() {
      const delivery = yield* recorded
      const unsent = yield* Unsent.Unsent
      for (const attempt of [1, 2]) {
        const at = yield* DateTime.now
        const claims = yield* unsent.claim({ scope: "*", limit: 1, dueTo: at, until: DateTime.add(at, { minutes: 1 }) })
        assert.deepStrictEqual(claims.map((claimed) => claimed.attempt), [attempt])
        yield* TestClock.adjust("1 minute")
      }
      const send = () => Effect.die("it is not sent")
      assert.deepStrictEqual(yield* Outbox.round({ ...now, attempts: 2, send }), {
        claimed: 1,
        sent: 0,
        failed: 1,
        suppressed: 0
      })
      const { lastError, status } = yield* stored(delivery)
      assert.strictEqual(status, "failed")
      assert.deepStrictEqual(Option.flatMap(lastError, ({ code }) => code), Option.some("abandoned"))
      yield* TestClock.adjust("1 day")
      assert.strictEqual((yield* Outbox.round({ ...now, attempts: 2, send })).claimed, 0)
    }).pipe(Effect.provide(memory)))
})

/** Runs on a fresh database of a real server. */
const onServer = <A, E>(
  body: (
    url: Redacted.Redacted
  ) => Effect.Effect<A, E, Ledger.Ledger | Suppressions.Suppressions | Unsent.Unsent | SqlClient.SqlClient>
) =>
  Effect.gen(function*() {
    const url = yield* TestDatabase.fresh
    const database = Layer.effectDiscard(PgMigrations.migrate()).pipe(Layer.provideMerge(PgServer.layer(url)))
    return yield* Effect.provide(
      body(url),
      PgStorage.layer().pipe(Layer.provideMerge(database), Layer.provide(SecureRandom.layerWebCrypto))
    )
  })

describe("outboxes on PostgreSQL", () => {
  it.live("two workers send each delivery once", () =>
    onServer(() =>
      Effect.gen(function*() {
        const deliveries = yield* Effect.replicateEffect(recorded, 60)
        const sends = yield* Ref.make<ReadonlyArray<string>>([])
        const worker = Outbox.round({
          ...now,
          concurrency: 5,
          send: (delivery) => Effect.andThen(Ref.update(sends, (all) => [...all, delivery.id]), accept(delivery))
        }).pipe(Effect.repeat({ until: ({ claimed }) => claimed === 0 }))
        yield* Effect.all([worker, worker, worker], { concurrency: "unbounded" })
        assert.sameMembers([...yield* Ref.get(sends)], deliveries.map(({ id }) => id))
        for (const delivery of deliveries) assert.strictEqual((yield* stored(delivery)).status, "dispatched")
      })
    ), 60_000)

  it.live(
    "what a killed process sent and did not note is sent again when its claim ends",
    () =>
      onServer((url) =>
        Effect.gen(function*() {
          const delivery = yield* recorded
          const printed = yield* Effect.callback<string>((resume) => {
            const child = spawn(
              process.execPath,
              ["--conditions=@waybill/source", fileURLToPath(new URL("hangingOutbox.ts", import.meta.url))],
              { env: { WAYBILL_DATABASE_URL: Redacted.value(url) }, stdio: ["ignore", "pipe", "inherit"] }
            )
            child.stdout.setEncoding("utf8").once("data", (text: string) => {
              child.once("exit", () => resume(Effect.succeed(text.trim())))
              child.kill("SIGKILL")
            })
            child.once("error", (error) => resume(Effect.die(error)))
            return Effect.sync(() => child.kill("SIGKILL"))
          })
          assert.strictEqual(printed, delivery.id)
          assert.deepStrictEqual(yield* types(delivery), ["queued"])
          const round = Outbox.round({ ...now, send: accept })
          const rounds = yield* Effect.delay(round, "100 millis").pipe(
            Effect.repeat({ until: ({ claimed }) => claimed > 0, times: 100 })
          )
          assert.deepStrictEqual(rounds, { claimed: 1, sent: 1, failed: 0, suppressed: 0 })
          assert.deepStrictEqual(yield* types(delivery), ["queued", "dispatched"])
        })
      ),
    60_000
  )

  it.live(
    "what a transaction of the app's recorded is sent if it committed, and only then",
    () =>
      onServer(() =>
        Effect.gen(function*() {
          const sql = yield* SqlClient.SqlClient
          yield* Effect.ignore(sql.withTransaction(Effect.andThen(recorded, Effect.fail("refused"))))
          assert.strictEqual((yield* Outbox.round({ ...now, send: accept })).claimed, 0)
          const delivery = yield* sql.withTransaction(recorded)
          assert.deepStrictEqual(yield* Outbox.round({ ...now, send: accept }), {
            claimed: 1,
            sent: 1,
            failed: 0,
            suppressed: 0
          })
          assert.strictEqual((yield* stored(delivery)).status, "dispatched")
        })
      ),
    60_000
  )
})
