import { assert, describe, it } from "@effect/vitest"
import { Checkpoints, Cursor, DeliveryUpdate, Ledger, LedgerError, Orphans, Tenant } from "@waybill/core"
import { DeliveryUpdates, Feed, Metrics } from "@waybill/runtime"
import { Given, Importer } from "@waybill/storage/testing"
import { DateTime, Duration, Effect, Exit, Fiber, Layer, Logger, Metric, Option, Queue, Scope, Stream } from "effect"
import { SecureRandom } from "effect/crypto"
import { TestClock } from "effect/testing"

const acme = Tenant.TenantId.make("acme")
const globex = Tenant.TenantId.make("globex")

const stores = Importer.layerMemory.pipe(
  Layer.provideMerge(SecureRandom.layerWebCrypto)
)

const everything = Layer.provideMerge(DeliveryUpdates.layer, stores)

/** Appends a report on a message of its own and gives the event's id. */
const report = Effect.fnUntraced(function*(n: number, tenantId: Tenant.TenantId = acme) {
  const ledger = yield* Ledger.Ledger
  const [outcome] = yield* ledger.append(tenantId, [Given.report("delivered", `message-${n}`)])
  if (outcome === undefined || Ledger.isConflict(outcome)) return assert.fail("the report was not appended")
  return outcome.eventId
})

const reports = (from: number, to: number, tenantId: Tenant.TenantId = acme) =>
  Effect.forEach(Array.from({ length: to - from + 1 }, (_, n) => from + n), (n) => report(n, tenantId))

const messageOf = ({ event }: Ledger.Change): number =>
  Number(Option.getOrElse(event.providerMessageId, () => "message-0").slice("message-".length))

/** A consumer that collects the numbers of the messages it is given, a list for each batch. */
const collecting = (seen: Array<ReadonlyArray<number>>, options: Partial<Feed.ConsumerOptions> = {}) =>
  Feed.consume({
    name: "collector",
    handle: (changes) =>
      Effect.sync(() => {
        seen.push(changes.map(messageOf))
      }),
    ...options
  })

const fork = Effect.forkChild({ startImmediately: true })

describe("stream", () => {
  it.effect("gives what is there and what is to come, in the order of the feed", () =>
    Effect.gen(function*() {
      yield* reports(1, 5)
      const following = yield* Feed.stream({ batchSize: 2 }).pipe(
        Stream.map(messageOf),
        Stream.take(7),
        Stream.runCollect,
        fork
      )
      yield* TestClock.adjust("1 minutes")
      yield* reports(6, 7)
      yield* TestClock.adjust("1 seconds")
      assert.deepStrictEqual(yield* Fiber.join(following), [1, 2, 3, 4, 5, 6, 7])
    }).pipe(Effect.provide(everything)))

  it.effect("begins after the place it is given", () =>
    Effect.gen(function*() {
      yield* reports(1, 4)
      const [, second] = yield* Feed.stream().pipe(Stream.take(2), Stream.runCollect)
      const rest = yield* Feed.stream(second === undefined ? {} : { after: second.cursor }).pipe(
        Stream.take(2),
        Stream.map(messageOf),
        Stream.runCollect
      )
      assert.deepStrictEqual(rest, [3, 4])
    }).pipe(Effect.provide(everything)))

  it.effect("keeps to one tenant where it is named", () =>
    Effect.gen(function*() {
      yield* report(1, acme)
      yield* report(2, globex)
      yield* report(3, acme)
      const seen = yield* Feed.stream({ scope: acme }).pipe(Stream.take(2), Stream.map(messageOf), Stream.runCollect)
      assert.deepStrictEqual(seen, [1, 3])
    }).pipe(Effect.provide(everything)))

  it.effect("is woken before its time, also while it reads", () =>
    Effect.gen(function*() {
      const wakes = yield* Queue.unbounded<void>()
      const following = yield* Feed.stream({ pollEvery: "1 hours", wake: Stream.fromQueue(wakes) }).pipe(
        Stream.take(1),
        Stream.runCollect,
        fork
      )
      yield* TestClock.adjust("1 minutes")
      yield* report(1)
      yield* Queue.offer(wakes, undefined)
      assert.lengthOf(yield* Fiber.join(following), 1)
    }).pipe(Effect.provide(everything)))

  it.effect("polls on when what wakes it fails", () =>
    Effect.gen(function*() {
      const following = yield* Feed.stream({ pollEvery: "1 minutes", wake: Stream.fail("gone") }).pipe(
        Stream.take(1),
        Stream.runCollect,
        fork
      )
      yield* TestClock.adjust("30 seconds")
      yield* report(1)
      yield* TestClock.adjust("30 seconds")
      assert.lengthOf(yield* Fiber.join(following), 1)
    }).pipe(Effect.provide(everything), Effect.provide(Logger.layer([]))))

  it.effect("refuses what means nothing", () =>
    Effect.gen(function*() {
      for (const options of [{ pollEvery: 0 }, { batchSize: 0 }]) {
        const error = yield* Effect.flip(Stream.runDrain(Feed.stream(options)))
        assert.strictEqual(error._tag, "InvalidInput")
      }
    }).pipe(Effect.provide(everything)))
})

describe("consume", () => {
  it.effect("handles every event, batch by batch", () =>
    Effect.gen(function*() {
      const seen: Array<ReadonlyArray<number>> = []
      yield* reports(1, 5)
      yield* fork(collecting(seen, { batchSize: 2 }))
      yield* TestClock.adjust("1 seconds")
      assert.deepStrictEqual(seen, [[1, 2], [3, 4], [5]])
    }).pipe(Effect.provide(everything)))

  it.effect("goes on where it stopped", () =>
    Effect.gen(function*() {
      const seen: Array<ReadonlyArray<number>> = []
      yield* reports(1, 3)
      const first = yield* fork(collecting(seen))
      yield* TestClock.adjust("1 seconds")
      yield* Fiber.interrupt(first)
      yield* reports(4, 5)
      yield* fork(collecting(seen))
      yield* TestClock.adjust("1 seconds")
      assert.deepStrictEqual(seen, [[1, 2, 3], [4, 5]])
    }).pipe(Effect.provide(everything)))

  it.effect("keeps the places of consumers apart", () =>
    Effect.gen(function*() {
      const one: Array<ReadonlyArray<number>> = []
      const other: Array<ReadonlyArray<number>> = []
      yield* reports(1, 2)
      yield* fork(collecting(one))
      yield* TestClock.adjust("1 seconds")
      yield* fork(collecting(other, { name: "other" }))
      yield* TestClock.adjust("1 seconds")
      assert.deepStrictEqual(other, one)
    }).pipe(Effect.provide(everything)))

  it.effect("is given again what it failed to handle, and nothing before", () =>
    Effect.gen(function*() {
      const seen: Array<ReadonlyArray<number>> = []
      yield* reports(1, 4)
      let isBroken = true
      const handle = (changes: ReadonlyArray<Ledger.Change>) =>
        Effect.suspend(() => {
          seen.push(changes.map(messageOf))
          if (changes.map(messageOf).includes(3) && isBroken) {
            isBroken = false
            return Effect.fail("broken")
          }
          return Effect.void
        })
      const error = yield* Effect.flip(Feed.consume({ name: "collector", batchSize: 2, handle }))
      assert.strictEqual(error, "broken")
      yield* fork(Feed.consume({ name: "collector", batchSize: 2, handle }))
      yield* TestClock.adjust("1 seconds")
      assert.deepStrictEqual(seen, [[1, 2], [3, 4], [3, 4]])
    }).pipe(Effect.provide(everything)))

  it.effect("is given again what it was handling when it was stopped", () =>
    Effect.gen(function*() {
      const seen: Array<ReadonlyArray<number>> = []
      yield* reports(1, 2)
      const slow = yield* fork(
        Feed.consume({ name: "collector", handle: () => Effect.sleep("1 hours") })
      )
      yield* TestClock.adjust("1 minutes")
      yield* Fiber.interrupt(slow)
      yield* fork(collecting(seen))
      yield* TestClock.adjust("1 seconds")
      assert.deepStrictEqual(seen, [[1, 2]])
    }).pipe(Effect.provide(everything)))

  it.effect("keeps no place that it has not reached, when keeping it fails", () =>
    Effect.gen(function*() {
      const seen: Array<ReadonlyArray<number>> = []
      const checkpoints = yield* Checkpoints.Checkpoints
      yield* reports(1, 2)
      const failing = Checkpoints.Checkpoints.of({
        ...checkpoints,
        save: () => Effect.fail(new LedgerError.LedgerUnavailable({ reason: "connection", cause: "gone" }))
      })
      const error = yield* Effect.flip(
        collecting(seen).pipe(Effect.provideService(Checkpoints.Checkpoints, failing))
      )
      assert.strictEqual(error._tag, "LedgerUnavailable")
      yield* fork(collecting(seen))
      yield* TestClock.adjust("1 seconds")
      assert.deepStrictEqual(seen, [[1, 2], [1, 2]])
    }).pipe(Effect.provide(everything)))
})

describe("a position ahead of the database", () => {
  const ahead = Cursor.of(99n, 99n)

  it.effect("fails the stream, the consumer and its lag, and nothing is handled", () =>
    Effect.gen(function*() {
      const seen: Array<ReadonlyArray<number>> = []
      const checkpoints = yield* Checkpoints.Checkpoints
      yield* reports(1, 2)
      yield* checkpoints.save("collector", ahead)
      for (
        const reading of [
          Stream.runDrain(Feed.stream({ after: ahead })),
          collecting(seen),
          Feed.lag({ consumer: "collector" })
        ]
      ) {
        const error = yield* Effect.flip(Effect.asVoid(reading))
        assert.strictEqual(error._tag, "CursorAhead")
      }
      assert.deepStrictEqual(seen, [])
      assert.strictEqual(yield* checkpoints.load("collector").pipe(Effect.map(Option.getOrNull)), ahead)
      yield* checkpoints.reset("collector", { _tag: "Start" })
      yield* fork(collecting(seen))
      yield* TestClock.adjust("1 seconds")
      assert.deepStrictEqual(seen, [[1, 2]])
    }).pipe(Effect.provide(everything)))

  it.effect("is logged by a consumer in one line, until another position is chosen", () =>
    Effect.gen(function*() {
      const seen: Array<number> = []
      const logged: Array<string> = []
      const checkpoints = yield* Checkpoints.Checkpoints
      yield* report(1)
      yield* checkpoints.save("collector", ahead)
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(
        Feed.layerConsumer({
          name: "collector",
          handle: (changes) => Effect.sync(() => seen.push(...changes.map(messageOf)))
        }),
        scope
      ).pipe(Effect.provide(Logger.layer([Logger.map(Logger.formatJson, (line) => logged.push(line))])))
      yield* TestClock.adjust("1 seconds")
      assert.lengthOf(logged, 1)
      assert.include(logged[0], "CursorAhead: the cursor is ahead of its database")
      assert.include(logged[0], "waybill feed reset")
      yield* checkpoints.reset("collector", { _tag: "Start" })
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(seen, [1])
      yield* Scope.close(scope, Exit.void)
    }).pipe(Effect.provide(everything)))
})

describe("layerConsumer", () => {
  it.effect("begins again after a failure, until its scope is closed", () =>
    Effect.gen(function*() {
      const seen: Array<number> = []
      let runs = 0
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(
        Feed.layerConsumer({
          name: "collector",
          handle: (changes) =>
            Effect.suspend(() => {
              runs++
              if (runs < 3) return Effect.fail("ann@example.com")
              seen.push(...changes.map(messageOf))
              return Effect.void
            })
        }),
        scope
      ).pipe(Effect.provide(Logger.layer([])))
      yield* report(1)
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(seen, [1])
      yield* Scope.close(scope, Exit.void)
      yield* report(2)
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(seen, [1])
    }).pipe(Effect.provide(everything)))

  it.effect("fails to build where its name means nothing", () =>
    Effect.gen(function*() {
      const layer = Feed.layerConsumer({ name: "ann@example.com", handle: () => Effect.void })
      assert.strictEqual((yield* Effect.flip(Effect.scoped(Layer.build(layer))))._tag, "InvalidInput")
    }).pipe(Effect.provide(everything)))
})

describe("lag", () => {
  it.effect("is the age of the oldest event not handled, and nothing when all are", () =>
    Effect.gen(function*() {
      const lag = Effect.map(Feed.lag({ consumer: "collector" }), Duration.toSeconds)
      assert.strictEqual(yield* lag, 0)
      yield* report(1)
      yield* TestClock.adjust("10 seconds")
      yield* report(2)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* lag, 15)
      const gauge = (yield* Metric.snapshot).find(({ id }) => id === Metrics.feedLag.id)
      assert.deepStrictEqual([gauge?.attributes, gauge?.state], [{ consumer: "collector" }, { value: 15 }])

      yield* fork(collecting([]))
      yield* TestClock.adjust("1 seconds")
      assert.strictEqual(yield* lag, 0)
    }).pipe(Effect.provide(everything), Effect.provideService(Metric.MetricRegistry, new Map())))
})

const comparable = (updates: ReadonlyArray<DeliveryUpdate.DeliveryUpdate>) =>
  updates.map(({ cause, deliveryId, eventId, tenantId, type }) =>
    `${tenantId} ${deliveryId} ${eventId} ${type} ${cause}`
  )

/** A life with a race: an orphan linked by a dispatch, one by a sweep, an event appended to its delivery, and a duplicate. */
const live = Effect.gen(function*() {
  const ledger = yield* Ledger.Ledger
  const orphans = yield* Orphans.Orphans
  const importer = yield* Importer.Importer
  yield* report(1)
  const delivery = yield* Given.recorded(acme)
  yield* ledger.dispatch(Given.dispatch(delivery, "message-1"))
  yield* ledger.append(acme, [Given.report("opened", "message-1"), Given.report("delivered", "message-1")])
  yield* report(2, globex)
  yield* importer.importDelivery({
    tenantId: globex,
    id: yield* Given.deliveryId,
    recipient: Given.recipient,
    provider: Given.provider,
    providerMessageId: Given.messageId("message-2")
  })
  yield* TestClock.adjust("2 minutes")
  yield* orphans.link({ scope: "*", limit: 10, insertedFrom: DateTime.makeUnsafe(0), insertedTo: Given.noon })
  return delivery
})

describe("DeliveryUpdates", () => {
  it.effect("tells in process what was appended and linked, with the event's own type", () =>
    Effect.gen(function*() {
      const updates = yield* DeliveryUpdates.DeliveryUpdates
      const all = yield* fork(Stream.runCollect(Stream.take(updates.all, 5)))
      const own = yield* fork(Stream.runCollect(Stream.take(updates.ofTenant(globex), 1)))
      yield* live

      assert.deepStrictEqual((yield* Fiber.join(all)).map(({ cause, type }) => [type, cause]), [
        ["queued", "append"],
        ["dispatched", "append"],
        ["delivered", "reconciled"],
        ["opened", "append"],
        ["delivered", "reconciled"]
      ])
      assert.deepStrictEqual((yield* Fiber.join(own)).map(({ tenantId }) => tenantId), [globex])
    }).pipe(Effect.provide(everything)))

  it.effect("tells of one delivery", () =>
    Effect.gen(function*() {
      const updates = yield* DeliveryUpdates.DeliveryUpdates
      const ledger = yield* Ledger.Ledger
      const [first, second] = [yield* Given.recorded(acme), yield* Given.recorded(acme)]
      const own = yield* fork(
        Stream.runCollect(Stream.take(updates.ofDelivery({ tenantId: acme, deliveryId: second.id }), 1))
      )
      yield* ledger.dispatch(Given.dispatch(first, "message-1"))
      yield* ledger.dispatch(Given.dispatch(second, "message-2"))
      assert.deepStrictEqual((yield* Fiber.join(own)).map(({ deliveryId }) => deliveryId), [second.id])
    }).pipe(Effect.provide(everything)))

  it.effect("tells the same from the feed as in process", () =>
    Effect.gen(function*() {
      const updates = yield* DeliveryUpdates.DeliveryUpdates
      const inProcess = yield* fork(Stream.runCollect(Stream.take(updates.all, 5)))
      yield* live
      const followed = yield* DeliveryUpdates.follow().pipe(
        Stream.take(5),
        Stream.map(({ update }) => update),
        Stream.runCollect
      )
      assert.deepStrictEqual(comparable(followed), comparable(yield* Fiber.join(inProcess)))
    }).pipe(Effect.provide(everything)))

  it.effect("gives a consumer each update once, and goes on where it stopped", () =>
    Effect.gen(function*() {
      const seen: Array<DeliveryUpdate.DeliveryUpdate> = []
      const consuming = DeliveryUpdates.consume({
        name: "updates",
        batchSize: 2,
        handle: (updates) =>
          Effect.sync(() => {
            seen.push(...updates)
          })
      })
      const delivery = yield* live
      const first = yield* fork(consuming)
      yield* TestClock.adjust("1 seconds")
      assert.lengthOf(seen, 5)
      yield* Fiber.interrupt(first)
      yield* Ledger.Ledger.use((ledger) => ledger.append(acme, [Given.report("clicked", "message-1")]))
      yield* fork(consuming)
      yield* TestClock.adjust("1 seconds")

      assert.lengthOf(seen, 6)
      assert.deepStrictEqual(seen.at(-1)?.type, "clicked")
      assert.deepStrictEqual(seen.at(-1)?.deliveryId, delivery.id)
    }).pipe(Effect.provide(everything)))

  it.effect("does not hold up the ledger for a subscriber that reads nothing", () =>
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      yield* ledger.updates
      const count = DeliveryUpdate.capacity + 100
      yield* Effect.forEach(Array.from({ length: count }), () => Given.recorded(acme), { discard: true })
      assert.lengthOf(yield* ledger.deliveries({ tenantId: acme, after: Option.none(), limit: 10_000 }), count)
    }).pipe(Effect.scoped, Effect.provide(everything)))
})
